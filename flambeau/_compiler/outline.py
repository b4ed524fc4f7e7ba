"""The outline of a program: its kernels in order and where their operands lie, with the numbers apart.

    capture     instructions -> graph; equal nodes are one             (capture.py)
    prune       nodes that nothing alive needs are dropped             (here)
    fuse        nodes -> units of work                                 (fuse.py)
    repeat      cheap maps are computed again, not kept in memory  (repetition.py)
    finish      maps after a large matrix product become part of it    (epilogues.py)
    nests       unit -> loop nests                                     (nests.py)
    place       results -> memory, shared where times do not overlap   (placement.py)

The numbers are sizes, strides and bytes. They may be symbols; the outline then holds for other numbers too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from flambeau._compiler import checks, epilogues, nests
from flambeau._compiler.capture import Capture, operands_of
from flambeau._compiler.epilogues import Finished
from flambeau._compiler.fuse import Fusion, Group, Unit
from flambeau._compiler.loops import Loops, nest_numbers, text_of
from flambeau._compiler.nests import Fused, Place
from flambeau._compiler.placement import Placement, places_of
from flambeau._compiler.repetition import repetitions
from flambeau._core.dtypes import dtype
from flambeau._ir.graph import Node, verify
from flambeau._ir.meta import layout_numbers
from flambeau._ir.program import Instruction, Value
from flambeau._ir.symbols import Symbol

Dump = Callable[[str, str], None]
thorough = False  # whether every pass is checked: by tests


class Window(NamedTuple):
    """What is known of a window: its instructions, the slot of every value (those from before it first), the bytes of
    each of those from before, which slots live on after it, which inputs die with it so that their memory may be
    reused, and how many numbers arrive when it runs."""

    instructions: Sequence[Instruction]
    slots: dict[Value, int]
    nbytes: Sequence[int]
    live: tuple[int, ...]
    dying: frozenset[int]
    scalars: int

    @property
    def inputs(self) -> int:
        """How many values are from before the window."""
        return len(self.nbytes)


class NestPart(NamedTuple):
    """A nest of loops; its numbers are those of `nest_numbers`."""

    loops: Loops
    checked: bool


class CallPart(NamedTuple):
    """A kernel template with operands and results of these dtypes and dimensions, and the nest that finishes every
    block of its result if there is one; its numbers are the params, in a tuple, and then all in a row the layouts'
    (shape, strides, offset) and those of the nest."""

    template: str
    operands: tuple[tuple[dtype, int], ...]
    results: tuple[tuple[dtype, int], ...]
    epilogue: NestPart | None = None


class HostPart(NamedTuple):
    """An instruction left to the reference, by its number in the window; it has no numbers."""

    instruction: int


class Part(NamedTuple):
    """One step: what it does, the table slots of its operands (or ~ the numbers of intervals in the arena), the
    run-time scalars it takes, the instructions it comes from, and the operations in it by name."""

    work: NestPart | CallPart | HostPart
    places: tuple[int, ...]
    scalars: tuple[int, ...]
    origins: frozenset[int]
    what: str


class Numbers(NamedTuple):
    """What differs between sizes: the numbers of each part, the bytes of each interval in the arena, the bytes of each
    fresh result, and run-time scalars that follow from sizes (they come after those that arrive)."""

    parts: tuple
    intervals: tuple[int, ...]
    fresh: tuple[int, ...]
    scalars: tuple[Any, ...]


class Outline(NamedTuple):
    """Table slots: the inputs, then fresh results, then `hosted` host results, then the arena. `spans` are the first
    and last part-owning unit of each interval, `results` of each live value the slot, the table slot and the NumPy
    dtype, except of host results; `host_slots` is the table slot of each host result's value slot."""

    parts: tuple[Part, ...]
    numbers: Numbers
    inputs: int
    hosted: int
    spans: tuple[tuple[int, int], ...]
    results: tuple[tuple[int, int, Any], ...]
    host_slots: dict[int, int]


def outline_of(
    window: Window, supports: Callable[[str, dtype], bool], refused: Collection[int], dump: Dump | None = None,
    check: bool = True,
) -> Outline:  # fmt: skip
    """The outline of a window, with the instructions numbered in `refused` left to the reference. With `check`, the
    graph is verified; with symbols that would only add guards."""
    capture = Capture(window.slots, window.nbytes, supports)
    capture.run(window.instructions, refused)
    return _Outlining(window, capture, dump, check).outline()


class _Outlining:
    """The passes over a captured graph."""

    def __init__(self, window: Window, capture: Capture, dump: Dump | None, check: bool) -> None:
        self.window = window
        self.capture = capture
        self.kept = self._kept()
        self.nodes = prune(capture.graph.nodes, [p.node for p in self.kept] + list(capture.hosts))
        if check:
            verify(self.nodes)
        self.fusion = Fusion(self.nodes, [p.node for p in self.kept])
        self.repeated = repetitions(self.fusion, self.nodes, {p.node for p in self.kept})
        self.read_from_outside = self._read_from_outside()
        self.finished = epilogues.absorb(self.fusion, self._nest_of)
        self.units = self.fusion.ordered()
        self.pieces = [self._pieces(unit) for unit in self.units]
        if dump is not None:
            dump("graph", "\n".join(map(repr, self.nodes)))
            dump("units", "\n".join(map(repr, self.units)))
            dump("nests", "\n\n".join(_text(p) for pieces in self.pieces for p in pieces if type(p) is not Node))
        self.placement = Placement(self.units, self.pieces, window.inputs, window.dying, self.kept, capture.hosts)
        if check and (thorough or dump is not None):
            checks.check_units(self.units, self.fusion.free)
            checks.check_nests(self.pieces)
            checks.check_memory(self.placement)
        self.derived: dict[tuple[type, Symbol], int] = {}  # run-time scalars that follow from sizes, by slot

    # ------------------------------------------------------------------------------------------ units to pieces

    def _kept(self) -> dict[Place, list[int]]:
        """The places whose values live on, with the slots they are in."""
        kept: dict[Place, list[int]] = {}
        slots = list(self.window.live)
        for number in self.capture.hosts.values():  # the reference reads values, not memory in an arena
            slots += [self.window.slots[v] for v in operands_of(self.window.instructions[number])]
        for slot in dict.fromkeys(slots):
            if slot >= self.window.inputs:
                kept.setdefault(Place(*self.capture.bindings[slot]), []).append(slot)
        return kept

    def _read_from_outside(self) -> set[Node]:
        """The nodes that are read from memory by another unit than their own."""
        unit_of = self.fusion.unit_of
        found: set[Node] = set()
        for node in self.nodes:
            mine = unit_of.get(node)
            repeated = self.repeated.get(mine, ()) if isinstance(mine, Group) else ()
            for a in node.inputs:
                if a.node in repeated:
                    found.update(b.node for b in a.node.inputs if b.node in unit_of and b.node not in self.fusion.free)
                elif a.node in unit_of and (unit_of[a.node] is not mine or a.node in self.fusion.free):
                    found.add(a.node)
        return found

    def _stored(self, group: Group) -> set[Node]:
        """The members of a group that somebody reads from memory."""
        found = {n for n in group.nodes if Place(n, 0) in self.kept}
        return found | {n for n in group.nodes if n in self.read_from_outside}

    def _nest_of(self, group: Group) -> Fused:
        return nests.nest_of(self.fusion, group, self._stored(group), self.repeated.get(group, ()))

    def _pieces(self, unit: Unit) -> list[Any]:
        """The nests of a unit, or its node if it is a call or a host instruction, or a call and what finishes it."""
        if isinstance(unit, Group):
            return [self._nest_of(unit)]
        if unit in self.finished:
            return [self.finished[unit]]
        node = unit.nodes[0]
        return [nests.nest_of_write(self.fusion, node)] if node.kind == "write" else [node]

    # ------------------------------------------------------------------------------------------ pieces to parts

    def outline(self) -> Outline:
        """All parts in order, their numbers, and where the results are."""
        made: list[tuple[Part, tuple]] = []
        for i, (unit, pieces) in enumerate(zip(self.units, self.pieces, strict=True)):
            what = " ".join(n.name or n.kind for n in unit.nodes)
            origins = frozenset([self.capture.origin[n] for n in unit.nodes])
            for copy in self.placement.copies.get(i, ()):
                made.append(self._nest(copy, origins, "copy"))
            for piece in pieces:
                if type(piece) is Fused:
                    made.append(self._nest(piece, origins, what))
                elif type(piece) is Finished:
                    made.append(self._finished(piece, origins, what))
                elif piece.kind == "call":
                    made.append(self._call(piece, origins, what))
                else:
                    made.append((Part(HostPart(self.capture.hosts[piece]), (), (), origins, what), ()))
        placement = self.placement
        numbers = Numbers(tuple([numbers for _, numbers in made]), tuple([i.nbytes for i in placement.intervals]),
                          tuple(placement.fresh), tuple([symbol for _, symbol in self.derived]))  # fmt: skip
        spans = tuple([(i.first, i.last) for i in placement.intervals])
        parts = tuple([part for part, _ in made])
        hosts = self._host_slots()
        results = self._results(hosts)
        return Outline(parts, numbers, self.window.inputs, placement.hosted, spans, results, hosts)

    def _nest(self, fused: Fused, origins: frozenset[int], what: str) -> tuple[Part, tuple]:
        nest = fused.nest
        scalars = tuple([self._scalar(s) for s in fused.scalars])
        part = Part(NestPart(nest.loops, nest.checked), self._lie_at(fused.places), scalars, origins, what)
        return part, nest_numbers(nest)

    def _finished(self, piece: Finished, origins: frozenset[int], what: str) -> tuple[Part, tuple]:
        """A call, and what finishes it."""
        call, numbers = self._call(piece.node, origins, what)
        nest, finishing = self._nest(piece.fused, origins, what)
        assert type(call.work) is CallPart and type(nest.work) is NestPart
        work = call.work._replace(epilogue=nest.work)
        return Part(work, call.places + nest.places, nest.scalars, origins, what), numbers + finishing

    def _call(self, node: Node, origins: frozenset[int], what: str) -> tuple[Part, tuple]:
        first = 1 if self.placement.is_in_place(node) else 0
        operands = tuple([a.meta for a in node.inputs[first:]])
        kinds = tuple([(m.dtype, m.ndim) for m in operands]), tuple([(m.dtype, m.ndim) for m in node.outputs])
        work = CallPart(node.name, *kinds)
        numbers = (node.params, *layout_numbers((*operands, *node.outputs)))
        return Part(work, self._lie_at(places_of(node)[first:]), (), origins, what), numbers

    def _lie_at(self, places: Sequence[Place]) -> tuple[int, ...]:
        return tuple([self.placement.lies_at(place) for place in places])

    def _scalar(self, scalar: Any) -> int:
        """The slot of a run-time scalar; one that follows from sizes gets the next."""
        if type(scalar) is not Symbol:
            return scalar
        key = type(scalar.value), scalar  # 2 equals 2.0 but arrives in another form
        return self.derived.setdefault(key, self.window.scalars + len(self.derived))

    def _results(self, hosts: Collection[int]) -> tuple[tuple[int, int, Any], ...]:
        dtypes: dict[int, Any] = {}
        for instruction in self.window.instructions:
            inference = instruction.inference
            metas = instruction.metas[:1] if inference is None else inference.outputs
            for value, m in zip(instruction.outputs, metas, strict=True):
                dtypes[self.window.slots[value]] = m.dtype.numpy
        lie_at = [(slot, self.placement.lies_at(place)) for place, slots in self.kept.items() for slot in slots]
        return tuple([(slot, place, dtypes[slot]) for slot, place in lie_at if slot not in hosts])

    def _host_slots(self) -> dict[int, int]:
        found = {}
        for node, number in self.capture.hosts.items():
            for output, value in enumerate(self.window.instructions[number].outputs):
                found[self.window.slots[value]] = self.placement.host_places[Place(node, output)]
        return found


def _text(piece: Fused | Finished) -> str:
    """A nest printed."""
    if isinstance(piece, Finished):
        return f"on every block of %{piece.node.number}: {text_of(piece.fused.nest)}"
    return text_of(piece.nest)


def prune(nodes: Sequence[Node], roots: Sequence[Node]) -> list[Node]:
    """The nodes that the roots need, in order."""
    needed: set[Node] = set(roots)
    kept = []
    for node in reversed(nodes):
        if node in needed:
            kept.append(node)
            needed.update(a.node for a in node.inputs)
    return kept[::-1]
