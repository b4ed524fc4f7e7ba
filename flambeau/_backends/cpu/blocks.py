"""Nests and kernel templates of any sizes laid out: lowering runs with symbols, and is not repeated where its decisions
hold."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from flambeau._backends.cpu.kernel import Kernel, Step
from flambeau._backends.cpu.plan import Block, Layout, Lowered, block_of, layout_of, packed
from flambeau._core import locks
from flambeau._ir.symbols import Trace, settled

REMEMBERED, MOST_WAYS = 512, 16  # structures, and ways to lower each of them
ALL_WAYS = 1024  # of all structures, some ten kilobytes each

Numbers = tuple[int, ...]


class Structure:
    """Blocks of a structure for any numbers: functions from numbers to layouts, each for some of them. `lower` gives
    the step for some numbers; None if something in it has no code."""

    def __init__(self, lower: Callable[[Sequence[Any]], Step | None]) -> None:
        self.lower = lower
        self.ways: list[Callable[[Sequence[int]], Layout | None]] = []
        self.abandoned: Exception | None = None  # why symbols cannot go through

    def block(self, numbers: Numbers) -> Block | None:
        """The block for these numbers if it was found out for others; else None."""
        ways = self.ways
        for i, way in enumerate(ways):
            layout = way(numbers)
            if layout is not None:
                if i:
                    ways.insert(0, ways.pop(i))  # tried first the next time
                return packed(layout)
        return None

    def lowered(self, numbers: Numbers, alone: bool) -> Lowered | None:
        """What becomes the block of `lower(numbers)`; unless it is `alone`, what is found out is kept for other
        numbers."""
        if not alone and len(self.ways) < MOST_WAYS and self.abandoned is None:
            trace = Trace(numbers)
            try:
                step = self.lower(trace.parameters)
                if step is None:
                    return None
                plain = _with_plain_kernels(step)
                return Lowered(plain, lambda: self._found(trace, plain, numbers))
            except Exception as error:  # whatever is wrong with the numbers shows without symbols too
                self.abandoned = error.with_traceback(None)  # whose frames would keep the trace
        step = self.lower(numbers)
        return None if step is None else Lowered(step, lambda: block_of(step))

    def _found(self, trace: Trace, step: Step, numbers: Numbers) -> Block:
        """The block of a step with symbols in it, which is a new way, unless one of the same program was the same."""
        block = self.block(numbers)
        if block is not None:
            return block
        try:
            way = trace.function(layout_of(step))
            layout = way(numbers)
            assert layout is not None
            self.ways.insert(0, way)
            return packed(layout)
        except Exception as error:
            self.abandoned = error
        plain = self.lower(numbers)
        assert plain is not None
        return block_of(plain)


class Structures:
    """The structures that are lowered with many numbers."""

    def __init__(self) -> None:
        self.known: OrderedDict[Hashable, Structure] = OrderedDict()

    def of(self, key: Hashable, lower: Callable[[Sequence[Any]], Step | None]) -> Structure:
        """The structure of a key, which is all that `lower` depends on beside the numbers."""
        with locks.structures:
            structure = self.known.get(key)
            if structure is None:
                structure = self.known[key] = Structure(lower)
                while self._too_many():
                    self.known.popitem(last=False)
            self.known.move_to_end(key)
        return structure

    def _too_many(self) -> bool:
        """Is the structure that was not asked for longest to be forgotten?"""
        ways = sum([len(s.ways) for s in self.known.values()])
        return len(self.known) > REMEMBERED or (ways > ALL_WAYS and len(self.known) > 1)


def _with_plain_kernels(x: Any) -> Any:
    """A step, or a part of it, whose kernels are for these numbers alone if they depend on any."""
    if type(x) is Kernel:
        return settled(x)
    return type(x)(*map(_with_plain_kernels, x)) if hasattr(x, "_fields") else (
        tuple(map(_with_plain_kernels, x)) if type(x) is tuple else x
    )
