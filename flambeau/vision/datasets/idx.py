"""The IDX format of MNIST and the sets that look like it.

A file is two zero bytes, a byte for the element type (8 is unsigned byte), a byte for the number of dimensions, one
big-endian 32-bit size a dimension, then the elements; compressed with gzip or plain.
Source: http://yann.lecun.com/exdb/mnist/ (section "file formats").
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

UNSIGNED_BYTE = 8
GZIP_MAGIC = b"\x1f\x8b"
MOST_GROWTH = 1032  # bytes that gzip can make of one


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read an IDX file of unsigned bytes, gzipped or not, as an array of the sizes that the header gives.

    Raises:
        ValueError: if the file is missing, cut short, too long or something else altogether.
    """
    head = 4 + 4 * dimensions
    data = _content(path, head)
    if len(data) < head or data[:2] != b"\0\0":
        raise ValueError("not an IDX file")
    if data[2] != UNSIGNED_BYTE or data[3] != dimensions:
        found = f"{data[3]} dimensions of element type {data[2]:#x}"
        raise ValueError(f"expected {dimensions} dimensions of bytes (0x8), found {found}")
    shape = struct.unpack(f">{dimensions}I", data[4:head])
    expected = head + math.prod(shape)
    if len(data) != expected:
        raise ValueError(f"holds {len(data)} bytes where its header {shape} promises {expected}")
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write a uint8 array as an IDX file, gzipped where the name ends in ``.gz``."""
    head = bytes([0, 0, UNSIGNED_BYTE, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    data = head + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def _content(path: Path, head: int) -> bytes:
    """The bytes of a file, unpacked, but not far beyond what its header of `head` bytes promises."""
    try:
        data = path.read_bytes()
        if data[:2] != GZIP_MAGIC:
            return data
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            start = file.read(head)
            promised = math.prod(struct.unpack(f">{(len(start) - 4) // 4}I", start[4:])) if len(start) == head else 0
            return start + file.read(min(promised, MOST_GROWTH * len(data)) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"cannot be read ({error})") from error
