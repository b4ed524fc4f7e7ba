"""The transforms of Pillow's images, by Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module
from flambeau.vision.transforms._geometry import Matrix, inverse_affine
from flambeau.vision.transforms._pictures import InterpolationMode, pillow

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


def resize(picture: Any, height: int, width: int, mode: InterpolationMode, antialias: bool) -> Any:
    return picture.resize((width, height), _code(mode))


def crop(picture: Any, top: int, left: int, height: int, width: int) -> Any:
    return picture.crop((left, top, left + width, top + height))


def hflip(picture: Any) -> Any:
    return picture.transpose(pillow("Image").Transpose.FLIP_LEFT_RIGHT)


def vflip(picture: Any) -> Any:
    return picture.transpose(pillow("Image").Transpose.FLIP_TOP_BOTTOM)


def pad(picture: Any, sides: tuple[int, int, int, int], fill: Any, mode: str) -> Any:
    left, top, right, bottom = sides
    if mode == "constant":
        return pillow("ImageOps").expand(picture, sides, _fill(picture, fill))
    values = np.asarray(picture)
    widths = [(top, bottom), (left, right)] + [(0, 0)] * (values.ndim - 2)
    padded = np.pad(values, widths, mode)  # type: ignore[call-overload]
    return pillow("Image").fromarray(padded)


def rotate(picture: Any, angle: float, mode: InterpolationMode, expand: bool, center: Any, fill: Any) -> Any:
    return picture.rotate(angle, _code(mode), expand, center, fillcolor=_fill(picture, fill))


def affine(
    picture: Any, angle: float, translate: Sequence[float], scale: float, shear: Sequence[float],
    mode: InterpolationMode, fill: Any, center: Sequence[float] | None,
) -> Any:  # fmt: skip
    middle = (picture.width * 0.5, picture.height * 0.5) if center is None else center
    matrix: Matrix = inverse_affine(middle, angle, translate, scale, shear)
    way = pillow("Image").Transform.AFFINE
    return picture.transform(picture.size, way, matrix, _code(mode), fillcolor=_fill(picture, fill))


def adjust_brightness(picture: Any, factor: float) -> Any:
    return pillow("ImageEnhance").Brightness(picture).enhance(factor)


def adjust_contrast(picture: Any, factor: float) -> Any:
    return pillow("ImageEnhance").Contrast(picture).enhance(factor)


def adjust_saturation(picture: Any, factor: float) -> Any:
    return pillow("ImageEnhance").Color(picture).enhance(factor)


def adjust_hue(picture: Any, factor: float) -> Any:
    if picture.mode in ("L", "1", "I", "F"):
        return picture
    hue, saturation, value = picture.convert("HSV").split()
    turned = np.asarray(hue) + np.int32(factor * 255).astype(np.uint8)  # bytes run over: the hue is a circle
    hue = pillow("Image").fromarray(turned.astype(np.uint8))
    return pillow("Image").merge("HSV", (hue, saturation, value)).convert(picture.mode)


def grayscale(picture: Any, channels: int) -> Any:
    gray = picture.convert("L")
    return gray if channels == 1 else pillow("Image").merge("RGB", (gray, gray, gray))


def invert(picture: Any) -> Any:
    return pillow("ImageOps").invert(picture)


def _code(mode: InterpolationMode) -> Any:
    name = "NEAREST" if mode is InterpolationMode.NEAREST_EXACT else mode.name
    return getattr(pillow("Image").Resampling, name)


def _fill(picture: Any, fill: Any) -> Any:
    """The colour as Pillow wants it: a number a band."""
    bands = len(picture.getbands())
    if fill is None:
        fill = 0
    if isinstance(fill, int | float):
        fill = [fill] * bands
    values = tuple(fill) if picture.mode == "F" else tuple(int(v) for v in fill)
    if len(values) not in (1, bands):
        raise ValueError(f"the number of elements in 'fill' ({len(values)}) does not match the image's bands ({bands})")
    return values[0] if bands == 1 else values * (bands // len(values))
