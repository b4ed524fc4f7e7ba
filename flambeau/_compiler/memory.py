"""Memory planning: which results share memory, and where the temporary ones lie in the plan's arena.

Places that share memory form a *set*: a write and what it writes into, a map and an operand that dies with it. A set
with an anchor (a value from before the window, or one that lives on after it) lies there; the others get offsets in
one block, first fit, by the time between their first and their last use. What then lies above what remains so for
other sizes: they only push.
"""

from __future__ import annotations

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


class Arena:
    """One block for what needs memory from one unit to another (`spans`, both included). Which interval lies above
    which is found by first fit, for intervals of `nbytes`, and then holds for any bytes: what is needed at the same
    time never overlaps.

    Example::

        >>> arena = Arena([(0, 1), (1, 2), (2, 3)], [64, 64, 64])
        >>> arena.offsets([64, 64, 64])
        ((0, 64, 0), 128)
        >>> arena.offsets([100, 64, 200])
        ((0, 256, 0), 320)
    """

    def __init__(self, spans: Sequence[tuple[int, int]], nbytes: Sequence[int]) -> None:
        # Those that are needed at one time stand one above another, so it is enough to know of each what was next to it
        # when it came.
        below: list[list[int]] = [[] for _ in spans]
        placed: list[tuple[int, int, int]] = []  # (offset, end, interval), by offset
        starts = [0] * len(spans)
        for i in sorted(range(len(spans)), key=lambda i: (spans[i][0], -nbytes[i])):
            first, need = spans[i][0], _need(nbytes[i])
            placed = [p for p in placed if spans[p[2]][1] >= first]
            at = start = 0
            for offset, end, _ in placed:
                if offset - start >= need:
                    break
                start, at = end, at + 1
            if at:
                below[i].append(placed[at - 1][2])
            if at < len(placed):
                below[placed[at][2]].append(i)
            starts[i] = start
            placed.insert(at, (start, start + need, i))
        self.order = tuple([(i, tuple(below[i])) for i in sorted(range(len(spans)), key=starts.__getitem__)])

    def offsets(self, nbytes: Sequence[int]) -> tuple[tuple[int, ...], int]:
        """The offsets of intervals of so many bytes, and the size of the block."""
        offsets, ends, size = [0] * len(nbytes), [0] * len(nbytes), 0
        for i, below in self.order:
            start = 0
            for k in below:
                if ends[k] > start:
                    start = ends[k]
            offsets[i] = start
            ends[i] = end = start + _need(nbytes[i])
            if end > size:
                size = end
        return tuple(offsets), size


def _need(nbytes: int) -> int:
    """The bytes an interval takes: a multiple of 64, and some even if it has none."""
    return (nbytes + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT or ALIGNMENT
