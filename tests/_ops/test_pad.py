"""Padding against NumPy's, which knows the same modes under other names."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradcheck, gradgradcheck
from flambeau.nn import functional as F

NUMPY = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
PADS = [(1, 2), (3, 0, 1, 2), (2, 1, 0, 3, 1, 1)]


@pytest.mark.parametrize("mode", NUMPY)
@pytest.mark.parametrize("pad", PADS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.complex64])
def test_modes(mode, pad, dtype):
    n = len(pad) // 2
    x = torch.arange(2 * 3 * 4**n).reshape(2, 3, *[4] * n) % 97
    pairs = [(0, 0), (0, 0), *list(zip(pad[::2], pad[1::2], strict=True))[::-1]]
    y = F.pad(x.to(dtype), pad, mode)
    assert y.dtype is dtype
    np.testing.assert_array_equal(y.to(torch.int64).numpy(), np.pad(x.numpy(), pairs, NUMPY[mode]))


@pytest.mark.parametrize(
    ("mode", "pad", "expected"),
    [  # PyTorch's numbers
        ("constant", (-1, 2), [2, 3, 4, 9, 9]),
        ("reflect", (-1, 2), [2, 3, 4, 3, 2]),
        ("replicate", (-1, 2), [2, 3, 4, 4, 4]),
        ("circular", (-1, 2), [2, 3, 4, 2, 3]),
        ("circular", (2, -1), [2, 3, 1, 2, 3]),
    ],
)
def test_negative_padding_cuts(mode, pad, expected):
    x = torch.tensor([[1.0, 2, 3, 4]])
    assert F.pad(x, pad, mode, 9 if mode == "constant" else None).tolist() == [expected]


@pytest.mark.parametrize("mode", NUMPY)
@pytest.mark.parametrize("pad", [(2, 1, 1, 2), (-1, 2, 1, -2)])
def test_gradients(mode, pad):
    x = torch.tensor(np.arange(18.0).reshape(2, 3, 3), requires_grad=True)
    assert gradcheck(lambda x: F.pad(x, pad, mode) ** 2, (x,)) and gradgradcheck(
        lambda x: F.pad(x, pad, mode) ** 2, (x,)
    )


def test_constant_pads_any_dimensions_and_values():
    assert F.pad(torch.tensor(True).reshape(1), (1, 1), value=1).tolist() == [True, True, True]
    assert F.pad(torch.ones(2, 2), (0, 0, 1, 0), value=2.5).tolist() == [[2.5, 2.5], [1, 1], [1, 1]]


@pytest.mark.parametrize(
    ("pad", "mode", "error", "message"),
    [
        ((1, 1, 1), "constant", RuntimeError, "Padding length must be divisible by 2"),
        ((1, 1), "mirror", NotImplementedError, "Unrecognised padding mode mirror"),
        ((1, 1), "reflect", NotImplementedError, "Padding size 2 is not supported for 4D input tensor"),
        ((4, 1, 1, 1), "reflect", RuntimeError, "Padding size should be less than the corresponding input dimension"),
        ((5, 1, 1, 1), "circular", RuntimeError, "Padding value causes wrapping around more than once"),
        ((-5, 0), "constant", RuntimeError, "negative"),
    ],
)
def test_errors(pad, mode, error, message):
    with pytest.raises(error, match=message):
        F.pad(torch.zeros(1, 3, 4, 4), pad, mode)
