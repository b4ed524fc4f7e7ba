"""The mini-batch step while another process keeps one of the cores busy, as on a machine that is shared."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from harness import PAUSE, Failed, Options, Row, Worker, finish, prepare

KEY = "networks: mini-batch network, a step"
SPIN = "import sys; print(flush=True)\nwhile True: pass"


@contextmanager
def neighbour() -> Iterator[None]:
    """A process that spins on the first of our cores."""
    process = subprocess.Popen([sys.executable, "-c", SPIN], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
        yield
    finally:
        process.kill()
        process.communicate()


def blocks(workers: dict[str, Worker], steps: dict[str, int]) -> dict[str, float]:
    seconds = {}
    for framework, count in steps.items():
        time.sleep(PAUSE)
        seconds[framework] = workers[framework].ask("block", count)
    return seconds


def measure(workers: dict[str, Worker], options: Options) -> Row:
    """The row of the busy machine; its note says how many times as long as on the quiet one it took."""
    problems: dict[str, str] = {}
    estimates = prepare(KEY, workers, problems, 1e-3)
    steps = {framework: max(1, round(options.block / seconds)) for framework, seconds in estimates.items()}
    quiet: list[dict[str, float]] = []
    busy: list[dict[str, float]] = []
    try:
        for _ in range(options.rounds):
            quiet.append(blocks(workers, steps))
            with neighbour():
                busy.append(blocks(workers, steps))
    except Failed as failure:
        problems["flambeau"] = f"not measured: {failure}"
    finish(workers)
    pairs = list(zip(quiet, busy, strict=False))
    slower = {f: statistics.median(b[f] / q[f] for q, b in pairs) for f in steps if pairs}
    note = "slower than on the quiet machine: " + ", ".join(f"{f} × {r:.2f}" for f, r in slower.items())
    seconds = {framework: [b[framework] for b in busy] for framework in steps if busy}
    return Row("fresh", "mini-batch network, one core busy", seconds, problems, note=note)
