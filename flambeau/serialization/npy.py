"""NumPy's files: single arrays (`.npy`) and zip files of them (`.npz`), without the pickles that they may hold.

Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import io
import math
import os
import struct
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

from flambeau import _api as torch
from flambeau._core.dtypes import FOREIGN
from flambeau._core.lazy import lazy_module
from flambeau.serialization.archive import DAMAGE, misfit
from flambeau.serialization.atomic import replacing

if TYPE_CHECKING:
    import ast
    import zipfile

    import numpy as np
else:
    ast = lazy_module("ast")
    np = lazy_module("numpy")
    zipfile = lazy_module("zipfile")

MAGIC = b"\x93NUMPY"
LENGTHS = {1: struct.Struct("<H"), 2: struct.Struct("<I"), 3: struct.Struct("<I")}  # of the header, by version
LONGEST_HEADER = 10_000
MOST_DIMENSIONS = 64
KINDS = "biufc"  # the kinds of dtype that a tensor can have


def load_npy(f: str | os.PathLike[str] | IO[bytes]) -> torch.Tensor:
    """The array in a `.npy` file, a path or a binary file, as a tensor with memory of its own.

    ValueError, naming the file, if it is damaged, something else, or holds Python objects, texts or records.

    Example::

        >>> import io, numpy
        >>> numpy.save(file := io.BytesIO(), numpy.arange(3.0))
        >>> _ = file.seek(0)
        >>> load_npy(file)
        tensor([0., 1., 2.], dtype=torch.float64)
    """
    if isinstance(f, str | os.PathLike):
        with open(f, "rb") as file:
            return torch.from_numpy(_array(file.read(), os.fspath(f)))
    return torch.from_numpy(_array(f.read(), getattr(f, "name", None) or f"<{type(f).__name__}>"))


def load_npz(f: str | os.PathLike[str] | IO[bytes]) -> dict[str, torch.Tensor]:
    """The arrays in a `.npz` file by name, as `load_npy` reads them; their checksums are compared."""
    name = os.fspath(f) if isinstance(f, str | os.PathLike) else f"<{type(f).__name__}>"
    if not isinstance(f, str | os.PathLike):
        return _arrays(f, name)
    with open(f, "rb") as file:
        return _arrays(file, name)


def save_npy(f: str | os.PathLike[str] | IO[bytes], t: torch.Tensor) -> None:
    """Write a tensor as a `.npy` file; a path is replaced at once. TypeError for bfloat16, which NumPy lacks."""
    _write(f, lambda file: np.lib.format.write_array(file, _plain(t), allow_pickle=False))


def save_npz(f: str | os.PathLike[str] | IO[bytes], tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors by their names as a `.npz` file; errors as for `save_npy`."""
    arrays = {name: _plain(t) for name, t in tensors.items()}

    def write(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as record:
                    np.lib.format.write_array(record, array, allow_pickle=False)

    _write(f, write)


def _write(f: Any, write: Any) -> None:
    if isinstance(f, str | os.PathLike):
        with replacing(os.fspath(f)) as file:
            write(file)
    else:
        write(f)


def _plain(t: torch.Tensor) -> np.ndarray:
    if t.dtype in FOREIGN:
        hint = "save t.float(), or use safetensors or torch.save"
        raise TypeError(f"NumPy's files have no {t.dtype.name}\n  hint: {hint}")
    return t.detach().numpy()


def _arrays(file: IO[bytes], name: str) -> dict[str, torch.Tensor]:
    try:
        size = file.seek(0, os.SEEK_END)
        with zipfile.ZipFile(file) as archive:
            records = archive.infolist()
            if wrong := misfit(records, size):
                raise ValueError(wrong)
            found = {}
            for info in records:
                array = _array(archive.read(info), f"{name}: {info.filename}")
                found[info.filename.removesuffix(".npy")] = torch.from_numpy(array)
            return found
    except (zipfile.BadZipFile, *DAMAGE) as error:
        raise ValueError(f"{name} is no readable .npz file: {error}") from error


def _array(data: bytes, name: str) -> np.ndarray:
    """The array that the bytes of a `.npy` file hold, in memory that can be written to."""
    if not data.startswith(MAGIC):
        raise ValueError(f"{name} is not a file of NumPy: it does not begin with {MAGIC!r}")
    shape, fortran, kind, begin = _header(data, name)
    expected = math.prod(shape) * kind.itemsize
    if len(data) - begin != expected:
        raise ValueError(f"{name} is damaged: it has {len(data) - begin} bytes of data, its shape needs {expected}")
    flat = np.frombuffer(bytearray(data[begin:]), kind)
    array = flat.reshape(shape, order="F" if fortran else "C")
    return array.astype(kind.newbyteorder("="), copy=False)


def _header(data: bytes, name: str) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, order, dtype, and where the elements begin."""
    stream = io.BytesIO(data)
    stream.seek(len(MAGIC))
    version = stream.read(2)
    length = LENGTHS.get(version[0]) if len(version) == 2 else None
    if length is None:
        raise ValueError(f"{name} has the version {tuple(version)} of NumPy's format; 1 to 3 are read")
    packed = stream.read(length.size)
    size = length.unpack(packed)[0] if len(packed) == length.size else 0
    text = stream.read(min(size, LONGEST_HEADER))
    try:
        if len(text) < size:
            raise ValueError("it is cut short, or too long")
        parsed = ast.literal_eval(text.decode("latin1" if version[0] < 3 else "utf-8"))
        shape, fortran, descr = parsed["shape"], parsed["fortran_order"], parsed["descr"]
        if not (isinstance(shape, tuple) and len(shape) <= MOST_DIMENSIONS and isinstance(fortran, bool)):
            raise ValueError("its shape is no tuple, or its order no bool")
        if not all(type(n) is int and 0 <= n < 2**63 for n in shape):
            raise ValueError("its shape has something else than sizes")
        kind = np.dtype(descr) if isinstance(descr, str) and descr.lstrip("<>|=")[:1] in KINDS else None
        if kind is None or kind.kind not in KINDS:
            raise ValueError(f"its dtype {str(descr)[:50]!r} is none that a tensor can have; objects are never read")
    except (ValueError, TypeError, KeyError, SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"{name} has a header that is not read: {str(error)[:200]}") from error
    return shape, fortran, kind, stream.tell()
