"""The compiler from top to bottom: a window of instructions becomes a program of kernels and host instructions.

    outline     window -> kernels in order, numbers apart       (outline.py, which says how)
    lower       nest or template, with its numbers -> launches  (the backend)
    arena       temporary results -> offsets in one block       (memory.py)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from flambeau._compiler.memory import Arena
from flambeau._compiler.outline import CallPart, Dump, HostPart, NestPart, Numbers, Outline, Part, Window, outline_of
from flambeau._core.dtypes import dtype

REMEMBERED = 256  # blocks of one part
_NEVER = object()  # in the place of params: not lowered yet


class Structure(Protocol):
    """Parts that differ in numbers only, and what the backend makes of them."""

    def block(self, numbers: tuple) -> Any:
        """The block at once, if that is known from other numbers; else None."""

    def lowered(self, numbers: tuple, alone: bool) -> Any:
        """What `blocks` makes a block of; None if there is no code. Unless the part is `alone`, as far as is known,
        what is found out is kept for others."""


class Backend(Protocol):
    """What the compiler asks of a backend. A result of None means: not supported. An epilogue is a nest's (loops,
    checked)."""

    def supports(self, primitive: str, d: dtype) -> bool: ...

    def nest(self, loops: Any, checked: bool) -> Structure: ...

    def call(self, template: str, params: tuple, operands: Any, results: Any, epilogue: Any) -> Structure | None: ...

    def blocks(self, lowered: Sequence[Any]) -> list[Any]: ...


class Program(NamedTuple):
    """A compiled window: an outline with its numbers. `blocks` are what the backend made of each part, None of those
    left to the reference; `fresh` are the bytes of each fresh result, `arena` those of the arena, in which intervals
    lie at `offsets`; `scalars` are the run-time scalars that follow from sizes, after those that arrive. The `lowering`
    is the same for all programs of the outline."""

    outline: Outline
    blocks: Sequence[Any]
    fresh: tuple[int, ...]
    arena: int
    offsets: tuple[int, ...]
    scalars: tuple[float | int, ...]
    lowering: Lowering


class Refused(Exception):
    """The backend has no code for a part that comes from the instructions numbered `origins`."""

    def __init__(self, origins: set[int]) -> None:
        super().__init__(origins)
        self.origins = origins


def compile_window(window: Window, backend: Backend, dump: Dump | None = None) -> Program:
    """The program of a window. Instructions whose nodes the backend refuses are left to the reference."""
    refused: set[int] = set()
    while True:
        outline = outline_of(window, backend.supports, refused, dump)
        try:
            return realised(outline, outline.numbers, Lowering(backend, outline))
        except Refused as refusal:
            refused |= refusal.origins


class Lowering:
    """The backend's blocks for the parts of an outline, remembered by their numbers: between one size and another, most
    parts of a program stay the same. `frame` is what the engine keeps for all programs of the outline."""

    def __init__(self, backend: Backend, outline: Outline) -> None:
        self.backend = backend
        self.arena: Arena | None = None
        self.frame: Any = None
        self.known: list[dict[tuple, Any]] = [{} for _ in outline.parts]
        self.structures: list[tuple[Any, Structure | None]] = [(_NEVER, None) for _ in outline.parts]

    def blocks(self, outline: Outline, numbers: Numbers) -> list[Any]:
        """The block of every part, None for host instructions; Refused names all parts that cannot be lowered."""
        blocks: list[Any] = []
        lowered: dict[int, Any] = {}  # the parts whose kernels may have to be compiled
        refused: set[int] = set()
        for i, (mine, known) in enumerate(zip(numbers.parts, self.known, strict=True)):
            block = known.get(mine)
            if block is None and type(outline.parts[i].work) is not HostPart:
                structure, rest = self._structure(i, outline.parts[i], mine)
                if structure is not None and known:
                    block = structure.block(rest)
                if structure is not None and block is None:
                    lowered[i] = structure.lowered(rest, alone=not known)
                if block is None and lowered.get(i) is None:
                    refused |= outline.parts[i].origins
                if len(known) >= REMEMBERED:
                    known.clear()
                known[mine] = block
            blocks.append(block)
        if refused:
            raise Refused(refused)
        if lowered:
            for i, block in zip(lowered, self.backend.blocks(list(lowered.values())), strict=True):
                blocks[i] = self.known[i][numbers.parts[i]] = block
        return blocks

    def _structure(self, i: int, part: Part, numbers: tuple) -> tuple[Structure | None, tuple]:
        """What part number `i` is an instance of, and the numbers that leaves open."""
        params: Any = None
        if type(part.work) is CallPart:
            params, *rest = numbers
            numbers = tuple(rest)
        last, structure = self.structures[i]
        if last != params:
            structure = self._asked(part.work, params)
            self.structures[i] = params, structure
        return structure, numbers

    def _asked(self, work: Any, params: tuple | None) -> Structure | None:
        if type(work) is NestPart:
            return self.backend.nest(*work)
        epilogue = work.epilogue and tuple(work.epilogue)
        return self.backend.call(work.template, params or (), work.operands, work.results, epilogue)


def realised(outline: Outline, numbers: Numbers, lowering: Lowering) -> Program:
    """The program that an outline becomes with these numbers."""
    blocks = lowering.blocks(outline, numbers)
    if lowering.arena is None:
        lowering.arena = Arena(outline.spans, numbers.intervals)
    offsets, size = lowering.arena.offsets(numbers.intervals)
    return Program(outline, blocks, numbers.fresh, size, offsets, numbers.scalars, lowering)
