"""Measuring statements."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau.utils.benchmark import Compare, Measurement, TaskSpec, Timer, select_unit, trim_sigfig


def measurement(*times, number=1, **spec):
    return Measurement(number, list(times), TaskSpec("f(x)", "pass", **spec))


def test_statistics():
    m = measurement(4e-5, 1e-5, 2e-5, 3e-5, number=10)
    assert [m.median, m.mean] == pytest.approx([2.5e-6, 2.5e-6]) and m.iqr == pytest.approx(1.5e-6)
    assert m.has_warnings and not m.meets_confidence(0.5) and m.significant_figures == 1
    assert m.stmt == m.title == m.as_row_name == "f(x)" and m.num_threads == 1
    shown = repr(m)
    assert "  Median: 2.50 us\n  IQR:    1.50 us (1.75 to 3.25)\n" in shown
    assert "  4 measurements, 10 runs per measurement, 1 thread\n  WARNING: Interquartile range is 60.0%" in shown
    (merged,) = Measurement.merge([m, measurement(1e-6)])
    assert merged.number_per_run == 1 and len(merged.times) == 5
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        _ = m.no_such_name


@pytest.mark.parametrize("time, unit", [(2e-8, "ns"), (1.5e-6, "us"), (0.5, "ms"), (3.0, "s"), (5000.0, "s")])
def test_units(time, unit):
    assert select_unit(time)[0] == unit


def test_figures():
    assert [trim_sigfig(3.14159, 2), trim_sigfig(1234.0, 1)] == [3.1, 1000.0]


def test_the_clock_waits_for_what_was_recorded():
    """A statement that only records takes as long as what it records."""
    x = torch.ones(300, 300)
    m = Timer("torch.matmul(x, x)", globals={"x": x, "torch": torch}).timeit(20)
    assert m.number_per_run == 20 and len(m.raw_times) == 1 and m.median > 1e-5


def test_blocks():
    seen = []
    timer = Timer("n[0] += 1", setup="n = [0]", num_threads=1)
    m = timer.blocked_autorange(callback=lambda number, seconds: seen.append((number, seconds)), min_run_time=0.01)
    assert [t for _, t in seen] == m.raw_times and {n for n, _ in seen} == {m.number_per_run}
    assert sum(m.raw_times) >= 0.01
    assert len(timer.adaptive_autorange(threshold=10.0, max_run_time=0.2).raw_times) > 0


@pytest.mark.parametrize("call", [lambda t: t.collect_callgrind(), lambda t: t.autorange(), lambda t: t.repeat()])
def test_what_it_does_not_do(call):
    with pytest.raises(NotImplementedError):
        call(Timer())
    with pytest.raises(NotImplementedError, match="no C"):
        Timer("x", language="c++")


def test_a_table():
    results = [
        measurement(time, label="sum", sub_label=size, description=name, num_threads=threads)
        for (name, time) in (("old", 3e-6), ("new", 1.5e-6))
        for size in ("[10]", "[1000]")
        for threads in (1, 2)
    ]
    table = Compare(results)
    lines = str(table).splitlines()
    assert lines[0].strip("[]").strip("-") == " sum " and lines[1].split() == ["|", "old", "|", "new"]
    assert [line.split()[:2] for line in lines if "threads" in line] == [["1", "threads:"], ["2", "threads:"]]
    assert lines[3] == "      [10]   | 3.0 | 1.5" and lines[-2:] == ["", "Times are in microseconds (us)."]
    table.colorize(rowwise=True)
    assert "\033[91m3.0\033[0m | \033[92m1.5\033[0m" in str(table)
    with pytest.raises(ValueError, match="Expected an instance of `Measurement`"):
        Compare([1])
