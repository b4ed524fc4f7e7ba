"""What goes wrong between processes: nothing hangs, and the error names the ranks and the operation."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta

import pytest

import flambeau as torch
from flambeau import distributed as dist
from tests.distributed.worlds import free_port, join, play


def message(operation, *arguments, error=dist.DistBackendError, **options) -> str:
    with pytest.raises(error) as raised:
        operation(*arguments, **options)
    return str(raised.value)


def one_stays_away(rank, method):
    join(method, rank, 3)
    pair = dist.new_group([1, 2], timeout=timedelta(seconds=0.3))
    if rank != 2:
        before = time.monotonic()
        group = pair if rank == 1 else None
        found = message(dist.barrier, group=group, timeout=timedelta(seconds=0.5) if rank == 0 else None)
        took = time.monotonic() - before
        later = message(dist.all_reduce, torch.ones(1), group=group)
    else:
        found, took, later = "", 0.0, ""
    store = dist.group.WORLD.get_group_store()
    if rank == 1:
        store.set("pair failed", "")
    store.wait(["failed", "pair failed"])
    dist.destroy_process_group()
    return found, took, later


@pytest.mark.parametrize("kind", ["file", "tcp"])
def test_who_does_not_come_in_time(kind, tmp_path):
    method = f"file://{tmp_path}/store" if kind == "file" else f"tcp://localhost:{free_port()}"
    outcome = play(one_stays_away, 3, method)
    found, took, later = outcome[0]
    assert "rank 0, group 0-1-2/1: barrier, operation 2 failed: waited 0.5 s for ranks 1, 2" in found, outcome
    assert 0.4 < took < 5
    assert "the group failed before: in barrier, operation 2: waited 0.5 s" in later
    assert "hint: destroy_process_group" in later
    found, took, later = outcome[1]
    assert "rank 1, group 1-2/1: barrier, operation 1 failed: waited 0.3 s for rank 2" in found
    assert took < 5 and "all_reduce, operation 2 cannot begin" in later


def one_dies(rank, method, victim, how):
    join(method, rank, 3)
    dist.barrier()
    if rank == victim:
        if how == "kill":
            time.sleep(0.5)  # the others may still be in the barrier
            os.kill(os.getpid(), signal.SIGKILL)
        dist.destroy_process_group()
        return ""
    before = time.monotonic()
    found = message(dist.all_reduce, torch.ones(2))
    assert time.monotonic() - before < 10  # far below the timeout
    dist.destroy_process_group()
    return found


@pytest.mark.parametrize("how", ["kill", "leave"])
def test_who_is_gone(how):
    outcome = play(one_dies, 3, f"tcp://localhost:{free_port()}", 2, how, silent=how == "kill")
    why = {"kill": "its process has ended", "leave": "it has left the group"}[how]
    for rank in (0, 1):
        assert f"rank {rank}, group 0-1-2/1: all_reduce, operation 3 failed: " in outcome[rank], outcome[rank]
    assert any(f"rank 2 will not come: {why}" in outcome[rank] for rank in (0, 1)), outcome


def test_who_kept_the_store_is_gone():
    outcome = play(one_dies, 3, f"tcp://localhost:{free_port()}", 0, "kill", silent=1)
    for rank in (1, 2):
        assert "all_reduce, operation 3 failed: the store at localhost:" in outcome[rank], outcome[rank]


def receiving(rank, method):
    join(method, rank, 2)
    if rank == 1:
        dist.destroy_process_group()
        return ""
    found = message(dist.recv, torch.empty(2), 1, tag=4)
    dist.destroy_process_group()
    return found


def test_nobody_sends():
    found = play(receiving, 2, f"tcp://localhost:{free_port()}")[0]
    assert "rank 0, group 0-1/1: receive from rank 1 with tag 4 failed: rank 1 will not come: it has left" in found


def alone(rank, method):
    return message(join, method, 0, 2, 0.3, error=RuntimeError)


def test_nobody_comes(tmp_path):
    found = play(alone, 1, f"tcp://localhost:{free_port()}")[0]
    assert "Timed out after 0.3 seconds waiting for clients" in found and "1/2 clients joined" in found
    found = play(alone, 1, f"file://{tmp_path}/store")[0]
    assert "barrier, operation 1 failed: waited 0.3 s for rank 1" in found
    assert not dist.is_initialized()


def test_work_keeps_its_error():
    store = dist.HashStore()
    first = dist.ProcessGroup(store, 0, 2)
    work = first.allreduce([torch.ones(1)])
    assert not work.is_completed()
    for _ in range(2):
        assert "waited 0.02 s for rank 1" in message(work.wait, timedelta(seconds=0.02))
    assert not work.is_success() and isinstance(work.exception(), dist.DistBackendError)
    second = dist.ProcessGroup(store, 1, 2)
    assert second.allreduce([torch.ones(1)]).wait()  # the other had given its part
    found = message(second.broadcast([torch.ones(1)]).wait)
    assert "broadcast, operation 2 failed: the group failed at rank 0, in all_reduce, operation 1: waited" in found


MASTER = """
import flambeau.distributed as dist, sys
store = dist.TCPStore("localhost", int(sys.argv[1]), 2, True)
"""
WORKER = """
import flambeau.distributed as dist, sys, time
store = dist.TCPStore("localhost", int(sys.argv[1]), 2, False)
time.sleep(1)
store.set("late", "work")
print(store.get("late"))
"""


def test_the_master_waits_for_its_workers():
    port = str(free_port())
    with subprocess.Popen([sys.executable, "-c", MASTER, port]) as master:
        worker = subprocess.run([sys.executable, "-c", WORKER, port], capture_output=True, text=True, timeout=60)
        assert (worker.returncode, worker.stdout) == (0, "b'work'\n"), worker.stderr
        assert master.wait(60) == 0
