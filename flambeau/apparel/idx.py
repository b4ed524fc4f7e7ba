"""The IDX format, in which Fashion-MNIST is published.

A file is two zero bytes, a byte for the element type (8 is unsigned byte), a byte for the number of dimensions, one
big-endian 32-bit size a dimension, then the elements; here always compressed with gzip or plain.
Source: http://yann.lecun.com/exdb/mnist/ (section "file formats").
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from flambeau._core.lazy import lazy_module
from flambeau.apparel.classes import CLASSES, SIDE
from flambeau.apparel.errors import DataError

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

UNSIGNED_BYTE = 8
GZIP_MAGIC = b"\x1f\x8b"


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
    data = _content(path)
    head = 4 + 4 * dimensions
    if len(data) < head or data[:2] != b"\0\0":
        raise DataError(path, "not an IDX file")
    if data[2] != UNSIGNED_BYTE or data[3] != dimensions:
        found = f"{data[3]} dimensions of element type {data[2]:#x}"
        raise DataError(path, f"expected {dimensions} dimensions of bytes (0x8), found {found}")
    shape = struct.unpack(f">{dimensions}I", data[4:head])
    expected = head + math.prod(shape)
    if len(data) != expected:
        raise DataError(path, f"holds {len(data)} bytes where its header {shape} promises {expected}")
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write a uint8 array as an IDX file, gzipped where the name ends in ``.gz``."""
    head = bytes([0, 0, UNSIGNED_BYTE, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    data = head + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


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


def _content(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == GZIP_MAGIC else data
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(path, f"cannot be read ({error})") from error
