"""RoIPool with channels for each position: Dai et al. 2016, https://arxiv.org/abs/1605.06409."""

from __future__ import annotations

from collections.abc import Sequence

from flambeau import _api as torch
from flambeau import nn
from flambeau.vision.ops._regions import (
    Boxes,
    bin_counts,
    bounds,
    by_picture,
    check_positions,
    pooled_by_position,
    regions,
    rounded,
)

Tensor = torch.Tensor


def ps_roi_pool(input: Tensor, boxes: Boxes, output_size: int | Sequence[int], spatial_scale: float = 1.0) -> Tensor:
    """The regions `boxes` of `input` (N, C * height * width, H, W) in which each bin has C channels of its own, as the
    means of their bins: (K, C, height, width). `boxes` and `spatial_scale` are those of `roi_pool`; corners are rounded
    to whole pixels, of which the last does not belong to the region. The last row and column of a picture never count.

    Raises:
        AssertionError: for boxes of another shape.
        RuntimeError: if the number of channels is no multiple of that of bins.

    Example::

        >>> ps_roi_pool(torch.ones(1, 8, 5, 5), [torch.tensor([[0.0, 0.0, 4.0, 4.0]])], 2).shape
        torch.Size([1, 2, 2, 2])
    """
    images, corners = regions(input, boxes)
    height, width = bins = bin_counts(output_size)
    check_positions(input, bins)
    corners = rounded(corners * spatial_scale)
    start, length = corners[:, :2], (corners[:, 2:] - corners[:, :2]).clamp(min=1)
    rows = _mean(start[:, 1], length[:, 1], height, input.shape[2])
    columns = _mean(start[:, 0], length[:, 0], width, input.shape[3])
    return by_picture(input, images, rows, columns, pooled_by_position)


def _mean(start: Tensor, length: Tensor, bins: int, size: int) -> Tensor:
    """How much each of `size` pixels counts in the mean of each bin: (K, bins, size)."""
    first, last = bounds(start, length, bins, size - 1)  # where torchvision ends, too
    pixels = torch.arange(size)
    inside = (pixels >= first[..., None]) & (pixels < last[..., None])
    return inside.to(start.dtype) / (last - first).clamp(min=1)[..., None]


class PSRoIPool(nn.Module):
    """`ps_roi_pool` as a module."""

    def __init__(self, output_size: int | Sequence[int], spatial_scale: float) -> None:
        super().__init__()
        self.output_size, self.spatial_scale = output_size, spatial_scale

    def forward(self, input: Tensor, rois: Boxes) -> Tensor:
        return ps_roi_pool(input, rois, self.output_size, self.spatial_scale)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, spatial_scale={self.spatial_scale}"
