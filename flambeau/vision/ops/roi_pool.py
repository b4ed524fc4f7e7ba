"""RoIPool: Girshick 2015, https://arxiv.org/abs/1504.08083."""

from __future__ import annotations

from collections.abc import Sequence

from flambeau import _api as torch
from flambeau import nn
from flambeau.vision.ops._regions import Boxes, bin_counts, bounds, most, regions, rounded

Tensor = torch.Tensor


def roi_pool(input: Tensor, boxes: Boxes, output_size: int | Sequence[int], spatial_scale: float = 1.0) -> Tensor:
    """The regions `boxes` of `input` (N, C, H, W), each brought to `output_size` (height, width) by the greatest value
    of each bin: (K, C, height, width). Corners are rounded to whole pixels, and both belong to the region; a bin
    outside the picture is 0.

    `boxes` is (K, 5), whose columns are the index of a picture, x1, y1, x2, y2, or a list of (L, 4), one for each
    picture; times `spatial_scale` they are pixels of `input`. Of equal values the first has the gradient.

    Raises:
        AssertionError: for boxes of another shape.

    Example::

        >>> picture = torch.arange(16.0).reshape(1, 1, 4, 4)
        >>> roi_pool(picture, [torch.tensor([[0.0, 0.0, 3.0, 3.0]])], 2)
        tensor([[[[ 5.,  7.],
                  [13., 15.]]]])
    """
    images, corners = regions(input, boxes)
    height, width = bin_counts(output_size)
    corners = rounded(corners * spatial_scale)
    start, length = corners[:, :2], (corners[:, 2:] - corners[:, :2] + 1).clamp(min=1)
    rows, has_row = _pixels(*bounds(start[:, 1], length[:, 1], height, input.shape[2]))
    columns, has_column = _pixels(*bounds(start[:, 0], length[:, 0], width, input.shape[3]))
    picture = images[:, None, None, None, None]
    values = input.permute(0, 2, 3, 1)[picture, rows[:, :, None, :, None], columns[:, None, :, None, :]]
    inside = has_row[:, :, None, :, None] & has_column[:, None, :, None, :]
    best = torch.where(inside[..., None], values, -torch.inf).flatten(3, 4).max(3).values
    return torch.where(inside.flatten(3).any(3)[..., None], best, 0.0).permute(0, 3, 1, 2)


def _pixels(first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """The pixels of bins (K, bins) that are not equally long: (K, bins, the most), and which of them there are."""
    pixels = first[..., None] + torch.arange(most(last - first))
    inside = pixels < last[..., None]
    return torch.where(inside, pixels, 0), inside


class RoIPool(nn.Module):
    """`roi_pool` as a module."""

    def __init__(self, output_size: int | Sequence[int], spatial_scale: float) -> None:
        super().__init__()
        self.output_size, self.spatial_scale = output_size, spatial_scale

    def forward(self, input: Tensor, rois: Boxes) -> Tensor:
        return roi_pool(input, rois, self.output_size, self.spatial_scale)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, spatial_scale={self.spatial_scale}"
