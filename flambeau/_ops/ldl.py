"""LDL factorisation of symmetric matrices that need not be definite, with the pivots of Bunch & Kaufman 1977 as
LAPACK's `sytf2` picks and stores them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes
from flambeau._core.lazy import lazy_module
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops.decompositions import linalg, magnitude
from flambeau._ops.linalg import LinAlgError, require_square
from flambeau._ops.registry import library
from flambeau._ops.results import named

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

ldl_factor_result = named("linalg_ldl_factor", "LD", "pivots")
ldl_factor_ex_result = named("linalg_ldl_factor_ex", "LD", "pivots", "info")
GROWTH = (1 + math.sqrt(17)) / 8  # bounds the growth of elements in either kind of pivot


def _infer_factor(m: Meta, hermitian: bool) -> tuple[Meta, Meta, Meta]:
    require_square("torch.linalg.ldl_factor_ex", m)
    return (
        contiguous(m.dtype, m.shape),
        contiguous(dtypes.int32, m.shape[:-1]),
        contiguous(dtypes.int32, m.shape[:-2]),
    )


@library(category="linalg", method=False, function=False, infer=_infer_factor)
def ldl_of(input: Any, hermitian: bool) -> Any:
    """(L and D in the lower triangle, pivots, info)."""
    n = input.shape[-1]
    packed = np.tril(input).reshape(math.prod(input.shape[:-2]), n, n)
    pivots = np.zeros(packed.shape[:2], np.int32)
    info = [_factor(a, p, hermitian and input.dtype.kind == "c") for a, p in zip(packed, pivots, strict=True)]
    return (
        packed.reshape(input.shape),
        pivots.reshape(input.shape[:-1]),
        np.array(info, np.int32).reshape(input.shape[:-2]),
    )


def _pivot(a: Any, k: int) -> tuple[int, int]:
    """(the row to bring to the front, 1 or 2: the size of the pivot block) at step k; size 0 for a column of zeros."""
    n = len(a)
    own = magnitude(a[k, k])
    if k == n - 1:
        return k, 0 if own == 0 else 1
    row = k + 1 + int(magnitude(a[k + 1 :, k]).argmax())
    largest = magnitude(a[row, k])
    if max(own, largest) == 0:
        return k, 0
    if own >= GROWTH * largest:
        return k, 1
    others = magnitude(np.concatenate([a[row, k:row], a[row + 1 :, row]]))
    widest = others.max()
    if own >= GROWTH * largest * (largest / widest):
        return k, 1
    return row, 1 if magnitude(a[row, row]) >= GROWTH * widest else 2


def _factor(a: Any, pivots: Any, hermitian: bool) -> int:
    """Factor the lower triangle of one matrix in place; the 1-based place of the first zero pivot, or 0."""
    n, k, info = len(a), 0, 0
    while k < n:
        row, size = _pivot(a, k)
        if size == 0:
            info = info or k + 1
            pivots[k], k = k + 1, k + 1
            continue
        _exchange(a, k, k + size - 1, row, hermitian)
        block = _symmetric(a[k : k + size, k : k + size], hermitian)
        below = a[k + size :, k : k + size]
        factor = np.linalg.solve(block.T, below.T).T if below.size else below
        a[k + size :, k + size :] -= np.tril(factor @ (below.conj() if hermitian else below).T)
        a[k + size :, k : k + size] = factor
        pivots[k : k + size] = row + 1 if size == 1 else -(row + 1)
        k += size
    return info


def _symmetric(block: Any, hermitian: bool) -> Any:
    """The whole block, of which the lower triangle is given."""
    upper = np.tril(block, -1).T
    whole = np.tril(block) + (upper.conj() if hermitian else upper)
    if hermitian:
        np.fill_diagonal(whole, whole.diagonal().real)
    return whole


def _exchange(a: Any, start: int, i: int, j: int, hermitian: bool) -> None:
    """Exchange rows and columns i < j of the lower triangle from column `start` on."""
    if i == j:
        return
    whole = _symmetric(a[start:, start:], hermitian)
    order = np.arange(len(whole))
    order[[i - start, j - start]] = order[[j - start, i - start]]
    a[start:, start:] = np.tril(whole[order][:, order])


@linalg()
def ldl_factor_ex(A: Any, *, hermitian: bool = False, check_errors: bool = False) -> Any:  # noqa: N803
    """(LD, pivots, info) of `ldl_factor`; info is the 1-based place of the first zero in D, 0 if there is none.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.ldl_factor_ex(torch.tensor([[4., 2.], [2., 3.]])).LD
        tensor([[4.0000, 0.0000],
                [0.5000, 2.0000]])
    """
    found = ldl_factor_ex_result(*ldl_of(A, hermitian))
    if check_errors and bool((found.info > 0).any()):
        raise LinAlgError("torch.linalg.ldl_factor: D has a zero on its diagonal: the matrix is singular")
    return found


@linalg()
def ldl_factor(A: Any, *, hermitian: bool = False) -> Any:  # noqa: N803
    """(LD, pivots) with A = P L D L^T P^T for symmetric (or, with `hermitian`, Hermitian) A of which the lower triangle
    is looked at: L is unit lower triangular, D has blocks of 1 x 1 and 2 x 2.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.ldl_factor(torch.tensor([[4., 2.], [2., 3.]])).pivots
        tensor([1, 2], dtype=torch.int32)
    """
    return ldl_factor_result(*ldl_factor_ex(A, hermitian=hermitian, check_errors=True)[:2])


@linalg()
def ldl_solve(LD: Any, pivots: Any, B: Any, *, hermitian: bool = False) -> Any:  # noqa: N803
    """X with A X = B, from the `ldl_factor` of A.

    Example::

        >>> import flambeau as torch
        >>> factors = torch.linalg.ldl_factor(torch.tensor([[4., 2.], [2., 3.]]))
        >>> torch.linalg.ldl_solve(*factors, torch.tensor([[6.], [5.]]))
        tensor([[1.],
                [1.]])
    """
    return solved(LD, pivots, B, hermitian)


@library(
    category="linalg",
    method=False,
    function=False,
    infer=lambda ld, pivots, b, hermitian: contiguous(
        b.dtype, (*np.broadcast_shapes(ld.shape[:-2], b.shape[:-2]), *b.shape[-2:])
    ),
)
def solved(LD: Any, pivots: Any, B: Any, hermitian: bool) -> Any:  # noqa: N803
    """X with A X = B, matrix by matrix."""
    batch = np.broadcast_shapes(LD.shape[:-2], B.shape[:-2])
    n = LD.shape[-1]
    hermitian = hermitian and LD.dtype.kind == "c"
    count = math.prod(batch)
    ld = np.broadcast_to(LD, (*batch, n, n)).reshape(count, n, n)
    order = np.broadcast_to(pivots, (*batch, n)).reshape(count, n)
    x = np.broadcast_to(B, (*batch, *B.shape[-2:])).reshape(count, *B.shape[-2:]).copy()
    for matrix, places, right in zip(ld, order, x, strict=True):
        lower, blocks, rows = unpacked(matrix, places, hermitian)
        inner = np.linalg.solve(blocks, np.linalg.solve(lower, right[rows]))
        right[rows] = np.linalg.solve(lower.conj().T if hermitian else lower.T, inner)
    return x.reshape(*batch, *B.shape[-2:])


def unpacked(packed: Any, pivots: Any, hermitian: bool) -> tuple[Any, Any, Any]:
    """(L, D, the order of rows) of one packed factorisation."""
    n = len(packed)
    lower, blocks, rows, k = np.eye(n, dtype=packed.dtype), np.zeros_like(packed), np.arange(n), 0
    while k < n:
        size = 1 if pivots[k] > 0 else 2
        i, j = k + size - 1, abs(int(pivots[k])) - 1
        for table in (rows, lower[:, :k]):  # exchanges come after the columns that stand already
            table[[i, j]] = table[[j, i]]
        blocks[k : k + size, k : k + size] = _symmetric(packed[k : k + size, k : k + size], hermitian)
        lower[k + size :, k : k + size] = packed[k + size :, k : k + size]
        k += size
    return lower, blocks, rows
