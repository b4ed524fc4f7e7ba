"""`spawn` watches over its processes."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import time

import pytest

import flambeau as torch
from flambeau import multiprocessing as mp


def store_square(number, results):
    results.put((number, torch.tensor(float(number)) ** 2))


def test_all_is_well():
    context = multiprocessing.get_context("forkserver")
    results = context.Queue()
    assert mp.start_processes(store_square, (results,), nprocs=2, start_method="forkserver") is None
    assert sorted((n, t.item()) for n, t in (results.get(timeout=10), results.get(timeout=10))) == [(0, 0), (1, 1)]


def end(number, how):
    if number == 0:
        time.sleep(60)
    elif how == "signal":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "code":
        sys.exit(3)
    else:
        raise KeyError("lost")


@pytest.mark.parametrize(
    ("how", "kind", "message"),
    [
        ("signal", mp.ProcessExitedException, "process 1 terminated with signal SIGKILL"),
        ("code", mp.ProcessExitedException, "process 1 terminated with exit code 3"),
        ("error", mp.ProcessRaisedException, r"-- Process 1 terminated with the following error:\n(.|\n)*'lost'"),
    ],
)  # fmt: skip
def test_none_is_left_behind(how, kind, message):
    context = mp.start_processes(end, (how,), nprocs=2, join=False, start_method="forkserver")
    with pytest.raises(kind, match=message) as raised:
        while not context.join():
            pass
    assert raised.value.error_index == 1 and raised.value.pid == context.pids()[1]
    assert context.processes[0].exitcode == -signal.SIGTERM
    assert pickle.loads(pickle.dumps(raised.value)).error_index == 1


def test_what_is_pythons():
    assert mp.Process is multiprocessing.Process and mp.get_context("spawn").Queue
    mp.set_sharing_strategy(mp.get_sharing_strategy())
    with pytest.raises(NotImplementedError, match="file_system"):
        mp.set_sharing_strategy("file_system")
