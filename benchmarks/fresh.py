"""Measurements that need a fresh process each time: how long until the first step is done, and steps of any shape."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness import Failed, Options, Row, Worker, disagreement
from workloads import shapes

FIRST = ("networks: GPT, a step", "networks: guide's CNN, a step")
WARM_ROUNDS = 2


def caches(folder: str) -> dict[str, str]:
    """The environment that makes everybody keep compiled code in a folder."""
    names = ("FLAMBEAU_CACHE", "TORCHINDUCTOR_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR")
    sizes = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
    return {name: str(Path(folder) / name.lower()) for name in names} | sizes


def first_step(framework: str, key: str, options: Options, folder: str) -> tuple[Any, float]:
    """The results of a process's first step, and the seconds since the process was started."""
    worker = Worker(framework, options, **caches(folder))
    start = time.perf_counter()
    try:
        result = worker.ask("first", key)
        return result, time.perf_counter() - start
    finally:
        worker.close()


def first_steps(key: str, options: Options) -> Iterator[Row]:
    """With empty caches, then with those which that has filled."""
    with tempfile.TemporaryDirectory() as folder:
        for state, rounds in (("nothing cached", 1), ("cached", WARM_ROUNDS)):
            seconds: dict[str, list[float]] = {}
            problems: dict[str, str] = {}
            results = {}
            for _ in range(rounds):
                for framework in options.frameworks:
                    try:
                        result, spent = first_step(framework, key, options, folder)
                    except Failed as failure:
                        problems[framework] = str(failure)
                        continue
                    results[framework] = [result]
                    seconds.setdefault(framework, []).append(spent)
            problems |= disagreement(results, 1e-2)
            yield Row("fresh", f"from nothing to {key.partition(': ')[2]}, {state}", seconds, problems)


def pass_over_shapes(framework: str, options: Options) -> tuple[Any, float, tuple[int, float] | None]:
    """Results of the first step, seconds for all steps, and what was compiled meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(framework, options, **caches(folder))
        try:
            worker.ask("compiling")  # it has started and imported everything
            start = time.perf_counter()
            result = worker.ask("first", f"fresh: {shapes.TEXTS.name}")
            worker.ask("block", shapes.STEPS - 1)
            return result, time.perf_counter() - start, worker.ask("compiling")
        finally:
            worker.close()


def any_shape(options: Options) -> Row:
    """A thousand steps in a new process, each of another batch and length."""
    seconds: dict[str, list[float]] = {}
    problems: dict[str, str] = {}
    results, note = {}, ""
    for framework in options.frameworks:
        try:
            result, spent, compiled = pass_over_shapes(framework, options)
        except Failed as failure:
            problems[framework] = str(failure)
            continue
        results[framework], seconds[framework] = [result], [spent]
        if compiled is not None:
            note = f"compiling: {compiled[0]} windows, {compiled[1] / spent:.0%} of the time"
    problems |= disagreement(results, 1e-3)
    return Row("fresh", f"{shapes.STEPS} steps of any batch and length", seconds, problems, note=note)
