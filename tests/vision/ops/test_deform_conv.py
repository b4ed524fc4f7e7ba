"""Deformable convolution: where the offsets are zero, or whole, a convolution; between them, bilinear."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau.nn import functional as F
from flambeau.vision import ops


def randn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"padding": (2, 1), "dilation": (2, 1)}])
def test_without_offsets_it_is_a_convolution(options: dict) -> None:
    picture, weight, bias = randn(2, 4, 7, 8), randn(6, 2, 3, 3), randn(6)
    wanted = F.conv2d(picture, weight, bias, groups=2, **options)
    offset = torch.zeros(2, 2 * 9, *wanted.shape[2:], dtype=torch.float64)
    assert torch.allclose(ops.deform_conv2d(picture, offset, weight, bias, **options), wanted)
    halves = torch.full((2, 9, *wanted.shape[2:]), 0.5, dtype=torch.float64)
    masked = ops.deform_conv2d(picture, offset, weight, bias, **options, mask=halves)
    assert torch.allclose(masked, (wanted + bias[:, None, None]) / 2)


def test_offsets_are_y_before_x_and_for_each_group_of_channels() -> None:
    picture = randn(1, 4, 6, 6)
    offset = torch.zeros(1, 2 * 2, 6, 6, dtype=torch.float64)
    offset[:, 0], offset[:, 3] = 1.0, -0.25  # the first two channels from below, the others from the left
    found = ops.deform_conv2d(picture, offset, torch.eye(4, dtype=torch.float64)[:, :, None, None])
    below = F.pad(picture, (0, 0, 0, 1))[:, :2, 1:]
    left = 0.75 * picture[:, 2:] + 0.25 * F.pad(picture, (1, 0))[:, 2:, :, :-1]
    assert torch.allclose(found, torch.cat((below, left), 1))


def test_gradients() -> None:
    picture, offset = randn(1, 2, 3, 3).requires_grad_(), (randn(1, 2 * 4, 2, 2) * 0.9 + 0.01).requires_grad_()
    weight, bias, mask = randn(2, 2, 2, 2).requires_grad_(), randn(2).requires_grad_(), torch.rand(1, 4, 2, 2).double()
    assert torch.autograd.gradcheck(
        lambda x, o, w, b, m: ops.deform_conv2d(x, o, w, b, mask=m),
        (picture, offset, weight, bias, mask.requires_grad_()),
    )


def test_the_module_begins_as_a_convolution() -> None:
    torch.manual_seed(0)
    module = ops.DeformConv2d(4, 6, 3, padding=1, groups=2)
    torch.manual_seed(0)
    plain = torch.nn.Conv2d(4, 6, 3, padding=1, groups=2)
    assert torch.equal(module.weight, plain.weight) and torch.equal(module.bias, plain.bias)
    assert repr(module) == "DeformConv2d(4, 6, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), groups=2)"
    picture = torch.randn(1, 4, 5, 5)
    assert torch.allclose(module(picture, torch.zeros(1, 18, 5, 5)), plain(picture), atol=1e-5)
    assert ops.DeformConv2d(4, 6, 3, bias=False).bias is None


def test_refusals() -> None:
    picture, weight = torch.zeros(1, 4, 5, 5), torch.zeros(2, 4, 3, 3)
    with pytest.raises(RuntimeError, match=r"weight.size\[3\] = 18 at dimension 1, and then 3 and 3"):
        ops.deform_conv2d(picture, torch.zeros(1, 9, 3, 3), weight)
    with pytest.raises(RuntimeError, match="expected a multiple(.|\n)*those of the result"):
        ops.deform_conv2d(picture, torch.zeros(1, 18, 5, 5), weight)
    with pytest.raises(RuntimeError, match=r"mask has the shape \(1, 8, 3, 3\), expected \(1, 9, 3, 3\)"):
        ops.deform_conv2d(picture, torch.zeros(1, 18, 3, 3), weight, mask=torch.zeros(1, 8, 3, 3))
    with pytest.raises(RuntimeError, match="4 channels of input cannot be parted into 3 groups"):
        ops.deform_conv2d(picture, torch.zeros(1, 54, 3, 3), weight)
    with pytest.raises(ValueError, match="out_channels must be divisible by groups"):
        ops.DeformConv2d(4, 5, 3, groups=2)
