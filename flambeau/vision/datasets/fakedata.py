"""Noise in the place of pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau import _api as torch
from flambeau.vision.datasets.vision import VisionDataset
from flambeau.vision.transforms.functional import to_pil_image


class FakeData(VisionDataset):
    """`size` random pictures (channels, height, width) with random labels, as images of Pillow's; the same index gives
    the same pair.

    Example::

        >>> from flambeau.vision.transforms import ToTensor
        >>> FakeData(8, (3, 4, 4), transform=ToTensor())[7][0].shape
        torch.Size([3, 4, 4])
    """

    def __init__(
        self, size: int = 1000, image_size: tuple[int, int, int] = (3, 224, 224), num_classes: int = 10,
        transform: Callable[[Any], Any] | None = None, target_transform: Callable[[Any], Any] | None = None,
        random_offset: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(None, None, transform, target_transform)
        self.size, self.image_size, self.num_classes, self.random_offset = size, image_size, num_classes, random_offset

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if index >= len(self):
            raise IndexError(f"{type(self).__name__} index out of range")
        generator_state = torch.get_rng_state()
        torch.manual_seed(index + self.random_offset)
        picture = torch.randn(*self.image_size)
        target = torch.randint(0, self.num_classes, size=(1,), dtype=torch.long)[0]
        torch.set_rng_state(generator_state)
        return self.transformed(to_pil_image(picture), int(target))
