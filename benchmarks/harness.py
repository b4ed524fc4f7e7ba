"""Measuring side by side: one process a framework, taking turns, block by block and round by round.

All are ready and warm before the first round. In each round each framework runs a block of as many steps as fit a
fifth of a second; the order rotates. Ratios are taken within a round, so that what disturbs a round disturbs both
sides, and the median ratio counts.
"""

from __future__ import annotations

import os
import pickle
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any, NamedTuple

from workloads.workload import Workload

FRAMEWORKS = ("flambeau", "replay", "eager", "compile", "jax")
HERE = Path(__file__).parent
PAUSE = 0.01  # seconds between blocks, in which the threads of the last one go to sleep


class Options(NamedTuple):
    """What was asked for on the command line."""

    threads: int = 2
    rounds: int = 5
    block: float = 0.2  # seconds a block should take
    budget: float = 4.0  # seconds for the blocks of one framework in one workload; the first round is always made
    patience: float = 240.0  # seconds to wait for an answer
    frameworks: tuple[str, ...] = FRAMEWORKS


class Row(NamedTuple):
    """A measured workload: seconds of a call for each framework and round, and what went wrong or is worth a note."""

    group: str
    name: str
    seconds: dict[str, list[float]]
    problems: dict[str, str]
    flops: float = 0.0  # of a call
    traffic: float = 0.0
    note: str = ""


class Failed(Exception):
    """A framework could not do the work."""


def environment(threads: int, **more: str) -> dict[str, str]:
    """As many threads for everybody's pool. Inductor's compiled code is kept beside the packages, and so is byte code,
    as pip leaves it there: else the time to the first step would be that of compiling a framework's source."""
    pools = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM", "FLAMBEAU")
    numbers = {f"{pool}_NUM_THREADS" if pool != "FLAMBEAU" else "FLAMBEAU_THREADS": str(threads) for pool in pools}
    caches = {"TORCHINDUCTOR_CACHE_DIR": str(Path(sys.prefix) / "inductor")}
    # NPROC is what XLA makes its pool of threads by.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | numbers | caches | {"NPROC": str(threads), "JAX_PLATFORMS": "cpu"} | more


class Worker:
    """The process of a framework. It is started when first asked, and anew after it died or took too long."""

    def __init__(self, framework: str, options: Options, **more: str) -> None:
        self.framework = framework
        self.options = options
        self.environment = environment(options.threads, **more)
        self.process: subprocess.Popen[bytes] | None = None
        self.log: IO[bytes] | None = None

    def start(self) -> None:
        self.log = tempfile.TemporaryFile()
        command = [sys.executable, "-W", "ignore", str(HERE / "worker.py"), self.framework, str(self.options.threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, env=self.environment
        )

    def ask(self, method: str, *arguments: Any) -> Any:
        """What a method of the process's server returns; Failed if it raised, died or is not done in time."""
        if self.process is None:
            self.start()
        assert self.process is not None and self.process.stdin is not None and self.process.stdout is not None
        try:
            pickle.dump((method, arguments), self.process.stdin)
            self.process.stdin.flush()
            if not select.select([self.process.stdout], [], [], self.options.patience)[0]:
                raise Failed(f"no answer within {self.options.patience:.0f} s")
            good, answer = pickle.load(self.process.stdout)
        except (EOFError, BrokenPipeError):
            problem = f"the process died, exit status {self.process.wait()}: {self.last_words()}"
            self.close()
            raise Failed(problem) from None
        except BaseException:
            self.close()
            raise
        if not good:
            raise Failed(answer)
        return answer

    def last_words(self) -> str:
        assert self.log is not None
        self.log.seek(max(0, self.log.seek(0, os.SEEK_END) - 2000))
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "(nothing said)"

    def close(self) -> None:
        if self.process is not None and self.log is not None:
            self.process.kill()
            self.process.communicate()
            self.log.close()
            self.process = None


def difference(found: list[Any], wanted: list[Any]) -> float:
    """The largest difference between two results' samples, relative to the largest number in a tensor."""
    import numpy as np

    if [shape for shape, _ in found] != [shape for shape, _ in wanted]:
        raise Failed(f"shapes {[s for s, _ in found]} instead of {[s for s, _ in wanted]}"[:200])
    worst = 0.0
    for (_, a), (_, b) in zip(found, wanted, strict=True):
        if a.size:
            relative = np.abs(a - b).max() / max(np.abs(b).max(), 1e-6)
            worst = max(worst, float("inf") if np.isnan(relative) else float(relative))
    return worst


def disagreement(results: dict[str, list[Any]], tolerance: float) -> dict[str, str]:
    """Who computed something else than PyTorch. Each result is a list, one entry for each of the first steps."""
    if "eager" not in results:
        return {}
    problems = {}
    for framework, steps in results.items():
        last = min(len(steps), len(results["eager"])) - 1
        try:
            gap = difference(steps[last], results["eager"][last])
        except Failed as failure:
            problems[framework] = f"WRONG: {failure}"
        else:
            if gap > tolerance:
                problems[framework] = f"WRONG: differs by {gap:.1e} of the largest number"
    return problems


def contenders(workload: Workload, workers: dict[str, Worker]) -> dict[str, Worker]:
    """Those who have something to do in a workload."""
    idle = {"jax"} if workload.twin is None else set()
    if not workload.compiled:
        idle |= {"compile", "replay"}
    return {framework: worker for framework, worker in workers.items() if framework not in idle}


def prepare(key: str, workers: dict[str, Worker], problems: dict[str, str], tolerance: float) -> dict[str, float]:
    """Make everybody ready; the seconds of a step for those who are. Problems are added to the dictionary."""
    seconds, results = {}, {}
    for framework, worker in workers.items():
        try:
            results[framework], seconds[framework] = worker.ask("prepare", key)
        except Failed as failure:
            problems[framework] = str(failure)
    problems |= disagreement(results, tolerance)
    return seconds


def measure(group: str, workload: Workload, workers: dict[str, Worker], options: Options) -> Row:
    """A row of the table."""
    workers = contenders(workload, workers)
    problems: dict[str, str] = {}
    estimates = prepare(f"{group}: {workload.name}", workers, problems, workload.tolerance)
    steps = {framework: max(1, round(options.block / seconds)) for framework, seconds in estimates.items()}
    times: dict[str, list[float]] = {framework: [] for framework in estimates}
    spent = dict.fromkeys(estimates, 0.0)
    for number in range(options.rounds):
        order = list(steps)
        for framework in order[number % len(order) :] + order[: number % len(order)] if order else []:
            time.sleep(PAUSE)
            try:
                seconds = workers[framework].ask("block", steps[framework])
            except Failed as failure:
                problems[framework] = str(failure)
                del steps[framework]
                continue
            times[framework].append(seconds / workload.calls)
            spent[framework] += seconds * steps[framework]
        if max(spent.values(), default=0.0) * (number + 2) / (number + 1) > options.budget:
            break
    finish(workers)
    seconds_by = {framework: found for framework, found in times.items() if found and framework in steps}
    size = 1 / workload.calls
    return Row(group, workload.name, seconds_by, problems, workload.flops * size, workload.traffic * size)


def finish(workers: dict[str, Worker]) -> None:
    """Let everybody free the workload's memory."""
    for worker in workers.values():
        if worker.process is not None:
            try:
                worker.ask("drop")
            except Failed:
                worker.close()
