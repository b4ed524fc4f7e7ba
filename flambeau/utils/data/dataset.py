"""Data sets: something with samples, indexed or iterated, and the ways to combine and split them."""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Generic, TypeVar

from flambeau import _api as torch
from flambeau._core.errors import explain
from flambeau.utils.data._draws import permutation

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """A map-style data set: subclasses define `__getitem__(index)` and usually `__len__()`.

    A subclass that can fetch many samples at once may define `__getitems__(indices)`, which answers a list of samples;
    a DataLoader then calls it once a batch. `a + b` concatenates.

    Example::

        >>> class Squares(Dataset):
        ...     def __getitem__(self, index):
        ...         return index ** 2
        ...     def __len__(self):
        ...         return 4
        >>> [(Squares() + Squares())[i] for i in (3, 5)]
        [9, 1]
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index)")

    def __add__(self, other: Dataset[Any]) -> Dataset[Any]:
        return ConcatDataset([self, other])


def length(dataset: Any) -> int:
    """How many samples there are; TypeError that says what to define where a data set does not tell."""
    if not hasattr(dataset, "__len__"):
        kind = type(dataset).__name__
        stream = isinstance(dataset, IterableDataset)
        hint = f"define __len__(self) in {kind}, the number of samples" + (", if it is known" if stream else "")
        raise TypeError(explain(f"object of type '{kind}' has no len()", hint=hint))
    return len(dataset)


class IterableDataset(Dataset[T_co], Iterable[T_co]):
    """A stream of samples: subclasses define `__iter__()`.

    With workers each worker process iterates its own copy; `get_worker_info()` tells the copy which part of the
    stream is its own. `a + b` chains.

    Example::

        >>> class Count(IterableDataset):
        ...     def __iter__(self):
        ...         return iter(range(3))
        >>> list(Count() + Count())
        [0, 1, 2, 0, 1, 2]
    """

    def __add__(self, other: Dataset[Any]) -> Dataset[Any]:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Any, ...]]):
    """Tensors whose first dimension counts the samples; sample i is the tuple of each tensor's row i.

    AssertionError if there is no tensor or their first sizes differ.

    Example::

        >>> TensorDataset(torch.arange(6).reshape(3, 2), torch.arange(3))[1]
        (tensor([2, 3]), tensor(1))
    """

    def __init__(self, *tensors: torch.Tensor) -> None:
        for i, tensor in enumerate(tensors):
            if not torch.is_tensor(tensor):
                fact = f"TensorDataset takes tensors, but argument {i + 1} is a {type(tensor).__name__}"
                raise TypeError(explain(fact, hint="torch.as_tensor(...) makes a tensor from a list or an array"))
        sizes = [tensor.size(0) for tensor in tensors]
        if not sizes or len(set(sizes)) > 1:
            raise AssertionError(
                f"Size mismatch between tensors: their first dimensions must be equal, got {sizes}"
                if sizes
                else "TensorDataset needs at least one tensor"
            )
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].size(0)


class StackDataset(Dataset[Any]):
    """Several data sets side by side: sample i is the tuple (or, of keyword arguments, the dict) of their samples i.

    ValueError if none is given, their lengths differ, or positional and keyword arguments are mixed.

    Example::

        >>> StackDataset(image=["a", "b"], label=[0, 1])[1]
        {'image': 'b', 'label': 1}
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args and kwargs:
            raise ValueError("StackDataset takes data sets either by position or by keyword, got both")
        if not args and not kwargs:
            raise ValueError("At least one dataset should be passed")
        self.datasets: Any = args or kwargs
        lengths = [len(dataset) for dataset in self._parts()]
        if len(set(lengths)) > 1:
            raise ValueError(f"Size mismatch between datasets: their lengths are {lengths}")
        self._length = lengths[0]

    def _parts(self) -> list[Any]:
        return list(self.datasets.values() if isinstance(self.datasets, dict) else self.datasets)

    def _sample(self, items: Iterable[Any]) -> Any:
        return dict(zip(self.datasets, items, strict=True)) if isinstance(self.datasets, dict) else tuple(items)

    def __getitem__(self, index: Any) -> Any:
        return self._sample(dataset[index] for dataset in self._parts())

    def __getitems__(self, indices: Sequence[Any]) -> list[Any]:
        columns = [_items(dataset, indices) for dataset in self._parts()]
        for column in columns:
            if len(column) != len(indices):
                raise ValueError(f"Nested dataset's output size mismatch. Expected {len(indices)}, got {len(column)}")
        return [self._sample(items) for items in zip(*columns, strict=True)]

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset[T_co]):
    """Map-style data sets one after the other; AssertionError if there is none or one is an IterableDataset.

    Example::

        >>> both = ConcatDataset([range(3), range(10, 12)])
        >>> both[3], both[-3], len(both)
        (10, 2, 5)
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise AssertionError("ConcatDataset does not support IterableDataset; use ChainDataset")
        self.cumulative_sizes = list(accumulate(len(dataset) for dataset in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> T_co:
        if index < 0:
            if -index > len(self):
                raise ValueError(f"index {index} is out of range for a dataset of {len(self)} samples")
            index += len(self)
        which = bisect_right(self.cumulative_sizes, index)
        if which == len(self.datasets):
            raise IndexError(f"index {index} is out of range for a dataset of {len(self)} samples")
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]


class ChainDataset(IterableDataset[T_co]):
    """Streams one after the other; AssertionError, when used, if one is no IterableDataset."""

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        self.datasets = datasets

    def _streams(self) -> Iterator[Any]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise AssertionError(f"ChainDataset only supports IterableDataset, got {type(dataset).__name__}")
            yield dataset

    def __iter__(self) -> Iterator[T_co]:
        for dataset in self._streams():
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self._streams())


class Subset(Dataset[T_co]):
    """The samples of `dataset` at `indices`.

    A subclass that overrides `__getitem__` must override `__getitems__` too (NotImplementedError otherwise), for a
    DataLoader uses the latter.

    Example::

        >>> Subset("abcd", [3, 1])[0]
        'd'
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices
        kind = type(self)
        if kind.__getitem__ is not Subset.__getitem__ and kind.__getitems__ is Subset.__getitems__:
            raise NotImplementedError(
                f"{kind.__name__} overrides __getitem__ but not __getitems__, which a DataLoader calls; add\n"
                "    def __getitems__(self, indices):\n        return [self[index] for index in indices]"
            )

    def __getitem__(self, index: Any) -> T_co:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: Sequence[int]) -> list[T_co]:
        return _items(self.dataset, [self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


def _items(dataset: Any, indices: Sequence[Any]) -> list[Any]:
    """The samples at `indices`, by one call where the data set can do that."""
    many = getattr(dataset, "__getitems__", None)
    return many(indices) if callable(many) else [dataset[i] for i in indices]


def random_split(
    dataset: Any, lengths: Sequence[int | float], generator: torch.Generator | None = None
) -> list[Subset[Any]]:
    """Split a data set into disjoint random subsets.

    `lengths` are numbers of samples, or fractions that sum to 1: a fraction is rounded down, and what is left over goes
    to the first subsets, one sample each. `generator` (default: the default generator) draws the one permutation; the
    same seed gives PyTorch's split. ValueError if the lengths do not sum to the data set's.

    Example::

        >>> parts = random_split(range(10), [0.7, 0.3], generator=torch.Generator().manual_seed(42))
        >>> [list(part.indices) for part in parts]
        [[2, 6, 1, 8, 4, 5, 0], [9, 3, 7]]
    """
    total = len(dataset)
    fractions = math.isclose(sum(lengths), 1) and sum(lengths) <= 1
    sizes: Sequence[Any] = _sizes_of_fractions(lengths, total) if fractions else lengths
    if sum(sizes) != total:
        raise ValueError(
            f"Sum of input lengths does not equal the length of the input dataset! Got {list(lengths)}, "
            f"which sum to {sum(lengths)}, for {total} samples"
        )
    indices = permutation(total, generator)
    return [Subset(dataset, indices[end - size : end]) for end, size in zip(accumulate(sizes), sizes, strict=True)]


def _sizes_of_fractions(fractions: Sequence[float], total: int) -> list[int]:
    for i, fraction in enumerate(fractions):
        if not 0 <= fraction <= 1:
            raise ValueError(f"Fraction at index {i} is not between 0 and 1, got {fraction}")
    sizes = [math.floor(total * fraction) for fraction in fractions]
    for i in range(total - sum(sizes)):
        sizes[i % len(sizes)] += 1
    for i, size in enumerate(sizes):
        if size == 0:
            warnings.warn(f"Length of split at index {i} is 0. This might result in an empty dataset.", stacklevel=3)
    return sizes
