"""Meta: everything about a tensor but its numbers: dtype, shape, strides (in elements) and offset into its storage.

Metas are interned, so that a tuple of them is a cheap key for what has been inferred before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from flambeau._core.dtypes import dtype
from flambeau._core.forgetting import Remembered
from flambeau._core.size import Size

INTERNED = 1 << 13  # with so many, those that nobody uses are forgotten

_contiguous: dict[tuple, Meta] = {}  # a short cut to some of the interned ones
_interned = Remembered(INTERNED, followers=[_contiguous])


class Meta:
    """One combination of dtype, shape, strides and offset. `meta()` and `contiguous()` make them, and intern them.

    Two interned metas with the same fields are the same object as long as somebody uses it, so identity may serve as a
    cache key but equality of metas is never asked for.
    """

    __slots__ = ("dtype", "shape", "strides", "offset", "ndim", "numel", "nbytes", "is_contiguous", "_extent")

    def __init__(self, dtype: dtype, shape: Size, strides: tuple[int, ...], offset: int) -> None:
        self.dtype = dtype
        self.shape = shape
        self.strides = strides
        self.offset = offset
        self.ndim = len(shape)
        self.numel = math.prod(shape)
        self.nbytes = self.numel * dtype.itemsize
        self.is_contiguous = is_contiguous(shape, strides)
        self._extent: int | None = None

    def __repr__(self) -> str:
        strides = "" if self.is_contiguous else f" strides {list(self.strides)}"
        return f"{self.dtype.name}{list(self.shape)}{strides}" + (f" offset {self.offset}" if self.offset else "")

    def with_dtype(self, d: dtype) -> Meta:
        """The same layout with elements of another dtype."""
        return meta(d, self.shape, self.strides, self.offset)

    @property
    def extent(self) -> int:
        """The number of storage elements needed, from the storage's start, to hold this layout."""
        if self._extent is None:
            reach = sum([(n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)])
            self._extent = 0 if self.numel == 0 else self.offset + 1 + reach
        return self._extent


def meta(d: dtype, shape: Iterable[int], strides: Iterable[int], offset: int = 0) -> Meta:
    """The interned meta with these fields."""
    key = (d, tuple(shape), tuple(strides), offset)
    found = _interned.get(key)
    if found is None:
        made = Meta(d, Size(key[1]), key[2], offset)
        found = _interned.keep((d, made.shape, key[2], offset), made)  # without a second copy of the shape
    return found


def holds_metas(m: Any) -> bool:
    """Is that a tuple of operands, of which at least one is a tensor?"""
    return type(m) is tuple and any([type(x) is Meta for x in m])


def passing(d: dtype, shape: Iterable[int], strides: Iterable[int], offset: int = 0) -> Meta:
    """A meta with these fields that is looked at and forgotten, so it is not interned."""
    return Meta(d, Size(shape), tuple(strides), offset)


def layout_numbers(metas: Iterable[Meta]) -> tuple[int, ...]:
    """The numbers of some metas, all in a row."""
    return tuple([n for m in metas for n in (*m.shape, *m.strides, m.offset)])


def passing_with(kinds: Iterable[tuple[dtype, int]], numbers: Iterator[int]) -> tuple[Meta, ...]:
    """Metas of these dtypes and dimensions with the next numbers, in the order of `layout_numbers`."""
    return tuple([
        passing(d, [next(numbers) for _ in range(ndim)], [next(numbers) for _ in range(ndim)], next(numbers))
        for d, ndim in kinds
    ])  # fmt: skip


def contiguous(d: dtype, shape: Sequence[int]) -> Meta:
    """The interned meta of a fresh row-major tensor.

    Example::

        >>> from flambeau._core.dtypes import float32
        >>> contiguous(float32, (2, 3)).strides
        (3, 1)
    """
    key = (d, tuple(shape))
    found = _contiguous.get(key)
    if found is None:
        found = meta(d, key[1], contiguous_strides(key[1]))
        _contiguous[d, found.shape] = found
    return found


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Row-major strides in elements; sizes of 0 count as 1, as PyTorch counts them."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def is_contiguous(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Do the elements lie in row-major order without gaps? (Strides of dimensions of size 1 do not matter.)"""
    step = 1
    for n, s in zip(reversed(shape), reversed(strides), strict=True):
        if n == 0:
            return True
        if n != 1:
            if s != step:
                return False
            step *= n
    return True


def dense_order(m: Meta) -> list[int] | None:
    """The dimensions from slowest to fastest if the elements lie densely in some order of dimensions, else None."""
    order = sorted(range(m.ndim), key=lambda i: (-m.strides[i], i) if m.shape[i] != 1 else (-m.strides[i], i))
    step = 1
    for i in reversed(order):
        if m.shape[i] != 1:
            if m.strides[i] != step:
                return None
            step *= m.shape[i]
    return order


def walking_order(shape: Sequence[int], operands: Iterable[Sequence[int]]) -> list[int]:
    """The dimensions from slowest to fastest in which operands with these strides (0 where they are broadcast) are
    walked: by the strides of the first operand that tells two dimensions apart. New results lie in this order."""
    strides = [tuple(s) for s in operands]
    order = list(range(len(shape)))  # sorted by insertion, since not every pair of dimensions can be compared
    for i in range(len(order) - 2, -1, -1):
        at = i
        for other in range(i + 1, len(order)):
            compared = _compared(shape, strides, order[other], order[at])
            if compared < 0:
                break
            if compared > 0:
                order[at], order[other] = order[other], order[at]
                at = other
    return order


def _compared(shape: Sequence[int], strides: Sequence[Sequence[int]], inner: int, outer: int) -> int:
    """Should `inner` be walked more slowly than `outer`? (1: yes, -1: no, 0: no operand tells.)"""
    for s in strides:
        if s[inner] and s[outer]:
            if s[inner] != s[outer]:
                return 1 if s[inner] > s[outer] else -1
            if shape[inner] > shape[outer]:
                return 1
    return 0


def strides_in_order(shape: Sequence[int], order: Sequence[int]) -> tuple[int, ...]:
    """Dense strides for `shape` whose dimensions lie, from slowest to fastest, in `order`."""
    strides, step = [0] * len(shape), 1
    for i in reversed(order):
        strides[i] = step
        step *= max(shape[i], 1)
    return tuple(strides)


def preserved(m: Meta, d: dtype | None = None) -> Meta:
    """The meta of a copy of `m` that keeps the order of dimensions and leaves no gaps."""
    d = d or m.dtype
    if m.is_contiguous:
        return contiguous(d, m.shape)
    if dense_order(m) is not None:
        return meta(d, m.shape, m.strides)
    return meta(d, m.shape, strides_in_order(m.shape, walking_order(m.shape, [m.strides])))


def shared_dims(m: Meta) -> list[int]:
    """The dimensions along which all elements are the same memory, as `expand` makes them."""
    if m.is_contiguous:
        return []
    return [d for d, (n, s) in enumerate(zip(m.shape, m.strides, strict=True)) if s == 0 and n > 1]


def overlaps(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """May two index tuples of this layout mean the same element? (Sorted by stride, each must step over all smaller
    ones.)"""
    reach = 0
    for stride, n in sorted((s, n) for n, s in zip(shape, strides, strict=True) if n > 1):
        if stride <= reach:
            return True
        reach += stride * (n - 1)
    return False
