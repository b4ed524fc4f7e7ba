"""Distances, histograms of points and numerical derivatives against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradcheck

X = np.random.RandomState(0).randn(6, 3)


@pytest.mark.parametrize("p", [0.0, 1.0, 2.0, 3.5, np.inf])
def test_distances_of_pairs(p):
    pairs = [(i, j) for i in range(6) for j in range(i + 1, 6)]
    difference = np.abs(np.stack([X[i] - X[j] for i, j in pairs]))
    expected = (
        difference.max(1) if p == np.inf else (difference != 0).sum(1) if p == 0 else (difference**p).sum(1) ** (1 / p)
    )
    np.testing.assert_allclose(torch.pdist(torch.tensor(X), p).numpy(), expected)
    assert torch.nn.functional.pdist(torch.tensor(X[:1]), p).shape == (0,)


@pytest.mark.parametrize("density", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_histograms_of_points(density, weighted):
    weight = np.arange(1.0, 7.0) if weighted else None
    found = torch.histogramdd(
        torch.tensor(X), [2, 3, 4], weight=None if weight is None else torch.tensor(weight), density=density
    )
    counts, edges = np.histogramdd(X, [2, 3, 4], weights=weight, density=density)
    for f, e in zip(found.bin_edges, edges, strict=True):
        np.testing.assert_allclose(f.numpy(), e)
    if density:  # PyTorch divides by what lies inside, once more by each width
        counts = counts * 1.0
    np.testing.assert_allclose(found.hist.numpy(), counts, rtol=1e-10)
    given = torch.histogramdd(torch.tensor(X[:, :2]), [torch.tensor([-1.0, 0.0, 2.0]).double()] * 2)
    np.testing.assert_allclose(given.hist.numpy(), np.histogramdd(X[:, :2], [[-1, 0, 2]] * 2)[0])


@pytest.mark.parametrize("edge_order", [1, 2])
def test_numerical_derivatives(edge_order):
    places = np.sort(np.random.RandomState(1).rand(6))
    for spacing, theirs in ((1, (1.0,)), (0.5, (0.5,)), ([torch.tensor(places)], (places,))):
        found = torch.gradient(torch.tensor(X), spacing=spacing, dim=0, edge_order=edge_order)[0].numpy()
        np.testing.assert_allclose(found, np.gradient(X, *theirs, axis=0, edge_order=edge_order), rtol=1e-8)
    both = torch.gradient(torch.tensor(X), spacing=[0.5, 2.0])
    for f, e in zip(both, np.gradient(X, 0.5, 2.0), strict=True):
        np.testing.assert_allclose(f.numpy(), e)
    assert gradcheck(lambda t: torch.gradient(t, dim=0, edge_order=edge_order)[0], (torch.tensor(X).requires_grad_(),))
    with pytest.raises(RuntimeError, match="at least edge_order"):
        torch.gradient(torch.ones(1))
