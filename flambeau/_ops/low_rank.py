"""Decompositions of large matrices into a few factors: randomised SVD and PCA, and the largest or smallest
eigenvalues by LOBPCG.

After Halko, Martinsson & Tropp 2011, "Finding structure with randomness" (algorithms 4.4 and 5.1), and Knyazev 2001,
"Toward the optimal preconditioned eigensolver". Everything is a composition, so gradients flow.
"""

from __future__ import annotations

from typing import Any

from flambeau._ops.decompositions import eigh, linalg_qr, linalg_svd, torch_svd_result
from flambeau._ops.join import cat
from flambeau._ops.linalg import H
from flambeau._ops.registry import composite


def _range_basis(multiply: Any, adjoint: Any, start: Any, niter: int) -> Any:
    """Orthonormal columns that nearly span the range of a matrix, which is given by its products."""
    basis = linalg_qr(multiply(start)).Q
    for _ in range(niter):
        basis = linalg_qr(multiply(linalg_qr(adjoint(basis)).Q)).Q
    return basis


@composite(method=False)
def svd_lowrank(A: Any, q: int | None = 6, niter: int | None = 2, M: Any = None) -> Any:  # noqa: N803
    """(U, S, V) with A - M nearly U diag(S) V^H and `q` singular values, for A [..., m, n] of low rank, by random
    projection and `niter` power iterations.

    Example::

        >>> import flambeau as torch
        >>> torch.svd_lowrank(torch.ones(4, 2), q=1)[1]
        tensor([2.8284])
    """
    a = A if M is None else A - M.expand(A.shape)
    rows, columns = a.shape[-2:]
    q = 6 if q is None else q
    wide = rows < columns
    a = H(a) if wide else a
    start = a.detach().new_empty((*a.shape[:-2], a.shape[-1], q)).normal_()
    adjoint = H(a)
    basis = _range_basis(lambda x: a @ x, lambda x: adjoint @ x, start, 2 if niter is None else niter)
    u, s, vh = linalg_svd(H(basis) @ a, full_matrices=False)
    u, v = basis @ u, H(vh)
    return torch_svd_result(v, s, u) if wide else torch_svd_result(u, s, v)


@composite(method=False)
def pca_lowrank(A: Any, q: int | None = None, center: bool = True, niter: int = 2) -> Any:  # noqa: N803
    """(U, S, V): the first `q` (min(6, m, n)) principal components V of samples A [..., m, n], their singular values,
    and the samples in them; with `center`, of the samples less their mean.

    Example::

        >>> import flambeau as torch
        >>> torch.pca_lowrank(torch.tensor([[1., 0.], [3., 0.]]), q=1)[1]
        tensor([1.4142])
    """
    rows, columns = A.shape[-2:]
    q = min(6, rows, columns) if q is None else q
    if not 0 <= q <= min(rows, columns):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(rows, columns)}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)


@composite(method=False)
def lobpcg(
    A: Any,  # noqa: N803
    k: int | None = None,
    B: Any = None,  # noqa: N803
    X: Any = None,  # noqa: N803
    n: int | None = None,
    iK: Any = None,  # noqa: N803
    niter: int | None = None,
    tol: float | None = None,
    largest: bool | None = None,
    method: str | None = None,
    tracker: Any = None,
    ortho_iparams: dict | None = None,
    ortho_fparams: dict | None = None,
    ortho_bparams: dict | None = None,
) -> Any:
    """(eigenvalues [..., k], eigenvectors [..., m, k]): the `k` largest (smallest with largest=False) solutions of
    A x = lambda B x for symmetric A [..., m, m] and positive definite B (identity by default).

    `X` are first guesses, `iK` a preconditioner; stops after `niter` (default: up to 1000) steps or when all residuals
    are below `tol` times the sizes. `tracker`, called with the eigenvalues at each step, may look on. The search space
    is orthonormalised by QR at each step, so `method` and the ortho parameters have nothing to choose.

    Example::

        >>> import flambeau as torch
        >>> a = torch.diag(torch.arange(1., 10.))
        >>> torch.lobpcg(a, k=1)[0].round()
        tensor([9.])
    """
    size = A.shape[-1]
    count = (1 if X is None else X.shape[-1]) if k is None else k
    width = max(count, n or count)
    if size < 3 * width:
        raise ValueError(
            f"LPBPCG algorithm is not applicable when the number of A rows (={size}) is smaller than 3 x the number of "
            f"requested eigenpairs (={width}); use torch.linalg.eigh"
        )
    largest = True if largest is None else largest
    tol = {8: 1.5e-8, 4: 3e-4}[A.dtype.itemsize] if tol is None else tol
    x = A.detach().new_empty((*A.shape[:-2], size, width)).normal_() if X is None else X
    directions = None
    scale = A.detach().abs().amax((-2, -1), True) * size
    for _ in range(1000 if niter is None or niter < 0 else niter):
        values, x = _ritz(A, B, x, width, largest)
        residual = A @ x - (x if B is None else B @ x) * values.unsqueeze(-2)
        if tracker is not None:
            tracker(values)
        if bool((residual[..., :count].detach().abs().amax((-2, -1), True) <= tol * scale / size).all()):
            break
        search = residual if iK is None else iK @ residual
        space = cat([x, search] if directions is None else [x, search, directions], -1)
        _, found = _ritz(A, B, space, width, largest)
        directions = found - x @ (H(x) @ (found if B is None else B @ found))
        x = found
    values, x = _ritz(A, B, x, width, largest)
    return values[..., :count], x[..., :count]


def _ritz(a: Any, b: Any, space: Any, count: int, largest: bool) -> tuple[Any, Any]:
    """The best `count` approximations to eigenpairs in the span of the columns of `space`."""
    basis = linalg_qr(space).Q
    if b is not None:  # orthonormal in the product of b
        factor = (H(basis) @ b @ basis).cholesky()
        basis = H(factor.inverse() @ H(basis))
    values, vectors = eigh(H(basis) @ a @ basis)
    if largest:
        values, vectors = values.flip(-1), vectors.flip(-1)
    return values[..., :count], basis @ vectors[..., :count]
