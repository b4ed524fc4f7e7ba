"""Data pipes of files: their paths, the open files, what is in them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from typing import Any

from flambeau.utils.data.datapipes.datapipe import IterDataPipe, functional_datapipe


class _OfLength(IterDataPipe):
    """A pipe whose length is what it was told; TypeError if that is -1."""

    length: int

    def __len__(self) -> int:
        if self.length == -1:
            raise TypeError(f"{type(self).__name__} instance doesn't have valid length")
        return self.length


@functional_datapipe("list_files")
class FileLister(_OfLength):
    """The paths of files in a folder, or in those that a list or pipe names, in alphabetical order unless
    `non_deterministic`; of those whose names match one of the `masks` (as "*.txt"; all by default), also in folders
    inside if `recursive`."""

    def __init__(
        self,
        root: Any = ".",
        masks: str | Sequence[str] = "",
        *,
        recursive: bool = False,
        abspath: bool = False,
        non_deterministic: bool = False,
        length: int = -1,
    ) -> None:
        self.roots = [root] if isinstance(root, (str, os.PathLike)) else root
        self.masks = [masks] if isinstance(masks, str) else list(masks)
        self.recursive, self.abspath, self.ordered, self.length = recursive, abspath, not non_deterministic, length

    def __iter__(self) -> Iterator[str]:
        for root in self.roots:
            root = os.path.abspath(root) if self.abspath else os.fspath(root)
            if os.path.isfile(root):
                if self._matches(os.path.basename(root)):
                    yield root
                continue
            for folder, inner, files in os.walk(root):
                if self.ordered:
                    inner.sort()
                    files.sort()
                yield from (os.path.join(folder, file) for file in files if self._matches(file))
                if not self.recursive:
                    break

    def _matches(self, name: str) -> bool:
        return self.masks == [""] or any(fnmatch(name, mask) for mask in self.masks)


@functional_datapipe("open_files")
class FileOpener(_OfLength):
    """(path, open file) of each path. Who reads a file closes it, as `StreamReader` does. ValueError for a `mode` other
    than for reading."""

    def __init__(self, datapipe: Any, mode: str = "r", encoding: str | None = None, length: int = -1) -> None:
        if mode not in ("b", "t", "rb", "rt", "r"):
            raise ValueError(f"Invalid mode {mode}")
        if "b" in mode and encoding is not None:
            raise ValueError("Binary mode doesn't take an encoding argument")
        self.datapipe, self.encoding, self.length = datapipe, encoding, length
        self.mode = mode if mode.startswith("r") else "r" + mode

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for path in self.datapipe:
            yield path, open(path, self.mode, encoding=self.encoding)


@functional_datapipe("read_from_stream")
class StreamReader(IterDataPipe):
    """(path, content) of each (path, open file), in parts of `chunk` bytes or characters if it is given; closes the
    file.

    Example::

        >>> import io
        >>> from flambeau.utils.data.datapipes.iter import IterableWrapper
        >>> list(IterableWrapper([("a", io.StringIO("xyz"))]).read_from_stream(chunk=2))
        [('a', 'xy'), ('a', 'z')]
    """

    def __init__(self, datapipe: Any, chunk: int | None = None) -> None:
        self.datapipe, self.chunk = datapipe, chunk

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for path, file in self.datapipe:
            with file:
                while part := file.read(self.chunk):
                    yield path, part
