"""Profiles."""

from __future__ import annotations

import gzip
import json

import pytest

import flambeau as torch
from flambeau._core.config import config
from flambeau._engine import plans, window
from flambeau.profiler import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    record_function,
    schedule,
    tensorboard_trace_handler,
)


def compute():
    x = torch.ones(50, 50)
    return ((x @ x).relu() + 1).sum().item()


@pytest.mark.parametrize("when, kinds", [("always", {"kernel"}), ("never", {"operation"})])
def test_what_ran_is_collected(monkeypatch, when, kinds):
    monkeypatch.setattr(config, "compile", when)
    compute()
    with profile(activities=[ProfilerActivity.CPU]) as p:
        compute()
    assert {e.kind for e in p.events()} >= kinds
    names = " ".join(e.name for e in p.events())
    assert "matmul" in names and "sum" in names and all(e.duration > 0 for e in p.events())
    count = len(p.events())
    compute()
    assert len(p.events()) == count and plans.profile is None and window.watcher is None


def test_ranges_hold_what_was_recorded_in_them():
    @record_function("decorated")
    def part():
        return torch.ones(100, 100) @ torch.ones(100, 100)

    with record_function("outside"):
        pass
    with profile() as p:
        before = torch.ones(3) + 1
        with record_function("outer"):
            kept = part()
    named = {e.name: e for e in p.events() if e.kind == "range"}
    assert set(named) == {"outer", "decorated"} and before is not kept
    outer, inner = named["outer"], named["decorated"]
    assert outer.inner == inner.duration <= outer.duration and 0 < inner.inner <= inner.duration
    own = {a.key: a.self_cpu_time_total for a in p.key_averages()}
    assert own["outer"] == pytest.approx(outer.duration - inner.duration)


def test_a_table_is_sorted():
    with profile() as p:
        for name in ("short", "long", "short"):
            with record_function(name):
                torch.ones(400 if name == "long" else 2).exp().sum().item()
    averages = p.key_averages()
    assert {a.key: a.count for a in averages}["short"] == 2
    rows = averages.table(sort_by="count", row_limit=1).splitlines()
    assert len(rows) == 6 and rows[1].split()[:3] == ["Name", "Self", "CPU"] and rows[-1].startswith("Self CPU time")
    with pytest.raises(ValueError, match="nothing is known of sort_by='cuda_time_total', expected one of cpu_time"):
        averages.table(sort_by="cuda_time_total")
    with pytest.raises(NotImplementedError):
        p.key_averages(group_by_input_shape=True)


def test_steps_of_a_schedule():
    plan = schedule(skip_first=1, wait=1, warmup=1, active=2, repeat=2)
    said = [plan(step).name[:3] for step in range(11)]
    assert said == ["NON", "NON", "WAR", "REC", "REC", "NON", "WAR", "REC", "REC", "NON", "NON"]
    assert plan(4) is plan(8) is ProfilerAction.RECORD_AND_SAVE
    ready = []
    with profile(schedule=plan, on_trace_ready=lambda p: ready.append([e.name for e in p.events()])) as p:
        for _ in range(10):
            torch.ones(2).add(1).sum().item()
            p.step()
    assert [[n for n in names if n.startswith("ProfilerStep")] for names in ready] == [
        ["ProfilerStep#3", "ProfilerStep#4"],
        ["ProfilerStep#7", "ProfilerStep#8"],
    ]
    with pytest.raises(AssertionError):
        schedule(wait=0, warmup=1, active=0)
    with pytest.warns(UserWarning, match="won't be using warmup"):
        schedule(wait=0, warmup=0, active=1)


@pytest.mark.parametrize("compressed", [False, True])
def test_traces(tmp_path, compressed):
    with profile(on_trace_ready=tensorboard_trace_handler(tmp_path / "log", "worker", compressed)) as p:
        p.add_metadata("note", "mine")
        compute()
    (path,) = (tmp_path / "log").iterdir()
    assert path.name.startswith("worker.") and path.name.endswith(".pt.trace.json" + ".gz" * compressed)
    trace = json.loads(gzip.decompress(path.read_bytes()) if compressed else path.read_bytes())
    assert trace["note"] == "mine" and len(trace["traceEvents"]) == len(p.events()) > 0
    assert {"name", "ts", "dur", "ph", "pid", "tid"} <= set(trace["traceEvents"][0])


def test_what_it_cannot_do_is_said():
    with pytest.warns(UserWarning, match="nothing to collect for CUDA, with_stack"):
        profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA], with_stack=True)
    with profile():
        with pytest.raises(RuntimeError, match="profiles cannot be nested"), profile():
            pass
    with pytest.raises(AssertionError, match="must be initialized"):
        profile().events()
    older = torch.autograd.profiler
    with older.profile(enabled=False) as off, older.record_function("x"):
        compute()
    assert off.key_averages() == []
    with older.profile() as on:
        compute()
    assert "matmul" in on.table(sort_by="cpu_time_total")
