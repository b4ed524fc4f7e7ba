"""Resizing images and other grids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau import _api as torch
from flambeau.nn import functional as F

from .module import Module

if TYPE_CHECKING:
    from ..common_types import ratio_2, ratio_any, size_2, size_any


class Upsample(Module):
    """Resizes (N, C, L), (N, C, H, W) or (N, C, D, H, W) to `size`, or by `scale_factor`.

    Args:
        size, scale_factor: the new spatial sizes or the factors; one number for all dimensions. Exactly one of them.
        mode: "nearest", "linear" (3-D), "bilinear" and "bicubic" (4-D) or "trilinear" (5-D). Default: "nearest".
        align_corners: keep the centres of the corners in place; only for the linear and cubic modes.
        recompute_scale_factor: use the factor that the rounded size has. Default: None (no).

    Example:
        >>> import flambeau as torch
        >>> torch.nn.Upsample(scale_factor=2)(torch.ones(1, 1, 2, 3)).shape
        torch.Size([1, 1, 4, 6])
    """

    def __init__(
        self,
        size: size_any | None = None,
        scale_factor: ratio_any | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.name = type(self).__name__
        self.size = size
        self.scale_factor: Any
        if isinstance(scale_factor, tuple):
            self.scale_factor = tuple(float(factor) for factor in scale_factor)
        else:
            self.scale_factor = float(scale_factor) if scale_factor else None
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return F.interpolate(
            input,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            recompute_scale_factor=self.recompute_scale_factor,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        state.setdefault("recompute_scale_factor", True)
        super().__setstate__(state)

    def extra_repr(self) -> str:
        if self.scale_factor is not None:
            return f"scale_factor={self.scale_factor!r}, mode={self.mode!r}"
        return f"size={self.size!r}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Upsample with mode "nearest" for images."""

    def __init__(self, size: size_2 | None = None, scale_factor: ratio_2 | None = None) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """Upsample with mode "bilinear" and aligned corners for images."""

    def __init__(self, size: size_2 | None = None, scale_factor: ratio_2 | None = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
