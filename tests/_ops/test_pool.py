"""Pooling against its definition, and against PyTorch 2.13 where the definition leaves a choice (NaN, ties, rims)."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import flambeau as torch
from flambeau._core.config import config
from flambeau.autograd import gradcheck, gradgradcheck
from flambeau.nn import functional as F

nan, inf = float("nan"), float("inf")
MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVG = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
UNPOOL = {1: F.max_unpool1d, 2: F.max_unpool2d, 3: F.max_unpool3d}


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def pooled(x, n, kernel, stride, padding, dilation, reduce, fill):
    """`reduce` over every window of the last n dimensions."""
    x = np.pad(x, [(0, 0)] * (x.ndim - n) + [(padding, padding)] * n, constant_values=fill)
    counts = [(size - dilation * (kernel - 1) - 1) // stride + 1 for size in x.shape[-n:]]
    out = np.zeros((*x.shape[:-n], *counts))
    for o in itertools.product(*map(range, counts)):
        window = x[(..., *[slice(i * stride, i * stride + dilation * (kernel - 1) + 1, dilation) for i in o])]
        out[(..., *o)] = reduce(window, tuple(range(-n, 0)))
    return out


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"), [(2, 2, 0, 1), (3, 2, 1, 1), (2, 1, 0, 2), (3, 1, 1, 2)]
)
def test_maximum(n, kernel, stride, padding, dilation):
    x = draw(2, 3, *(9, 7, 8)[:n])
    values, indices = MAX[n](torch.tensor(x), kernel, stride, padding, dilation, return_indices=True)
    np.testing.assert_array_equal(values.numpy(), pooled(x, n, kernel, stride, padding, dilation, np.max, -inf))
    flat = x.reshape(2, 3, -1)
    np.testing.assert_array_equal(
        np.take_along_axis(flat, indices.numpy().reshape(2, 3, -1), -1).reshape(values.shape), values.numpy()
    )


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (2, 3, 1)])
def test_average(n, kernel, stride, padding):
    x = draw(2, 3, *(9, 7, 8)[:n])
    expected = pooled(x, n, kernel, stride, padding, 1, np.mean, 0)
    np.testing.assert_allclose(AVG[n](torch.tensor(x), kernel, stride, padding).numpy(), expected, atol=1e-12)
    expected *= kernel**n / pooled(np.ones_like(x), n, kernel, stride, padding, 1, np.sum, 0)
    np.testing.assert_allclose(
        AVG[n](torch.tensor(x), kernel, stride, padding, False, False).numpy(), expected, atol=1e-12
    )


SPECIAL = [
    [1, 3, 2, 5, 4, 6, 0],
    [9, -1, 8, 8, 7, nan, 3],
    [2, 2, 2, 2, 2, 2, 2],
    [5, 4, 3, 2, 1, 0, -1],
    [0, nan, 1, nan, 2, 3, 4],
]


@pytest.mark.parametrize("compile", ["never", "always"])
@pytest.mark.parametrize("slope", [nan, inf])
def test_a_slope_goes_to_the_maximum_alone(monkeypatch, compile, slope):
    monkeypatch.setattr(config, "compile", compile)
    x = torch.arange(9.0).view(1, 1, 3, 3).requires_grad_()
    F.max_pool2d(x, 3).backward(torch.full((1, 1, 1, 1), slope))
    np.testing.assert_array_equal(x.grad.flatten(), [0] * 8 + [slope])


def test_ties_and_nan_are_found_where_pytorch_finds_them():
    x = torch.tensor([SPECIAL])
    values, indices = F.max_pool2d(x, 3, 2, 1, return_indices=True)
    np.testing.assert_array_equal(values.numpy().ravel(), [9, 8, nan, nan, 9, 8, nan, nan, nan, nan, nan, 4])
    assert indices.flatten().tolist() == [7, 9, 12, 12, 7, 9, 12, 12, 29, 31, 31, 34]
    values, indices = F.max_pool2d(x, 2, 3, ceil_mode=True, return_indices=True)
    np.testing.assert_array_equal(values.numpy().ravel(), [9, 8, 3, nan, nan, 4])
    assert indices.flatten().tolist() == [7, 10, 13, 29, 31, 34]
    lowest = F.max_pool2d(torch.full((1, 4, 4), -inf), 3, 2, 1, return_indices=True)[1]
    assert lowest.flatten().tolist() == [0, 1, 4, 5]


WAVE = np.sin(np.arange(35.0)).reshape(1, 5, 7)
# (function of the 5 x 7 wave, PyTorch's numbers)
GOLDEN = [
    (
        lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
        [
            0.621954,
            0.458224,
            -0.609199,
            -0.338686,
            0.685841,
            -0.166912,
            -0.435385,
            0.444225,
            0.108769,
            -0.636059,
            0.145322,
            0.811982,
        ],
    ),
    (
        lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
        [
            0.276424,
            0.305483,
            -0.406132,
            -0.150527,
            0.457227,
            -0.166912,
            -0.435385,
            0.29615,
            0.048342,
            -0.424039,
            0.096881,
            0.360881,
        ],
    ),
    (
        lambda x: F.avg_pool2d(x, (2, 3), 2, divisor_override=5),
        [0.761846, -0.167656, -0.622308, 0.266915, -0.776888, 0.379684],
    ),
    (lambda x: F.avg_pool2d((x * 10).long(), 2), [5, 2, -7, 5, -7, 0]),
    (
        lambda x: F.adaptive_avg_pool2d(x, (3, 4)),
        [
            0.621954,
            0.458224,
            -0.609199,
            -0.338686,
            0.685841,
            -0.166912,
            -0.435385,
            0.444225,
            0.108769,
            -0.636059,
            0.145322,
            0.811982,
        ],
    ),
    (
        lambda x: F.adaptive_max_pool2d(x, (3, 4)),
        [
            0.989358,
            0.989358,
            0.14112,
            0.420167,
            0.990607,
            0.989358,
            0.762558,
            0.956376,
            0.836656,
            -0.008851,
            0.999912,
            0.999912,
        ],
    ),
    (lambda x: F.adaptive_max_pool2d(x, (3, 4), return_indices=True)[1], [8, 8, 3, 13, 14, 8, 26, 27, 21, 22, 33, 33]),
    (
        lambda x: F.fractional_max_pool2d(
            x[None], 2, (3, 4), return_indices=True, _random_samples=torch.tensor([[[0.3, 0.8]]])
        )[1],
        [8, 2, 3, 13, 14, 9, 10, 20, 21, 31, 32, 33],
    ),
]


@pytest.mark.parametrize("case", range(len(GOLDEN)))
def test_numbers_of_pytorch(case):
    function, expected = GOLDEN[case]
    np.testing.assert_allclose(function(torch.tensor(WAVE).float()).numpy().ravel(), expected, atol=2e-6)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.max_pool2d(x, 3, 2, 1),
        lambda x: F.max_pool2d(x, 2, dilation=2, ceil_mode=True),
        lambda x: F.max_pool2d(x, 2),
        lambda x: F.avg_pool2d(x, 3, 2, 1, True, False),
        lambda x: F.avg_pool2d(x, 2),
        lambda x: F.adaptive_avg_pool2d(x, (3, 2)),
        lambda x: F.adaptive_avg_pool2d(x, 1),
        lambda x: F.adaptive_max_pool2d(x, (3, 2)),
        lambda x: F.lp_pool2d(x + 1, 3, 2),
        lambda x: F.fractional_max_pool2d(
            x, 2, (3, 3), _random_samples=torch.tensor([[[0.3, 0.8]] * 2], dtype=x.dtype)
        ),
    ],
    ids=range(10),
)
def test_gradients(function):
    x = torch.tensor(np.random.default_rng(0).permutation(60).reshape(1, 2, 6, 5) / 10, requires_grad=True)
    assert gradcheck(function, (x,)) and gradgradcheck(function, (x,))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_unpooling_puts_back(n):
    x = torch.tensor(draw(2, 2, *(6, 4, 8)[:n]), requires_grad=True)
    values, indices = MAX[n](x, 2, return_indices=True)
    back = UNPOOL[n](values, indices, 2)
    assert back.shape == x.shape
    np.testing.assert_array_equal(back.detach().numpy(), np.where(back.detach().numpy() != 0, x.detach().numpy(), 0))
    assert (back != 0).sum().item() == values.numel()
    back.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy() != 0, back.detach().numpy() != 0)
    assert UNPOOL[n](values, indices, 2, output_size=[s + 1 for s in x.shape[2:]]).shape[2:] == tuple(
        s + 1 for s in x.shape[2:]
    )


def test_wide_windows_and_even_bins():
    x = torch.tensor(draw(2, 3, 40, 36))
    wide, where = F.max_pool2d(x, 18, return_indices=True)  # more positions than a byte counts
    assert wide.shape == (2, 3, 2, 2)
    np.testing.assert_array_equal(x.flatten(2).gather(2, where.flatten(2)).numpy(), wide.flatten(2).numpy())
    np.testing.assert_allclose(F.adaptive_avg_pool2d(x, (2, None)).numpy(), x.numpy().reshape(2, 3, 2, 20, 36).mean(3))
    np.testing.assert_allclose(F.avg_pool2d(x, (20, 9)).numpy(), x.numpy().reshape(2, 3, 2, 20, 4, 9).mean((3, 5)))


def test_random_windows_stay_within_the_image():
    torch.manual_seed(0)
    y = F.fractional_max_pool3d(torch.arange(216.0).reshape(1, 1, 6, 6, 6), 2, output_ratio=0.5)
    assert y.shape == (1, 1, 3, 3, 3) and y[0, 0, -1, -1, -1] == 215


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: F.max_pool2d(x, 3, padding=2), "pad should be at most half of effective kernel size"),
        (lambda x: F.max_pool2d(x, 9), r"Given input size: \(3x8x8\). Calculated output size: \(3x0x0\)"),
        (lambda x: F.max_pool2d(x, 3, stride=0), "stride should not be zero"),
        (lambda x: F.max_pool2d(x[0, 0], 3), "Expected 3D or 4D"),
        (lambda x: F.avg_pool2d(x, 3, divisor_override=0), "divisor must be not zero"),
        (lambda x: F.adaptive_avg_pool2d(x, (3,)), "output_size must be 2"),
        (lambda x: F.max_unpool2d(x, x, 2), "elements in indices should be type int64 but got: Float"),
        (
            lambda x: F.max_unpool2d(x[:, :, :2, :2], torch.full((1, 3, 2, 2), 100), 2).tolist(),
            "Found an invalid max index: 100",
        ),
    ],
)
def test_errors(function, message):
    with pytest.raises(RuntimeError, match=message):
        function(torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("compile", ["never", "always"])
def test_infinite_values_stay_in_their_bins(compile, monkeypatch):
    """Bins of different sizes: where one is shorter, what it does not read must not be multiplied by zero."""
    monkeypatch.setattr(config, "compile", compile)
    x = torch.tensor([[1.0, 2.0, 3.0, math.inf, 5.0, -math.inf, 7.0]], requires_grad=True)
    y = F.adaptive_avg_pool1d(x, 4)  # of 0..1, 1..3, 3..5 and 5..6
    assert y.tolist()[0][0] == 1.5 and y.tolist()[0][1] == math.inf and y.tolist()[0][3] == -math.inf
    y.backward(torch.tensor([[1.0, math.inf, 1.0, 1.0]]))
    expected = [[0.5, math.inf, math.inf, math.inf, 1 / 3, 1 / 3 + 0.5, 0.5]]
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6)
