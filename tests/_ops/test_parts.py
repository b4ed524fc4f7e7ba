"""Parts of tensors: rows, slices, pieces, diagonals, windows."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradcheck, gradgradcheck

X = np.arange(24.0).reshape(4, 6)

PARTS = {
    "select": (lambda x: x.select(1, -2), lambda a: a[:, -2]),
    "narrow": (lambda x: x.narrow(1, -4, 3), lambda a: a[:, 2:5]),
    "slice": (lambda x: x[:, 1::2], lambda a: a[:, 1::2]),
    "diagonal": (lambda x: x.diagonal(), lambda a: a.diagonal()),
    "diagonal above": (lambda x: x.diagonal(3), lambda a: a.diagonal(3)),
    "diagonal below": (lambda x: x.diagonal(-2, 0, 1), lambda a: a.diagonal(-2)),
    "diagonal outside": (lambda x: x.diagonal(9), lambda a: a.diagonal(9)),
    "unfold": (lambda x: x.unfold(1, 3, 2), lambda a: np.lib.stride_tricks.sliding_window_view(a, 3, 1)[:, ::2]),
    "overlapping unfold": (lambda x: x.unfold(0, 3, 1), lambda a: np.lib.stride_tricks.sliding_window_view(a, 3, 0)),
}


@pytest.mark.parametrize("name", PARTS)
def test_one_part(name):
    tensor, array = PARTS[name]
    x = torch.from_numpy(X.copy())
    got = tensor(x)
    np.testing.assert_array_equal(got.numpy(), array(X))
    assert got._base is x
    leaf = torch.from_numpy(X.copy()).requires_grad_()
    assert gradcheck(tensor, (leaf,)) and gradgradcheck(tensor, (leaf,))
    turned = torch.from_numpy(X.T.copy()).t()
    np.testing.assert_array_equal(tensor(turned).numpy(), array(X))


MANY = {
    "split": (lambda x: x.split(4, 1), lambda a: np.split(a, [4], 1)),
    "split sizes": (lambda x: x.split([1, 0, 3]), lambda a: np.split(a, [1, 1])),
    "split_with_sizes": (lambda x: x.split_with_sizes((5, 1), -1), lambda a: np.split(a, [5], 1)),
    "chunk": (lambda x: x.chunk(4, 1), lambda a: np.split(a, [2, 4], 1)),
    "tensor_split": (lambda x: x.tensor_split(4, dim=1), lambda a: np.array_split(a, 4, 1)),
    "tensor_split cuts": (lambda x: x.tensor_split((1, 1, 9)), lambda a: np.array_split(a, (1, 1, 9))),
    "tensor_split tensor": (lambda x: x.tensor_split(torch.tensor([2])), lambda a: np.array_split(a, (2,))),
    "hsplit": (lambda x: x.hsplit(3), lambda a: np.hsplit(a, 3)),
    "vsplit": (lambda x: x.vsplit((1,)), lambda a: np.vsplit(a, (1,))),
    "unbind": (lambda x: x.unbind(-1), lambda a: list(a.T)),
}


@pytest.mark.parametrize("name", MANY)
def test_many_parts(name):
    tensors, arrays = MANY[name]
    x, want = torch.from_numpy(X.copy()), arrays(X)
    got = tensors(x)
    assert isinstance(got, tuple) and len(got) == len(want)
    for t, a in zip(got, want, strict=True):
        np.testing.assert_array_equal(t.numpy(), a)
        assert t._base is x
    leaf = torch.from_numpy(X.copy()).requires_grad_()

    def last_and_first(x):  # others get no gradient
        parts = tensors(x)
        return parts[-1] ** 2, parts[0].sin()

    assert gradcheck(last_and_first, (leaf,)) and gradgradcheck(last_and_first, (leaf,))


def test_pieces_write_through_and_rejoin_the_graph():
    x = torch.ones(4, requires_grad=True)
    y = x * 1
    a, b = y.split(2)
    a.mul_(3)
    (y * torch.arange(4.0) + 1).sum().backward()
    assert x.grad.tolist() == [0, 3, 2, 3] and a.grad_fn is not None and b.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x.select(0, 7), IndexError, r"index 7 out of range for tensor of size \[4, 6\] at dimension 0"),
        (lambda x: x.narrow(0, 1, 4), RuntimeError, r"start \(1\) \+ length \(4\) exceeds dimension size \(4\)"),
        (lambda x: x.narrow(0, 9, 1), IndexError, "start out of range"),
        (lambda x: x.diagonal(0, 1, 1), RuntimeError, "cannot be identical"),
        (lambda x: x.unfold(0, 5, 1), RuntimeError, "maximum size for tensor at dimension 0 is 4 but size is 5"),
        (lambda x: x.unfold(0, 2, 0), RuntimeError, "must be > 0"),
        (lambda x: x.split(0), RuntimeError, "can only be 0 if dimension size is 0"),
        (lambda x: x.split([1, 2]), RuntimeError, "sum exactly to 4"),
        (lambda x: x.chunk(0), RuntimeError, "greater than 0"),
        (lambda x: x.tensor_split(0), RuntimeError, "larger than 0"),
        (lambda x: x.hsplit(4), RuntimeError, "not divisible"),
        (lambda x: x.dsplit(2), RuntimeError, "at least 3 dimensions"),
        (lambda x: x.sum().unbind(), IndexError, "tensor has no dimensions"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(torch.zeros(4, 6))
