"""How many calls of a model per second: `ThroughputBenchmark`."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass
from typing import Any

from flambeau import _api as torch


@dataclass
class BenchmarkConfig:
    """How a benchmark runs: threads that call at the same time, calls of each before the watch starts, and calls in all
    that are measured."""

    num_calling_threads: int = 1
    num_worker_threads: int = 1
    num_warmup_iters: int = 1
    num_iters: int = 100
    profiler_output_path: str = ""


@dataclass
class BenchmarkExecutionStats:
    """What a benchmark found: `latency_avg_ms` is the mean time of a call, `total_time_seconds` the time of all."""

    latency_avg_ms: float
    num_iters: int
    num_calling_threads: int = 1

    @property
    def iters_per_second(self) -> float:
        """Calls per second, of all threads together."""
        return self.num_calling_threads / (self.latency_avg_ms / 1000)

    @property
    def total_time_seconds(self) -> float:
        """The time of all calls."""
        return self.num_iters / self.iters_per_second


class ThroughputBenchmark:
    """Measures how many calls per second several threads make of one module or function.

    Inputs are added by `add_input`; calls take them in turn.

    Example::

        >>> import flambeau as torch
        >>> bench = ThroughputBenchmark(torch.nn.Linear(2, 2))
        >>> bench.add_input(torch.ones(1, 2))
        >>> bench.benchmark(num_calling_threads=2, num_warmup_iters=1, num_iters=4).num_iters
        4
    """

    def __init__(self, module: Any) -> None:
        self._module = module
        self._inputs: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def add_input(self, *args: Any, **kwargs: Any) -> None:
        """Add arguments for a call."""
        self._inputs.append((args, kwargs))

    def run_once(self, *args: Any, **kwargs: Any) -> Any:
        """What the module gives for these arguments."""
        return self._module(*args, **kwargs)

    def benchmark(
        self,
        num_calling_threads: int | BenchmarkConfig = 1,
        num_warmup_iters: int = 10,
        num_iters: int = 100,
        profiler_output_path: str = "",
    ) -> BenchmarkExecutionStats:
        """Call the module, `num_iters` times in all, from so many threads, each of which warms up first. The first
        argument may be a `BenchmarkConfig` in the place of all. RuntimeError without inputs; NotImplementedError for a
        profile, which is not taken here."""
        config = num_calling_threads
        if not isinstance(config, BenchmarkConfig):
            config = BenchmarkConfig(config, 1, num_warmup_iters, num_iters, profiler_output_path)
        if not self._inputs:
            raise RuntimeError("Please provide benchmark inputs: add_input(...) before benchmark()")
        if config.profiler_output_path:
            raise NotImplementedError("a profile of a benchmark; use cProfile around it, or torch.explain for kernels")
        return _measured(self, config)


def _measured(bench: ThroughputBenchmark, config: BenchmarkConfig) -> BenchmarkExecutionStats:
    turns = itertools.count()
    ready = threading.Barrier(config.num_calling_threads + 1)
    errors: list[BaseException] = []

    def call(turn: int) -> None:
        args, kwargs = bench._inputs[turn % len(bench._inputs)]
        bench.run_once(*args, **kwargs)
        torch.synchronize()

    def work() -> None:
        try:
            for turn in range(config.num_warmup_iters):
                call(turn)
            ready.wait()
            while (turn := next(turns)) < config.num_iters:
                call(turn)
        except BaseException as error:
            errors.append(error)
            ready.abort()

    threads = [threading.Thread(target=work) for _ in range(config.num_calling_threads)]
    for thread in threads:
        thread.start()
    try:
        ready.wait()
    except threading.BrokenBarrierError:
        pass  # one of them failed while it warmed up
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    latency = (time.perf_counter() - start) * 1000 * config.num_calling_threads / max(config.num_iters, 1)
    return BenchmarkExecutionStats(latency, config.num_iters, config.num_calling_threads)
