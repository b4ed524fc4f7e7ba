"""What runs in a worker process."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from flambeau import _api as torch
from flambeau._core.lazy import lazy_module
from flambeau.utils.data import _transport
from flambeau.utils.data._draws import seed_worker
from flambeau.utils.data._fetch import Fetch, make_fetch

if TYPE_CHECKING:
    import multiprocessing
    import traceback
    from multiprocessing import connection as connections
else:
    multiprocessing = lazy_module("multiprocessing")
    connections = lazy_module("multiprocessing.connection")
    traceback = lazy_module("traceback")


class WorkerInfo(NamedTuple):
    """Who a worker is: its `id` (0 to num_workers-1), its `seed`, and its copy of the `dataset`."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a worker process, its id, num_workers, seed and copy of the data set; None in the main process.

    Example::

        >>> get_worker_info() is None
        True
    """
    return _info


class Setup(NamedTuple):
    """All a worker must know of its loader; pickled where processes are spawned."""

    dataset: Any
    is_stream: bool
    batched: bool
    collate_fn: Callable[[Any], Any]
    drop_last: bool
    worker_init_fn: Callable[[int], Any] | None
    base_seed: int
    num_workers: int

    def make_fetch(self) -> Fetch:
        return make_fetch(self.dataset, self.is_stream, self.batched, self.collate_fn, self.drop_last)


class Task(NamedTuple):
    """A batch to fetch; another `epoch` than the last task's begins the data set anew."""

    epoch: int
    index: Any


class Batch(NamedTuple):
    epoch: int
    data: Any


class End(NamedTuple):
    """The worker's copy of an IterableDataset is exhausted."""

    epoch: int


class Failure(NamedTuple):
    """An exception and its traceback, as text: frames cannot travel, and many exceptions cannot either."""

    epoch: int
    kind: type[BaseException]
    text: str

    @classmethod
    def of(cls, epoch: int, error: BaseException) -> Failure:
        return cls(epoch, type(error), "".join(traceback.format_exception(error)))

    def reraise(self, worker_id: int) -> None:
        """Raise an exception of the same type (RuntimeError if it takes no message) that carries the text."""
        where = f"in DataLoader worker process {worker_id}"
        message = _Verbatim(f"Caught {self.kind.__name__} {where}.\nOriginal {self.text}")
        try:
            error = self.kind(message)
        except Exception:
            error = RuntimeError(message)
        raise error from None


class _Verbatim(str):
    """A message whose line ends survive even in a KeyError, which shows the `repr` of its argument."""

    def __repr__(self) -> str:
        return str(self)


Answer = Batch | End | Failure


def main(connection: Any, inherited: list[Any], worker_id: int, setup: Setup) -> None:
    """Answer tasks until the loader closes the connection or its process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process, which then ends its workers
    for other in inherited:
        other.close()  # else a worker would keep its siblings' connections open after the main process is gone
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        _serve(connection, worker_id, setup)


def _serve(connection: Any, worker_id: int, setup: Setup) -> None:
    global _info
    parent: Any = multiprocessing.parent_process()
    torch.set_num_threads(1)
    _info = WorkerInfo(worker_id, setup.num_workers, seed_worker(setup.base_seed, worker_id), setup.dataset)
    source = _Source(setup, worker_id)
    while parent.sentinel not in connections.wait([connection, parent.sentinel]):
        _send(connection, parent.pid, source.answer(_transport.receive(connection)))


class _Source:
    """The worker's data set as tasks see it."""

    def __init__(self, setup: Setup, worker_id: int) -> None:
        self._setup = setup
        self._epoch: int | None = None
        self._fetch: Fetch
        self._init_error: Exception | None = None
        if setup.worker_init_fn is not None:
            try:
                setup.worker_init_fn(worker_id)
            except Exception as error:
                self._init_error = error

    def answer(self, task: Task) -> Answer:
        try:
            if self._init_error is not None:
                raise self._init_error
            if task.epoch != self._epoch:
                self._fetch = self._setup.make_fetch()
                self._epoch = task.epoch
            return Batch(task.epoch, self._fetch(task.index))
        except StopIteration:
            return End(task.epoch)
        except Exception as error:
            return Failure.of(task.epoch, error)


def _send(connection: Any, parent_pid: int, answer: Answer) -> None:
    try:
        _transport.send(connection, answer, parent_pid)
    except OSError:
        raise
    except Exception as error:  # the batch, or the type of the exception, cannot be pickled
        failure = Failure.of(answer.epoch, error)
        if isinstance(answer, Failure):
            failure = Failure(answer.epoch, RuntimeError, answer.text)
        _transport.send(connection, failure, parent_pid)
