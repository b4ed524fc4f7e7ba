"""The container of a checkpoint: a zip file with a pickle and one uncompressed record for each storage.

    archive/data.pkl              the objects; tensors name their storage by its number
    archive/data/0, /1, ...       the bytes of the storages, each beginning at a multiple of 64
    archive/byteorder, /version   "little" or "big"; the version of this layout

This is PyTorch's format. Its checksums tell which storage of a damaged file is affected.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib
from collections.abc import Iterable, Sequence
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
GROWTH = {0: 1, 8: 1032}  # stored and deflated: the most bytes that a byte of a record can stand for
UTF8 = 0x800  # the flag of names in UTF-8
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


def misfit(records: Sequence[zipfile.ZipInfo], size: int) -> str | None:
    """What is wrong with the sizes that the records of a zip file of `size` bytes declare: memory is taken by them."""
    for info in records:
        if info.file_size > info.compress_size * GROWTH.get(info.compress_type, 0):
            return (
                f"its record {info.filename!r} of {info.compress_size} bytes cannot hold the {info.file_size} bytes it "
                "promises"
            )
    if sum(info.compress_size for info in records) > size:
        return f"its records are larger than the file, {size} bytes"
    return None


class Reader:
    """A checkpoint opened for reading. Errors are RuntimeErrors that name the file and the record.

    What is wrong with the bytes of a storage waits in `damage`, by the storage's key, until the names of its tensors
    are known. Sizes that a file declares are held against its own size before memory is taken.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.name = name
        self.damage: dict[str, str] = {}
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, *DAMAGE) as error:
            raise RuntimeError(
                f"{name} is damaged: failed finding its zip directory ({error})\n"
                "  hint: the file is probably incomplete; copy or save it again"
            ) from error
        self._root = self._root_of(self._zip.namelist())
        self._unread = {record.filename for record in self._zip.infolist() if not record.filename.endswith("/")}
        self._unchecked = not any(record.CRC for record in self._zip.infolist())  # set_crc32_options(False) of PyTorch
        self._check_sizes()
        order = self.read("byteorder").decode("ascii", "replace") if self._has("byteorder") else None
        if order not in (None, "little", "big"):
            raise RuntimeError(f"{name} is damaged: its byte order is {order!r}")
        self.byte_order = order

    def _root_of(self, names: list[str]) -> str:
        """The folder of the records."""
        roots = [record.removesuffix("data.pkl") for record in names if record.endswith("/data.pkl")]
        if not roots:
            arrays = "\n  hint: its records are NumPy's arrays: flambeau.serialization.load_npz reads them"
            hint = arrays if names and all(record.endswith(".npy") for record in names) else ""
            raise RuntimeError(f"{self.name} is a zip file but no checkpoint: it holds no data.pkl{hint}")
        root = min(roots, key=len)
        if root + "constants.pkl" in names:
            raise RuntimeError(
                f"{self.name} is a TorchScript archive, which holds a program\n"
                "  hint: save the weights with torch.save(model.state_dict(), ...) instead"
            )
        return root

    def _has(self, record: str) -> bool:
        return self._root + record in self._zip.NameToInfo

    def _check_sizes(self) -> None:
        """The records together must fit into the file, and none may claim to unpack to more than it can."""
        records = self._zip.infolist()
        for info in records:
            if info.compress_type not in GROWTH:
                raise RuntimeError(f"{self.name}: its record {info.filename!r} is compressed in a way that is not read")
        if wrong := misfit(records, self._size):
            raise RuntimeError(f"{self.name} is damaged: {wrong}")

    def read(self, record: str) -> bytes:
        """The bytes of a small record."""
        return self._read(self._root + record)

    def _read(self, record: str) -> bytes:
        self._unread.discard(record)
        try:
            with self._zip.open(record) as file:
                if self._unchecked:
                    file._expected_crc = None  # type: ignore[attr-defined]
                return file.read()
        except (zipfile.BadZipFile, *DAMAGE) as error:
            short = record.removeprefix(self._root)
            raise RuntimeError(f"{self.name} is damaged: cannot read its record {short!r} ({error})") from error

    def check_rest(self) -> None:
        """Read what nothing has asked for, to have seen all checksums."""
        for record in sorted(self._unread):
            self._read(record)

    def storage(self, key: str, nbytes: int) -> np.ndarray:
        """The bytes of a storage, in memory of their own."""
        info, begin = self._find(key, nbytes)
        if info is None:
            return self._blank(key, nbytes)
        if info.compress_type != zipfile.ZIP_STORED:
            unpacked = self.read(f"data/{key}")
            if len(unpacked) != nbytes:
                self.damage[key] = f"{len(unpacked)} bytes, not {nbytes}"
                return self._blank(key, nbytes)
            return np.frombuffer(bytearray(unpacked), np.uint8)
        data = np.empty(nbytes, np.uint8)
        self._file.seek(begin)
        read, checksum, target = 0, 0, data.data
        while read < nbytes and (count := self._read_into(target[read : read + CHUNK])):
            if not self._unchecked:
                checksum = zlib.crc32(target[read : read + count], checksum)
            read += count
        if read < nbytes:
            self.damage[key] = f"it ends after {read} of {nbytes} bytes"
        elif checksum != info.CRC and not self._unchecked:
            self.damage[key] = f"its CRC-32 is {checksum:08x}, the file says {info.CRC:08x}"
        return data

    def mapped(self, path: str, key: str, nbytes: int) -> np.ndarray:
        """The bytes of a storage as they are in the file, read when used and unchecked; writes stay in memory.

        What does not begin at a multiple of 8 bytes is read at once, into memory of its own."""
        info, begin = self._find(key, nbytes)
        if info is None or info.compress_type != zipfile.ZIP_STORED or begin % 8 or not nbytes:
            return self.storage(key, nbytes)
        if begin + nbytes > self._size:
            self.damage[key] = f"it ends after {max(self._size - begin, 0)} of {nbytes} bytes"
            return self._blank(key, nbytes)
        return np.asarray(np.memmap(path, np.uint8, "c", begin, (nbytes,)))

    def _find(self, key: str, nbytes: int) -> tuple[zipfile.ZipInfo | None, int]:
        """The directory's entry of a storage, None if it is not there as it should be, and where its bytes begin."""
        record = f"{self._root}data/{key}"
        self._unread.discard(record)
        info = self._zip.NameToInfo.get(record)
        if info is None:
            self.damage[key] = f"its record data/{key} is missing"
            return None, 0
        if info.file_size != nbytes:
            self.damage[key] = f"its record data/{key} has {info.file_size} bytes, not {nbytes}"
            return None, 0
        header = name = b""
        if info.header_offset >= 0:
            self._file.seek(info.header_offset)
            header = self._file.read(LOCAL_HEADER.size)
        if len(header) == LOCAL_HEADER.size and header.startswith(SIGNATURE):
            _, name_length, extra_length = LOCAL_HEADER.unpack(header)
            name = self._file.read(name_length)
            if name == info.orig_filename.encode("utf-8" if info.flag_bits & UTF8 else "cp437"):
                return info, info.header_offset + LOCAL_HEADER.size + name_length + extra_length
        self.damage[key] = f"the header of its record data/{key} is not where the zip directory says"
        return None, 0

    def _blank(self, key: str, nbytes: int) -> np.ndarray:
        """What stands for a storage that cannot be read until the error is raised; all of them share one memory."""
        if nbytes > self._size:
            raise RuntimeError(f"{self.name} is damaged: the data of storage {key}: {self.damage[key]}")
        if not hasattr(self, "_zeros"):
            self._zeros = np.zeros(self._size, np.uint8)
        return self._zeros[:nbytes]

    def _read_into(self, target: memoryview) -> int:
        if hasattr(self._file, "readinto"):
            return self._file.readinto(target) or 0
        piece = self._file.read(len(target))
        target[: len(piece)] = piece
        return len(piece)
