"""Benchmarks of calls from several threads."""

from __future__ import annotations

import threading

import pytest

import flambeau as torch


def test_calls_are_counted():
    seen, lock = [], threading.Lock()

    def model(x, scale=1):
        with lock:
            seen.append((threading.get_ident(), x, scale))
        return x * scale

    bench = torch.ThroughputBenchmark(model)
    with pytest.raises(RuntimeError, match="add_input"):
        bench.benchmark()
    bench.add_input(1)
    bench.add_input(2, scale=3)
    assert bench.run_once(2, scale=3) == 6
    seen.clear()
    stats = bench.benchmark(num_calling_threads=2, num_warmup_iters=3, num_iters=10)
    assert len(seen) == 2 * 3 + 10 and {call[1:] for call in seen} == {(1, 1), (2, 3)}
    assert len({call[0] for call in seen}) == 2 and stats.num_iters == 10
    assert stats.total_time_seconds == pytest.approx(10 / stats.iters_per_second)
    config = torch.BenchmarkConfig(num_iters=2, num_warmup_iters=0)
    seen.clear()
    assert bench.benchmark(config).latency_avg_ms > 0 and len(seen) == 2
    with pytest.raises(NotImplementedError, match="cProfile"):
        bench.benchmark(profiler_output_path="x")


def test_an_error_is_raised():
    bench = torch.ThroughputBenchmark(lambda x: x.nothing)
    bench.add_input(1)
    for warm in (0, 1):
        with pytest.raises(AttributeError, match="nothing"):
            bench.benchmark(2, warm, 3)
