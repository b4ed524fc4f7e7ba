"""`torch.load`."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from pickle import UnpicklingError
from typing import IO, Any

from flambeau import _api as torch
from flambeau.serialization import archive, kinds, legacy, options
from flambeau.serialization.memory import storage_over
from flambeau.serialization.names import Allowed
from flambeau.serialization.options import LoadEndianness
from flambeau.serialization.places import damaged
from flambeau.serialization.reading import Machine, parse_storage_id

MapLocation = Callable[[Any, str], Any] | torch.device | str | dict[str, str] | None


def load(
    f: str | os.PathLike[str] | IO[bytes],
    map_location: MapLocation = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    encoding: str = "utf-8",
) -> Any:
    """Read what `save`, of this library or of PyTorch, has written. No code of the file is ever run.

    `f` is a path or a binary file that can seek. `map_location` tells where tensors go: a device, a dict from saved
    locations to devices, or a function of a storage and its location that returns a storage or None. With `mmap` the
    memory of tensors is read from the file, which must be a path, when it is used. `encoding` is for text from Python
    2.

    Objects may be containers, numbers, text, bytes, tensors, parameters, and classes allowed by `add_safe_globals`;
    `weights_only=False` allows the library's own modules too. `pickle.UnpicklingError` names what is refused.

    RuntimeError, naming file and storage, if the file is damaged or a tensor was saved on a device that is not here;
    EOFError for an empty file; FileNotFoundError; AttributeError for an `f` that cannot be read from; ValueError for
    mmap without a path."""
    if pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified; leave it out")
    with opened(f) as (file, name):
        if mmap and not isinstance(f, str | os.PathLike):
            raise ValueError("f must be a file name in order to use the mmap argument")
        where = Locations(map_location)
        allowed = Allowed(bool(weights_only) or weights_only is None)
        start = file.read(kinds.HEAD_BYTES)
        file.seek(-len(start), os.SEEK_CUR)
        if not start:
            raise EOFError(f"{name} is empty: Ran out of input")
        try:
            if start.startswith(archive.SIGNATURE):
                mapped = os.fspath(f) if mmap else None  # type: ignore[arg-type]
                return _from_zip(archive.Reader(file, name), mapped, where, allowed, encoding)
            if other := kinds.other_kind(start):
                raise UnpicklingError(f"it is no checkpoint but {other[0]}\n  hint: {other[1]}")
            if mmap:
                raise RuntimeError(f"{name}: mmap=True is for files in the zip format, and this one is older")
            return legacy.load(file, name, where, allowed, encoding)
        except UnpicklingError as error:
            raise UnpicklingError(f"Weights only load failed: {name}: {error}") from error.__cause__
        except RuntimeError as error:
            if name in str(error):
                raise
            raise RuntimeError(f"{name}: {error}") from error


def _from_zip(reader: archive.Reader, path: str | None, where: Locations, allowed: Allowed, encoding: str) -> Any:
    storages: dict[str, Any] = {}
    swapped = (reader.byte_order or _assumed_byte_order()) != sys.byteorder

    def storage_of(persistent_id: Any) -> Any:
        kind, key, location, size = parse_storage_id(persistent_id)
        if key not in storages:
            nbytes = size * (kind.dtype.itemsize if kind.dtype else 1)
            data = reader.storage(key, nbytes) if path is None else reader.mapped(path, key, nbytes)
            if swapped:
                if kind.dtype is None or path is not None:
                    raise RuntimeError(f"{reader.name} has the other byte order; storage {key} cannot be turned round")
                data.view(kind.dtype.numpy).byteswap(inplace=True)
            storages[key] = where.restored(storage_over(data, kind.dtype), location)
        return storages[key]

    objects = None
    try:
        objects = Machine(storage_of, allowed, encoding).run(io.BytesIO(reader.read("data.pkl")))
    except (UnpicklingError, RuntimeError):
        if not reader.damage:
            raise
    if reader.damage:
        raise damaged(reader.name, objects, storages, reader.damage)
    if path is None:
        reader.check_rest()
    return objects


def _assumed_byte_order() -> str:
    match options.get_default_load_endianness():
        case LoadEndianness.BIG:
            return "big"
        case LoadEndianness.NATIVE:
            return sys.byteorder
    return "little"


class Locations:
    """Where storages go."""

    def __init__(self, map_location: Any) -> None:
        if not (map_location is None or callable(map_location) or isinstance(map_location, str | torch.device | dict)):
            raise TypeError(
                f"map_location must be a device, a string, a dict or a function, got {type(map_location).__name__}"
            )
        self._map = map_location

    def restored(self, storage: Any, location: str) -> Any:
        """The storage on the device it is mapped to; RuntimeError if there is no such device here."""
        wanted: Any = location
        if callable(self._map):
            moved = self._map(storage, location)
            if moved is not None:
                return moved
        elif isinstance(self._map, dict):
            wanted = self._map.get(location, location)
        elif self._map is not None:
            wanted = self._map
        device = torch.device(wanted)
        if device.type != "cpu":
            raise RuntimeError(
                f"Attempting to deserialize object on a {device.type.upper()} device ({location!r} -> '{device}'), "
                "which is not available here\n  hint: load with map_location='cpu'"
            )
        return storage


@contextlib.contextmanager
def opened(f: Any) -> Iterator[tuple[IO[bytes], str]]:
    """The file and what errors call it."""
    if isinstance(f, str | os.PathLike):
        with open(f, "rb") as file:
            yield file, os.fspath(f)
        return
    for need in ("read", "seek", "tell"):
        if not hasattr(f, need):
            raise AttributeError(
                f"{type(f).__name__} has no {need}(): load() needs a path or a binary file that can seek\n"
                "  hint: read it into a buffer like io.BytesIO first"
            )
    yield f, getattr(f, "name", None) or f"<{type(f).__name__}>"
