"""The container of a checkpoint: a zip file with a pickle and one uncompressed record for each storage.

    archive/data.pkl              the objects; tensors name their storage by its number
    archive/data/0, /1, ...       the bytes of the storages, each beginning at a multiple of 64
    archive/byteorder, /version   "little" or "big"; the version of this layout

This is PyTorch's format. Its checksums tell which storage of a damaged file is affected.
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import zipfile

    import numpy as np
else:
    zipfile = lazy_module("zipfile")
    np = lazy_module("numpy")

SIGNATURE = b"PK\x03\x04"
ALIGNMENT = 64
ROOT = "archive"
LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature; lengths of the name and of the extra field
PADDING_FIELD = b"FB"  # the extra field that PyTorch fills up to the alignment
ZIP64_FIELD_BYTES = 20
ZIP64_FROM = 1 << 30  # records of this size get 64-bit sizes, well before they need them
CHUNK = 1 << 20  # read at a time, so that the checksum finds the bytes in the cache
DAMAGE = (
    EOFError, KeyError, NotImplementedError, OSError, OverflowError, RuntimeError, ValueError, struct.error, zlib.error,
)  # fmt: skip  # what reading a damaged zip file may raise, beside BadZipFile
FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # the same objects give the same file


def write(file: IO[bytes], pickled: bytes, storages: Iterable[Any]) -> None:
    """Write a checkpoint: the pickle, then the storages in the order of their numbers."""
    with zipfile.ZipFile(file, "w") as archive:
        _add(archive, "data.pkl", pickled)
        _add(archive, ".format_version", b"1")
        _add(archive, ".storage_alignment", str(ALIGNMENT).encode())
        _add(archive, "byteorder", sys.byteorder.encode())
        for number, data in enumerate(storages):
            _add(archive, f"data/{number}", data)
        _add(archive, "version", b"3\n")


def _add(archive: zipfile.ZipFile, name: str, data: Any) -> None:
    record = zipfile.ZipInfo(f"{ROOT}/{name}", FIRST_DATE)
    record.file_size = memoryview(data).nbytes
    large = record.file_size >= ZIP64_FROM
    assert archive.fp is not None
    begin = archive.fp.tell() + LOCAL_HEADER.size + len(record.filename) + ZIP64_FIELD_BYTES * large
    padding = -(begin + 4) % ALIGNMENT
    record.extra = PADDING_FIELD + struct.pack("<H", padding) + bytes(padding)
    with archive.open(record, "w", force_zip64=large) as out:
        out.write(data)


class Reader:
    """A checkpoint opened for reading. Errors are RuntimeErrors that name the file and the record."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.name = name
        self._file = file
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, *DAMAGE) as error:
            raise RuntimeError(
                f"{name} is damaged: failed finding its zip directory ({error})\n"
                "  hint: the file is probably incomplete; copy or save it again"
            ) from error
        names = self._zip.namelist()
        roots = [record.removesuffix("data.pkl") for record in names if record.endswith("/data.pkl")]
        if not roots:
            raise RuntimeError(f"{name} is a zip file but no checkpoint: it holds no data.pkl")
        self._root = min(roots, key=len)
        if self._root + "constants.pkl" in names:
            raise RuntimeError(
                f"{name} is a TorchScript archive, which holds a program\n"
                "  hint: save the weights with torch.save(model.state_dict(), ...) instead"
            )
        order = self.read("byteorder").decode("ascii", "replace") if self._root + "byteorder" in names else "little"
        if order not in ("little", "big"):
            raise RuntimeError(f"{name} is damaged: its byte order is {order!r}")
        self.swapped = order != sys.byteorder

    def read(self, record: str) -> bytes:
        """The bytes of a small record."""
        try:
            return self._zip.read(self._root + record)
        except (zipfile.BadZipFile, *DAMAGE) as error:
            raise RuntimeError(f"{self.name} is damaged: cannot read its record {record!r} ({error})") from error

    def storage(self, key: str, nbytes: int, where: str) -> np.ndarray:
        """The bytes of a storage, in memory of their own. `where` says what they belong to, for errors."""
        info, begin = self._find(key, nbytes, where)
        data = np.empty(nbytes, np.uint8)
        if info.compress_type == zipfile.ZIP_STORED:
            self._file.seek(begin)
            read, checksum, target = 0, 0, data.data
            while read < nbytes and (count := self._read_into(target[read : read + CHUNK])):
                checksum = zlib.crc32(target[read : read + count], checksum)
                read += count
            if read < nbytes:
                raise self._damaged(key, where, f"it ends after {read} of {nbytes} bytes")
            if checksum != info.CRC:
                raise self._damaged(key, where, f"its checksum is {checksum:08x}, not {info.CRC:08x}")
        else:
            data[:] = np.frombuffer(self.read(f"data/{key}"), np.uint8)
        return data

    def mapped(self, path: str, key: str, nbytes: int, where: str) -> np.ndarray:
        """The bytes of a storage as they are in the file, read when used and unchecked; writes stay in memory."""
        info, begin = self._find(key, nbytes, where)
        if info.compress_type != zipfile.ZIP_STORED:
            raise self._damaged(key, where, "it is compressed, which mmap=True cannot read")
        return np.asarray(np.memmap(path, np.uint8, "c", begin, (nbytes,))) if nbytes else np.empty(0, np.uint8)

    def _find(self, key: str, nbytes: int, where: str) -> tuple[zipfile.ZipInfo, int]:
        """The directory's entry of a storage, and where its bytes begin."""
        try:
            info = self._zip.getinfo(f"{self._root}data/{key}")
        except KeyError:
            raise self._damaged(key, where, "it is missing") from None
        if info.file_size != nbytes:
            raise self._damaged(key, where, f"it has {info.file_size} bytes, not {nbytes}")
        header = b""
        if info.header_offset >= 0:
            self._file.seek(info.header_offset)
            header = self._file.read(LOCAL_HEADER.size)
        if len(header) < LOCAL_HEADER.size or not header.startswith(SIGNATURE):
            raise self._damaged(key, where, "its header is not where the zip directory says")
        _, name_length, extra_length = LOCAL_HEADER.unpack(header)
        return info, info.header_offset + LOCAL_HEADER.size + name_length + extra_length

    def _read_into(self, target: memoryview) -> int:
        if hasattr(self._file, "readinto"):
            return self._file.readinto(target) or 0
        piece = self._file.read(len(target))
        target[: len(piece)] = piece
        return len(piece)

    def _damaged(self, key: str, where: str, what: str) -> RuntimeError:
        return RuntimeError(
            f"{self.name} is damaged: storage {key} ({where}): {what}\n  hint: copy or save the file again"
        )
