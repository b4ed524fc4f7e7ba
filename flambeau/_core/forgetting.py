"""Tables that remember what can be found out again, and forget it when nobody else refers to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from sys import getrefcount
from typing import Any


class Remembered(dict[Any, Any]):
    """A table of at most `limit` entries, and a quarter more than those in use. When it is full, those are forgotten
    whose values only the table refers to; `followers` are tables made from it, which are emptied first.

    Example::

        >>> used, table = object(), Remembered(2)
        >>> _ = table.keep("unused", object())
        >>> _ = table.keep("used", used)
        >>> _ = table.keep("new", object())
        >>> list(table)
        ['used', 'new']
    """

    __slots__ = ("limit", "now", "followers")

    def __init__(self, limit: int, followers: Iterable[dict[Any, Any]] = ()) -> None:
        super().__init__()
        self.limit = self.now = limit
        self.followers = tuple(followers)

    def keep(self, key: Any, value: Any) -> Any:
        """Add an entry; returns its value, or that of another thread which came first."""
        if len(self) >= self.now:
            for table in self.followers:
                table.clear()
            forget_unused(self)
            self.now = room_for(len(self), self.limit)
        return self.setdefault(key, value)


def room_for(used: int, limit: int) -> int:
    """How many entries there may be before it is worth while to look again for unused ones."""
    return max(limit, used + used // 4)


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
