"""Many pictures as one, and pictures as files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from flambeau import _api as torch
from flambeau.vision.transforms.functional import to_pil_image

Tensor = torch.Tensor


@torch.no_grad()
def make_grid(
    tensor: Tensor | Sequence[Tensor], nrow: int = 8, padding: int = 2, normalize: bool = False,
    value_range: tuple[float, float] | None = None, scale_each: bool = False, pad_value: float = 0.0,
) -> Tensor:  # fmt: skip
    """Pictures (N, C, H, W), or a list of (C, H, W), side by side, `nrow` a row, `padding` pixels of `pad_value` around
    each: a tensor (3 or C, height, width). `normalize` shifts values to [0, 1], from `value_range`, or from the least
    and the greatest value, of each picture if `scale_each`.

    Raises:
        TypeError: for what is no tensor or list of them.

    Example::

        >>> make_grid(torch.zeros(10, 1, 4, 4)).shape
        torch.Size([3, 14, 50])
    """
    pictures = _batch(tensor)
    if pictures.shape[1] == 1:
        pictures = torch.cat((pictures, pictures, pictures), 1)
    if normalize:
        if value_range is not None and not isinstance(value_range, tuple):
            raise TypeError("value_range has to be a tuple (min, max) if specified. min and max are numbers")
        parts = [_normalized(picture, value_range) for picture in pictures] if scale_each else None
        pictures = _normalized(pictures, value_range) if parts is None else torch.stack(parts)
    if pictures.shape[0] == 1:
        return pictures.squeeze(0)
    count, channels, height, width = pictures.shape
    across = min(nrow, count)
    down = math.ceil(count / across)
    height, width = height + padding, width + padding
    grid = pictures.new_full((channels, height * down + padding, width * across + padding), pad_value)
    for k, picture in enumerate(pictures):
        top, left = (k // across) * height + padding, (k % across) * width + padding
        grid[:, top : top + picture.shape[1], left : left + picture.shape[2]] = picture
    return grid


def _batch(tensor: Tensor | Sequence[Tensor]) -> Tensor:
    """One tensor (N, C, H, W)."""
    if not isinstance(tensor, Tensor):
        if not isinstance(tensor, list | tuple) or not all(isinstance(picture, Tensor) for picture in tensor):
            raise TypeError(f"tensor or list of tensors expected, got {type(tensor)}")
        return torch.stack(list(tensor), dim=0)
    return tensor[None] if tensor.dim() == 3 else tensor[None, None] if tensor.dim() == 2 else tensor


def _normalized(values: Tensor, value_range: tuple[float, float] | None) -> Tensor:
    low, high = (values.min().item(), values.max().item()) if value_range is None else value_range
    return values.clamp(min=low, max=high).sub(low).div(max(high - low, 1e-5))


def save_image(
    tensor: Tensor | Sequence[Tensor], fp: str | Path | BinaryIO, format: str | None = None, **kwargs: Any
) -> None:
    """The grid of pictures with values in [0, 1] as a file, of the kind that its name, or `format`, says; `kwargs` go
    to `make_grid`. Needs Pillow."""
    grid = make_grid(tensor, **kwargs)
    to_pil_image(grid.mul(255).add_(0.5).clamp_(0, 255).to(torch.uint8)).save(fp, format=format)
