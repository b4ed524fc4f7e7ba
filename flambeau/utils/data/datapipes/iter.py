"""Data pipes that are iterated."""

from __future__ import annotations

import copy
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flambeau import _api as torch
from flambeau._core.homes import absent
from flambeau.utils.data.collate import default_collate
from flambeau.utils.data.dataloader import get_worker_info
from flambeau.utils.data.datapipes.branching import Demultiplexer, Forker
from flambeau.utils.data.datapipes.datapipe import DataChunk, InBatches, IterDataPipe, Several, functional_datapipe
from flambeau.utils.data.datapipes.files import FileLister, FileOpener, StreamReader
from flambeau.utils.data.sampler import SequentialSampler

__all__ = [
    "Batcher", "Collator", "Concater", "Demultiplexer", "FileLister", "FileOpener", "Filter", "Forker", "Grouper",
    "IterableWrapper", "Mapper", "Multiplexer", "Sampler", "ShardingFilter", "Shuffler", "StreamReader", "UnBatcher",
    "Zipper",
]  # fmt: skip


class _Behind(IterDataPipe):
    """A pipe that takes one other."""

    def __init__(self, datapipe: Any) -> None:
        self.datapipe = datapipe


class IterableWrapper(IterDataPipe):
    """Something that can be iterated, as a pipe; with `deepcopy` from a copy each time."""

    def __init__(self, iterable: Iterable, deepcopy: bool = True) -> None:
        self.iterable = iterable
        self.deepcopy = deepcopy

    def __iter__(self) -> Iterator:
        source = self.iterable
        if self.deepcopy:
            try:
                source = copy.deepcopy(self.iterable)
            except TypeError:  # generators and the like cannot be copied
                pass
        yield from source

    def __len__(self) -> int:
        return len(self.iterable)  # type: ignore[arg-type]


@functional_datapipe("map")
class Mapper(_Behind):
    """`fn` of each item; with `input_col` of one or some of its fields, put into `output_col` or their place."""

    def __init__(self, datapipe: Any, fn: Callable, input_col: Any = None, output_col: Any = None) -> None:
        super().__init__(datapipe)
        if input_col is None and output_col is not None:
            raise ValueError("`output_col` must be None when `input_col` is None.")
        self.fn, self.input_col, self.output_col = fn, input_col, output_col

    def _apply(self, item: Any) -> Any:
        if self.input_col is None:
            return self.fn(item)
        several = isinstance(self.input_col, list | tuple)
        result = self.fn(*(item[c] for c in self.input_col)) if several else self.fn(item[self.input_col])
        place = self.output_col
        if place is None:
            place = self.input_col[0] if several else self.input_col
        fields: Any = copy.copy(item) if isinstance(item, dict) else list(item)
        if place == -1:
            fields.append(result)
        else:
            fields[place] = result
        return tuple(fields) if isinstance(item, tuple) else fields

    def __iter__(self) -> Iterator:
        return (self._apply(item) for item in self.datapipe)

    def __len__(self) -> int:
        return len(self.datapipe)


@functional_datapipe("collate")
class Collator(Mapper):
    """Each item, such as a batch, collated into tensors."""

    def __init__(self, datapipe: Any, conversion: Any = default_collate, collate_fn: Any = None) -> None:
        super().__init__(datapipe, conversion if collate_fn is None else collate_fn)


@functional_datapipe("filter")
class Filter(_Behind):
    """The items for which `filter_fn` holds, of one field if `input_col` names it."""

    def __init__(self, datapipe: Any, filter_fn: Callable, input_col: Any = None) -> None:
        super().__init__(datapipe)
        self.filter_fn, self.input_col = filter_fn, input_col

    def __iter__(self) -> Iterator:
        for item in self.datapipe:
            kept = self.filter_fn(item if self.input_col is None else item[self.input_col])
            if not isinstance(kept, bool):
                raise ValueError(f"Boolean output is required for `filter_fn` of Filter, got {type(kept)}")
            if kept:
                yield item


@functional_datapipe("batch")
class Batcher(InBatches, IterDataPipe):
    """Lists of `batch_size` items; the last may be shorter, or with `drop_last` is left out."""

    def __iter__(self) -> Iterator:
        batch: list[Any] = []
        for item in self.datapipe:
            batch.append(item)
            if len(batch) == self.batch_size:
                yield self.wrapper_class(batch)
                batch = []
        if batch and not self.drop_last:
            yield self.wrapper_class(batch)


@functional_datapipe("unbatch")
class UnBatcher(_Behind):
    """The items of lists, of lists in lists down to a level; all the way for -1."""

    def __init__(self, datapipe: Any, unbatch_level: int = 1) -> None:
        super().__init__(datapipe)
        if unbatch_level < -1:
            raise ValueError("unbatch_level must be -1 or >= 0")
        self.unbatch_level = unbatch_level

    def _items(self, item: Any, level: int) -> Iterator:
        if level == 0 or (level < 0 and not isinstance(item, list)):
            yield item
        elif not isinstance(item, list):
            raise IndexError(f"unbatch_level {self.unbatch_level} exceeds the depth of the DataPipe")
        else:
            for inner in item:
                yield from self._items(inner, level - 1)

    def __iter__(self) -> Iterator:
        for item in self.datapipe:
            yield from self._items(item, self.unbatch_level)


@functional_datapipe("shuffle")
class Shuffler(_Behind):
    """The items in random order, as far as a buffer of `buffer_size` items goes. `set_seed` makes the next order
    repeatable, `set_shuffle(False)` keeps the items as they come."""

    def __init__(self, datapipe: Any, *, buffer_size: int = 10000, unbatch_level: int = 0) -> None:
        if buffer_size <= 0:
            raise ValueError("buffer_size should be larger than 0")
        super().__init__(datapipe if unbatch_level == 0 else UnBatcher(datapipe, unbatch_level))
        self.buffer_size = buffer_size
        self._rng = random.Random()
        self._enabled = True
        self._seed: int | None = None

    def set_shuffle(self, shuffle: bool = True) -> Shuffler:
        """Say whether there is a random order at all."""
        self._enabled = shuffle
        return self

    def set_seed(self, seed: int) -> Shuffler:
        """Say which random order comes next."""
        self._seed = seed
        return self

    def _begin_order(self) -> None:
        seed, self._seed = self._seed, None
        self._rng.seed(int(torch.empty((), dtype=torch.int64).random_()) if seed is None else seed)

    def __iter__(self) -> Iterator:
        if not self._enabled:
            yield from self.datapipe
            return
        self._begin_order()
        buffer: list[Any] = []
        for item in self.datapipe:
            if len(buffer) == self.buffer_size:
                place = self._rng.randint(0, len(buffer) - 1)
                chosen, buffer[place] = buffer[place], item
                yield chosen
            else:
                buffer.append(item)
        while buffer:
            yield buffer.pop(self._rng.randint(0, len(buffer) - 1))

    def __len__(self) -> int:
        return len(self.datapipe)


class Sampler(_Behind):
    """What a sampler, made of `sampler_args` and `sampler_kwargs` and the pipe, draws. TypeError for a pipe of unknown
    length."""

    def __init__(
        self,
        datapipe: Any,
        sampler: Callable[..., Iterable] = SequentialSampler,
        sampler_args: tuple | None = None,
        sampler_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(datapipe)
        if not hasattr(datapipe, "__len__"):
            raise TypeError(f"Sampler class requires input datapipe implemented `__len__`, got {datapipe!r}")
        self.sampler = sampler(*(sampler_args or ()), data_source=datapipe, **(sampler_kwargs or {}))

    def __iter__(self) -> Iterator:
        return iter(self.sampler)

    def __len__(self) -> int:
        return len(self.sampler)  # type: ignore[arg-type]


@functional_datapipe("sharding_filter")
class ShardingFilter(_Behind):
    """In each worker of a DataLoader every n-th item, so that no item comes twice."""

    def __iter__(self) -> Iterator:
        worker = get_worker_info()
        number, count = (0, 1) if worker is None else (worker.id, worker.num_workers)
        return (item for i, item in enumerate(self.datapipe) if i % count == number)


@functional_datapipe("groupby")
class Grouper(_Behind):
    """Lists of `group_size` items of one key each, as soon as they are full; the rest at the end, if they are not
    fewer than `guaranteed_group_size`, or unless `drop_remaining`."""

    def __init__(
        self,
        datapipe: Any,
        group_key_fn: Callable,
        *,
        keep_key: bool = False,
        group_size: int | None = None,
        guaranteed_group_size: int | None = None,
        drop_remaining: bool = False,
    ) -> None:
        super().__init__(datapipe)
        self.group_key_fn, self.keep_key, self.group_size = group_key_fn, keep_key, group_size
        self.least = guaranteed_group_size or 1
        self.drop_remaining = drop_remaining

    def __iter__(self) -> Iterator:
        groups: dict[Any, list[Any]] = defaultdict(list)
        for item in self.datapipe:
            key = self.group_key_fn(item)
            groups[key].append(item)
            if len(groups[key]) == self.group_size:
                yield self._done(key, groups.pop(key))
        if not self.drop_remaining:
            for key, group in groups.items():
                if len(group) >= self.least:
                    yield self._done(key, group)

    def _done(self, key: Any, group: list[Any]) -> Any:
        return (key, DataChunk(group)) if self.keep_key else DataChunk(group)


@functional_datapipe("concat")
class Concater(Several, IterDataPipe):
    """The items of one pipe after those of another."""

    def __iter__(self) -> Iterator:
        for pipe in self.datapipes:
            yield from pipe

    def __len__(self) -> int:
        return sum(len(pipe) for pipe in self.datapipes)


@functional_datapipe("zip")
class Zipper(Several, IterDataPipe):
    """Tuples of the items of several pipes, as long as all have some."""

    def __iter__(self) -> Iterator:
        return zip(*self.datapipes, strict=False)

    def __len__(self) -> int:
        return min(len(pipe) for pipe in self.datapipes)


@functional_datapipe("mux")
class Multiplexer(Several, IterDataPipe):
    """One item of each pipe in turn, as long as all have some."""

    def __iter__(self) -> Iterator:
        for items in zip(*self.datapipes, strict=False):
            yield from items

    def __len__(self) -> int:
        return min(len(pipe) for pipe in self.datapipes) * len(self.datapipes)


__getattr__ = absent("torch.utils.data.datapipes.iter")
