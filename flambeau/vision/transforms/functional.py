"""Transforms as functions of one picture: an image of Pillow's, or a tensor (..., channels, height, width)."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau import _api as torch
from flambeau._core.errors import explain
from flambeau._core.lazy import lazy_module
from flambeau.vision.transforms import _pil, _tensors
from flambeau.vision.transforms._geometry import four, resized
from flambeau.vision.transforms._pictures import (
    InterpolationMode,
    dimensions,
    interpolation_mode,
    is_pil,
    pillow,
)

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

Tensor = torch.Tensor


def _for(picture: Any) -> Any:
    """The module whose functions work on this kind of picture; TypeError for what is no picture."""
    dimensions(picture)
    return _pil if is_pil(picture) else _tensors


def get_dimensions(img: Any) -> list[int]:
    """[channels, height, width] of a picture.

    Example::

        >>> get_dimensions(torch.zeros(3, 4, 5))
        [3, 4, 5]
    """
    return list(dimensions(img))


def get_image_size(img: Any) -> list[int]:
    """[width, height] of a picture.

    Example::

        >>> get_image_size(torch.zeros(3, 4, 5))
        [5, 4]
    """
    _, height, width = dimensions(img)
    return [width, height]


def get_image_num_channels(img: Any) -> int:
    """The number of channels of a picture.

    Example::

        >>> get_image_num_channels(torch.zeros(3, 4, 5))
        3
    """
    return dimensions(img)[0]


# ------------------------------------------------------------------------------------ from and to tensors


def pil_to_tensor(pic: Any) -> Tensor:
    """Pillow's image as a tensor (channels, height, width) of its own values. TypeError for anything else."""
    if not is_pil(pic):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    values = np.array(pic, copy=True)
    if pic.mode == "1":
        values = values.astype(np.uint8) * 255
    return torch.as_tensor(values.reshape(pic.height, pic.width, -1)).permute(2, 0, 1)


def to_tensor(pic: Any) -> Tensor:
    """A picture, or an array (height, width[, channels]), as a tensor (channels, height, width); bytes become float32
    in [0, 1].

    Example::

        >>> to_tensor(np.full((1, 2, 3), 255, np.uint8)).shape
        torch.Size([3, 1, 2])
    """
    if isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        values = torch.from_numpy((pic[:, :, None] if pic.ndim == 2 else pic).transpose(2, 0, 1)).contiguous()
    elif is_pil(pic):
        values = pil_to_tensor(pic).contiguous()
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    return values.to(torch.get_default_dtype()).div(255) if values.dtype == torch.uint8 else values


def to_image(inpt: Any) -> Tensor:
    """A picture or an array as a tensor (channels, height, width) of the same values."""
    if isinstance(inpt, np.ndarray):
        return torch.from_numpy(np.atleast_3d(inpt)).permute(2, 0, 1).contiguous()
    return inpt if isinstance(inpt, Tensor) else pil_to_tensor(inpt)


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A tensor (channels, height, width) or an array (height, width, channels) as an image of Pillow's; floating-point
    tensors are scaled from [0, 1] to bytes."""
    if isinstance(pic, Tensor):
        if pic.dim() not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.dim()} dimensions.")
        values = pic.unsqueeze(0) if pic.dim() == 2 else pic
        values = values.mul(255).byte() if values.is_floating_point() and mode != "F" else values
        array = values.permute(1, 2, 0).numpy()
    elif isinstance(pic, np.ndarray):
        array = pic[:, :, None] if pic.ndim == 2 else pic
    else:
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    channels = array.shape[2]
    if channels > 4:
        raise ValueError(f"pic should not have > 4 channels. Got {channels} channels.")
    if channels == 1:
        image = pillow("Image").fromarray(np.ascontiguousarray(array[:, :, 0]))
    else:
        image = pillow("Image").fromarray(np.ascontiguousarray(array))
    return image if mode is None or image.mode == mode else image.convert(mode)


def convert_image_dtype(image: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The picture as `dtype`, scaled so that the brightest value of one dtype is the brightest of the other: 1 of
    floating-point numbers, the greatest of whole ones.

    Example::

        >>> convert_image_dtype(torch.tensor([0, 255], dtype=torch.uint8))
        tensor([0., 1.])
    """
    if image.dtype == dtype:
        return image
    if image.is_floating_point():
        if dtype.is_floating_point:
            return image.to(dtype)
        greatest = torch.iinfo(dtype).max
        return image.mul(greatest + 1.0 - 1e-3).to(dtype)
    greatest = torch.iinfo(image.dtype).max
    if dtype.is_floating_point:
        return image.to(dtype) / greatest
    wanted = torch.iinfo(dtype).max
    if greatest > wanted:
        return torch.div(image, (greatest + 1) // (wanted + 1), rounding_mode="floor").to(dtype)
    return image.to(dtype) * ((wanted + 1) // (greatest + 1))


def to_dtype(inpt: Tensor, dtype: torch.dtype = torch.float32, scale: bool = False) -> Tensor:
    """The picture as `dtype`, scaled as `convert_image_dtype` does if `scale`."""
    return convert_image_dtype(inpt, dtype) if scale else inpt.to(dtype)


def normalize(tensor: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> Tensor:
    """(tensor - mean) / std a channel, in place if `inplace`. TypeError for whole numbers, ValueError for std 0.

    Example::

        >>> normalize(torch.ones(1, 1, 2), [0.5], [0.25])
        tensor([[[2., 2.]]])
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    if not tensor.is_floating_point():
        fact = f"Input tensor should be a float tensor. Got {tensor.dtype}."
        raise TypeError(explain(fact, hint="use ToTensor(), or ToDtype(torch.float32, scale=True), before Normalize"))
    if tensor.dim() < 3:
        raise ValueError(f"Expected tensor to be a tensor image of size (..., C, H, W). Got {tuple(tensor.shape)}")
    centre, spread = (torch.as_tensor(v, dtype=tensor.dtype).reshape(-1, 1, 1) for v in (mean, std))
    if (spread == 0).any():
        raise ValueError(f"std evaluated to zero after conversion to {tensor.dtype}, leading to division by zero.")
    return tensor.sub_(centre).div_(spread) if inplace else tensor.sub(centre).div_(spread)


# ------------------------------------------------------------------------------------ geometry


def resize(
    img: Any, size: int | Sequence[int] | None, interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
    max_size: int | None = None, antialias: bool | None = True,
) -> Any:  # fmt: skip
    """The picture of `size` (height, width); one number is the length of the shorter side, and `max_size` bounds the
    longer."""
    _, height, width = dimensions(img)
    new = resized(height, width, size, max_size)
    mode = interpolation_mode(interpolation)
    return img if new == (height, width) else _for(img).resize(img, *new, mode, bool(antialias))


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """The part of the picture at (top, left); zeros where it reaches beyond.

    Example::

        >>> crop(torch.arange(4.0).reshape(1, 2, 2), 1, 1, 2, 2)
        tensor([[[3., 0.],
                 [0., 0.]]])
    """
    return _for(img).crop(img, top, left, height, width)


def center_crop(img: Any, output_size: int | Sequence[int]) -> Any:
    """The middle of the picture, padded with zeros if it is smaller."""
    rows, columns = pair(output_size)
    _, height, width = dimensions(img)
    if rows > height or columns > width:
        more_x, more_y = max(columns - width, 0), max(rows - height, 0)
        img = pad(img, [more_x // 2, more_y // 2, (more_x + 1) // 2, (more_y + 1) // 2])
        _, height, width = dimensions(img)
    return crop(img, int(round((height - rows) / 2.0)), int(round((width - columns) / 2.0)), rows, columns)


def five_crop(img: Any, size: int | Sequence[int]) -> tuple[Any, ...]:
    """The four corners, top left to bottom right, and the middle. ValueError if the picture is smaller."""
    rows, columns = pair(size)
    _, height, width = dimensions(img)
    if columns > width or rows > height:
        raise ValueError(f"Requested crop size {(rows, columns)} is bigger than input size {(height, width)}")
    corners = [(0, 0), (0, width - columns), (height - rows, 0), (height - rows, width - columns)]
    return (*(crop(img, top, left, rows, columns) for top, left in corners), center_crop(img, [rows, columns]))


def ten_crop(img: Any, size: int | Sequence[int], vertical_flip: bool = False) -> tuple[Any, ...]:
    """`five_crop` of the picture and of its mirror image."""
    return five_crop(img, size) + five_crop(vflip(img) if vertical_flip else hflip(img), size)


def resized_crop(
    img: Any, top: int, left: int, height: int, width: int, size: int | Sequence[int],
    interpolation: InterpolationMode = InterpolationMode.BILINEAR, antialias: bool | None = True,
) -> Any:  # fmt: skip
    """A part of the picture, resized."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def pad(img: Any, padding: int | Sequence[int], fill: Any = 0, padding_mode: str = "constant") -> Any:
    """More at the edges: `padding` for all of them, (x, y) or (left, top, right, bottom); `padding_mode` is "constant"
    (with `fill`, a number or one a channel), "edge", "reflect" or "symmetric".

    Example::

        >>> pad(torch.ones(1, 1, 1), 1)
        tensor([[[0., 0., 0.],
                 [0., 1., 0.],
                 [0., 0., 0.]]])
    """
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    return _for(img).pad(img, four(padding), fill, padding_mode)


def hflip(img: Any) -> Any:
    """The picture, left for right."""
    return _for(img).hflip(img)


def vflip(img: Any) -> Any:
    """The picture, upside down."""
    return _for(img).vflip(img)


def rotate(
    img: Any, angle: float, interpolation: InterpolationMode | int = InterpolationMode.NEAREST, expand: bool = False,
    center: Sequence[float] | None = None, fill: Any = None,
) -> Any:  # fmt: skip
    """The picture turned by `angle` degrees counter-clockwise about `center` (x, y), its middle by default."""
    return _for(img).rotate(img, angle, interpolation_mode(interpolation), expand, center, fill)


def affine(
    img: Any, angle: float, translate: Sequence[float], scale: float, shear: float | Sequence[float],
    interpolation: InterpolationMode | int = InterpolationMode.NEAREST, fill: Any = None,
    center: Sequence[float] | None = None,
) -> Any:  # fmt: skip
    """The picture sheared by `shear` degrees, scaled, turned by `angle` degrees clockwise and moved by `translate`
    pixels."""
    shears = [float(shear), 0.0] if isinstance(shear, numbers.Number) else list(shear)  # type: ignore[arg-type]
    shears = shears * 2 if len(shears) == 1 else shears
    mode = interpolation_mode(interpolation)
    return _for(img).affine(img, angle, translate, scale, shears, mode, fill, center)


def erase(img: Tensor, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Tensor:
    """The picture with `v` in the rectangle of h x w at (i, j)."""
    result = img if inplace else img.clone()
    result[..., i : i + h, j : j + w] = v
    return result


# ------------------------------------------------------------------------------------ colours


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """The picture so many times as bright: 0 is black. ValueError for a negative factor."""
    return _for(img).adjust_brightness(img, _not_negative("brightness_factor", brightness_factor))


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """The picture with so many times the contrast: 0 is gray. ValueError for a negative factor."""
    return _for(img).adjust_contrast(img, _not_negative("contrast_factor", contrast_factor))


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """The picture with so many times the colour: 0 is black and white. ValueError for a negative factor."""
    return _for(img).adjust_saturation(img, _not_negative("saturation_factor", saturation_factor))


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """The picture with its colours moved round the circle by `hue_factor`, -0.5 to 0.5. ValueError beyond."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    return _for(img).adjust_hue(img, hue_factor)


def to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """The picture without colour, in 1 or 3 channels."""
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    return _for(img).grayscale(img, num_output_channels)


rgb_to_grayscale = to_grayscale


def invert(img: Any) -> Any:
    """The negative."""
    return _for(img).invert(img)


def gaussian_blur(img: Any, kernel_size: int | Sequence[int], sigma: Any = None) -> Any:
    """The picture out of focus: a Gaussian of `kernel_size` (x, y), odd numbers, and `sigma` (x, y), by default
    0.15 kernel_size + 0.35."""
    sizes = [kernel_size] * 2 if isinstance(kernel_size, int) else [*kernel_size] * (2 // len(kernel_size))
    if any(size % 2 == 0 or size < 0 for size in sizes):
        raise ValueError(f"kernel_size should have odd and positive integers. Got {sizes}")
    if sigma is None:
        sigma = [size * 0.15 + 0.35 for size in sizes]
    sigmas = [float(sigma)] * 2 if isinstance(sigma, int | float) else [*sigma] * (2 // len(sigma))
    if any(s <= 0 for s in sigmas):
        raise ValueError(f"sigma should have positive values. Got {sigmas}")
    values = pil_to_tensor(img) if is_pil(img) else img
    blurred = _tensors.gaussian_blur(values, sizes, sigmas)
    return to_pil_image(blurred, img.mode) if is_pil(img) else blurred


def pair(size: int | Sequence[int]) -> tuple[int, int]:
    """(height, width) of one number for both, or of two."""
    sizes = [size] * 2 if isinstance(size, int) else [*size] * (2 // len(size))
    if len(sizes) != 2:
        raise ValueError(f"expected a number or a pair (height, width), got {size}")
    return int(sizes[0]), int(sizes[1])


def _not_negative(name: str, factor: float) -> float:
    if factor < 0:
        raise ValueError(f"{name} ({factor}) is not non-negative.")
    return factor
