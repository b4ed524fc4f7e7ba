"""Files of data sets: checksums and downloads."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flambeau._core.errors import explain
from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import urllib.request as urllib_request
else:
    urllib_request = lazy_module("urllib.request")

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


def fetch(addresses: Iterable[str], path: Path, md5: str) -> None:
    """Get a file from the first address that has it; a file that is there with the right sum is kept.

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
        if (found := hashlib.md5(data, usedforsecurity=False).hexdigest()) == md5:
            part = path.with_name(path.name + ".part")
            part.write_bytes(data)
            part.replace(path)
            return
        answers.append(f"{address}: the MD5 sum is {found}, expected {md5}")
    fact = f"Error downloading {path.name}: " + "; ".join(answers)
    raise RuntimeError(explain(fact, hint=f"get the file by other means and put it at {path}"))


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar file; members that would leave the folder are an error of `tarfile`'s."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")


def not_found(what: Any, files: Path) -> RuntimeError:
    """The error for a data set that is not on the disk."""
    fact = f"Dataset not found: {type(what).__name__} expects its files in {files}"
    return RuntimeError(explain(fact, hint="You can use download=True to download it"))
