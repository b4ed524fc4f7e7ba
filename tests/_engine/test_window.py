"""The window is invisible: lazy and immediate execution agree, errors name the user's line, outsiders see no delay."""

import itertools
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flambeau as torch
from flambeau._core.config import config
from flambeau._engine import plans
from flambeau._engine.window import flush, state


@pytest.fixture
def immediate(lazy, monkeypatch):
    monkeypatch.setattr(config, "window_instructions", 1)


def test_operations_wait_until_somebody_looks():
    flush()
    x = torch.ones(3) + 1
    assert len(state.window.queue) > 0 and x._storage.value.data is None
    assert x.tolist() == [2.0, 2.0, 2.0]
    assert len(state.window.queue) == 0


def test_the_window_is_bounded_by_instructions_and_bytes(monkeypatch):
    flush()
    monkeypatch.setattr(config, "window_instructions", 5)
    x = torch.ones(1)
    for _ in range(20):
        x = x + 1
        assert len(state.window.queue) < 5
    monkeypatch.setattr(config, "window_instructions", 1000)
    monkeypatch.setattr(config, "window_bytes", 10_000)
    y = torch.zeros(1000)
    for _ in range(20):
        y = y + 1
        assert state.window.nbytes < 10_000
    assert x.item() == 21 and y[0].item() == 20


def test_an_index_error_names_values_and_the_recording_line():
    x = torch.arange(3)
    y = x.gather(0, torch.tensor([7]))  # recorded here
    z = x + 1
    with pytest.raises(IndexError, match=r"7[\s\S]*recorded at test_window.py:\d+"):
        y.tolist()
    assert z.tolist() == [1, 2, 3]  # what does not need the failed result is not lost
    with pytest.raises(IndexError):
        (y + 1).tolist()


def test_writes_to_memory_shared_with_numpy_are_seen_at_once():
    array = np.zeros(3)
    t = torch.from_numpy(array)
    t += 1
    assert array.tolist() == [1, 1, 1]
    doubled = t * 2
    array[0] = 5
    assert doubled.tolist() == [2, 2, 2] and t.tolist() == [5, 1, 1]
    own = torch.zeros(2)
    view = own.numpy()
    own.add_(3)
    assert view.tolist() == [3, 3]
    view[1] = 8
    assert own.tolist() == [3, 8]


def test_exposing_a_clone_leaves_the_original_alone():
    a = torch.zeros(2)
    b = a.clone()
    a.numpy()[0] = 1
    assert b.tolist() == [0, 0] and a.tolist() == [1, 0]


def test_earlier_reads_keep_the_value_before_a_write():
    base = torch.zeros(4)
    before = base + 0
    base[1:3].fill_(7)
    middle = base * 1
    base.view(2, 2)[:, 0].mul_(10)
    assert before.tolist() == [0, 0, 0, 0]
    assert middle.tolist() == [0, 7, 7, 0]
    assert base.tolist() == [0, 7, 70, 0]


def test_another_threads_pending_value_is_run_when_needed():
    results = {}

    def make():
        results["pending"] = torch.ones(3) * 4

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    assert (results["pending"] + 1).tolist() == [5, 5, 5]


def test_a_write_does_not_reach_what_another_thread_has_recorded_earlier():
    shared = torch.zeros(3)
    shared[0] = 1
    shared.tolist()
    recorded, may_flush, out = threading.Event(), threading.Event(), {}

    def reader():
        out["doubled"] = shared * 2
        recorded.set()
        may_flush.wait()
        out["list"] = out["doubled"].tolist()

    thread = threading.Thread(target=reader)
    thread.start()
    recorded.wait()
    shared[1:].fill_(9)
    assert shared.tolist() == [1, 9, 9]
    may_flush.set()
    thread.join()
    assert out["list"] == [2, 0, 0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_finds_finished_values():
    pending = torch.ones(2) * 6
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, bytes([int(pending.sum().item())]))
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 1) == bytes([12])


BUSY_FORKS = """
import os, threading
import flambeau as torch

def busy(step):
    i = 0
    while not over:
        i += 1
        y = torch.randn(50 + i % 7, 20) * 2
        for _ in range(i % 5 + step):
            y = (y + i).tanh() * 1.5
        y.sum(i % 2).tolist()

def drawing():
    while not over:
        torch.randn(100_000)

over = False
threads = [threading.Thread(target=busy, args=(step,)) for step in (1, 7)]
threads.append(threading.Thread(target=drawing))
for thread in threads:
    thread.start()
for i in range(6):
    child = os.fork()
    if child == 0:
        assert (torch.rand(64, 33) + i + 1).cumsum(0).tanh().sum().item() > 0
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
over = True
for thread in threads:
    thread.join()
print("fine")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_other_threads_record_compile_and_run():
    """A lock that another thread has at that moment would never be free in the child."""
    environment = os.environ | {"FLAMBEAU_COMPILE": "always", "FLAMBEAU_CACHE": "off"}
    forewarned = "ignore::DeprecationWarning:__main__"  # from Python 3.12 on, which warns of forks among threads
    command = [sys.executable, "-W", forewarned, "-c", BUSY_FORKS]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (result.stdout, result.stderr) == ("fine\n", "")


def test_ctrl_c_loses_nothing(monkeypatch):
    from flambeau._engine import window as window_module

    flush()
    monkeypatch.setattr(config, "compile", "never")
    x = torch.ones(2) + 1
    y = x * 3
    real = window_module.execute

    def interrupted(instruction):
        monkeypatch.setattr(window_module, "execute", real)
        raise KeyboardInterrupt

    monkeypatch.setattr(window_module, "execute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        y.tolist()
    assert y.tolist() == [6, 6]


FILES = ("window.py", "plans.py", "plan.py")  # where the results of a window are made and told


def assigned(w, b):
    """In-place updates, one of them of a view, and a result."""
    w.sub_(w * 0.25)
    b[1:].add_(2)
    return (w * 2).sum(), b * 1


def assigned_with_hosts(w, b):
    """The same, with an instruction that has no kernel in between."""
    total, copy = assigned(w, b)
    values = torch.linalg.eigvalsh(b[:4].view(2, 2) + b[:4].view(2, 2).T)
    w.add_(values.sum() * 0)
    return total, copy


@pytest.mark.parametrize(("compile", "profiled"), [("always", False), ("always", True), ("never", False)])
@pytest.mark.parametrize("step", [assigned, assigned_with_hosts])
def test_an_interrupt_at_any_line_leaves_no_update_half_done(monkeypatch, interrupt, step, compile, profiled):
    def run(number):
        w, b = torch.arange(20.0), torch.arange(8.0)
        flush()
        total, copy = step(w, b)
        interrupted = interrupt(number, FILES).during(flush)
        found = [t.tolist() for t in (w, b, total, copy)]
        step(w, b)
        return interrupted, found + [w.tolist(), b.tolist()]

    monkeypatch.setattr(config, "compile", compile)
    monkeypatch.setattr(plans, "profile", (lambda *measured: None) if profiled else None)
    whole = run(1 << 30)[1]
    numbers = itertools.count()
    while (outcome := run(next(numbers)))[0]:
        assert outcome[1] == whole
    assert next(numbers) > 30


def test_a_profiled_plan_that_meets_something_wrong_says_so(monkeypatch):
    monkeypatch.setattr(config, "compile", "always")
    monkeypatch.setattr(plans, "profile", lambda *measured: None)
    x, wrong = torch.ones(300) + 1, torch.tensor([299, 300])
    with pytest.raises(IndexError):
        (x[wrong] * 2).tolist()


# ---------------------------------------------------------------------------------------------- window on = window off

STEPS = {
    "add": lambda ts, i, j: ts.append(ts[i] + ts[j]),
    "mul": lambda ts, i, j: ts.append(ts[i] * 0.5),
    "view": lambda ts, i, j: ts.append(ts[i].t()),
    "row": lambda ts, i, j: ts.append(ts[i][1:2].expand(3, 3)),
    "sum": lambda ts, i, j: ts.append(ts[i] - ts[j].sum(0)),
    "add_": lambda ts, i, j: ts[i].add_(ts[j]) if writable(ts[i]) else None,
    "set": lambda ts, i, j: ts[i].__setitem__((slice(0, 2), 0), ts[j][0, 1:]) if writable(ts[i]) else None,
    "copy_": lambda ts, i, j: ts[i].t().copy_(ts[j]) if writable(ts[i]) else None,
    "fill": lambda ts, i, j: ts[i][2].fill_(0.25) if writable(ts[i]) else None,
    "peek": lambda ts, i, j: ts[i].sum().item(),
    "expose": lambda ts, i, j: ts[i].numpy(),
    "branch": lambda ts, i, j: ts.append(ts[i] + 1) if bool(ts[j][0, 0] > 0) else ts.append(ts[j] * 1),
}


def writable(t):
    return 0 not in t.stride()


def run_program(program):
    ts = [torch.arange(9.0).reshape(3, 3) / 7, torch.ones(3, 3)]
    for name, i, j in program:
        STEPS[name](ts, i % len(ts), j % len(ts))
    return [t.tolist() for t in ts]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 9), st.integers(0, 9)), max_size=14))
def test_lazy_and_immediate_execution_agree(program):
    before = config.window_instructions, config.compile
    try:
        config.compile = "never"
        lazy = run_program(program)
        config.compile = "always"
        compiled = run_program(program)
        config.window_instructions, config.compile = 1, "never"
        assert run_program(program) == lazy
        for a, b in zip(compiled, lazy, strict=True):
            np.testing.assert_allclose(a, b, 1e-5, 1e-6)
    finally:
        config.window_instructions, config.compile = before


def test_immediate_mode_runs_each_operation_at_once(immediate):
    x = torch.ones(2) + 1
    assert x._storage.value.data is not None
