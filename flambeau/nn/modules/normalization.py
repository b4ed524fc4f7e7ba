"""Normalisation within one sample: over its last dimensions, over groups of channels, over neighbouring channels."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from flambeau import _api as torch
from flambeau.nn import functional as F

from .. import init
from ..parameter import Parameter
from .module import Module, Registered

__all__ = ["CrossMapLRN2d", "GroupNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]

Tensor = torch.Tensor


class LocalResponseNorm(Module):
    """y_c = x_c / (k + alpha / size * sum of x^2 over the `size` channels around c)^beta (Krizhevsky et al., 2012).

    Shape:
        (N, C, *), as is the output.

    Example:
        >>> import flambeau as torch
        >>> torch.nn.LocalResponseNorm(2)(torch.ones(1, 5, 4, 4)).shape
        torch.Size([1, 5, 4, 4])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(LocalResponseNorm):
    """LocalResponseNorm as Torch7 had it, for (N, C, H, W) only: of an even `size` the window is one channel less."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__(size, alpha, beta, k)

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() != 4:
            raise ValueError(f"CrossMapLRN2d: Expected input to be 4D, got {input.dim()}D instead.")
        reach = (self.size - 1) // 2
        channels = input.size(1)
        squares = input.pow(2)
        padded = F.pad(squares, (0, 0, 0, 0, reach, reach))
        total = padded.narrow(1, 0, channels)
        for shift in range(1, 2 * reach + 1):
            total = total + padded.narrow(1, shift, channels)
        # Torch7's running sum, and PyTorch's after it, never drops the first channel again.
        beyond = total[:, reach + 1 :] + squares[:, :1]
        total = torch.cat([total[:, : reach + 1], beyond], dim=1)
        return input * (total * (self.alpha / self.size) + self.k).pow(-self.beta)


class LayerNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias over the last dimensions (Ba et al., 2016).

    Args:
        normalized_shape: the sizes of those dimensions; an int for the last one alone.
        eps: added to the (biased) variance. Default: 1e-5.
        elementwise_affine: learn weight and bias, of shape `normalized_shape`. Default: True.
        bias: whether there is a bias. Default: True.

    Shape:
        (*, *normalized_shape), as is the output.

    Example:
        >>> import flambeau as torch
        >>> torch.nn.LayerNorm(2)(torch.tensor([[1.0, 3.0]])).round()
        tensor([[-1.,  1.]], grad_fn=<RoundBackward0>)
    """

    weight: Any = Registered()
    bias: Any = Registered()

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        affine = elementwise_affine
        self.register_parameter("weight", _parameter(affine, self.normalized_shape, device, dtype))
        self.register_parameter("bias", _parameter(affine and bias, self.normalized_shape, device, dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set weight to 1 and bias to 0."""
        _reset(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class GroupNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias over groups of channels (Wu and He, 2018).

    Args:
        num_groups: the number of groups.
        num_channels: the number of channels C, divisible by it (else ValueError).
        eps: added to the variance. Default: 1e-5.
        affine: learn weight and bias for each channel. Default: True.
        bias: (keyword) whether there is a bias. Default: True.

    Shape:
        (N, C, *), as is the output.

    Example:
        >>> import flambeau as torch
        >>> torch.nn.GroupNorm(3, 6)(torch.ones(2, 6, 4)).shape
        torch.Size([2, 6, 4])
    """

    weight: Any = Registered()
    bias: Any = Registered()

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups != 0:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self.register_parameter("weight", _parameter(affine, (num_channels,), device, dtype))
        self.register_parameter("bias", _parameter(affine and bias, (num_channels,), device, dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set weight to 1 and bias to 0."""
        _reset(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """y = x / sqrt(mean(x^2) + eps) * weight over the last dimensions (Zhang and Sennrich, 2019).

    Args:
        normalized_shape: the sizes of those dimensions; an int for the last one alone.
        eps: None means the machine epsilon of the input's dtype. Default: None.
        elementwise_affine: learn the weight. Default: True.

    Example:
        >>> import flambeau as torch
        >>> torch.nn.RMSNorm(2, elementwise_affine=False)(torch.tensor([1.0, -1.0])).round()
        tensor([ 1., -1.])
    """

    weight: Any = Registered()

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.register_parameter("weight", _parameter(elementwise_affine, self.normalized_shape, device, dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1."""
        _reset(self.weight, None)

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


def _shape(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    if hasattr(normalized_shape, "__index__"):
        return (operator.index(normalized_shape),)
    return tuple(normalized_shape)


def _parameter(wanted: bool, shape: tuple[int, ...], device: Any, dtype: Any) -> Parameter | None:
    return Parameter(torch.empty(shape, device=device, dtype=dtype)) if wanted else None


def _reset(weight: Tensor | None, bias: Tensor | None) -> None:
    if weight is not None:
        init.ones_(weight)
    if bias is not None:
        init.zeros_(bias)
