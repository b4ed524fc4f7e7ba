"""Writing that either happens completely or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from flambeau._core.lazy import lazy_module
from flambeau.apparel.errors import ApparelError
from flambeau.serialization.atomic import replacing

if TYPE_CHECKING:
    import tempfile
else:
    tempfile = lazy_module("tempfile")


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file that takes the place of `path` if the block ends well; its folder is made if it is missing."""
    make_folder(path.parent)
    with replacing(str(path)) as file:
        yield file


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, in UTF-8 with plain newlines."""
    with whole_file(path) as file:
        file.write(text.encode())


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give an empty temporary folder; when the block ends well it takes the place of `path`, else it vanishes.

    A folder that already stands at `path` is moved aside first and removed after the new one is in place.
    """
    make_folder(path.parent)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        _swap(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def make_folder(path: Path) -> None:
    """Make a folder and its parents; an obstacle becomes a one-line error."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ApparelError(f"cannot make the folder {path}: {error.strerror or error}") from error


def _swap(new: Path, path: Path) -> None:
    if not path.exists():
        new.rename(path)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}-old-", dir=path.parent))
    path.rename(aside / path.name)
    try:
        new.rename(path)
    except BaseException:
        (aside / path.name).rename(path)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
