"""Sparse tensors against dense NumPy arrays: conversions, products, sums; gradients against those of dense tensors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradcheck

DRAW = np.random.RandomState(0)
A = DRAW.randn(4, 6) * (DRAW.rand(4, 6) > 0.5)
B = DRAW.randn(6, 3)
C = DRAW.randn(6, 5) * (DRAW.rand(6, 5) > 0.5)
LAYOUTS = {
    "coo": lambda t: t.to_sparse(),
    "csr": lambda t: t.to_sparse_csr(),
    "csc": lambda t: t.to_sparse_csc(),
    "bsr": lambda t: t.to_sparse_bsr((2, 3)),
    "bsc": lambda t: t.to_sparse_bsc((2, 3)),
}


def dense(t):
    return t.to_dense().detach().numpy()


@pytest.mark.parametrize("name", LAYOUTS)
def test_conversion_and_back(name):
    made = LAYOUTS[name](torch.tensor(A))
    assert np.array_equal(dense(made), A)
    assert str(made.layout) == f"torch.sparse_{name}"


@pytest.mark.parametrize("one, other", list(itertools.permutations(LAYOUTS, 2)))
def test_conversion_between_layouts(one, other):
    assert np.array_equal(dense(LAYOUTS[other](LAYOUTS[one](torch.tensor(A)))), A)


@pytest.mark.parametrize("name", LAYOUTS)
def test_products_with_dense(name):
    a = LAYOUTS[name](torch.tensor(A))
    np.testing.assert_allclose((a @ torch.tensor(B)).numpy(), A @ B, rtol=1e-12)
    np.testing.assert_allclose(torch.mv(a, torch.tensor(B[:, 0])).numpy(), A @ B[:, 0], rtol=1e-12)
    np.testing.assert_allclose((torch.tensor(B[:4].T.copy()) @ a).numpy(), B[:4].T @ A, rtol=1e-12)
    np.testing.assert_allclose(dense(a.t()), A.T)


@pytest.mark.parametrize("name", ["coo", "csr", "csc"])
def test_product_of_two_sparse_keeps_the_layout(name):
    a, c = LAYOUTS[name](torch.tensor(A)), LAYOUTS[name](torch.tensor(C))
    product = a @ c
    assert product.layout is a.layout
    np.testing.assert_allclose(dense(product), A @ C, rtol=1e-12)


@pytest.mark.parametrize("name", ["coo", "csr"])
def test_arithmetic(name):
    a = LAYOUTS[name](torch.tensor(A))
    other = LAYOUTS[name](torch.tensor(np.roll(A, 1, 1)))
    np.testing.assert_allclose(dense(a + other), A + np.roll(A, 1, 1))
    np.testing.assert_allclose(dense(a - other * 3), A - np.roll(A, 1, 1) * 3)
    np.testing.assert_allclose(dense(a * other), A * np.roll(A, 1, 1))
    np.testing.assert_allclose(dense(a * torch.tensor(B[:, 0])), A * B[:, 0])
    np.testing.assert_allclose(dense(a / 4), A / 4)
    np.testing.assert_allclose(dense(torch.sin(-a)), np.sin(-A))


def test_entries_at_one_place_add_up():
    t = torch.sparse_coo_tensor([[1, 0, 1]], [1.0, 2.0, 4.0], (3,))
    assert not t.is_coalesced()
    assert t.coalesce().indices().tolist() == [[0, 1]]
    assert t.coalesce().values().tolist() == [2.0, 5.0]
    assert torch.square(t).to_dense().tolist() == [4.0, 25.0, 0.0]


def test_sums():
    a = torch.tensor(A).to_sparse()
    np.testing.assert_allclose(a.sum().item(), A.sum())
    np.testing.assert_allclose(dense(torch.sparse.sum(a, 0)), A.sum(0))
    np.testing.assert_allclose(dense(torch.sparse.sum(a, 1)), A.sum(1))
    stacked = torch.tensor(np.stack([A, 2 * A])).to_sparse(1)
    assert stacked.dense_dim() == 2
    np.testing.assert_allclose(dense(torch.sparse.sum(stacked, 2)), np.stack([A, 2 * A]).sum(2))
    np.testing.assert_allclose(torch.sparse.sum(stacked, 0).numpy(), 3 * A)


@pytest.mark.parametrize("dim", [0, 1])
def test_softmax_of_what_is_there(dim):
    masked = np.where(A == 0, -np.inf, A)
    peak = masked.max(dim, keepdims=True)
    expected = np.exp(masked - np.where(np.isfinite(peak), peak, 0))
    with np.errstate(invalid="ignore"):
        expected = np.nan_to_num(expected / expected.sum(dim, keepdims=True))
    np.testing.assert_allclose(dense(torch.sparse.softmax(torch.tensor(A).to_sparse(), dim)), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["coo", "csr", "bsc"])
def test_gradient_of_a_leaf_is_sparse(name):
    a, b = LAYOUTS[name](torch.tensor(A)).requires_grad_(), torch.tensor(B, requires_grad=True)
    (torch.sparse.mm(a, b) ** 2).sum().backward()
    x, y = torch.tensor(A, requires_grad=True), torch.tensor(B, requires_grad=True)
    ((x @ y) ** 2).sum().backward()
    places = dense(LAYOUTS[name](torch.tensor(A)).with_values(torch.ones_like(a.values().detach()))
                   if name != "coo" else a.detach().with_values(torch.ones(a._nnz(), dtype=torch.float64)))  # fmt: skip
    np.testing.assert_allclose(dense(a.grad), x.grad.numpy() * places, rtol=1e-10)
    np.testing.assert_allclose(b.grad.numpy(), y.grad.numpy(), rtol=1e-10)


def test_backward_starts_at_a_sparse_result():
    a = torch.tensor(A).to_sparse_csr().requires_grad_()
    weight = a.detach() * 3
    (a * 2).backward(weight)
    np.testing.assert_allclose(dense(a.grad), A * 6)
    left, right = torch.tensor(B[:4], requires_grad=True), torch.tensor(B.T.copy(), requires_grad=True)
    torch.sparse.sampled_addmm(a.detach(), left, right).values().sum().backward()
    places = (A != 0).astype(float)
    np.testing.assert_allclose(left.grad.numpy(), places @ B)
    np.testing.assert_allclose(right.grad.numpy(), B[:4].T @ places)


def test_gradients_reach_the_values():
    index = torch.tensor([[0, 1, 1], [2, 0, 2]])
    values = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)

    def loss(v):
        s = torch.sparse_coo_tensor(index, v, (2, 3))
        return (torch.sparse.softmax(s * 2 + s, 1) @ torch.arange(3.0, dtype=torch.float64)).sum() + s.to_dense().sum()

    assert gradcheck(loss, (values,))
    assert gradcheck(lambda x: x.to_sparse_csr().values() ** 2, (torch.tensor(B, requires_grad=True),))


def test_reductions_of_products():
    a, b = torch.tensor(A).to_sparse_csr(), torch.tensor(B)
    terms = A[:, :, None] * B[None]
    count = np.maximum((A != 0).sum(1), 1)[:, None]
    np.testing.assert_allclose(torch.sparse.mm(a, b, "mean").numpy(), terms.sum(1) / count, rtol=1e-12)
    largest = np.where(A[:, :, None] == 0, -np.inf, terms).max(1)
    np.testing.assert_allclose(torch.sparse.mm(a, b, "amax").numpy(), np.where(np.isinf(largest), 0, largest))


def test_what_does_not_fit_is_refused():
    with pytest.raises(RuntimeError, match="size is inconsistent with indices"):
        torch.sparse_coo_tensor([[3]], [1.0], (3,))
    with pytest.raises(RuntimeError, match="compressed indices of 3 numbers"):
        torch.sparse_csr_tensor([0, 1], [0], [1.0], (2, 2))
    with pytest.raises(RuntimeError, match="do not divide"):
        torch.tensor(A).to_sparse_bsr((3, 3))
    with pytest.raises(NotImplementedError, match=r"exp\(\) of a tensor of layout torch.sparse_coo"):
        torch.exp(torch.tensor(A).to_sparse())
    with pytest.raises(RuntimeError, match="expected a sparse tensor layout"):
        torch.tensor(A).indices()
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        torch.tensor(A).to_sparse() @ torch.tensor(A)
