"""The configuration, and the only reader of the environment.

| variable | meaning | default |
|---|---|---|
| `FLAMBEAU_WINDOW` | instructions the window may hold; 1 runs each operation at once | 512 |
| `FLAMBEAU_WINDOW_MB` | megabytes of results the window may promise before it runs | 256 |
| `FLAMBEAU_COMPILE` | compile windows at their second sight (auto), at the first (always), or never | auto |
| `FLAMBEAU_RECORDER` | record operations in native code once plans run (auto), at once (native), or in python | auto |
| `FLAMBEAU_CACHE` | folder for compiled kernels, or "off" | the system's folder for caches |
| `FLAMBEAU_CACHE_MB` | megabytes that folder may hold | 512 |
| `FLAMBEAU_THREADS` | threads for kernels | the processors this process may use |
| `FLAMBEAU_CPU` | what kernels are compiled for: native, or an x86-64 level, v2, v3, v4 | native |
| `FLAMBEAU_DUMP` | folder into which the compiler writes every stage of what it compiles | none |
| `FLAMBEAU_DATA` | folder with the IDX files of a data set such as Fashion-MNIST | none |
| `TORCH_HOME` | folder of PyTorch's hub, in which published weights are looked for | torch in the folder for caches |

What starts several processes tells each its place by `MASTER_ADDR`, `MASTER_PORT`, `WORLD_SIZE`, `RANK`, `LOCAL_RANK`
and the like; `launched_with` reads them when they are needed.
"""

from __future__ import annotations

import os


class Config:
    """Settings read once, when the package is imported; attributes may be changed by a program afterwards."""

    __slots__ = (
        "window_instructions", "window_bytes", "compile", "recorder", "cache_dir", "cache_home", "torch_home",
        "cache_bytes", "threads", "cpu", "dump_dir", "data_dir",
    )  # fmt: skip

    def __init__(self, environ: dict[str, str] | os._Environ[str]) -> None:
        self.window_instructions = _positive(environ, "FLAMBEAU_WINDOW", 512)
        self.window_bytes = _positive(environ, "FLAMBEAU_WINDOW_MB", 512) << 20
        self.compile = _choice(environ, "FLAMBEAU_COMPILE", ("auto", "always", "never"))
        self.recorder = _choice(environ, "FLAMBEAU_RECORDER", ("auto", "native", "python"))
        self.cache_dir: str | None = environ.get("FLAMBEAU_CACHE") or None
        self.cache_home: str | None = environ.get("XDG_CACHE_HOME") or None
        self.torch_home: str | None = environ.get("TORCH_HOME") or None
        self.cache_bytes = _positive(environ, "FLAMBEAU_CACHE_MB", 512) << 20
        self.threads = _positive(environ, "FLAMBEAU_THREADS", 0)
        self.cpu = _choice(environ, "FLAMBEAU_CPU", ("native", "v2", "v3", "v4"))
        self.dump_dir: str | None = environ.get("FLAMBEAU_DUMP") or None
        self.data_dir: str | None = environ.get("FLAMBEAU_DATA") or None


def _positive(environ: dict[str, str] | os._Environ[str], name: str, default: int) -> int:
    text = environ.get(name, "")
    if not text:
        return default
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"{name}={text!r}: expected a whole number of at least 1")
    return int(text)


def _choice(environ: dict[str, str] | os._Environ[str], name: str, choices: tuple[str, ...]) -> str:
    text = environ.get(name, "") or choices[0]
    if text not in choices:
        raise ValueError(f"{name}={text!r}: expected one of {', '.join(choices)}")
    return text


def launched_with(name: str) -> str | None:
    """A variable that the launcher of several processes sets; read late, for programs set them, too."""
    return os.environ.get(name)


config = Config(os.environ)
