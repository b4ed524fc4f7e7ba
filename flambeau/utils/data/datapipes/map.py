"""Data pipes that are indexed."""

from __future__ import annotations

import copy
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any

from flambeau._core.homes import absent
from flambeau.utils.data.datapipes import iter
from flambeau.utils.data.datapipes.datapipe import InBatches, MapDataPipe, Several, functional_datapipe

__all__ = ["Batcher", "Concater", "Mapper", "SequenceWrapper", "Shuffler", "Zipper"]


class SequenceWrapper(MapDataPipe):
    """A sequence or dict as a pipe; with `deepcopy` a copy of it."""

    def __init__(self, sequence: Any, deepcopy: bool = True) -> None:
        self.sequence = copy.deepcopy(sequence) if deepcopy else sequence

    def __getitem__(self, index: Any) -> Any:
        return self.sequence[index]

    def __len__(self) -> int:
        return len(self.sequence)


@functional_datapipe("map")
class Mapper(MapDataPipe):
    """`fn` of each item."""

    def __init__(self, datapipe: Any, fn: Callable) -> None:
        self.datapipe, self.fn = datapipe, fn

    def __getitem__(self, index: Any) -> Any:
        return self.fn(self.datapipe[index])

    def __len__(self) -> int:
        return len(self.datapipe)


@functional_datapipe("batch")
class Batcher(InBatches, MapDataPipe):
    """Lists of `batch_size` items; the last may be shorter, or with `drop_last` is left out."""

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"Index {index} is out of bound.")
        start = index * self.batch_size
        places = range(start, min(start + self.batch_size, len(self.datapipe)))
        return self.wrapper_class([self.datapipe[i] for i in places])


@functional_datapipe("concat")
class Concater(Several, MapDataPipe):
    """The items of one pipe after those of another."""

    def __getitem__(self, index: int) -> Any:
        ends = list(accumulate(len(pipe) for pipe in self.datapipes))
        if not 0 <= index < ends[-1]:
            raise IndexError(f"Index {index} is out of range.")
        which = bisect_right(ends, index)
        return self.datapipes[which][index - ends[which] + len(self.datapipes[which])]

    def __len__(self) -> int:
        return sum(len(pipe) for pipe in self.datapipes)


@functional_datapipe("zip")
class Zipper(Several, MapDataPipe):
    """Tuples of the items of several pipes that stand at one index."""

    def __getitem__(self, index: Any) -> Any:
        return tuple([pipe[index] for pipe in self.datapipes])

    def __len__(self) -> int:
        return min(len(pipe) for pipe in self.datapipes)


class Shuffler(iter.Shuffler):
    """The items at `indices` (all by default) in random order; to be iterated. `set_seed` makes the next order
    repeatable, `set_shuffle(False)` keeps that of the indices."""

    def __init__(self, datapipe: Any, *, indices: list | None = None) -> None:
        super().__init__(datapipe)
        self.indices = list(range(len(datapipe))) if indices is None else indices

    def __iter__(self) -> Iterator:
        order = self.indices
        if self._enabled:
            self._begin_order()
            order = self._rng.sample(self.indices, len(self.indices))[::-1]
        for index in order:
            yield self.datapipe[index]


MapDataPipe.register_datapipe_as_function("shuffle", Shuffler)
__getattr__ = absent("torch.utils.data.datapipes.map")
