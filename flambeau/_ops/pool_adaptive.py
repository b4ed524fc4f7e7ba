"""Pooling to a given output size: adaptive (even bins) and fractional (random bins)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops import _expand_windows
from flambeau._ops._separable import Taps, apply
from flambeau._ops._spatial import (
    Sizes,
    as_size,
    check_dtype,
    image_layout,
    in_format_of,
    per_dim,
    widened,
)
from flambeau._ops.arguments import check_tensor
from flambeau._ops.pool import avg_pool, max_pool, max_pool_index
from flambeau._ops.registry import composite, library
from flambeau._ops.strided import INTERNAL

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

TOP_LEVEL = ("adaptive_avg_pool1d", "adaptive_max_pool1d")


def _fail(message: str) -> None:
    raise RuntimeError(errors.explain(message, site=user_site(3)))


def _bins(n: int, out: int) -> tuple[np.ndarray, np.ndarray]:
    """Start and end of each of `out` bins over `n` elements: floor(i n / out) to ceil((i + 1) n / out)."""
    i = np.arange(out)
    return i * n // out, -(-(i + 1) * n // out)


def _bin_table(n: int, out: int) -> tuple[np.ndarray, np.ndarray]:
    """The elements of each bin as (out, widest), shorter bins repeating their last one, and which of them count."""
    start, end = _bins(n, out)
    reach = np.arange(int((end - start).max(initial=1)))
    index = start[:, None] + reach
    return np.minimum(index, end[:, None] - 1), index < end[:, None]


def _adaptive_size(input: Any, output_size: Any, n: int, op: str) -> Sizes:
    """The output sizes (None keeps the input's); the user's errors."""
    check_tensor(input, op)
    shape = input.shape
    if len(shape) <= n > 1:
        raise ValueError(
            errors.explain(
                f"{op}(): Input dimension should be at least {n + 1}, but got shape {list(shape)}", site=user_site(4)
            )
        )
    if len(shape) not in (n + 1, n + 2):
        _fail(f"{op}(): Expected {n + 1}D or {n + 2}D tensor, but got {list(shape)}")
    no_channels_needed = op in ("adaptive_avg_pool1d", "adaptive_avg_pool2d")
    if 0 in shape[-n - (not no_channels_needed or len(shape) == n + 1) :]:
        _fail(
            f"{op}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes {list(shape)}"
        )
    if isinstance(output_size, (tuple, list)):
        if len(output_size) >= len(shape) and n > 1:
            raise ValueError(f"Input dimension should be at least {len(output_size) + 1}")
        if len(output_size) != n:
            _fail(f"{op}: output_size must be {n}, got {list(output_size)}")
        given = output_size
    else:
        given = (output_size,) * n
    kept = isinstance(output_size, (tuple, list)) and n > 1  # a None in a list keeps the size
    size = tuple(
        [own if o is None and kept else as_size(o, "output_size", op) for o, own in zip(given, shape[-n:], strict=True)]
    )
    if min(size) < 0:
        _fail(f"{op}: elements of output_size must be greater than or equal to 0 but received {list(size)}")
    return size


def _even(shape: Sequence[int], size: Sizes) -> Sizes | None:
    """The window, if all bins are equal and do not overlap."""
    pairs = list(zip(shape[-len(size) :], size, strict=True))
    return tuple([n // o for n, o in pairs]) if all(o and n % o == 0 for n, o in pairs) else None


# ---------------------------------------------------------------------------------------------- averages


def _mean_taps(n: int, out: int) -> Taps:
    index, counted = _bin_table(n, out)
    return Taps(index, counted / counted.sum(1, keepdims=True), n, ragged=True)


def _infer_bin_means(m: Meta, size: Sizes) -> Meta:
    check_dtype(m.dtype, f"adaptive_avg_pool{len(size)}d")
    shape = (*m.shape[: -len(size)], *size)
    return image_layout(m.dtype, shape, m) if len(size) == 2 else contiguous(m.dtype, shape)


@library(
    category="window",
    **INTERNAL,
    infer=_infer_bin_means,
    expand=_expand_windows.bin_means,
    gradient={"input": lambda g, input_meta, size: bin_means_backward(g, tuple(input_meta.shape), size)},
)
def bin_means(input: Any, size: Sizes) -> Any:
    """The averages of `size` bins over the last dimensions."""
    return apply(widened(input), [_mean_taps(n, o) for n, o in zip(input.shape[-len(size) :], size, strict=True)])


@library(
    category="window",
    **INTERNAL,
    infer=lambda g, shape, size: contiguous(g.dtype, shape),
    expand=_expand_windows.bin_means_backward,
    gradient={"grad": lambda g, size: bin_means(g, size)},
)
def bin_means_backward(grad: Any, shape: Sizes, size: Sizes) -> Any:
    """The transpose of `bin_means`, to an input of the given shape."""
    taps = [_mean_taps(n, o).transposed() for n, o in zip(shape[-len(size) :], size, strict=True)]
    return apply(widened(grad), taps)


def _average_name(n: int, input: Any, output_size: Any) -> str:
    """A single bin is a mean, as in PyTorch."""
    single = output_size == 1 or tuple(output_size if n > 1 and type(output_size) is not int else ()) == (1,) * n
    return "MeanBackward1" if single else f"AdaptiveAvgPool{max(n, 2)}DBackward0"


def _saved_for_average(n: int, input: Any, output_size: Any) -> tuple[str, ...]:
    return () if _average_name(n, input, output_size).startswith("Mean") else ("input",)


def _adaptive_avg(n: int, input: Any, output_size: Any) -> Any:
    size = _adaptive_size(input, output_size, n, f"adaptive_avg_pool{n}d")
    window = _even(input.shape, size)
    if window is not None and input.dtype.is_floating_point:
        return avg_pool(input, window, window, (0,) * n, False, True, None)
    return bin_means(input, size)


def _averaging(n: int) -> Callable[[Callable], Any]:
    """What makes the average over n dimensions an operation."""
    name, saves = partial(_average_name, n), partial(_saved_for_average, n)
    return composite(node_name=name, shows=("input",), namespace="nn.functional", method=False, saves=saves)


@_averaging(1)
def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """The averages of `output_size` even bins of a signal (N, C, L) or (C, L).

    Bin i reaches from floor(i L / output_size) to ceil((i + 1) L / output_size).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.adaptive_avg_pool1d(torch.tensor([[1., 2., 3., 4., 5.]]), 2)
        tensor([[2., 4.]])
    """
    return _adaptive_avg(1, input, output_size)


@_averaging(2)
def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """The averages of even bins of images (N, C, H, W) or (C, H, W); a None in `output_size` keeps that size.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.adaptive_avg_pool2d(torch.arange(6.).reshape(1, 2, 3), 1)
        tensor([[[2.5000]]])
    """
    return _adaptive_avg(2, input, output_size)


@_averaging(3)
def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """The averages of even bins of volumes (N, C, D, H, W) or (C, D, H, W); a None in `output_size` keeps that size.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.adaptive_avg_pool3d(torch.ones(1, 4, 5, 6), (2, None, 3)).shape
        torch.Size([1, 2, 5, 3])
    """
    return _adaptive_avg(3, input, output_size)


# ---------------------------------------------------------------------------------------------- maxima by table


def _window_maxima(x: Any, index: Any) -> tuple[Any, Any]:
    """Maxima over the last axis of `index` (..., windows, elements), which points into the last axis of `x`."""
    flat = index.reshape(*index.shape[:-2], index.shape[-2] * index.shape[-1])
    taken = x[..., flat] if flat.ndim == 1 else np.take_along_axis(x, flat, -1)
    taken = taken.reshape(*taken.shape[:-1], *index.shape[-2:])
    where = taken.argmax(-1)[..., None]
    found = np.take_along_axis(np.broadcast_to(index, taken.shape), where, -1)
    return np.take_along_axis(taken, where, -1)[..., 0], found[..., 0]


def _flat_windows(tables: Sequence[Any], size: Sequence[int]) -> Any:
    """One (..., windows, elements) table of flat indices from a table (..., out, kernel) a dimension."""
    n = len(tables)
    lead = tables[0].ndim - 2
    total: Any = 0
    for d, table in enumerate(tables):
        shape = [*table.shape[:lead], *[1] * (2 * n)]
        shape[lead + d], shape[lead + n + d] = table.shape[lead:]
        total = total * size[d] + table.reshape(shape)
    space = total.shape[lead:]
    return total.reshape(*total.shape[:lead], math.prod(space[:n]), math.prod(space[n:]))


def _point_back(g: Any, index: Any, m: Meta, n: int) -> Any:
    """The gradient of maxima: each element of `g` is added where `index` points in an input described by `m`."""
    lead = tuple(m.shape[: m.ndim - n])
    flat = math.prod(m.shape[m.ndim - n :])
    return g.new_zeros((*lead, flat)).scatter_add(-1, index.flatten(-n), g.flatten(-n)).reshape(tuple(m.shape))


def _infer_bin_maxima(m: Meta, size: Sizes) -> tuple[Meta, Meta]:
    check_dtype(m.dtype, f"adaptive_max_pool{len(size)}d")
    shape = (*m.shape[: -len(size)], *size)
    if len(size) != 2:
        return contiguous(m.dtype, shape), contiguous(dtypes.int64, shape)
    return image_layout(m.dtype, shape, m), image_layout(dtypes.int64, shape, m)


@library(
    category="window",
    **INTERNAL,
    infer=_infer_bin_maxima,
    expand=_expand_windows.bin_maxima,
    nondifferentiable=(1,),
    gradient={"input": lambda g0, out1, input_meta, size: _point_back(g0, out1, input_meta, len(size))},
)
def bin_maxima(input: Any, size: Sizes) -> Any:
    """The maxima of `size` bins over the last dimensions and their flat indices."""
    spatial = input.shape[-len(size) :]
    index = _flat_windows([_bin_table(n, o)[0] for n, o in zip(spatial, size, strict=True)], spatial)
    x = widened(input).reshape(*input.shape[: -len(size)], math.prod(spatial))
    shape = (*input.shape[: -len(size)], *size)
    return tuple([r.reshape(shape) for r in _window_maxima(x, index)])


def _adaptive_max(n: int, input: Any, output_size: Any, return_indices: bool) -> Any:
    size = _adaptive_size(input, output_size, n, f"adaptive_max_pool{n}d")
    window = _even(input.shape, size)
    if window is None or not input.dtype.is_floating_point:
        values, indices = bin_maxima(input, size)
        return (values, indices) if return_indices else values
    numbers = (window, window, (0,) * n, (1,) * n, False)
    values, code = max_pool(input if n == 2 else input.contiguous(), *numbers)
    if not return_indices:
        return values
    return values, in_format_of(max_pool_index(code, tuple(input.shape), *numbers), values)


def _maximizing(node_name: str) -> Callable[[Callable], Any]:
    """What makes a maximum an operation."""
    saves = ("input", "out1")
    return composite(node_name=node_name, shows=("input",), namespace="nn.functional", method=False, saves=saves)


@_maximizing("AdaptiveMaxPool2DBackward0")
def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of `output_size` even bins of a signal (N, C, L) or (C, L), with `return_indices` also where they
    stand.

    Bins as in `adaptive_avg_pool1d`.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.adaptive_max_pool1d(torch.tensor([[1., 9., 3., 4., 5.]]), 2)
        tensor([[9., 5.]])
    """
    return _adaptive_max(1, input, output_size, return_indices)


@_maximizing("AdaptiveMaxPool2DBackward0")
def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of even bins of images (N, C, H, W) or (C, H, W); a None in `output_size` keeps that size.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.adaptive_max_pool2d(torch.arange(6.).reshape(1, 2, 3), (1, 2))
        tensor([[[4., 5.]]])
    """
    return _adaptive_max(2, input, output_size, return_indices)


@_maximizing("AdaptiveMaxPool3DBackward0")
def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of even bins of volumes (N, C, D, H, W) or (C, D, H, W); a None in `output_size` keeps that size.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.adaptive_max_pool3d(torch.ones(1, 4, 5, 6), (2, None, 3)).shape
        torch.Size([1, 2, 5, 3])
    """
    return _adaptive_max(3, input, output_size, return_indices)


def _adaptive_with_indices(n: int) -> Any:
    """`adaptive_max_pool{n}d` that always returns the indices, too."""

    def pool(input: Any, output_size: Any, return_indices: bool = True) -> Any:
        return _adaptive_max(n, input, output_size, True)

    pool.__doc__ = f"`adaptive_max_pool{n}d` with `return_indices=True`: the maxima and their indices."
    return composite(namespace="nn.functional", method=False, name=f"adaptive_max_pool{n}d_with_indices")(pool)


adaptive_max_pool1d_with_indices, adaptive_max_pool2d_with_indices, adaptive_max_pool3d_with_indices = map(
    _adaptive_with_indices, (1, 2, 3)
)


# ---------------------------------------------------------------------------------------------- random bins


def _fractional_starts(sample: Any, n: int, out: int, kernel: int) -> Any:
    """Where the windows of a dimension start, (..., out): pseudo-random steps of (n - kernel) / (out - 1) on average.

    Source: B. Graham, Fractional Max-Pooling, 2014.
    """
    sample = sample[..., None]
    if out == 1:
        return np.full((*sample.shape[:-1], 1), n - kernel)
    alpha = sample.dtype.type((n - kernel) / (out - 1))
    i = np.arange(out - 1, dtype=sample.dtype)
    starts = ((i + sample) * alpha).astype(np.int64) - (sample * alpha).astype(np.int64)
    return np.concatenate([starts, np.full((*sample.shape[:-1], 1), n - kernel)], -1)


def _infer_fractional(m: Meta, samples: Meta, kernel: Sizes, size: Sizes) -> tuple[Meta, Meta]:
    op = f"fractional_max_pool{len(kernel)}d"
    check_dtype(m.dtype, op)
    for name, k, n, o in zip(
        ("time", "height", "width")[-len(kernel) :], kernel, m.shape[-len(kernel) :], size, strict=True
    ):
        if o + k - 1 > n:
            _fail(f"{op}(): pool {name} {k} too large relative to input {name} {n}, for an output {name} of {o}")
    shape = (*m.shape[: -len(size)], *size)
    return contiguous(m.dtype, shape), contiguous(dtypes.int64, shape)


@library(
    category="window",
    **INTERNAL,
    infer=_infer_fractional,
    nondifferentiable=(1,),
    gradient={"input": lambda g0, out1, input_meta, size: _point_back(g0, out1, input_meta, len(size))},
)
def fractional_maxima(input: Any, samples: Any, kernel: Sizes, size: Sizes) -> Any:
    """The maxima of windows whose starts are drawn by `samples` (N, C, dimensions), and their flat indices."""
    n = len(size)
    spatial, lead = input.shape[-n:], input.shape[:-n]
    drawn = widened(samples)[: len(input)] if input.ndim == n + 2 else widened(samples)[0]
    # in two dimensions the first sample is the width's, in three the first is the depth's
    order = range(n)[::-1] if n == 2 else range(n)
    tables = [
        _fractional_starts(drawn[..., s], d, o, k)[..., None] + np.arange(k)
        for s, d, o, k in zip(order, spatial, size, kernel, strict=True)
    ]
    found = _window_maxima(widened(input).reshape(*lead, math.prod(spatial)), _flat_windows(tables, spatial))
    return tuple([r.reshape(*lead, *size) for r in found])


def _fractional(
    n: int, input: Any, kernel: Any, output_size: Any, output_ratio: Any, return_indices: bool, samples: Any
) -> Any:
    op = f"fractional_max_pool{n}d"
    check_tensor(input, op)
    if output_size is None and output_ratio is None:
        raise ValueError(f"{op} requires specifying either an output_size or an output_ratio")
    if input.dim() not in (n + 1, n + 2):
        _fail(f"{op}(): Expected {n + 1}D or {n + 2}D tensor, but got: {list(input.shape)}")
    if output_size is None:
        ratios = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * n
        output_size = [int(size * r) for size, r in zip(input.shape[-n:], ratios, strict=True)]
    size = per_dim(output_size, n, "output_size", op)
    if samples is None:
        batch = 1 if input.dim() == n + 1 else input.shape[0]
        samples = input.new_empty((batch, input.shape[-n - 1], n)).uniform_()
    values, indices = fractional_maxima(input, samples, per_dim(kernel, n, "kernel_size", op), size)
    return (values, indices) if return_indices else values


@composite(namespace="nn.functional", method=False, saves=("input",))
def fractional_max_pool2d(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """The maxima of windows at pseudo-random distances, so that sizes shrink by any ratio; images (N, C, H, W) or (C,
    H, W).

    Either `output_size` or `output_ratio` (between 0 and 1) says how many windows; `_random_samples` (N, C, 2) in [0,
    1) replaces the random draw. Source: B. Graham, Fractional Max-Pooling, 2014. ValueError without a size.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.fractional_max_pool2d(torch.ones(1, 1, 8, 8), 2, output_ratio=0.75).shape
        torch.Size([1, 1, 6, 6])
    """
    return _fractional(2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


@composite(namespace="nn.functional", method=False, saves=("input",))
def fractional_max_pool3d(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """`fractional_max_pool2d` of volumes (N, C, D, H, W) or (C, D, H, W); `_random_samples` is (N, C, 3).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.fractional_max_pool3d(torch.ones(1, 1, 8, 8, 8), 2, output_size=(4, 5, 6)).shape
        torch.Size([1, 1, 4, 5, 6])
    """
    return _fractional(3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def _fractional_with_indices(n: int) -> Any:
    def pool(
        input: Any,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = True,
        _random_samples: Any = None,
    ) -> Any:
        return _fractional(n, input, kernel_size, output_size, output_ratio, True, _random_samples)

    pool.__doc__ = f"`fractional_max_pool{n}d` with `return_indices=True`: the maxima and their indices."
    return composite(namespace="nn.functional", method=False, name=f"fractional_max_pool{n}d_with_indices")(pool)


fractional_max_pool2d_with_indices, fractional_max_pool3d_with_indices = map(_fractional_with_indices, (2, 3))
