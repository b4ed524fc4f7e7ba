"""Handles for hooks: what a `register_..._hook` returns."""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict
from typing import Any

_identifiers = itertools.count()


class RemovableHandle:
    """Removes one hook from the table it was put into; as a context manager, on leaving the block.

    Example::

        >>> table = OrderedDict()
        >>> with register(table, print) as handle:
        ...     len(table)
        1
        >>> len(table)
        0
    """

    def __init__(self, table: OrderedDict[int, Any]) -> None:
        self.id = next(_identifiers)
        self._table = weakref.ref(table)

    def remove(self) -> None:
        """Take the hook out; a second call does nothing."""
        table = self._table()
        if table is not None:
            table.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def register(table: OrderedDict[int, Any], hook: Any, prepend: bool = False) -> RemovableHandle:
    """Put `hook` into `table`, last, or first with `prepend`."""
    handle = RemovableHandle(table)
    table[handle.id] = hook
    if prepend:
        table.move_to_end(handle.id, last=False)
    return handle
