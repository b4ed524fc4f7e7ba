"""What pictures go through before they are shown to a published model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau import _api as torch
from flambeau import nn
from flambeau.vision.transforms import functional as F
from flambeau.vision.transforms._pictures import InterpolationMode, is_pil


class ImageClassification(nn.Module):
    """Resize the shorter side, crop the middle, scale to [0, 1], normalise with ImageNet's mean and deviation."""

    def __init__(
        self, *, crop_size: int, resize_size: int = 256, mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225), interpolation: InterpolationMode = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.crop_size, self.resize_size, self.mean, self.std = [crop_size], [resize_size], list(mean), list(std)
        self.interpolation, self.antialias = interpolation, antialias

    def forward(self, img: Any) -> Any:
        img = F.resize(img, self.resize_size, self.interpolation, antialias=self.antialias)
        img = F.center_crop(img, self.crop_size)
        img = F.pil_to_tensor(img) if is_pil(img) else img
        return F.normalize(F.convert_image_dtype(img, torch.float32), self.mean, self.std)
