"""CIFAR: 32 x 32 colour pictures, https://www.cs.toronto.edu/~kriz/cifar.html, in pickles of Python's."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from flambeau._core.errors import explain
from flambeau._core.lazy import lazy_module
from flambeau.vision.datasets.utils import check_integrity, fetch, not_found, unpack
from flambeau.vision.datasets.vision import VisionDataset
from flambeau.vision.transforms._pictures import pillow

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


class CIFAR10(VisionDataset):
    """Pairs of an image of Pillow's (RGB) and the number of its class, of ten.

    `data` is an array (N, 32, 32, 3) of bytes, `targets` a list. Files are read from root/cifar-10-batches-py;
    `download` gets the archive and unpacks it. RuntimeError if they are not there or cannot be read.
    """

    base_folder: ClassVar[str] = "cifar-10-batches-py"
    url: ClassVar[str] = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    tgz_md5: ClassVar[str] = "c58f30108f718f92721af3b95e74349a"
    batches: ClassVar[tuple[list[str], list[str]]] = ([f"data_batch_{i}" for i in range(1, 6)], ["test_batch"])
    meta: ClassVar[tuple[str, str]] = ("batches.meta", "label_names")
    label: ClassVar[str] = "labels"

    def __init__(
        self, root: str | Path, train: bool = True, transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None, download: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(root, None, transform, target_transform)
        self.train = train
        if download:
            self.download()
        if not self._complete():
            raise not_found(self, self._folder)
        parts = [self._batch(name) for name in self.batches[0 if train else 1]]
        pictures = np.concatenate([part["data"] for part in parts]).reshape(-1, 3, 32, 32)
        self.data = pictures.transpose(0, 2, 3, 1)
        self.targets: list[int] = [int(label) for part in parts for label in part[self.label]]
        file, key = self.meta
        self.classes: list[str] = self._batch(file)[key]
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}

    @property
    def _folder(self) -> Path:
        assert self.root is not None
        return self.root / self.base_folder

    def _complete(self) -> bool:
        return all(check_integrity(self._folder / name) for name in (*self.batches[0], *self.batches[1], self.meta[0]))

    def download(self) -> None:
        """Get and unpack the archive, unless the files are there."""
        if not self._complete():
            assert self.root is not None
            archive = self.root / self.url.rpartition("/")[2]
            fetch([self.url], archive, self.tgz_md5)
            unpack(archive, self.root)

    def _batch(self, name: str) -> dict[str, Any]:
        path = self._folder / name
        try:
            with open(path, "rb") as file:
                return _ArraysOnly(file, encoding="latin1").load()
        except (pickle.UnpicklingError, EOFError, KeyError, ValueError) as error:
            raise RuntimeError(explain(f"{path}: {error}", hint="remove it and use download=True")) from error

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.transformed(pillow("Image").fromarray(self.data[index]), self.targets[index])

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


class CIFAR100(CIFAR10):
    """Pairs of an image of Pillow's (RGB) and the number of its class, of a hundred; files in root/cifar-100-python."""

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    batches = (["train"], ["test"])
    meta = ("meta", "fine_label_names")
    label = "fine_labels"


class _ArraysOnly(pickle.Unpickler):
    """Reads pickles of NumPy's arrays and of Python's own containers, and runs nothing else that a file names."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return super().find_class("numpy._core.multiarray", name)
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            return _encoded
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a data set: this file may be an attack")


def _encoded(text: str, encoding: str) -> bytes:
    """How pickles of old protocols hold bytes."""
    return text.encode(encoding)
