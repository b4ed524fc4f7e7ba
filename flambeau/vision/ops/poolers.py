"""RoIAlign from the level of a pyramid that suits the size of a region: Lin et al. 2017,
https://arxiv.org/abs/1612.03144."""

from __future__ import annotations

import math
from collections.abc import Sequence

from flambeau import _api as torch
from flambeau import nn
from flambeau.vision.ops._regions import bin_counts, regions
from flambeau.vision.ops.boxes import box_area
from flambeau.vision.ops.roi_align import roi_align

Tensor = torch.Tensor


class LevelMapper:
    """The level, counted from `k_min`, for each box: `canonical_level` for one whose sides are `canonical_scale`, one
    more where they are twice as long; no less than `k_min`, no more than `k_max`. Equation 1 of the paper."""

    def __init__(
        self, k_min: int, k_max: int, canonical_scale: int = 224, canonical_level: int = 4, eps: float = 1e-6
    ) -> None:
        self.k_min, self.k_max, self.s0, self.lvl0, self.eps = k_min, k_max, canonical_scale, canonical_level, eps

    def __call__(self, boxlists: Sequence[Tensor]) -> Tensor:
        side = torch.sqrt(torch.cat([box_area(boxes) for boxes in boxlists]))
        level = torch.floor(self.lvl0 + torch.log2(side / self.s0) + self.eps)
        return level.clamp(min=self.k_min, max=self.k_max).long() - self.k_min


class MultiScaleRoIAlign(nn.Module):
    """`roi_align` of regions from maps of several sizes, the smaller the region, the finer the map.

    `forward(x, boxes, image_shapes)` takes the maps (N, C, H, W) by name, leaving aside those not in `featmap_names`;
    the boxes (L, 4) of each picture, in its own pixels; and the sizes (height, width) of the pictures, from which the
    scales of the maps follow, as powers of two, at the first call. It gives (K, C, height, width) of `output_size`.
    `canonical_level` is the level, counted in halvings of the picture, for regions of `canonical_scale` pixels.

    Raises:
        ValueError: if there are no sizes of pictures.

    Example::

        >>> pool = MultiScaleRoIAlign(["fine", "coarse"], 3, 2)
        >>> maps = {"fine": torch.ones(1, 5, 64, 64), "coarse": torch.ones(1, 5, 16, 16)}
        >>> pool(maps, [torch.tensor([[0.0, 0.0, 30.0, 30.0], [9.0, 9.0, 400.0, 500.0]])], [(512, 512)]).shape
        torch.Size([2, 5, 3, 3])
    """

    def __init__(
        self, featmap_names: Sequence[str], output_size: int | Sequence[int], sampling_ratio: int, *,
        canonical_scale: int = 224, canonical_level: int = 4,
    ) -> None:  # fmt: skip
        super().__init__()
        self.featmap_names, self.output_size = featmap_names, bin_counts(output_size)
        self.sampling_ratio = sampling_ratio
        self.scales: list[float] | None = None
        self.map_levels: LevelMapper | None = None
        self.canonical_scale, self.canonical_level = canonical_scale, canonical_level

    def forward(self, x: dict[str, Tensor], boxes: Sequence[Tensor], image_shapes: Sequence[tuple[int, int]]) -> Tensor:
        maps = [values for name, values in x.items() if name in self.featmap_names]
        if self.scales is None or self.map_levels is None:
            self.scales, self.map_levels = self._levels(maps, image_shapes)
        images, corners = regions(maps[0], boxes)
        rois = torch.cat((images[:, None].to(corners.dtype), corners), 1)
        levels = self.map_levels(boxes) if len(maps) > 1 else torch.zeros_like(images)
        result = maps[0].new_zeros(len(rois), maps[0].shape[1], *self.output_size)
        for level, (values, scale) in enumerate(zip(maps, self.scales, strict=True)):
            mine = torch.where(levels == level)[0]  # a level without a map, after a gap, is left at zero
            pooled = roi_align(values, rois[mine], self.output_size, scale, self.sampling_ratio)
            result = result.index_copy(0, mine, pooled.to(result.dtype))
        return result

    def _levels(
        self, maps: Sequence[Tensor], image_shapes: Sequence[tuple[int, int]]
    ) -> tuple[list[float], LevelMapper]:
        """The scale of each map, and the levels of the first and the last."""
        if not image_shapes:
            raise ValueError("images list should not be empty")
        height = max(shape[0] for shape in image_shapes)
        powers = [round(math.log2(values.shape[-2] / height)) for values in maps]
        levels = LevelMapper(-powers[0], -powers[-1], self.canonical_scale, self.canonical_level)
        return [2.0**power for power in powers], levels

    def extra_repr(self) -> str:
        return (
            f"featmap_names={self.featmap_names}, output_size={self.output_size}, sampling_ratio={self.sampling_ratio}"
        )
