"""Gather and scatter: reading and writing elements whose coordinate along one dimension an index tensor says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous
from flambeau._ir.recording import TensorBase
from flambeau._ops import _expand_places
from flambeau._ops.infer import wrap_dim
from flambeau._ops.masked import fitting_number
from flambeau._ops.positions import along, reduce_at, widened
from flambeau._ops.registry import composite, library, with_tensor
from flambeau._ops.strided import INTERNAL

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


def _check(name: str, input: Meta, dim: int, index: Meta, src: Meta | None = None) -> int:
    """The dimension, counted from the front, after the checks that gather and scatter share."""
    dim = wrap_dim(dim, input.ndim)
    if not index.numel:
        return dim
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(
            errors.explain(f"{name}(): Expected dtype int32/int64 for index, got {index.dtype}", site=user_site(4))
        )
    if max(index.ndim, 1) != max(input.ndim, 1) or src is not None and max(src.ndim, 1) != max(index.ndim, 1):
        raise RuntimeError(
            errors.explain(
                "Index tensor must have the same number of dimensions as the tensor it indexes (and src): got index "
                f"{list(index.shape)}, self {list(input.shape)}"
                + (f", src {list(src.shape)}" if src is not None else ""),
                site=user_site(4),
            )
        )
    for d, n in enumerate(index.shape):
        if input.ndim and d != dim and n > input.shape[d] or src is not None and src.ndim and n > src.shape[d]:
            raise RuntimeError(
                errors.explain(
                    f"Size does not match at dimension {d}: expected index {list(index.shape)} to be no larger than "
                    f"self "
                    f"{list(input.shape)} apart from dimension {dim}"
                    + (f", and no larger than src {list(src.shape)}" if src is not None else ""),
                    site=user_site(4),
                )
            )
    return dim


def _at_least_1d(x: np.ndarray) -> np.ndarray:
    return x.reshape(x.shape or (1,))


# ---------------------------------------------------------------------------------------------- gather


def _infer_gather(input: Meta, dim: int, index: Meta, sparse_grad: bool = False) -> Meta:
    _check("gather", input, dim, index)
    return contiguous(input.dtype, index.shape)


@library(
    overlap="none",
    expand=_expand_places.gather,
    category="index",
    fallible=True,
    infer=_infer_gather,
    gradient={"input": lambda g, input_meta, dim, index: g.new_zeros(input_meta.shape).scatter_add(dim, index, g)},
    saves=("input",),
)
def gather(input: Any, dim: int, index: Any, sparse_grad: bool = False) -> Any:
    """For every element of `index` the element of `input` at the same place, except along `dim`, where the index says.

    `index` (int32 or int64) has as many dimensions as `input` and is no larger in the others than `dim`.
    IndexError for an index out of range. `sparse_grad` is accepted and changes nothing.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[1, 2], [3, 4]]).gather(1, torch.tensor([[0, 0], [1, 0]]))
        tensor([[1, 1],
                [4, 3]])
    """
    if not index.size:
        return np.empty(index.shape, input.dtype)
    source, where = _at_least_1d(input), _at_least_1d(index)
    return source.reshape(-1)[along(where, wrap_dim(dim, source.ndim), source.shape)].reshape(index.shape)


# ---------------------------------------------------------------------------------------------- scatter


def _infer_scatter(input: Meta, dim: int, index: Meta, src: Any, *_: Any) -> Meta:
    _check("scatter", input, dim, index, src if isinstance(src, Meta) else None)
    if isinstance(src, Meta) and src.dtype is not input.dtype:
        raise RuntimeError(
            errors.explain(
                f"scatter(): Expected self.dtype to be equal to src.dtype, got {input.dtype} and {src.dtype}",
                site=user_site(4),
            )
        )
    return contiguous(input.dtype, input.shape)


def _places(target: np.ndarray, dim: int, index: np.ndarray, src: Any) -> tuple[np.ndarray, np.ndarray, Any]:
    """The target and the positions, both flat, and what goes there."""
    where = _at_least_1d(index)
    positions = along(where, wrap_dim(dim, target.ndim), target.shape or (1,))
    if isinstance(src, np.ndarray):
        part = _at_least_1d(src)[tuple([slice(n) for n in where.shape])]
        return target.reshape(-1), positions, part.reshape(-1).astype(target.dtype, copy=False)
    return target.reshape(-1), positions, np.full(positions.shape, src, target.dtype)


@library(
    node_name=with_tensor("Scatter", 3, 0, 1),
    expand=_expand_places.scattered,
    category="index",
    fallible=True,
    name="scatter",
    infer=_infer_scatter,
    gradient={
        "input": lambda g, dim, index: scattered(g, dim, index, 0),
        "src": lambda g, dim, index, src_meta: _fitted(g.gather(dim, index), src_meta),
    },
    **INTERNAL,
)
def scattered(input: Any, dim: int, index: Any, src: Any) -> Any:
    """`input` with elements of `src`, a tensor or a number, written where the index says."""
    result = np.array(input, order="C")
    if index.size:
        flat, positions, values = _places(result, dim, index, src)
        flat[positions] = values
    return result


def _fitted(g: Any, m: Meta) -> Any:
    """The gradient of the part of `src` that was used, with zeros for the rest."""
    if g.shape == m.shape:
        return g
    result = g.new_zeros(m.shape)
    if not g.numel():
        return result
    for d, n in enumerate(g.shape):  # lay the part into zeros, a dimension at a time
        if n < m.shape[d]:
            g = g.new_zeros((*g.shape[:d], m.shape[d], *g.shape[d + 1 :])).slice_scatter(g, d, 0, n)
    return g


@library(
    overlap="same",
    expand=_expand_places.scatter_add,
    category="index",
    fallible=True,
    inplace=True,
    infer=_infer_scatter,
    gradient={"input": lambda g: g, "src": lambda g, dim, index, src_meta: _fitted(g.gather(dim, index), src_meta)},
)
def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """`input` with the elements of `src` added where `index` says along `dim`: the opposite of `gather`.

    IndexError for an index out of range, RuntimeError if shapes or dtypes do not fit.

    Example::

        >>> import flambeau as torch
        >>> torch.zeros(3).scatter_add(0, torch.tensor([0, 0, 2]), torch.tensor([1., 2., 3.]))
        tensor([3., 0., 3.])
    """
    result = widened(input)
    if index.size:
        reduce_at(*_places(result, dim, index, src), "add")
    return result


@composite(overlap="same", inplace=True)
def scatter(input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None) -> Any:
    """`input` with the elements of `src`, or a number, written where `index` says along `dim`.

    With `reduce` "add" or "multiply" they are combined with what is there. Where an index comes twice any one of the
    elements may win (here: the last). IndexError for an index out of range.

    Example::

        >>> import flambeau as torch
        >>> torch.zeros(2, 3).scatter(1, torch.tensor([[2], [0]]), 1.)
        tensor([[0., 0., 1.],
                [1., 0., 0.]])
    """
    src = value if src is None else src
    if not isinstance(src, TensorBase):
        src = fitting_number(src, input._meta.dtype)
    if reduce is None:
        return scattered(input, dim, index, src)
    if reduce not in ("add", "multiply"):
        raise RuntimeError(
            errors.explain(f"reduce argument must be either add or multiply, got {reduce!r}.", site=user_site(3))
        )
    if not isinstance(src, TensorBase):
        src = input.new_full(index._meta.shape, src)
    return scatter_add(input, dim, index, src) if reduce == "add" else scatter_reduce(input, dim, index, src, "prod")


# ---------------------------------------------------------------------------------------------- scatter_reduce


@library(
    expand=_expand_places.scatter_reduce,
    category="index",
    fallible=True,
    name="scatter_reduce",
    infer=_infer_scatter,
    gradient={
        ("input", "src"): lambda g, input, dim, index, src, reduce, include_self, out: _reduce_backward(
            g, input, dim, index, src, reduce, include_self, out
        )
    },
    **INTERNAL,
)
def reduced_at(input: Any, dim: int, index: Any, src: Any, reduce: str, include_self: bool) -> Any:
    """`input` with elements of `src` combined where the index says."""
    result = widened(input)
    if index.size:
        flat, positions, values = _places(result, dim, index, src)
        reduce_at(flat, positions, values, reduce, include_self)
    return result


@composite(overlap="same", inplace=True)
def scatter_reduce(input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Any:
    """`input` with the elements of `src` combined where `index` says along `dim`.

    `reduce` is "sum", "prod", "mean", "amax" or "amin"; without `include_self` the old elements there do not count.

    Example::

        >>> import flambeau as torch
        >>> torch.zeros(2).scatter_reduce(0, torch.tensor([0, 0, 1]), torch.tensor([3., 5., 4.]), "amax")
        tensor([5., 4.])
    """
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError(
            errors.explain(
                f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}", site=user_site(3)
            )
        )
    return reduced_at(input, dim, index, src, reduce, bool(include_self))


def _reduce_backward(
    g: Any,
    input: Any,
    dim: int,
    index: Any,
    src: Any,
    reduce: str,
    include_self: bool,
    out: Any,
) -> tuple[Any, Any]:
    """The gradients of `scatter_reduce` for the tensor and for what was combined into it."""
    used = src[tuple([slice(n) for n in index.shape])] if src.dim() else src
    rule = {"sum": _sum_backward, "mean": _mean_backward, "prod": _product_backward}.get(reduce, _extremum_backward)
    grad_input, grad_used = rule(g, input, dim, index, used, include_self, out)
    if not include_self:
        grad_input = scattered(grad_input, dim, index, 0)
    return grad_input, _fitted(grad_used, src._meta)


def _sum_backward(g: Any, input: Any, dim: int, index: Any, src: Any, include_self: bool, out: Any) -> tuple[Any, Any]:
    return g, g.gather(dim, index)


def _mean_backward(g: Any, input: Any, dim: int, index: Any, src: Any, include_self: bool, out: Any) -> tuple[Any, Any]:
    start = g.new_ones(input.shape) if include_self else g.new_zeros(input.shape)
    count = scatter_add(start, dim, index, g.new_ones(src.shape))
    shared = g / count.masked_fill(count == 0, 1)
    return shared, shared.gather(dim, index)


def _product_backward(
    g: Any, input: Any, dim: int, index: Any, src: Any, include_self: bool, out: Any
) -> tuple[Any, Any]:
    """Each factor's gradient is the product of the others: the whole divided by it, zeros being left out of the
    product."""
    own_zero, src_zero = input == 0, src == 0
    zeros = scatter_add(
        own_zero.to(g.dtype) if include_self else g.new_zeros(input.shape), dim, index, src_zero.to(g.dtype)
    )
    own = input.masked_fill(own_zero, 1)
    rest = reduced_at(own, dim, index, src.masked_fill(src_zero, 1), "prod", include_self)
    # with one zero only the zero has a gradient, with more nothing has
    weighted = g * rest
    grad_input = (weighted / own).masked_fill(zeros - own_zero.to(g.dtype) > 0, 0)
    others = zeros.gather(dim, index) - src_zero.to(g.dtype)
    return grad_input, (weighted.gather(dim, index) / src.masked_fill(src_zero, 1)).masked_fill(others > 0, 0)


def _extremum_backward(
    g: Any, input: Any, dim: int, index: Any, src: Any, include_self: bool, out: Any
) -> tuple[Any, Any]:
    """The gradient goes to the elements equal to the extremum, in equal shares."""
    own_best, src_best = (input == out).to(g.dtype), (src == out.gather(dim, index)).to(g.dtype)
    winners = scatter_add(own_best, dim, index, src_best)
    shared = g / winners.masked_fill(winners == 0, 1)
    return shared * own_best, shared.gather(dim, index) * src_best
