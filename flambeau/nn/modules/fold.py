"""Sliding local blocks: taking them out of images (Unfold) and adding them up again (Fold)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flambeau import _api as torch
from flambeau.nn import functional as F

from .module import Module

if TYPE_CHECKING:
    from ..common_types import size_any

Tensor = torch.Tensor


class Fold(Module):
    """Sums blocks, columns of the input, into an image at the places where Unfold would have taken them.

    Args:
        output_size: (H, W) of the image.
        kernel_size, dilation, padding, stride: as in Unfold. Default: 1, 0, 1 for the last three.

    Shape:
        Input (N, C prod(kernel_size), L) or without N, output (N, C, H, W).

    Example:
        >>> import flambeau as torch
        >>> torch.nn.Fold((4, 5), (2, 2))(torch.ones(1, 12, 12)).shape
        torch.Size([1, 3, 4, 5])
    """

    def __init__(
        self,
        output_size: size_any,
        kernel_size: size_any,
        dilation: size_any = 1,
        padding: size_any = 0,
        stride: size_any = 1,
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )


class Unfold(Module):
    """Takes the sliding blocks of an image as columns (im2col).

    Args:
        kernel_size: (height, width) of a block.
        dilation, padding, stride: as of a convolution. Default: 1, 0, 1.

    Shape:
        Input (N, C, H, W) or (C, H, W), output (N, C prod(kernel_size), L), L the number of blocks.

    Example:
        >>> import flambeau as torch
        >>> torch.nn.Unfold((2, 3))(torch.ones(2, 5, 3, 4)).shape
        torch.Size([2, 30, 4])
    """

    def __init__(
        self, kernel_size: size_any, dilation: size_any = 1, padding: size_any = 0, stride: size_any = 1
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
