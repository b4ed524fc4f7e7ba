"""LDL factorisations: the factors give the matrix back, solutions are NumPy's, pivots are LAPACK's."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau._ops.ldl import unpacked


def matrix(n, kind, seed=0):
    rng = np.random.RandomState(seed)
    a = rng.randn(n, n) + (1j * rng.randn(n, n) if kind != "real" else 0)
    return a + (a.conj().T if kind == "hermitian" else a.T)


@pytest.mark.parametrize("kind", ["real", "symmetric", "hermitian"])
@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_the_factors_give_the_matrix_back(n, kind):
    a, hermitian = matrix(n, kind), kind == "hermitian"
    packed, pivots = torch.linalg.ldl_factor(torch.tensor(a), hermitian=hermitian)
    lower, blocks, rows = unpacked(packed.numpy(), pivots.numpy(), hermitian)
    product = lower @ blocks @ (lower.conj().T if hermitian else lower.T)
    np.testing.assert_allclose(product, a[rows][:, rows], atol=1e-12)
    assert np.abs(lower).max() < 5


@pytest.mark.parametrize("kind", ["real", "symmetric", "hermitian"])
def test_solutions(kind):
    a = np.stack([matrix(6, kind, seed) for seed in range(3)])
    b = np.random.RandomState(9).randn(3, 6, 2).astype(a.dtype)
    factors = torch.linalg.ldl_factor(torch.tensor(a), hermitian=kind == "hermitian")
    found = torch.linalg.ldl_solve(*factors, torch.tensor(b), hermitian=kind == "hermitian")
    np.testing.assert_allclose(found.numpy(), np.linalg.solve(a, b), atol=1e-9)


def test_pivots_are_those_of_lapack():
    a = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.5]])
    found = torch.linalg.ldl_factor_ex(a)
    assert found.pivots.tolist() == [-3, -3, 3] and found.info.item() == 0
    assert torch.linalg.ldl_factor_ex(torch.zeros(2, 2)).info.item() == 1
    assert torch.linalg.ldl_factor_ex(torch.zeros(0, 0)).LD.shape == (0, 0)
    with pytest.raises(torch.linalg.LinAlgError):
        torch.linalg.ldl_factor(torch.zeros(2, 2))
