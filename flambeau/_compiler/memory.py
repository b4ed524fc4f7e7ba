"""Memory planning: which results share memory, and where the temporary ones lie in the plan's arena.

Places that share memory form a *set*: a write and what it writes into, a map and an operand that dies with it. A set
with an anchor (a value from before the window, or one that lives on after it) lies there; the others get offsets in
one block, first fit, by the time between their first and their last use.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from flambeau._compiler.nests import Place

ALIGNMENT = 64


class Sets:
    """Places joined into sets that share memory."""

    def __init__(self) -> None:
        self._parent: dict[Place, Place] = {}

    def find(self, place: Place) -> Place:
        """The place that stands for the set."""
        root = place
        while (above := self._parent.get(root)) is not None:
            root = above
        while place != root:
            above = self._parent[place]
            self._parent[place] = root
            place = above
        return root

    def join(self, a: Place, b: Place) -> None:
        a, b = self.find(a), self.find(b)
        if a != b:
            self._parent[b] = a


class Interval(NamedTuple):
    """A set that needs memory from one unit to another (both included)."""

    key: Any
    first: int
    last: int
    nbytes: int


def arena(intervals: list[Interval]) -> tuple[dict[Any, int], int]:
    """Offsets of the sets in one block, and the block's size; sets whose times overlap do not overlap in memory.

    Example::

        >>> offsets, size = arena([Interval("a", 0, 1, 64), Interval("b", 1, 2, 64), Interval("c", 2, 3, 64)])
        >>> offsets["a"] == offsets["c"], size
        (True, 128)
    """
    offsets: dict[Any, int] = {}
    placed: list[tuple[int, int, Interval]] = []  # (offset, end, interval)
    size = 0
    for interval in sorted(intervals, key=lambda i: (i.first, -i.nbytes)):
        need = max(ALIGNMENT, -(-interval.nbytes // ALIGNMENT) * ALIGNMENT)
        placed = [p for p in placed if p[2].last >= interval.first]
        start = 0
        for offset, end, _ in sorted(placed, key=lambda p: p[0]):
            if offset - start >= need:
                break
            start = max(start, end)
        offsets[interval.key] = start
        placed.append((start, start + need, interval))
        size = max(size, start + need)
    return offsets, size
