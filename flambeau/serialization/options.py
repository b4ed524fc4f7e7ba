"""Settings of loading that hold for the whole program, with PyTorch's names and defaults."""

from __future__ import annotations

import enum


class LoadEndianness(enum.Enum):
    """The byte order of a file that does not name its own."""

    NATIVE = 1
    LITTLE = 2
    BIG = 3


_load_endianness: LoadEndianness | None = None


def get_default_load_endianness() -> LoadEndianness | None:
    """The byte order that is assumed of zip files that do not name theirs; None, the default, is little endian.

    Example::

        >>> get_default_load_endianness() is None
        True
    """
    return _load_endianness


def set_default_load_endianness(endianness: LoadEndianness | None) -> None:
    """Assume this byte order of files that do not name theirs. TypeError for what is no `LoadEndianness`."""
    global _load_endianness
    if not (endianness is None or isinstance(endianness, LoadEndianness)):
        raise TypeError("Invalid argument type in function set_default_load_endianness")
    _load_endianness = endianness
