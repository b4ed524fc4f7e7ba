"""Files of data sets: checksums and downloads."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flambeau._core.errors import explain
from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import urllib.request as urllib_request
else:
    urllib_request = lazy_module("urllib.request")

TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz")
PACKERS: dict[str, Any] = {".gz": lazy_module("gzip"), ".bz2": lazy_module("bz2"), ".xz": lazy_module("lzma")}

TIMEOUT = 20.0  # seconds without an answer


def calculate_md5(fpath: str | Path, chunk_size: int = 1 << 20) -> str:
    """The MD5 sum of a file, in hexadecimal digits."""
    md5 = hashlib.md5(usedforsecurity=False)
    with open(fpath, "rb") as file:
        while part := file.read(chunk_size):
            md5.update(part)
    return md5.hexdigest()


def check_integrity(fpath: str | Path, md5: str | None = None) -> bool:
    """Is the file there, with this MD5 sum if one is given?"""
    return os.path.isfile(fpath) and (md5 is None or calculate_md5(fpath) == md5)


def fetch(addresses: Iterable[str], path: Path, md5: str | None) -> None:
    """Get a file from the first address that has it; a file that is there with the right sum, if one is given, is kept.

    Raises:
        RuntimeError: if no address has it; says what each of them answered, and where to put the file by hand.
    """
    if check_integrity(path, md5):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    answers = []
    for address in addresses:
        try:
            with urllib_request.urlopen(address, timeout=TIMEOUT) as answer:
                data = answer.read()
        except (OSError, ValueError) as error:  # ValueError: a malformed answer
            answers.append(f"{address}: {error}")
            continue
        found = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if md5 is None or found == md5:
            part = path.with_name(path.name + ".part")
            part.write_bytes(data)
            part.replace(path)
            return
        answers.append(f"{address}: the MD5 sum is {found}, expected {md5}")
    fact = f"Error downloading {path.name}: " + "; ".join(answers)
    raise RuntimeError(explain(fact, hint=f"get the file by other means and put it at {path}"))


def download_url(
    url: str, root: str | Path, filename: str | Path | None = None, md5: str | None = None, max_redirect_hops: int = 3
) -> None:
    """Get a file into the folder `root`, under its own name or as `filename`; one that is there, with the right sum if
    one is given, is kept. `max_redirect_hops` has no effect: `urllib` follows as many as it thinks right.

    Raises:
        RuntimeError: if that fails; says what was answered, and where to put the file by hand.
    """
    path = Path(root).expanduser() / (filename or os.path.basename(url))
    if "drive.google.com" in url and not check_integrity(path, md5):
        fact = f"{url} gives a page, not the file: Google Drive wants to be asked again"
        raise RuntimeError(explain(fact, hint=f"get the file by other means and put it at {path}"))
    fetch([url], path, md5)


def download_and_extract_archive(
    url: str, download_root: str | Path, extract_root: str | Path | None = None, filename: str | Path | None = None,
    md5: str | None = None, remove_finished: bool = False,
) -> None:  # fmt: skip
    """`download_url` into `download_root`, and then `extract_archive` into `extract_root`, or where the file is."""
    folder = Path(download_root).expanduser()
    download_url(url, folder, filename, md5)
    extract_archive(folder / (filename or os.path.basename(url)), extract_root or folder, remove_finished)


def extract_archive(from_path: str | Path, to_path: str | Path | None = None, remove_finished: bool = False) -> Any:
    """Unpack a file into the folder `to_path`, or beside it: a tar or zip file, which is told by its name's end, or a
    single file that is packed. `remove_finished` removes the archive. Gives the path of what was unpacked, of the type
    of `from_path`.

    Raises:
        RuntimeError: for an end that is not known.
    """
    archive = Path(from_path)
    folder = archive.parent if to_path is None else Path(to_path)
    result = folder
    if archive.name.endswith(TAR_ENDINGS):
        unpack(archive, folder)
    elif archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as files:
            files.extractall(folder)
    elif archive.suffix in PACKERS:
        result = folder / archive.stem
        with PACKERS[archive.suffix].open(archive) as packed, open(result, "wb") as file:
            shutil.copyfileobj(packed, file)
    else:
        known = ", ".join((*TAR_ENDINGS, ".zip", *PACKERS))
        fact = f"Unknown compression or archive type: {archive.name!r}"
        raise RuntimeError(explain(fact, hint=f"known ends of names are {known}"))
    if remove_finished:
        archive.unlink()
    return str(result) if isinstance(from_path, str) else result


def list_dir(root: str | Path, prefix: bool = False) -> list[str]:
    """The names of the folders in `root`, or with `prefix` their paths."""
    return _listed(root, prefix, os.path.isdir)


def list_files(root: str | Path, suffix: str | tuple[str, ...], prefix: bool = False) -> list[str]:
    """The names of the files in `root` that end so, or with `prefix` their paths."""
    return [name for name in _listed(root, prefix, os.path.isfile) if name.endswith(suffix)]


def _listed(root: str | Path, prefix: bool, wanted: Callable[[str], bool]) -> list[str]:
    folder = os.path.expanduser(root)
    paths = {name: os.path.join(folder, name) for name in os.listdir(folder)}
    return [path if prefix else name for name, path in paths.items() if wanted(path)]


def verify_str_arg(
    value: str, arg: str | None = None, valid_values: Iterable[str] | None = None, custom_msg: str | None = None
) -> str:
    """`value`, if it is a text and one of `valid_values`.

    Raises:
        ValueError: else; it names the argument `arg`, or is `custom_msg`.

    Example::

        >>> verify_str_arg("train", "split", ("train", "test"))
        'train'
    """
    if not isinstance(value, str):
        argument = "" if arg is None else f" for argument {arg}"
        raise ValueError(f"Expected type str{argument}, but got type {type(value)}.")
    if valid_values is not None and value not in (known := tuple(valid_values)):
        values = ", ".join(repr(valid) for valid in known)
        raise ValueError(custom_msg or f"Unknown value '{value}' for argument {arg}. Valid values are {{{values}}}.")
    return value


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar file; members that would leave the folder are an error of `tarfile`'s."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")


def not_found(what: Any, files: Path) -> RuntimeError:
    """The error for a data set that is not on the disk."""
    fact = f"Dataset not found: {type(what).__name__} expects its files in {files}"
    return RuntimeError(explain(fact, hint="You can use download=True to download it"))
