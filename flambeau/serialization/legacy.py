"""The format of PyTorch before 2020: pickles one after the other, then the bytes of the storages."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from pickle import UnpicklingError
from typing import IO, TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module
from flambeau.serialization.memory import storage_over
from flambeau.serialization.names import Allowed
from flambeau.serialization.reading import Machine, parse_storage_id

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001
SIZE = struct.Struct("<q")


def load(file: IO[bytes], name: str, where: Any, allowed: Allowed, encoding: str) -> Any:
    """Read such a file from where it stands."""

    def plain() -> Any:
        return Machine(_no_storage, allowed, encoding).run(file)

    _check_start(plain)
    arrays: dict[str, tuple[Any, int]] = {}
    storages: dict[str, Any] = {}
    bound = _size(file)

    def storage_of(persistent_id: Any, place: str) -> Any:
        kind, key, location, size = parse_storage_id(persistent_id)
        if key not in storages:
            itemsize = kind.dtype.itemsize if kind.dtype else 1
            if size * itemsize > bound:
                raise RuntimeError(f"{name} is damaged: storage {key} ({place}) would be larger than the file")
            array = np.zeros(size * itemsize, np.uint8)
            arrays[key] = array, itemsize
            storages[key] = where.restored(storage_over(array, kind.dtype), location)
        return storages[key]

    # The bytes come after the objects, but some objects look at them when they are made: make the objects twice.
    begin = file.tell()
    Machine(storage_of, allowed, encoding).run(file)
    keys = plain()
    if not isinstance(keys, list) or set(map(str, keys)) != set(arrays):
        raise RuntimeError(f"{name} is damaged: its list of storages does not fit its tensors")
    for key in keys:
        _fill(*arrays[key], file, f"{name} is damaged: storage {key}")
    end = file.tell()
    file.seek(begin)
    result = Machine(storage_of, allowed, encoding).run(file)
    file.seek(end)
    return result


def _check_start(plain: Callable[[], Any]) -> None:
    """Read the three objects that tell the format."""
    if plain() != MAGIC_NUMBER:
        raise UnpicklingError("it is neither a zip file nor the older kind of checkpoint")
    if (version := plain()) != PROTOCOL_VERSION:
        raise UnpicklingError(f"protocol version {version} is unknown, only {PROTOCOL_VERSION} is read")
    match plain():
        case {"little_endian": bool(little)} if little == (sys.byteorder == "little"):
            pass
        case system:
            raise UnpicklingError(f"it was written on another kind of machine: {system}")


def _fill(array: Any, itemsize: int, file: IO[bytes], damaged: str) -> None:
    """Read the bytes of one storage: their number of elements, then they themselves."""
    header = file.read(SIZE.size)
    if len(header) < SIZE.size or SIZE.unpack(header)[0] * itemsize != array.nbytes:
        raise RuntimeError(f"{damaged} is missing or has another size; the file may be incomplete")
    data = file.read(array.nbytes)
    if len(data) < array.nbytes:
        raise RuntimeError(f"{damaged} ends after {len(data)} of {array.nbytes} bytes")
    array[:] = np.frombuffer(data, np.uint8)


def _no_storage(persistent_id: Any, place: str) -> Any:
    raise UnpicklingError("a tensor where none is expected")


def _size(file: IO[bytes]) -> int:
    position = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(position)
    return end
