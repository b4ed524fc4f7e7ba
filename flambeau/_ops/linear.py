"""Affine maps and look-ups (`nn.functional`): linear, bilinear, embedding, embedding_bag, one_hot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir import recording
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops import _expand, _expand_places
from flambeau._ops.infer import broadcast_shapes
from flambeau._ops.operands import Operand
from flambeau._ops.reduce import accumulated, is_half, sum_to_size
from flambeau._ops.registry import composite, library

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


def infer_linear(x: Meta, weight: Meta, bias: Any = None) -> Meta:
    """The meta of `x @ weight.T + bias`; RuntimeError that says which layer would fit."""
    if weight.ndim > 2:
        raise RuntimeError(
            errors.explain(
                f"linear expects a weight of 1 or 2 dimensions, but got one of shape {list(weight.shape)}",
                site=user_site(5),
            )
        )
    features = weight.shape[-1]
    if x.ndim == 0 or x.shape[-1] != features:
        rows = x.numel // max(x.shape[-1], 1) if x.ndim else 1
        got = x.shape[-1] if x.ndim else 1
        flattened = x.numel // x.shape[0] if x.ndim > 1 and x.shape[0] else 0
        hint = (
            f"flatten the input first: x.flatten(1) has {features} features"
            if flattened == features
            else f"the input has {got} features: nn.Linear({got}, {weight.shape[0]}) would take it"
        )
        raise RuntimeError(
            errors.explain(
                f"mat1 and mat2 shapes cannot be multiplied ({rows}x{got} and {features}x{weight.shape[0]}); linear "
                f"got an input of "
                f"shape {list(x.shape)} and expects {features} features in its last dimension",
                hint=hint,
                site=user_site(5),
            )
        )
    if x.dtype is not weight.dtype:
        raise RuntimeError(
            errors.explain(
                f"mat1 and mat2 must have the same dtype, but got {errors.TYPE_NAMES[x.dtype.name]} and "
                f"{errors.TYPE_NAMES[weight.dtype.name]}",
                hint=f"convert the input, x{errors.conversion(weight.dtype.name)}, or the layer",
                site=user_site(5),
            )
        )
    shape = (*x.shape[:-1], *weight.shape[:-1])
    if bias is not None:
        broadcast_shapes((shape, bias.shape), "linear")
    return contiguous(x.dtype, shape)


def _linear_name(input: Meta, weight: Meta, bias: Any = None) -> str:
    return "MmBackward0" if bias is None else "AddmmBackward0"


def _linear_inputs(input: Meta, weight: Meta, bias: Any = None) -> tuple[str, ...]:
    return ("input", "weight") if bias is None else ("bias", "input", "weight")


@library(
    node_name=_linear_name,
    shows=_linear_inputs,
    between={"weight": "TBackward0"},
    expand=_expand.linear,
    category="contract",
    method=False,
    namespace="nn.functional",
    infer=infer_linear,
    needed_for={"input": "weight", "weight": "input"},
    gradient={
        ("input", "weight", "bias"): lambda g, input, weight, weight_meta, bias_meta, needs: _linear_grads(
            g, input, weight, weight_meta, bias_meta, needs
        )
    },
)
def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """`input @ weight.T + bias`: input [..., in], weight [out, in] (or [in]), bias [out]; result [..., out].

    RuntimeError for features that do not fit or different dtypes.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.linear(torch.ones(2, 3), torch.ones(4, 3), torch.ones(4))
        tensor([[4., 4., 4., 4.],
                [4., 4., 4., 4.]])
    """
    x, w = accumulated(input), accumulated(weight)
    if w.ndim == 1 or x.ndim <= 2:
        result = x @ w.T
    else:
        result = (x.reshape(math.prod(x.shape[:-1]), x.shape[-1]) @ w.T).reshape(*x.shape[:-1], w.shape[0])
    if bias is not None:
        result = result + accumulated(bias) if is_half(bias) or result.ndim == 0 else np.add(result, bias, out=result)
    return result


def rows_of_matrix(t: Any) -> Any:
    """All leading dimensions as one; also where the last dimension has no elements, which -1 cannot work out."""
    return t if t.dim() == 2 else t.reshape(math.prod(t.shape[:-1]), t.shape[-1])


def _linear_grads(
    g: Any, input: Any, weight: Any, w: Meta, b: Meta | None, needs: Sequence[bool]
) -> tuple[Any, Any, Any]:
    """The gradients of input, weight and bias, None for those that are not needed; written out for `vmap`, and where
    they are differentiated again."""
    plain = w.ndim == 2 and not w.dtype.is_complex and (b is None or b.shape == (w.shape[0],))
    if plain and not recording.grad_enabled() and not any([isinstance(t, Operand) for t in (g, input, weight)]):
        found = linear_grads(g, input if needs[1] else None, weight if needs[0] else None, needs[2])
        several = iter(found if isinstance(found, tuple) else (found,))
        of_input, of_weight, of_bias = [next(several) if needed else None for needed in needs]
        return of_input, of_weight, of_bias
    return (
        _linear_input_grad(g, weight) if needs[0] else None,
        _linear_weight_grad(g, input, w) if needs[1] else None,
        sum_to_size(g, b.shape) if needs[2] and b is not None else None,
    )


def _infer_linear_grads(g: Meta, x: Meta | None, weight: Meta | None, bias: bool) -> tuple[Meta, ...]:
    found = [] if weight is None else [contiguous(g.dtype, (*g.shape[:-1], weight.shape[1]))]
    if x is not None:
        found.append(contiguous(g.dtype, (g.shape[-1], x.shape[-1])))
    return (*found, contiguous(g.dtype, g.shape[-1:])) if bias else tuple(found)


@library(
    expand=_expand.linear_grads,
    category="contract",
    method=False,
    function=False,
    infer=_infer_linear_grads,
)
def linear_grads(g: Any, x: Any, weight: Any, bias: bool) -> tuple[Any, ...]:
    """Of `linear`: the gradients of the input, if there is a weight, of the weight, if there is an input, and of the
    bias, if there is one."""
    rows = accumulated(g).reshape(math.prod(g.shape[:-1]), g.shape[-1])
    found = [] if weight is None else [(rows @ accumulated(weight)).reshape(*g.shape[:-1], weight.shape[1])]
    if x is not None:
        found.append(rows.T @ accumulated(x).reshape(len(rows), x.shape[-1]))
    return (*found, rows.sum(0)) if bias else tuple(found)


def _linear_input_grad(g: Any, weight: Any) -> Any:
    weight = weight.conj() if weight.dtype.is_complex else weight
    if weight.dim() == 1:
        return g.unsqueeze(-1) * weight
    return g @ weight if g.dim() == 2 else (rows_of_matrix(g) @ weight).reshape((*g.shape[:-1], weight.shape[1]))


def _linear_weight_grad(g: Any, x: Any, m: Meta) -> Any:
    x = x.conj() if x.dtype.is_complex else x
    if m.ndim == 1:
        return (g.reshape(1, -1) @ x.reshape(-1, x.shape[-1])).reshape(m.shape)
    return rows_of_matrix(g).transpose(0, 1) @ rows_of_matrix(x)


@composite(method=False, saves=("input1", "input2", "weight"))
def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """`input1 A_k input2 + bias_k` for each of the matrices of `weight` [out, in1, in2].

    Example::

        >>> import flambeau as torch
        >>> torch.bilinear(torch.ones(1, 2), torch.ones(1, 3), torch.ones(4, 2, 3))
        tensor([[6., 6., 6., 6.]])
    """
    out, in1, in2 = weight.shape
    for given, expected, name in ((input1, in1, "input1"), (input2, in2, "input2")):
        if given.shape[-1] != expected:
            raise RuntimeError(
                f"bilinear(): {name} size does not match weight size: got {given.shape[-1]} but expected {expected}"
            )
    batch = input1.shape[:-1]
    left = input1.reshape(-1, in1) @ weight.permute(1, 0, 2).reshape(in1, out * in2)
    result = (left.reshape(-1, out, in2) * input2.reshape(-1, 1, in2)).sum(2).reshape((*batch, out))
    return result if bias is None else result + bias


# ---------------------------------------------------------------------------------------------- look-ups


def _infer_embedding(indices: Meta, weight: Meta, *_: Any) -> Meta:
    if indices.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(
            errors.explain(
                "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but "
                "got "
                f"{errors.TYPE_NAMES[indices.dtype.name]} instead",
                hint="use indices.long()",
                site=user_site(6),
            )
        )
    if weight.ndim != 2:
        raise RuntimeError(f"'weight' must be 2-D, got shape {list(weight.shape)}")
    return contiguous(weight.dtype, (*indices.shape, weight.shape[1]))


@library(
    expand=_expand_places.rows_of,
    category="index",
    method=False,
    function=False,
    node_name="EmbeddingBackward0",
    infer=_infer_embedding,
    fallible=True,
    gradient={
        "weight": lambda g, indices, weight_meta, padding_idx, scale_grad_by_freq, sparse: _embedding_grad(
            g, indices, weight_meta, padding_idx, scale_grad_by_freq, sparse
        )
    },
)
def rows_of(
    indices: Any, weight: Any, padding_idx: int, scale_grad_by_freq: bool, sparse: bool, bags: bool = False
) -> Any:
    """The rows of `weight` that `indices` name; for another row an IndexError, or a RuntimeError as of `bags`."""
    wrong = (indices < 0) | (indices >= weight.shape[0])
    if wrong.any():
        raise (RuntimeError if bags else IndexError)(
            f"index out of range in embedding{'_bag' if bags else ''}: got {int(indices[wrong].reshape(-1)[0])}, the "
            f"table has {weight.shape[0]} rows"
        )
    return weight[indices]


def _embedding_grad(g: Any, indices: Any, m: Meta, padding_idx: int, scale_grad_by_freq: bool, sparse: bool) -> Any:
    """What flows to each row of the table, added up; a sparse tensor of the rows used if asked for."""
    flat, rows = indices.reshape(-1).long(), g.reshape(-1, m.shape[1])
    if padding_idx >= 0:
        rows = rows.masked_fill((flat == padding_idx).unsqueeze(1), 0)
    if scale_grad_by_freq:
        counts = flat.new_zeros((m.shape[0],)).index_add(0, flat, flat.new_ones(flat.shape))
        rows = rows / counts[flat].unsqueeze(1)
    if sparse:
        kept = flat != padding_idx
        return rows[kept].sparse_rows(flat[kept].unsqueeze(0), m.shape)
    return rows.new_zeros(m.shape).index_add(0, flat, rows)


@composite(method=False, namespace="nn.functional")
def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """The rows of `weight` [n, width] that `input` (int64, any shape) names; result [*input.shape, width].

    `padding_idx` names a row that gets no gradient, `max_norm` renormalises rows in place first, `sparse` makes the
    gradient a sparse tensor. IndexError for a row that does not exist.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.embedding(torch.tensor([1, 0]), torch.tensor([[1., 2.], [3., 4.]]))
        tensor([[3., 4.],
                [1., 2.]])
    """
    if weight.dim() != 2:
        raise RuntimeError(f"embedding(): 'weight' must be 2-D, got shape {list(weight.shape)}")
    padding = _padding_row(padding_idx, weight.shape[0])
    if max_norm is not None:
        renormalise(weight, input, max_norm, norm_type)
    return rows_of(input, weight, padding, scale_grad_by_freq, sparse)


def _padding_row(padding_idx: int | None, rows: int) -> int:
    if padding_idx is None:
        return -1
    if not -rows <= padding_idx < rows:
        raise AssertionError(f"padding_idx must be within num_embeddings: got {padding_idx}, the table has {rows} rows")
    return padding_idx % rows


def renormalise(weight: Any, indices: Any, max_norm: float, norm_type: float) -> None:
    """Scale the rows that `indices` name down to `max_norm`, in place."""
    table = weight.detach()
    used = indices.reshape(-1).unique()
    rows = table[used]
    norms = rows.norm(norm_type, 1, True)
    scale = (max_norm / (norms + 1e-7)).masked_fill(norms <= max_norm, 1)
    table[used] = rows * scale


def _saved_for_bag(*args: Any, per_sample_weights: Any = None, **named: Any) -> tuple[str, ...]:
    weights = args[8] if len(args) > 8 else per_sample_weights
    return ("offsets", "weight") if weights is not None and weights.requires_grad else ("offsets",)


@composite(
    node_name="EmbeddingBagBackward0",
    shows=("weight", "per_sample_weights"),
    method=False,
    namespace="nn.functional",
    saves=_saved_for_bag,
)
def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """Sums, means or maxima over bags of rows of `weight`: bags are the rows of a 2-d `input`, or stretches of a 1-d
    one that start at `offsets`.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.embedding_bag(torch.tensor([[0, 1]]), torch.tensor([[1., 2.], [3., 4.]]))
        tensor([[2., 3.]])
    """
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            f"embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' "
            f"(got mode='{mode}')."
        )
    flat, bags, count = _bags(input.contiguous(), offsets, include_last_offset)
    size = weight.shape[0]
    if padding_idx is not None and not -size <= padding_idx < size:
        raise RuntimeError(
            f"padding_idx must be within the number of embeddings: got {padding_idx}, the table has {size} rows"
        )
    padding = _padding_row(padding_idx, size)
    if max_norm is not None:
        renormalise(weight, flat, max_norm, norm_type)
    rows = rows_of(flat, weight, padding, scale_grad_by_freq, sparse, True)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1, 1)
    if padding_idx is not None:
        kept = flat != padding
        rows, bags = rows[kept], bags[kept]
    shape = (count, weight.shape[1])
    if mode == "max":
        index = bags.unsqueeze(1).expand(rows.shape)
        result = rows.new_zeros(shape).scatter_reduce(0, index, rows, "amax", include_self=False)
        return recording.original(result, ())  # PyTorch saves where the maxima were, not the result
    total = rows.new_zeros(shape).index_add(0, bags, rows)
    if mode == "sum":
        return total
    sizes = bags.new_zeros((count,)).index_add(0, bags, bags.new_ones(bags.shape)).clamp(min=1)
    return total / sizes.unsqueeze(1).to(total.dtype)


@library(
    category="index",
    method=False,
    function=False,
    fallible=True,
    infer=lambda offsets, length: contiguous(offsets.dtype, offsets.shape),
)
def bag_starts(offsets: Any, length: int) -> Any:
    """The offsets, if the first is 0 and the last not beyond `length`; else a RuntimeError."""
    if offsets.size and offsets[0] != 0:
        raise RuntimeError(f"embedding_bag: offsets[0] has to be 0, where the first bag starts, but got {offsets[0]}")
    if offsets.size and offsets[-1] > length:
        raise RuntimeError(
            f"embedding_bag: offsets[-1] can not be greater than input's length {length}, but got {offsets[-1]}"
        )
    return offsets


def _bags(input: Any, offsets: Any, include_last_offset: bool) -> tuple[Any, Any, int]:
    """(indices in one dimension, the bag of each, the number of bags)."""
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length "
                "sequences."
            )
        rows, width = input.shape
        bags = input.new_zeros((rows, width)).long() + input.new_tensor(
            list(range(rows)), dtype=dtypes.int64
        ).unsqueeze(1)
        return input.reshape(-1), bags.reshape(-1), rows
    if input.dim() != 1:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}")
    if offsets is None or offsets.dim() != 1:
        raise ValueError("offsets has to be a 1D Tensor where the input is 1D")
    offsets = bag_starts(offsets, input.shape[0])
    starts = offsets[:-1] if include_last_offset else offsets
    marks = (
        input.new_zeros((input.shape[0] + 1,)).long().index_add(0, starts.long(), starts.new_ones(starts.shape).long())
    )
    return input, marks[:-1].cumsum(0) - 1, starts.shape[0]


@composite(method=False, namespace="nn.functional")
def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Rows with a 1 at the class that `tensor` (int64) names; shape [*tensor.shape, num_classes].

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.one_hot(torch.tensor([0, 2]))
        tensor([[1, 0, 0],
                [0, 0, 1]])
    """
    if tensor.dtype is not dtypes.int64:
        raise RuntimeError(
            errors.explain("one_hot is only applicable to index tensor.", hint="use tensor.long()", site=user_site(3))
        )
    if tensor.numel() == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return tensor.new_zeros((*tensor.shape, num_classes))
    smallest, highest = tensor.min(), tensor.max()  # both are recorded before one is looked at
    if int(smallest) < 0:
        raise RuntimeError("Class values must be non-negative.")
    largest = int(highest)
    if num_classes == -1:
        num_classes = largest + 1
    elif largest >= num_classes:
        raise RuntimeError(
            f"Class values must be smaller than num_classes: got {largest} with num_classes={num_classes}"
        )
    return tensor.new_zeros((*tensor.shape, num_classes)).scatter(-1, tensor.unsqueeze(-1), 1)


@composite(method=False)
def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between vectors along `dim`; norms are kept above `eps`.

    Example::

        >>> import flambeau as torch
        >>> torch.cosine_similarity(torch.tensor([[1., 1.]]), torch.tensor([[0., 2.]]))
        tensor([0.7071])
    """
    shape = broadcast_shapes((x1.shape, x2.shape), "cosine_similarity")
    x1, x2 = x1.expand(shape), x2.expand(shape)
    norm1 = x1.norm(2, dim, True).clamp_min(eps)
    norm2 = x2.norm(2, dim, True).clamp_min(eps)
    return ((x1 / norm1) * (x2 / norm2)).sum(dim)


@composite(method=False)
def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The p-norm of `x1 - x2 + eps` over the last dimension.

    Example::

        >>> import flambeau as torch
        >>> torch.pairwise_distance(torch.zeros(1, 2), torch.ones(1, 2), p=1)
        tensor([2.0000])
    """
    return (x1 - x2 + eps).norm(p, -1, keepdim)


@composite(out="castable", overlap="same", method=False, namespace="nn.functional")
def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Any = None) -> Any:
    """`input` over its p-norm along `dim`, which is kept above `eps`.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.normalize(torch.tensor([[3., 4.]]))
        tensor([[0.6000, 0.8000]])
    """
    return input / input.norm(p, dim, True).clamp_min(eps).expand_as(input)
