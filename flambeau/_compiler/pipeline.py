"""The compiler from top to bottom: a window of instructions becomes a program of kernels and host instructions.

    capture     instructions -> graph; equal nodes are one             (capture.py)
    prune       nodes that nothing alive needs are dropped             (here)
    fuse        nodes -> units of work                                 (fuse.py)
    finish      maps after a matrix product become part of it          (epilogues.py)
    lower       unit -> loop nest or kernel template -> launches       (nests.py, the backend)
    place       results -> memory, shared where times do not overlap   (memory.py)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from flambeau._compiler import epilogues, memory, nests
from flambeau._compiler.capture import Capture, operands_of
from flambeau._compiler.epilogues import Finished
from flambeau._compiler.fuse import Fusion, Group, Unit
from flambeau._compiler.loops import text_of
from flambeau._compiler.memory import Interval, Location, Sets
from flambeau._compiler.nests import Fused, Place
from flambeau._core.dtypes import dtype
from flambeau._ir.graph import Node, verify
from flambeau._ir.meta import Meta
from flambeau._ir.program import Instruction, Value


class Backend(Protocol):
    """What the compiler asks of a backend. A result of None means: not supported."""

    def supports(self, primitive: str, d: dtype) -> bool: ...

    def lower_nest(self, nest: Any) -> Any: ...

    def lower_call(
        self, template: str, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...], epilogue: Any = None
    ) -> Any: ...

    def takes_epilogue(
        self, template: str, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...], nest: Any
    ) -> bool: ...


class Window(NamedTuple):
    """What is known of a window: its instructions, the slot of every value (those from before it first, in the order
    of `inputs`), which slots live on after it, and which inputs die with it so that their memory may be reused."""

    instructions: Sequence[Instruction]
    slots: dict[Value, int]
    inputs: int
    live: tuple[int, ...]
    dying: frozenset[int]


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
    then the arena. `results` has for every live slot its location's table slot and its bytes."""

    works: tuple[Work, ...]
    inputs: int
    fresh: tuple[int, ...]  # bytes of each fresh result
    hosted: int  # how many slots host results take
    arena: int  # bytes
    results: dict[int, int]  # value slot -> table slot
    host_slots: dict[int, int]  # value slot of a host result -> table slot


def compile_window(window: Window, backend: Backend, dump: Callable[[str, str], None] | None = None) -> Program:
    """The program of a window. Instructions whose nodes the backend refuses are left to the reference."""
    refused: set[int] = set()
    while True:
        capture = Capture(window.slots, backend.supports)
        capture.run(window.instructions, refused)
        more = _Compilation(window, capture, backend, dump)
        if not more.refused - refused:
            return more.program()
        refused |= more.refused


class _Compilation:
    """One run of the passes over a captured graph."""

    def __init__(self, window: Window, capture: Capture, backend: Backend, dump: Callable | None) -> None:
        self.window = window
        self.capture = capture
        self.backend = backend
        self.refused: set[int] = set()
        self.kept = self._kept()
        self.nodes = prune(capture.graph.nodes, [p.node for p in self.kept] + list(capture.hosts))
        verify(self.nodes)
        self.fusion = Fusion(self.nodes, [p.node for p in self.kept])
        self.read_from_outside = self._read_from_outside()
        self.nests: dict[Group, Fused] = {}
        self.finished = epilogues.absorb(self.fusion, self._nest_of, backend)
        self.units = self.fusion.ordered()
        self.fused = [self._parts(unit) for unit in self.units]
        if dump is not None:
            dump("graph", "\n".join(map(repr, self.nodes)))
            dump("units", "\n".join(map(repr, self.units)))
            nest_texts = [_text(part) for parts in self.fused for part in parts if not isinstance(part, Node)]
            dump("nests", "\n\n".join(nest_texts))
        self.lowered = [self._lower(u, parts) for u, parts in zip(self.units, self.fused, strict=True)]

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

    # ------------------------------------------------------------------------------------------ lowering

    def _stored(self, group: Group) -> set[Node]:
        """The members of a group that somebody reads from memory."""
        found = {n for n in group.nodes if Place(n, 0) in self.kept}
        return found | {n for n in group.nodes if n in self.read_from_outside}

    def _read_from_outside(self) -> set[Node]:
        """The nodes that are read from memory by another unit than their own."""
        unit_of, found = self.fusion.unit_of, set()
        for node in self.nodes:
            mine = unit_of.get(node)
            for a in node.inputs:
                if a.node in unit_of and (unit_of[a.node] is not mine or a.node in self.fusion.free):
                    found.add(a.node)
        return found

    def _nest_of(self, group: Group) -> Fused:
        found = self.nests.get(group)
        if found is None:
            found = self.nests[group] = nests.nest_of(self.fusion, group, self._stored(group))
        return found

    def _parts(self, unit: Unit) -> list[Any]:
        """The nests of a unit, or its node if it is a call or a host instruction, or a call with its epilogue."""
        if isinstance(unit, Group):
            return [self._nest_of(unit)]
        if unit in self.finished:
            return [self.finished[unit]]
        node = unit.nodes[0]
        return [nests.nest_of_write(self.fusion, node)] if node.kind == "write" else [node]

    def _lower(self, unit: Unit, parts: list[Any]) -> list[Any]:
        steps = []
        for part in parts:
            if isinstance(part, Fused):
                step = self.backend.lower_nest(part.nest)
            elif unit.kind == "call":
                node, epilogue = (part.node, part.fused.nest) if isinstance(part, Finished) else (part, None)
                inputs = tuple([a.meta for a in node.inputs])
                step = self.backend.lower_call(node.name, node.params, inputs, node.outputs, epilogue)
            else:
                continue
            if step is None:
                self.refused |= {self.capture.origin[n] for n in unit.nodes}
            steps.append(step)
        return steps

    # ------------------------------------------------------------------------------------------ placing

    def program(self) -> Program:
        """Give every result its memory and put the steps in order."""
        planner = _Placement(self)
        works: list[Work] = []
        for i, (unit, parts, steps) in enumerate(zip(self.units, self.fused, self.lowered, strict=True)):
            what = " ".join(n.name or n.kind for n in unit.nodes)
            if unit.kind == "host":
                works.append(Work(None, (), (), self.capture.hosts[unit.nodes[0]], what))
                continue
            for copy in planner.copies.get(i, ()):
                step = self.backend.lower_nest(copy.nest)
                works.append(Work(step, tuple(map(planner.location, copy.places)), (), None, "copy"))
            for part, step in zip(parts, steps, strict=True):
                scalars = () if isinstance(part, Node) else part.scalars
                works.append(Work(step, tuple(map(planner.location, places_of(part))), scalars, None, what))
        return planner.finish(tuple(works))


class _Placement:
    """Assigns memory: joins places into sets, then gives sets to anchors or to the arena."""

    def __init__(self, compilation: _Compilation) -> None:
        self.c = compilation
        self.sets = Sets()
        self.copies: dict[int, list[Fused]] = {}
        self.slots: dict[Place, int] = {}  # set -> table slot, of those with an anchor
        self.first: dict[Place, int] = {}
        self.last: dict[Place, int] = {}
        self._times()
        self.checked_until = self._last_check()
        self.free_inputs = {p for p in self.last if p.node.kind == "input" and self._is_dying(p)}
        self._join_sets()
        self.fresh: list[int] = []
        self.hosted = 0
        self._anchor()
        intervals = self._intervals()
        self.offsets, self.arena = memory.arena(intervals)
        self.arena_slot = compilation.window.inputs + len(self.fresh) + self.hosted

    # ---- when each place is used ----

    def _times(self) -> None:
        end = len(self.c.units)
        for i, (unit, parts) in enumerate(zip(self.c.units, self.c.fused, strict=True)):
            for part in parts:
                for place in places_of(part):
                    self._use(place, i)
            if unit.kind == "write":
                a = unit.nodes[0].inputs[0]
                self._use(Place(a.node, a.output), i)
        for place in self.c.kept:
            self._use(place, end)

    def _use(self, place: Place, i: int) -> None:
        self.first.setdefault(place, i)
        self.last[place] = max(self.last.get(place, i), i)

    def _last_check(self) -> int:
        """The last unit that can fail when it runs: inputs must be intact until then, to repeat the window."""
        last = -1
        for i, (unit, parts) in enumerate(zip(self.c.units, self.c.fused, strict=True)):
            if unit.kind in ("host", "call") or any(isinstance(p, Fused) and p.nest.checked for p in parts):
                if unit.kind != "call" or unit.nodes[0].name in CHECKING:
                    last = i
        return last

    def _is_dying(self, place: Place) -> bool:
        slot = place.node.params[0]
        same = [p for p in self.last if p.node.kind == "input" and p.node.params[0] == slot]
        return slot in self.c.window.dying and len(same) == 1

    # ---- who shares memory with whom ----

    def _join_sets(self) -> None:
        for i, (unit, parts) in enumerate(zip(self.c.units, self.c.fused, strict=True)):
            if unit.kind == "write":
                self._join_write(i, unit.nodes[0])
            elif isinstance(unit, Group) and not any(unit.reduced):
                self._join_map(i, parts[0])
            elif unit in self.c.finished:
                self._join_map(i, parts[0].fused, parts[0].operands)

    def _join_write(self, i: int, node: Node) -> None:
        """Write in place if the old contents are not needed any more, else into a copy."""
        a = node.inputs[0]
        old, new = Place(a.node, a.output), Place(node, 0)
        source_reads_old = any(p == old for p in self.c.fused[i][0].places)
        if source_reads_old or not self._try_join(i, old, new):
            self.copies.setdefault(i, []).append(nests.nest_of_copy(old, node))

    def _join_map(self, i: int, fused: Fused, elsewhere: tuple[Place, ...] = ()) -> None:
        """Let each result take the memory of an operand of the same size that dies here and is read just there, and not
        `elsewhere`."""
        nest = fused.nest
        taken: set[Place] = set()
        reads = [k for k, o in enumerate(nest.loops.operands) if not o.written]
        for w, operand in enumerate(nest.loops.operands):
            if not operand.written:
                continue
            new = fused.places[w]
            for r in reads:
                old = fused.places[r]
                same = nest.strides[r] == nest.strides[w] and nest.offsets[r] == nest.offsets[w] == 0
                alone = sum(fused.places[k] == old for k in reads) == 1 and nest.gathers[r] is None
                alone = alone and old not in elsewhere
                if same and alone and old not in taken and _nbytes(old) == _nbytes(new) and self._try_join(i, old, new):
                    taken.add(old)
                    break

    def _try_join(self, i: int, old: Place, new: Place) -> bool:
        """Join if `old` dies at unit i and its memory may be written."""
        if old.node.kind == "host" or old in self.c.kept or self.last[old] != i:
            return False
        if old.node.kind == "input" and (old not in self.free_inputs or i <= self.checked_until):
            return False
        self.sets.join(old, new)
        return True

    # ---- where sets lie ----

    def _anchor(self) -> None:
        """Sets with an input, a live result or a host result in them get a table slot."""
        inputs = self.c.window.inputs
        for place in self.last:
            if place.node.kind == "input":
                self.slots[self.sets.find(place)] = place.node.params[0]
        for place in self.c.kept:
            if place.node.kind == "host":
                continue
            root = self.sets.find(place)
            if root not in self.slots:
                self.slots[root] = inputs + len(self.fresh)
                self.fresh.append(_nbytes(place))
        self.host_places: dict[Place, int] = {}
        for node in self.c.capture.hosts:
            for output in range(len(node.outputs)):
                place = Place(node, output)
                self.host_places[place] = self.slots[self.sets.find(place)] = inputs + len(self.fresh) + self.hosted
                self.hosted += 1

    def _intervals(self) -> list[Interval]:
        spans: dict[Place, Interval] = {}
        for place in self.last:
            root = self.sets.find(place)
            if root in self.slots:
                continue
            old = spans.get(root)
            first, last, nbytes = self.first[place], self.last[place], _nbytes(place)
            if old is not None:
                first, last, nbytes = min(first, old.first), max(last, old.last), max(nbytes, old.nbytes)
            spans[root] = Interval(root, first, last, nbytes)
        return list(spans.values())

    def location(self, place: Place) -> Location:
        root = self.sets.find(place)
        slot = self.slots.get(root)
        return Location(self.arena_slot, self.offsets[root]) if slot is None else Location(slot)

    def finish(self, works: tuple[Work, ...]) -> Program:
        """The program, with where its results are."""
        window = self.c.window
        results = {}
        for place, slots in self.c.kept.items():
            for slot in slots:
                results[slot] = self.location(place).slot
        host_slots = {}
        for node, number in self.c.capture.hosts.items():
            for output, value in enumerate(window.instructions[number].outputs):
                host_slots[window.slots[value]] = self.host_places[Place(node, output)]
        return Program(works, window.inputs, tuple(self.fresh), self.hosted, self.arena, results, host_slots)


# Call templates that can find an index out of range.
CHECKING = frozenset({"index_add", "scatter_add", "scatter", "max_unpool"})


def prune(nodes: Sequence[Node], roots: Sequence[Node]) -> list[Node]:
    """The nodes that the roots need, in order."""
    needed: set[Node] = set(roots)
    kept = []
    for node in reversed(nodes):
        if node in needed:
            kept.append(node)
            needed.update(a.node for a in node.inputs)
    return kept[::-1]


def places_of(part: Any) -> tuple[Place, ...]:
    """The operands of a nest, or of a call: inputs in order, then results."""
    if not isinstance(part, Node):
        return part.places
    inputs = [Place(a.node, a.output) for a in part.inputs]
    return tuple(inputs + [Place(part, i) for i in range(len(part.outputs))])


def _text(part: Fused | Finished) -> str:
    """A nest printed, for the dump."""
    if isinstance(part, Finished):
        return f"on every block of %{part.node.number}, {text_of(part.fused.nest)}"
    return text_of(part.nest)


def _nbytes(place: Place) -> int:
    return place.node.outputs[place.output].nbytes
