"""Factorisations in LAPACK's packed forms: LU with pivots, Householder reflections, and solving with them.

Pivots are 1-based and count row exchanges in the order they were made, as LAPACK's are.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes
from flambeau._core.lazy import lazy_module
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops.decompositions import linalg, lu_of, permutation_matrix
from flambeau._ops.join import cat
from flambeau._ops.linalg import H, LinAlgError, require_matrix, solve_triangular
from flambeau._ops.registry import composite, library
from flambeau._ops.results import named
from flambeau._ops.strided import owner

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

lu_factor_result = named("linalg_lu_factor", "LU", "pivots")
lu_factor_ex_result = named("linalg_lu_factor_ex", "LU", "pivots", "info")
lu_unpack_result = named("lu_unpack", "P", "L", "U")
geqrf_result = named("geqrf", "a", "tau")
triangular_solve_result = named("triangular_solve", "solution", "cloned_coefficient")


# ---------------------------------------------------------------------------------------------- LU


@library(
    category="linalg",
    method=False,
    function=False,
    infer=lambda order, count: contiguous(dtypes.int32, (*order.shape[:-1], count)),
)
def pivots_of(input: Any, count: int) -> Any:
    """The first `count` exchanges that bring rows 0, 1, ... into the order `input`."""
    order = input.reshape(math.prod(input.shape[:-1]), input.shape[-1])
    current = np.tile(np.arange(order.shape[1]), (len(order), 1))
    every = np.arange(len(order))
    pivots = np.empty((len(order), count), np.int32)
    for k in range(count):
        found = (current == order[:, k : k + 1]).argmax(1)
        pivots[:, k] = found + 1
        current[every, found] = current[:, k]
        current[:, k] = order[:, k]
    return pivots.reshape((*input.shape[:-1], count))


@library(
    category="linalg",
    method=False,
    function=False,
    fallible=True,
    infer=lambda pivots, rows: contiguous(dtypes.int64, (*pivots.shape[:-1], rows)),
)
def order_of(input: Any, rows: int) -> Any:
    """The order of rows that the exchanges `input` lead to."""
    pivots = input.reshape(math.prod(input.shape[:-1]), input.shape[-1])
    order = np.tile(np.arange(rows), (len(pivots), 1))
    if pivots.size and (pivots.min() < 1 or pivots.max() > rows):
        raise RuntimeError(
            "pivots passed to lu_unpack must be between 1 and LU.size(-2) inclusive. Did you properly "
            "pass the result of lu_factor?"
        )
    every = np.arange(len(pivots))
    for k in range(pivots.shape[1]):
        other = pivots[:, k] - 1
        order[every, other], order[:, k] = order[:, k].copy(), order[every, other]
    return order.reshape((*input.shape[:-1], rows))


def _packed(A: Any, pivot: bool) -> tuple[Any, Any]:  # noqa: N803
    """(L below the diagonal and U in one matrix, pivots)."""
    require_matrix("linalg.lu_factor", A._meta)
    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")
    order, lower, upper = lu_of(A)
    rows, columns = A.shape[-2:]
    below = lower.tril(-1)
    if rows < columns:
        below = cat([below, below.new_zeros((*A.shape[:-2], rows, columns - rows))], -1)
    elif rows > columns:
        upper = cat([upper, upper.new_zeros((*A.shape[:-2], rows - columns, columns))], -2)
    return below + upper, pivots_of(order, min(rows, columns))


def _first_zero(lu: Any) -> Any:
    """LAPACK's info: the 1-based place of the first zero pivot, 0 if there is none."""
    zero = lu.detach().diagonal(0, -2, -1) == 0
    if not zero.shape[-1]:
        return zero.new_zeros(zero.shape[:-1], dtype=dtypes.int32)
    place = zero.to(dtypes.int32).argmax(-1) + 1
    return (place * zero.any(-1)).to(dtypes.int32)


@linalg(saves=("out0", "out1"))
def lu_factor(A: Any, *, pivot: bool = True) -> Any:  # noqa: N803
    """(LU, pivots): L (without its diagonal of ones) and U in one matrix, [..., m, n], and the row exchanges, int32,
    1-based.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.lu_factor(torch.tensor([[1., 2.], [2., 2.]]))
        torch.return_types.linalg_lu_factor(
        LU=tensor([[2.0000, 2.0000],
                [0.5000, 1.0000]]),
        pivots=tensor([2, 2], dtype=torch.int32))
    """
    lu, pivots = _packed(A, pivot)
    if bool((_first_zero(lu) > 0).any()):
        raise LinAlgError(
            "torch.linalg.lu_factor: U has a zero on its diagonal: the matrix is singular, solving with "
            "it would divide by zero."
        )
    return lu_factor_result(lu, pivots)


@linalg(saves=("out0", "out1"))
def lu_factor_ex(A: Any, *, pivot: bool = True, check_errors: bool = False) -> Any:  # noqa: N803
    """(LU, pivots, info) of `lu_factor`: info is the 1-based place of the first zero on U's diagonal, 0 if there is
    none.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.lu_factor_ex(torch.zeros(1, 1)).info
        tensor(1, dtype=torch.int32)
    """
    if check_errors:
        found = lu_factor(A, pivot=pivot)
        return lu_factor_ex_result(*found, _first_zero(found.LU))
    lu, pivots = _packed(A, pivot)
    return lu_factor_ex_result(lu, pivots, _first_zero(lu))


@composite(name="lu", saves=("out0", "out1"))
def torch_lu(input: Any, pivot: bool = True, get_infos: bool = False) -> Any:
    """`linalg.lu_factor` (with info if `get_infos`).

    Example::

        >>> import flambeau as torch
        >>> torch.lu(torch.tensor([[2.]]))[0]
        tensor([[2.]])
    """
    lu, pivots = _packed(input, pivot)
    return (lu, pivots, _first_zero(lu)) if get_infos else (lu, pivots)


@composite(method=False)
def lu_unpack(LU_data: Any, LU_pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True) -> Any:  # noqa: N803
    """(P, L, U) of the result of `linalg.lu_factor`; what is not unpacked is empty.

    Example::

        >>> import flambeau as torch
        >>> torch.lu_unpack(*torch.linalg.lu_factor(torch.tensor([[1., 2.], [2., 2.]]))).P
        tensor([[0., 1.],
                [1., 0.]])
    """
    rows, columns = LU_data.shape[-2:]
    k = min(rows, columns)
    nothing = LU_data.new_zeros((0,))
    permutation, lower, upper = nothing, nothing, nothing
    if unpack_pivots:
        permutation = permutation_matrix(order_of(LU_pivots, rows), LU_data)
    if unpack_data:
        lower = LU_data.narrow(-1, 0, k).tril(-1) + _unit(LU_data, rows, k)
        upper = LU_data.narrow(-2, 0, k).triu()
    return lu_unpack_result(permutation, lower, upper)


def _unit(like: Any, rows: int, columns: int) -> Any:
    """Ones on the diagonal, [rows, columns]."""
    eye = like.new_zeros((rows, columns))
    eye.diagonal().fill_(1)
    return eye


@linalg(name="lu_solve", saves=("LU", "pivots", "out"))
def linalg_lu_solve(LU: Any, pivots: Any, B: Any, *, left: bool = True, adjoint: bool = False) -> Any:  # noqa: N803
    """X with A X = B (X A = B if not `left`; A^H in the place of A if `adjoint`) from `linalg.lu_factor(A)`.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.lu_solve(*torch.linalg.lu_factor(torch.tensor([[2.]])), torch.tensor([[4.]]))
        tensor([[2.]])
    """
    if not left:
        return owner(H(linalg_lu_solve(LU, pivots, H(B), adjoint=not adjoint)))
    P = permutation_matrix(order_of(pivots, LU.shape[-1]), LU)  # noqa: N806
    if adjoint:
        y = solve_triangular(H(LU), B, upper=False)
        return P @ solve_triangular(H(LU), y, upper=True, unitriangular=True)
    y = solve_triangular(LU, P.transpose(-2, -1) @ B, upper=False, unitriangular=True)
    return solve_triangular(LU, y, upper=True)


@composite(saves=("LU_data", "LU_pivots"))
def lu_solve(input: Any, LU_data: Any, LU_pivots: Any) -> Any:  # noqa: N803
    """`linalg.lu_solve` with the right side first.

    Example::

        >>> import flambeau as torch
        >>> torch.lu_solve(torch.tensor([[4.]]), *torch.linalg.lu_factor(torch.tensor([[2.]])))
        tensor([[2.]])
    """
    return linalg_lu_solve(LU_data, LU_pivots, input)


@composite(saves=("input", "A"))
def triangular_solve(
    input: Any,
    A: Any,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,  # noqa: N803
) -> Any:
    """(X with A X = input for triangular A, A): the older form of `linalg.solve_triangular`; `transpose` solves with
    the transposed A.

    Example::

        >>> import flambeau as torch
        >>> torch.triangular_solve(torch.tensor([[4.]]), torch.tensor([[2.]])).solution
        tensor([[2.]])
    """
    matrix = A.transpose(-2, -1) if transpose else A
    found = solve_triangular(matrix, input, upper=upper is not transpose, unitriangular=unitriangular)
    return triangular_solve_result(found, A.clone())


# ---------------------------------------------------------------------------------------------- Householder reflections


def _infer_geqrf(m: Meta) -> tuple[Meta, Meta]:
    require_matrix("geqrf", m)
    return contiguous(m.dtype, m.shape), contiguous(m.dtype, (*m.shape[:-2], min(m.shape[-2:])))


@library(out="castable", category="linalg", infer=_infer_geqrf, result_type=geqrf_result)
def geqrf(input: Any) -> Any:
    """(a, tau): R in the upper triangle of `a`, below it the reflections whose product (`linalg.householder_product`)
    is Q.

    Example::

        >>> import flambeau as torch
        >>> torch.geqrf(torch.tensor([[2.]])).tau
        tensor([0.])
    """
    a, tau = np.linalg.qr(input, "raw")
    return a.swapaxes(-1, -2), tau


def _reflect(vectors: Any, tau: Any, x: Any, adjoint: bool) -> Any:
    """Q x, or Q^H x: Q is the product of the reflections 1 - tau_i v_i v_i^H, v_i with 1 at i, zeros above and
    `vectors` below."""
    rows, count = vectors.shape[-2], tau.shape[-1]
    below = vectors.tril(-1).narrow(-1, 0, count) + _unit(vectors, rows, count)
    factors = tau.conj() if adjoint else tau
    for i in range(count) if adjoint else reversed(range(count)):
        v = below[..., i : i + 1]
        x = x - factors[..., i : i + 1].unsqueeze(-1) * v @ (H(v) @ x)
    return x if count else x.clone()


@linalg(out="castable", saves=("A", "tau", "out"))
def householder_product(A: Any, tau: Any) -> Any:  # noqa: N803
    """The first n columns, [..., m, n], of the product of Householder reflections 1 - tau_i v_i v_i^H, of which v_i
    lies in A below its diagonal.

    RuntimeError unless m >= n >= the number of reflections.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.householder_product(torch.zeros(2, 1), torch.tensor([2.]))
        tensor([[-1.],
                [ 0.]])
    """
    require_matrix("torch.linalg.householder_product", A._meta)
    rows, columns = A.shape[-2:]
    if rows < columns:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-2] must be greater than or equal to input.shape[-1]"
        )
    if columns < tau.shape[-1]:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-1] must be greater than or equal to tau.shape[-1]"
        )
    start = _unit(A, rows, columns).expand(*A.shape[:-2], rows, columns)
    if tau.shape[-1] == 0:
        return cat([start, A.narrow(-1, 0, 0)], -1)  # no reflections: nothing of A, but part of the graph
    return _reflect(A, tau, start, False)


@composite(out="castable")
def orgqr(input: Any, input2: Any) -> Any:
    """`linalg.householder_product`.

    Example::

        >>> import flambeau as torch
        >>> torch.orgqr(torch.zeros(1, 1), torch.tensor([2.]))
        tensor([[-1.]])
    """
    return householder_product(input, input2)


@composite(saves=("input", "tau", "other", "out"))
def ormqr(input: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False) -> Any:
    """Q @ other (other @ Q if not `left`; Q^H in the place of Q if `transpose`) for the square Q that `geqrf`
    describes.

    Example::

        >>> import flambeau as torch
        >>> torch.ormqr(torch.zeros(1, 1), torch.tensor([2.]), torch.ones(1, 1))
        tensor([[-1.]])
    """
    if input.dim() < 2 or other.dim() < 2:
        raise RuntimeError(
            f"torch.ormqr: input and other must have at least 2 dimensions, got {list(input.shape)} and "
            f"{list(other.shape)}"
        )
    if left:
        return _reflect(input, tau, other, transpose)
    return owner(H(_reflect(input, tau, H(other), not transpose)))
