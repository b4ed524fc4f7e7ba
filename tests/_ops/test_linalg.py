"""Linear algebra: values against NumPy, gradients by finite differences, errors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import flambeau as torch
from flambeau import linalg
from flambeau.autograd import gradcheck

RNG = np.random.default_rng(0)


def regular(*shape: int, dtype: type = np.float64) -> np.ndarray:
    """Well-conditioned random matrices."""
    x = RNG.normal(size=shape)
    if dtype is np.complex128:
        x = x + 1j * RNG.normal(size=shape)
    return (x + 3 * np.eye(*shape[-2:])).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("name", ["inv", "det", "pinv", "svdvals"])
def test_against_numpy(name: str, dtype: type) -> None:
    x = regular(2, 3, 3, dtype=dtype)
    np.testing.assert_allclose(
        getattr(linalg, name)(torch.from_numpy(x)).numpy(), getattr(np.linalg, name)(x), atol=1e-10
    )


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 2, 3)])
def test_lu(shape: tuple[int, ...], dtype: type) -> None:
    x = torch.from_numpy(regular(*shape, dtype=dtype))
    p, lower, upper = torch.lu_unpack(*linalg.lu_factor(x))
    np.testing.assert_allclose((p @ lower @ upper).numpy(), x.numpy(), atol=1e-12)
    assert lower.tril().tolist() == lower.tolist() and upper.triu().tolist() == upper.tolist()


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("adjoint", [True, False])
def test_lu_solve(left: bool, adjoint: bool) -> None:
    a, b = (torch.from_numpy(regular(2, 3, 3, dtype=np.complex128)) for _ in range(2))
    x = linalg.lu_solve(*linalg.lu_factor(a), b, left=left, adjoint=adjoint)
    matrix = a.mH if adjoint else a
    np.testing.assert_allclose((matrix @ x if left else x @ matrix).numpy(), b.numpy(), atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_householder(dtype: type) -> None:
    x = torch.from_numpy(regular(2, 4, 3, dtype=dtype))
    packed, tau = torch.geqrf(x)
    q = linalg.householder_product(packed, tau)
    r = packed[..., :3, :].triu()
    np.testing.assert_allclose((q @ r).numpy(), x.numpy(), atol=1e-12)
    np.testing.assert_allclose(torch.ormqr(packed, tau, x, transpose=True)[..., :3, :].numpy(), r.numpy(), atol=1e-12)


FUNCTIONS: list[tuple[str, Callable]] = [
    ("inv", linalg.inv),
    ("det", linalg.det),
    ("lu_factor", lambda x: linalg.lu_factor(x).LU),
    ("pinv", linalg.pinv),
    ("cholesky", lambda x: linalg.cholesky(x @ x.mT)),
    ("eigvalsh", lambda x: linalg.eigvalsh(x + x.mT)),
    ("svdvals", linalg.svdvals),
    ("matrix_exp", torch.matrix_exp),
    ("logdet", lambda x: torch.logdet(x @ x.mT)),
    ("cov", torch.cov),
    ("trace", torch.trace),
    ("householder", lambda x: linalg.householder_product(x, x[0])),
    ("kron", lambda x: torch.kron(x, x)),
    ("triangular", lambda x: torch.triangular_solve(x, x, upper=False).solution),
    ("cdist", lambda x: torch.cdist(x, 2 * x + 1)),
    ("tensordot", lambda x: torch.tensordot(x, x[:1], ([1], [0]))),
]


@pytest.mark.parametrize("function", [pytest.param(f, id=n) for n, f in FUNCTIONS])
def test_gradients(function: Callable) -> None:
    assert gradcheck(function, (torch.from_numpy(regular(3, 3)).requires_grad_(),))


def test_statistics_against_numpy() -> None:
    x = RNG.normal(size=(3, 6))
    counts, weights = np.array([1, 2, 3, 1, 1, 2]), RNG.random(6)
    t = torch.from_numpy(x)
    np.testing.assert_allclose(torch.corrcoef(t).numpy(), np.corrcoef(x))
    found = torch.cov(t, fweights=torch.from_numpy(counts), aweights=torch.from_numpy(weights))
    np.testing.assert_allclose(found.numpy(), np.cov(x, fweights=counts, aweights=weights))
    np.testing.assert_allclose(torch.kron(t, t[:2, :2]).numpy(), np.kron(x, x[:2, :2]))


def test_hermitian_pseudo_inverse() -> None:
    x = regular(3, 3)
    x = x + x.T
    np.testing.assert_allclose(linalg.pinv(torch.from_numpy(x), hermitian=True).numpy(), np.linalg.pinv(x), atol=1e-12)


@pytest.mark.parametrize(
    "function", [linalg.inv, linalg.lu_factor, lambda x: linalg.solve(x, x), lambda x: linalg.cholesky(x - 1)]
)
def test_singular_matrices_are_refused(function: Callable) -> None:
    with pytest.raises(RuntimeError) as caught:
        str(function(torch.zeros(2, 2)))
    assert type(caught.value).__name__ == "LinAlgError"


def test_shapes_are_checked() -> None:
    with pytest.raises(RuntimeError, match="square"):
        linalg.inv(torch.ones(2, 3))
    with pytest.raises(RuntimeError, match="same number of columns"):
        torch.cdist(torch.ones(2, 3), torch.ones(2, 2))
    assert linalg.lu_factor_ex(torch.zeros(2, 2)).info.item() == 1
    assert linalg.inv(torch.ones(0, 3, 3)).shape == (0, 3, 3)


def test_norms_of_matrices_without_elements() -> None:
    empty = torch.zeros(0, 5)
    for order in (1, float("inf"), 2, "nuc", "fro"):
        assert linalg.norm(empty, order, keepdim=True).tolist() == [[0.0]]
    with pytest.raises(IndexError, match="non-zero size"):
        linalg.matrix_norm(empty, -2)


def test_least_squares_by_driver():
    """As PyTorch's: gelsy, the default, gives the rank and no residuals, gels residuals and no rank."""
    A = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]], requires_grad=True)
    B = torch.tensor([[1.0], [2.0], [2.0]], requires_grad=True)
    usual, named = torch.linalg.lstsq(A, B), torch.linalg.lstsq(A, B, driver="gelsy")
    for found in (usual, named):
        assert found.residuals.shape == (0,) and found.residuals.requires_grad and found.rank.item() == 2
    gels, gelsd = torch.linalg.lstsq(A, B, driver="gels"), torch.linalg.lstsq(A, B, driver="gelsd")
    assert gels.rank.shape == (0,) and gelsd.rank.item() == 2
    assert not gelsd.singular_values.requires_grad and gelsd.singular_values.shape == (2,)
    torch.testing.assert_close(gels.residuals, torch.tensor([1 / 6]), check_dtype=False)
    # the residual's gradient to B is 2 (B - A X): the best line is 7/6 + t/2
    (gradient,) = torch.autograd.grad(gels.residuals.sum(), B)
    torch.testing.assert_close(gradient, torch.tensor([[-1 / 3], [2 / 3], [-1 / 3]]))


def test_no_reflections_are_part_of_the_graph():
    A, tau = torch.ones(3, 2, requires_grad=True), torch.ones(0, requires_grad=True)
    found = torch.linalg.householder_product(A, tau)
    assert found.tolist() == [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    assert torch.autograd.grad(found.sum(), A)[0].tolist() == [[0.0, 0.0]] * 3
