"""Convolution in NumPy and BLAS: forward, transposed and the weight's gradient, for any number of spatial dimensions.

A convolution is a matrix product of the weight with *columns*: for every output position, the inputs its window covers.
Two things make it quick. Columns are made for a block of images that fits the cache. And where the first spatial
dimension has stride 1, its kernel positions need no copies of their own: they are the same columns read some rows
further, so that only the other kernel positions are unrolled and one product per kernel row is added up.

Arrays are (batch, channels, *space); `padding` is what is added in front of each dimension, and as many zeros as needed
follow.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

_BLOCK_BYTES = 1 << 19  # of columns at a time when every image has its own product: half of a usual second-level cache
_MERGED_BLOCK_BYTES = 1 << 20  # when the products of a block are one
_SMALL_IMAGE = 128  # with fewer positions than this, the images of a block share one product
_KEPT_BYTES = 1 << 25  # scratch memory up to this size is kept for the next call


class Geometry:
    """How the windows of one convolution lie, and how it is carried out.

    `kernel`, `stride`, `padding`, `dilation`, `out` (positions) have one entry a spatial dimension, of which there are
    at least two. `shifts` is the number of kernel rows that are read by shifting, 1 if all positions are unrolled.
    """

    __slots__ = (
        "batch",
        "channels",
        "filters",
        "groups",
        "size",
        "kernel",
        "stride",
        "padding",
        "dilation",
        "out",
        "shifts",
        "merged",
        "block",
        "plain",
    )

    def __init__(
        self,
        batch: int,
        channels: int,
        filters: int,
        groups: int,
        size: Sequence[int],
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        out: Sequence[int],
        itemsize: int,
    ) -> None:
        if len(size) == 1:
            size, kernel, stride, padding, dilation, out = (
                (1, *size),
                (1, *kernel),
                (1, *stride),
                (0, *padding),
                (1, *dilation),
                (1, *out),
            )
        self.batch, self.channels, self.filters, self.groups = batch, channels, filters, groups
        self.size, self.kernel, self.stride, self.padding = tuple(size), tuple(kernel), tuple(stride), tuple(padding)
        self.dilation, self.out = tuple(dilation), tuple(out)
        inner = math.prod(kernel[1:])
        # Shifting saves copies of the input's channels and costs additions of the output's.
        self.shifts = kernel[0] if stride[0] == 1 and channels * inner > filters else 1
        positions = math.prod(out)
        self.merged = batch > 1 and positions < _SMALL_IMAGE
        image = channels * math.prod(self.unrolled) * self.rows * math.prod(out[1:]) * itemsize
        if self.merged:
            image += filters * positions * itemsize
        self.block = max(1, (_MERGED_BLOCK_BYTES if self.merged else _BLOCK_BYTES) // max(image, 1))
        self.plain = not self.merged and self.out == self.size and math.prod(kernel) == 1 and not any(padding)

    @property
    def unrolled(self) -> tuple[int, ...]:
        """The kernel's dimensions whose positions get columns of their own."""
        return self.kernel if self.shifts == 1 else self.kernel[1:]

    @property
    def rows(self) -> int:
        """Rows of the first spatial dimension in the columns."""
        return self.out[0] + (self.shifts - 1) * self.dilation[0]

    @property
    def padded(self) -> tuple[int, ...]:
        """The sizes that the windows reach, at least the padded input."""
        return tuple(
            [
                max((o - 1) * s + d * (k - 1) + 1, n + p)
                for o, s, d, k, n, p in zip(
                    self.out, self.stride, self.dilation, self.kernel, self.size, self.padding, strict=True
                )
            ]
        )

    def blocks(self) -> Iterator[slice]:
        return (slice(i, min(i + self.block, self.batch)) for i in range(0, self.batch, self.block))

    def shifted(self, columns: np.ndarray, shift: int, images: int) -> np.ndarray:
        """The columns that kernel row `shift` sees."""
        row = math.prod(self.out[1:]) * (images if self.merged else 1)
        start = shift * self.dilation[0] * row
        return columns[..., start : start + self.out[0] * row]

    def weight_matrices(self, weight: np.ndarray) -> np.ndarray:
        """The weight as (shifts, groups, filters of a group, rows of the columns)."""
        g, s = self.groups, self.shifts
        split = weight.reshape(g, self.filters // g, self.channels // g, s, -1)
        return np.ascontiguousarray(split.transpose(3, 0, 1, 2, 4)).reshape(s, g, self.filters // g, -1)

    def weight_of(self, matrices: np.ndarray) -> np.ndarray:
        """The inverse of `weight_matrices`, as (filters, channels of a group, kernel positions)."""
        g, s = self.groups, self.shifts
        split = matrices.reshape(s, g, self.filters // g, self.channels // g, -1)
        return split.transpose(1, 2, 3, 0, 4).reshape(self.filters, self.channels // g, -1)


# ---------------------------------------------------------------------------------------------- scratch memory


class _Scratch(threading.local):
    """Work memory that is kept between calls, so that its pages need not be mapped again; one a thread."""

    def __init__(self) -> None:
        self.buffers: dict[str, np.ndarray] = {}

    def empty(self, name: str, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
        """An array with undefined contents that lives until the next request under the same name."""
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes > _KEPT_BYTES:
            return np.empty(shape, dtype)
        buffer = self.buffers.get(name)
        if buffer is None or buffer.size < nbytes:
            buffer = self.buffers[name] = np.empty(nbytes, np.uint8)
        return buffer[:nbytes].view(dtype).reshape(shape)


_scratch = _Scratch()


# ---------------------------------------------------------------------------------------------- columns


def _strided(x: np.ndarray, shape: Sequence[int], strides: Sequence[int]) -> np.ndarray:
    return (
        np.ndarray(shape, x.dtype, x, 0, strides)
        if x.flags.c_contiguous
        else np.lib.stride_tricks.as_strided(x, shape, strides)
    )


def _padded(x: np.ndarray, geometry: Geometry) -> np.ndarray:
    """`x` with the zeros around it that windows reach; itself if they reach none."""
    if not any(geometry.padding) and all(n <= m for n, m in zip(geometry.padded, x.shape[2:], strict=True)):
        return x
    padded = _scratch.empty("padded", (*x.shape[:2], *geometry.padded), x.dtype)
    inside: tuple = (slice(None), slice(None))
    for p, n in zip(geometry.padding, x.shape[2:], strict=True):
        padded[(*inside, slice(None, p))] = 0
        padded[(*inside, slice(p + n, None))] = 0
        inside += (slice(p, p + n),)
    padded[inside] = x
    return padded


def _columns(x: np.ndarray, geometry: Geometry, ones: bool = False) -> np.ndarray:
    """The columns of a block of images: (images, groups, rows of the matrix, positions); merged: one matrix a group.

    `ones` appends a row of ones, which a bias is the weight of.
    """
    images = len(x)
    if geometry.plain:
        return x.reshape(images, geometry.groups, geometry.channels // geometry.groups, -1)
    x = _padded(x, geometry)
    step_n, step_c, *steps = x.strides
    kernel_steps = [s * d for s, d in zip(steps, geometry.dilation, strict=True)][len(steps) - len(geometry.unrolled) :]
    space_steps = [s * t for s, t in zip(steps, geometry.stride, strict=True)]
    front, middle = (1, images) if geometry.merged else (images, 1)
    per_group = geometry.channels // geometry.groups
    shape = (front, geometry.groups, per_group, *geometry.unrolled, geometry.rows, middle, *geometry.out[1:])
    strides = (step_n, step_c * per_group, step_c, *kernel_steps, space_steps[0], step_n, *space_steps[1:])
    depth, positions = per_group * math.prod(geometry.unrolled), geometry.rows * middle * math.prod(geometry.out[1:])
    columns = _scratch.empty("columns", (front, geometry.groups, depth + ones, positions), x.dtype)
    np.copyto(columns[:, :, :depth].reshape(shape), _strided(x, shape, strides))  # splits dimensions: a view
    if ones:
        columns[:, :, depth] = 1
    return columns


def _positions(y: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Output-like images as (images, groups, filters of a group, positions), merged in the order of the columns."""
    group = (geometry.groups, geometry.filters // geometry.groups, -1)
    if not geometry.merged:
        return y.reshape(len(y), *group)
    merged = _scratch.empty("merged", (*y.shape[1:3], len(y), *y.shape[3:]), y.dtype)
    np.copyto(merged, y.transpose(1, 2, 0, *range(3, y.ndim)))
    return merged.reshape(1, *group)


# ---------------------------------------------------------------------------------------------- the three products


def correlate(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """The convolution of deep learning: (batch, filters, *out), plus `bias` a filter."""
    out = np.empty((geometry.batch, geometry.filters, *geometry.out), x.dtype)
    x = np.ascontiguousarray(x).reshape(*x.shape[:2], *geometry.size)
    matrices = geometry.weight_matrices(weight)
    first, depth = matrices[0], matrices.shape[-1]
    with_ones = False
    if bias is not None and not geometry.plain:
        with_ones = True
        first = np.concatenate([first, bias.reshape(*first.shape[:2], 1)], -1)
    for block in geometry.blocks():
        y = out[block]
        images = len(y)
        columns = _columns(x[block], geometry, with_ones)
        shape = (
            columns.shape[0],
            geometry.groups,
            geometry.filters // geometry.groups,
            y[0, 0].size * images // len(columns),
        )
        total = _scratch.empty("total", shape, x.dtype) if geometry.merged else y.reshape(shape)
        np.matmul(first, geometry.shifted(columns, 0, images), out=total)
        if geometry.shifts > 1:
            part = _scratch.empty("part", shape, x.dtype)
            for shift in range(1, geometry.shifts):
                np.matmul(matrices[shift], geometry.shifted(columns[:, :, :depth], shift, images), out=part)
                total += part
        if geometry.merged:
            merged = total.reshape(geometry.filters, geometry.out[0], images, *geometry.out[1:])
            np.copyto(y, merged.transpose(2, 0, 1, *range(3, merged.ndim)))
        if bias is not None and geometry.plain:
            y += bias.reshape(-1, *[1] * len(geometry.out))
    return out


def weight_gradient(grad: np.ndarray, x: np.ndarray, geometry: Geometry) -> np.ndarray:
    """What the weight of `correlate` gets: (filters, channels of a group, kernel positions)."""
    x = np.ascontiguousarray(x).reshape(*x.shape[:2], *geometry.size)
    grad = np.ascontiguousarray(grad).reshape(*grad.shape[:2], *geometry.out)
    depth = geometry.channels // geometry.groups * math.prod(geometry.unrolled)
    total = np.zeros((geometry.shifts, geometry.groups, geometry.filters // geometry.groups, depth), x.dtype)
    for block in geometry.blocks():
        columns = _columns(x[block], geometry)
        g = _positions(grad[block], geometry)
        for shift in range(geometry.shifts):
            seen = geometry.shifted(columns, shift, len(grad[block])).swapaxes(-1, -2)
            total[shift] += np.matmul(g, seen).sum(0)
    return geometry.weight_of(total)


def transposed(grad: np.ndarray, weight: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The transpose of `correlate`: from outputs (batch, filters, *out) to inputs (batch, channels, *size)."""
    flipped = _flipped(geometry, grad.dtype.itemsize)
    if flipped is not None:
        g, k = geometry.groups, geometry.kernel
        w = weight.reshape(g, geometry.filters // g, geometry.channels // g, -1)[..., ::-1]
        w = w.swapaxes(1, 2).reshape(geometry.channels, geometry.filters // g, *k)
        return correlate(grad, w, None, flipped)
    grad = np.ascontiguousarray(grad).reshape(*grad.shape[:2], *geometry.out)
    out = np.zeros((geometry.batch, geometry.channels, *geometry.padded), grad.dtype)
    matrices = geometry.weight_matrices(weight).swapaxes(-1, -2)
    for block in geometry.blocks():
        _scatter(
            _gradient_columns(_positions(grad[block], geometry), matrices, geometry, len(grad[block])),
            out[block],
            geometry,
        )
    inside: tuple[Any, ...] = tuple([slice(p, p + n) for p, n in zip(geometry.padding, geometry.size, strict=True)])
    return out[(..., *inside)]


def _flipped(geometry: Geometry, itemsize: int) -> Geometry | None:
    """The transpose as a convolution with the mirrored kernel, where there is no stride and that is less work."""
    reach = [d * (k - 1) for d, k in zip(geometry.dilation, geometry.kernel, strict=True)]
    padding = [r - p for r, p in zip(reach, geometry.padding, strict=True)]
    if any(s != 1 for s in geometry.stride) or min(padding) < 0 or geometry.filters > 4 * geometry.channels:
        return None
    return Geometry(
        geometry.batch,
        geometry.filters,
        geometry.channels,
        geometry.groups,
        geometry.out,
        geometry.kernel,
        geometry.stride,
        padding,
        geometry.dilation,
        geometry.size,
        itemsize,
    )


def _gradient_columns(g: np.ndarray, matrices: np.ndarray, geometry: Geometry, images: int) -> np.ndarray:
    """What the columns get from a block of output gradients, in the shape of the windows they were copied from."""
    front, middle = (1, images) if geometry.merged else (images, 1)
    shape = (front, geometry.channels, *geometry.unrolled, geometry.rows, middle, *geometry.out[1:])
    columns = _scratch.empty("columns", shape, g.dtype)
    flat = columns.reshape(front, geometry.groups, matrices.shape[-2], -1)
    if geometry.shifts == 1:
        np.matmul(matrices[0], g, out=flat)
    else:
        columns.fill(0)
        part = _scratch.empty("part", (*flat.shape[:-1], g.shape[-1]), g.dtype)
        for shift in range(geometry.shifts):
            seen = geometry.shifted(flat, shift, images)
            np.matmul(matrices[shift], g, out=part)
            seen += part
    return columns


def _scatter(columns: Any, out: Any, geometry: Geometry) -> None:
    """Add every column entry to the input it was copied from; `out` is a block of padded images."""
    unrolled = geometry.unrolled
    if geometry.merged:  # (1, channels, *kernel, rows, images, *inner) to images in front
        images = 3 + len(unrolled)
        columns = np.moveaxis(columns[0], images - 1, 0)
    else:
        columns = columns.squeeze(3 + len(unrolled))
    whole = len(unrolled) == len(geometry.kernel)
    for position in itertools.product(*map(range, unrolled)):
        offsets = position if whole else (0, *position)
        sizes = (geometry.rows, *geometry.out[1:])
        target: tuple[Any, ...] = tuple(
            [
                slice(k * d, k * d + (n - 1) * s + 1, s)
                for k, d, n, s in zip(offsets, geometry.dilation, sizes, geometry.stride, strict=True)
            ]
        )
        out[(..., *target)] += columns[(slice(None), slice(None), *position)]


def geometry_of(
    x_shape: Sequence[int],
    weight_shape: Sequence[int],
    out: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    dtype: Any,
) -> Geometry:
    """The geometry for an input (batch, channels, *space) and a weight (filters, channels of a group, *kernel)."""
    return Geometry(
        x_shape[0],
        x_shape[1],
        weight_shape[0],
        groups,
        x_shape[2:],
        weight_shape[2:],
        stride,
        padding,
        dilation,
        out,
        dtype.itemsize,
    )
