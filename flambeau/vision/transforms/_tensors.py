"""The transforms of tensors (..., channels, height, width); bytes stay bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau import _api as torch
from flambeau.nn import functional as F
from flambeau.vision.transforms._geometry import Matrix, inverse_affine, rotated
from flambeau.vision.transforms._pictures import InterpolationMode

Tensor = torch.Tensor
LUMA = (0.2989, 0.587, 0.114)  # ITU-R BT.601


def resize(picture: Tensor, height: int, width: int, mode: InterpolationMode, antialias: bool) -> Tensor:
    if tuple(picture.shape[-2:]) == (height, width):
        return picture
    if mode.value not in ("nearest", "nearest-exact", "bilinear", "bicubic"):
        raise ValueError(f"tensors are resized by nearest, bilinear or bicubic, not by {mode}: use a PIL image")
    smooth = mode.value in ("bilinear", "bicubic")
    options: dict[str, Any] = {"align_corners": False, "antialias": bool(antialias)} if smooth else {}
    values = _floats(picture).reshape(-1, *picture.shape[-3:]) if picture.dim() != 4 else _floats(picture)
    scaled = F.interpolate(values, (height, width), mode=mode.value, **options)
    if mode is InterpolationMode.BICUBIC and picture.dtype == torch.uint8:
        scaled = scaled.clamp(0, 255)
    return _as(scaled.reshape(*picture.shape[:-2], height, width), picture.dtype)


def crop(picture: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    rows, columns = picture.shape[-2:]
    bottom, right = top + height, left + width
    inside = picture[..., max(top, 0) : max(min(bottom, rows), 0), max(left, 0) : max(min(right, columns), 0)]
    missing = [max(-left, 0), max(right - columns, 0), max(-top, 0), max(bottom - rows, 0)]
    return F.pad(inside, missing) if any(missing) else inside


def hflip(picture: Tensor) -> Tensor:
    return picture.flip(-1)


def vflip(picture: Tensor) -> Tensor:
    return picture.flip(-2)


def pad(picture: Tensor, sides: tuple[int, int, int, int], fill: Any, mode: str) -> Tensor:
    left, top, right, bottom = sides
    if mode == "symmetric":
        rows, columns = _mirrored(picture.shape[-2], top, bottom), _mirrored(picture.shape[-1], left, right)
        return picture[..., rows, :][..., columns]
    if mode != "constant":
        flat = _floats(picture).reshape(-1, *picture.shape[-3:])
        how = "replicate" if mode == "edge" else mode
        padded = F.pad(flat, (left, right, top, bottom), mode=how)
        return _as(padded.reshape(*picture.shape[:-2], *padded.shape[-2:]), picture.dtype)
    if isinstance(fill, int | float) or fill is None:
        return F.pad(picture, (left, right, top, bottom), value=fill or 0)
    shape = (*picture.shape[:-2], picture.shape[-2] + top + bottom, picture.shape[-1] + left + right)
    result = torch.empty(shape, dtype=picture.dtype)
    result[:] = torch.tensor(fill, dtype=picture.dtype).reshape(-1, 1, 1)
    result[..., top : top + picture.shape[-2], left : left + picture.shape[-1]] = picture
    return result


def rotate(picture: Tensor, angle: float, mode: InterpolationMode, expand: bool, center: Any, fill: Any) -> Tensor:
    height, width = picture.shape[-2:]
    about = (0.0, 0.0) if center is None else (center[0] - width * 0.5, center[1] - height * 0.5)
    matrix = inverse_affine(about, -angle, (0, 0), 1.0, (0, 0))  # Pillow's rotate turns the other way
    return _sampled(picture, matrix, rotated(height, width, matrix) if expand else (height, width), mode, fill)


def affine(
    picture: Tensor, angle: float, translate: Sequence[float], scale: float, shear: Sequence[float],
    mode: InterpolationMode, fill: Any, center: Sequence[float] | None,
) -> Tensor:  # fmt: skip
    height, width = picture.shape[-2:]
    about = (0.0, 0.0) if center is None else (center[0] - width * 0.5, center[1] - height * 0.5)
    return _sampled(picture, inverse_affine(about, angle, translate, scale, shear), (height, width), mode, fill)


def adjust_brightness(picture: Tensor, factor: float) -> Tensor:
    return _blend(picture, torch.zeros_like(picture), factor)


def adjust_contrast(picture: Tensor, factor: float) -> Tensor:
    gray = luma(picture) if picture.shape[-3] == 3 else picture
    return _blend(picture, _floats(gray).mean((-3, -2, -1), keepdim=True), factor)


def adjust_saturation(picture: Tensor, factor: float) -> Tensor:
    return picture if picture.shape[-3] == 1 else _blend(picture, luma(picture), factor)


def adjust_hue(picture: Tensor, factor: float) -> Tensor:
    if picture.shape[-3] == 1:
        return picture
    values = picture if picture.is_floating_point() else picture.to(torch.float32) / 255
    hue, saturation, value = _to_hsv(values)
    turned = _to_rgb((hue + factor) % 1.0, saturation, value)
    return turned if picture.is_floating_point() else turned.mul(256 - 1e-3).to(picture.dtype)


def luma(picture: Tensor) -> Tensor:
    """The brightness (..., 1, height, width) of red, green and blue."""
    red, green, blue = picture.unbind(-3)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue).to(picture.dtype).unsqueeze(-3)


def grayscale(picture: Tensor, channels: int) -> Tensor:
    gray = luma(picture) if picture.shape[-3] == 3 else picture
    return gray if channels == 1 else gray.expand(*picture.shape[:-3], channels, *picture.shape[-2:])


def invert(picture: Tensor) -> Tensor:
    return _bound(picture) - picture


def gaussian_blur(picture: Tensor, kernel_size: Sequence[int], sigma: Sequence[float]) -> Tensor:
    """The picture, mirrored at its edges, under a Gaussian of `kernel_size` and `sigma`, each (width, height)."""
    across, down = (_gaussian(n, s).to(_floats(picture).dtype) for n, s in zip(kernel_size, sigma, strict=True))
    channels = picture.shape[-3]
    kernel = torch.mm(down[:, None], across[None, :]).expand(channels, 1, len(down), len(across))
    flat = _floats(picture).reshape(-1, *picture.shape[-3:])
    x, y = len(across) // 2, len(down) // 2
    blurred = F.conv2d(F.pad(flat, (x, x, y, y), mode="reflect"), kernel, groups=channels)
    return _as(blurred.reshape(picture.shape), picture.dtype)


# ------------------------------------------------------------------------------------ parts


def _floats(picture: Tensor) -> Tensor:
    return picture if picture.is_floating_point() else picture.to(torch.float32)


def _as(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Values as `dtype`, rounded if it is one of whole numbers."""
    return values.to(dtype) if dtype.is_floating_point else values.round().to(dtype)


def _bound(picture: Tensor) -> float:
    """The brightest value of the dtype."""
    return 1.0 if picture.is_floating_point() else torch.iinfo(picture.dtype).max


def _blend(picture: Tensor, other: Tensor, ratio: float) -> Tensor:
    ratio = float(ratio)
    return (ratio * picture + (1.0 - ratio) * other).clamp(0, _bound(picture)).to(picture.dtype)


def _mirrored(length: int, before: int, after: int) -> Tensor:
    """Indices that repeat a line with its mirror images, edges included."""
    place = torch.arange(-before, length + after) % (2 * length)
    return torch.where(place < length, place, 2 * length - 1 - place)


def _gaussian(size: int, sigma: float) -> Tensor:
    half = (size - 1) * 0.5
    weights = torch.exp(-0.5 * (torch.linspace(-half, half, size) / sigma) ** 2)
    return weights / weights.sum()


def _sampled(picture: Tensor, matrix: Matrix, size: tuple[int, int], mode: InterpolationMode, fill: Any) -> Tensor:
    """The picture looked at through a map about its middle, in pixels; `fill` where there is nothing."""
    if mode not in (InterpolationMode.NEAREST, InterpolationMode.BILINEAR):
        raise ValueError(f"tensors are turned by nearest or bilinear interpolation, not by {mode}")
    values = _floats(picture).reshape(-1, *picture.shape[-3:])
    x = torch.arange(size[1], dtype=values.dtype) + (0.5 - size[1] * 0.5)
    y = (torch.arange(size[0], dtype=values.dtype) + (0.5 - size[0] * 0.5)).unsqueeze(1)
    across = (matrix[0] * x + matrix[1] * y + matrix[2]) / (0.5 * picture.shape[-1])
    down = (matrix[3] * x + matrix[4] * y + matrix[5]) / (0.5 * picture.shape[-2])
    grid = torch.stack((across, down), -1).expand(len(values), *size, 2)
    if fill is not None:  # the coverage is sampled along with the channels
        values = torch.cat((values, torch.ones_like(values[:, :1])), 1)
    seen = F.grid_sample(values, grid, mode=mode.value, padding_mode="zeros", align_corners=False)
    if fill is not None:
        colours = [fill] if isinstance(fill, int | float) else list(fill)
        seen, covered = seen[:, :-1], seen[:, -1:]
        colour = torch.tensor(colours, dtype=seen.dtype).reshape(1, -1, 1, 1)
        nearest = mode is InterpolationMode.NEAREST
        seen = torch.where(covered < 0.5, colour, seen) if nearest else seen * covered + (1.0 - covered) * colour
    return _as(seen.reshape(*picture.shape[:-2], *size), picture.dtype)


def _to_hsv(picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hue, saturation and value in [0, 1] (Foley and van Dam)."""
    red, green, blue = picture.unbind(-3)
    value, least = picture.amax(-3), picture.amin(-3)
    spread = value - least
    gray = spread == 0
    divisor = torch.where(gray, torch.ones_like(spread), spread)
    r, g, b = ((value - colour) / divisor for colour in (red, green, blue))
    sector = torch.where(value == red, b - g, torch.where(value == green, 2.0 + r - b, 4.0 + g - r))
    saturation = spread / torch.where(gray, torch.ones_like(value), value)
    return (sector / 6.0 + 1.0) % 1.0, saturation, value


def _to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Each colour is the value less what the hue's distance from it takes away."""
    channels = []
    for sector in (5, 3, 1):
        k = (sector + hue * 6.0) % 6.0
        channels.append(value - value * saturation * torch.minimum(k, 4.0 - k).clamp(0.0, 1.0))
    return torch.stack(channels, -3)
