"""Pictures in folders, a folder a class: root/dog/one.png, root/cat/two.png."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flambeau._core.errors import explain
from flambeau.vision.datasets.vision import VisionDataset
from flambeau.vision.io._decoding import decoded

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def pil_loader(path: str | Path) -> Any:
    """The picture in a file, in red, green and blue. OSError if it is damaged or no picture."""
    with open(path, "rb") as file:
        data = file.read()  # Pillow asks a file for all that its header promises, and Python takes memory for that
    return decoded(data, str(path), lambda picture: picture.convert("RGB"))


default_loader = pil_loader


def find_classes(directory: str | Path) -> tuple[list[str], dict[str, int]]:
    """The names of the folders in `directory`, sorted, and their numbers. FileNotFoundError if there are none."""
    classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    if not classes:
        raise FileNotFoundError(f"Couldn't find any class folder in {directory}.")
    return classes, {name: i for i, name in enumerate(classes)}


def make_dataset(
    directory: str | Path, class_to_idx: dict[str, int] | None = None, extensions: tuple[str, ...] | str | None = None,
    is_valid_file: Callable[[str], bool] | None = None, allow_empty: bool = False,
) -> list[tuple[str, int]]:  # fmt: skip
    """Pairs (path, class), sorted, of the files with these `extensions`, or that `is_valid_file` approves.
    FileNotFoundError for a class without any, unless `allow_empty`."""
    if (extensions is None) == (is_valid_file is None):
        raise ValueError("Both extensions and is_valid_file cannot be None or not None at the same time")
    endings: Any = extensions
    wanted = is_valid_file or (lambda path: path.lower().endswith(endings))
    pairs: list[tuple[str, int]] = []
    empty: list[str] = []
    for name, number in sorted((class_to_idx or find_classes(directory)[1]).items()):
        before = len(pairs)
        for folder, _, files in sorted(os.walk(os.path.join(directory, name), followlinks=True)):
            pairs += [(path, number) for path in (os.path.join(folder, f) for f in sorted(files)) if wanted(path)]
        empty += [name] if len(pairs) == before else []
    if empty and not allow_empty:
        fact = f"Found no valid file for the classes {', '.join(empty)}."
        raise FileNotFoundError(explain(fact, hint=f"supported extensions are {extensions}" if extensions else ""))
    return pairs


class DatasetFolder(VisionDataset):
    """Pairs of what `loader` makes of a file, and the number of the folder the file is in. `classes` are the folders'
    names, `samples` the pairs (path, number)."""

    def __init__(
        self, root: str | Path, loader: Callable[[str], Any], extensions: tuple[str, ...] | None = None,
        transform: Callable[[Any], Any] | None = None, target_transform: Callable[[Any], Any] | None = None,
        is_valid_file: Callable[[str], bool] | None = None, allow_empty: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(root, None, transform, target_transform)
        assert self.root is not None
        self.loader, self.extensions = loader, extensions
        self.classes, self.class_to_idx = self.find_classes(self.root)
        self.samples = make_dataset(self.root, self.class_to_idx, extensions, is_valid_file, allow_empty)
        self.targets = [number for _, number in self.samples]

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """The classes; a subclass may choose others."""
        return find_classes(directory)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, number = self.samples[index]
        return self.transformed(self.loader(path), number)


class ImageFolder(DatasetFolder):
    """Pairs of a picture and the number of the folder it is in; `imgs` is `samples`."""

    def __init__(
        self, root: str | Path, transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None, loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None, allow_empty: bool = False,
    ) -> None:  # fmt: skip
        extensions = IMG_EXTENSIONS if is_valid_file is None else None
        super().__init__(root, loader, extensions, transform, target_transform, is_valid_file, allow_empty)
        self.imgs = self.samples
