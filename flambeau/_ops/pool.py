"""Pooling over sliding windows: maximum, average, power mean, and the inverse of maximum pooling."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops import _expand_places, _expand_windows
from flambeau._ops import _pooling as kernels
from flambeau._ops._spatial import (
    LONG,
    Sizes,
    check_dtype,
    check_images,
    image_layout,
    in_format_of,
    per_dim,
    widened,
)
from flambeau._ops.arguments import check_tensor
from flambeau._ops.registry import composite, library
from flambeau._ops.strided import INTERNAL

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

TOP_LEVEL = ("max_pool1d", "max_pool2d", "max_pool3d", "max_pool1d_with_indices", "avg_pool1d")


def _fail(message: str, hint: str = "") -> None:
    raise RuntimeError(errors.explain(message, hint=hint, site=user_site(3)))


# ---------------------------------------------------------------------------------------------- sizes


def _window_count(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """floor((n + 2p - d(k - 1) - 1) / s) + 1; `ceil_mode` rounds up, but no window starts in the padding behind."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding else count


def _windows(
    shape: Any, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> kernels.Windows:
    size = shape[-len(kernel) :]
    out = [_window_count(*numbers, ceil_mode) for numbers in zip(size, kernel, stride, padding, dilation, strict=True)]
    return kernels.Windows(size, kernel, stride, padding, dilation, out)


def _pooled_shape(
    m: Meta, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool, op: str
) -> tuple[int, ...]:
    """The shape after pooling; the user's errors."""
    n = len(kernel)
    check_images(m, n, op)
    if min(kernel) <= 0:
        _fail(f"{op}: kernel size should be greater than zero, but got {list(kernel)}")
    if 0 in stride:
        _fail("stride should not be zero")
    if min(stride) < 0 or min(dilation) <= 0:
        _fail(
            f"{op}: stride and dilation should be greater than zero, but got stride {list(stride)} and dilation "
            f"{list(dilation)}"
        )
    for p, k, d in zip(padding, kernel, dilation, strict=True):
        if p < 0:
            _fail(f"pad must be non-negative, but got pad: {p}")
        if 2 * p > d * (k - 1) + 1:
            _fail(
                f"pad should be at most half of effective kernel size, but got pad={p}, kernel_size={k} and "
                f"dilation={d}"
            )
    out = _windows(m.shape, kernel, stride, padding, dilation, ceil_mode).out
    if min(out) <= 0:
        sizes = "x".join(map(str, m.shape[-n - 1 :]))
        _fail(
            f"Given input size: ({sizes}). Calculated output size: ({m.shape[-n - 1]}x{'x'.join(map(str, out))}). "
            f"Output size is too small"
        )
    return (*m.shape[:-n], *out)


def _numbers(
    n: int, op: str, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> tuple[Sizes, Sizes, Sizes, Sizes]:
    """Kernel, stride (the kernel by default), padding and dilation as tuples."""
    kernel = per_dim(kernel, n, "kernel_size", op)
    stride = (
        kernel
        if stride is None or (isinstance(stride, (tuple, list)) and not stride)
        else per_dim(stride, n, "stride", op)
    )
    return kernel, stride, per_dim(padding, n, "padding", op), per_dim(dilation, n, "dilation", op)


# ---------------------------------------------------------------------------------------------- maximum


def _infer_max(
    m: Meta, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> tuple[Meta, Meta]:
    op = f"max_pool{len(kernel)}d"
    shape = _pooled_shape(m, kernel, stride, padding, dilation, ceil_mode, op)
    if m.dtype is dtypes.bool_ or m.dtype.is_complex or (len(kernel) == 1 and not m.dtype.is_floating_point):
        raise errors.not_implemented(op, m.dtype)
    return image_layout(m.dtype, shape, m), contiguous(_code_dtype(kernel), shape)


def _code_dtype(kernel: Sizes) -> dtypes.dtype:
    return dtypes.uint8 if math.prod(kernel) <= 256 else dtypes.int32


@library(
    node_name=lambda m, kernel, *_: f"MaxPool{max(len(kernel), 2)}DWithIndicesBackward0",
    expand=_expand_windows.template("max_pool", _infer_max),
    category="window",
    **INTERNAL,
    infer=_infer_max,
    nondifferentiable=(1,),
    gradient={
        "input": lambda g0, out1, input_meta, kernel, stride, padding, dilation, ceil_mode: max_pool_place(
            g0, out1, tuple(input_meta.shape), kernel, stride, padding, dilation, ceil_mode
        )
    },
)
def max_pool(input: Any, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool) -> Any:
    """Maxima of windows over the last dimensions, and at which position within its window each was found."""
    return kernels.maximum(widened(input), _windows(input.shape, kernel, stride, padding, dilation, ceil_mode))


def _infer_placed(g: Meta, code: Meta, shape: Sizes, *numbers: Any) -> Meta:
    return contiguous(g.dtype, shape)


@library(
    expand=_expand_windows.template("max_pool_place", _infer_placed, 2),
    category="window",
    **INTERNAL,
    infer=_infer_placed,
    gradient={
        "grad": lambda g, code, kernel, stride, padding, dilation, ceil_mode: max_pool_take(
            g, code, kernel, stride, padding, dilation, ceil_mode
        )
    },
)
def max_pool_place(
    grad: Any, code: Any, shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> Any:
    """The gradient of `max_pool`: each element of `grad` goes to the input that was the maximum."""
    return kernels.place(widened(grad), code, _windows(shape, kernel, stride, padding, dilation, ceil_mode))


@library(
    expand=lambda c, x, code, *numbers: _expand_windows.taken(c, x, code, _windows(x.shape, *numbers)),
    category="window",
    **INTERNAL,
    infer=lambda m, code, kernel, stride, padding, dilation, ceil_mode: contiguous(m.dtype, code.shape),
    gradient={
        "input": lambda g, code, input_meta, kernel, stride, padding, dilation, ceil_mode: max_pool_place(
            g, code, tuple(input_meta.shape), kernel, stride, padding, dilation, ceil_mode
        )
    },
)
def max_pool_take(
    input: Any, code: Any, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> Any:
    """What `code` of an earlier `max_pool` points at in `input`."""
    return kernels.take(input, code, _windows(input.shape, kernel, stride, padding, dilation, ceil_mode))


@library(
    expand=lambda c, code, shape, *numbers: _expand_windows.positions(c, code, _windows(shape, *numbers)),
    category="window",
    **INTERNAL,
    infer=lambda code, shape, kernel, stride, padding, dilation, ceil_mode: contiguous(dtypes.int64, code.shape),
)
def max_pool_index(
    code: Any, shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> Any:
    """`code` as indices into the flattened spatial dimensions of an input of the given shape."""
    return kernels.flat_index(code, _windows(shape, kernel, stride, padding, dilation, ceil_mode))


def _max_pool(
    n: int, op: str, input: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any, indices: bool
) -> Any:
    check_tensor(input, op)
    numbers = (*_numbers(n, op, kernel, stride, padding, dilation), bool(ceil_mode))
    values, code = max_pool(input, *numbers)
    return (values, in_format_of(max_pool_index(code, tuple(input.shape), *numbers), values)) if indices else values


@composite(namespace="nn.functional", method=False, saves=("input", "out1"))
def max_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of every window of a signal (N, C, L) or (C, L), with `return_indices` also where in L it stands.

    `stride` is the window's size by default; `padding`, at most half the window, never wins; `ceil_mode` keeps an
    incomplete last window. NaN wins over everything. RuntimeError for sizes that do not fit.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.max_pool1d(torch.tensor([[1., 5., 2., 3.]]), 2)
        tensor([[5., 3.]])
    """
    return _max_pool(1, "max_pool1d", input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@composite(namespace="nn.functional", method=False, saves=("input", "out1"))
def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of every window of images (N, C, H, W) or (C, H, W), with `return_indices` also its index in H * W.

    Parameters as in `max_pool1d`; sizes may be pairs.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.max_pool2d(torch.arange(16.).reshape(1, 4, 4), 2)
        tensor([[[ 5.,  7.],
                 [13., 15.]]])
    """
    return _max_pool(2, "max_pool2d", input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@composite(namespace="nn.functional", method=False, saves=("input", "out1"))
def max_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of every window of volumes (N, C, D, H, W) or (C, D, H, W); parameters as in `max_pool1d`.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.max_pool3d(torch.ones(1, 4, 4, 4), 2).shape
        torch.Size([1, 2, 2, 2])
    """
    return _max_pool(3, "max_pool3d", input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _with_indices(n: int) -> Any:
    """`max_pool{n}d` that always returns the indices, too."""

    def pool(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = True,
    ) -> Any:
        return _max_pool(n, f"max_pool{n}d", input, kernel_size, stride, padding, dilation, ceil_mode, True)

    pool.__doc__ = f"`max_pool{n}d` with `return_indices=True`: the maxima and their indices."
    return composite(namespace="nn.functional", method=False, name=f"max_pool{n}d_with_indices")(pool)


max_pool1d_with_indices, max_pool2d_with_indices, max_pool3d_with_indices = map(_with_indices, (1, 2, 3))


# -------------------------------------------------------------------------------- the inverse of maximum pooling


def _infer_unpool(input: Meta, indices: Meta, size: Sizes) -> Meta:
    if indices.dtype is not dtypes.int64:
        _fail(f"elements in indices should be type int64 but got: {errors.TYPE_NAMES[indices.dtype.name]}")
    if indices.shape != input.shape:
        _fail(
            f"Expected shape of indices to be same as that of the input tensor ({list(input.shape)}) but got indices "
            f"tensor with "
            f"shape: {list(indices.shape)}"
        )
    shape = (*input.shape[: -len(size)], *size)
    return image_layout(input.dtype, shape, input) if len(size) == 2 else contiguous(input.dtype, shape)


@library(
    expand=_expand_places.max_unpool,
    category="index",
    **INTERNAL,
    infer=_infer_unpool,
    fallible=True,
    gradient={
        "input": lambda g, indices, size: (
            g.flatten(-len(size)).gather(-1, indices.flatten(-len(size))).view(indices.shape)
        )
    },
)
def max_unpool(input: Any, indices: Any, size: Sizes) -> Any:
    """Zeros of spatial sizes `size` with the elements of `input` where `indices` point."""
    lead = input.shape[: -len(size)]
    out = np.zeros((*lead, math.prod(size)), input.dtype)
    flat = indices.reshape(*lead, math.prod(indices.shape[-len(size) :]))
    if flat.size and (flat.min() < 0 or flat.max() >= out.shape[-1]):
        wrong = int(flat.max()) if flat.max() >= out.shape[-1] else int(flat.min())
        raise RuntimeError(
            f"Found an invalid max index: {wrong} (output volumes are of size {'x'.join(map(str, size))})"
        )
    np.put_along_axis(out, flat, input.reshape(flat.shape), -1)
    return out.reshape(*lead, *size)


def _max_unpool(
    n: int, op: str, input: Any, indices: Any, kernel: Any, stride: Any, padding: Any, output_size: Any
) -> Any:
    check_tensor(input, op)
    check_tensor(indices, op, "indices", 2)
    kernel, stride, padding, _ = _numbers(n, op, kernel, stride, padding, 1)
    check_images(input._meta, n, op)
    default = [
        (size - 1) * s + k - 2 * p for size, s, k, p in zip(input.shape[-n:], stride, kernel, padding, strict=True)
    ]
    return max_unpool(input, indices, _unpooled_size(default, stride, output_size))


def _unpooled_size(default: list[int], stride: Sizes, output_size: Any) -> Sizes:
    """`output_size` without batch and channels, checked against what the windows can have come from."""
    if output_size is None:
        return tuple(default)
    n = len(default)
    size = tuple([int(s) for s in output_size])
    if len(size) == n + 2:
        size = size[2:]
    if len(size) != n:
        raise ValueError(
            f"output_size should be a sequence containing {n} or {n + 2} elements, but it has a length of '{len(size)}'"
        )
    for d in range(n):
        low, high = default[d] - stride[d], default[d] + stride[d]
        if not low < size[d] < high:
            raise ValueError(f'invalid output_size "{size}" (dim {d} must be between {low} and {high})')
    return size


@composite(namespace="nn.functional", method=False)
def max_unpool1d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Puts the maxima of `max_pool1d(..., return_indices=True)` back where they came from, zeros elsewhere.

    `output_size` chooses among the lengths that pool to the same one. RuntimeError for an index outside of it.

    Example::

        >>> import flambeau as torch
        >>> values, indices = torch.nn.functional.max_pool1d(torch.tensor([[1., 5., 2., 3.]]), 2, return_indices=True)
        >>> torch.nn.functional.max_unpool1d(values, indices, 2)
        tensor([[0., 5., 0., 3.]])
    """
    return _max_unpool(1, "max_unpool1d", input, indices, kernel_size, stride, padding, output_size)


@composite(namespace="nn.functional", method=False)
def max_unpool2d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Puts the maxima of `max_pool2d(..., return_indices=True)` back where they came from, zeros elsewhere; see
    `max_unpool1d`.

    Example::

        >>> import flambeau as torch
        >>> x = torch.tensor([[[1., 2.], [3., 4.]]])
        >>> values, indices = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
        >>> torch.nn.functional.max_unpool2d(values, indices, 2)
        tensor([[[0., 0.],
                 [0., 4.]]])
    """
    return _max_unpool(2, "max_unpool2d", input, indices, kernel_size, stride, padding, output_size)


@composite(namespace="nn.functional", method=False)
def max_unpool3d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Puts the maxima of `max_pool3d(..., return_indices=True)` back where they came from, zeros elsewhere; see
    `max_unpool1d`.

    Example::

        >>> import flambeau as torch
        >>> values, indices = torch.nn.functional.max_pool3d(torch.ones(1, 2, 2, 2), 2, return_indices=True)
        >>> torch.nn.functional.max_unpool3d(values, indices, 2).sum()
        tensor(1.)
    """
    return _max_unpool(3, "max_unpool3d", input, indices, kernel_size, stride, padding, output_size)


# ---------------------------------------------------------------------------------------------- average


def _infer_average(
    m: Meta, kernel: Sizes, stride: Sizes, padding: Sizes, ceil_mode: bool, include_pad: bool, divisor: int | None
) -> Meta:
    op = f"avg_pool{len(kernel)}d"
    check_dtype(m.dtype, op, *LONG)
    if divisor == 0:
        _fail("divisor must be not zero")
    shape = _pooled_shape(m, kernel, stride, padding, (1,) * len(kernel), ceil_mode, op)
    return image_layout(m.dtype, shape, m) if len(kernel) == 2 else contiguous(m.dtype, shape)


def _divisors(windows: kernels.Windows, include_pad: bool, divisor: int | None) -> Any:
    return kernels.counts(windows, include_pad) if divisor is None else np.asarray(divisor)


@library(
    node_name=lambda m, kernel, *_: f"AvgPool{max(len(kernel), 2)}DBackward0",
    expand=_expand_windows.average(_infer_average),
    category="window",
    **INTERNAL,
    infer=_infer_average,
    gradient={
        "input": lambda g, input_meta, kernel, stride, padding, ceil_mode, include_pad, divisor: avg_pool_backward(
            g, tuple(input_meta.shape), kernel, stride, padding, ceil_mode, include_pad, divisor
        )
    },
)
def avg_pool(
    input: Any, kernel: Sizes, stride: Sizes, padding: Sizes, ceil_mode: bool, include_pad: bool, divisor: int | None
) -> Any:
    """Averages of windows over the last dimensions."""
    x = widened(input)
    windows = _windows(x.shape, kernel, stride, padding, (1,) * len(kernel), ceil_mode)
    total, count = kernels.sums(x, windows), _divisors(windows, include_pad, divisor)
    if x.dtype.kind == "i":  # division of integers drops the fraction
        return np.trunc(total / count).astype(x.dtype)
    return total / count.astype(x.dtype)


def _infer_spread(g: Meta, shape: Sizes, *numbers: Any) -> Meta:
    return contiguous(g.dtype, shape)


@library(
    expand=_expand_windows.template("avg_pool_backward", _infer_spread),
    category="window",
    **INTERNAL,
    infer=_infer_spread,
    gradient={
        "grad": lambda g, kernel, stride, padding, ceil_mode, include_pad, divisor: avg_pool(
            g, kernel, stride, padding, ceil_mode, include_pad, divisor
        )
    },
)
def avg_pool_backward(
    grad: Any,
    shape: Sizes,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    ceil_mode: bool,
    include_pad: bool,
    divisor: int | None,
) -> Any:
    """The gradient of `avg_pool`: every element is shared out among its window."""
    g = widened(grad)
    windows = _windows(shape, kernel, stride, padding, (1,) * len(kernel), ceil_mode)
    return kernels.spread(g / _divisors(windows, include_pad, divisor).astype(g.dtype), windows)


def _avg_pool(
    n: int,
    input: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    include_pad: bool,
    divisor: int | None = None,
) -> Any:
    op = f"avg_pool{n}d"
    check_tensor(input, op)
    kernel, stride, padding, _ = _numbers(n, op, kernel, stride, padding, 1)
    return avg_pool(input, kernel, stride, padding, bool(ceil_mode), bool(include_pad), divisor)


@composite(namespace="nn.functional", method=False, saves=("input",))
def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The average of every window of a signal (N, C, L) or (C, L).

    `stride` is the window's size by default; `ceil_mode` keeps an incomplete last window; zeros of `padding` count as
    elements unless `count_include_pad` is False. RuntimeError for sizes that do not fit.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.avg_pool1d(torch.tensor([[1., 5., 2., 4.]]), 2)
        tensor([[3., 3.]])
    """
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


@composite(namespace="nn.functional", method=False, saves=("input",))
def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The average of every window of images (N, C, H, W) or (C, H, W); parameters as in `avg_pool1d`.

    `divisor_override` divides the sums instead of the number of elements.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.avg_pool2d(torch.arange(4.).reshape(1, 2, 2), 2)
        tensor([[[1.5000]]])
    """
    return _avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


@composite(namespace="nn.functional", method=False, saves=("input",))
def avg_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The average of every window of volumes (N, C, D, H, W) or (C, D, H, W); parameters as in `avg_pool2d`.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.avg_pool3d(torch.ones(1, 2, 2, 2), 2)
        tensor([[[[1.]]]])
    """
    return _avg_pool(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


# ---------------------------------------------------------------------------------------------- power means


def _lp_pool(n: int, input: Any, norm_type: float, kernel: Any, stride: Any, ceil_mode: bool) -> Any:
    """(sum x^p)^(1/p), by way of the average; windows at the rim count as full ones."""
    op = f"lp_pool{n}d"
    check_tensor(input, op)
    kernel, stride, padding, _ = _numbers(n, op, kernel, stride, 0, 1)
    mean = avg_pool(input.pow(norm_type), kernel, stride, padding, bool(ceil_mode), True, None)
    return (mean.sign() * mean.abs().relu()).mul(math.prod(kernel)).pow(1.0 / norm_type)


@composite(namespace="nn.functional", method=False)
def lp_pool1d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """(sum of x^p)^(1/p) over every window of a signal (N, C, L) or (C, L), p being `norm_type`.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.lp_pool1d(torch.tensor([[3., 4., 6., 8.]]), 2, 2)
        tensor([[ 5., 10.]])
    """
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


@composite(namespace="nn.functional", method=False)
def lp_pool2d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """(sum of x^p)^(1/p) over every window of images (N, C, H, W) or (C, H, W), p being `norm_type`.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.lp_pool2d(torch.ones(1, 2, 2), 2, 2)
        tensor([[[2.]]])
    """
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


@composite(namespace="nn.functional", method=False)
def lp_pool3d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """(sum of x^p)^(1/p) over every window of volumes (N, C, D, H, W) or (C, D, H, W), p being `norm_type`.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.lp_pool3d(torch.ones(1, 2, 2, 2), 1, 2)
        tensor([[[[8.]]]])
    """
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)
