"""Decompositions of matrices by LAPACK through NumPy: Cholesky, QR, SVD, eigenvalues, LU.

Gradients after Giles 2008, "Collected matrix derivative results for forward and reverse mode algorithmic
differentiation", and Walter & Lehmann 2010 (QR).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes
from flambeau._core.lazy import lazy_module
from flambeau._ir import recording
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops.join import cat, stack
from flambeau._ops.linalg import hermitian_from, inv, require_matrix, require_square, solution
from flambeau._ops.registry import composite, library
from flambeau._ops.results import named
from flambeau._ops.singular import H, LinAlgError, full_svd, lapack, singular_values
from flambeau._ops.strided import owner

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

cholesky_ex_result = named("linalg_cholesky_ex", "L", "info")
qr_result = named("linalg_qr", "Q", "R")
svd_result = named("linalg_svd", "U", "S", "Vh")
torch_svd_result, torch_qr_result = named("svd", "U", "S", "V"), named("qr", "Q", "R")
eigh_result = named("linalg_eigh", "eigenvalues", "eigenvectors")
eig_result = named("linalg_eig", "eigenvalues", "eigenvectors")
lu_result = named("linalg_lu", "P", "L", "U")


def linalg(**options: Any) -> Any:
    """Declares a composite of torch.linalg."""
    return composite(method=False, namespace="linalg", **options)


def half_diagonal(x: Any) -> Any:
    """The lower triangle with half the diagonal."""
    return x.tril() - 0.5 * x.diagonal(0, -2, -1).diag_embed()


# ---------------------------------------------------------------------------------------------- Cholesky


def _infer_cholesky(m: Meta) -> Meta:
    require_square("linalg.cholesky", m)
    return contiguous(m.dtype, m.shape)


@library(
    node_name="LinalgCholeskyExBackward0",
    category="linalg",
    method=False,
    function=False,
    infer=_infer_cholesky,
    fallible=True,
    gradient={"input": lambda g, out: _cholesky_grad(g, out)},
)
def lower_cholesky(input: Any) -> Any:
    """L with input = L L^H, from the lower triangle."""
    try:
        return np.linalg.cholesky(input)
    except np.linalg.LinAlgError:
        raise LinAlgError(
            "linalg.cholesky: The factorization could not be completed because the input is not positive-definite."
        ) from None


def _cholesky_grad(g: Any, lower: Any) -> Any:
    inverse = inv(lower)
    phi = half_diagonal(H(lower) @ g.tril())
    s = H(inverse) @ phi @ inverse
    return (s + H(s)) * 0.5


@linalg(name="cholesky")
def linalg_cholesky(A: Any, *, upper: bool = False) -> Any:  # noqa: N803
    """The lower triangular L with A = L L^H (or its conjugate transpose); LinAlgError unless A is positive definite.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.cholesky(torch.tensor([[4.]]))
        tensor([[2.]])
    """
    lower = lower_cholesky(A)
    return owner(H(lower)) if upper else lower


@linalg()
def cholesky_ex(A: Any, *, upper: bool = False, check_errors: bool = False) -> Any:  # noqa: N803
    """(L, info) of `cholesky`: info is 0 where it worked.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.cholesky_ex(torch.eye(1)).L
        tensor([[1.]])
    """
    return cholesky_ex_result(linalg_cholesky(A, upper=upper), A.new_zeros(A.shape[:-2], dtype=dtypes.int32))


@composite(out="castable")
def cholesky(input: Any, upper: bool = False) -> Any:
    """`linalg.cholesky`.

    Example::

        >>> import flambeau as torch
        >>> torch.cholesky(torch.tensor([[4.]]))
        tensor([[2.]])
    """
    return linalg_cholesky(input, upper=upper)


@composite(out="castable", saves=("input", "L"))
def cholesky_solve(input: Any, L: Any, upper: bool = False) -> Any:  # noqa: N803
    """X with L L^H X = input.

    Example::

        >>> import flambeau as torch
        >>> torch.cholesky_solve(torch.tensor([[4.]]), torch.tensor([[2.]]))
        tensor([[1.]])
    """
    lower = H(L.triu()) if upper else L.tril()
    return solution(H(lower), solution(lower, input))


@composite(out="castable", saves=("L", "out"))
def cholesky_inverse(L: Any, upper: bool = False) -> Any:  # noqa: N803
    """The inverse of L L^H.

    Example::

        >>> import flambeau as torch
        >>> torch.cholesky_inverse(torch.tensor([[2.]]))
        tensor([[0.2500]])
    """
    inverse = inv(H(L.triu()) if upper else L.tril())
    return H(inverse) @ inverse


# ---------------------------------------------------------------------------------------------- QR


@library(
    node_name="LinalgQrBackward0",
    category="linalg",
    method=False,
    function=False,
    infer=lambda m, mode: _infer_qr(m, mode),
    gradient={"input": lambda g0, g1, out0, out1: _qr_grad(g0, g1, out0, out1)},
)
def qr_factors(input: Any, mode: str) -> Any:
    """(Q, R)."""
    if mode == "r":
        return np.zeros(0, input.dtype), np.linalg.qr(input, "r")
    factor: Any = np.linalg.qr
    return tuple(factor(input, mode))


def _infer_qr(m: Meta, mode: str) -> tuple[Meta, Meta]:
    require_matrix("linalg.qr", m)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    rows, columns = m.shape[-2:]
    k = min(rows, columns)
    batch = m.shape[:-2]
    if mode == "complete":
        return contiguous(m.dtype, (*batch, rows, rows)), contiguous(m.dtype, (*batch, rows, columns))
    q = (0,) if mode == "r" else (*batch, rows, k)
    return contiguous(m.dtype, q), contiguous(m.dtype, (*batch, k, columns))


def _qr_grad(gq: Any, gr: Any, q: Any, r: Any) -> Any:
    rows, columns = q.shape[-2], r.shape[-1]
    gq = q * 0 if gq is None else gq
    gr = r * 0 if gr is None else gr
    if rows < columns:  # wide: the right part of R follows from Q and the input
        square, rest = r[..., :rows], r[..., rows:]
        g_rest = gr[..., rows:]
        left = _qr_grad(gq + (q @ rest) @ H(g_rest), gr[..., :rows], q, square)
        return cat([left, q @ g_rest], -1)
    m = r @ H(gr) - H(gq) @ q
    symmetric = m.tril(-1)
    symmetric = symmetric + H(symmetric) + m.diagonal(0, -2, -1).diag_embed()
    return H(solution(r, H(gq + q @ symmetric)))


@linalg(name="qr")
def linalg_qr(A: Any, mode: str = "reduced") -> Any:  # noqa: N803
    """(Q, R) with A = Q R, Q of orthonormal columns, R upper triangular.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.qr(torch.eye(2)).R.abs()
        tensor([[1., 0.],
                [0., 1.]])
    """
    return qr_result(*qr_factors(A, mode))


@composite()
def qr(input: Any, some: bool = True) -> Any:
    """`linalg.qr`, reduced or complete.

    Example::

        >>> import flambeau as torch
        >>> torch.qr(torch.eye(2)).R.abs()
        tensor([[1., 0.],
                [0., 1.]])
    """
    return torch_qr_result(*qr_factors(input, "reduced" if some else "complete"))


# ---------------------------------------------------------------------------------------------- SVD


@linalg(name="svd")
def linalg_svd(A: Any, full_matrices: bool = True, *, driver: str | None = None) -> Any:  # noqa: N803
    """(U, S, Vh) with A = U diag(S) Vh, singular values largest first.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.svd(torch.tensor([[3., 0.], [0., 4.]])).S
        tensor([4., 3.])
    """
    require_matrix("linalg.svd", A._meta)
    return svd_result(*full_svd(A, full_matrices))


@linalg(saves=("out",))
def svdvals(A: Any, *, driver: str | None = None) -> Any:  # noqa: N803
    """The singular values, largest first.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.svdvals(torch.tensor([[3., 0.], [0., 4.]]))
        tensor([4., 3.])
    """
    require_matrix("linalg.svd", A._meta)
    return singular_values(A)


@composite()
def svd(input: Any, some: bool = True, compute_uv: bool = True) -> Any:
    """(U, S, V) with input = U diag(S) V^H.

    Example::

        >>> import flambeau as torch
        >>> torch.svd(torch.tensor([[3., 0.], [0., 4.]])).S
        tensor([4., 3.])
    """
    require_matrix("svd", input._meta)
    if not compute_uv:
        rows, columns = input.shape[-2:]
        batch = input.shape[:-2]
        u, v = input.new_zeros((*batch, rows, rows)), input.new_zeros((*batch, columns, columns))
        return torch_svd_result(u, singular_values(input), v)
    u, s, vh = full_svd(input, not some)
    return torch_svd_result(u, s, H(vh))


# ---------------------------------------------------------------------------------------------- eigenvalues


@library(
    node_name="LinalgEighBackward0",
    category="linalg",
    method=False,
    function=False,
    gradient={"input": lambda g0, g1, out0, out1: _eigh_grad(g0, g1, out0, out1)},
)
def eigh_of(input: Any, uplo: str) -> Any:
    """(eigenvalues in ascending order, eigenvectors) of Hermitian matrices."""
    return lapack("linalg.eigh", lambda: tuple(np.linalg.eigh(hermitian_from(input, uplo))))


def _eigh_grad(gl: Any, gv: Any, values: Any, vectors: Any) -> Any:
    inner = (
        values.new_zeros((*values.shape, values.shape[-1])).to(vectors.dtype)
        if gl is None
        else gl.to(vectors.dtype).diag_embed()
    )
    if gv is not None:
        gaps = values.unsqueeze(-2) - values.unsqueeze(-1)
        f = (1 / gaps.masked_fill(gaps == 0, 1)).masked_fill(gaps == 0, 0).to(vectors.dtype)
        inner = inner + f * (H(vectors) @ gv)
    return vectors @ inner @ H(vectors)


@linalg()
def eigh(A: Any, UPLO: str = "L") -> Any:  # noqa: N803
    """(eigenvalues, eigenvectors) of symmetric or Hermitian matrices, of which one triangle is looked at.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.eigh(torch.tensor([[2., 0.], [0., 1.]])).eigenvalues
        tensor([1., 2.])
    """
    require_square("linalg.eigh", A._meta)
    return eigh_result(*eigh_of(A, UPLO.upper()))


@linalg()
def eigvalsh(A: Any, UPLO: str = "L") -> Any:  # noqa: N803
    """The eigenvalues of symmetric or Hermitian matrices, in ascending order.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.eigvalsh(torch.tensor([[2., 0.], [0., 1.]]))
        tensor([1., 2.])
    """
    require_square("linalg.eigvalsh", A._meta)
    return eigh_of(A, UPLO.upper())[0]


@library(
    category="linalg",
    method=False,
    function=False,
    gradient={"input": lambda g0, g1, input_meta, out0, out1: _eig_grad(g0, g1, input_meta, out0, out1)},
)
def eig_of(input: Any) -> Any:
    """(eigenvalues, eigenvectors), complex."""
    wide = np.complex128 if input.dtype in (np.float64, np.complex128) else np.complex64
    values, vectors = lapack("linalg.eig", np.linalg.eig, input)
    return values.astype(wide), vectors.astype(wide)


def _eig_grad(gl: Any, gv: Any, m: Meta, values: Any, vectors: Any) -> Any:
    vh = H(vectors)
    inner = values.new_zeros((*values.shape, values.shape[-1])) if gl is None else gl.diag_embed()
    if gv is not None:
        gaps = (values.unsqueeze(-2) - values.unsqueeze(-1)).conj()
        f = (1 / gaps.masked_fill(gaps == 0, 1)).masked_fill(gaps == 0, 0)
        projected = vh @ gv
        lengths = projected.diagonal(0, -2, -1).real.to(vectors.dtype)
        inner = inner + f * (projected - (vh @ vectors) * lengths.unsqueeze(-2))
    result = solution(vh, inner @ vh)
    return result if m.dtype.is_complex else result.real


@linalg()
def eig(A: Any) -> Any:  # noqa: N803
    """(eigenvalues, eigenvectors) of square matrices, complex.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.eig(torch.tensor([[2.]])).eigenvalues
        tensor([2.+0.j])
    """
    require_square("linalg.eig", A._meta)
    return eig_result(*eig_of(A))


@linalg()
def eigvals(A: Any) -> Any:  # noqa: N803
    """The eigenvalues of square matrices, complex.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.eigvals(torch.tensor([[2.]]))
        tensor([2.+0.j])
    """
    require_square("linalg.eigvals", A._meta)
    return eig_of(A)[0]


# ---------------------------------------------------------------------------------------------- LU


@library(category="linalg", method=False, function=False)
def lu_rows(input: Any) -> Any:
    """The order of rows that partial pivoting picks."""
    batch = input.reshape((math.prod(input.shape[:-2]), *input.shape[-2:])).copy()
    rows, columns = batch.shape[1:]
    order = np.tile(np.arange(rows), (len(batch), 1))
    every = np.arange(len(batch))
    for k in range(min(rows, columns)):
        pivot = k + magnitude(batch[:, k:, k]).argmax(1)
        for table in (batch, order):
            table[every, k], table[every, pivot] = table[every, pivot].copy(), table[every, k].copy()
        head = batch[:, k, k][:, None]
        factor = np.divide(batch[:, k + 1 :, k], head, out=np.zeros_like(batch[:, k + 1 :, k]), where=head != 0)
        batch[:, k + 1 :, k:] -= factor[:, :, None] * batch[:, k : k + 1, k:]
    return order.reshape((*input.shape[:-2], rows))


def magnitude(x: np.ndarray) -> np.ndarray:
    """What LAPACK compares pivots by: |x|, of complex numbers |real| + |imaginary|."""
    return np.abs(x.real) + np.abs(x.imag) if x.dtype.kind == "c" else np.abs(x)


@linalg(saves=("out",))
def lu(A: Any, *, pivot: bool = True) -> Any:  # noqa: N803
    """(P, L, U) with A = P L U: a permutation, a unit lower and an upper triangular matrix; by elimination with partial
    pivoting.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.lu(torch.tensor([[1., 2.], [3., 4.]])).U[0]
        tensor([3., 4.])
    """
    require_matrix("linalg.lu", A._meta)
    if not pivot:
        raise RuntimeError("linalg.lu: LU without pivoting is not implemented on the CPU")
    order, lower, upper = lu_of(A)
    return lu_result(permutation_matrix(order, A), lower, upper)


def lu_of(a: Any) -> tuple[Any, Any, Any]:
    """(the order of rows that pivoting picks, L, U)."""
    order = lu_rows(a.detach())
    return order, *_eliminate(recording.original(a, ()).take_along_dim(order.unsqueeze(-1), -2))


def permutation_matrix(order: Any, like: Any) -> Any:
    """P, in the dtype of `like`, with P^T A = the rows of A in this order."""
    rows = order.shape[-1]
    identity = like.new_zeros((rows, rows))
    identity.diagonal().fill_(1)
    return owner(identity[order.reshape(-1)].reshape((*order.shape, rows)).transpose(-2, -1))


def _eliminate(a: Any) -> tuple[Any, Any]:
    """(L, U) of matrices that need no pivoting, row by row in differentiable operations."""
    rows, columns = a.shape[-2:]
    k = min(rows, columns)
    upper_rows: list[Any] = []
    factors: list[Any] = []
    rest = a
    for i in range(k):
        head = rest[..., i : i + 1, :]
        upper_rows.append(head)
        pivot = head[..., i : i + 1]
        column = rest[..., i : i + 1] / pivot.masked_fill(pivot == 0, 1)
        below = (column.new_tensor([[float(r > i)] for r in range(rows)], dtype=column.dtype)) * column
        factors.append(below.squeeze(-1) + column.new_tensor([float(r == i) for r in range(rows)], dtype=column.dtype))
        rest = rest - below @ head
    return stack(factors, -1), cat(upper_rows, -2).triu()
