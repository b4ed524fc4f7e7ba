"""Sliding blocks of images as columns (unfold, also called im2col) and their sum back into images (fold)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flambeau._core import errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops import _expand_windows
from flambeau._ops._spatial import Sizes, per_dim, widened
from flambeau._ops.arguments import check_tensor
from flambeau._ops.registry import composite, library
from flambeau._ops.strided import INTERNAL

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


def _fail(message: str) -> None:
    raise RuntimeError(errors.explain(message, site=user_site(3)))


def _block_counts(size: Sizes, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> Sizes:
    """How many blocks fit a dimension: floor((n + 2p - d(k - 1) - 1) / s) + 1."""
    return tuple(
        [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, d, p, s in zip(size, kernel, dilation, padding, stride, strict=True)
        ]
    )


def _positions(kernel: Sizes, dilation: Sizes, stride: Sizes, counts: Sizes) -> Iterator[tuple[tuple, tuple]]:
    """For each position within the blocks: its index, and the slices of a padded image that all blocks see there."""
    for at in itertools.product(*map(range, kernel)):
        yield (
            at,
            tuple(
                [
                    slice(a * d, a * d + (c - 1) * s + 1, s)
                    for a, d, s, c in zip(at, dilation, stride, counts, strict=True)
                ]
            ),
        )


def _padded(lead: tuple, size: Sizes, padding: Sizes, d: Any) -> tuple[Any, tuple]:
    """Zeros for a padded image, and the index of the image within."""
    zeros = np.zeros((*lead, *[n + 2 * p for n, p in zip(size, padding, strict=True)]), d)
    return zeros, (..., *[slice(p, p + n) for n, p in zip(size, padding, strict=True)])


def _infer_columns(m: Meta, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> Meta:
    size = tuple(m.shape[-2:])
    counts = _block_counts(size, kernel, dilation, padding, stride)
    if min(counts) < 1:
        _fail(
            f"Given input with spatial size {size}, kernel_size={kernel}, dilation={dilation}, padding={padding}, "
            f"calculated shape "
            f"of the array of sliding blocks as {counts}, but its components must be at least one."
        )
    return contiguous(m.dtype, (m.shape[0], m.shape[1] * kernel[0] * kernel[1], counts[0] * counts[1]))


def _expand_columns(c: Any, x: Any, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> Any:
    counts = _block_counts(tuple(x.shape[2:]), kernel, dilation, padding, stride)
    return _expand_windows.columns(c, x, kernel, dilation, padding, stride, counts)


@library(
    expand=_expand_columns,
    category="window",
    **INTERNAL,
    infer=_infer_columns,
    gradient={
        "input": lambda g, input_meta, kernel, dilation, padding, stride: col2im(
            g, tuple(input_meta.shape[-2:]), kernel, dilation, padding, stride
        )
    },
)
def im2col(input: Any, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> Any:
    """The sliding blocks of (N, C, H, W) as columns (N, C kH kW, blocks)."""
    n, channels, *size = input.shape
    counts = _block_counts(tuple(size), kernel, dilation, padding, stride)
    padded, inside = _padded((n, channels), tuple(size), padding, input.dtype)
    padded[inside] = input
    columns = np.empty((n, channels, *kernel, *counts), input.dtype)
    for at, seen in _positions(kernel, dilation, stride, counts):
        columns[(slice(None), slice(None), *at)] = padded[(..., *seen)]
    return columns.reshape(n, channels * kernel[0] * kernel[1], counts[0] * counts[1])


def _infer_image(m: Meta, size: Sizes, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> Meta:
    count = kernel[0] * kernel[1]
    if m.shape[1] % count:
        _fail(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got input.size(1)="
            f"{m.shape[1]} and kernel_size={kernel}."
        )
    counts = _block_counts(size, kernel, dilation, padding, stride)
    given = f"Given output_size={size}, kernel_size={kernel}, dilation={dilation}, padding={padding}, stride={stride}"
    if min(counts) < 1:
        _fail(f"{given}, which makes the number of sliding blocks {counts}; it must be at least one in each dimension.")
    if counts[0] * counts[1] != m.shape[2]:
        _fail(
            f"{given}, expected size of input's dimension 2 to match the calculated number of sliding blocks "
            f"{counts[0]} * "
            f"{counts[1]} = {counts[0] * counts[1]}, but got input.size(2)={m.shape[2]}."
        )
    return contiguous(m.dtype, (m.shape[0], m.shape[1] // count, *size))


def _expand_images(c: Any, x: Any, size: Sizes, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> Any:
    counts = _block_counts(size, kernel, dilation, padding, stride)
    return _expand_windows.images(c, x, size, kernel, dilation, padding, stride, counts)


@library(
    expand=_expand_images,
    category="window",
    **INTERNAL,
    infer=_infer_image,
    gradient={"input": lambda g, kernel, dilation, padding, stride: im2col(g, kernel, dilation, padding, stride)},
)
def col2im(input: Any, size: Sizes, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> Any:
    """Columns (N, C kH kW, blocks) summed into images (N, C, *size): the transpose of `im2col`."""
    x = widened(input)
    counts = _block_counts(size, kernel, dilation, padding, stride)
    columns = x.reshape(len(x), x.shape[1] // (kernel[0] * kernel[1]), *kernel, *counts)
    padded, inside = _padded(columns.shape[:2], size, padding, x.dtype)
    for at, seen in _positions(kernel, dilation, stride, counts):
        padded[(..., *seen)] += columns[(slice(None), slice(None), *at)]
    return padded[inside]


def _numbers(kernel: Any, dilation: Any, padding: Any, stride: Any, op: str) -> tuple[Sizes, Sizes, Sizes, Sizes]:
    kernel, dilation = per_dim(kernel, 2, "kernel_size", op), per_dim(dilation, 2, "dilation", op)
    padding, stride = per_dim(padding, 2, "padding", op), per_dim(stride, 2, "stride", op)
    for name, value in (("kernel size", kernel), ("dilation", dilation), ("stride", stride)):
        if min(value) <= 0:
            _fail(f"{name} should be greater than zero, but got height: {value[0]} width: {value[1]}")
    if min(padding) < 0:
        _fail(f"padding should be non-negative, but got padding height: {padding[0]} width: {padding[1]}")
    return kernel, dilation, padding, stride


@composite(namespace="nn.functional", method=False)
def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The sliding blocks of images (N, C, H, W) or (C, H, W) as columns (N, C kH kW, L), L the number of blocks.

    RuntimeError where no block fits.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.unfold(torch.arange(9.).reshape(1, 1, 3, 3), 2)
        tensor([[[0., 1., 3., 4.],
                 [1., 2., 4., 5.],
                 [3., 4., 6., 7.],
                 [4., 5., 7., 8.]]])
    """
    check_tensor(input, "unfold")
    numbers = _numbers(kernel_size, dilation, padding, stride, "unfold")
    if input.dim() not in (3, 4) or 0 in input.shape[-3:]:
        _fail(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for "
            "input, but got: "
            f"{list(input.shape)}"
        )
    if input.dim() == 3:
        return im2col(input.unsqueeze(0), *numbers).squeeze(0)
    return im2col(input, *numbers)


@composite(namespace="nn.functional", method=False)
def fold(input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Columns (N, C kH kW, L) or (C kH kW, L) summed into images of `output_size`, where `unfold` would have taken them
    from.

    RuntimeError if L is not the number of blocks of such an image.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.fold(torch.ones(1, 4, 4), (3, 3), 2)
        tensor([[[[1., 2., 1.],
                  [2., 4., 2.],
                  [1., 2., 1.]]]])
    """
    check_tensor(input, "fold")
    numbers = _numbers(kernel_size, dilation, padding, stride, "fold")
    if input.dim() not in (2, 3) or 0 in input.shape[-2:]:
        _fail(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for "
            "input, but got: "
            f"{list(input.shape)}"
        )
    size = per_dim(output_size, 2, "output_size", "fold")
    if input.dim() == 2:
        return col2im(input.unsqueeze(0), size, *numbers).squeeze(0)
    return col2im(input, size, *numbers)
