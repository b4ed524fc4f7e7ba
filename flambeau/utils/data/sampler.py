"""Samplers: in which order a loader visits the indices of a data set, and how they make up batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any, Generic, TypeVar

from flambeau import _api as torch
from flambeau.utils.data._draws import permutation, private_generator
from flambeau.utils.data.dataset import length

T_co = TypeVar("T_co", covariant=True)

_DRAWS_AT_ONCE = 32  # with replacement, PyTorch draws indices in blocks of this size


class Sampler(Generic[T_co]):
    """The base class: subclasses define `__iter__()`, yielding indices or lists of them, and usually `__len__()`."""

    def __init__(self, data_source: Any = None) -> None:
        pass

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__()")


class SequentialSampler(Sampler[int]):
    """The indices of `data_source` in order."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(length(self.data_source)))

    def __len__(self) -> int:
        return length(self.data_source)


class RandomSampler(Sampler[int]):
    """The indices of `data_source` in random order.

    Without replacement each permutation is used up before the next begins; with it every index is drawn anew.
    `num_samples` defaults to the length of `data_source`. TypeError for a `replacement` that is no bool, ValueError
    for a `num_samples` that is no positive int. Without a `generator`, one is seeded from the default generator.

    Example::

        >>> list(RandomSampler(range(5), generator=torch.Generator().manual_seed(0)))
        [4, 0, 1, 3, 2]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        if not isinstance(replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={replacement}")
        self.data_source = data_source
        self.replacement = replacement
        self.generator = generator
        self._num_samples = num_samples
        _check_positive("num_samples", self.num_samples)

    @property
    def num_samples(self) -> int:
        """How many indices an iteration yields."""
        return length(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        n, generator = length(self.data_source), private_generator(self.generator)
        rounds, rest = divmod(self.num_samples, _DRAWS_AT_ONCE if self.replacement else n)
        for _ in range(rounds):
            yield from self._draw(_DRAWS_AT_ONCE, n, generator)
        # PyTorch draws the last round even if none of it is used: a generator given by the user ends in the same state.
        yield from self._draw(rest, n, generator)[: None if self.replacement else rest]

    def _draw(self, count: int, n: int, generator: torch.Generator) -> list[int]:
        if self.replacement:
            return torch.randint(high=n, size=(count,), dtype=torch.int64, generator=generator).tolist()
        return permutation(n, generator)

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in random order.

    Example::

        >>> list(SubsetRandomSampler([10, 20, 30], generator=torch.Generator().manual_seed(0)))
        [30, 10, 20]
    """

    def __init__(self, indices: Sequence[int], generator: torch.Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for i in permutation(len(self.indices), self.generator):
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """`num_samples` indices, index i with a probability proportional to `weights[i]`.

    ValueError for weights of more than one dimension, a `num_samples` that is no positive int, or a `replacement`
    that is no bool.

    Example::

        >>> set(WeightedRandomSampler([0.0, 3.0, 0.0], 4))
        {1}
    """

    def __init__(
        self,
        weights: Sequence[float] | torch.Tensor,
        num_samples: int,
        replacement: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        _check_positive("num_samples", num_samples)
        _check_bool("replacement", replacement)
        self.weights = torch.as_tensor(weights, dtype=torch.float64)
        if self.weights.dim() != 1:
            raise ValueError(
                f"weights should be a 1d sequence but given weights have shape {tuple(self.weights.shape)}"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        yield from torch.multinomial(
            self.weights, self.num_samples, self.replacement, generator=self.generator
        ).tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of `batch_size` indices of another sampler; the last may be shorter, or is dropped with `drop_last`.

    ValueError for a `batch_size` that is no positive int or a `drop_last` that is no bool.

    Example::

        >>> list(BatchSampler(SequentialSampler(range(5)), batch_size=2, drop_last=False))
        [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Sampler[int] | Iterable[int], batch_size: int, drop_last: bool) -> None:
        _check_positive("batch_size", batch_size)
        _check_bool("drop_last", drop_last)
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(islice(indices, self.batch_size)):
            if self.drop_last and len(batch) < self.batch_size:
                return
            yield batch

    def __len__(self) -> int:
        whole, rest = divmod(len(self.sampler), self.batch_size)  # type: ignore[arg-type]
        return whole + (rest > 0 and not self.drop_last)


class InfiniteSampler(Sampler[None]):
    """What an IterableDataset is "indexed" with: None, without end."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


def _check_positive(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{name} should be a positive integer value, but got {name}={value}")


def _check_bool(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{name} should be a boolean value, but got {name}={value}")
