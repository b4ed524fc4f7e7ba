"""Views against NumPy, which makes the same ones: shapes, strides, shared memory; and their gradients."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradcheck, gradgradcheck

X = np.arange(24.0).reshape(2, 3, 4)

# (name, of a tensor, of an array)
SAME_AS_NUMPY = [
    ("view", lambda x: x.view(4, 6), lambda a: a.reshape(4, 6)),
    ("view -1", lambda x: x.view((-1, 2)), lambda a: a.reshape(-1, 2)),
    ("reshape", lambda x: x.reshape(3, 8), lambda a: a.reshape(3, 8)),
    ("expand", lambda x: x.unsqueeze(1).expand(-1, 5, 3, 4), lambda a: np.broadcast_to(a[:, None], (2, 5, 3, 4))),
    ("broadcast_to", lambda x: torch.broadcast_to(x, (2, 2, 3, 4)), lambda a: np.broadcast_to(a, (2, 2, 3, 4))),
    ("permute", lambda x: x.permute(2, 0, -2), lambda a: a.transpose(2, 0, 1)),
    ("transpose", lambda x: x.transpose(0, -1), lambda a: a.swapaxes(0, -1)),
    ("swapaxes", lambda x: x.swapaxes(axis0=1, axis1=2), lambda a: a.swapaxes(1, 2)),
    ("movedim", lambda x: x.movedim((0, 1), (2, 0)), lambda a: np.moveaxis(a, (0, 1), (2, 0))),
    ("mT", lambda x: x.mT, lambda a: a.swapaxes(1, 2)),
    ("t", lambda x: x[0].t(), lambda a: a[0].T),
    ("T", lambda x: x[0].T, lambda a: a[0].T),
    ("squeeze", lambda x: x[:1, :1].squeeze(), lambda a: a[:1, :1].squeeze()),
    ("squeeze dims", lambda x: x[:1, :, :1].squeeze((0, 1)), lambda a: a[:1, :, :1].squeeze(0)),
    ("unsqueeze", lambda x: x.unsqueeze(-2), lambda a: np.expand_dims(a, -2)),
    ("flatten", lambda x: x.flatten(0, 1), lambda a: a.reshape(6, 4)),
    ("unflatten", lambda x: x.unflatten(2, (-1, 2)), lambda a: a.reshape(2, 3, 2, 2)),
    ("ravel", lambda x: x.ravel(), lambda a: a.ravel()),
]


@pytest.mark.parametrize(("tensor", "array"), [c[1:] for c in SAME_AS_NUMPY], ids=[c[0] for c in SAME_AS_NUMPY])
def test_same_layout_as_numpy_and_gradient(tensor, array):
    x, want = torch.from_numpy(X.copy()), array(X)
    got = tensor(x)
    np.testing.assert_array_equal(got.numpy(), want)
    assert [s * 8 for n, s in zip(got.shape, got.stride(), strict=True) if n > 1] == [
        s for n, s in zip(want.shape, want.strides, strict=True) if n > 1
    ]
    x[0, 0, 0] = -5
    assert got.flatten()[0] == -5  # the memory is shared
    leaf = torch.from_numpy(X.copy()).requires_grad_()
    assert gradcheck(tensor, (leaf,)) and gradgradcheck(tensor, (leaf,))


@pytest.mark.parametrize(
    ("shape", "strides", "new", "expected"),
    [  # PyTorch's answers
        ((2, 3, 4), (12, 4, 1), (6, 4), (4, 1)),
        ((3, 2), (1, 3), (3, 2, 1), (1, 3, 3)),
        ((3, 2), (1, 3), (6,), None),
        ((4, 2), (4, 1), (2, 2, 2), (8, 4, 1)),
        ((4, 1, 2), (4, 77, 1), (4, 2), (4, 1)),
        ((0, 3), (5, 1), (3, 0), (1, 1)),
    ],
)
def test_view_splits_and_merges_dense_dimensions_only(shape, strides, new, expected):
    x = torch.arange(40).as_strided(shape, strides)
    if expected is None:
        with pytest.raises(RuntimeError, match="view size .* is not compatible"):
            x.view(new)
        assert x.reshape(new).is_contiguous()
    else:
        assert x.view(new).stride() == expected


def test_names_of_gradients_and_identity():
    y = torch.ones(2, 3, requires_grad=True)
    names = [
        f(y).grad_fn.name()
        for f in (
            lambda x: x.view(6),
            lambda x: x.t(),
            lambda x: x.permute(1, 0),
            lambda x: x.expand(2, 2, 3),
            lambda x: x.unsqueeze(0),
            lambda x: x.transpose(0, 1),
            lambda x: x.reshape(3, 2),
            lambda x: x.T,
        )
    ]
    assert names == [
        n + "Backward0"
        for n in (
            "View",
            "T",
            "Permute",
            "Expand",
            "Unsqueeze",
            "Transpose",
            "View",
            "Permute",
        )
    ]
    assert y.contiguous() is y and y.flatten(1, 1) is y


def test_conjugate_transposes():
    x = torch.tensor([[1 + 2j, 3j]])
    for got in (x.H, x.mH, x.adjoint()):
        np.testing.assert_array_equal(got.numpy(), np.array([[1 - 2j], [-3j]], np.complex64))
    assert torch.ones(2, 3).H.shape == (3, 2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x.view(5), RuntimeError, r"shape '\[5\]' is invalid for input of size 24"),
        (lambda x: x.reshape(7, -1), RuntimeError, "is invalid for input of size 24"),
        (lambda x: x.transpose(0, 1).view(24), RuntimeError, "reshape"),
        (
            lambda x: x.expand(3, 3, 4),
            RuntimeError,
            r"expanded size of the tensor \(3\) must match the existing size \(2\)",
        ),
        (lambda x: x.expand(3), RuntimeError, "number of sizes provided"),
        (lambda x: x.permute(0, 1), RuntimeError, "number of dimensions"),
        (lambda x: x.permute(0, 0, 1), RuntimeError, "duplicate dims"),
        (lambda x: x.t(), RuntimeError, "expects a tensor with <= 2 dimensions, but self is 3D"),
        (lambda x: x.H, RuntimeError, "only supported on matrices"),
        (lambda x: x[0, 0].mT, RuntimeError, "Got 1-D"),
        (lambda x: x.unsqueeze(4), IndexError, "Dimension out of range"),
        (lambda x: x.squeeze(3), IndexError, "Dimension out of range"),
        (lambda x: x.flatten(2, 0), RuntimeError, "cannot come after"),
        (lambda x: x.unflatten(0, (3, 3)), RuntimeError, "don't multiply up"),
        (lambda x: x.movedim((0, 1), 0), RuntimeError, "same number of dims"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(torch.zeros(2, 3, 4))


def test_other_dtypes_of_the_same_bytes():
    x = torch.tensor([1.0, -2.0])
    assert x.view(torch.int32).tolist() == [1065353216, -1073741824]
    assert x.view(torch.uint8).shape == (8,) and torch.arange(4, dtype=torch.int32).view(torch.int64).shape == (2,)
    x.view(torch.int32)[0] = 0
    assert x.tolist() == [0.0, -2.0]
    with pytest.raises(RuntimeError, match="divisible by 2"):
        torch.arange(3, dtype=torch.int32).view(torch.int64)
    with pytest.raises(RuntimeError, match="stride"):
        torch.zeros(2, 2).t().view(torch.int16)


def test_parts_of_complex_numbers_are_views():
    x = torch.tensor([1 + 2j, 3j])
    x.real = 5
    x.imag[0] = 7
    assert x.tolist() == [5 + 7j, 5 + 3j]
    assert torch.view_as_complex(torch.view_as_real(x)).tolist() == x.tolist()
    y = torch.tensor([1 + 2j, 3j], dtype=torch.complex128, requires_grad=True)
    for part in (torch.real, torch.imag, torch.view_as_real):
        assert gradcheck(part, (y,))
    z = y * 1
    z.real[0] = 7  # PyTorch: gradients [0+1j, 1+1j]
    torch.view_as_real(z).sum().backward()
    assert y.grad.tolist() == [1j, 1 + 1j]
    with pytest.raises(RuntimeError, match="last dimension of size 2"):
        torch.view_as_complex(torch.zeros(3))


def test_broadcast_tensors():
    a, b = torch.broadcast_tensors(torch.zeros(3, 1), torch.zeros(4))
    assert a.stride() == (1, 0) and b.stride() == (0, 1) and a.shape == b.shape == (3, 4)
    with pytest.raises(RuntimeError, match="must match the size"):
        torch.broadcast_tensors(torch.zeros(3), torch.zeros(2))
    assert torch.broadcast_shapes((3, 1), 4, ()) == (3, 4)
    with pytest.raises(RuntimeError, match="negative dimension"):
        torch.broadcast_shapes((-1,))


def test_slice_inverse_finds_the_whole():
    whole = torch.arange(12.0).reshape(6, 2)
    part = whole[1:5:2]
    again = part.slice_inverse(whole, 0, 1, 5, 2)
    assert again.equal(whole) and again.data_ptr() == whole.data_ptr()
