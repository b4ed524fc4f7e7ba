"""The loader: batches of a data set, in this process or prepared ahead by workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from flambeau import _api as torch
from flambeau._core.keywords import CheckedKeywords
from flambeau._core.lazy import lazy_module
from flambeau.utils.data._iterators import LoaderIterator, WorkersIterator
from flambeau.utils.data._worker import get_worker_info
from flambeau.utils.data.collate import default_collate, default_convert
from flambeau.utils.data.dataset import IterableDataset, length
from flambeau.utils.data.sampler import BatchSampler, InfiniteSampler, RandomSampler, Sampler, SequentialSampler

if TYPE_CHECKING:
    import multiprocessing
    from multiprocessing import context as contexts
else:
    multiprocessing = lazy_module("multiprocessing")
    contexts = lazy_module("multiprocessing.context")

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

T_co = TypeVar("T_co", covariant=True)

_BaseDataLoaderIter = _SingleProcessDataLoaderIter = LoaderIterator  # PyTorch's names, which libraries ask for
_MultiProcessingDataLoaderIter = WorkersIterator


class _DatasetKind:
    """How samples are got of a data set: by index, or one after the other."""

    Map = 0
    Iterable = 1


_FIXED = frozenset({"batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"})


class DataLoader(CheckedKeywords, Generic[T_co]):
    """Iterates over a data set in batches.

    - `batch_size` (1), or None for samples as they are; `drop_last` leaves out an incomplete last batch.
    - `shuffle` visits in a new random order every time; or give a `sampler` of indices, or a `batch_sampler` of lists
      of indices.
    - `num_workers` (0) processes prepare batches ahead, `prefetch_factor` (2) each; with `persistent_workers` they
      live as long as the loader. Batches come in the sampler's order unless `in_order` is False. `timeout` in seconds
      (0: none) is for one batch; `worker_init_fn(worker_id)` runs first in each worker. `multiprocessing_context` is
      a start method or a context.
    - `collate_fn` makes a batch of a list of samples (default: `default_collate`; without batching `default_convert`).
    - `generator` draws the order and the workers' seeds; the default is the default generator. Same seed, same
      batches as PyTorch.
    - `pin_memory` and `pin_memory_device` are accepted and change nothing: memory that a CPU computes on needs no
      pinning.

    A TensorDataset, or a Subset of one, is read a whole batch at a time. Raises ValueError for arguments that exclude
    each other or are out of range, TypeError for a `multiprocessing_context` of another kind. An exception in a
    worker is raised again here, with its traceback as text; RuntimeError tells that a worker died or timed out.

    Example::

        >>> from flambeau.utils.data import TensorDataset
        >>> x = torch.arange(10.0).reshape(5, 2)
        >>> [len(batch) for (batch,) in DataLoader(TensorDataset(x), batch_size=2)]
        [2, 2, 1]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        batch_sampler: Sampler[Any] | Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: str | contexts.BaseContext | None = None,
        generator: torch.Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_worker_options(num_workers, timeout, prefetch_factor, persistent_workers)
        _check_order_options(dataset, batch_size, shuffle, sampler, batch_sampler, drop_last)
        if sampler is None:
            sampler = _default_sampler(dataset, bool(shuffle), generator)
        if batch_sampler is not None:
            batch_size = None
        elif batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self.pin_memory = pin_memory
        self.drop_last = drop_last
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = _context(multiprocessing_context, num_workers)
        self.generator = generator
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.persistent_workers = persistent_workers
        self.pin_memory_device = pin_memory_device
        self.in_order = in_order
        self._workers_iterator: WorkersIterator | None = None
        self._IterableDataset_len_called: int | None = None  # what an IterableDataset said it was, if asked
        self._complete = True

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED and "_complete" in self.__dict__:
            kind = type(self).__name__
            raise ValueError(f"{name} attribute should not be set after {kind} is initialized; make a new one")
        super().__setattr__(name, value)

    def __iter__(self) -> Iterator[T_co]:
        if not self.num_workers:
            return LoaderIterator(self)
        if not self.persistent_workers:
            return WorkersIterator(self)
        if self._workers_iterator is None or self._workers_iterator.closed:
            self._workers_iterator = WorkersIterator(self)
        else:
            self._workers_iterator.restart(self)
        return self._workers_iterator

    def __len__(self) -> int:
        """The number of batches; of an IterableDataset an estimate from its length."""
        if not isinstance(self.dataset, IterableDataset):
            return len(self._index_sampler)
        self._IterableDataset_len_called = samples = length(self.dataset)
        if self.batch_size is None:
            return samples
        whole, rest = divmod(samples, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    # What iterators ask of a loader has PyTorch's names, since libraries give them loaders of their own.

    @property
    def _dataset_kind(self) -> int:
        return _DatasetKind.Iterable if isinstance(self.dataset, IterableDataset) else _DatasetKind.Map

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        """What is asked for the next thing to fetch: the batch sampler, or without batching the sampler."""
        return self.sampler if self.batch_sampler is None else self.batch_sampler


# ---------------------------------------------------------------------------------------------- arguments


def _check_worker_options(
    num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool
) -> None:
    if num_workers < 0:
        raise ValueError(f"num_workers option should be non-negative, got {num_workers}; use 0 to load in this process")
    if timeout < 0:
        raise ValueError(f"timeout option should be non-negative, got {timeout}")
    if prefetch_factor is not None:
        if num_workers == 0:
            raise ValueError(
                "prefetch_factor option could only be specified in multiprocessing: let num_workers > 0 "
                "or leave prefetch_factor out"
            )
        if prefetch_factor < 0:
            raise ValueError(f"prefetch_factor option should be non-negative, got {prefetch_factor}")
    if persistent_workers and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")


def _check_order_options(
    dataset: Any, batch_size: int | None, shuffle: bool | None, sampler: Any, batch_sampler: Any, drop_last: bool
) -> None:
    if isinstance(dataset, IterableDataset):
        given = {"shuffle": shuffle or None, "sampler": sampler, "batch_sampler": batch_sampler}
        for name, value in given.items():
            if value is not None:
                raise ValueError(
                    f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}; "
                    "such a data set decides the order itself"
                )
    if sampler is not None and shuffle:
        raise ValueError("sampler option is mutually exclusive with shuffle")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
        raise ValueError("batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last")
    if batch_sampler is None and batch_size is None and drop_last:
        raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")


def _default_sampler(dataset: Any, shuffle: bool, generator: torch.Generator | None) -> Sampler[Any]:
    if isinstance(dataset, IterableDataset):
        return InfiniteSampler()
    return RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)


def _context(given: Any, num_workers: int) -> Any:
    if given is None:
        return None
    if num_workers == 0:
        raise ValueError(
            "multiprocessing_context can only be used with multi-process loading (num_workers > 0), "
            f"but got {num_workers=}"
        )
    if isinstance(given, str):
        methods = multiprocessing.get_all_start_methods()
        if given not in methods:
            raise ValueError(
                f"multiprocessing_context option should specify a valid start method in {methods}, got {given!r}"
            )
        return multiprocessing.get_context(given)
    if not isinstance(given, contexts.BaseContext):
        raise TypeError(
            "multiprocessing_context option should be a valid context object or a string specifying the start method, "
            f"but got {given!r}"
        )
    return given
