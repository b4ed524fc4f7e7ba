"""The compiler from top to bottom: a window of instructions becomes a program of kernels and host instructions.

    outline     window -> kernels in order, numbers apart       (outline.py, which says how)
    lower       nest or template, with its numbers -> launches  (the backend)
    arena       temporary results -> offsets in one block       (memory.py)
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from flambeau._compiler.memory import arena
from flambeau._compiler.outline import CallPart, Dump, HostPart, NestPart, Numbers, Outline, Part, Window, outline_of
from flambeau._core.dtypes import dtype

REMEMBERED = 256  # lowered steps of one part
_NEVER = object()  # in the place of params: not lowered yet


class Structure(Protocol):
    """Parts that differ in numbers only, and the steps that the backend makes of them; None if it has no code."""

    def plain(self, numbers: tuple) -> Any: ...

    def block(self, numbers: tuple) -> Any:
        """The same for parts of which there are many: what is found out for one is kept for the next."""


class Backend(Protocol):
    """What the compiler asks of a backend. A result of None means: not supported. An epilogue is a nest's (loops,
    checked)."""

    def supports(self, primitive: str, d: dtype) -> bool: ...

    def nest(self, loops: Any, checked: bool) -> Structure: ...

    def call(self, template: str, params: tuple, operands: Any, results: Any, epilogue: Any) -> Structure | None: ...


class Work(NamedTuple):
    """One step of a program: `step` is what the backend made, with operands at `places` (table slots, or ~ the numbers
    of intervals in the arena) and the run-time scalars `scalars`; or, of a host instruction, its number."""

    step: Any
    places: tuple[int, ...]
    scalars: tuple[int, ...]
    host: int | None
    what: str


class Program(NamedTuple):
    """A compiled window. Table slots: the inputs, then `fresh` results that get memory of their own, then host results,
    then the arena. `results` are (value slot, table slot, NumPy dtype) of what lives on. `scalars` are the run-time
    scalars that follow from sizes, after those that arrive."""

    works: tuple[Work, ...]
    inputs: int
    fresh: tuple[int, ...]  # bytes of each fresh result
    hosted: int  # how many slots host results take
    arena: int  # bytes
    offsets: tuple[int, ...]  # of each interval in the arena
    results: tuple[tuple[int, int, Any], ...]
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
        self.structures: list[tuple[Any, Structure | None]] = [(_NEVER, None) for _ in outline.parts]

    def steps(self, outline: Outline, numbers: Numbers) -> list[Any]:
        """The step of every part, None for host instructions; Refused names all parts that cannot be lowered."""
        steps: list[Any] = []
        refused: set[int] = set()
        for i, (mine, known) in enumerate(zip(numbers.parts, self.known, strict=True)):
            step = known.get(mine)
            if step is None and type(outline.parts[i].work) is not HostPart:
                step = self._lowered(i, outline.parts[i], mine, again=bool(known))
                if step is None:
                    refused |= outline.parts[i].origins
                if len(known) >= REMEMBERED:
                    known.clear()
                known[mine] = step
            steps.append(step)
        if refused:
            raise Refused(refused)
        return steps

    def _lowered(self, i: int, part: Part, numbers: tuple, again: bool) -> Any:
        """The step of part number `i`; `again` if it was lowered with other numbers."""
        params: Any = None
        if type(part.work) is CallPart:
            params, *rest = numbers
            numbers = tuple(rest)
        last, structure = self.structures[i]
        if last != params:
            structure = self._structure(part.work, params)
            self.structures[i] = params, structure
        if structure is None:
            return None
        return structure.block(numbers) if again else structure.plain(numbers)

    def _structure(self, work: Any, params: tuple | None) -> Structure | None:
        if type(work) is NestPart:
            return self.backend.nest(*work)
        epilogue = work.epilogue and tuple(work.epilogue)
        return self.backend.call(work.template, params or (), work.operands, work.results, epilogue)


def realised(outline: Outline, numbers: Numbers, lowering: Lowering) -> Program:
    """The program that an outline becomes with these numbers."""
    offsets, size = arena(outline.spans, numbers.intervals)
    works = []
    for part, step in zip(outline.parts, lowering.steps(outline, numbers), strict=True):
        host = part.work.instruction if type(part.work) is HostPart else None
        works.append(Work(step, part.places, part.scalars, host, part.what))
    return Program(tuple(works), outline.inputs, numbers.fresh, outline.hosted, size,
                   offsets, outline.results, outline.host_slots, numbers.scalars)  # fmt: skip
