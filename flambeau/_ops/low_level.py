"""The functions of `torch` that its layers call: no defaults, and a number in place of the reduction's word.

Programs meet them in traces and in code written for `torch._C`; each is its relative of `nn.functional` again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau._core import dtypes
from flambeau._ops import conv, dropout, linear, loss, normalization
from flambeau._ops.registry import composite
from flambeau._ops.strided import owner

REDUCTIONS = ("none", "mean", "sum")
BAG_MODES = ("sum", "mean", "max")


def _word(reduction: int, words: tuple[str, ...] = REDUCTIONS) -> str:
    if not 0 <= reduction < len(words):
        raise ValueError(f"{reduction} is not a valid number: {', '.join(f'{i} is {w}' for i, w in enumerate(words))}")
    return words[reduction]


# ---------------------------------------------------------------------------------------------- losses


@composite(method=False)
def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, pos_weight: Any = None, reduction: int = 1
) -> Any:
    """`nn.functional.binary_cross_entropy_with_logits`; `reduction`: 0 none, 1 mean, 2 sum.

    Example::

        >>> import flambeau as torch
        >>> torch.binary_cross_entropy_with_logits(torch.zeros(2), torch.ones(2))
        tensor(0.6931)
    """
    return loss.binary_cross_entropy_with_logits(
        input, target, weight, reduction=_word(reduction), pos_weight=pos_weight
    )


@composite(method=False)
def kl_div(input: Any, target: Any, reduction: int = 1, *, log_target: bool = False) -> Any:
    """`nn.functional.kl_div`; `reduction`: 0 none, 1 mean, 2 sum.

    Example::

        >>> import flambeau as torch
        >>> torch.kl_div(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[1., 0.]]), 2)
        tensor(0.6931)
    """
    return loss.kl_div(input, target, reduction=_word(reduction), log_target=log_target)


@composite(method=False)
def poisson_nll_loss(input: Any, target: Any, log_input: bool, full: bool, eps: float, reduction: int) -> Any:
    """`nn.functional.poisson_nll_loss`; `reduction`: 0 none, 1 mean, 2 sum.

    Example::

        >>> import flambeau as torch
        >>> torch.poisson_nll_loss(torch.zeros(2), torch.ones(2), True, False, 1e-8, 1)
        tensor(1.)
    """
    return loss.poisson_nll_loss(input, target, log_input, full, None, eps, None, _word(reduction))


@composite(method=False)
def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, reduction: int = 1) -> Any:
    """`nn.functional.hinge_embedding_loss`; `reduction`: 0 none, 1 mean, 2 sum.

    Example::

        >>> import flambeau as torch
        >>> torch.hinge_embedding_loss(torch.tensor([0.5]), torch.tensor([-1]))
        tensor(0.5000)
    """
    return loss.hinge_embedding_loss(input, target, margin, reduction=_word(reduction))


@composite(method=False)
def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: int = 1) -> Any:
    """`nn.functional.margin_ranking_loss`; `reduction`: 0 none, 1 mean, 2 sum.

    Example::

        >>> import flambeau as torch
        >>> torch.margin_ranking_loss(torch.tensor([1.]), torch.tensor([2.]), torch.tensor([1.]))
        tensor(1.)
    """
    return loss.margin_ranking_loss(input1, input2, target, margin, reduction=_word(reduction))


@composite(method=False)
def cosine_embedding_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: int = 1) -> Any:
    """`nn.functional.cosine_embedding_loss`; `reduction`: 0 none, 1 mean, 2 sum.

    Example::

        >>> import flambeau as torch
        >>> torch.cosine_embedding_loss(torch.ones(1, 2), torch.ones(1, 2), torch.tensor([1]))
        tensor(0.)
    """
    return loss.cosine_embedding_loss(input1, input2, target, margin, reduction=_word(reduction))


@composite(method=False)
def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: int = 1,
) -> Any:
    """`nn.functional.triplet_margin_loss`; `reduction`: 0 none, 1 mean, 2 sum.

    Example::

        >>> import flambeau as torch
        >>> a = torch.zeros(1, 2)
        >>> torch.triplet_margin_loss(a, a, a + 1)
        tensor(0.)
    """
    return loss.triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, reduction=_word(reduction))


# ---------------------------------------------------------------------------------------------- look-ups


@composite(method=False)
def embedding(
    weight: Any, indices: Any, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Any:
    """`nn.functional.embedding` with the table first; `padding_idx` -1: none.

    Example::

        >>> import flambeau as torch
        >>> torch.embedding(torch.tensor([[1., 2.], [3., 4.]]), torch.tensor([1]))
        tensor([[3., 4.]])
    """
    return linear.rows_of(indices, weight, padding_idx, scale_grad_by_freq, sparse)


@composite(method=False, name="embedding_renorm_")
def embedding_renorm_(input: Any, indices: Any, max_norm: float, norm_type: float) -> Any:
    """Scale the rows of the table `input` that `indices` name down to the norm `max_norm`, in place.

    Example::

        >>> import flambeau as torch
        >>> torch.embedding_renorm_(torch.tensor([[3., 4.]]), torch.tensor([0]), 1.0, 2.0)
        tensor([[0.6000, 0.8000]])
    """
    linear.renormalise(input, indices, max_norm, norm_type)
    return input


@composite(method=False)
def embedding_bag(
    weight: Any,
    indices: Any,
    offsets: Any,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """(bags, the bag of each index, bag sizes, the rows that gave maxima): `nn.functional.embedding_bag` with the table
    first; `mode`: 0 sum, 1 mean, 2 max. The last three are what backward needs in PyTorch.

    Example::

        >>> import flambeau as torch
        >>> torch.embedding_bag(torch.tensor([[1.], [3.]]), torch.tensor([0, 1]), torch.tensor([0]))[:3]
        (tensor([[4.]]), tensor([0, 0]), tensor([2]))
    """
    bags = linear.embedding_bag(
        indices, weight, offsets, None, 2.0, scale_grad_by_freq, _word(mode, BAG_MODES), sparse, per_sample_weights,
        include_last_offset, padding_idx,
    )  # fmt: skip
    flat, owner, count = linear._bags(indices, offsets, include_last_offset)
    kept = owner if padding_idx is None else owner[flat != padding_idx % weight.shape[0]]
    sizes = kept.new_zeros((count,)).index_add(0, kept, kept.new_ones(kept.shape))
    return bags, owner, sizes, offsets.new_zeros(offsets.shape)


# ---------------------------------------------------------------------------------------------- normalisation


@composite(method=False)
def instance_norm(
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Any:
    """`nn.functional.instance_norm` with the arguments in another order.

    Example::

        >>> import flambeau as torch
        >>> torch.instance_norm(torch.tensor([[[1., 3.]]]), None, None, None, None, True, 0.1, 1e-5, False)
        tensor([[[-1.0000,  1.0000]]])
    """
    return normalization.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


@composite(method=False, saves=("input", "running_mean", "running_var", "out1", "out2"))
def native_batch_norm(
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
) -> Any:
    """(`batch_norm`, the mean and the inverse standard deviation of each channel); the latter empty unless `training`.

    Example::

        >>> import flambeau as torch
        >>> torch.native_batch_norm(torch.tensor([[1.], [3.]]), None, None, None, None, True, 0.1, 1e-5)[1]
        tensor([2.])
    """
    out = normalization.torch_batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)
    if not training:
        empty = input.new_empty((0,))
        return out, empty, empty.clone()
    mean, inverse = _statistics(input, (0, *range(2, input.dim())), eps)
    return out, owner(mean.reshape(-1)), owner(inverse.reshape(-1))


@composite(method=False)
def batch_norm_update_stats(input: Any, running_mean: Any, running_var: Any, momentum: float) -> tuple[Any, Any]:
    """(mean, variance divided by the count) of each channel; moves the running statistics, if given, towards them, by
    `momentum`, the variance divided by one less.

    Example::

        >>> import flambeau as torch
        >>> torch.batch_norm_update_stats(torch.tensor([[1.], [3.]]), torch.zeros(1), torch.ones(1), 0.1)
        (tensor([2.]), tensor([1.]))
    """
    dims = (0, *range(2, input.dim()))
    mean, variance = input.mean(dims), input.var(dims, correction=0)
    count = input.numel() // input.shape[1]
    if running_mean is not None:
        running_mean.mul_(1 - momentum).add_(mean.detach(), alpha=momentum)
    if running_var is not None:
        running_var.mul_(1 - momentum).add_(variance.detach() * (count / (count - 1)), alpha=momentum)
    return mean, variance


@composite(method=False)
def mkldnn_convolution(
    input: Any,
    weight: Any,
    bias: Any,
    padding: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Any:
    """The convolution of as many dimensions as the input has after its first two; `torch.convolution` without
    transposition, arguments in another order.

    Example::

        >>> import flambeau as torch
        >>> torch.mkldnn_convolution(torch.ones(1, 2, 1, 1), torch.ones(1, 2, 1, 1), None, (0, 0), (1, 1), (1, 1), 1)
        tensor([[[[2.]]]])
    """
    return conv.convolution(
        input, weight, bias, stride, padding, dilation, False, [0] * (input.dim() - 2), groups
    )


@composite(method=False, saves=("input", "out1", "out2"))
def native_group_norm(
    input: Any,
    weight: Any,
    bias: Any,
    N: int,
    C: int,
    HxW: int,
    group: int,
    eps: float,  # noqa: N803
) -> Any:
    """(`group_norm`, the mean and the inverse standard deviation [N, group] of each group) of an input [N, C, *].

    Example::

        >>> import flambeau as torch
        >>> torch.native_group_norm(torch.tensor([[1., 3.]]), None, None, 1, 2, 1, 1, 1e-5)[1]
        tensor([[2.]])
    """
    out = normalization.group_norm(input, group, weight, bias, eps)
    mean, inverse = _statistics(input.reshape(N, group, C // group * HxW), (2,), eps)
    return out, owner(mean.reshape(N, group)), owner(inverse.reshape(N, group))


@composite(method=False, saves=("input", "weight", "bias", "out1", "out2"))
def native_layer_norm(input: Any, normalized_shape: Sequence[int], weight: Any, bias: Any, eps: float) -> Any:
    """(`layer_norm`, the mean and the inverse standard deviation of each sample).

    Example::

        >>> import flambeau as torch
        >>> torch.native_layer_norm(torch.tensor([[1., 3.]]), (2,), None, None, 1e-5)[1]
        tensor([[2.]])
    """
    out = normalization.layer_norm(input, normalized_shape, weight, bias, eps)
    mean, inverse = _statistics(input, tuple(range(input.dim() - len(normalized_shape), input.dim())), eps)
    return out, mean, inverse


def _statistics(input: Any, dims: tuple[int, ...], eps: float) -> tuple[Any, Any]:
    """(mean, inverse standard deviation) over `dims`, which stay as ones."""
    x = input.float() if input.dtype in dtypes.HALVES else input
    mean = x.mean(dims, True)
    inverse = ((x - mean).square().mean(dims, True) + eps).rsqrt()
    return mean.to(input.dtype), inverse.to(input.dtype)


# ---------------------------------------------------------------------------------------------- dropout


@composite(method=False)
def native_dropout(input: Any, p: float, train: bool | None) -> Any:
    """(`dropout`, the mask of what was kept).

    Example::

        >>> import flambeau as torch
        >>> torch.native_dropout(torch.ones(2), 0.5, False)
        (tensor([1., 1.]), tensor([True, True]))
    """
    if train is False or p == 0 or input.numel() == 0:
        return input.clone(), input.detach().new_ones(input.shape, dtype=dtypes.bool_)
    mask = input.new_empty(input.shape).bernoulli_(1 - p).bool()
    return native_dropout_backward(input, mask, 0.0 if p == 1 else 1 / (1 - p)), mask


@composite(method=False, saves=("grad_output",))
def native_dropout_backward(grad_output: Any, mask: Any, scale: float) -> Any:
    """`grad_output * mask * scale`.

    Example::

        >>> import flambeau as torch
        >>> torch.native_dropout_backward(torch.ones(2), torch.tensor([True, False]), 2.0)
        tensor([2., 0.])
    """
    return grad_output * mask * scale


def _dropout_of_torch(name: str, function: Any, inplace: bool) -> None:
    """Declare `torch.<name>(input, p, train)`."""

    def body(input: Any, p: float, train: bool) -> Any:
        return function(input, p, train, inplace)

    body.__doc__ = (
        f"`nn.functional.{function.__name__}` with all arguments required{', in place' if inplace else ''}.\n\n"
        f"Example::\n\n    >>> import flambeau as torch\n    >>> torch.{name}(torch.ones(1, 1), 0.5, False)\n"
        "    tensor([[1.]])\n"
    )
    composite(method=False, name=name)(body)


def feature_dropout_of(input: Any, p: float, train: bool, inplace: bool) -> Any:
    """Dropout of whole channels, with any number of dimensions behind them."""
    return dropout._apply(input, p, train, inplace, dropout._channels(input, input.dim() - 2, True))


feature_dropout_of.__name__ = "dropout2d"
for _name, _function in (
    ("alpha_dropout", dropout.alpha_dropout),
    ("feature_dropout", feature_dropout_of),
    ("feature_alpha_dropout", dropout.feature_alpha_dropout),
):
    _dropout_of_torch(_name, _function, False)
    _dropout_of_torch(_name + "_", _function, True)
_dropout_of_torch("dropout_", dropout.dropout, True)
