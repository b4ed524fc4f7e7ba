"""What only `transforms.v2` has, and what it draws otherwise than `transforms`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from flambeau import _api as torch
from flambeau import nn
from flambeau.vision.transforms import functional as F
from flambeau.vision.transforms import transforms as v1
from flambeau.vision.transforms._pictures import dimensions, pictures_of
from flambeau.vision.transforms.transforms import Transform


class Compose(nn.Module, v1.Compose):
    """One transform after the other, of whole samples."""

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        super().__init__()
        if not isinstance(transforms, Sequence):
            raise TypeError("Argument transforms should be a sequence of callables")
        self.transforms = transforms

    def forward(self, *inputs: Any) -> Any:
        return v1.Compose.__call__(self, *inputs)

    def extra_repr(self) -> str:
        return "\n".join(f"{transform}" for transform in self.transforms)


class Identity(Transform):
    """The picture as it is."""

    def transform(self, picture: Any, params: Any) -> Any:
        return picture


class Lambda(Transform):
    """A function of the user's, of everything in the sample that is one of `types`."""

    def __init__(self, lambd: Callable[[Any], Any], *types: type) -> None:
        super().__init__()
        self.lambd, self.types = lambd, types or (object,)

    def forward(self, *inputs: Any) -> Any:
        sample = inputs if len(inputs) > 1 else inputs[0]
        return self._of(sample)

    def _of(self, sample: Any) -> Any:
        if isinstance(sample, dict):
            return {key: self._of(value) for key, value in sample.items()}
        if isinstance(sample, list | tuple):
            return type(sample)(map(self._of, sample))
        return self.lambd(sample) if isinstance(sample, self.types) else sample


class ToImage(Transform):
    """An image of Pillow's, or an array (height, width, channels), as a tensor (channels, height, width)."""

    def pictures(self, sample: Any) -> list[Any]:
        return pictures_of(sample) or [sample]

    def transform(self, picture: Any, params: Any) -> Any:
        return F.to_image(picture)


class ToPureTensor(Identity):
    """The picture as it is: pictures are plain tensors here."""


class ToDtype(Transform):
    """The picture as `dtype`; `scale` maps the brightest value of one dtype to the brightest of the other."""

    shown: ClassVar[tuple[str, ...]] = ("scale",)

    def __init__(self, dtype: torch.dtype, scale: bool = False) -> None:
        super().__init__()
        if not isinstance(dtype, torch.dtype):
            raise TypeError(f"dtype must be a torch.dtype, got {type(dtype).__name__}")
        self.dtype, self.scale = dtype, scale

    def transform(self, picture: Any, params: Any) -> Any:
        return F.to_dtype(picture, self.dtype, self.scale)


class RandomCrop(v1.RandomCrop):
    """A part of `size` (height, width) at a random place. Only a side that is cut draws its place."""

    shown: ClassVar[tuple[str, ...]] = ("size", "pad_if_needed", "fill", "padding_mode")

    def make_params(self, pictures: list[Any]) -> tuple[int, int, int, int]:
        _, height, width = dimensions(self._padded(pictures[0]))
        rows, columns = self.size
        if height < rows or width < columns:
            fact = f"Required crop size {(rows, columns)} is larger than padded input image size {(height, width)}."
            raise ValueError(fact)
        top = int(torch.randint(0, height - rows + 1, size=())) if height > rows else 0
        left = int(torch.randint(0, width - columns + 1, size=())) if width > columns else 0
        return top, left, rows, columns


class RandomChoice(Transform):
    """One of `transforms`, drawn with the weights `p`."""

    def __init__(self, transforms: Sequence[Callable[..., Any]], p: Sequence[float] | None = None) -> None:
        super().__init__()
        weights = [1] * len(transforms) if p is None else p
        if len(weights) != len(transforms):
            raise ValueError(f"Length of p doesn't match the number of transforms: {len(weights)} != {len(transforms)}")
        self.transforms, self.p = transforms, [weight / sum(weights) for weight in weights]

    def forward(self, *inputs: Any) -> Any:
        return self.transforms[int(torch.multinomial(torch.tensor(self.p), 1))](*inputs)


class RandomOrder(Transform):
    """All of `transforms`, in a random order."""

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        super().__init__()
        self.transforms = transforms

    def forward(self, *inputs: Any) -> Any:
        return v1.Compose([self.transforms[i] for i in torch.randperm(len(self.transforms)).tolist()])(*inputs)
