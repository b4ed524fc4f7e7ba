"""Pooling in NumPy: maxima and sums over sliding windows, one dimension after the other.

A maximum over a window is a maximum of maxima, so that a window of kH x kW costs kH + kW passes over strided views. The
innermost dimension goes first: among equal maxima the first one in reading order wins, as it does when windows are
scanned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

Sizes = tuple[int, ...]


class Windows:
    """How pooling windows lie over the last dimensions, of sizes `size`; `out` windows a dimension."""

    __slots__ = ("size", "kernel", "stride", "padding", "dilation", "out")

    def __init__(
        self, size: Sequence[int], kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, out: Sequence[int]
    ) -> None:
        self.size = tuple(size)
        self.kernel, self.stride, self.padding, self.dilation = kernel, stride, padding, dilation
        self.out = tuple(out)

    @property
    def padded(self) -> Sizes:
        """The sizes that windows reach."""
        return tuple(
            [
                max((o - 1) * s + d * (k - 1) + 1, n + p)
                for o, s, d, k, n, p in zip(
                    self.out, self.stride, self.dilation, self.kernel, self.size, self.padding, strict=True
                )
            ]
        )

    def inside(self) -> tuple:
        """The index of the input within the padded one."""
        return (..., *[slice(p, p + n) for p, n in zip(self.padding, self.size, strict=True)])

    def pad(self, x: np.ndarray, value: object) -> np.ndarray:
        """`x` with `value` around it, as far as windows reach; itself if they stay within."""
        if not any(self.padding) and self.padded == self.size:
            return x
        padded = np.full((*x.shape[: x.ndim - len(self.size)], *self.padded), value, x.dtype)
        padded[self.inside()] = x
        return padded

    @property
    def tiled(self) -> bool:
        """Do the windows cover the input without gaps, overlaps or padding?"""
        return all(
            s == k and d == 1 and o * k == n
            for o, s, d, k, n in zip(self.out, self.stride, self.dilation, self.kernel, self.size, strict=True)
        ) and not any(self.padding)

    def tiles(self, x: np.ndarray) -> np.ndarray:
        """`x`, covered by tiles, with every spatial dimension split into (windows, positions)."""
        split = [m for o, k in zip(self.out, self.kernel, strict=True) for m in (o, k)]
        return x.reshape(*x.shape[: x.ndim - len(self.kernel)], *split)

    def at(self, x: np.ndarray, dim: int, position: int) -> np.ndarray:
        """What every window has at `position` along the spatial dimension `dim`, all else untouched."""
        start, step, count = position * self.dilation[dim], self.stride[dim], self.out[dim]
        index = [slice(None)] * x.ndim
        index[x.ndim - len(self.kernel) + dim] = slice(start, start + (count - 1) * step + 1, step)
        return x[tuple(index)]

    def coordinate(self, dim: int, position: np.ndarray) -> np.ndarray:
        """Where along `dim` the given position of each window lies in the input."""
        shape = [1] * len(self.out)
        shape[dim] = -1
        start = (np.arange(self.out[dim]) * self.stride[dim] - self.padding[dim]).reshape(shape)
        # Only a window full of the lowest value can have chosen padding: PyTorch reports its first real element.
        first = np.where(start < 0, -(start // self.dilation[dim]), 0)
        return start + np.maximum(position, first) * self.dilation[dim]


def maximum(x: np.ndarray, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """The maxima and their row-major positions within the windows; NaN is greater than everything."""
    best = windows.pad(x, _lowest(x.dtype))
    count = math.prod(windows.kernel)
    code_type = np.uint8 if count <= 256 else np.int32
    code: np.ndarray | None = None
    weight = 1
    for dim in reversed(range(len(windows.kernel))):
        best, code = _maximum_along(best, code, dim, weight, windows, code_type)
        weight *= windows.kernel[dim]
    assert code is not None
    if best.dtype.kind == "f" and np.isnan(best).any():
        code = _positions_of_nan(x, best, code, windows)
    return best, code


def _maximum_along(
    x: np.ndarray, code: np.ndarray | None, dim: int, weight: int, windows: Windows, code_type: type
) -> tuple[np.ndarray, np.ndarray]:
    """One dimension's maxima; positions along it count `weight` each, beside the `code` of the dimensions inside."""
    first = windows.at(x, dim, 0)
    best = np.array(first, order="C")
    codes = np.zeros(first.shape, code_type) if code is None else np.array(windows.at(code, dim, 0), order="C")
    greater = np.empty(best.shape, np.bool_)
    for position in range(1, windows.kernel[dim]):
        candidate = windows.at(x, dim, position)
        np.greater(candidate, best, out=greater)
        # Positions only grow while scanning, so that the last one that was greater is the greatest.
        offset = code_type(position * weight)
        new = offset if code is None else windows.at(code, dim, position) + offset
        np.maximum(codes, np.multiply(greater, new, dtype=code_type), out=codes)
        np.maximum(candidate, best, out=best)  # of equals, 0 and -0, the first
    return best, codes


def _lowest(d: np.dtype) -> object:
    return -np.inf if d.kind == "f" else np.iinfo(d).min


def _positions_of_nan(x: np.ndarray, best: np.ndarray, code: np.ndarray, windows: Windows) -> np.ndarray:
    """`code` with, in windows that hold a NaN, the position of the last one: there a scan stops changing its mind."""
    padded = windows.pad(x, 0)
    last = np.full(best.shape, -1)
    for position in range(math.prod(windows.kernel)):
        np.copyto(last, position, where=np.isnan(_all_at(padded, windows, position)))
    return np.where(last >= 0, last, code)


def _all_at(x: np.ndarray, windows: Windows, position: int) -> np.ndarray:
    """What every window has at a row-major position."""
    for dim, p in enumerate(np.unravel_index(position, windows.kernel)):
        x = windows.at(x, dim, int(p))
    return x


def flat_index(code: np.ndarray, windows: Windows) -> np.ndarray:
    """Positions within windows as indices into the flattened spatial dimensions of the input."""
    flat = np.zeros(code.shape, np.int64)
    for dim, position in enumerate(np.unravel_index(code.astype(np.intp), windows.kernel)):
        flat = flat * windows.size[dim] + windows.coordinate(dim, position)
    return flat


def place(values: np.ndarray, code: np.ndarray, windows: Windows) -> np.ndarray:
    """The transpose of taking what `code` points at: every value is added to the input it came from."""
    out = np.zeros((*values.shape[: values.ndim - len(windows.size)], *windows.padded), values.dtype)
    for position in range(math.prod(windows.kernel)):
        target = _all_at(out, windows, position)
        np.add(target, values, out=target, where=code == position)  # not times 0: NaN stays where it belongs
    return out[windows.inside()]


def take(x: np.ndarray, code: np.ndarray, windows: Windows) -> np.ndarray:
    """What `code` points at in every window."""
    padded = windows.pad(x, 0)
    out = np.zeros(code.shape, x.dtype)
    for position in range(math.prod(windows.kernel)):
        np.copyto(out, _all_at(padded, windows, position), where=code == position)
    return out


# ---------------------------------------------------------------------------------------------- sums


def sums(x: np.ndarray, windows: Windows) -> np.ndarray:
    """The sum of every window."""
    if windows.tiled and windows.kernel[-1] >= 8:  # shorter rows are added faster column by column
        n = len(windows.kernel)
        return windows.tiles(x).sum(tuple(range(x.ndim - n + 1, x.ndim + n, 2)))
    x = windows.pad(x, 0)
    for dim in reversed(range(len(windows.kernel))):
        total = np.array(windows.at(x, dim, 0), order="C")
        for position in range(1, windows.kernel[dim]):
            total += windows.at(x, dim, position)
        x = total
    return x


def spread(values: np.ndarray, windows: Windows) -> np.ndarray:
    """The transpose of `sums`: every value is added to all inputs of its window."""
    n = len(windows.kernel)
    lead = values.ndim - n
    if windows.tiled:
        out = np.empty((*values.shape[:lead], *windows.size), values.dtype)
        windows.tiles(out)[...] = values.reshape(*values.shape[:lead], *[m for o in windows.out for m in (o, 1)])
        return out
    for dim in range(n):
        shape = list(values.shape)
        shape[lead + dim] = windows.padded[dim]
        out = np.zeros(shape, values.dtype)
        for position in range(windows.kernel[dim]):
            target = windows.at(out, dim, position)
            target += values
        values = out
    return values[windows.inside()]


def counts(windows: Windows, include_pad: bool) -> np.ndarray:
    """How many elements each window averages: those inside the input, or inside the input and its declared padding."""
    count = np.ones((1,) * len(windows.kernel), np.int64)
    for dim, (o, s, p, k, n) in enumerate(
        zip(windows.out, windows.stride, windows.padding, windows.kernel, windows.size, strict=True)
    ):
        start = np.arange(o) * s - p
        end = np.minimum(start + k, n + p)
        along = end - start if include_pad else np.minimum(end, n) - np.maximum(start, 0)
        shape = [1] * len(windows.kernel)
        shape[dim] = -1
        count = count * along.reshape(shape)
    return count
