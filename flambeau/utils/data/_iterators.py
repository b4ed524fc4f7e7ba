"""One pass through a loader's data set, in this process or with workers."""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module
from flambeau.utils.data._draws import draw_seed
from flambeau.utils.data._worker import End, Failure, Setup, Task
from flambeau.utils.data._workers import WorkerPool

if TYPE_CHECKING:
    import multiprocessing

    from flambeau.utils.data.dataloader import DataLoader
else:
    multiprocessing = lazy_module("multiprocessing")


class LoaderIterator(Iterator[Any]):
    """One pass, in this process.

    Keeps no reference to its loader: a loader that keeps its iterator, for its workers, would otherwise be a cycle, and
    the workers would live until the garbage collector comes by.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._index_sampler = loader._index_sampler
        self._stream_length = loader._IterableDataset_len_called
        self._indices = iter(self._index_sampler)
        self._yielded = 0
        self._setup = Setup(
            loader.dataset, bool(loader._dataset_kind), loader._auto_collation, loader.collate_fn, loader.drop_last,
            loader.worker_init_fn,
            draw_seed(loader.generator), loader.num_workers,
        )  # fmt: skip
        self._begin(loader)

    def _begin(self, loader: DataLoader[Any]) -> None:
        self._fetch = self._setup.make_fetch()

    def __len__(self) -> int:
        return len(self._index_sampler)

    def __next__(self) -> Any:
        batch = self._next()
        self._yielded += 1
        expected = self._stream_length
        if expected is not None and self._yielded > expected:
            warnings.warn(
                f"Length of IterableDataset {self._setup.dataset} was reported to be {expected} (when accessing "
                f"len(dataloader)), but {self._yielded} samples have been fetched. With workers, each of them iterates "
                "the whole data set unless it asks get_worker_info() for its part.",
                stacklevel=2,
            )
        return batch

    def _next(self) -> Any:
        return self._fetch(next(self._indices))


class WorkersIterator(LoaderIterator):
    """One pass, prepared by workers; can be started again.

    Batches are given to the workers in turn, `prefetch_factor` each to begin with and then one for each that came
    back. A worker whose copy of an IterableDataset is exhausted gets no more.
    """

    def _begin(self, loader: DataLoader[Any]) -> None:
        _warn_of_too_many(loader.num_workers)
        self._prefetch = max(1, loader.prefetch_factor or 1)
        self._timeout = loader.timeout
        self._in_order = loader.in_order
        self._persistent = loader.persistent_workers
        self._pool = WorkerPool(loader.multiprocessing_context or multiprocessing.get_context(), self._setup)
        self.closed = False
        self._epoch = 0
        self._hand_out_first()

    def restart(self, loader: DataLoader[Any]) -> None:
        """Begin another pass; what the workers still answer to the last one will be thrown away."""
        self._stream_length = loader._IterableDataset_len_called
        self._indices = iter(self._index_sampler)
        self._yielded = 0
        self._epoch += 1
        self._hand_out_first()

    def _hand_out_first(self) -> None:
        workers = range(self._setup.num_workers)
        self._turns = deque(workers)  # the workers that still have data, the next to get a task in front
        self._due: deque[int] = deque()  # whom the outstanding batches come from, in their order
        self._sampler_ended = False
        for _ in range(self._prefetch * len(workers)):
            self._hand_out()

    def _hand_out(self) -> None:
        if self._sampler_ended or not self._turns:
            return
        try:
            index = next(self._indices)
        except StopIteration:
            self._sampler_ended = True
            return
        self._pool.send(self._turns[0], Task(self._epoch, index))
        self._due.append(self._turns[0])
        self._turns.rotate(-1)

    def _next(self) -> Any:
        while self._due:
            try:
                worker_id, answer = self._receive()
            except BaseException:
                self.close()  # dead worker, timeout or Ctrl-C: the conversation cannot go on
                raise
            if worker_id in self._turns and (isinstance(answer, End) or not self._in_order):
                self._turns.remove(worker_id)
                if not isinstance(answer, End):
                    self._turns.appendleft(worker_id)  # without an order, the quickest gets the next batch
            self._hand_out()
            if isinstance(answer, Failure):
                answer.reraise(worker_id)
            if not isinstance(answer, End):
                return answer.data
        if not self._persistent:
            self.close()
        raise StopIteration

    def _receive(self) -> tuple[int, Any]:
        """The answer to the first outstanding task; without an order, to any."""
        while True:
            among = [self._due[0]] if self._in_order else dict.fromkeys(self._due)
            worker_id, answer = self._pool.receive(among, self._timeout)
            if answer.epoch == self._epoch:
                self._due.remove(worker_id)  # its first outstanding task: a worker answers in order
                return worker_id, answer

    def close(self) -> None:
        """End the workers."""
        self._due.clear()
        self.closed = True
        self._pool.close()


def _warn_of_too_many(num_workers: int) -> None:
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if num_workers > cpus:
        warnings.warn(
            f"This DataLoader will create {num_workers} worker processes, but this process may use {cpus} CPUs only; "
            "more workers than CPUs may be slower than fewer",
            stacklevel=5,
        )
