"""Traces, Kronecker products, covariances and distances between rows: short formulas over other operations."""

from __future__ import annotations

from typing import Any

from flambeau._core import dtypes
from flambeau._ops.norms import p_norm
from flambeau._ops.registry import composite


@composite()
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


@composite()
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
    left = input.reshape([n for size in a for n in (size, 1)])
    right = other.reshape([n for size in b for n in (1, size)])
    return (left * right).reshape([m * n for m, n in zip(a, b, strict=True)])


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
    x = input.reshape(1, -1) if input.dim() < 2 else input
    x = x if x.dtype.category >= dtypes.FLOAT else x.to(dtypes.get_default_dtype())
    weights = fweights
    if aweights is not None:
        weights = aweights if fweights is None else fweights * aweights
    if weights is None:
        total, mean = x.new_tensor(x.shape[1], dtype=x.dtype.to_real()), x.mean(1, keepdim=True)
    else:
        total = weights.sum()
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


@composite(method=False)
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
