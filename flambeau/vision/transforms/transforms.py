"""Transforms as objects. Random ones draw from PyTorch's generator, in torchvision's order: the same seed gives the
same pictures.

A transform is given a picture, or several things, or a nesting of them: pictures are transformed, all in the same way,
and labels are left alone. So the same classes serve `torchvision.transforms` and `torchvision.transforms.v2`.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from flambeau import _api as torch
from flambeau import nn
from flambeau.vision.transforms import functional as F
from flambeau.vision.transforms._pictures import (
    InterpolationMode,
    dimensions,
    interpolation_mode,
    pictures_of,
    replaced,
)

BILINEAR, NEAREST = InterpolationMode.BILINEAR, InterpolationMode.NEAREST


class Transform(nn.Module):
    """The base of transforms: `make_params` draws what is random, once for all pictures of a sample, and `transform`
    makes a new picture of one. `shown` names the attributes that are printed."""

    shown: ClassVar[tuple[str, ...]] = ()

    def make_params(self, pictures: list[Any]) -> Any:
        """What is random."""
        return None

    def transform(self, picture: Any, params: Any) -> Any:
        """The new picture."""
        raise NotImplementedError

    def forward(self, *inputs: Any) -> Any:
        sample = inputs if len(inputs) > 1 else inputs[0]
        pictures = self.pictures(sample)
        params = self.make_params(pictures)
        return replaced(sample, pictures, lambda picture: self.transform(picture, params))

    def pictures(self, sample: Any) -> list[Any]:
        """What in a sample is to be transformed; TypeError if nothing is."""
        found = pictures_of(sample)
        if not found:
            raise TypeError(f"{type(self).__name__} found no PIL image or tensor in {type(sample).__name__}")
        return found

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={_rounded(getattr(self, name))}" for name in self.shown)


class RandomTransform(Transform):
    """Does something with probability `p`."""

    shown: ClassVar[tuple[str, ...]] = ("p",)

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError("`p` should be a floating point value in the interval [0.0, 1.0].")
        self.p = p

    def forward(self, *inputs: Any) -> Any:
        if torch.rand(1) >= self.p:
            return inputs if len(inputs) > 1 else inputs[0]
        return super().forward(*inputs)


def _rounded(value: Any) -> Any:
    """A value as it is printed."""
    if isinstance(value, tuple) and all(isinstance(v, float) for v in value):
        return tuple(round(v, 4) for v in value)
    return value


def _uniform(low: float, high: float) -> float:
    return torch.empty(1).uniform_(float(low), float(high)).item()


def _below(bound: int) -> int:
    """A whole number from 0 to bound - 1."""
    return int(torch.randint(0, bound, size=(1,)).item())


# ------------------------------------------------------------------------------------ combining


class Compose:
    """One transform after the other.

    Example::

        >>> Compose([CenterCrop(2), Normalize((0.5,), (0.5,))])(torch.ones(1, 4, 4))
        tensor([[[1., 1.],
                 [1., 1.]]])
    """

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        self.transforms = transforms

    def __call__(self, *inputs: Any) -> Any:
        for transform in self.transforms:
            outputs = transform(*inputs)
            inputs = outputs if len(inputs) > 1 else (outputs,)
        return inputs if len(inputs) > 1 else inputs[0]

    def __repr__(self) -> str:
        return "\n".join(["Compose(", *(f"    {transform}" for transform in self.transforms), ")"])


class RandomApply(nn.Module):
    """All of `transforms`, or, with probability 1 - p, none."""

    def __init__(self, transforms: Sequence[Callable[..., Any]] | nn.ModuleList, p: float = 0.5) -> None:
        super().__init__()
        self.transforms, self.p = transforms, p

    def forward(self, *inputs: Any) -> Any:
        if self.p < torch.rand(1):
            return inputs if len(inputs) > 1 else inputs[0]
        return Compose(list(self.transforms))(*inputs)


class RandomChoice:
    """One of `transforms`, drawn from Python's own generator with the weights `p`."""

    def __init__(self, transforms: Sequence[Callable[..., Any]], p: Sequence[float] | None = None) -> None:
        self.transforms, self.p = transforms, p

    def __call__(self, *inputs: Any) -> Any:
        return random.choices(self.transforms, weights=self.p)[0](*inputs)


class RandomOrder:
    """All of `transforms`, in an order drawn from Python's own generator."""

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        self.transforms = transforms

    def __call__(self, *inputs: Any) -> Any:
        order = list(range(len(self.transforms)))
        random.shuffle(order)
        return Compose([self.transforms[i] for i in order])(*inputs)


class Lambda:
    """A function of the user's.

    Example::

        >>> Lambda(lambda x: x * 2)(torch.ones(2))
        tensor([2., 2.])
    """

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return "Lambda()"


# ------------------------------------------------------------------------------------ from and to tensors


class ToTensor:
    """An image of Pillow's, or an array (height, width[, channels]), as a tensor (channels, height, width); bytes
    become float32 in [0, 1]."""

    def __call__(self, pic: Any) -> Any:
        return F.to_tensor(pic)

    def __repr__(self) -> str:
        return "ToTensor()"


class PILToTensor(Transform):
    """An image of Pillow's as a tensor of its own values."""

    def transform(self, picture: Any, params: Any) -> Any:
        return F.pil_to_tensor(picture)


class ToPILImage(Transform):
    """A tensor (channels, height, width), or an array, as an image of Pillow's."""

    def __init__(self, mode: str | None = None) -> None:
        super().__init__()
        self.mode = mode

    def pictures(self, sample: Any) -> list[Any]:
        return pictures_of(sample) or [sample]

    def transform(self, picture: Any, params: Any) -> Any:
        return F.to_pil_image(picture, self.mode)


class ConvertImageDtype(Transform):
    """The picture as `dtype`, scaled."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def transform(self, picture: Any, params: Any) -> Any:
        return F.convert_image_dtype(picture, self.dtype)


class Normalize(Transform):
    """(x - mean) / std, a value a channel."""

    shown: ClassVar[tuple[str, ...]] = ("mean", "std")

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        super().__init__()
        self.mean, self.std, self.inplace = mean, std, inplace

    def transform(self, picture: Any, params: Any) -> Any:
        return F.normalize(picture, self.mean, self.std, self.inplace)


class LinearTransformation(Transform):
    """The flattened picture less `mean_vector` (D), times `transformation_matrix` (D, D): whitening."""

    def __init__(self, transformation_matrix: Any, mean_vector: Any) -> None:
        super().__init__()
        if transformation_matrix.shape[0] != transformation_matrix.shape[1]:
            raise ValueError(f"transformation_matrix should be square. Got {list(transformation_matrix.shape)} matrix.")
        self.transformation_matrix, self.mean_vector = transformation_matrix, mean_vector

    def transform(self, picture: Any, params: Any) -> Any:
        flat = picture.reshape(-1, math.prod(picture.shape[-3:])) - self.mean_vector
        return torch.mm(flat, self.transformation_matrix).reshape(picture.shape)


# ------------------------------------------------------------------------------------ geometry


class Resize(Transform):
    """The picture of `size` (height, width), or with the shorter side of that length."""

    shown: ClassVar[tuple[str, ...]] = ("size", "interpolation", "max_size", "antialias")

    def __init__(
        self, size: int | Sequence[int] | None, interpolation: InterpolationMode | int = BILINEAR,
        max_size: int | None = None, antialias: bool | None = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.size, self.max_size, self.antialias = size, max_size, antialias
        self.interpolation = interpolation_mode(interpolation)

    def transform(self, picture: Any, params: Any) -> Any:
        return F.resize(picture, self.size, self.interpolation, self.max_size, self.antialias)


class CenterCrop(Transform):
    """The middle of the picture."""

    shown: ClassVar[tuple[str, ...]] = ("size",)

    def __init__(self, size: int | Sequence[int]) -> None:
        super().__init__()
        self.size = F.pair(size)

    def transform(self, picture: Any, params: Any) -> Any:
        return F.center_crop(picture, self.size)


class Pad(Transform):
    """More at the edges."""

    shown: ClassVar[tuple[str, ...]] = ("padding", "fill", "padding_mode")

    def __init__(self, padding: int | Sequence[int], fill: Any = 0, padding_mode: str = "constant") -> None:
        super().__init__()
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def transform(self, picture: Any, params: Any) -> Any:
        return F.pad(picture, self.padding, self.fill, self.padding_mode)


class FiveCrop(Transform):
    """The four corners and the middle, as a tuple."""

    shown: ClassVar[tuple[str, ...]] = ("size",)

    def __init__(self, size: int | Sequence[int]) -> None:
        super().__init__()
        self.size = F.pair(size)

    def transform(self, picture: Any, params: Any) -> Any:
        return F.five_crop(picture, self.size)


class TenCrop(FiveCrop):
    """`FiveCrop` of the picture and of its mirror image."""

    shown: ClassVar[tuple[str, ...]] = ("size", "vertical_flip")

    def __init__(self, size: int | Sequence[int], vertical_flip: bool = False) -> None:
        super().__init__(size)
        self.vertical_flip = vertical_flip

    def transform(self, picture: Any, params: Any) -> Any:
        return F.ten_crop(picture, self.size, self.vertical_flip)


class RandomCrop(Transform):
    """A part of `size` (height, width) at a random place, of the picture padded by `padding`."""

    shown: ClassVar[tuple[str, ...]] = ("size", "padding")

    def __init__(
        self, size: int | Sequence[int], padding: int | Sequence[int] | None = None, pad_if_needed: bool = False,
        fill: Any = 0, padding_mode: str = "constant",
    ) -> None:  # fmt: skip
        super().__init__()
        self.size, self.padding, self.pad_if_needed = F.pair(size), padding, pad_if_needed
        self.fill, self.padding_mode = fill, padding_mode

    @staticmethod
    def get_params(img: Any, output_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(top, left, height, width) of a part of `output_size`. ValueError if the picture is smaller."""
        _, height, width = dimensions(img)
        rows, columns = output_size
        if height < rows or width < columns:
            raise ValueError(f"Required crop size {(rows, columns)} is larger than input image size {(height, width)}")
        if (height, width) == (rows, columns):
            return 0, 0, height, width
        return _below(height - rows + 1), _below(width - columns + 1), rows, columns

    def make_params(self, pictures: list[Any]) -> tuple[int, int, int, int]:
        return self.get_params(self._padded(pictures[0]), self.size)

    def transform(self, picture: Any, params: Any) -> Any:
        return F.crop(self._padded(picture), *params)

    def _padded(self, picture: Any) -> Any:
        if self.padding is not None:
            picture = F.pad(picture, self.padding, self.fill, self.padding_mode)
        _, height, width = dimensions(picture)
        for more, sides in ((self.size[1] - width, (1, 0)), (self.size[0] - height, (0, 1))):
            if self.pad_if_needed and more > 0:
                picture = F.pad(picture, [sides[0] * more, sides[1] * more], self.fill, self.padding_mode)
        return picture


class RandomHorizontalFlip(RandomTransform):
    """Left for right."""

    def transform(self, picture: Any, params: Any) -> Any:
        return F.hflip(picture)


class RandomVerticalFlip(RandomTransform):
    """Upside down."""

    def transform(self, picture: Any, params: Any) -> Any:
        return F.vflip(picture)


class RandomResizedCrop(Transform):
    """A part whose share of the area is in `scale` and whose width over height is in `ratio`, resized to `size`."""

    shown: ClassVar[tuple[str, ...]] = ("size", "scale", "ratio", "interpolation", "antialias")

    def __init__(
        self, size: int | Sequence[int], scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3.0 / 4.0, 4.0 / 3.0), interpolation: InterpolationMode | int = BILINEAR,
        antialias: bool | None = True,
    ) -> None:  # fmt: skip
        super().__init__()
        if scale[0] > scale[1] or ratio[0] > ratio[1]:
            warnings.warn("Scale and ratio should be of kind (min, max)", stacklevel=2)
        self.size, self.scale, self.ratio, self.antialias = F.pair(size), scale, ratio, antialias
        self.interpolation = interpolation_mode(interpolation)

    @staticmethod
    def get_params(img: Any, scale: Sequence[float], ratio: Sequence[float]) -> tuple[int, int, int, int]:
        """(top, left, height, width); the middle, if ten draws do not fit into the picture."""
        _, height, width = dimensions(img)
        low, high = torch.log(torch.tensor(ratio)).tolist()
        for _ in range(10):
            area = height * width * _uniform(scale[0], scale[1])
            aspect = torch.exp(torch.empty(1).uniform_(low, high)).item()
            w, h = int(round(math.sqrt(area * aspect))), int(round(math.sqrt(area / aspect)))
            if 0 < w <= width and 0 < h <= height:
                return _below(height - h + 1), _below(width - w + 1), h, w
        shape = float(width) / float(height)
        if shape < min(ratio):
            h, w = int(round(width / min(ratio))), width
        elif shape > max(ratio):
            h, w = height, int(round(height * max(ratio)))
        else:
            h, w = height, width
        return (height - h) // 2, (width - w) // 2, h, w

    def make_params(self, pictures: list[Any]) -> tuple[int, int, int, int]:
        return self.get_params(pictures[0], self.scale, self.ratio)

    def transform(self, picture: Any, params: Any) -> Any:
        top, left, height, width = params
        return F.resized_crop(picture, top, left, height, width, self.size, self.interpolation, self.antialias)


class RandomRotation(Transform):
    """Turned by an angle in `degrees`, which is (min, max), or one number for both sides of 0."""

    shown: ClassVar[tuple[str, ...]] = ("degrees", "interpolation", "expand", "fill")

    def __init__(
        self, degrees: float | Sequence[float], interpolation: InterpolationMode | int = NEAREST, expand: bool = False,
        center: Sequence[float] | None = None, fill: Any = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.degrees = _around_zero("degrees", degrees)
        self.interpolation, self.expand, self.center = interpolation_mode(interpolation), expand, center
        self.fill = fill

    @staticmethod
    def get_params(degrees: Sequence[float]) -> float:
        """An angle."""
        return _uniform(degrees[0], degrees[1])

    def make_params(self, pictures: list[Any]) -> float:
        return self.get_params(self.degrees)

    def transform(self, picture: Any, params: Any) -> Any:
        return F.rotate(picture, params, self.interpolation, self.expand, self.center, self.fill)


class RandomAffine(Transform):
    """Turned, moved by up to `translate` of its sides, scaled and sheared, each at random."""

    shown: ClassVar[tuple[str, ...]] = ("degrees", "translate", "scale", "shear")

    def __init__(
        self, degrees: float | Sequence[float], translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None, shear: float | Sequence[float] | None = None,
        interpolation: InterpolationMode | int = NEAREST, fill: Any = 0, center: Sequence[float] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.degrees = _around_zero("degrees", degrees)
        if translate is not None and not all(0.0 <= t <= 1.0 for t in translate):
            raise ValueError("translation values should be between 0 and 1")
        if scale is not None and not all(s > 0 for s in scale):
            raise ValueError("scale values should be positive")
        self.translate, self.scale = translate, scale
        self.shear = None if shear is None else _around_zero("shear", shear)
        self.interpolation, self.fill, self.center = interpolation_mode(interpolation), fill, center

    @staticmethod
    def get_params(
        degrees: Sequence[float], translate: Sequence[float] | None, scale_ranges: Sequence[float] | None,
        shears: Sequence[float] | None, img_size: Sequence[int],
    ) -> tuple[float, tuple[int, int], float, tuple[float, float]]:  # fmt: skip
        """(angle, (x, y), scale, (x shear, y shear)); `img_size` is (width, height)."""
        angle = _uniform(degrees[0], degrees[1])
        moved, shear_x, shear_y = (0, 0), 0.0, 0.0
        if translate is not None:
            x, y = (float(t * side) for t, side in zip(translate, img_size, strict=True))
            moved = int(round(_uniform(-x, x))), int(round(_uniform(-y, y)))
        scale = 1.0 if scale_ranges is None else _uniform(scale_ranges[0], scale_ranges[1])
        if shears is not None:
            shear_x = _uniform(shears[0], shears[1])
            if len(shears) == 4:
                shear_y = _uniform(shears[2], shears[3])
        return angle, moved, scale, (shear_x, shear_y)

    def make_params(self, pictures: list[Any]) -> Any:
        size = F.get_image_size(pictures[0])
        return self.get_params(self.degrees, self.translate, self.scale, self.shear, size)

    def transform(self, picture: Any, params: Any) -> Any:
        angle, moved, scale, shear = params
        return F.affine(picture, angle, moved, scale, shear, self.interpolation, self.fill, self.center)


def _around_zero(name: str, given: float | Sequence[float]) -> list[float]:
    """A range, of its ends or of one number for both; ValueError for a negative number."""
    if isinstance(given, int | float):
        if given < 0:
            raise ValueError(f"If {name} is a single number, it must be positive.")
        return [-float(given), float(given)]
    if len(given) not in (2, 4):
        raise ValueError(f"{name} should be a sequence of length 2 or 4.")
    return [float(value) for value in given]


class RandomErasing(RandomTransform):
    """A rectangle of the picture, a tensor, filled with `value`: a number, one a channel, or "random"."""

    shown: ClassVar[tuple[str, ...]] = ("p", "scale", "ratio", "value", "inplace")

    def __init__(
        self, p: float = 0.5, scale: tuple[float, float] = (0.02, 0.33), ratio: tuple[float, float] = (0.3, 3.3),
        value: Any = 0, inplace: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(p)
        if isinstance(value, str) and value != "random":
            raise ValueError("If value is str, it should be 'random'")
        if not 0 <= scale[0] <= scale[1] <= 1:
            raise ValueError("Scale should be between 0 and 1")
        self.scale, self.ratio, self.value, self.inplace = scale, ratio, value, inplace

    @staticmethod
    def get_params(
        img: Any, scale: Sequence[float], ratio: Sequence[float], value: Sequence[float] | None = None
    ) -> tuple[int, int, int, int, Any]:
        """(top, left, height, width, content); the whole picture itself, if ten draws do not fit."""
        channels, height, width = dimensions(img)
        low, high = torch.log(torch.tensor(ratio)).tolist()
        for _ in range(10):
            area = height * width * _uniform(scale[0], scale[1])
            aspect = torch.exp(torch.empty(1).uniform_(low, high)).item()
            h, w = int(round(math.sqrt(area * aspect))), int(round(math.sqrt(area / aspect)))
            if not (h < height and w < width):
                continue
            if value is None:
                content = torch.empty([channels, h, w], dtype=torch.float32).normal_()
            else:
                content = torch.tensor(value)[:, None, None]
            return _below(height - h + 1), _below(width - w + 1), h, w, content
        return 0, 0, height, width, img

    def make_params(self, pictures: list[Any]) -> Any:
        value = None if self.value == "random" else self.value
        values = [value] if isinstance(value, int | float) else value
        if values is not None and len(values) not in (1, dimensions(pictures[0])[0]):
            raise ValueError(f"If value is a sequence, it should have 1 or {dimensions(pictures[0])[0]} elements")
        return self.get_params(pictures[0], self.scale, self.ratio, values)

    def transform(self, picture: Any, params: Any) -> Any:
        top, left, height, width, content = params
        return F.erase(picture, top, left, height, width, content, self.inplace)


# ------------------------------------------------------------------------------------ colours


class ColorJitter(Transform):
    """Brightness, contrast, saturation and hue changed by random factors, in a random order. A number v stands for
    factors in [1 - v, 1 + v], for the hue in [-v, v]."""

    shown: ClassVar[tuple[str, ...]] = ("brightness", "contrast", "saturation", "hue")

    def __init__(
        self, brightness: float | Sequence[float] = 0, contrast: float | Sequence[float] = 0,
        saturation: float | Sequence[float] = 0, hue: float | Sequence[float] = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.brightness = self._range("brightness", brightness)
        self.contrast = self._range("contrast", contrast)
        self.saturation = self._range("saturation", saturation)
        self.hue = self._range("hue", hue, centre=0.0, least=-0.5, most=0.5)

    @staticmethod
    def _range(
        name: str, given: float | Sequence[float], centre: float = 1.0, least: float = 0.0, most: float = math.inf
    ) -> tuple[float, float] | None:
        if isinstance(given, int | float):
            if given < 0:
                raise ValueError(f"If {name} is a single number, it must be non negative.")
            low, high = centre - given, centre + given
            low = max(low, 0.0) if centre else low
        else:
            low, high = float(given[0]), float(given[1])
        if not least <= low <= high <= most:
            raise ValueError(f"{name} values should be between ({least}, {most}), but got {(low, high)}.")
        return None if low == high == centre else (low, high)

    @staticmethod
    def get_params(
        brightness: Sequence[float] | None, contrast: Sequence[float] | None, saturation: Sequence[float] | None,
        hue: Sequence[float] | None,
    ) -> tuple[Any, ...]:  # fmt: skip
        """The order, as a permutation of 0 to 3, and the four factors."""
        order = torch.randperm(4)
        factors = (None if limits is None else _uniform(*limits) for limits in (brightness, contrast, saturation, hue))
        return (order, *factors)

    def make_params(self, pictures: list[Any]) -> Any:
        return self.get_params(self.brightness, self.contrast, self.saturation, self.hue)

    def transform(self, picture: Any, params: Any) -> Any:
        order, *factors = params
        steps = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for i in order.tolist():
            if factors[i] is not None:
                picture = steps[i](picture, factors[i])
        return picture


class Grayscale(Transform):
    """Without colour, in 1 or 3 channels."""

    shown: ClassVar[tuple[str, ...]] = ("num_output_channels",)

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def transform(self, picture: Any, params: Any) -> Any:
        return F.to_grayscale(picture, self.num_output_channels)


class RandomGrayscale(RandomTransform):
    """Without colour, in as many channels as before."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p)

    def transform(self, picture: Any, params: Any) -> Any:
        return F.to_grayscale(picture, dimensions(picture)[0])


class RandomInvert(RandomTransform):
    """The negative."""

    def transform(self, picture: Any, params: Any) -> Any:
        return F.invert(picture)


class GaussianBlur(Transform):
    """Out of focus, by a sigma in the range `sigma`."""

    shown: ClassVar[tuple[str, ...]] = ("kernel_size", "sigma")

    def __init__(self, kernel_size: int | Sequence[int], sigma: float | Sequence[float] = (0.1, 2.0)) -> None:
        super().__init__()
        self.kernel_size = F.pair(kernel_size)
        self.sigma = (float(sigma),) * 2 if isinstance(sigma, int | float) else (float(sigma[0]), float(sigma[1]))
        if any(size <= 0 or size % 2 == 0 for size in self.kernel_size):
            raise ValueError("Kernel size value should be an odd and positive number.")
        if not 0.0 < self.sigma[0] <= self.sigma[1]:
            raise ValueError(f"sigma values should be positive and of the form (min, max). Got {self.sigma}")

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        """A sigma."""
        return _uniform(sigma_min, sigma_max)

    def make_params(self, pictures: list[Any]) -> float:
        return self.get_params(self.sigma[0], self.sigma[1])

    def transform(self, picture: Any, params: Any) -> Any:
        return F.gaussian_blur(picture, self.kernel_size, [params, params])
