"""Objects on disk, by the contents of what made them, so that nothing is compiled twice on a machine.

A key is a digest of the kernel's generator and parameters, the target, LLVM's version and the sources that generate
text: a hit needs no text. Files begin with a digest of their contents and appear by renaming, so a reader sees a whole
file or none, whoever writes at the same time. The cache is bounded; where it cannot be written it is done without.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import time
from functools import cache
from pathlib import Path

from flambeau._backends.cpu.kernel import Kernel
from flambeau._backends.cpu.target import Target
from flambeau._core.config import config
from flambeau._core.lazy import lazy_module

hashlib = lazy_module("hashlib")
llvmlite = lazy_module("llvmlite")
llvm = lazy_module("llvmlite.binding")

DIGEST = 16  # bytes
OURS = re.compile(r"[0-9a-f]{32}(\.\d+\.tmp)?")  # what may be removed, in a folder that may hold other things
CHECKED_EVERY = 64  # writes between two looks at the size of the cache
USED_AGAIN = 24 * 3600  # seconds after which a use is noted: that of every use would cost a write each
_written = 0


def key_of(kernel: Kernel, target: Target) -> str:
    """The name of a kernel's object."""
    generate = kernel.generate
    what = (generate.__module__, generate.__qualname__, kernel.params, kernel.entries, tuple(target))
    return _digest(repr(what).encode() + sources()).hex()


def read(key: str) -> bytes | None:
    """The object of that name; None if there is none, or a damaged one."""
    folder = directory()
    if folder is None:
        return None
    path = os.path.join(folder, key)
    try:
        with open(path, "rb") as file:
            content = file.read()
            if time.time() - os.fstat(file.fileno()).st_mtime > USED_AGAIN:
                with contextlib.suppress(OSError):
                    os.utime(path)
    except OSError:
        return None
    image = content[DIGEST:]
    return image if content[:DIGEST] == _digest(image) else None


def write(key: str, image: bytes) -> None:
    """Keep an object; failing to is no error."""
    global _written
    folder = directory()
    if folder is None:
        return
    temporary = folder / f"{key}.{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(_digest(image) + image)
        temporary.replace(folder / key)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        return
    _written += 1
    if _written % CHECKED_EVERY == 1:
        evict(folder, config.cache_bytes)


def evict(folder: Path, bound: int) -> None:
    """If there are more than `bound` bytes, remove what was not used for longest; three quarters of it stay."""
    with contextlib.suppress(OSError):
        with os.scandir(folder) as entries:
            files = [(entry.stat(), entry.path) for entry in entries if OURS.fullmatch(entry.name)]
        total = sum(stat.st_size for stat, _ in files)
        if total <= bound:
            return
        for stat, path in sorted(files, key=lambda file: file[0].st_mtime):
            if total <= bound * 3 // 4:
                return
            with contextlib.suppress(OSError):
                os.unlink(path)
            total -= stat.st_size


def directory() -> Path | None:
    """The cache's folder: FLAMBEAU_CACHE, else the system's place for caches; None if it is switched off."""
    if config.cache_dir == "off":
        return None
    if config.cache_dir:
        return Path(config.cache_dir)
    return _default_directory()


@cache
def _default_directory() -> Path | None:
    system = platform.system()
    if config.cache_home is not None and system not in ("Windows", "Darwin"):
        return Path(config.cache_home) / "flambeau"
    try:
        home = Path.home()
    except RuntimeError:
        return None
    folders = {"Windows": ("AppData", "Local"), "Darwin": ("Library", "Caches")}
    return home.joinpath(*folders.get(system, (".cache",)), "flambeau")


@cache
def sources() -> bytes:
    """A digest of what makes objects: LLVM, the modules of this folder, and those of the compiler."""
    versions = f"{llvmlite.__version__} {llvm.llvm_version_info}"
    digest = hashlib.blake2b(versions.encode(), digest_size=DIGEST)
    backend = Path(__file__).parent
    for folder in (backend, backend.parents[1] / "_compiler"):
        for path in sorted(folder.glob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.digest()


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST).digest()
