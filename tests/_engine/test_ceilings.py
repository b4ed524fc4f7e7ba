"""What the machine can do is measured for the threads that kernels run on."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau._engine import ceilings


@pytest.fixture
def nothing_known(monkeypatch):
    monkeypatch.setattr(ceilings, "_found", {})
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_each_number_of_threads_has_its_ceilings(nothing_known, monkeypatch):
    calls = []
    monkeypatch.setattr(ceilings, "peak_flops", lambda patience: calls.append(patience) or torch.get_num_threads())
    monkeypatch.setattr(ceilings, "copy_bandwidth", lambda patience: 7.0)
    for threads in (1, 2, 1):
        torch.set_num_threads(threads)
        assert ceilings.measured() == ceilings.Ceilings(threads, 7.0)
    assert calls == [ceilings.PATIENCE] * 2


def test_something_is_measured_however_little_time_there_is(nothing_known, monkeypatch):
    monkeypatch.setattr(ceilings, "SMALLEST", 1 << 20)
    monkeypatch.setattr(ceilings, "largest_cache", lambda: 0)
    found = ceilings.measured(patience=0.0)
    assert all(0 < x < float("inf") for x in found)


def test_the_quickest_call_counts(monkeypatch):
    times = iter([0.0, 1.0, 3.0, 4.0, 4.5, 5.0, 9.0, 20.0])  # begun; start and end of calls; the last start
    monkeypatch.setattr(ceilings.time, "perf_counter", lambda: next(times))
    assert ceilings.quickest(lambda: None, 10.0) == 0.5
