"""Flips, rolls, repeats, triangles and diagonals, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradcheck, gradgradcheck

X = np.arange(12.0).reshape(3, 4)

SAME_AS_NUMPY = {
    "flip": (lambda x: x.flip(0, -1), lambda a: np.flip(a)),
    "flip none": (lambda x: x.flip(()), lambda a: a),
    "fliplr": (lambda x: x.fliplr(), np.fliplr),
    "flipud": (lambda x: x.flipud(), np.flipud),
    "roll flat": (lambda x: x.roll(5), lambda a: np.roll(a, 5)),
    "roll": (lambda x: x.roll((1, -2), (0, 1)), lambda a: np.roll(a, (1, -2), (0, 1))),
    "rot90": (lambda x: x.rot90(), np.rot90),
    "rot90 back": (lambda x: x.rot90(-1, [1, 0]), lambda a: np.rot90(a, -1, (1, 0))),
    "rot180": (lambda x: x.rot90(2), lambda a: np.rot90(a, 2)),
    "repeat": (lambda x: x.repeat(2, 1, 3), lambda a: np.tile(a, (2, 1, 3))),
    "repeat none": (lambda x: x.repeat(0, 1), lambda a: np.tile(a, (0, 1))),
    "tile": (lambda x: x.tile(2), lambda a: np.tile(a, 2)),
    "repeat_interleave": (lambda x: x.repeat_interleave(2, 1), lambda a: np.repeat(a, 2, 1)),
    "repeat_interleave flat": (lambda x: x.repeat_interleave(3), lambda a: np.repeat(a, 3)),
    "repeat_interleave counts": (
        lambda x: x.repeat_interleave(torch.tensor([2, 0, 1]), 0),
        lambda a: np.repeat(a, [2, 0, 1], 0),
    ),
    "constant_pad_nd": (
        lambda x: torch.constant_pad_nd(x, (1, -2, 0, 3), 7),
        lambda a: np.pad(a[:, :-2], ((0, 3), (1, 0)), constant_values=7),
    ),
    "tril": (lambda x: x.tril(1), lambda a: np.tril(a, 1)),
    "triu": (lambda x: x.triu(-1), lambda a: np.triu(a, -1)),
    "tril of a batch": (lambda x: x.view(3, 2, 2).tril(), lambda a: np.tril(a.reshape(3, 2, 2))),
    "diag": (lambda x: x.diag(1), lambda a: np.diag(a, 1)),
    "diag of a vector": (lambda x: x[0].diag(-1), lambda a: np.diag(a[0], -1)),
    "diagflat": (lambda x: x.diagflat(2), lambda a: np.diagflat(a, 2)),
    "diag_embed": (lambda x: x.diag_embed(0, 0, 2), lambda a: np.einsum("ij,jk->jik", a, np.eye(4))),
}


@pytest.mark.parametrize("name", SAME_AS_NUMPY)
def test_like_numpy(name):
    tensor, array = SAME_AS_NUMPY[name]
    for x in (torch.from_numpy(X.copy()), torch.from_numpy(X.T.copy()).t()):
        if "batch" not in name or x.is_contiguous():
            got = tensor(x)
            np.testing.assert_array_equal(got.numpy(), array(X))
            assert got._storage is not x._storage
    halves = tensor(torch.from_numpy(X.copy()).to(torch.bfloat16))
    assert halves.dtype is torch.bfloat16
    np.testing.assert_array_equal(halves.float().numpy(), array(X))
    leaf = torch.from_numpy(X.copy()).requires_grad_()
    assert gradcheck(tensor, (leaf,)) and gradgradcheck(lambda x: tensor(x) ** 2, (leaf,))


@pytest.mark.parametrize("row", [0, 1, 3, 4])
@pytest.mark.parametrize("col", [0, 2, 4])
@pytest.mark.parametrize("offset", [-5, -1, 0, 2, 6])
def test_triangle_indices(row, col, offset):
    np.testing.assert_array_equal(
        torch.tril_indices(row, col, offset).numpy(), np.stack(np.tril_indices(row, offset, col))
    )
    np.testing.assert_array_equal(
        torch.triu_indices(row, col, offset).numpy(), np.stack(np.triu_indices(row, offset, col))
    )
    assert torch.tril_indices(row, col, offset, dtype=torch.int32).dtype is torch.int32


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("shape", [(3, 3), (7, 3), (2, 5)])
def test_fill_diagonal(shape, wrap):
    want = np.zeros(shape)
    np.fill_diagonal(want, 2, wrap)
    assert torch.zeros(shape).fill_diagonal_(2, wrap).tolist() == want.tolist()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x.flip(0, 0), RuntimeError, "multiple times"),
        (lambda x: x.flip(3), IndexError, "Dimension out of range"),
        (lambda x: x[0].fliplr(), RuntimeError, ">= 2-d"),
        (lambda x: x.roll(1, (0, 1)), RuntimeError, "must align"),
        (lambda x: x.rot90(1, (0, 0)), RuntimeError, "to be different"),
        (lambda x: x.repeat(2), RuntimeError, "can not be smaller"),
        (lambda x: x.repeat_interleave(torch.tensor([1, 2]), 0), RuntimeError, "same size as input along dim"),
        (lambda x: torch.repeat_interleave(torch.tensor([1, -2])).tolist(), RuntimeError, "can not be negative"),
        (lambda x: torch.constant_pad_nd(x, (-3, -2)), RuntimeError, "negative output size"),
        (lambda x: x[0].tril(), RuntimeError, "at least 2 dimensions"),
        (lambda x: x.view(3, 2, 2).diag(), RuntimeError, "1D or 2D"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(torch.zeros(3, 4))
