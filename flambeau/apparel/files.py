"""Writing that either happens completely or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from flambeau._core.lazy import lazy_module
from flambeau.apparel.errors import ApparelError

if TYPE_CHECKING:
    import tempfile
else:
    tempfile = lazy_module("tempfile")


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends well it takes the place of `path`, else it vanishes.

    A reader therefore sees the old file or the new one, never half of one. The suffix of `path` is kept, since many
    writers choose a format by it.
    """
    make_folder(path.parent)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes files private
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a whole text file atomically, in UTF-8 with plain newlines."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
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
