"""Normalisation layers (`nn.functional`): batch, instance, layer, group, RMS and local response normalisation.

One library operation, `standardize`, does the numerical work: it subtracts the mean and divides by the standard
deviation over some dimensions. The layers choose the dimensions and apply weight and bias. Two are one operation with
them, since recording takes longer than a small layer: `layer_normalised`, of which transformers are full, and
`channels_normalised`, batch normalisation once a network has learned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir import recording
from flambeau._ir.meta import Meta, contiguous, preserved
from flambeau._ops import _expand
from flambeau._ops._spatial import image_layout
from flambeau._ops.infer import last_dims
from flambeau._ops.operands import Operand
from flambeau._ops.reduce import accumulated, sum_to_size
from flambeau._ops.registry import composite, library
from flambeau._ops.strided import owner

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


def _statistics_meta(m: Meta, dims: tuple[int, ...]) -> Meta:
    d = dtypes.float32 if m.dtype in dtypes.HALVES else m.dtype
    return contiguous(d, [1 if i in dims else n for i, n in enumerate(m.shape)])


def _infer_standardize(m: Meta, dims: tuple[int, ...], eps: float) -> tuple[Meta, Meta, Meta]:
    s = _statistics_meta(m, dims)
    return preserved(m), s, s


@library(
    snapshots=("out",),
    expand=_expand.standardize,
    category="norm",
    method=False,
    function=False,
    infer=_infer_standardize,
    gradient={"input": lambda g0, g1, g2, out0, out2, dims, eps: _standardize_grad(g0, g1, g2, out0, out2, dims, eps)},
)
def standardize(input: Any, dims: tuple[int, ...], eps: float) -> Any:
    """((x - mean) / sqrt(var + eps), mean, var) with the biased variance over `dims`, in two passes."""
    return _standardized(accumulated(input), dims, eps)


def _standardized(x: np.ndarray, dims: tuple[int, ...], eps: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not x.size:
        nothing = np.zeros([1 if i in dims else n for i, n in enumerate(x.shape)], x.dtype)
        return x.copy(), nothing, nothing.copy()
    mean = x.mean(axis=dims, keepdims=True)
    centred = x - mean
    variance = np.mean(centred * centred, axis=dims, keepdims=True)
    centred /= np.sqrt(variance + variance.dtype.type(eps))
    return centred, mean, variance


def _standardize_grad(g: Any, g_mean: Any, g_variance: Any, out: Any, variance: Any, dims: Any, eps: float) -> Any:
    """What reaches the input through the standardised values, the mean and the variance. The latter two are wanted
    when this gradient is itself differentiated: the variance stands in it."""
    inverse, parts = (variance + eps).rsqrt(), []
    if g is not None:
        parts.append(standardize_backward(g, out, inverse, dims))
    count = out.numel() // max(variance.numel(), 1)
    if g_mean is not None:
        parts.append((g_mean / count).expand(out.shape))
    if g_variance is not None:
        parts.append(g_variance * (2 / count) * out / inverse)
    return parts[0] if len(parts) == 1 else sum(parts)


def standardize_backward(g: Any, out: Any, inverse: Any, dims: tuple[int, ...]) -> Any:
    """The gradient without its mean and without its part along the output, over the standard deviation."""
    if g.dtype in dtypes.HALVES:
        return standardize_backward(g.float(), out.float(), inverse, dims).to(out.dtype)
    centred = g - g.mean(dims, True)
    return (centred - out * (g * out).mean(dims, True)) * inverse


def _in_rows(input: Any) -> Any:
    """`input` if it is row-major or has its channels innermost, else a row-major copy."""
    m = input._meta
    kept = m.is_contiguous or image_layout(m.dtype, m.shape, m).strides == m.strides
    return input if kept else input.contiguous()


def affine(x: Any, weight: Any, bias: Any, shape: Sequence[int]) -> Any:
    """`x * weight + bias` with both reshaped to broadcast."""
    dtype = x.dtype
    if weight is not None:
        x = x * _shaped(weight, tuple(shape))
    if bias is not None:
        x = x + _shaped(bias, tuple(shape))
    return x if x.dtype is dtype else x.to(dtype)


def _shaped(t: Any, shape: tuple[int, ...]) -> Any:
    return t if t.shape == shape else t.reshape(shape)


def _check_dtypes(name: str, input: Any, **tensors: Any) -> None:
    """RuntimeError unless parameters and running statistics have the input's dtype, or float32 beside a half."""
    d = input.dtype
    for what, t in tensors.items():
        if t is not None and t.dtype is not d and not (d in dtypes.HALVES and t.dtype is dtypes.float32):
            raise RuntimeError(
                errors.explain(
                    f"mixed dtype (CPU): all inputs must share same datatype. {name} got an input of {d}, "
                    f"its {what} is {t.dtype}",
                    hint=f"convert the input, x{errors.conversion(t.dtype.name)}, or the layer",
                    site=user_site(4),
                )
            )


# ---------------------------------------------------------------------------------------------- batch and instance


def _check_channels(name: str, input: Meta, **tensors: Meta | None) -> None:
    """RuntimeError unless parameters and running statistics have a number for each channel, of a fitting dtype."""
    channels = input.shape[1]
    for what, m in tensors.items():
        if m is not None and m.numel != channels:
            raise RuntimeError(
                errors.explain(
                    f"{what} should contain {channels} elements not {m.numel}: {name} got an input of shape "
                    f"{list(input.shape)}, "
                    f"whose dimension 1 has {channels} channels",
                    hint=f"construct the layer with num_features={channels}",
                    site=user_site(4),
                )
            )
    _check_dtypes(name, input, **tensors)


def _metas(**tensors: Any) -> dict[str, Meta | None]:
    return {what: None if t is None else t._meta for what, t in tensors.items()}


def _infer_channels_normalised(
    m: Meta, mean: Meta, variance: Meta, eps: float, weight: Meta | None = None, bias: Meta | None = None
) -> Meta:
    _check_channels("batch_norm", m, weight=weight, bias=bias, running_mean=mean, running_var=variance)
    if not m.dtype.is_floating_point:
        raise errors.not_implemented("batch_norm", m.dtype, hint="convert the input, x.float()")
    return preserved(m)


def _channels_normalised_grad(
    g: Any, input: Any, mean: Any, variance: Any, eps: float, weight: Any, bias: Meta | None
) -> tuple[Any, Any, Any]:
    """The gradients of input, weight and bias."""
    dtype, shape = input.dtype, _over_channels(input.dim())
    g, input, mean, variance = [t.float() if t.dtype in dtypes.HALVES else t for t in (g, input, mean, variance)]
    inverse = (variance + eps).rsqrt()
    d_input = (g * (inverse if weight is None else inverse * weight).reshape(shape)).to(dtype)
    others = [d for d in range(len(shape)) if d != 1]
    d_weight = None
    if weight is not None:
        d_weight = ((g * (input - mean.reshape(shape))).sum(others) * inverse).to(weight.dtype)
    return d_input, d_weight, None if bias is None else g.sum(others).to(bias.dtype)


@library(
    node_name="NativeBatchNormBackward0",
    shows=("input", "weight", "bias"),
    saves=("input", "mean", "variance", "weight"),
    expand=_expand.channels_normalised,
    category="norm",
    method=False,
    function=False,
    infer=_infer_channels_normalised,
    gradient={
        ("input", "weight", "bias"): lambda g, input, mean, variance, eps, weight, bias_meta: (
            _channels_normalised_grad(g, input, mean, variance, eps, weight, bias_meta)
        )
    },
)
def channels_normalised(
    input: Any, mean: Any, variance: Any, eps: float, weight: Any = None, bias: Any = None
) -> Any:
    """(input - mean) / sqrt(variance + eps) * weight + bias, all but the input given by channel (dimension 1)."""
    shape = _over_channels(input.ndim)
    mean, variance = [accumulated(t).reshape(shape) for t in (mean, variance)]
    out = (accumulated(input) - mean) / np.sqrt(variance + variance.dtype.type(eps))
    if weight is not None:
        out *= accumulated(weight).reshape(shape)
    if bias is not None:
        out += accumulated(bias).reshape(shape)
    return out


def _over_channels(ndim: int) -> tuple[int, ...]:
    """The shape in which the numbers of channels broadcast over so many dimensions."""
    return (1, -1, *(1,) * (ndim - 2))


@composite(
    node_name="NativeBatchNormBackward0", shows=("input", "weight", "bias"), method=False, namespace="nn.functional"
)
def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Every channel (dimension 1) standardised: with the batch's statistics while training, which also move the running
    ones, else with the running ones (Ioffe & Szegedy 2015).

    ValueError for a batch with one value per channel while training.

    Example::

        >>> import flambeau as torch
        >>> x = torch.tensor([[1.], [3.]])
        >>> torch.nn.functional.batch_norm(x, None, None, training=True)
        tensor([[-1.0000],
                [ 1.0000]])
    """
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("batch_norm in evaluation mode needs running_mean and running_var")
        return channels_normalised(_in_rows(input), running_mean, running_var, eps, weight, bias)
    metas = _metas(weight=weight, bias=bias, running_mean=running_mean, running_var=running_var)
    _check_channels("batch_norm", input._meta, **metas)
    input = _in_rows(input)
    count = input.numel() // max(input.shape[1], 1)
    if count == 1:
        raise ValueError(
            errors.explain(
                f"Expected more than 1 value per channel when training, got input size {input.shape}",
                hint="train with larger batches (drop_last=True of a DataLoader drops a smaller last one), or call "
                "model.eval() to use the running statistics",
                site=user_site(3),
            )
        )
    dims = (0, *range(2, input.dim()))
    normalised, mean, variance = standardize(input, dims, eps)
    if count:
        means, variances = mean.detach().reshape(-1), variance.detach().reshape(-1)
        update_running(running_mean, running_var, means, variances, count, momentum)
    return affine(normalised, weight, bias, [1, input.shape[1]] + [1] * (input.dim() - 2))


def update_running(running_mean: Any, running_var: Any, mean: Any, variance: Any, count: int, momentum: float) -> None:
    """Move the running statistics (either may be None) towards the batch's; the variance becomes the unbiased one."""
    for running, batch in ((running_mean, mean), (running_var, variance * (count / (count - 1)))):
        if running is not None:
            own = running.detach()
            own.mul_(1 - momentum).add_(batch.to(own.dtype), alpha=momentum)


@composite(method=False, namespace="nn.functional", saves=("input",))
def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Every channel of every sample standardised by itself (Ulyanov et al. 2016).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.instance_norm(torch.tensor([[[1., 3.]]]))
        tensor([[[-1.0000,  1.0000]]])
    """
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    _check_dtypes("instance_norm", input, weight=weight, bias=bias, running_mean=running_mean, running_var=running_var)
    count = input.numel() // max(input.shape[0] * input.shape[1], 1)
    if count == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.shape}")
    dims = tuple(range(2, input.dim()))
    normalised, mean, variance = standardize(input.contiguous(), dims, eps)
    if running_mean is not None and count:
        means, variances = (t.detach().reshape(input.shape[:2]) for t in (mean, variance))
        update_running(running_mean, running_var, means.mean(0), variances.mean(0), count, momentum)
    weight = None if weight is None else recording.original(weight, ())
    return affine(normalised, weight, bias, [1, input.shape[1]] + [1] * (input.dim() - 2))


# ---------------------------------------------------------------------------------------------- layer and group


def _trailing(name: str, m: Meta, normalized_shape: Sequence[int]) -> tuple[int, ...]:
    """The trailing dimensions that `normalized_shape` names; RuntimeError if they have other sizes."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    sizes = tuple(m.shape)
    if not shape or sizes[-len(shape) :] != shape:
        raise RuntimeError(
            errors.explain(
                f"Given normalized_shape={list(shape)}, expected input with shape [*, {', '.join(map(str, shape))}], "
                f"but got input of size {list(sizes)}",
                hint=f"{name} normalises over the last dimensions of its input",
                site=user_site(4),
            )
        )
    return last_dims(len(sizes), len(shape))


def _infer_layer_normalised(
    m: Meta, shape: tuple[int, ...], eps: float, weight: Meta | None = None, bias: Meta | None = None
) -> tuple[Meta, Meta, Meta]:
    dims = _trailing("layer_norm", m, shape)
    _check_dtypes("layer_norm", m, weight=weight, bias=bias)
    for what, t in (("weight", weight), ("bias", bias)):
        if t is not None and t.shape != shape:
            raise RuntimeError(
                f"Expected {what} to be of same shape as normalized_shape, but got {what} of shape {list(t.shape)} and "
                f"normalized_shape = {list(shape)}"
            )
    if not m.dtype.is_floating_point:
        raise errors.not_implemented("LayerNormKernelImpl", m.dtype, hint="convert the input, x.float()")
    s = _statistics_meta(m, dims)
    return contiguous(m.dtype, m.shape), s, s


@library(
    node_name="NativeLayerNormBackward0",
    shows=("input", "weight", "bias"),
    saves=("bias",),
    expand=_expand.layer_normalised,
    category="norm",
    method=False,
    function=False,
    infer=_infer_layer_normalised,
    nondifferentiable=(1, 2),
    gradient={
        ("input", "weight", "bias"): lambda g0, input, shape, eps, weight, bias_meta, out1, out2: (
            _layer_normalised_grad(g0, input, shape, eps, weight, bias_meta, out1, out2)
        )
    },
)
def layer_normalised(input: Any, shape: tuple[int, ...], eps: float, weight: Any = None, bias: Any = None) -> Any:
    """(((x - mean) / sqrt(var + eps)) * weight + bias, mean, 1 / sqrt(var + eps)) over the last dimensions, which have
    this shape, as weight and bias do."""
    out, mean, variance = _standardized(accumulated(input), last_dims(input.ndim, len(shape)), eps)
    if weight is not None:
        out *= accumulated(weight)
    if bias is not None:
        out += accumulated(bias)
    return out, mean, 1 / np.sqrt(variance + variance.dtype.type(eps))


def _layer_normalised_grad(
    g: Any, input: Any, shape: tuple[int, ...], eps: float, weight: Any, bias: Meta | None, mean: Any, inverse: Any
) -> tuple[Any, Any, Any]:
    """The gradients of input, weight and bias; written out for `vmap`, and where they are differentiated again."""
    dims = last_dims(input.dim(), len(shape))
    if not recording.grad_enabled() and not any([isinstance(t, Operand) for t in (g, input, weight)]):
        return layer_normalised_grad(g, input, mean, inverse, dims, weight)
    normalised, _, variance = standardize(input, dims, eps)
    scaled = g if weight is None else g * weight
    d_input = standardize_backward(scaled, normalised, (variance + eps).rsqrt(), dims)
    d_weight = None if weight is None else sum_to_size(g * normalised, weight.shape)
    return d_input, d_weight, None if bias is None else sum_to_size(g, bias.shape)


def _infer_layer_normalised_grad(
    g: Meta, x: Meta, mean: Meta, inverse: Meta, dims: tuple[int, ...], weight: Meta | None = None
) -> tuple[Meta, Meta, Meta]:
    whole = contiguous(mean.dtype, x.shape[dims[0] :])
    return contiguous(x.dtype, x.shape), whole, whole


@library(
    category="norm",
    method=False,
    function=False,
    infer=_infer_layer_normalised_grad,
    expand=_expand.layer_normalised_grad,
)
def layer_normalised_grad(
    g: Any, input: Any, mean: Any, inverse: Any, dims: tuple[int, ...], weight: Any = None
) -> Any:
    """The gradients of input, weight and bias of `layer_normalised`. That of the input has lost its mean and its part
    along the standardised input (Ba et al. 2016)."""
    g = accumulated(g)
    normalised = (accumulated(input) - mean) * inverse
    rows, along = tuple(range(dims[0])), g * normalised
    scaled, scaled_along = (g, along) if weight is None else (g * accumulated(weight), along * accumulated(weight))
    count = math.prod(g.shape[dims[0] :]) or 1
    d_input = scaled - scaled.sum(dims, keepdims=True) / g.dtype.type(count)
    d_input -= normalised * (scaled_along.sum(dims, keepdims=True) / g.dtype.type(count))
    return d_input * inverse, along.sum(rows), g.sum(rows)


@composite(method=False, namespace="nn.functional")
def layer_norm(
    input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Every sample standardised over its last dimensions (Ba et al. 2016); weight and bias have `normalized_shape`.

    RuntimeError for other shapes or dtypes, NotImplementedError for a dtype that is not floating-point.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.layer_norm(torch.tensor([[1., 3.]]), (2,))
        tensor([[-1.0000,  1.0000]])
    """
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    return layer_normalised(input, shape, eps, weight, bias)[0]


@composite(method=False, name="layer_norm")
def torch_layer_norm(
    input: Any,
    normalized_shape: Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Any:
    """`nn.functional.layer_norm`.

    Example::

        >>> import flambeau as torch
        >>> torch.layer_norm(torch.tensor([[1., 3.]]), (2,))
        tensor([[-1.0000,  1.0000]])
    """
    return layer_norm(input, normalized_shape, weight, bias, eps)


@composite(method=False, namespace="nn.functional")
def rms_norm(input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None) -> Any:
    """Every sample over the root of its mean square over the last dimensions (Zhang & Sennrich 2019); of complex
    numbers the squares, not the squared sizes.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.rms_norm(torch.tensor([[3., 3.]]), (2,))
        tensor([[1., 1.]])
    """
    dims = _trailing("rms_norm", input._meta, normalized_shape)
    wide = input.float() if input.dtype in dtypes.HALVES else input
    if eps is None:
        eps = float(np.finfo(wide.dtype.to_real().numpy).eps)
    normalised = wide * ((wide * wide).mean(dims, True) + eps).rsqrt()
    if weight is not None:
        normalised = normalised * weight
    return normalised if normalised.dtype is input.dtype else normalised.to(input.dtype)


@composite(method=False, name="rms_norm")
def torch_rms_norm(input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None) -> Any:
    """`nn.functional.rms_norm`.

    Example::

        >>> import flambeau as torch
        >>> torch.rms_norm(torch.tensor([[3., 3.]]), (2,))
        tensor([[1., 1.]])
    """
    return rms_norm(input, normalized_shape, weight, eps)


@composite(
    node_name="NativeGroupNormBackward0", shows=("input", "weight", "bias"), method=False, namespace="nn.functional",
    saves=("input",),
)
def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """The channels (dimension 1) of every sample standardised in `num_groups` groups (Wu & He 2018).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.group_norm(torch.tensor([[1., 3.]]), 1)
        tensor([[-1.0000,  1.0000]])
    """
    if input.dim() < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.dim()}")
    channels = input.shape[1]
    if num_groups <= 0 or channels % num_groups:
        raise RuntimeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(input.shape)} and "
            f"num_groups={num_groups}"
        )
    _check_channels("group_norm", input._meta, **_metas(weight=weight, bias=bias))
    if input.numel() == 0:
        return affine(input, weight, bias, [1, channels] + [1] * (input.dim() - 2))
    images = _in_rows(input)
    rest = (-1,) if images.is_contiguous() else (channels // num_groups, *input.shape[2:])
    grouped = images.view(input.shape[0], num_groups, *rest)
    normalised = owner(standardize(grouped, tuple(range(2, grouped.dim())), eps)[0].view(input.shape))
    return affine(normalised, weight, bias, [1, channels] + [1] * (input.dim() - 2))


@composite(method=False, name="group_norm")
def torch_group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, cudnn_enabled: bool = True
) -> Any:
    """`nn.functional.group_norm`.

    Example::

        >>> import flambeau as torch
        >>> torch.group_norm(torch.tensor([[1., 3.]]), 1)
        tensor([[-1.0000,  1.0000]])
    """
    return group_norm(input, num_groups, weight, bias, eps)


@composite(method=False, name="batch_norm")
def torch_batch_norm(
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Any:
    """`nn.functional.batch_norm` with the arguments in another order.

    Example::

        >>> import flambeau as torch
        >>> torch.batch_norm(torch.tensor([[1.], [3.]]), None, None, None, None, True, 0.1, 1e-5)
        tensor([[-1.0000],
                [ 1.0000]])
    """
    return batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


@composite(method=False, namespace="nn.functional")
def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """Every element over (k + alpha * mean of squares in a window of `size` channels) ** beta (Krizhevsky et al. 2012).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.local_response_norm(torch.zeros(1, 2, 3), 2)
        tensor([[[0., 0., 0.],
                 [0., 0., 0.]]])
    """
    if input.dim() < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {input.dim()} dimensions)")
    if input.numel() == 0:
        return input
    n, channels = input.shape[:2]
    squares = (input * input).reshape(n, channels, -1)
    before, after = size // 2, (size - 1) // 2
    padded = squares.new_zeros((n, channels + before + after, squares.shape[2]))
    padded = padded.slice_scatter(squares, 1, before, before + channels)
    total = padded.unfold(1, size, 1).sum(-1).reshape(input.shape)
    mean = total / size if input.dtype.differentiable else total // size  # an average of integers is one
    return input / (mean * alpha + k) ** beta
