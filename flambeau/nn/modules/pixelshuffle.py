"""Moving channels into space and back."""

from __future__ import annotations

from flambeau import _api as torch
from flambeau.nn import functional as F

from .module import Module

Tensor = torch.Tensor


class PixelShuffle(Module):
    """(*, C r^2, H, W) becomes (*, C, H r, W r), r the `upscale_factor` (Shi et al., 2016).

    Example:
        >>> import flambeau as torch
        >>> torch.nn.PixelShuffle(3)(torch.ones(1, 9, 4, 4)).shape
        torch.Size([1, 1, 12, 12])
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """(*, C, H r, W r) becomes (*, C r^2, H, W), r the `downscale_factor`: the inverse of PixelShuffle."""

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"
