"""What counts as a picture: Pillow's images, and tensors (..., channels, height, width)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import Enum
from typing import Any

from flambeau import _api as torch
from flambeau._core import extras


class InterpolationMode(Enum):
    """How values between pixels are found."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"

    def __str__(self) -> str:
        return self.value


PILLOW_CODES = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}


def interpolation_mode(mode: InterpolationMode | int) -> InterpolationMode:
    """`mode`, which may be one of Pillow's numbers."""
    return InterpolationMode(PILLOW_CODES[mode]) if isinstance(mode, int) else mode


def pillow(part: str) -> Any:
    """A module of Pillow: "Image", "ImageOps"."""
    return extras.require(f"PIL.{part}", "pillow", "flambeau.vision", "vision")


def is_pil(picture: Any) -> bool:
    """Is it one of Pillow's images? If Pillow was never imported, it is not."""
    image = sys.modules.get("PIL.Image")
    return image is not None and isinstance(picture, image.Image)


def is_picture(thing: Any) -> bool:
    return isinstance(thing, torch.Tensor) or is_pil(thing)


def dimensions(picture: Any) -> tuple[int, int, int]:
    """(channels, height, width); TypeError for what is no picture."""
    if is_pil(picture):
        return len(picture.getbands()), picture.height, picture.width
    if isinstance(picture, torch.Tensor) and picture.dim() >= 2:
        return (picture.shape[-3] if picture.dim() > 2 else 1), picture.shape[-2], picture.shape[-1]
    what = f"a tensor of shape {tuple(picture.shape)}" if isinstance(picture, torch.Tensor) else type(picture).__name__
    raise TypeError(f"expected a PIL image or a tensor (..., channels, height, width), got {what}")


def pictures_of(sample: Any) -> list[Any]:
    """The pictures in a nesting of lists, tuples and dicts: Pillow's images if there are any, else the first tensor;
    tensors beside a picture are labels."""
    found = [thing for thing in _leaves(sample) if is_picture(thing)]
    return [thing for thing in found if is_pil(thing)] or found[:1]


def replaced(sample: Any, old: list[Any], function: Callable[[Any], Any]) -> Any:
    """The nesting with `function` of each thing in `old`."""
    if isinstance(sample, dict):
        return type(sample)((key, replaced(value, old, function)) for key, value in sample.items())
    if isinstance(sample, list | tuple):
        parts = [replaced(value, old, function) for value in sample]
        return type(sample)(*parts) if hasattr(sample, "_fields") else type(sample)(parts)
    return function(sample) if any(sample is thing for thing in old) else sample


def _leaves(sample: Any) -> list[Any]:
    if isinstance(sample, dict):
        sample = list(sample.values())
    if isinstance(sample, list | tuple):
        return [leaf for part in sample for leaf in _leaves(part)]
    return [sample]
