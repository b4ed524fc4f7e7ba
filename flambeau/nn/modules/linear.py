"""Affine maps: Linear, Bilinear, their lazy form, and Identity."""

from __future__ import annotations

import math
from typing import Any

from flambeau import _api as torch
from flambeau.nn import functional as F

from .. import init
from ..parameter import Parameter, UninitializedParameter
from .lazy import LazyModuleMixin
from .module import Module, Registered

Tensor = torch.Tensor


class Identity(Module):
    """Returns its input; takes and ignores any arguments, so that it can stand in for another layer.

    Example:
        >>> import flambeau as torch
        >>> torch.nn.Identity(54, unused=True)(torch.ones(2))
        tensor([1., 1.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


class Linear(Module):
    """y = x W^T + b.

    Args:
        in_features, out_features: the sizes of the last dimension of input and output.
        bias: whether there is a b. Default: True.

    Shape:
        Input (*, in_features), output (*, out_features); weight (out_features, in_features), bias (out_features).

    Weight and bias start evenly distributed in +-1 / sqrt(in_features).

    Example:
        >>> import flambeau as torch
        >>> torch.nn.Linear(20, 30)(torch.ones(128, 20)).shape
        torch.Size([128, 30])
    """

    weight: Any = Registered()
    bias: Any = Registered()

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(torch.empty((out_features, in_features), device=device, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(torch.empty(out_features, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        reset_weight_and_bias(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def reset_weight_and_bias(weight: Tensor, bias: Tensor | None) -> None:
    """The start of linear layers and convolutions: both even in +-1 / sqrt(fan_in), the weight drawn first."""
    # With this slope the gain is sqrt(1/3), which turns the Kaiming bound sqrt(3/fan) * gain into 1/sqrt(fan).
    init.kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        fan_in, _ = init._calculate_fan_in_and_fan_out(weight)
        bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
        init.uniform_(bias, -bound, bound)


class NonDynamicallyQuantizableLinear(Linear):
    """The output projection of MultiheadAttention, told apart by its name only."""


class Bilinear(Module):
    """y_k = x1^T W_k x2 + b_k.

    Args:
        in1_features, in2_features, out_features: sizes of the last dimensions; in1_features must be positive.
        bias: whether there is a b. Default: True.

    Shape:
        Inputs (*, in1_features) and (*, in2_features), output (*, out_features);
        weight (out_features, in1_features, in2_features).

    Example:
        >>> import flambeau as torch
        >>> torch.nn.Bilinear(2, 3, 4)(torch.ones(8, 2), torch.ones(8, 3)).shape
        torch.Size([8, 4])
    """

    weight: Any = Registered()
    bias: Any = Registered()

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        shape = (out_features, in1_features, in2_features)
        self.weight = Parameter(torch.empty(shape, device=device, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(torch.empty(out_features, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, even in +-1 / sqrt(in1_features)."""
        if self.in1_features <= 0:
            raise ValueError(f"in1_features must be > 0, but got (in1_features={self.in1_features})")
        bound = 1 / math.sqrt(self.weight.size(1))
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class LazyLinear(LazyModuleMixin, Linear):
    """A Linear whose `in_features` is the last size of its first input; it is a Linear from then on.

    Example:
        >>> import flambeau as torch
        >>> layer = torch.nn.LazyLinear(4)
        >>> layer(torch.ones(2, 3)).shape, layer
        (torch.Size([2, 4]), Linear(in_features=3, out_features=4, bias=True))
    """

    cls_to_become = Linear

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(0, 0, False)
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_features = out_features
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        if not self.has_uninitialized_params() and self.in_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:
        if self.has_uninitialized_params():
            with torch.no_grad():
                self.in_features = input.shape[-1]
                self.weight.materialize((self.out_features, self.in_features))
                if self.bias is not None:
                    self.bias.materialize((self.out_features,))
                self.reset_parameters()
        if self.in_features == 0:  # the shapes came from a state_dict
            if input.shape[-1] != self.weight.shape[-1]:
                raise AssertionError(
                    f"The in_features inferred from input: {input.shape[-1]} is not equal to in_features from "
                    f"self.weight: {self.weight.shape[-1]}"
                )
            self.in_features = input.shape[-1]
