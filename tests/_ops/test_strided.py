"""Strided windows, in-place views, copies of views, and tensors with another part."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau._ops.strided import overlaps
from flambeau.autograd import gradcheck, gradgradcheck


@pytest.mark.parametrize(
    ("shape", "strides", "expected"),
    [
        ((2, 3), (3, 1), False),
        ((2, 3), (1, 2), False),
        ((2, 3), (1, 1), True),
        ((2, 1), (1, 0), False),
        ((4,), (0,), True),
    ],
)
def test_overlaps(shape, strides, expected):
    assert overlaps(shape, strides) is expected


@pytest.mark.parametrize("args", [((2, 2), (1, 2)), ((2, 2), (1, 1), 1), ((3,), (0,), 2), ((), (), 3)])
def test_as_strided_and_its_gradient(args):
    x = torch.arange(5.0, dtype=torch.float64)
    flat = x.numpy()
    shape, strides, offset = (*args, 0)[:3]
    want = np.lib.stride_tricks.as_strided(flat[offset:], shape, [8 * s for s in strides])
    np.testing.assert_array_equal(x.as_strided(*args).numpy(), want)
    leaf = torch.arange(5.0, dtype=torch.float64).requires_grad_()
    assert gradcheck(lambda x: x.as_strided(*args), (leaf,)) and gradgradcheck(lambda x: x.as_strided(*args), (leaf,))


def test_gradient_shares_out_what_an_expanded_input_repeats():
    x = torch.arange(3.0, requires_grad=True)
    x.expand(2, 3).as_strided((3,), (1,)).sum().backward()
    assert x.grad.tolist() == [1, 1, 1]  # as PyTorch


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (((100,), (1,)), "out of bounds for storage of size 20"),
        (((2,), (1, 2)), "mismatch in length"),
        (((2,), (-1,)), "Negative strides"),
        (((2,), (1,), -1), "must not be negative"),
    ],
)
def test_memory_outside_the_storage_is_refused(args, message):
    with pytest.raises(RuntimeError, match=message):
        torch.zeros(5).as_strided(*args)


def test_in_place_views_change_the_tensor_itself():
    x = torch.arange(6).reshape(1, 2, 3)
    same = x.squeeze_(0).t_().unsqueeze_(-1).transpose_(0, 1).swapaxes_(0, 1)
    assert same is x and x.shape == (3, 2, 1) and x.stride()[:2] == (1, 3) and x._version == 5
    w = torch.ones(2, 3, requires_grad=True)
    y = w * 2
    y.t_()
    (y * torch.tensor([[1.0], [2.0], [3.0]])).sum().backward()
    assert w.grad.tolist() == [[2, 4, 6], [2, 4, 6]]
    with pytest.raises(RuntimeError, match="leaf Variable"):
        w.t_()
    with torch.no_grad():
        assert w.t_().shape == (3, 2) and w.requires_grad


def test_a_saved_tensor_turned_in_place_is_noticed():
    w = torch.ones(2, 3, requires_grad=True)
    y = w * 2
    z = y * y
    y.t_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


COPIES = [
    ("expand_copy", ((2, 2, 3),)),
    ("permute_copy", ((1, 0),)),
    ("select_copy", (0, 1)),
    ("t_copy", ()),
    ("transpose_copy", (0, 1)),
    ("unsqueeze_copy", (0,)),
    ("squeeze_copy", ()),
    ("view_copy", ((3, 2),)),
    ("diagonal_copy", ()),
    ("as_strided_copy", ((2,), (2,))),
    ("narrow_copy", (1, 0, 2)),
    ("slice_copy", (1, 1, 3)),
    ("unfold_copy", (1, 2, 1)),
    ("alias_copy", ()),
    ("split_copy", (2, 1)),
    ("unbind_copy", ()),
]


@pytest.mark.parametrize(("name", "args"), COPIES)
def test_copies_have_their_own_memory(name, args):
    x = torch.arange(6).reshape(2, 3)
    got = getattr(torch, name)(x, *args)
    view = {"alias_copy": lambda x: x, "slice_copy": lambda x, *_: x[:, 1:3]}.get(name)
    want = view(x, *args) if view else getattr(x, name[:-5])(*args)
    for g, w in zip(got, want, strict=True) if isinstance(got, tuple) else [(got, want)]:
        assert g.tolist() == w.tolist() and g._storage is not x._storage


SCATTERS = [
    (lambda x, s: x.select_scatter(s, 0, -1), (4,), (-1,)),
    (lambda x, s: x.slice_scatter(s, 1, 0, None, 2), (3, 2), (slice(None), slice(None, None, 2))),
    (lambda x, s: x.diagonal_scatter(s, 1), (3,), (np.arange(3), np.arange(3) + 1)),
]


@pytest.mark.parametrize(("function", "shape", "index"), SCATTERS)
@pytest.mark.parametrize("turned", [False, True])
def test_scatter_into_a_part(function, shape, index, turned):
    a, s = np.arange(12.0).reshape(3, 4), -np.ones(shape) * np.arange(1, 1 + shape[-1])
    x = torch.from_numpy(a.T.copy()).t() if turned else torch.from_numpy(a.copy())
    want = a.copy()
    want[index] = s
    np.testing.assert_array_equal(function(x, torch.from_numpy(s)).numpy(), want)
    assert gradcheck(function, (x.clone().requires_grad_(), torch.from_numpy(s).requires_grad_()))
    with pytest.raises(RuntimeError, match="expected src to have a size"):
        function(x, torch.zeros(7, dtype=torch.float64))


def test_as_strided_scatter():
    x = torch.zeros(2, 3)
    assert x.as_strided_scatter(torch.ones(3), (3,), (2,)).tolist() == [[1, 0, 1], [0, 1, 0]]
