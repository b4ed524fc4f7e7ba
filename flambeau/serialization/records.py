"""The zip files that `torch.save` writes, record by record (`torch.PyTorchFileReader`, `torch.PyTorchFileWriter`)."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import zipfile
else:
    zipfile = lazy_module("zipfile")

VERSION = 3  # of the format, as PyTorch writes it


class PyTorchFileReader:
    """The records of a file, given by its name or as something to read from. RuntimeError if it is no such file.

    Example::

        >>> import io, flambeau as torch
        >>> file = io.BytesIO()
        >>> writer = torch.PyTorchFileWriter(file)
        >>> writer.write_record("note", b"hello", 5)
        >>> writer.write_end_of_file()
        >>> reader = torch.PyTorchFileReader(file)
        >>> reader.get_record("note"), reader.has_record("other"), reader.version()
        (b'hello', False, 3)
    """

    def __init__(self, file: str | os.PathLike[str] | IO[bytes]) -> None:
        try:
            self._zip = zipfile.ZipFile(file)
            self._folder = self._zip.namelist()[0].partition("/")[0] + "/"
        except (zipfile.BadZipFile, IndexError) as error:
            raise RuntimeError(f"PytorchStreamReader failed reading zip archive: {error}") from error

    def get_all_records(self) -> list[str]:
        """The names of the records."""
        return [name.removeprefix(self._folder) for name in self._zip.namelist()]

    def has_record(self, name: str) -> bool:
        """Is there a record of that name?"""
        return self._folder + name in self._zip.namelist()

    def get_record(self, name: str) -> bytes:
        """The bytes of a record, whose checksum is verified; RuntimeError if there is none or it is damaged."""
        try:
            return self._zip.read(self._folder + name)
        except KeyError as error:
            raise RuntimeError(f"PytorchStreamReader failed locating file {name}: file not found") from error
        except zipfile.BadZipFile as error:
            raise RuntimeError(f"PytorchStreamReader failed reading file {name}: {error}") from error

    def version(self) -> int:
        """The version of the format."""
        return int(self.get_record("version" if self.has_record("version") else ".data/version"))


class PyTorchFileWriter:
    """Writes records into a file, given by its name or as something to write to; `write_end_of_file` ends it."""

    def __init__(self, file: str | os.PathLike[str] | IO[bytes], *options: Any) -> None:
        named = isinstance(file, str | os.PathLike)
        self._name = os.path.splitext(os.path.basename(os.fspath(file)))[0] if named else "archive"  # type: ignore
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)
        self._written: list[str] = []

    def archive_name(self) -> str:
        """The folder within the file that the records stand in."""
        return self._name

    def write_record(self, name: str, data: Any, size: int) -> None:
        """Add a record of the first `size` bytes of `data`. RuntimeError if there is one of that name."""
        if name in self._written:
            raise RuntimeError(f"Tried to serialize file twice: {name}")
        self._zip.writestr(f"{self._name}/{name}", bytes(memoryview(data).cast("B")[:size]))
        self._written.append(name)

    def get_all_written_records(self) -> list[str]:
        """The names of the records that have been added."""
        return list(self._written)

    def write_end_of_file(self) -> None:
        """Add the version of the format, and end the file."""
        self.write_record("version", f"{VERSION}\n".encode(), len(f"{VERSION}\n"))
        self._zip.close()
