"""What indexing operations share: checks of ranges, positions along a dimension, adding up what meets at one place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


class IndexOutOfBoundsError(IndexError, RuntimeError):
    """An index outside its dimension: PyTorch raises IndexError in some operations and RuntimeError in others."""


def checked(index: np.ndarray, size: int, dim: int, *, negative: bool = False) -> np.ndarray:
    """`index` if all of it lies within a dimension of this size; negative ones count from the end where that is
    allowed."""
    if index.size == 0:
        return index
    low, high = int(index.min()), int(index.max())
    if high >= size or low < (-size if negative else 0):
        bad = high if high >= size else low
        raise IndexOutOfBoundsError(f"index {bad} is out of bounds for dimension {dim} with size {size}")
    return np.where(index < 0, index + size, index) if low < 0 else index


def along(index: np.ndarray, dim: int, shape: Sequence[int]) -> np.ndarray:
    """Flat positions, in a row-major array of `shape`, of the elements that `gather` takes: every coordinate but the
    one along `dim`, which `index` says, is that of the index itself."""
    steps, step = [0] * len(shape), 1
    for d in range(len(shape) - 1, -1, -1):
        steps[d] = step
        step *= shape[d]
    positions = checked(index, shape[dim], dim) * steps[dim]
    for d, n in enumerate(index.shape):
        if d != dim:
            coordinate = np.arange(n) * steps[d]
            positions = positions + coordinate.reshape((-1,) + (1,) * (index.ndim - d - 1))
    return positions.reshape(-1)


def widened(x: np.ndarray) -> np.ndarray:
    """A row-major copy to accumulate in: half precision as float32."""
    return np.array(x, np.float32 if x.dtype.itemsize == 2 and x.dtype.kind in "fV" else x.dtype, order="C")


def add_rows(target: np.ndarray, rows: np.ndarray, values: np.ndarray) -> None:
    """`target[rows[i]] += values[i]` for every i, also where a row comes twice: rows are sorted, runs are summed."""
    if not rows.size or not values.size:
        return
    if target.ndim == 1 or target.shape[1:] == (1,) * (target.ndim - 1):
        np.add.at(target.reshape(-1), rows, values.reshape(-1))
        return
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    if len(starts) == len(rows):
        target[rows] += values
    else:
        target[ordered[starts]] += np.add.reduceat(values[order], starts, axis=0, dtype=values.dtype)


_COMBINE = {
    "sum": "add",
    "add": "add",
    "mean": "add",
    "prod": "multiply",
    "multiply": "multiply",
    "amax": "maximum",
    "amin": "minimum",
}


def identity(reduce: str, d: Any) -> Any:
    """The number that changes nothing in a reduction."""
    if reduce in ("amax", "amin"):
        if d.kind == "b":
            return reduce == "amin"
        if d.kind == "f":
            return -np.inf if reduce == "amax" else np.inf
        return np.iinfo(d).min if reduce == "amax" else np.iinfo(d).max
    return 1 if reduce in ("prod", "multiply") else 0


def reduce_at(
    target: np.ndarray, positions: np.ndarray, values: np.ndarray, reduce: str, include_self: bool = True
) -> None:
    """Combine `values[i]` into `target[positions[i]]`, a flat array; without `include_self` old values there do not
    count."""
    if not include_self:
        target[positions] = identity(reduce, target.dtype)
    getattr(np, _COMBINE[reduce]).at(target, positions, values)
    if reduce == "mean":
        count = np.bincount(positions, minlength=target.size) + int(include_self)
        count = np.maximum(count, 1)
        if target.dtype.kind in "iu":
            target[...] = np.floor_divide(target, count)
        else:
            target[...] = target / count
