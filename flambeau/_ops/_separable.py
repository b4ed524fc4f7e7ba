"""Linear maps that act on each spatial dimension by itself: resampling, averaging over bins, padding by repetition.

Such a map is given by *taps*: for every output position of a dimension, which inputs it reads and with what weights.
Its transpose, which gradients need, has taps too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


class Taps:
    """`index` and `weight` are (outputs, taps); `weight` is None for one tap of weight 1. `size` counts the inputs.
    Of a `ragged` map some outputs have fewer taps: what has weight 0 is none, however infinite its input is."""

    __slots__ = ("index", "weight", "size", "ragged")

    def __init__(self, index: np.ndarray, weight: np.ndarray | None, size: int, ragged: bool = False) -> None:
        self.index = index
        self.weight = weight
        self.size = size
        self.ragged = ragged

    def transposed(self) -> Taps:
        """The taps of the transposed map: for every input, the outputs that read it."""
        outputs, taps = self.index.shape
        weight = np.ones(self.index.shape) if self.weight is None else self.weight
        used = weight.reshape(-1) != 0
        readers = np.repeat(np.arange(outputs), taps)[used]
        read, weights = self.index.reshape(-1)[used], weight.reshape(-1)[used]
        order = np.argsort(read, kind="stable")
        readers, read, weights = readers[order], read[order], weights[order]
        counts = np.bincount(read, minlength=self.size)
        slot = np.arange(len(read)) - np.repeat(np.cumsum(counts) - counts, counts)
        width = max(int(counts.max(initial=0)), 1)
        index = np.zeros((self.size, width), np.intp)
        table = np.zeros((self.size, width))
        index[read, slot] = readers
        table[read, slot] = weights
        return Taps(index, table, outputs, ragged=True)


def apply(x: np.ndarray, taps: Sequence[Taps]) -> np.ndarray:
    """Apply one map to each of the last `len(taps)` dimensions, those that shrink most first."""
    lead = x.ndim - len(taps)
    for i in sorted(range(len(taps)), key=lambda i: len(taps[i].index) / max(taps[i].size, 1)):
        x = _apply_one(x, taps[i], lead + i)
    return x


def _apply_one(x: np.ndarray, taps: Taps, axis: int) -> np.ndarray:
    if taps.weight is None:
        return x.take(taps.index[:, 0], axis=axis)
    weight = taps.weight.astype(x.dtype)
    if taps.ragged and not weight.all():
        return _apply_ragged(x, taps.index, weight, axis)
    shape = [1] * x.ndim
    shape[axis] = -1
    total = x.take(taps.index[:, 0], axis=axis)
    total *= weight[:, 0].reshape(shape)
    for t in range(1, weight.shape[1]):
        part = x.take(taps.index[:, t], axis=axis)
        part *= weight[:, t].reshape(shape)
        total += part
    return total


def _apply_ragged(x: np.ndarray, index: np.ndarray, weight: np.ndarray, axis: int) -> np.ndarray:
    """A map some of whose taps are none."""
    total = np.zeros((*x.shape[:axis], len(index), *x.shape[axis + 1 :]), x.dtype)
    where: list = [slice(None)] * x.ndim
    shape = [1] * x.ndim
    shape[axis] = -1
    for t in range(weight.shape[1]):
        where[axis] = rows = np.flatnonzero(weight[:, t])
        total[tuple(where)] += x.take(index[rows, t], axis=axis) * weight[rows, t].reshape(shape)
    return total


def apply_to_bytes(x: np.ndarray, taps: Sequence[Taps]) -> np.ndarray:
    """`apply` for bytes, in fixed point as image libraries do it: innermost first, each pass rounded to bytes."""
    lead = x.ndim - len(taps)
    for i in reversed(range(len(taps))):
        if len(taps[i].index) != taps[i].size:
            x = _apply_fixed(x, taps[i], lead + i)
    return x


def _apply_fixed(x: np.ndarray, taps: Taps, axis: int) -> np.ndarray:
    """One pass with weights of 16 bits, as many of them behind the point as the greatest weight leaves."""
    table = _merged(taps)
    greatest = table.max()
    bits = 0
    while bits < 22 and int(0.5 + greatest * (1 << (bits + 1))) < 1 << 15:
        bits += 1
    scaled = table * (1 << bits)
    weight = np.trunc(scaled + np.copysign(0.5, scaled)).astype(np.int32)
    shape = [1] * x.ndim
    shape[axis] = -1
    total: np.ndarray | int = 1 << (bits - 1)
    for t in range(weight.shape[1]):
        total = total + x.take(taps.index[:, t], axis=axis) * weight[:, t].reshape(shape)
    return np.clip(total >> bits, 0, 255).astype(np.uint8)


def _merged(taps: Taps) -> np.ndarray:
    """The weights with those of an input that is read twice, as at the border, given to its first tap."""
    assert taps.weight is not None
    weight = taps.weight.copy()
    for t in range(1, weight.shape[1]):
        for earlier in range(t):
            again = taps.index[:, t] == taps.index[:, earlier]
            weight[again, earlier] += weight[again, t]
            weight[again, t] = 0
    return weight
