"""MNIST and its relatives: 28 x 28 gray pictures of ten classes, in IDX files below root/NAME/raw."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from flambeau import _api as torch
from flambeau._core.errors import explain
from flambeau.vision.datasets.idx import read_idx
from flambeau.vision.datasets.utils import fetch, not_found
from flambeau.vision.datasets.vision import VisionDataset
from flambeau.vision.transforms.functional import to_pil_image

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


class MNIST(VisionDataset):
    """Handwritten digits, http://yann.lecun.com/exdb/mnist/; pairs of an image of Pillow's (mode L) and a number.

    `data` is (N, 28, 28) of uint8 and `targets` (N) of int64. Files are read from root/MNIST/raw, gzipped or plain;
    `download` gets those that are missing. RuntimeError if they are not there or are damaged.
    """

    mirrors: ClassVar[list[str]] = [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ]
    sums: ClassVar[tuple[str, ...]] = (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c",
    )  # fmt: skip
    classes: ClassVar[list[str]] = [
        "0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six", "7 - seven", "8 - eight",
        "9 - nine",
    ]  # fmt: skip

    def __init__(
        self, root: str | Path, train: bool = True, transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None, download: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(root, None, transform, target_transform)
        self.train = train
        if download:
            self.download()
        if not all(self._file(name) for name in FILES):
            raise not_found(self, self.raw_folder)
        self.data, self.targets = self._load()

    @property
    def raw_folder(self) -> Path:
        """Where the files are."""
        assert self.root is not None
        return self.root / type(self).__name__ / "raw"

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The number of each class."""
        return {name: i for i, name in enumerate(self.classes)}

    def download(self) -> None:
        """Get the files that are missing, and unpack them; RuntimeError, naming addresses and place, if that fails."""
        for name, md5 in zip(FILES, self.sums, strict=True):
            if self._file(name) is None:
                packed = self.raw_folder / f"{name}.gz"
                fetch([f"{mirror}{name}.gz" for mirror in self.mirrors], packed, md5)
                (self.raw_folder / name).write_bytes(gzip.decompress(packed.read_bytes()))

    def _file(self, name: str) -> Path | None:
        """The file, plain or gzipped, or None."""
        return next((p for p in (self.raw_folder / name, self.raw_folder / f"{name}.gz") if p.is_file()), None)

    def _load(self) -> tuple[Any, Any]:
        arrays = []
        for name, rank in zip(FILES[:2] if self.train else FILES[2:], (3, 1), strict=True):
            path = self._file(name)
            assert path is not None
            try:
                arrays.append(torch.tensor(read_idx(path, rank)))
            except ValueError as error:
                raise RuntimeError(explain(f"{path}: {error}", hint="remove it and use download=True")) from error
        return arrays[0], arrays[1].to(torch.int64)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.transformed(to_pil_image(self.data[index]), int(self.targets[index]))

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


class FashionMNIST(MNIST):
    """Garments, https://github.com/zalandoresearch/fashion-mnist, in the form of MNIST."""

    mirrors = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    sums = (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310",
    )  # fmt: skip
    classes = [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ]  # fmt: skip


class KMNIST(MNIST):
    """Cursive Japanese, https://github.com/rois-codh/kmnist, in the form of MNIST."""

    mirrors = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    sums = (
        "bdb82020997e1d708af4cf47b453dcf7", "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7", "7320c461ea6c1c855c0b718fb2a4b134",
    )  # fmt: skip
    classes = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]
