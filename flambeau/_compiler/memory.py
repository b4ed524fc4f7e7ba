"""Memory planning: which results share memory, and where the temporary ones lie in the plan's arena.

Places that share memory form a *set*: a write and what it writes into, a map and an operand that dies with it. A set
with an anchor (a value from before the window, or one that lives on after it) lies there; the others get offsets in
one block, first fit, by the time between their first and their last use.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
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


def arena(spans: Sequence[tuple[int, int]], nbytes: Sequence[int]) -> tuple[tuple[int, ...], int]:
    """Offsets in one block of what needs so many bytes each from one unit to another (both included), and the block's
    size; what is needed at the same time does not overlap.

    Example::

        >>> arena([(0, 1), (1, 2), (2, 3)], [64, 64, 64])
        ((0, 64, 0), 128)
    """
    offsets = [0] * len(spans)
    placed: list[tuple[int, int, int]] = []  # (offset, end, last unit), by offset
    size = 0
    for i in sorted(range(len(spans)), key=lambda i: (spans[i][0], -nbytes[i])):
        first, last = spans[i]
        need = max(ALIGNMENT, -(-nbytes[i] // ALIGNMENT) * ALIGNMENT)
        placed = [p for p in placed if p[2] >= first]
        start = 0
        for offset, end, _ in placed:
            if offset - start >= need:
                break
            start = end
        offsets[i] = start
        insort(placed, (start, start + need, last))
        size = max(size, start + need)
    return tuple(offsets), size
