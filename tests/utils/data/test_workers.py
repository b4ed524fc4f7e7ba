"""Loading in worker processes: order, seeds, errors, deaths, Ctrl-C."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, _transport, get_worker_info

pytestmark = [
    pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="data sets cannot be spawned"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
ROOT = Path(torch.__file__).parents[1]


class Indexed(Dataset[Any]):
    """Sample i is made by a function of i."""

    def __init__(self, function: Any, n: int = 8) -> None:
        self.function = function
        self.n = n

    def __getitem__(self, index: int) -> Any:
        return self.function(index)

    def __len__(self) -> int:
        return self.n


class Shards(IterableDataset[float]):
    """Worker w yields w+1 numbers."""

    def __iter__(self) -> Any:
        worker = get_worker_info().id
        return (10 * worker + i for i in range(worker + 1))


def load(function: Any, n: int = 8, **kwargs: Any) -> DataLoader[Any]:
    return DataLoader(Indexed(function, n), **{"num_workers": 2, "multiprocessing_context": "fork", **kwargs})


def slower_when_early(i: int) -> int:
    time.sleep(0.03 * (i == 0))
    return i


@pytest.mark.parametrize("prefetch", [1, 3])
def test_order_is_kept(prefetch: int) -> None:
    loader = load(slower_when_early, batch_size=3, prefetch_factor=prefetch)
    assert [batch.tolist() for batch in loader] == [[0, 1, 2], [3, 4, 5], [6, 7]]


def test_without_order_the_quick_come_first() -> None:
    loader = load(lambda i: time.sleep(0.3 * (i == 0)) or i, batch_size=1, in_order=False)
    batches = [batch.item() for batch in loader]
    assert (batches[0] != 0, sorted(batches)) == (True, list(range(8)))


def test_streams_take_turns() -> None:
    loader = DataLoader(Shards(), batch_size=None, num_workers=3, multiprocessing_context="fork")
    assert [list(loader), list(loader)] == [[0, 10, 20, 11, 21, 22]] * 2


@pytest.mark.parametrize("memory_files", [True, False])
@pytest.mark.parametrize("size", [3, 5000])
def test_what_travels(size: int, memory_files: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_transport, "MEMORY_FILES", memory_files and _transport.MEMORY_FILES)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def sample(i: int) -> Any:
        x = torch.arange(size) + i
        return {
            "half": x.bfloat16(), "slice": x.float()[::2], "leaf": x.double().requires_grad_(), "flags": x > 2,
            "z": x.to(torch.complex64), "array": np.full(size, i), "text": "t" * size,
        }  # fmt: skip

    for i, got in enumerate(load(sample, 3, batch_size=None, collate_fn=lambda s: s)):
        for name, value in sample(i).items():
            if isinstance(value, torch.Tensor):
                assert (got[name].dtype, got[name].requires_grad) == (value.dtype, value.requires_grad)
                assert torch.equal(got[name], value)
            else:
                assert np.array_equal(got[name], value)
        got["array"][0] = -1  # what arrives is writable
    assert list(tmp_path.iterdir()) == []


def test_each_worker_has_its_own_seeds() -> None:
    def draw(_: int) -> tuple[float, ...]:
        info = get_worker_info()
        return info.seed, info.id, random.random(), np.random.rand(), torch.rand(1).item()

    torch.manual_seed(0)
    first, second = load(draw, 2, batch_size=None)
    assert (first[1], second[1], second[0] - first[0]) == (0, 1, 1)
    assert all(a != b for a, b in zip(first[2:], second[2:], strict=True))
    torch.manual_seed(0)
    assert list(load(draw, 2, batch_size=None)) == [first, second]
    assert get_worker_info() is None


def test_worker_init_fn() -> None:
    os.environ.pop("WORKER", None)
    loader = load(
        lambda i: os.environ["WORKER"], 2, batch_size=None, worker_init_fn=lambda w: os.environ.update(WORKER=f"{w}")
    )
    assert (list(loader), "WORKER" in os.environ) == (["0", "1"], False)
    with pytest.raises(KeyError, match=r"(?s)DataLoader worker process 0.*in fail"):

        def fail(_: int) -> None:
            raise KeyError("no such file")

        list(load(int, worker_init_fn=fail))


def test_errors_arrive_with_their_traceback_and_the_rest_still_comes() -> None:
    def bad_at_2(i: int) -> int:
        return 1 // (i - 2)

    batches = iter(load(bad_at_2, 4, batch_size=1))
    assert next(batches).item() == -1
    next(batches)
    with pytest.raises(ZeroDivisionError, match=r"(?s)ZeroDivisionError in DataLoader worker process 0.*bad_at_2"):
        next(batches)
    assert next(batches).item() == 1


class Unpicklable(Exception):
    def __init__(self, a: int, b: int) -> None:
        self.function = lambda: None


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda i: (_ for _ in ()).throw(Unpicklable(1, 2)), "Unpicklable"),
        (lambda i: lambda: i, "lambda"),
        (lambda i: torch.ones(1, requires_grad=True) * 2, "detach"),
    ],
)
def test_what_cannot_be_sent_is_told(function: Any, message: str) -> None:
    with pytest.raises(Exception, match=message) as caught:
        list(load(function, batch_size=None))
    assert "in DataLoader worker process 0" in str(caught.value)


def test_death_and_timeout() -> None:
    with pytest.raises(RuntimeError, match=r"worker 0 \(pid \d+\) exited unexpectedly: it was killed by SIGKILL"):
        list(load(lambda i: os.kill(os.getpid(), signal.SIGKILL)))
    with pytest.raises(RuntimeError, match="exited with code 3"):
        list(load(lambda i: os._exit(3)))
    loader = load(lambda i: time.sleep(20), timeout=0.2)
    began = time.monotonic()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError, match="timed out after 0.2 seconds"):
        patch.setattr("flambeau.utils.data._workers.SECONDS_TO_END", 0.1)
        list(loader)
    assert time.monotonic() - began < 10


def test_workers_end_with_the_iteration_or_persist() -> None:
    def pids(loader: Any) -> set[int]:
        return {batch.item() for batch in loader}

    gc.collect()  # iterators that the exceptions of other tests hold
    once = load(lambda i: os.getpid())
    assert len(pids(once) | pids(once)) == 4
    next(iter(once))
    assert multiprocessing.active_children() == []
    again = load(lambda i: os.getpid(), persistent_workers=True)
    next(iter(again))  # abandoned: its batches must not turn up in the next iteration
    assert len(list(again)) == 8
    assert len(pids(again) | pids(again)) == 2
    del again
    assert multiprocessing.active_children() == []


def test_ending_one_loader_while_the_workers_of_a_later_one_hold_its_connections() -> None:
    first, later = (load(lambda i: i, persistent_workers=True) for _ in range(2))
    assert [len(list(loader)) for loader in (first, later)] == [8, 8]
    began = time.monotonic()
    del first
    assert time.monotonic() - began < 2  # not after being killed for not listening
    assert len(list(later)) == 8


def test_spawned_workers() -> None:
    loader = DataLoader(TensorDataset(torch.arange(5)), 2, num_workers=1, multiprocessing_context="spawn")
    assert [x.tolist() for (x,) in loader] == [[0, 1], [2, 3], [4]]


SCRIPT = """
    import os, time
    from flambeau.utils.data import DataLoader
    class Slow:
        def __getitem__(self, index):
            if index > 1:
                os.write(1, b"%d\\n" % os.getpid())  # at once: two workers share the pipe
                time.sleep(60)
            return index
        def __len__(self):
            return 4
    if __name__ == "__main__":
        from flambeau.utils.data import _workers
        _workers.SECONDS_TO_END = 0.1
        for batch in DataLoader(Slow(), num_workers=2, multiprocessing_context="fork"):
            pass
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.filterwarnings("ignore")
def test_ending_the_main_process_ends_the_workers(how: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text(textwrap.dedent(SCRIPT).replace("60", "1" if how == signal.SIGKILL else "60"))
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        workers = [int(process.stdout.readline()) for _ in range(2)]
        os.killpg(process.pid, how) if how == signal.SIGINT else process.kill()  # Ctrl-C reaches the whole group
    except BaseException:
        process.kill()
        raise
    finally:
        _, errors = process.communicate(timeout=20)
    if how == signal.SIGINT:
        assert errors.count("Traceback") == 1 and errors.rstrip().endswith("KeyboardInterrupt")
    deadline = time.monotonic() + 10
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(alive, workers))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
