"""Convolutions and transposed convolutions over one, two and three spatial dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops import _convolve as kernels
from flambeau._ops import _expand
from flambeau._ops._spatial import Sizes, conjugate, image_layout, per_dim, widened
from flambeau._ops.arguments import check_tensor
from flambeau._ops.pad import pad
from flambeau._ops.registry import composite, library
from flambeau._ops.strided import INTERNAL

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

TOP_LEVEL = ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "conv_tbc")


# ---------------------------------------------------------------------------------------------- shapes and errors


def _fail(message: str, hint: str = "") -> None:
    raise RuntimeError(errors.explain(message, hint=hint, site=user_site(3)))


def _check(
    input: Meta,
    weight: Meta,
    bias: Meta | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    output_padding: Sizes,
    groups: int,
) -> None:
    """The user's errors in a convolution."""
    if min(stride) <= 0:
        _fail(f"non-positive stride is not supported, got {list(stride)}")
    if min(padding) < 0 or min(output_padding) < 0:
        _fail(f"negative padding is not supported, got {list(padding)} (output_padding {list(output_padding)})")
    if min(dilation) <= 0:
        _fail(f"dilation should be greater than zero, but got {list(dilation)}")
    if groups <= 0:
        _fail(f"non-positive groups is not supported, got {groups}")
    if weight.ndim != input.ndim:
        _fail(
            f"Expected a weight of {input.ndim} dimensions for input {list(input.shape)}, but got weight of size "
            f"{list(weight.shape)}"
        )
    if weight.shape[0] % groups or weight.shape[0] < groups:
        _fail(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight of "
            f"size "
            f"{list(weight.shape)} instead"
        )
    _check_channels(input, weight, bias, transposed, groups)
    if input.dtype is not weight.dtype:
        _fail(
            f"expected scalar type {errors.TYPE_NAMES[input.dtype.name]} but found "
            f"{errors.TYPE_NAMES[weight.dtype.name]}: input is "
            f"{input.dtype}, weight is {weight.dtype}",
            hint="convert one of them, e.g. input.to(weight.dtype)",
        )
    if input.dtype.category <= dtypes.INTEGER and input.dtype is not dtypes.int64:
        raise errors.not_implemented("convolution", input.dtype)


def _check_channels(input: Meta, weight: Meta, bias: Meta | None, transposed: bool, groups: int) -> None:
    expected = weight.shape[0] if transposed else weight.shape[1] * groups
    given = f"Given transposed={int(transposed)}" if transposed else f"Given groups={groups}"
    if input.shape[1] != expected:
        _fail(
            f"{given}, weight of size {list(weight.shape)}, expected input{list(input.shape)} to have {expected} "
            f"channels, but got "
            f"{input.shape[1]} channels instead",
            hint="dimension 1 of a batch of images holds the channels: (N, C, H, W)",
        )
    filters = weight.shape[1] * groups if transposed else weight.shape[0]
    if bias is not None and bias.shape != (filters,):
        given = given + ", weight" if transposed else "Given weight"
        _fail(
            f"{given} of size {list(weight.shape)}, expected bias to be 1-dimensional with {filters} elements, but "
            f"got bias of "
            f"size {list(bias.shape)} instead"
        )
    if bias is not None and bias.dtype is not input.dtype:
        _fail(
            f"Input type ({input.dtype}) and bias type ({bias.dtype}) should be the same",
            f"convert the input, x{errors.conversion(bias.dtype.name)}, or the layer",
        )


def _forward_size(input: Meta, weight: Meta, stride: Sizes, padding: Sizes, dilation: Sizes) -> list[int]:
    """Positions a dimension: floor((n + 2p - d(k - 1) - 1) / s) + 1."""
    padded = [n + 2 * p for n, p in zip(input.shape[2:], padding, strict=True)]
    reach = [d * (k - 1) + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    if any(n < r for n, r in zip(padded, reach, strict=True)):
        _fail(
            f"Calculated padded input size per channel: ({' x '.join(map(str, padded))}). Kernel size: "
            f"({' x '.join(map(str, reach))}). Kernel size can't be greater than actual input size"
        )
    return [(n - r) // s + 1 for n, r, s in zip(padded, reach, stride, strict=True)]


def _transposed_size(
    input: Meta, weight: Meta, stride: Sizes, padding: Sizes, dilation: Sizes, output_padding: Sizes
) -> list[int]:
    """The inverse of `_forward_size`, with `output_padding` for what the division had dropped."""
    size = [
        (n - 1) * s - 2 * p + d * (k - 1) + 1 + extra
        for n, s, p, d, k, extra in zip(
            input.shape[2:], stride, padding, dilation, weight.shape[2:], output_padding, strict=True
        )
    ]
    if any(extra >= max(s, d) for extra, s, d in zip(output_padding, stride, dilation, strict=True)):
        _fail(
            f"output padding must be smaller than either stride or dilation, but got output_padding "
            f"{list(output_padding)}, "
            f"stride {list(stride)}, dilation {list(dilation)}"
        )
    if min(size) <= 0:
        _fail(
            f"Given input size per channel: ({' x '.join(map(str, input.shape[2:]))}). Calculated output size per "
            f"channel: "
            f"({' x '.join(map(str, size))}). Output size is too small"
        )
    return size


def _result_shape(
    input: Any, weight: Any, stride: Sizes, padding: Sizes, dilation: Sizes, transposed: bool, output_padding: Sizes,
    groups: int,
) -> tuple[int, ...]:  # fmt: skip
    """(N, filters, *positions)."""
    if transposed:
        size = _transposed_size(input, weight, stride, padding, dilation, output_padding)
        channels = weight.shape[1] * groups
    else:
        size = _forward_size(input, weight, stride, padding, dilation)
        channels = weight.shape[0]
    return input.shape[0], channels, *size


def _infer(
    input: Meta,
    weight: Meta,
    bias: Meta | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    output_padding: Sizes,
    groups: int,
) -> Meta:
    _check(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups)
    shape = _result_shape(input, weight, stride, padding, dilation, transposed, output_padding, groups)
    return image_layout(input.dtype, shape, input, weight)


# -------------------------------------------------------------------------------- the two library operations


def _input_gradient(
    g: Any, weight: Any, input_meta: Meta, stride: Sizes, padding: Sizes, dilation: Sizes, transposed: bool, groups: int
) -> Any:
    """The convolution run in the other direction."""
    extra = (0,) * len(stride)
    if transposed:
        return _cropped(
            convolution(g, conjugate(weight), None, stride, padding, dilation, False, extra, groups), input_meta
        )
    smallest = _transposed_size(g._meta, weight._meta, stride, padding, dilation, extra)
    extra = tuple([n - m for n, m in zip(input_meta.shape[2:], smallest, strict=True)])
    return convolution(g, conjugate(weight), None, stride, padding, dilation, True, extra, groups)


def _cropped(images: Any, m: Meta) -> Any:
    """`images` without the positions that only output padding beyond the stride made room for."""
    excess = [n - wanted for n, wanted in zip(images.shape[2:], m.shape[2:], strict=True)]
    return pad(images, [p for e in reversed(excess) for p in (0, -e)]) if any(excess) else images


def _weight_gradient(
    g: Any, input: Any, weight_meta: Meta, stride: Sizes, padding: Sizes, dilation: Sizes, transposed: bool, groups: int
) -> Any:
    small, large = (conjugate(input), g) if transposed else (g, conjugate(input))
    return convolution_weight_grad(small, large, tuple(weight_meta.shape), stride, padding, dilation, groups)


@library(
    expand=lambda c, *args: _expand_convolution(c, *args),
    category="contract",
    method=False,
    infer=_infer,
    gradient={"input": _input_gradient, "weight": _weight_gradient, "bias": lambda g: g.sum([0, *range(2, g.dim())])},
)
def convolution(
    input: Any,
    weight: Any,
    bias: Any,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    output_padding: Sizes,
    groups: int,
) -> Any:
    """The operation under all convolutions, for a batch of images in any number of dimensions.

    Shapes: `input` (N, C, *space), `weight` (filters, C / groups, *kernel) or, transposed, (C, filters / groups,
    *kernel), `bias` (filters) or None. `stride`, `padding`, `dilation` and `output_padding` are tuples of one int a
    spatial dimension.

    Example::

        >>> import flambeau as torch
        >>> x, w = torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2)
        >>> torch.convolution(x, w, None, (1, 1), (0, 0), (1, 1), False, (0, 0), 1)
        tensor([[[[4., 4.],
                  [4., 4.]]]])
    """
    x, w = widened(input), widened(weight)
    b = None if bias is None else widened(bias)
    if not transposed:
        shape = _forward_size(input, weight, stride, padding, dilation)  # arrays have shapes, too
        geometry = kernels.geometry_of(x.shape, w.shape, shape, stride, padding, dilation, groups, x.dtype)
        return kernels.correlate(x, w, b, geometry).reshape(x.shape[0], w.shape[0], *shape)
    shape = _transposed_size(input, weight, stride, padding, dilation, output_padding)
    target = (x.shape[0], w.shape[1] * groups, *shape)
    geometry = kernels.geometry_of(target, w.shape, x.shape[2:], stride, padding, dilation, groups, x.dtype)
    result = kernels.transposed(x, w, geometry).reshape(target)
    return result if b is None else result + b.reshape(-1, *[1] * len(shape))


def _expand_convolution(
    c: Any,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    output_padding: Sizes,
    groups: int,
) -> Any:
    shape = _result_shape(input, weight, stride, padding, dilation, transposed, output_padding, groups)
    return _expand.convolution(
        c, input, weight, bias, stride, padding, dilation, transposed, output_padding, groups, shape
    )


def _grad_output_gradient(
    g: Any, input: Any, grad_output_meta: Meta, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Any:
    return _cropped(
        convolution(conjugate(input), g, None, stride, padding, dilation, False, (0,) * len(stride), groups),
        grad_output_meta,
    )


def _large_gradient(
    g: Any, grad_output: Any, input_meta: Meta, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Any:
    return _input_gradient(conjugate(grad_output), conjugate(g), input_meta, stride, padding, dilation, False, groups)


@library(
    expand=_expand.convolution_weight_grad,
    category="contract",
    **INTERNAL,
    infer=lambda grad_output, input, shape, stride, padding, dilation, groups: contiguous(input.dtype, shape),
    gradient={"grad_output": _grad_output_gradient, "input": _large_gradient},
)
def convolution_weight_grad(
    grad_output: Any, input: Any, shape: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Any:
    """The gradient of a convolution's weight, of the given shape."""
    g, x = widened(grad_output), widened(input)
    geometry = kernels.geometry_of(x.shape, shape, g.shape[2:], stride, padding, dilation, groups, x.dtype)
    return kernels.weight_gradient(g, x, geometry).reshape(shape)


# ---------------------------------------------------------------------------------------------- the public functions


def _batched(input: Any, weight: Any, n: int, op: str) -> Any:
    """`input` with a batch dimension; errors for what is no image."""
    check_tensor(input, op)
    check_tensor(weight, op, "weight", 2)
    if input.dim() == n + 1:
        return input.unsqueeze(0)
    if input.dim() != n + 2:
        _fail(
            f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {op}, but got input of size: "
            f"{list(input.shape)}",
            hint="images are (N, C, " + ", ".join("DHW"[-n:]) + ")",
        )
    if weight.dim() != n + 2:
        _fail(f"expected a weight of {n + 2} dimensions for {op}, but got weight of size {list(weight.shape)}")
    return input


def _forward(
    n: int, op: str, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    batch = _batched(input, weight, n, op)
    stride, dilation = per_dim(stride, n, "stride", op), per_dim(dilation, n, "dilation", op)
    if isinstance(padding, str):
        batch, padding = _named_padding(batch, weight, padding, stride, dilation)
    padding = per_dim(padding, n, "padding", op)
    result = convolution(batch, weight, bias, stride, padding, dilation, False, (0,) * n, groups)
    return result if batch.dim() == input.dim() else result.squeeze(0)


def _named_padding(input: Any, weight: Any, padding: str, stride: Sizes, dilation: Sizes) -> tuple[Any, Sizes]:
    """'valid' pads nothing; 'same' keeps sizes, with the odd zero behind."""
    if padding == "valid":
        return input, (0,) * len(stride)
    if padding != "same":
        _fail(f"Invalid padding string: '{padding}'", hint="use 'valid', 'same' or numbers")
    if any(s != 1 for s in stride):
        _fail("padding='same' is not supported for strided convolutions")
    total = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    if any(t % 2 for t in total):
        input = pad(input, [extra for t in reversed(total) for extra in (0, t % 2)])
    return input, tuple([t // 2 for t in total])


def _backward(
    n: int,
    op: str,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Any:
    batch = _batched(input, weight, n, op)
    numbers = [
        per_dim(v, n, name, op)
        for v, name in (
            (stride, "stride"),
            (padding, "padding"),
            (dilation, "dilation"),
            (output_padding, "output_padding"),
        )
    ]
    result = convolution(batch, weight, bias, *numbers[:3], True, numbers[3], groups)
    return result if batch.dim() == input.dim() else result.squeeze(0)


@composite(namespace="nn.functional", method=False)
def conv1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Slide `weight` over a signal and take inner products.

    Shapes: input (N, C, L) or (C, L), weight (filters, C / groups, k), bias (filters), result (N, filters, M) with
    M = floor((L + 2 padding - dilation (k - 1) - 1) / stride) + 1. `padding` may be 'valid' or 'same'.
    RuntimeError for sizes that do not fit.

    Example::

        >>> import flambeau as torch
        >>> x = torch.tensor([[[1., 2., 4., 7.]]])
        >>> torch.nn.functional.conv1d(x, torch.tensor([[[-1., 1.]]]))
        tensor([[[1., 2., 3.]]])
    """
    return _forward(1, "conv1d", input, weight, bias, stride, padding, dilation, groups)


@composite(namespace="nn.functional", method=False)
def conv2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Slide `weight` over images and take inner products.

    Shapes: input (N, C, H, W) or (C, H, W), weight (filters, C / groups, kH, kW), bias (filters), result (N, filters,
    oH, oW) with oH = floor((H + 2 padding - dilation (kH - 1) - 1) / stride) + 1. Numbers may be pairs; `padding` may
    be 'valid' or 'same'. RuntimeError for sizes that do not fit.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3), padding=1)
        tensor([[[[4., 6., 4.],
                  [6., 9., 6.],
                  [4., 6., 4.]]]])
    """
    return _forward(2, "conv2d", input, weight, bias, stride, padding, dilation, groups)


@composite(namespace="nn.functional", method=False)
def conv3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Slide `weight` over volumes and take inner products; shapes as in `conv2d` with a depth in front of the height.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.conv3d(torch.ones(1, 2, 4, 4, 4), torch.ones(3, 2, 2, 2, 2)).shape
        torch.Size([1, 3, 3, 3, 3])
    """
    return _forward(3, "conv3d", input, weight, bias, stride, padding, dilation, groups)


@composite(namespace="nn.functional", method=False)
def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """The transpose of `conv1d` as a linear map: every input adds a scaled kernel to the output.

    Shapes: input (N, C, L) or (C, L), weight (C, filters / groups, k), result (N, filters, M) with
    M = (L - 1) stride - 2 padding + dilation (k - 1) + output_padding + 1.

    Example::

        >>> import flambeau as torch
        >>> x = torch.tensor([[[1., 2., 3.]]])
        >>> torch.nn.functional.conv_transpose1d(x, torch.tensor([[[1., 10.]]]))
        tensor([[[ 1., 12., 23., 30.]]])
    """
    return _backward(1, "conv_transpose1d", input, weight, bias, stride, padding, output_padding, groups, dilation)


@composite(namespace="nn.functional", method=False)
def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """The transpose of `conv2d` as a linear map; weight (C, filters / groups, kH, kW), sizes as in `conv_transpose1d`.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.conv_transpose2d(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2), stride=2)
        tensor([[[[1., 1., 1., 1.],
                  [1., 1., 1., 1.],
                  [1., 1., 1., 1.],
                  [1., 1., 1., 1.]]]])
    """
    return _backward(2, "conv_transpose2d", input, weight, bias, stride, padding, output_padding, groups, dilation)


@composite(namespace="nn.functional", method=False)
def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """The transpose of `conv3d` as a linear map; weight (C, filters / groups, kD, kH, kW), sizes as in
    `conv_transpose1d`.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.conv_transpose3d(torch.ones(1, 1, 2, 2, 2), torch.ones(1, 4, 3, 3, 3)).shape
        torch.Size([1, 4, 4, 4, 4])
    """
    return _backward(3, "conv_transpose3d", input, weight, bias, stride, padding, output_padding, groups, dilation)


@composite(namespace="nn.functional", method=False)
def conv_tbc(input: Any, weight: Any, bias: Any, pad: int = 0) -> Any:
    """A convolution along time of sequences laid out as (time, batch, channels).

    Shapes: input (T, N, C), weight (k, C, filters), bias (filters), result (T + 2 pad - k + 1, N, filters).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.conv_tbc(torch.ones(5, 2, 3), torch.ones(3, 3, 4), torch.zeros(4)).shape
        torch.Size([3, 2, 4])
    """
    if input.dim() != 3 or weight.dim() != 3:
        _fail(
            f"Input and weight must have 3 dims: time, batch, in_channel; got {list(input.shape)} and "
            f"{list(weight.shape)}"
        )
    if input.shape[2] != weight.shape[1]:
        _fail(
            f"Input dim 2 (input channels) is not == dim 1 in the weight tensor: {input.shape[2]} and {weight.shape[1]}"
        )
    signal = _forward(1, "conv_tbc", input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, 1, pad, 1, 1)
    return signal.permute(2, 0, 1)
