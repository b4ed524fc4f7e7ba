"""The gradients of convolutions with respect to input and weight, as functions of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau import _api as torch
from flambeau.nn import functional as F

__all__ = ["conv1d_input", "conv1d_weight", "conv2d_input", "conv2d_weight", "conv3d_input", "conv3d_weight"]

Tensor = torch.Tensor


def _input_gradient(convolution: Callable[..., Tensor], name: str) -> Callable[..., Tensor]:
    def gradient(
        input_size: Sequence[int],
        weight: Tensor,
        grad_output: Tensor,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        with torch.enable_grad():
            input = grad_output.new_zeros(tuple(input_size)).requires_grad_()
            output = convolution(input, weight.detach(), None, stride, padding, dilation, groups)
        return torch.autograd.grad(output, input, grad_output)[0]

    gradient.__name__ = gradient.__qualname__ = f"{name}_input"
    gradient.__doc__ = f"The gradient of {name} with respect to an input of shape `input_size`, given the output's."
    return gradient


def _weight_gradient(convolution: Callable[..., Tensor], name: str) -> Callable[..., Tensor]:
    def gradient(
        input: Tensor,
        weight_size: Sequence[int],
        grad_output: Tensor,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        with torch.enable_grad():
            weight = grad_output.new_zeros(tuple(weight_size)).requires_grad_()
            output = convolution(input.detach(), weight, None, stride, padding, dilation, groups)
        return torch.autograd.grad(output, weight, grad_output)[0]

    gradient.__name__ = gradient.__qualname__ = f"{name}_weight"
    gradient.__doc__ = f"The gradient of {name} with respect to a weight of shape `weight_size`, given the output's."
    return gradient


conv1d_input = _input_gradient(F.conv1d, "conv1d")
conv2d_input = _input_gradient(F.conv2d, "conv2d")
conv3d_input = _input_gradient(F.conv3d, "conv3d")
conv1d_weight = _weight_gradient(F.conv1d, "conv1d")
conv2d_weight = _weight_gradient(F.conv2d, "conv2d")
conv3d_weight = _weight_gradient(F.conv3d, "conv3d")
