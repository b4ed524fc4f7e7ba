"""Joining tensors, grids and products, against NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradcheck, gradgradcheck

A, B, V, W = np.arange(6.0).reshape(2, 3), -np.arange(6.0).reshape(2, 3), np.arange(3.0), np.arange(3.0) + 5


@pytest.mark.parametrize(
    ("name", "arrays", "numpy"),
    [
        ("cat", (A, B), lambda a: np.concatenate(a)),
        ("stack", (A, B), lambda a: np.stack(a)),
        ("hstack", (A, B), np.hstack),
        ("hstack", (V, W), np.hstack),
        ("vstack", (V, A), np.vstack),
        ("row_stack", (V, W), np.vstack),
        ("dstack", (A, B), np.dstack),
        ("dstack", (V, W), np.dstack),
        ("column_stack", (V, W), np.column_stack),
    ],
)
def test_like_numpy(name, arrays, numpy):
    f = getattr(torch, name)
    np.testing.assert_array_equal(f([torch.from_numpy(a) for a in arrays]).numpy(), numpy(arrays))
    leaves = tuple(torch.from_numpy(a.copy()).requires_grad_() for a in arrays)
    assert gradcheck(lambda *t: f(t), leaves) and gradgradcheck(lambda *t: f(t) ** 2, leaves)


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.bool, torch.complex64])
def test_cat_and_stack_along_dimensions(dim, dtype):
    a, b = torch.from_numpy(A).to(dtype), torch.from_numpy(B).to(dtype).t().contiguous().t()
    want = np.concatenate([a.to(torch.complex128).numpy(), b.to(torch.complex128).numpy()], dim)
    assert torch.concat((a, b), dim).dtype is dtype
    np.testing.assert_array_equal(torch.cat((a, b), dim=dim).to(torch.complex128).numpy(), want)
    assert torch.stack((a, b), dim).shape == np.stack([A, B], dim).shape


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [  # PyTorch's answers
        (torch.tensor([1], dtype=torch.int32), torch.tensor([1.5], dtype=torch.float16), torch.float16),
        (torch.tensor([True]), torch.tensor([3], dtype=torch.uint8), torch.uint8),
        (torch.tensor([1], dtype=torch.uint8), torch.tensor([1], dtype=torch.int8), torch.int16),
        (torch.tensor([1.0]), torch.tensor([1j]), torch.complex64),
    ],
)
def test_promotion(first, second, expected):
    assert torch.cat([first, second]).dtype is torch.stack([first, second]).dtype is expected


def test_legacy_empty_tensors_are_skipped():
    x = torch.ones(2, 2, requires_grad=True)
    y = torch.cat([torch.tensor([]), x])
    assert y.shape == (2, 2) and torch.cat([torch.tensor([]), torch.tensor([])]).shape == (0,)
    y.sum().backward()
    assert x.grad.tolist() == [[1, 1], [1, 1]]


def test_out_is_resized():
    out = torch.empty(0)
    assert torch.cat([torch.ones(2), torch.zeros(1)], out=out) is out and out.tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: torch.cat([]), ValueError, "non-empty list"),
        (lambda: torch.cat(torch.ones(2)), TypeError, "must be tuple of Tensors"),
        (lambda: torch.cat([torch.ones(2), 1]), TypeError, "element 1"),
        (lambda: torch.cat([torch.ones(2, 3), torch.ones(3)]), RuntimeError, "same number of dimensions: got 2 and 1"),
        (lambda: torch.cat([torch.ones(2, 3), torch.ones(2, 2)]), RuntimeError, "Expected size 3 but got size 2"),
        (lambda: torch.cat([torch.tensor(1)]), RuntimeError, "zero-dimensional"),
        (lambda: torch.stack([torch.ones(3), torch.ones(4)]), RuntimeError, r"\[3\] at entry 0 and \[4\] at entry 1"),
        (lambda: torch.block_diag(torch.ones(1, 1, 1)), RuntimeError, "2 or fewer"),
        (lambda: torch.meshgrid(torch.ones(2, 2)), RuntimeError, "Expected 0D or 1D"),
        (lambda: torch.combinations(torch.ones(2, 2)), RuntimeError, "1D vector"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("indexing", ["ij", "xy"])
def test_meshgrid(indexing):
    vectors = [np.arange(2), np.arange(3) + 5, np.arange(4) + 9]
    for got, want in zip(
        torch.meshgrid(*map(torch.from_numpy, vectors), indexing=indexing),
        np.meshgrid(*vectors, indexing=indexing),
        strict=True,
    ):
        np.testing.assert_array_equal(got.numpy(), want)


@pytest.mark.parametrize("r", [1, 2, 3])
@pytest.mark.parametrize("repeated", [False, True])
def test_products_and_combinations(r, repeated):
    x = [3, 1, 4, 1]
    choose = itertools.combinations_with_replacement if repeated else itertools.combinations
    assert torch.combinations(torch.tensor(x), r, repeated).tolist() == [list(c) for c in choose(x, r)]
    assert torch.cartesian_prod(torch.tensor(x), torch.tensor([7, 8])).tolist() == [[a, b] for a in x for b in (7, 8)]


def test_block_diag_and_atleast():
    got = torch.block_diag(torch.tensor([[1, 2]]), torch.tensor(3), torch.tensor([4.5]))
    assert got.tolist() == [[1, 2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 4.5]]
    assert [f(torch.tensor(1)).shape for f in (torch.atleast_1d, torch.atleast_2d, torch.atleast_3d)] == [
        (1,),
        (1, 1),
        (1, 1, 1),
    ]
    a, b = torch.atleast_3d(torch.ones(3), torch.ones(2, 3))
    assert a.shape == (1, 3, 1) and b.shape == (2, 3, 1)
    assert gradcheck(torch.block_diag, tuple(torch.from_numpy(a.copy()).requires_grad_() for a in (A, V)))
