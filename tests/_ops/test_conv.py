"""Convolutions against their definition, written as loops in float64, and against each other as adjoint maps."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import flambeau as torch
from flambeau._ops import _convolve
from flambeau._ops._convolve import geometry_of
from flambeau.autograd import gradcheck, gradgradcheck
from flambeau.nn import functional as F

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
SIZES, KERNEL = (6, 5, 7), (3, 2, 3)


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def by_definition(x, w, stride, padding, dilation, groups):
    """out[n, f, o] = sum over c, k of w[f, c, k] x[n, group of f + c, o s + k d - p]."""
    n = x.ndim - 2
    x = np.pad(x, [(0, 0), (0, 0)] + [(padding, padding)] * n)
    counts = [(size - dilation * (k - 1) - 1) // stride + 1 for size, k in zip(x.shape[2:], w.shape[2:], strict=True)]
    out = np.zeros((x.shape[0], w.shape[0], *counts))
    per_group = w.shape[0] // groups
    for o in itertools.product(*map(range, counts)):
        window = x[
            (
                ...,
                *[
                    slice(i * stride, i * stride + dilation * (k - 1) + 1, dilation)
                    for i, k in zip(o, w.shape[2:], strict=True)
                ],
            )
        ]
        for f in range(w.shape[0]):
            first = f // per_group * w.shape[1]
            out[(slice(None), f, *o)] = (window[:, first : first + w.shape[1]] * w[f]).sum(tuple(range(1, n + 2)))
    return out


# Filters above and below the channels choose between unrolling and shifting, 3 images of few positions are merged.
CASES = [
    (n, stride, padding, dilation, groups, channels)
    for n in (1, 2, 3)
    for stride, padding, dilation in ((1, 0, 1), (1, 1, 1), (2, 1, 1), (1, 2, 2), (3, 2, 1))
    for groups, channels in ((1, (2, 8)), (1, (4, 3)), (2, (4, 4)), (4, (4, 4)))
]


@pytest.mark.parametrize(("n", "stride", "padding", "dilation", "groups", "channels"), CASES)
def test_convolution_and_its_adjoints(n, stride, padding, dilation, groups, channels):
    c, filters = channels
    x, w, b = draw(3, c, *SIZES[:n]), draw(filters, c // groups, *KERNEL[:n]), draw(filters)
    expected = by_definition(x, w, stride, padding, dilation, groups) + b.reshape(-1, *[1] * n)
    tx, tw, tb = (torch.tensor(a, requires_grad=True) for a in (x, w, b))
    y = CONV[n](tx, tw, tb, stride, padding, dilation, groups)
    np.testing.assert_allclose(y.detach().numpy(), expected, atol=1e-12)
    g = draw(*expected.shape, seed=1)
    y.backward(torch.tensor(g))
    # a linear map and its transpose: <g, A d> = <A' g, d>
    dx, dw = draw(*x.shape, seed=2), draw(*w.shape, seed=3)
    along_x = (g * by_definition(dx, w, stride, padding, dilation, groups)).sum()
    along_w = (g * by_definition(x, dw, stride, padding, dilation, groups)).sum()
    np.testing.assert_allclose(
        [(tx.grad.numpy() * dx).sum(), (tw.grad.numpy() * dw).sum()], [along_x, along_w], rtol=1e-10
    )
    np.testing.assert_allclose(tb.grad.numpy(), g.sum((0, *range(2, n + 2))))
    back = TRANSPOSED[n](torch.tensor(g), torch.tensor(w), None, stride, padding, 0, groups, dilation).numpy()
    part = tuple(slice(0, s) for s in back.shape)
    np.testing.assert_allclose(back, tx.grad.numpy()[part], atol=1e-12)


def test_blocks_and_merging_change_nothing(monkeypatch):
    x, w = draw(7, 4, 9, 8), draw(5, 4, 3, 3)
    expected = by_definition(x, w, 1, 1, 1, 1)
    for block, small in ((1, 0), (1, 1000), (3000, 0), (3000, 1000)):
        monkeypatch.setattr(_convolve, "_BLOCK_BYTES", block)
        monkeypatch.setattr(_convolve, "_MERGED_BLOCK_BYTES", 3 * block)
        monkeypatch.setattr(_convolve, "_SMALL_IMAGE", small)
        geometry = geometry_of(x.shape, w.shape, (9, 8), (1, 1), (1, 1), (1, 1), 1, x.dtype)
        np.testing.assert_allclose(_convolve.correlate(x, w, None, geometry), expected, atol=1e-12)


@pytest.mark.parametrize("transposed", [False, True])
def test_double_gradients(transposed):
    x, w, b = (torch.tensor(draw(*s), requires_grad=True) for s in ((2, 2, 4, 3), (2, 3, 2, 2), (3,)))
    if transposed:
        function = lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1)  # noqa: E731
    else:
        w = torch.tensor(draw(3, 2, 2, 2), requires_grad=True)
        function = lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1)  # noqa: E731
    assert gradcheck(function, (x, w, b)) and gradgradcheck(function, (x, w, b))


def test_output_padding_beyond_the_stride_has_a_gradient():
    x, w = torch.tensor(draw(1, 2, 3), requires_grad=True), torch.tensor(draw(2, 1, 2), requires_grad=True)
    function = lambda x, w: F.conv_transpose1d(x, w, output_padding=2, dilation=3)  # noqa: E731
    assert function(x, w).shape == (1, 1, 8) and gradcheck(function, (x, w)) and gradgradcheck(function, (x, w))


def test_complex_is_the_sum_of_real_ones():
    x, w = draw(2, 2, 5) + 1j * draw(2, 2, 5, seed=1), draw(3, 2, 2) + 1j * draw(3, 2, 2, seed=1)
    y = F.conv1d(torch.tensor(x), torch.tensor(w)).numpy()
    expected = by_definition(x.real, w.real, 1, 0, 1, 1) - by_definition(x.imag, w.imag, 1, 0, 1, 1)
    np.testing.assert_allclose(y.real, expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64])
def test_other_dtypes(dtype):
    x, w = (torch.tensor(np.round(draw(*s) * 3)).to(dtype) for s in ((1, 2, 5, 5), (2, 2, 3, 3)))
    y = F.conv2d(x, w)
    assert y.dtype is dtype
    np.testing.assert_array_equal(y.double().numpy(), by_definition(x.double().numpy(), w.double().numpy(), 1, 0, 1, 1))


def test_named_padding_unbatched_and_views():
    x, w = draw(2, 3, 6, 7), draw(4, 3, 2, 3)
    same = F.conv2d(torch.tensor(x), torch.tensor(w), padding="same").numpy()
    expected = by_definition(np.pad(x, [(0, 0), (0, 0), (0, 1), (1, 1)]), w, 1, 0, 1, 1)
    np.testing.assert_allclose(same, expected, atol=1e-12)
    swapped = torch.tensor(x.swapaxes(2, 3).copy()).transpose(2, 3)
    np.testing.assert_allclose(F.conv2d(swapped, torch.tensor(w), padding="same").numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(
        F.conv2d(torch.tensor(x[0]), torch.tensor(w), padding="same").numpy(), expected[0], atol=1e-12
    )
    assert F.conv2d(torch.tensor(x), torch.tensor(w), padding="valid").shape == (2, 4, 5, 5)


def test_channels_last_stays():
    x = torch.rand(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    assert F.conv2d(x, torch.rand(5, 3, 3, 3)).stride() == (20, 1, 10, 5)


def test_empty_batch():
    assert F.conv2d(torch.zeros(0, 3, 8, 8), torch.zeros(4, 3, 3, 3)).shape == (0, 4, 6, 6)


def test_time_batch_channels():
    x, w = draw(5, 2, 3), draw(2, 3, 4)
    y = F.conv_tbc(torch.tensor(x), torch.tensor(w), torch.zeros(4, dtype=torch.float64), 1).numpy()
    expected = by_definition(x.transpose(1, 2, 0), w.transpose(2, 1, 0), 1, 1, 1, 1)
    np.testing.assert_allclose(y, expected.transpose(2, 0, 1), atol=1e-12)


# (weight shape, keywords, beginning of PyTorch's message) for an input of (1, 3, 8, 8)
ERRORS = [
    (
        (4, 2, 3, 3),
        {},
        r"Given groups=1, weight of size \[4, 2, 3, 3\], expected input\[1, 3, 8, 8\] to have 2 channels",
    ),
    (
        (4, 3, 3, 3),
        {"bias": torch.zeros(5)},
        r"Given weight of size \[4, 3, 3, 3\], expected bias to be 1-dimensional with 4",
    ),
    ((4, 3, 9, 9), {}, r"Calculated padded input size per channel: \(8 x 8\). Kernel size: \(9 x 9\)"),
    ((4, 3, 3, 3), {"stride": 0}, "non-positive stride is not supported"),
    ((4, 3, 3, 3), {"stride": (1, 1, 1)}, "expected stride to be a single integer value or a list of 2 values"),
    ((4, 3, 3, 3), {"padding": -1}, "negative padding is not supported"),
    ((4, 3, 3, 3), {"padding": "both"}, "Invalid padding string: 'both'"),
    ((4, 3, 3, 3), {"padding": "same", "stride": 2}, "padding='same' is not supported for strided convolutions"),
    ((4, 3, 3, 3), {"groups": 0}, "non-positive groups is not supported"),
]


@pytest.mark.parametrize(("weight", "keywords", "message"), ERRORS)
def test_errors(weight, keywords, message):
    with pytest.raises(RuntimeError, match=message):
        F.conv2d(torch.zeros(1, 3, 8, 8), torch.zeros(*weight), **keywords)


def test_errors_of_types_and_dimensions():
    with pytest.raises(RuntimeError, match=r"Expected 3D \(unbatched\) or 4D \(batched\) input to conv2d"):
        F.conv2d(torch.zeros(3, 8), torch.zeros(4, 3, 3, 3))
    with pytest.raises(RuntimeError, match="expected scalar type Float but found Double"):
        F.conv2d(torch.zeros(1, 3, 8, 8), torch.zeros(4, 3, 3, 3, dtype=torch.float64))
    with pytest.raises(TypeError, match="argument 'input' .* must be Tensor, not list"):
        F.conv2d([1.0], torch.zeros(4, 3, 3, 3))
    with pytest.raises(RuntimeError, match="output padding must be smaller than either stride or dilation"):
        F.conv_transpose2d(torch.zeros(1, 3, 8, 8), torch.zeros(3, 3, 3, 3), output_padding=1)
