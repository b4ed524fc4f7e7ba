"""Objects on disk, by the contents of what made them, so that nothing is compiled twice on a machine.

A key is a digest of the kernel's generator and parameters, the target, LLVM's version and the sources that generate
text: a hit needs no text. Files begin with a digest of their contents and appear by renaming, so a reader sees a whole
file or none, whoever writes at the same time. The cache is bounded; where it cannot be written it is done without.
"""

from __future__ import annotations

import contextlib
import os
import platform
from functools import cache
from pathlib import Path

from flambeau._backends.cpu.kernel import Kernel
from flambeau._backends.cpu.target import Target
from flambeau._core.config import config
from flambeau._core.lazy import lazy_module

hashlib = lazy_module("hashlib")
llvmlite = lazy_module("llvmlite")

DIGEST = 16  # bytes
CHECKED_EVERY = 64  # writes between two looks at the size of the cache
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
    path = folder / key
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if content[:DIGEST] != _digest(content[DIGEST:]):
        return None
    return content[DIGEST:]


def write(key: str, image: bytes) -> None:
    """Keep an object; failing to is no error."""
    global _written
    folder = directory()
    if folder is None:
        return
    temporary = folder / f".{key}.{os.getpid()}"
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
    """Remove the oldest files until no more than `bound` bytes are left."""
    with contextlib.suppress(OSError):
        files = [(entry.stat(), entry.path) for entry in os.scandir(folder) if entry.is_file()]
        total = sum(s.st_size for s, _ in files)
        for stat, path in sorted(files, key=lambda f: f[0].st_mtime):
            if total <= bound:
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
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if platform.system() == "Windows":
        base = home / "AppData" / "Local"
    elif platform.system() == "Darwin":
        base = home / "Library" / "Caches"
    else:
        base = home / ".cache" if config.cache_home is None else Path(config.cache_home)
    return base / "flambeau"


@cache
def sources() -> bytes:
    """A digest of what makes kernels: LLVM and the modules of this folder and of the compiler's loops."""
    digest = hashlib.blake2b(f"{llvmlite.__version__} {platform.machine()}".encode(), digest_size=DIGEST)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.digest()


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST).digest()
