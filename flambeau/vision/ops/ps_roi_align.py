"""RoIAlign with channels for each position: Li et al. 2017, https://arxiv.org/abs/1711.07264."""

from __future__ import annotations

from collections.abc import Sequence

from flambeau import _api as torch
from flambeau import nn
from flambeau.vision.ops._regions import (
    Boxes,
    bin_counts,
    by_picture,
    check_positions,
    pooled_by_position,
    regions,
    sampled,
)

Tensor = torch.Tensor


def ps_roi_align(
    input: Tensor, boxes: Boxes, output_size: int | Sequence[int], spatial_scale: float = 1.0, sampling_ratio: int = -1
) -> Tensor:
    """`roi_align`, aligned, of `input` (N, C * height * width, H, W) in which each bin has C channels of its own:
    (K, C, height, width). `boxes` and the other arguments are those of `roi_align`.

    Raises:
        AssertionError: for boxes of another shape.
        RuntimeError: if the number of channels is no multiple of that of bins.

    Example::

        >>> ps_roi_align(torch.ones(1, 8, 5, 5), [torch.tensor([[0.0, 0.0, 4.0, 4.0]])], 2).shape
        torch.Size([1, 2, 2, 2])
    """
    images, corners = regions(input, boxes)
    height, width = bins = bin_counts(output_size)
    check_positions(input, bins)
    corners = corners * spatial_scale - 0.5
    start, length = corners[:, :2], corners[:, 2:] - corners[:, :2]
    rows = sampled(start[:, 1], length[:, 1], height, input.shape[2], sampling_ratio)
    columns = sampled(start[:, 0], length[:, 0], width, input.shape[3], sampling_ratio)
    return by_picture(input, images, rows, columns, pooled_by_position)


class PSRoIAlign(nn.Module):
    """`ps_roi_align` as a module."""

    def __init__(self, output_size: int | Sequence[int], spatial_scale: float, sampling_ratio: int) -> None:
        super().__init__()
        self.output_size, self.spatial_scale, self.sampling_ratio = output_size, spatial_scale, sampling_ratio

    def forward(self, input: Tensor, rois: Boxes) -> Tensor:
        return ps_roi_align(input, rois, self.output_size, self.spatial_scale, self.sampling_ratio)

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, spatial_scale={self.spatial_scale}, sampling_ratio={self.sampling_ratio}"
        )
