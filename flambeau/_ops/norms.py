"""Norms of vectors and matrices (`torch.linalg`, `torch.norm`, `Tensor.norm`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes
from flambeau._core.dtypes import dtype as dtype_class
from flambeau._core.lazy import lazy_module
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops import _expand
from flambeau._ops.infer import wrap_dims
from flambeau._ops.reduce import Dims, accumulated, axes, reduced_shape, restored
from flambeau._ops.registry import composite, library
from flambeau._ops.singular import singular_values

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


def _infer_norm(m: Meta, ord: float, dim: Dims, keepdim: bool) -> Meta:  # noqa: A002
    if m.dtype.category < dtypes.FLOAT:
        raise RuntimeError(f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {m.dtype}")
    for d in wrap_dims(dim, m.ndim):
        if m.shape[d] == 0 and (ord < 0 or ord == math.inf):
            raise RuntimeError(
                f"linalg.vector_norm cannot compute the {ord} norm on an empty tensor because the operation has no "
                f"identity"
            )
    return contiguous(m.dtype.to_real(), reduced_shape(m, dim, keepdim))


@library(
    node_name="LinalgVectorNormBackward0",
    expand=_expand.p_norm,
    category="reduce",
    method=False,
    function=False,
    infer=_infer_norm,
    gradient={"input": lambda g, input, out, ord, dim, keepdim: _norm_grad(g, input, out, ord, dim, keepdim)},
)
def p_norm(input: Any, ord: float, dim: Dims, keepdim: bool) -> Any:  # noqa: A002
    """(sum |x|^p)^(1/p) over `dim`; p may be infinite, 0 counts."""
    x = np.abs(accumulated(input))
    ax = axes(x, dim)
    if ord == math.inf:
        return x.max(axis=ax, keepdims=keepdim)
    if ord == -math.inf:
        return x.min(axis=ax, keepdims=keepdim)
    if ord == 0:
        return (x != 0).sum(axis=ax, keepdims=keepdim).astype(x.dtype)
    if ord == 1:
        return x.sum(axis=ax, keepdims=keepdim)
    if ord == 2:
        return np.sqrt((x * x).sum(axis=ax, keepdims=keepdim))
    return (x**ord).sum(axis=ax, keepdims=keepdim) ** (1 / ord)


def _norm_grad(g: Any, x: Any, out: Any, p: float, dim: Dims, keepdim: bool) -> Any:
    """Where the norm is 0 the gradient is taken to be 0."""
    g, out = restored(g, x._meta, dim, keepdim), restored(out, x._meta, dim, keepdim)
    if p == 0:
        return x * 0
    if p == 1:
        return g * x.sgn()
    if p == 2:
        return x * (g / out).masked_fill(out == 0, 0)
    size = x.abs()
    if abs(p) == math.inf:
        hit = size == out
        count = hit.sum(wrap_dims(dim, x.dim()), True) if x.dim() else hit.sum()
        return x.sgn() * (g / count) * hit
    if p < 2:
        return (x.sgn() * size.masked_fill(size == 0, 1) ** (p - 1) * (size != 0)) * (g * out ** (1 - p)).masked_fill(
            out == 0, 0
        )
    return x * size ** (p - 2) * (g * out ** (1 - p)).masked_fill(out == 0, 0)


@composite(method=False, namespace="linalg")
def vector_norm(
    x: Any, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: dtype_class | None = None
) -> Any:  # noqa: A002
    """(sum |x|^ord)^(1/ord) over `dim` (all by default), as if it were one vector; `ord` may be inf, -inf or 0.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.vector_norm(torch.tensor([3., 4.]))
        tensor(5.)
    """
    return p_norm(
        x if dtype is None else x.to(dtype),
        float(ord),
        dim if dim is None or isinstance(dim, int) else tuple(dim),
        keepdim,
    )


@composite(method=False, namespace="linalg")
def matrix_norm(
    A: Any,
    ord: Any = "fro",
    dim: Sequence[int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: dtype_class | None = None,  # noqa: A002, N803
) -> Any:
    """A norm of matrices in the two dimensions `dim`: "fro", "nuc" (sum of singular values), 2, -2 (largest, smallest
    singular value), 1, -1 (column sums), inf, -inf (row sums).

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.matrix_norm(torch.tensor([[3., 0.], [0., 4.]]))
        tensor(5.)
    """
    A = A if dtype is None else A.to(dtype)  # noqa: N806
    if A.dim() < 2:
        raise RuntimeError("linalg.matrix_norm: The input tensor A must have at least 2 dimensions.")
    if len(dim) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {tuple(dim)}")
    rows, columns = [d % A.dim() for d in dim]
    if rows == columns:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({dim[0]}, {dim[1]})")
    if ord == "fro":
        return p_norm(A, 2.0, (rows, columns), keepdim)
    if ord in (1, -1, math.inf, -math.inf):
        summed, other = (rows, columns) if abs(ord) == 1 else (columns, rows)
        sums = A.abs().sum(summed, True)
        return _extreme(sums, (rows, columns), keepdim, ord > 0)
    values = singular_values(A.movedim((rows, columns), (-2, -1)))
    if ord == "nuc":
        result = values.sum(-1)
    elif ord in (2, -2):
        result = _extreme(values, (-1,), False, ord == 2)
    else:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if keepdim:
        for d in sorted((rows, columns)):
            result = result.unsqueeze(d)
    return result


def _extreme(sizes: Any, dims: tuple[int, ...], keepdim: bool, largest: bool) -> Any:
    """The largest of sums or singular values, 0 if there are none, or the smallest."""
    if largest and 0 in [sizes.shape[d] for d in dims]:
        return sizes.sum(dims, keepdim)
    return sizes.amax(dims, keepdim) if largest else sizes.amin(dims, keepdim)


@composite(method=False, namespace="linalg", name="norm")
def linalg_norm(
    A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: dtype_class | None = None
) -> Any:  # noqa: A002, N803
    """A norm of a vector (one dimension in `dim`, or 1-d input with `ord`), of matrices (two), or of all elements
    (neither).

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.norm(torch.tensor([[3., 4.]]))
        tensor(5.)
    """
    if dim is not None and not isinstance(dim, int):
        dim = tuple(dim)
        if len(dim) not in (1, 2):
            raise RuntimeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dim)}")
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if dim is None:
        if A.dim() not in (1, 2):
            raise RuntimeError(
                f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {A.dim()}D."
            )
        dim = 0 if A.dim() == 1 else (0, 1)
    if isinstance(dim, tuple) and len(dim) == 2:
        return matrix_norm(A, ord, dim, keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise RuntimeError(f"linalg.norm: order {ord!r} is one of matrices, but dim={dim} names one dimension")
    return vector_norm(A, ord, dim, keepdim, dtype=dtype)


@composite()
def norm(input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: dtype_class | None = None) -> Any:
    """The p-norm over `dim` (all by default): a number, "fro" (2) or "nuc" (sum of singular values).

    Example::

        >>> import flambeau as torch
        >>> torch.norm(torch.tensor([3., 4.]))
        tensor(5.)
    """
    if p == "nuc":
        return matrix_norm(input, "nuc", (0, 1) if dim is None else dim, keepdim, dtype=dtype)
    return vector_norm(input, 2 if p is None or p == "fro" else p, dim, keepdim, dtype=dtype)


@composite(node_name="DistBackward0", shows=("input", "other"), saves=("input", "other"))
def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of `input - other`.

    Example::

        >>> import flambeau as torch
        >>> torch.dist(torch.zeros(2), torch.tensor([3., 4.]))
        tensor(5.)
    """
    return vector_norm(input - other, p)


@composite(overlap="same", node_name="RenormBackward0", shows=("input",), inplace=True)
def renorm(input: Any, p: float, dim: int, maxnorm: float) -> Any:
    """Slices along `dim` scaled down to a p-norm of at most `maxnorm`.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[3., 4.]]).renorm(2, 0, 1)
        tensor([[0.6000, 0.8000]])
    """
    if input.dim() < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got shape {list(input.shape)}")
    dims = tuple([d for d in range(input.dim()) if d != dim % input.dim()])
    norms = vector_norm(input, p, dims, True)
    factor = (maxnorm / (norms + 1e-7)).masked_fill(norms <= maxnorm, 1)
    return input * factor.to(input.dtype)
