"""`spawn` watches over its processes."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
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


def add(number, model, letters):
    bias = letters.get()
    assert type(bias) is torch.nn.Parameter and bias.requires_grad
    with torch.no_grad():
        model.weight[number] += number + 1
        bias[number] = number + 5


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_shared_memory(method):
    context = multiprocessing.get_context(method)
    model, letters = torch.nn.Linear(3, 2), context.Queue()
    torch.nn.init.zeros_(model.weight)
    copied, (part, _) = model.weight.clone(), model.weight.detach().split(1)
    assert not model.weight.is_shared()
    assert model.share_memory() is model and model.weight.is_shared() and part.is_shared() and not copied.is_shared()
    for _ in range(2):
        letters.put(model.bias)
    processes = mp.start_processes(add, (model, letters), nprocs=2, join=False, daemon=True, start_method=method)
    assert any(processes.join(60) for _ in range(2))  # it returns whenever one of them has ended
    assert model.weight.tolist() == [[1, 1, 1], [2, 2, 2]] and part.tolist() == [[1, 1, 1]]
    assert model.bias.tolist() == [5, 6] and copied.tolist() == [[0] * 3] * 2
    model(torch.ones(1, 3)).sum().backward()
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    assert part.tolist() == [[0, 0, 0]] and model.bias.tolist() == [4, 5]
    assert pickle.loads(pickle.dumps(part)).tolist() == part.tolist()


SENDING = """
import multiprocessing, sys
import flambeau as torch
tensor, letters = torch.ones(2).share_memory_(), multiprocessing.Queue()
before = set(sys.modules)
letters.put(tensor)
letters.get()
print([name for name in sys.modules if name.startswith("multiprocessing") and name not in before])
"""


def test_a_queues_thread_imports_nothing_of_pythons():
    # a process that is forked meanwhile would find the module locked for ever
    done = subprocess.run([sys.executable, "-c", SENDING], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr


def test_what_is_pythons():
    assert mp.Process is multiprocessing.Process and mp.get_context("spawn").Queue
    mp.set_sharing_strategy(mp.get_sharing_strategy())
    with pytest.raises(NotImplementedError, match="file_system"):
        mp.set_sharing_strategy("file_system")
