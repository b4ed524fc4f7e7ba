"""The compiler from top to bottom: a window of instructions becomes a program of kernels and host instructions.

    outline     window -> kernels in order, numbers apart       (outline.py, which says how)
    lower       nest or template, with its numbers -> launches  (the backend)
    arena       temporary results -> offsets in one block       (memory.py)
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from flambeau._compiler.loops import Nest
from flambeau._compiler.memory import Interval, Location, arena
from flambeau._compiler.outline import CallPart, Dump, HostPart, NestPart, Numbers, Outline, Part, Window, outline_of
from flambeau._core.dtypes import dtype
from flambeau._ir.meta import Meta, meta

REMEMBERED = 256  # lowered steps of one part


class Backend(Protocol):
    """What the compiler asks of a backend. A result of None means: not supported. `again` says that the same was
    lowered with other numbers, and that more may follow."""

    def supports(self, primitive: str, d: dtype) -> bool: ...

    def lower_nest(self, nest: Any, again: bool) -> Any: ...

    def lower_call(
        self, template: str, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...], epilogue: Any,
        again: bool,
    ) -> Any: ...  # fmt: skip


class Work(NamedTuple):
    """One step of a program: `step` is what the backend made, with operands at `locations` and the run-time scalars
    `scalars`; or, of a host instruction, its number."""

    step: Any
    locations: tuple[Location, ...]
    scalars: tuple[int, ...]
    host: int | None
    what: str


class Program(NamedTuple):
    """A compiled window. Table slots: the inputs, then `fresh` results that get memory of their own, then host results,
    then the arena. `results` has for every live slot its location's table slot. `scalars` are the run-time scalars that
    follow from sizes, after those that arrive."""

    works: tuple[Work, ...]
    inputs: int
    fresh: tuple[int, ...]  # bytes of each fresh result
    hosted: int  # how many slots host results take
    arena: int  # bytes
    results: dict[int, int]  # value slot -> table slot
    host_slots: dict[int, int]  # value slot of a host result -> table slot
    scalars: tuple[float | int, ...]


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
    """The backend's steps for the parts of an outline, remembered by their numbers: between one size and another, most
    parts of a program stay the same."""

    def __init__(self, backend: Backend, outline: Outline) -> None:
        self.backend = backend
        self.known: list[dict[tuple, Any]] = [{} for _ in outline.parts]

    def steps(self, outline: Outline, numbers: Numbers) -> list[Any]:
        """The step of every part, None for host instructions; Refused names all parts that cannot be lowered."""
        steps: list[Any] = []
        refused: set[int] = set()
        for part, mine, known in zip(outline.parts, numbers.parts, self.known, strict=True):
            step = known.get(mine)
            if step is None and type(part.work) is not HostPart:
                step = self._lowered(part, mine, again=bool(known))
                if step is None:
                    refused |= part.origins
                if len(known) >= REMEMBERED:
                    known.clear()
                known[mine] = step
            steps.append(step)
        if refused:
            raise Refused(refused)
        return steps

    def _lowered(self, part: Part, numbers: tuple, again: bool) -> Any:
        work = part.work
        if type(work) is NestPart:
            return self.backend.lower_nest(_nest(work, numbers), again)
        assert type(work) is CallPart
        params, operands, results, *rest = numbers
        inputs = tuple([meta(d, *layout) for d, layout in zip(work.operands, operands, strict=True)])
        outputs = tuple([meta(d, *layout) for d, layout in zip(work.results, results, strict=True)])
        epilogue = work.epilogue and _nest(work.epilogue, rest[0])
        return self.backend.lower_call(work.template, params, inputs, outputs, epilogue, again)


def _nest(part: NestPart, numbers: tuple) -> Nest:
    sizes, strides, offsets, gathers = numbers
    return Nest(part.loops, sizes, strides, offsets, gathers, part.checked)


def realised(outline: Outline, numbers: Numbers, lowering: Lowering) -> Program:
    """The program that an outline becomes with these numbers."""
    intervals = [
        Interval(i, first, last, nbytes)
        for i, ((first, last), nbytes) in enumerate(zip(outline.spans, numbers.intervals, strict=True))
    ]
    offsets, size = arena(intervals)
    arena_slot = outline.inputs + len(numbers.fresh) + outline.hosted

    def location(place: int) -> Location:
        return Location(place) if place >= 0 else Location(arena_slot, offsets[~place])

    works = []
    for part, step in zip(outline.parts, lowering.steps(outline, numbers), strict=True):
        host = part.work.instruction if type(part.work) is HostPart else None
        works.append(Work(step, tuple(map(location, part.places)), part.scalars, host, part.what))
    return Program(tuple(works), outline.inputs, numbers.fresh, outline.hosted, size, outline.results,
                   outline.host_slots, numbers.scalars)  # fmt: skip
