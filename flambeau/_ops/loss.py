"""Losses: how far predictions are from targets (`nn.functional`)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site, warn
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops import _expand
from flambeau._ops.activation import logsigmoid
from flambeau._ops.infer import broadcast_shapes
from flambeau._ops.lowering import in_float32
from flambeau._ops.operands import Operand
from flambeau._ops.pointwise import choose
from flambeau._ops.reduce import accumulated
from flambeau._ops.registry import OPS, composite, library, pointwise
from flambeau._ops.softmax import infer_rows, log_softmax_rows, softmax_backward, softmax_rows

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


def functional(**options: Any) -> Any:
    """Declares a composite of nn.functional that is computed in float32 under mixed precision."""
    declare = composite(method=False, namespace="nn.functional", **options)
    return lambda body: declare(in_float32(body))


def check_reduction(reduction: str) -> None:
    """ValueError for a word that names no reduction."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction: expected 'none', 'mean' or 'sum'")


def reduced(loss: Any, reduction: str, size_average: bool | None = None, reduce: bool | None = None) -> Any:
    """The loss averaged, summed or as it is; ValueError for another word."""
    if size_average is not None or reduce is not None:  # PyTorch's names before 1.0
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
    check_reduction(reduction)
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


def _warn_if_broadcast(name: str, input: Any, target: Any) -> None:
    if input.shape != target.shape:
        same = input.numel() == target.numel()
        warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) in {name}. "
            "This will likely lead to incorrect results due to broadcasting. Please ensure they have the same size"
            + (f", e.g. target.reshape({list(input.shape)})." if same else ".")
        )


# ---------------------------------------------------------------------------------------------- regression


@functional()
def mse_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """The squared error, averaged by default.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.mse_loss(torch.tensor([1., 2.]), torch.tensor([1., 4.]))
        tensor(2.)
    """
    _warn_if_broadcast("mse_loss", input, target)
    usual = weight is None and size_average is None and reduce is None and reduction in ("mean", "sum")
    if usual and not isinstance(input, Operand) and not isinstance(target, Operand):
        return total_squared_error(input, target, reduction == "mean")
    return _weighted(squared_error(input, target), weight, reduction, size_average, reduce)


def _check_squares(metas: tuple) -> None:
    promoted = _common_dtype(*metas)
    _refuse_integers("mse", promoted)
    if promoted.is_complex:
        raise errors.not_implemented("mse_cpu", promoted, hint="(input - target).abs().square().mean() is real")


def _common_dtype(input: Meta, target: Meta) -> dtypes.dtype:
    return dtypes.result_type_of([(m.dtype, m.ndim) for m in (input, target)])


@pointwise(
    method=False,
    function=False,
    node_name="MseLossBackward0",
    check=_check_squares,
    gradient={
        "input": lambda g, input, target: squared_error_slope(g, input, target, 2.0),
        "target": lambda g, input, target: squared_error_slope(g, target, input, 2.0),
    },
)
def squared_error(k: Any, input: Any, target: Any) -> Any:
    """The square of the difference of every element."""
    error = input - target
    return error * error


@pointwise(
    method=False,
    function=False,
    node_name="MseLossBackwardBackward0",
    gradient={
        "flow": lambda g, input, target, factor: squared_error_slope(g, input, target, factor),
        "input": lambda g, flow, factor: g * flow * factor,
        "target": lambda g, flow, factor: -(g * flow * factor),
    },
)
def squared_error_slope(k: Any, flow: Any, input: Any, target: Any, factor: float) -> Any:
    """What reaches `input` of what flows to the squared error, which is weighted with `factor` / 2."""
    return (input - target) * (flow * factor)


def _infer_total_squared_error(input: Meta, target: Meta, mean: bool) -> Meta:
    _check_squares((input, target))
    broadcast_shapes((input.shape, target.shape), "mse_loss")
    return contiguous(_common_dtype(input, target), ())


@library(
    expand=_expand.total_squared_error,
    category="reduce",
    method=False,
    function=False,
    node_name="MseLossBackward0",
    infer=_infer_total_squared_error,
    gradient={
        "input": lambda g, input, target, mean: squared_error_slope(g, input, target, _doubled(input, target, mean)),
        "target": lambda g, input, target, mean: squared_error_slope(g, target, input, _doubled(input, target, mean)),
    },
)
def total_squared_error(input: Any, target: Any, mean: bool) -> Any:
    """The sum of the squared errors of all elements, or their mean."""
    error = accumulated(input) - accumulated(target)
    total = (error * error).sum()
    return total / total.dtype.type(error.size) if mean else total


def _doubled(input: Any, target: Any, mean: bool) -> float:
    """Twice the weight of each element in the sum or the mean."""
    a, b = input._meta, target._meta
    count = a.numel if a.shape == b.shape else math.prod(broadcast_shapes((a.shape, b.shape)))
    return 2.0 / max(count, 1) if mean else 2.0


def _refuse_integers(name: str, dtype: dtypes.dtype) -> None:
    if dtype.category <= dtypes.INTEGER:
        raise errors.not_implemented(f"{name}_cpu", dtype, hint="convert prediction and target with .float()")


def _weighted(loss: Any, weight: Any, reduction: str, size_average: bool | None, reduce: bool | None) -> Any:
    if weight is None:
        return reduced(loss, reduction, size_average, reduce)
    loss = loss * weight
    return (
        loss.sum() / weight.expand(loss.shape).sum()
        if reduction == "mean"
        else reduced(loss, reduction, size_average, reduce)
    )


@functional()
def l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """The absolute error, averaged by default.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.l1_loss(torch.tensor([1., 2.]), torch.tensor([1., 4.]))
        tensor(1.)
    """
    _warn_if_broadcast("l1_loss", input, target)
    return _weighted((input - target).abs(), weight, reduction, size_average, reduce)


def _saved_for_smooth(*args: Any, beta: float = 1.0, **named: Any) -> tuple[str, ...]:
    return ("input", "target") if (args[5] if len(args) > 5 else beta) else ()


@functional(node_name="SmoothL1LossBackward0", shows=("input", "target"), saves=_saved_for_smooth)
def smooth_l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Any:
    """Squared below `beta`, absolute above (Girshick 2015).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.smooth_l1_loss(torch.tensor([0., 3.]), torch.zeros(2))
        tensor(1.2500)
    """
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    _warn_if_broadcast("smooth_l1_loss", input, target)
    if beta == 0:
        return reduced((input - target).abs(), reduction, size_average, reduce)
    error = (input - target).abs()
    _refuse_integers("smooth_l1", error.dtype)
    return reduced(
        choose(error < beta, 0.5 * error * error / beta, error - 0.5 * beta), reduction, size_average, reduce
    )


@functional(node_name="HuberLossBackward0", shows=("input", "target"), saves=("input", "target"))
def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    """Half the square below `delta`, linear above (Huber 1964).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.huber_loss(torch.tensor([0., 3.]), torch.zeros(2))
        tensor(1.2500)
    """
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    _warn_if_broadcast("huber_loss", input, target)
    error = (input - target).abs()
    _refuse_integers("huber", error.dtype)
    loss = choose(error < delta, 0.5 * error * error, delta * (error - 0.5 * delta))
    return _weighted(loss, weight, reduction, None, None)


@functional()
def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """The negative log likelihood of Poisson counts; `full` adds Stirling's approximation of log(target!).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.poisson_nll_loss(torch.zeros(2), torch.ones(2))
        tensor(1.)
    """
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + stirling.masked_fill(target <= 1, 0)
    return reduced(loss, reduction, size_average, reduce)


@functional()
def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """The negative log likelihood of normal numbers with means `input` and variances `var` (Nix & Weigend 1994).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.gaussian_nll_loss(torch.zeros(2), torch.ones(2), torch.ones(2))
        tensor(0.5000)
    """
    if isinstance(var, (int, float)):
        var = input.new_full(input.shape, var)
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif var.dim() > input.dim() or any(
            v not in (1, n) for v, n in zip(var.shape[::-1], input.shape[::-1], strict=False)
        ):
            raise ValueError(f"var is of incorrect size: expected {list(input.shape)}, got {list(var.shape)}")
    if bool((var < 0).any()):
        raise ValueError("var has negative entry/entries")
    var = var.detach().clamp(min=eps) - var.detach() + var  # clamped, with the gradient of what was not
    loss = 0.5 * (var.log() + (input - target) ** 2 / var)
    return reduced(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


# ---------------------------------------------------------------------------------------------- classification


@functional(node_name="BinaryCrossEntropyBackward0", shows=("input", "target"))
def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Cross entropy of probabilities in [0, 1]; logarithms are kept above -100.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.binary_cross_entropy(torch.tensor([0.5]), torch.tensor([1.]))
        tensor(0.6931)
    """
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is deprecated. "
            "Please ensure they have the same size."
        )
    if target.dtype is not input.dtype:
        found, expected = errors.TYPE_NAMES[target.dtype.name], errors.TYPE_NAMES[input.dtype.name]
        raise RuntimeError(
            errors.explain(
                f"Found dtype {found} but expected {expected}: targets of binary_cross_entropy are probabilities",
                hint="use target.to(input.dtype)",
                site=user_site(),
            )
        )
    loss = bce_of(input, target)
    return reduced(loss if weight is None else loss * weight, reduction, size_average, reduce)


@library(
    expand=_expand.bce,
    category="norm",
    method=False,
    function=False,
    node_name="BinaryCrossEntropyBackward0",
    infer=lambda x, t: contiguous(x.dtype, x.shape),
    gradient={
        "input": lambda g, input, target: g * (input - target) / ((1 - input) * input).clamp(min=1e-12),
        "target": lambda g, input: g * ((1 - input).log().clamp(min=-100) - input.log().clamp(min=-100)),
    },
    fallible=True,
)
def bce_of(input: Any, target: Any) -> Any:
    """The cross entropy of every element."""
    x, t = accumulated(input), accumulated(target)
    if x.size and not bool(((x >= 0) & (x <= 1)).all()):
        raise RuntimeError(
            "all elements of input should be between 0 and 1, as a sigmoid gives them; "
            f"got values from {x.min()} to {x.max()} (binary_cross_entropy_with_logits takes any)"
        )
    return (t - 1) * np.maximum(np.log1p(-x), -100) - t * np.maximum(np.log(x), -100)


@functional(
    node_name="BinaryCrossEntropyWithLogitsBackward0",
    shows=("input", "target"),
    saves=("target", "pos_weight"),
)
def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """Cross entropy of sigmoid(input), computed without overflow.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor([0.]), torch.tensor([1.]))
        tensor(0.6931)
    """
    if target.shape != input.shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    if target.dtype.category <= dtypes.INTEGER:
        wanted, found = errors.TYPE_NAMES[input.dtype.name], errors.TYPE_NAMES[target.dtype.name]
        raise RuntimeError(
            errors.explain(
                f"result type {wanted} can't be cast to the desired output type {found}: targets of "
                "binary_cross_entropy_with_logits are probabilities",
                hint="use target.float()",
                site=user_site(),
            )
        )
    log_sigmoid = logsigmoid(input)
    scale = log_sigmoid if pos_weight is None else ((pos_weight - 1) * target + 1) * log_sigmoid
    loss = (1 - target) * input - scale
    return reduced(loss if weight is None else loss * weight, reduction, size_average, reduce)


def _classes(name: str, m: Meta, target: Meta) -> None:
    """ValueError or RuntimeError unless `target` holds one class number for each row of scores."""
    if m.ndim < 1 or m.ndim == 1 and target.ndim > 1:
        raise ValueError(f"{name}: expected scores of 1 or more dimensions, got {list(m.shape)}")
    expected = m.shape[:1] + m.shape[2:] if m.ndim > 1 else ()
    if tuple(target.shape) != tuple(expected) and not (m.ndim == 1 and target.shape == (1,)):
        rows = target.shape[0] if target.ndim else 1
        same = m.ndim > 1 and rows == m.shape[0]
        if not same:
            what = f"Expected input batch_size ({m.shape[0]}) to match target batch_size ({rows})."
        elif m.ndim == 2:
            what = "0D or 1D target tensor expected, multi-target not supported."
        else:
            what = f"Expected target size {list(expected)}, got {list(target.shape)}."
        if m.ndim > 1 and target.ndim == 2 and target.shape[1] == 1:
            hint = "targets are class numbers in one dimension: use target.squeeze(1)"
        elif tuple(target.shape) == tuple(m.shape):
            hint = "one-hot targets are given as class numbers (target.argmax(1)) or as floating-point probabilities"
        else:
            hint = "scores have shape [batch, classes, ...], targets [batch, ...]"
        raise (RuntimeError if same else ValueError)(
            errors.explain(f"{what} Scores {list(m.shape)}, targets {list(target.shape)}", hint=hint, site=user_site(6))
        )
    if target.dtype not in (dtypes.int64, dtypes.uint8):
        raise RuntimeError(
            errors.explain(
                f"expected scalar type Long but found {errors.TYPE_NAMES[target.dtype.name]}: targets of {name} are "
                f"class numbers",
                hint="use target.long()"
                if target.dtype.category <= dtypes.INTEGER
                else "are input and target swapped? or use target.long()",
                site=user_site(6),
            )
        )


def _infer_nll(m: Meta, target: Meta, weight: Any, ignore_index: int) -> tuple[Meta, Meta]:
    _classes("nll_loss", m, target)
    if isinstance(weight, Meta) and tuple(weight.shape) != (m.shape[1 if m.ndim > 1 else 0],):
        raise RuntimeError(
            f"weight tensor should be defined either for all {m.shape[1 if m.ndim > 1 else 0]} classes or no classes "
            f"but got weight "
            f"tensor of shape: {list(weight.shape)}"
        )
    shape = m.shape[:1] + m.shape[2:] if m.ndim > 1 else target.shape
    return contiguous(m.dtype, shape), contiguous(m.dtype, shape)


def _checked_targets(target: np.ndarray, classes: int, ignore_index: int) -> tuple[np.ndarray, np.ndarray]:
    """(targets with ignored ones replaced by 0, which count); IndexError for a number that is no class."""
    counted = target != ignore_index
    safe = np.where(counted, target, 0)
    wrong = (safe < 0) | (safe >= classes)
    if wrong.any():
        raise IndexError(
            f"Target {int(safe[wrong].reshape(-1)[0])} is out of bounds: there are {classes} classes, 0 to "
            f"{classes - 1}."
        )
    return safe, counted


def _nll_name(input: Any, *_: Any, **named: Any) -> str:
    """The node's name: PyTorch has an operation of its own for images."""
    return "NllLoss2DBackward0" if len(input.shape) == 4 else "NllLossBackward0"


@library(
    node_name=_nll_name,
    expand=_expand.nll,
    category="norm",
    method=False,
    function=False,
    infer=_infer_nll,
    fallible=True,
    nondifferentiable=(1,),
    gradient={"input": lambda g0, input_meta, target, out1: _nll_grad(g0, input_meta, target, out1)},
)
def nll_of(input: Any, target: Any, weight: Any, ignore_index: int) -> Any:
    """(the weighted negative log probability of each target, the weight each target counts with)."""
    axis = 1 if input.ndim > 1 else 0
    x = accumulated(input)
    safe, counted = _checked_targets(target, x.shape[axis], ignore_index)
    picked = np.take_along_axis(x, np.expand_dims(safe, axis) if x.ndim > 1 else safe.reshape(1), axis)
    picked = picked.squeeze(axis) if x.ndim > 1 else picked.reshape(target.shape)
    weights = (
        counted.astype(x.dtype) if weight is None else np.where(counted, accumulated(weight)[safe], 0).astype(x.dtype)
    )
    return np.where(counted, -picked * weights, 0), weights


def _nll_grad(g: Any, m: Meta, target: Any, weights: Any) -> Any:
    """Minus the weight at the target's place; nothing where it is 0, even of a mean over nothing."""
    scale = choose(weights == 0, 0, -(g * weights))
    safe = target.long().clamp(0, m.shape[1 if m.ndim > 1 else 0] - 1)
    zeros = g.new_zeros(m.shape)
    if m.ndim == 1:
        return zeros.scatter(0, safe.reshape(1), scale.reshape(1))
    return zeros.scatter(1, safe.unsqueeze(1), scale.unsqueeze(1))


@functional(node_name=_nll_name, shows=("input",), saves=("input", "weight"))
def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """The negative log likelihood: minus the log probability ([N, C, ...]) of each target class ([N, ...], int64).

    The mean is weighted by the classes' weights; targets equal to `ignore_index` do not count. IndexError for a target
    outside [0, C), ValueError for shapes that do not fit.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.nll_loss(torch.tensor([[-1., -2.]]), torch.tensor([1]))
        tensor(2.)
    """
    losses, weights = nll_of(input, target, weight, ignore_index)
    if reduction == "mean" and size_average is None and reduce is None:
        return losses.sum() / weights.sum()
    return reduced(losses, reduction, size_average, reduce)


def _infer_mean_entropy(m: Meta, target: Meta, weight: Any, ignore_index: int) -> tuple[Meta, Meta]:
    infer_rows("log_softmax", m, 1 if m.ndim > 1 else 0)
    _classes("cross_entropy", m, target)
    weights = _infer_nll(m, target, weight, ignore_index)[1]
    return contiguous(m.dtype, ()), weights


@library(
    snapshots=("input",),
    node_name=_nll_name,
    between={"input": "LogSoftmaxBackward0"},
    expand=_expand.mean_entropy,
    category="norm",
    method=False,
    function=False,
    infer=_infer_mean_entropy,
    fallible=True,
    nondifferentiable=(1,),
    gradient={"input": lambda g0, input, target, out1: mean_entropy_grad(g0, input, target, out1)},
)
def mean_entropy(input: Any, target: Any, weight: Any, ignore_index: int) -> Any:
    """(the weighted mean of -log softmax(input) at the targets, the weight each target counts with): one step of most
    classifiers' training, recorded as one operation."""
    log_probabilities = OPS["log_softmax_rows"].body(input, 1 if input.ndim > 1 else 0)
    losses, weights = OPS["nll_of"].body(log_probabilities, target, weight, ignore_index)
    return losses.sum() / weights.sum(), weights


@library(
    expand=_expand.mean_entropy_grad,
    category="norm",
    method=False,
    function=False,
    infer=lambda g, input, target, weights: contiguous(input.dtype, input.shape),
    gradient={
        "g": lambda g0, input, target, weights: (
            g0 * mean_entropy_grad(weights.new_ones(()), input, target, weights)
        ).sum(),
        "input": lambda g0, g, input, target, weights: _mean_entropy_curvature(g0, g, input, weights),
    },
)
def mean_entropy_grad(g: Any, input: Any, target: Any, weights: Any) -> Any:
    """The gradient of `mean_entropy`: (softmax(input) - 1 at the target) * weight / sum of weights."""
    axis = 1 if input.ndim > 1 else 0
    w = accumulated(weights)
    slope = OPS["softmax_rows"].body(input, axis)
    safe = np.clip(target.astype(np.int64), 0, input.shape[axis] - 1)  # ignored ones have no weight
    at = np.expand_dims(safe, axis) if input.ndim > 1 else safe.reshape(1)
    np.put_along_axis(slope, at, np.take_along_axis(slope, at, axis) - 1, axis)
    scale = accumulated(g) * w / (w.sum() or 1)  # nothing comes of targets all ignored
    return slope * (np.expand_dims(scale, axis) if input.ndim > 1 else scale)


def _mean_entropy_curvature(g0: Any, g: Any, input: Any, weights: Any) -> Any:
    """The softmax's own slope, applied to what flows to the gradient."""
    axis = 1 if input.dim() > 1 else 0
    scale = g * weights / weights.sum()
    return softmax_backward(g0 * (scale.unsqueeze(axis) if input.dim() > 1 else scale), softmax_rows(input, axis), axis)


@functional()
def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """The cross entropy between scores ([N, C, ...], not probabilities) and targets: class numbers ([N, ...], int64) or
    probabilities (floating point, the shape of the scores).

    `label_smoothing` mixes targets with the uniform distribution (Szegedy et al. 2016). IndexError for a class outside
    [0, C).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.cross_entropy(torch.zeros(1, 4), torch.tensor([2]))
        tensor(1.3863)
    """
    axis = 1 if input.dim() > 1 else 0
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if target.dtype.is_floating_point and (target.shape == input.shape or target.dim() == input.dim()):
        return _cross_entropy_with_probabilities(input, target, weight, axis, reduction, label_smoothing)
    if not label_smoothing and reduction == "mean" and size_average is None and reduce is None:
        return mean_entropy(input, target, weight, ignore_index)[0]
    log_probabilities = log_softmax_rows(input, axis)
    if not label_smoothing:
        _classes("cross_entropy", input._meta, target._meta)
    plain = nll_loss(log_probabilities, target, weight, size_average, ignore_index, reduce, reduction)
    if not label_smoothing:
        return plain
    classes = input.shape[axis]
    _, weights = nll_of(log_probabilities.detach(), target, weight, ignore_index)
    spread_over = (
        log_probabilities
        if weight is None
        else log_probabilities * weight.reshape([-1 if i == axis else 1 for i in range(input.dim())])
    )
    counted = target != ignore_index
    smooth = -spread_over.sum(axis) * counted
    smooth = smooth.sum() / weights.sum() if reduction == "mean" else reduced(smooth, reduction)
    return (1 - label_smoothing) * plain + label_smoothing / classes * smooth


def _cross_entropy_with_probabilities(
    input: Any, target: Any, weight: Any, axis: int, reduction: str, label_smoothing: float
) -> Any:
    if target.shape != input.shape:
        raise RuntimeError(
            f"expected targets of probabilities to have the scores' shape {list(input.shape)}, got {list(target.shape)}"
        )
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / input.shape[axis]
    terms = log_softmax_rows(input, axis) * target
    if weight is not None:
        terms = terms * weight.reshape([-1 if i == axis else 1 for i in range(input.dim())])
    if reduction == "mean":
        return -terms.sum() / (input.numel() // max(input.shape[axis], 1))
    return reduced(-terms.sum(axis), reduction)


@functional()
def kl_div(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Any:
    """The Kullback-Leibler divergence of `target` (probabilities, or their logarithms) from `input` (log
    probabilities); "batchmean" divides by the batch size, which is the mathematical definition.

    Example::

        >>> import flambeau as torch
        >>> even = torch.tensor([[0.5, 0.5]])
        >>> torch.nn.functional.kl_div(even.log(), torch.tensor([[1., 0.]]), reduction="batchmean")
        tensor(0.6931)
    """
    loss = target.exp() * (target - input) if log_target else target.xlogy(target) - target * input
    if reduction == "batchmean":
        return loss.sum() / input.shape[0] if input.dim() else loss.sum()
    return reduced(loss, reduction, size_average, reduce)


# ---------------------------------------------------------------------------------------------- margins


@functional()
def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """The distance where target is 1, max(0, margin - distance) where it is -1.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.hinge_embedding_loss(torch.tensor([0.5]), torch.tensor([-1]))
        tensor(0.5000)
    """
    loss = choose(target != 1, (margin - input).clamp_min(0), 0) + choose(target != -1, input, 0)
    return reduced(loss, reduction, size_average, reduce)


@functional()
def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """max(0, margin - target * (input1 - input2)): target 1 wants the first ranked higher.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.margin_ranking_loss(torch.tensor([1.]), torch.tensor([2.]), torch.tensor([1.]))
        tensor(1.)
    """
    if not input1.dim() == input2.dim() == target.dim():
        raise RuntimeError(
            f"margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: "
            f"{input1.shape}, "
            f"input2: {input2.shape}, target: {target.shape} "
        )
    return reduced((-target * (input1 - input2) + margin).clamp_min(0), reduction, size_average, reduce)


@functional(node_name="SoftMarginLossBackward0", shows=("input",), saves=("input",))
def soft_margin_loss(
    input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
) -> Any:
    """log(1 + exp(-target * input)).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.soft_margin_loss(torch.zeros(1), torch.ones(1))
        tensor(0.6931)
    """
    return reduced(-logsigmoid(target * input), reduction, size_average, reduce)


@functional()
def multilabel_soft_margin_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """The binary cross entropy of each label, averaged over labels.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.multilabel_soft_margin_loss(torch.zeros(1, 2), torch.ones(1, 2))
        tensor(0.6931)
    """
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    loss = loss if weight is None else loss * weight
    return reduced(loss.sum(-1) / input.shape[-1], reduction, size_average, reduce)


@functional(node_name="MultiMarginLossBackward0", shows=("input",), saves=("input", "weight"))
def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """The hinge of every wrong class against the right one (Crammer & Singer 2001), averaged over classes.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.multi_margin_loss(torch.tensor([[0., 0.]]), torch.tensor([0]))
        tensor(0.5000)
    """
    check_reduction(reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.dim() != 1:
        raise ValueError(f"weight must be one-dimensional, got shape {list(weight.shape)}")
    rows = input if input.dim() > 1 else input.reshape(1, -1)
    target = target.reshape(-1)
    right = rows.gather(1, target.unsqueeze(1))
    gap = (margin - right + rows).clamp(min=0) ** p
    gap = gap if weight is None else gap * weight[target].unsqueeze(1)
    loss = gap.scatter(1, target.unsqueeze(1), 0.0).sum(1) / rows.shape[1]
    return reduced(loss if input.dim() > 1 else loss.squeeze(0), reduction, size_average, reduce)


@functional(node_name="MultilabelMarginLossBackward0", shows=("input",), saves=("input", "target"))
def multilabel_margin_loss(
    input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
) -> Any:
    """The hinge of every class that is no label against every label; the labels of a row end at the first -1.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.multilabel_margin_loss(torch.tensor([0.1, 0.2, 0.4, 0.8]), torch.tensor([3, 0, -1, 1]))
        tensor(0.8500)
    """
    check_reduction(reduction)
    if input.dim() > 2 or input.shape != target.shape:
        raise RuntimeError(f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}")
    rows, labels = (input, target) if input.dim() == 2 else (input.reshape(1, -1), target.reshape(1, -1))
    listed = (labels < 0).long().cumsum(1) == 0
    safe = labels.clamp(min=0)
    is_label = labels.new_zeros(labels.shape).scatter_add(1, safe, listed.long()) > 0
    gap = (1 - rows.gather(1, safe).unsqueeze(2) + rows.unsqueeze(1)).clamp(min=0)
    counts = listed.unsqueeze(2) & ~is_label.unsqueeze(1)
    loss = (gap * counts).sum((1, 2)) / rows.shape[1]
    return reduced(loss if input.dim() == 2 else loss.squeeze(0), reduction, size_average, reduce)


@functional()
def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """1 - cosine where target is 1, max(0, cosine - margin) where it is -1.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.cosine_embedding_loss(torch.ones(1, 2), torch.ones(1, 2), torch.tensor([1]))
        tensor(0.)
    """
    epsilon = 1e-12
    product, one, two = (
        (input1 * input2).sum(-1),
        (input1 * input1).sum(-1) + epsilon,
        (input2 * input2).sum(-1) + epsilon,
    )
    cosine = product / (one * two).sqrt()
    loss = choose(target == 1, 1 - cosine, 0) + choose(target == -1, (cosine - margin).clamp_min(0), 0)
    return reduced(loss, reduction, size_average, reduce)


@functional()
def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin) (Balntas et al. 2016).

    Example::

        >>> import flambeau as torch
        >>> a = torch.zeros(1, 2)
        >>> torch.nn.functional.triplet_margin_loss(a, a, a + 1)
        tensor(0.)
    """
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")

    def distance(a: Any, b: Any) -> Any:
        return (a - b + eps).norm(p, -1)

    return _triplet(distance, anchor, positive, negative, margin, swap, reduced, reduction, size_average, reduce)


def _triplet(
    distance: Any, anchor: Any, positive: Any, negative: Any, margin: float, swap: bool, finish: Any, *arguments: Any
) -> Any:
    far = distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return finish((distance(anchor, positive) - far + margin).clamp_min(0), *arguments)


@functional()
def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Any = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """The triplet loss with any distance; the Euclidean one by default.

    Example::

        >>> import flambeau as torch
        >>> a = torch.zeros(1, 2)
        >>> torch.nn.functional.triplet_margin_with_distance_loss(a, a, a + 1)
        tensor(0.)
    """
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    distance = distance_function or (lambda a, b: (a - b + 1e-6).norm(2, -1))
    return _triplet(distance, anchor, positive, negative, margin, swap, reduced, reduction)


@functional()
def linear_cross_entropy(
    input: Any,
    linear_weight: Any,
    target: Any,
    *,
    linear_bias: Any = None,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Any:
    """`cross_entropy(linear(input, linear_weight, linear_bias), target)`: both are fused when they are compiled.

    A weight [C, d1, ..., in] and a bias [C, d1, ...] give losses for targets [N, d1, ...].

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.linear_cross_entropy(torch.ones(1, 2), torch.zeros(2, 2), torch.tensor([0]))
        tensor(0.6931)
    """
    if input.dim() not in (1, 2):
        raise RuntimeError(f"linear_cross_entropy: expected input with dimensionality 1 or 2, got {list(input.shape)}")
    if input.dim() == 1 and linear_weight.dim() > 2:
        raise RuntimeError(
            f"linear_cross_entropy: a weight of shape {list(linear_weight.shape)} requires batched input, got "
            f"{list(input.shape)}"
        )
    if target.dtype.is_floating_point and ignore_index >= 0:
        raise RuntimeError("linear_cross_entropy: ignore_index cannot be specified when target contains probabilities")
    classes = tuple(linear_weight.shape[:-1])
    rows = linear_weight.flatten(0, -2) if len(classes) > 1 else linear_weight
    bias = linear_bias.flatten() if linear_bias is not None and len(classes) > 1 else linear_bias
    logits = OPS["nn.functional.linear"].function(input, rows, bias)
    logits = logits.unflatten(-1, classes) if len(classes) > 1 else logits
    return cross_entropy(logits, target, weight, None, ignore_index, None, reduction, label_smoothing)
