"""RoIAlign: He et al. 2017, https://arxiv.org/abs/1703.06870."""

from __future__ import annotations

from collections.abc import Sequence

from flambeau import _api as torch
from flambeau import nn
from flambeau.vision.ops._regions import Boxes, bin_counts, by_picture, pooled, regions, sampled

Tensor = torch.Tensor


def roi_align(
    input: Tensor, boxes: Boxes, output_size: int | Sequence[int], spatial_scale: float = 1.0, sampling_ratio: int = -1,
    aligned: bool = False,
) -> Tensor:  # fmt: skip
    """The regions `boxes` of `input` (N, C, H, W), each brought to `output_size` (height, width) by averaging bilinear
    samples: (K, C, height, width).

    `boxes` is (K, 5), whose columns are the index of a picture, x1, y1, x2, y2, or a list of (L, 4), one for each
    picture; times `spatial_scale` they are pixels of `input`. Each bin is sampled at `sampling_ratio` points along each
    axis, or, where that is not positive, at as many as it is pixels long, rounded up. `aligned` takes the centres of
    pixels for their places, half a pixel from the corners that the older convention takes; without it a region is at
    least one pixel wide. The gradient goes to `input`, not to `boxes`.

    Raises:
        AssertionError: for boxes of another shape.

    Example::

        >>> picture = torch.arange(16.0).reshape(1, 1, 4, 4)
        >>> roi_align(picture, [torch.tensor([[0.0, 0.0, 4.0, 4.0]])], 2, aligned=True)
        tensor([[[[ 2.5000,  4.5000],
                  [10.5000, 12.5000]]]])
    """
    images, corners = regions(input, boxes)
    height, width = bin_counts(output_size)
    corners = corners * spatial_scale - (0.5 if aligned else 0.0)
    start, length = corners[:, :2], corners[:, 2:] - corners[:, :2]
    if not aligned:
        length = length.clamp(min=1.0)
    rows = sampled(start[:, 1], length[:, 1], height, input.shape[2], sampling_ratio)
    columns = sampled(start[:, 0], length[:, 0], width, input.shape[3], sampling_ratio)
    return by_picture(input, images, rows, columns, pooled)


class RoIAlign(nn.Module):
    """`roi_align` as a module."""

    def __init__(
        self, output_size: int | Sequence[int], spatial_scale: float, sampling_ratio: int, aligned: bool = False
    ) -> None:
        super().__init__()
        self.output_size, self.spatial_scale = output_size, spatial_scale
        self.sampling_ratio, self.aligned = sampling_ratio, aligned

    def forward(self, input: Tensor, rois: Boxes) -> Tensor:
        return roi_align(input, rois, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned)

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, spatial_scale={self.spatial_scale}, "
            f"sampling_ratio={self.sampling_ratio}, aligned={self.aligned}"
        )
