"""Reductions of segments against NumPy's of each, and the exclusive or of bits."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradcheck

DATA = np.random.RandomState(0).randn(7, 3)
LENGTHS = [2, 0, 4, 1]
EMPTY = {"sum": 0.0, "prod": 1.0, "mean": np.nan, "max": -np.inf, "min": np.inf}


@pytest.mark.parametrize("reduce", EMPTY)
def test_each_segment(reduce):
    found = torch.segment_reduce(torch.tensor(DATA), reduce, lengths=torch.tensor(LENGTHS))
    stretches = np.split(DATA, np.cumsum(LENGTHS)[:-1])
    expected = [getattr(s, reduce)(0) if len(s) else np.full(3, EMPTY[reduce]) for s in stretches]
    np.testing.assert_allclose(found.numpy(), np.stack(expected))
    by_offsets = torch.segment_reduce(torch.tensor(DATA), reduce, offsets=torch.tensor([0, 2, 2, 6, 7]))
    np.testing.assert_allclose(by_offsets.numpy(), found.numpy())


def test_an_inner_dimension_and_first_values():
    data = torch.tensor(DATA.T.copy())
    lengths = torch.tensor([[3, 4], [7, 0], [1, 6]])
    found = torch.segment_reduce(data, "sum", lengths=lengths, axis=1, initial=1.0)
    expected = [[1 + row[:n].sum(), 1 + row[n:].sum()] for row, n in zip(DATA.T, (3, 7, 1), strict=True)]
    np.testing.assert_allclose(found.numpy(), expected)


def test_gradients_and_refusals():
    data = torch.tensor(DATA).requires_grad_()
    for reduce in ("sum", "mean", "max", "prod"):
        assert gradcheck(lambda x, r=reduce: torch.segment_reduce(x, r, lengths=torch.tensor([2, 4, 1])), (data,))
    with pytest.raises(RuntimeError, match="add up to the size 7"):
        torch.segment_reduce(data, "sum", lengths=torch.tensor([1, 2]))
    with pytest.raises(RuntimeError, match="unsupported reduction"):
        torch.segment_reduce(data, "median", lengths=torch.tensor([7]))


def test_bits():
    x = np.random.RandomState(0).randn(3, 4)
    found = torch.hash_tensor(torch.tensor(x), 1, keepdim=True)
    assert np.array_equal(found.numpy(), np.bitwise_xor.reduce(x.view(np.uint64), 1, keepdims=True))
    assert torch.hash_tensor(torch.tensor([1.5], dtype=torch.float16)).item() == 4609434218613702656
    assert torch.hash_tensor(torch.tensor([3, -1], dtype=torch.int32)).item() == 2**64 - 4
    with pytest.raises(IndexError, match="non-zero size"):
        torch.hash_tensor(torch.ones(0, 3), 0)
