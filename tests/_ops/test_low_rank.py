"""Low-rank decompositions and LOBPCG against full ones."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradcheck

RNG = np.random.RandomState(0)
LOW = RNG.randn(12, 3) @ RNG.randn(3, 8)


@pytest.mark.parametrize("a", [LOW, LOW.T, np.stack([LOW, 2 * LOW])], ids=["tall", "wide", "batch"])
def test_a_matrix_of_low_rank_is_recovered(a):
    u, s, v = torch.svd_lowrank(torch.tensor(a), q=4)
    np.testing.assert_allclose((u * s.unsqueeze(-2) @ v.mT).numpy(), a, atol=1e-10)
    np.testing.assert_allclose(s.numpy(), np.linalg.svd(a, compute_uv=False)[..., :4], atol=1e-10)


def test_principal_components():
    u, s, v = torch.pca_lowrank(torch.tensor(LOW), q=3)
    centred = LOW - LOW.mean(0)
    np.testing.assert_allclose((u * s @ v.T).numpy(), centred, atol=1e-10)
    with pytest.raises(ValueError, match="not greater than min"):
        torch.pca_lowrank(torch.tensor(LOW), q=9)


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("general", [True, False])
def test_eigenvalues(largest, general):
    a, b = RNG.randn(20, 20), RNG.randn(20, 20)
    a, b = a + a.T, b @ b.T + 20 * np.eye(20)
    right = torch.tensor(b) if general else None
    values, vectors = torch.lobpcg(torch.tensor(a), k=2, B=right, largest=largest, niter=500, tol=1e-10)
    matrix = np.linalg.solve(b, a) if general else a
    expected = np.sort(np.linalg.eigvals(matrix).real)
    expected = expected[::-1][:2] if largest else expected[:2]
    np.testing.assert_allclose(values.numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(matrix @ vectors.numpy(), vectors.numpy() * values.numpy(), atol=1e-3)


def test_gradients_flow():
    a = torch.tensor(LOW[:5, :4] + np.eye(5, 4)).requires_grad_()

    def values(a):
        torch.manual_seed(0)
        return torch.svd_lowrank(a, q=4)[1]

    assert gradcheck(values, (a,))
