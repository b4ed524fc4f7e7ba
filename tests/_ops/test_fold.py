"""Unfold, fold, and the shuffles between channels and space."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradcheck, gradgradcheck
from flambeau.nn import functional as F

CASES = [((2, 3), 1, 0, 1), ((2, 2), 2, 1, 1), (3, 1, (1, 2), (2, 1))]


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(list(shape)).standard_normal(shape)


@pytest.mark.parametrize(("kernel", "dilation", "padding", "stride"), CASES)
def test_a_convolution_is_a_product_with_unfolded_blocks(kernel, dilation, padding, stride):
    x = torch.tensor(draw(2, 3, 6, 7))
    w = torch.tensor(draw(4, 3, *((kernel, kernel) if isinstance(kernel, int) else kernel)))
    columns = F.unfold(x, kernel, dilation, padding, stride)
    y = F.conv2d(x, w, None, stride, padding, dilation)
    np.testing.assert_allclose((w.flatten(1) @ columns).numpy(), y.flatten(2).numpy(), atol=1e-12)
    np.testing.assert_array_equal(F.unfold(x[0], kernel, dilation, padding, stride).numpy(), columns[0].numpy())


@pytest.mark.parametrize(("kernel", "dilation", "padding", "stride"), CASES)
def test_fold_is_the_transpose_of_unfold(kernel, dilation, padding, stride):
    x = torch.tensor(draw(2, 3, 6, 7), requires_grad=True)
    columns = F.unfold(x, kernel, dilation, padding, stride)
    g = torch.tensor(draw(*columns.shape), requires_grad=True)
    columns.backward(g, retain_graph=True)
    folded = F.fold(g, (6, 7), kernel, dilation, padding, stride)
    np.testing.assert_allclose(folded.detach().numpy(), x.grad.numpy())
    np.testing.assert_allclose((columns * g).sum().item(), (folded * x).sum().item())


def test_double_gradients():
    x = torch.tensor(draw(1, 2, 4, 3), requires_grad=True)
    assert gradcheck(lambda x: F.unfold(x, 2) ** 2, (x,)) and gradgradcheck(lambda x: F.unfold(x, 2) ** 2, (x,))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda: F.fold(torch.zeros(1, 12, 13), (4, 5), 2),
            r"calculated number of sliding blocks 3 \* 4 = 12, but got input.size\(2\)=13",
        ),
        (lambda: F.fold(torch.zeros(1, 13, 12), (4, 5), 2), "divisible by the product of kernel_size"),
        (lambda: F.unfold(torch.zeros(1, 2, 2, 2), 3), r"calculated shape of the array of sliding blocks as \(0, 0\)"),
        (lambda: F.unfold(torch.zeros(1, 2, 5, 5), 3, stride=0), "stride should be greater than zero"),
        (lambda: F.pixel_shuffle(torch.zeros(1, 3, 4, 4), 2), "divisible by the square of upscale_factor"),
        (lambda: F.pixel_unshuffle(torch.zeros(1, 3, 5, 4), 2), "expects height to be divisible by downscale_factor"),
        (lambda: F.channel_shuffle(torch.zeros(1, 3, 5, 4), 2), "Number of channels must be divisible by groups"),
    ],
)
def test_errors(function, message):
    with pytest.raises(RuntimeError, match=message):
        function()


def test_shuffles():
    x = torch.arange(2 * 8 * 3 * 2).reshape(2, 8, 3, 2)
    y = F.pixel_shuffle(x, 2)
    assert y.shape == (2, 2, 6, 4)
    np.testing.assert_array_equal(y[:, 1, 3, 2].numpy(), x[:, 4 + 2, 1, 1].numpy())  # row 1 * 2 + 1, column 1 * 2 + 0
    np.testing.assert_array_equal(F.pixel_unshuffle(y, 2).numpy(), x.numpy())
    np.testing.assert_array_equal(
        F.channel_shuffle(x, 2)[0, :, 0, 0].numpy(), x[0, [0, 4, 1, 5, 2, 6, 3, 7], 0, 0].numpy()
    )
