"""Batch normalisation in steps, between which several processes join their statistics. Channels are dimension 1."""

from __future__ import annotations

from typing import Any

from flambeau._core import dtypes
from flambeau._ops.convert import cast
from flambeau._ops.registry import composite


def _others(input: Any) -> list[int]:
    """All dimensions but the channels'."""
    return [dim for dim in range(input.dim()) if dim != 1]


def _per_channel(values: Any, input: Any) -> Any:
    """Numbers of channels in a shape that broadcasts over `input`, in the dtype that is computed in."""
    return cast(values, _wide(input)).reshape([-1, *[1] * (input.dim() - 2)])


def _wide(input: Any) -> Any:
    return dtypes.float32 if input.dtype in dtypes.HALVES else input.dtype


@composite(method=False)
def batch_norm_stats(input: Any, eps: float) -> tuple[Any, Any]:
    """Each channel's mean, and the inverse of its standard deviation, of (N, C, *); in float32 for halves.

    Example::

        >>> import flambeau as torch
        >>> torch.batch_norm_stats(torch.tensor([[0.], [4.]]), 0.)
        (tensor([2.]), tensor([0.5000]))
    """
    wide = cast(input, _wide(input))
    mean = wide.mean(_others(input))
    spread = (wide - _per_channel(mean, input)).square().mean(_others(input))
    return mean, (spread + eps).rsqrt()


@composite(method=False)
def batch_norm_elemt(input: Any, weight: Any, bias: Any, mean: Any, invstd: Any, eps: float) -> Any:
    """`(input - mean) * invstd * weight + bias`, channel by channel; `weight` and `bias` may be None.

    Example::

        >>> import flambeau as torch
        >>> torch.batch_norm_elemt(torch.tensor([[0.], [4.]]), None, None, torch.tensor([2.]), torch.tensor([0.5]), 0.)
        tensor([[-1.],
                [ 1.]])
    """
    result = (input - _per_channel(mean, input)) * _per_channel(invstd, input)
    if weight is not None:
        result = result * _per_channel(weight, input)
    if bias is not None:
        result = result + _per_channel(bias, input)
    return cast(result, input.dtype)


@composite(method=False)
def batch_norm_gather_stats_with_counts(
    input: Any, mean: Any, invstd: Any, running_mean: Any, running_var: Any, momentum: float, eps: float, counts: Any
) -> tuple[Any, Any]:
    """The statistics of all processes from those of each, (number, C), and from how many elements a channel each had.

    Running statistics, unless None, are moved towards them by `momentum`; the variance is the unbiased one there.

    Example::

        >>> import flambeau as torch
        >>> mean, invstd = torch.tensor([[1.], [3.]]), torch.tensor([[1.], [1.]])
        >>> counts = torch.tensor([1., 1.])
        >>> torch.batch_norm_gather_stats_with_counts(mean, mean, invstd, None, None, 0.1, 0., counts)
        (tensor([2.]), tensor([0.7071]))
    """
    shares = cast(counts, mean.dtype).reshape(-1, 1)
    total = shares.sum()
    joined = (mean * shares).sum(0) / total
    spreads = invstd.square().reciprocal() - eps
    variance = ((spreads + (mean - joined).square()) * shares).sum(0) / total
    if running_mean is not None:
        running_mean.mul_(1 - momentum).add_(joined, alpha=momentum)
    if running_var is not None:
        running_var.mul_(1 - momentum).add_(variance * (total / (total - 1)), alpha=momentum)
    return joined, (variance + eps).rsqrt()


@composite(method=False)
def batch_norm_gather_stats(
    input: Any, mean: Any, invstd: Any, running_mean: Any, running_var: Any, momentum: float, eps: float, count: int
) -> tuple[Any, Any]:
    """`batch_norm_gather_stats_with_counts` where each process had `count` elements a channel.

    Example::

        >>> import flambeau as torch
        >>> mean, invstd = torch.tensor([[1.], [3.]]), torch.tensor([[1.], [1.]])
        >>> torch.batch_norm_gather_stats(mean, mean, invstd, None, None, 0.1, 0., 4)
        (tensor([2.]), tensor([0.7071]))
    """
    counts = mean.new_full((mean.shape[0],), count)
    return batch_norm_gather_stats_with_counts(input, mean, invstd, running_mean, running_var, momentum, eps, counts)


@composite(method=False)
def batch_norm_backward_reduce(
    grad_out: Any, input: Any, mean: Any, invstd: Any, weight: Any, input_g: bool, weight_g: bool, bias_g: bool
) -> tuple[Any, Any, Any, Any]:
    """What processes add up for the gradient: the sums a channel of `grad_out`, and of it times `input - mean`; then
    the gradients of weight and bias. None for those that are not asked for.

    Example::

        >>> import flambeau as torch
        >>> g, x, one = torch.tensor([[1.], [2.]]), torch.tensor([[0.], [4.]]), torch.ones(1)
        >>> torch.batch_norm_backward_reduce(g, x, 2 * one, 0.5 * one, one, True, True, True)
        (tensor([3.]), tensor([2.]), tensor([1.]), tensor([3.]))
    """
    g = cast(grad_out, _wide(input))
    total = g.sum(_others(input))
    weighted = (g * (input - _per_channel(mean, input))).sum(_others(input))
    of_weight = weighted * invstd if weight_g else None
    return total if input_g else None, weighted if input_g else None, of_weight, total if bias_g else None


@composite(method=False)
def batch_norm_backward_elemt(
    grad_out: Any, input: Any, mean: Any, invstd: Any, weight: Any, sum_dy: Any, sum_dy_xmu: Any, count: Any
) -> Any:
    """The gradient of the input, from the sums of all processes (see `batch_norm_backward_reduce`) and their counts.

    Example::

        >>> import flambeau as torch
        >>> g, x, one = torch.tensor([[1.], [2.]]), torch.tensor([[0.], [4.]]), torch.ones(1)
        >>> torch.batch_norm_backward_elemt(g, x, 2 * one, 0.5 * one, None, 3 * one, 2 * one, torch.tensor([2]))
        tensor([[0.],
                [0.]])
    """
    total = cast(count.sum(), mean.dtype)
    centred = input - _per_channel(mean, input)
    slope = _per_channel(invstd.square() * sum_dy_xmu / total, input)
    result = (grad_out - _per_channel(sum_dy / total, input) - centred * slope) * _per_channel(invstd, input)
    return cast(result if weight is None else result * _per_channel(weight, input), input.dtype)
