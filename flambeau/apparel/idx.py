"""The four files of a set of garments, in the IDX format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flambeau._core.lazy import lazy_module
from flambeau.apparel.classes import CLASSES, SIDE
from flambeau.apparel.errors import DataError
from flambeau.vision.datasets import idx
from flambeau.vision.datasets.idx import write_idx as write_idx

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read an IDX file of unsigned bytes, gzipped or not.

    Args:
        path: the file.
        dimensions: how many dimensions it must have.

    Returns:
        A uint8 array with the sizes that the header gives.

    Raises:
        DataError: if the file is missing, cut short, too long or something else altogether.
    """
    try:
        return idx.read_idx(path, dimensions)
    except ValueError as error:
        raise DataError(path, str(error)) from error


def read_pair(images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read pictures (N, 28, 28) and their labels (N,), both uint8, and check that they fit together."""
    pictures, answers = read_idx(images, 3), read_idx(labels, 1)
    if pictures.shape[1:] != (SIDE, SIDE):
        raise DataError(images, f"pictures are {pictures.shape[1]}x{pictures.shape[2]}, expected {SIDE}x{SIDE}")
    if len(pictures) != len(answers):
        raise DataError(labels, f"{len(answers)} labels for {len(pictures)} pictures in {images.name}")
    if len(answers) and int(answers.max()) >= len(CLASSES):
        item = int(np.argmax(answers >= len(CLASSES)))
        raise DataError(labels, f"label {int(answers[item])} of item {item} is outside 0..{len(CLASSES) - 1}")
    return pictures, answers
