"""Traces, Kronecker products, covariances and distances between rows: short formulas over other operations."""

from __future__ import annotations

import math
from builtins import range as builtin_range
from typing import Any

from flambeau._core import dtypes
from flambeau._ir import recording
from flambeau._ops.fill import spaced
from flambeau._ops.norms import p_norm
from flambeau._ops.registry import composite
from flambeau._ops.results import named
from flambeau._ops.search import searchsorted
from flambeau._ops.strided import owner

histogramdd_result = named("histogramdd", "hist", "bin_edges")


@composite(out="castable", node_name="TraceBackward0", shows=("input",))
def trace(input: Any) -> Any:
    """The sum of the diagonal of a matrix; RuntimeError for anything but 2 dimensions.

    Example::

        >>> import flambeau as torch
        >>> torch.trace(torch.eye(3))
        tensor(3.)
    """
    if input.dim() != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.dim()}")
    return input.diagonal().sum()


@composite(out="castable")
def kron(input: Any, other: Any) -> Any:
    """The Kronecker product: every element of `input` times the whole of `other`; missing leading dimensions count as
    1.

    Example::

        >>> import flambeau as torch
        >>> torch.kron(torch.tensor([1, 2]), torch.tensor([1, 10]))
        tensor([ 1, 10,  2, 20])
    """
    rank = max(input.dim(), other.dim())
    a = (1,) * (rank - input.dim()) + tuple(input.shape)
    b = (1,) * (rank - other.dim()) + tuple(other.shape)
    left = recording.original(input, ()).reshape([n for size in a for n in (size, 1)])
    right = recording.original(other, ()).reshape([n for size in b for n in (1, size)])
    return owner((left * right).reshape([m * n for m, n in zip(a, b, strict=True)]))


def _check_weights(weights: Any, name: str, kind: str, categories: tuple[int, ...], observations: int) -> None:
    """RuntimeError unless the weights of `cov` are one number, none of them negative, for every observation."""
    if weights.dim() > 1:
        raise RuntimeError(
            f"cov(): expected {name} to have one or fewer dimensions but got {name} with {weights.dim()} dimensions"
        )
    if weights.dtype.category not in categories:
        raise RuntimeError(f"cov(): expected {name} to have {kind} dtype but got {name} with {weights.dtype}")
    if weights.numel() != observations:
        raise RuntimeError(
            f"cov(): expected {name} to have the same numel as there are observations in the input but got "
            f"{weights.numel()} != {observations}"
        )
    if observations and bool((weights < 0).any()):
        raise RuntimeError(f"cov(): {name} cannot be negative")


@composite()
def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """The covariance matrix of variables (rows) over observations (columns); `fweights` are counts, `aweights`
    importances.

    Example::

        >>> import flambeau as torch
        >>> torch.cov(torch.tensor([[1., 2., 3.], [3., 2., 1.]]))
        tensor([[ 1., -1.],
                [-1.,  1.]])
    """
    if input.dim() > 2:
        raise RuntimeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with {input.dim()} dimensions"
        )
    if input.dtype is dtypes.bool_:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x = input.reshape(1, -1) if input.dim() < 2 else input
    if fweights is not None:
        _check_weights(fweights, "fweights", "integral", (dtypes.INTEGER,), x.shape[1])
    if aweights is not None:
        _check_weights(aweights, "aweights", "floating point", (dtypes.FLOAT,), x.shape[1])
    x = x if x.dtype.category >= dtypes.FLOAT else x.to(dtypes.get_default_dtype())
    weights = fweights
    if aweights is not None:
        weights = aweights if fweights is None else fweights * aweights
    if weights is None:
        total, mean = x.new_tensor(x.shape[1], dtype=x.dtype.to_real()), x.mean(1, keepdim=True)
    else:
        total = weights.sum()
        if x.shape[1] and bool(total == 0):
            raise RuntimeError("cov(): weights sum to zero, can't be normalized")
        mean = (x * weights).sum(1, keepdim=True) / total
    centred = x - mean
    weighted = centred if weights is None else centred * weights
    if aweights is None or correction == 0:
        freedom = total - correction
    else:
        freedom = total - correction * (weights * aweights).sum() / total
    found = weighted @ (centred.conj() if centred.dtype.is_complex else centred).transpose(0, 1)
    return (found / freedom.clamp(min=0)).squeeze()


@composite()
def corrcoef(input: Any) -> Any:
    """Pearson's correlation coefficients of variables (rows) over observations (columns).

    Example::

        >>> import flambeau as torch
        >>> torch.corrcoef(torch.tensor([[1., 2., 3.], [3., 2., 1.]]))
        tensor([[ 1., -1.],
                [-1.,  1.]])
    """
    c = cov(input)
    if c.dim() == 0:
        return c / c
    deviation = (c.diagonal().real if c.dtype.is_complex else c.diagonal()).sqrt()
    return c / deviation.unsqueeze(1) / deviation.unsqueeze(0)


@composite(node_name="CdistBackward0", shows=("x1", "x2"), method=False, saves=("x1", "x2"))
def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: Any = None) -> Any:
    """The p-norms of the differences of every row of `x1`, [..., n, d], from every row of `x2`, [..., m, d]: [..., n,
    m].

    Example::

        >>> import flambeau as torch
        >>> torch.cdist(torch.zeros(1, 2), torch.tensor([[3., 4.]]))
        tensor([[5.]])
    """
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}")
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    return p_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, (-1,), False)


@composite(method=False, saves=("input",))
def pdist(input: Any, p: float = 2.0) -> Any:
    """The p-norms of the differences of every two rows of `input`, [n, d]: [n * (n - 1) / 2], row 0 with 1, 2..., then
    row 1.

    Example::

        >>> import flambeau as torch
        >>> torch.pdist(torch.tensor([[0.], [3.], [4.]]))
        tensor([3., 4., 1.])
    """
    if input.dim() != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.dim()}D")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    n = input.shape[0]
    above = input.new_ones((n, n), dtype=dtypes.bool_).triu(1)
    first, second = above.nonzero(as_tuple=True)
    return p_norm(input[first] - input[second], float(p), (-1,), False)


@composite()
def histogramdd(
    input: Any,
    bins: Any,
    *,
    range: Any = None,
    weight: Any = None,
    density: bool = False,  # noqa: A002
) -> Any:
    """(counts, list of edges) of points [..., d] in d dimensions: `bins` is a number of equal parts, one for each
    dimension, or a list of tensors of edges; `range` lists (low, high) of all dimensions, by default those of the data.

    Example::

        >>> import flambeau as torch
        >>> torch.histogramdd(torch.tensor([[0., 1.], [1., 0.]]), bins=[2, 2])[0]
        tensor([[0., 1.],
                [1., 0.]])
    """
    points = input.reshape(-1, input.shape[-1])
    count = points.shape[1]
    wanted = [bins] * count if isinstance(bins, int) else list(bins)
    if len(wanted) != count:
        raise RuntimeError(f"histogramdd: expected {count} sequences of bins or bin counts, got {len(wanted)}")
    limits = [None] * count if range is None else [tuple(range[2 * i : 2 * i + 2]) for i in builtin_range(count)]
    edges = [_edges(points[:, i], b, limit) for i, (b, limit) in enumerate(zip(wanted, limits, strict=True))]
    weights = points.new_ones((points.shape[0],)) if weight is None else weight.reshape(-1)
    shape = tuple([e.shape[0] - 1 for e in edges])
    place = points.new_zeros((points.shape[0],), dtype=dtypes.int64)
    inside = place == 0
    for i, (e, n) in enumerate(zip(edges, shape, strict=True)):
        column = points[:, i].contiguous()
        inside = inside & (column >= e[0]) & (column <= e[-1])
        place = place * n + (searchsorted(e, column, right=True) - 1).clamp(0, n - 1)
    flat = points.new_zeros((math.prod(shape),)).index_add(0, place[inside], weights[inside])
    counts = owner(flat.reshape(shape))
    if density:
        counts = counts / counts.sum()
        for i, e in enumerate(edges):
            counts = counts / (e[1:] - e[:-1]).reshape([-1 if i == j else 1 for j in builtin_range(count)])
    return histogramdd_result(counts, edges)


def _edges(values: Any, bins: Any, limits: tuple[float, float] | None) -> Any:
    """The edges given, or those of `bins` equal parts."""
    if not isinstance(bins, int):
        return bins
    if limits is None:
        limits = (0.0, 1.0) if not values.numel() else (float(values.min()), float(values.max()))
        if limits[0] == limits[1]:
            limits = (limits[0] - 0.5, limits[1] + 0.5)
    low, high = [values.new_full((), float(limit), dtype=dtypes.float64) for limit in limits]
    return spaced(low, high, bins + 1, values.dtype)


@composite(method=False)
def norm_except_dim(v: Any, pow: int = 2, dim: int = 0) -> Any:  # noqa: A002
    """The `pow`-norms over all dimensions but `dim` (-1: over all), which keeps its place.

    Example::

        >>> import flambeau as torch
        >>> torch.norm_except_dim(torch.tensor([[3., 4.], [0., 1.]]))
        tensor([[5.],
                [1.]])
    """
    if dim == -1:
        return p_norm(v, float(pow), None, False)
    return p_norm(v, float(pow), tuple([d for d in builtin_range(v.dim()) if d != dim]), True)
