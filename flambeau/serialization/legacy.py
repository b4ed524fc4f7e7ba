"""The format of PyTorch before 2020: pickles one after the other, then the bytes of the storages."""

from __future__ import annotations

import os
import pickle
import struct
import sys
from collections.abc import Callable, Sequence
from pickle import UnpicklingError
from typing import IO, TYPE_CHECKING, Any

from flambeau import _api as torch
from flambeau._core.lazy import lazy_module
from flambeau.serialization import rebuild
from flambeau.serialization.memory import storage_over
from flambeau.serialization.names import Allowed, described
from flambeau.serialization.places import damaged
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
    bounded: Any = Bounded(file)

    def plain() -> Any:
        return Machine(_no_storage, allowed, encoding).run(bounded)

    _check_start(plain)
    arrays: dict[str, tuple[Any, int]] = {}
    storages: dict[str, Any] = {}
    free = bounded.end

    def storage_of(persistent_id: Any) -> Any:
        nonlocal free
        kind, key, location, size = parse_storage_id(persistent_id)
        if key not in storages:
            itemsize = kind.dtype.itemsize if kind.dtype else 1
            free -= size * itemsize
            if free < 0:
                raise RuntimeError(f"{name} is damaged: its storages, {key!r} the last, would be larger than the file")
            array = np.zeros(size * itemsize, np.uint8)
            arrays[key] = array, itemsize
            storages[key] = where.restored(storage_over(array, kind.dtype), location)
        return storages[key]

    # The bytes come after the objects, but some objects look at them when they are made: make the objects twice.
    begin = file.tell()
    objects = Machine(storage_of, Sketch(allowed), encoding).run(bounded)
    keys = plain()
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or set(keys) != set(arrays):
        raise RuntimeError(f"{name} is damaged: its list of storages does not fit its tensors")
    for key in keys:
        if damage := _fill(*arrays[key], file):
            raise damaged(name, objects, storages, {key: damage})
    end = file.tell()
    file.seek(begin)
    result = Machine(storage_of, allowed, encoding).run(bounded)
    file.seek(end)
    return result


class Sketch(Allowed):
    """What a first reading may use: sparse tensors, which check their indices, wait for the bytes."""

    def __init__(self, allowed: Allowed) -> None:
        vars(self).update(vars(allowed))

    def call(self, function: Any, args: tuple[Any, ...]) -> Any:
        """Call what a file may call, except what looks at the bytes."""
        return torch.empty(0) if function is rebuild.sparse_tensor else super().call(function, args)


class Bounded:
    """A file that is asked for no more than it has: Python takes memory for all that is asked for, before it reads."""

    def __init__(self, file: IO[bytes]) -> None:
        position = file.tell()
        self.end = file.seek(0, os.SEEK_END)
        file.seek(position)
        self._file = file
        self.tell = file.tell
        self.readline = file.readline

    def read(self, count: int) -> bytes:
        """The next `count` bytes, or those that are left."""
        return self._file.read(count if count < 4096 else min(count, self.end - self._file.tell()))


def save(file: IO[bytes], objects: bytes, storages: Sequence[tuple[int, Callable[[], np.ndarray]]]) -> None:
    """Write such a file: a pickle of objects, and for each storage its number of elements and its bytes."""
    sizes = {"short": 2, "int": 4, "long": 4}
    system = {"protocol_version": PROTOCOL_VERSION, "little_endian": sys.byteorder == "little", "type_sizes": sizes}
    for part in (MAGIC_NUMBER, PROTOCOL_VERSION, system):
        file.write(pickle.dumps(part, 2))
    file.write(objects)
    order = sorted(range(len(storages)), key=str)
    file.write(pickle.dumps([str(number) for number in order], 2))
    for number in order:
        count, content = storages[number]
        file.write(SIZE.pack(count))
        file.write(content().data)


def _check_start(plain: Callable[[], Any]) -> None:
    """Read the three objects that tell the format."""
    if not _is(plain(), MAGIC_NUMBER):
        raise UnpicklingError("it is neither a zip file nor the older kind of checkpoint")
    if not _is(version := plain(), PROTOCOL_VERSION):
        raise UnpicklingError(f"protocol version {described(version)} is unknown, only {PROTOCOL_VERSION} is read")
    match plain():
        case {"little_endian": bool(little)} if little == (sys.byteorder == "little"):
            pass
        case system:
            raise UnpicklingError(f"it was written on another kind of machine: {described(system)}")


def _is(value: Any, number: int) -> bool:
    return type(value) is int and value == number


def _fill(array: Any, itemsize: int, file: IO[bytes]) -> str | None:
    """Read the bytes of one storage: their number of elements, then they themselves. What is wrong with them."""
    header = file.read(SIZE.size)
    if len(header) < SIZE.size or SIZE.unpack(header)[0] * itemsize != array.nbytes:
        return "it is missing or has another size; the file may be incomplete"
    data = file.read(array.nbytes)
    if len(data) < array.nbytes:
        return f"it ends after {len(data)} of {array.nbytes} bytes"
    array[:] = np.frombuffer(data, np.uint8)
    return None


def _no_storage(persistent_id: Any) -> Any:
    raise UnpicklingError("a tensor where none is expected")
