"""The configuration, and the only reader of the environment.

| variable | meaning | default |
|---|---|---|
| `FLAMBEAU_WINDOW` | instructions the window may hold; 1 runs each operation at once | 512 |
| `FLAMBEAU_WINDOW_MB` | megabytes of results the window may promise before it runs | 256 |
| `FLAMBEAU_DATA` | folder with the IDX files of a data set such as Fashion-MNIST | none |
"""

from __future__ import annotations

import os


class Config:
    """Settings read once, when the package is imported; attributes may be changed by a program afterwards."""

    def __init__(self, environ: dict[str, str] | os._Environ[str]) -> None:
        self.window_instructions = _positive(environ, "FLAMBEAU_WINDOW", 512)
        self.window_bytes = _positive(environ, "FLAMBEAU_WINDOW_MB", 256) << 20
        self.data_dir: str | None = environ.get("FLAMBEAU_DATA") or None


def _positive(environ: dict[str, str] | os._Environ[str], name: str, default: int) -> int:
    text = environ.get(name, "")
    if not text:
        return default
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"{name}={text!r}: expected a whole number of at least 1")
    return int(text)


config = Config(os.environ)
