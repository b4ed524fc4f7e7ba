"""The pool of threads: every task is done once, by however many threads, in whatever process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flambeau._backends.cpu import host
from flambeau._backends.cpu.kernel import Address, Launch, Step
from flambeau._backends.cpu.launch import SHARE, has_futex
from flambeau._backends.cpu.plan import run_step
from flambeau._backends.cpu.threads import get_num_threads, pool, set_num_threads

sys.path.append(str(Path(__file__).parent))
from step_kernels import met, noted, scaled  # noqa: E402

workers = pytest.mark.skipif(not has_futex(host.host_target()), reason="there are no workers on this system")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")


def note(tasks: int, grain: int) -> tuple[np.ndarray, np.ndarray]:
    """Run a launch; the sizes of its stretches by their first task, and how often each task was done."""
    starts, counts = np.zeros((2, tasks), np.int64)
    run_step(Step((Launch(noted(), "run", (Address(0), Address(1)), tasks, grain),)), [starts, counts])
    return starts, counts


def meet(threads: int) -> list[int]:
    """Run as many chunks as threads, which wait for each other; how many were there when each went on."""
    here, out = np.zeros(1, np.int64), np.zeros(threads, np.int64)
    run_step(Step((Launch(met(), "run", (Address(0), threads, Address(1)), threads, 1),)), [here, out])
    return out.tolist()


def native_threads() -> set[int]:
    return set(map(int, os.listdir("/proc/self/task")))


@given(tasks=st.integers(1, 300), grain=st.integers(1, 310), count=st.integers(1, 4))
@settings(max_examples=60)
def test_every_task_is_done_once_in_stretches_of_chunks(tasks, grain, count):
    if get_num_threads() != count:
        set_num_threads(count)
    starts, counts = note(tasks, grain)
    assert (counts == 1).all()
    if count > 1:
        first = np.flatnonzero(starts)
        chunks = -(-starts[first] // grain)
        assert (first % grain == 0).all() and (first + starts[first] == [*first[1:], tasks]).all()
        ends = -(-tasks // grain) * np.arange(1, count + 1) // count  # of territories
        left = ends[np.searchsorted(ends, first // grain, "right")] - first // grain
        assert (chunks == np.maximum(left // SHARE, 1)).all()
    else:
        assert starts[0] == tasks


@workers
def test_a_long_row_of_launches(threads):
    threads(4)
    rng = np.random.default_rng(0)
    starts, counts = np.zeros((2, 64), np.int64)
    shapes = [(int(n), int(rng.integers(1, n + 1))) for n in rng.integers(1, 65, 500)]
    launches = tuple([Launch(noted(), "run", (Address(0), Address(1)), n, grain) for n, grain in shapes])
    for _ in range(20):
        run_step(Step(launches), [starts, counts])
    assert counts.tolist() == [20 * sum(n > task for n, _ in shapes) for task in range(64)]
    assert starts.sum() == counts.sum()


@workers
@pytest.mark.parametrize("count", [2, 3, 9])
def test_all_threads_work_at_the_same_time(threads, count):
    threads(count)
    assert meet(count) == [count] * count


@workers
def test_workers_are_woken(threads, monkeypatch):
    monkeypatch.setattr(pool, "spin", 0)
    threads(3)
    for _ in range(5):
        time.sleep(0.01)
        assert meet(3) == [3, 3, 3]


@workers
def test_small_launches_and_single_threads_need_no_workers(threads):
    threads(3)
    before = native_threads()
    x, out = np.arange(4.0), np.zeros(4)
    words = (Address(0), Address(1), 0)
    run_step(Step((Launch(scaled(), "run", words, 4, 4),)), [x, out])
    assert native_threads() == before
    note(4, 1)
    assert len(native_threads() - before) == 2
    set_num_threads(1)
    note(4, 1)
    assert native_threads() == before


@workers
def test_workers_leave_signals_to_python(threads):
    threads(2)
    before = native_threads()
    meet(2)
    (worker,) = native_threads() - before
    blocked = int(Path(f"/proc/self/task/{worker}/status").read_text().split("SigBlk:")[1].split()[0], 16)
    assert blocked >> (signal.SIGINT - 1) & 1 and blocked >> (signal.SIGCHLD - 1) & 1
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@workers
@pytest.mark.skipif(len(host.processors()) < 2, reason="needs two processors")
def test_no_worker_is_kept_on_the_processor_of_the_caller(threads):
    own = host.processors()
    threads(len(own))
    before = native_threads()
    note(len(own), 1)
    added = native_threads() - before
    try:
        for processor in (own[0], own[1], own[0]):
            os.sched_setaffinity(0, {processor})
            note(len(own), 1)
            kept = [os.sched_getaffinity(worker) for worker in added]
            assert {processor, *set().union(*kept)} == set(own) and all(len(k) == 1 for k in kept)
            assert {processor} not in kept
    finally:
        os.sched_setaffinity(0, own)


@workers
def test_workers_roam_where_there_are_more_processors_than_threads(threads, monkeypatch):
    own = host.processors()
    monkeypatch.setattr("flambeau._backends.cpu.threads.processors", lambda: [*own, own[-1] + 1, own[-1] + 2])
    threads(2)
    before = native_threads()
    assert meet(2) == [2, 2]
    assert [os.sched_getaffinity(worker) for worker in native_threads() - before] == [set(own)]


def _child(count: int) -> bool:
    """In a process made by fork: are all threads there, also after a change of their number?"""
    found = meet(count) == [count] * count
    set_num_threads(count + 1)
    found = found and meet(count + 1) == [count + 1] * (count + 1)
    set_num_threads(count)
    return found


@workers
@forks
def test_a_forked_child_has_workers_of_its_own(threads):
    threads(2)
    meet(2)
    child = os.fork()
    if not child:
        os._exit(0 if _child(2) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert meet(2) == [2, 2]  # and so has the parent, again


@workers
@forks
def test_a_fork_while_another_thread_has_the_workers(threads):
    threads(2)
    meet(2)
    with pool.lock:
        child = os.fork()
        if not child:
            os._exit(0 if _child(2) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert meet(2) == [2, 2]


@workers
@forks
def test_multiprocessing(threads):
    threads(2)
    meet(2)
    with multiprocessing.get_context("fork").Pool(2) as processes:
        assert processes.map(_child, [2, 2]) == [True, True]


def _python(code: str) -> subprocess.CompletedProcess:
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(host.__file__).parents[3])])
    return subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True,
                          text=True, timeout=120)  # fmt: skip


@workers
def test_a_process_ends_cleanly_whatever_its_workers_do():
    done = _python("import test_threads as t\nt.set_num_threads(3)\nfor _ in range(100): t.note(50, 1)\nprint('done')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity cannot be set")
def test_the_default_number_honours_the_affinity_mask(monkeypatch):
    own = host.processors()
    monkeypatch.setattr(host.config, "threads", 0)
    os.sched_setaffinity(0, own[:1])
    try:
        assert host.default_threads() == 1
    finally:
        os.sched_setaffinity(0, own)


def test_the_default_number_honours_the_setting_and_quotas(monkeypatch):
    monkeypatch.setattr(host, "processors", lambda: list(range(16)))
    monkeypatch.setattr(host, "quotas", lambda: iter([8.0, 2.5]))
    monkeypatch.setattr(host.config, "threads", 0)
    assert host.default_threads() == 3
    monkeypatch.setattr(host.config, "threads", 5)
    assert host.default_threads() == 5


def _files(folder: Path, **contents: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name.replace("__", ".")).write_text(content)


def test_the_largest_cache_is_the_one_the_system_names(tmp_path):
    assert host.largest_cache(tmp_path) == 0
    for i, size in enumerate(("48K", "1024K", "32M", "")):
        (tmp_path / f"index{i}").mkdir()
        (tmp_path / f"index{i}" / "size").write_text(size + "\n")
    assert host.largest_cache(tmp_path) == 32 << 20


def test_quotas_of_control_groups_version_2(tmp_path):
    own = tmp_path / "own"
    own.write_text("0::/outer/inner\n")
    _files(tmp_path / "outer" / "inner", cpu__max="max 100000\n")
    _files(tmp_path / "outer", cpu__max="150000 100000\n")
    assert list(host.quotas(tmp_path, own)) == [1.5]
    own.write_text("0::/somewhere/else\n")  # a name from outside the container
    _files(tmp_path, cpu__max="400000 100000\n")
    assert list(host.quotas(tmp_path, own)) == [4.0]


def test_quotas_of_control_groups_version_1(tmp_path):
    own = tmp_path / "own"
    own.write_text("4:memory:/group\n3:cpu,cpuacct:/group\n2:cpuset:/\n")
    _files(tmp_path / "cpu,cpuacct" / "group", cpu__cfs_quota_us="50000", cpu__cfs_period_us="100000")
    _files(tmp_path / "cpu,cpuacct", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    _files(tmp_path / "memory" / "group", cpu__cfs_quota_us="1", cpu__cfs_period_us="100000")
    assert list(host.quotas(tmp_path, own)) == [0.5]
    assert list(host.quotas(tmp_path, tmp_path / "missing")) == []
