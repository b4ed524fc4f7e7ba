"""Tables that remember what others may still use: what nobody else refers to can be found again, and is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from sys import getrefcount
from typing import Any


def forget_unused(table: dict[Any, Any]) -> None:
    """Drop the entries whose values only the table refers to.

    Example::

        >>> used, table = object(), {"unused": object()}
        >>> table["used"] = used
        >>> forget_unused(table)
        >>> list(table)
        ['used']
    """
    for key in _unused(table):
        table.pop(key, None)


def _unused(table: dict[Any, Any]) -> list[Any]:
    """The keys of what only the table refers to."""
    return [key for key, count in _references(table) if count <= _ALONE]


def _references(table: dict[Any, Any]) -> Iterator[tuple[Any, int]]:
    """The keys, and how many references there are to their values."""
    items = list(table.items())  # at one go, for other threads
    counts = map(getrefcount, [value for _, value in items])
    return zip([key for key, _ in items], counts, strict=True)


def _calibrate() -> int:
    """What `_references` counts for a value that only a table holds. Measured, not known, because it differs between
    versions of Python."""
    table = {None: object()}
    return next(_references(table))[1]


_ALONE = _calibrate()
