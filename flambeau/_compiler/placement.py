"""Placement: which results share memory: that of an input which dies, memory of their own, or the plan's arena."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from flambeau._compiler import nests
from flambeau._compiler.epilogues import Finished
from flambeau._compiler.fuse import Group, Unit
from flambeau._compiler.memory import Interval, Sets
from flambeau._compiler.nests import Fused, Place
from flambeau._ir.graph import Node

# Call templates that begin with a copy of their first operand. Without that operand they find it in their result.
COPYING = frozenset({"index_add", "scatter_add", "scatter", "scatter_reduce"})
# Call templates that can find an index out of range.
CHECKING = COPYING | {"max_unpool"}


class Placement:
    """Joins places into sets, then gives sets to anchors or to the arena.

    `units` are the units of work in order, `parts` the nests and nodes that each consists of; `inputs` is how many
    values there are from before the window, `dying` which of their slots may be written when they are not needed any
    more, `kept` which places live on, `hosts` the nodes that the reference runs."""

    def __init__(
        self, units: Sequence[Unit], parts: Sequence[Sequence[Any]], inputs: int, dying: frozenset[int],
        kept: dict[Place, list[int]], hosts: Iterable[Node],
    ) -> None:  # fmt: skip
        self.units, self.parts = units, parts
        self.inputs, self.dying, self.kept, self.hosts = inputs, dying, kept, hosts
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
        self.intervals = self._intervals()
        self.number_of = {interval.key: number for number, interval in enumerate(self.intervals)}

    # ---- when each place is used ----

    def _times(self) -> None:
        end = len(self.units)
        for i, (unit, parts) in enumerate(zip(self.units, self.parts, strict=True)):
            for part in parts:
                for place in places_of(part):
                    self._use(place, i)
            if unit.kind == "write":
                a = unit.nodes[0].inputs[0]
                self._use(Place(a.node, a.output), i)
        for place in self.kept:
            self._use(place, end)

    def _use(self, place: Place, i: int) -> None:
        self.first.setdefault(place, i)
        self.last[place] = max(self.last.get(place, i), i)

    def _last_check(self) -> int:
        """The last unit that can fail when it runs: inputs must be intact until then, to repeat the window."""
        last = -1
        for i, (unit, parts) in enumerate(zip(self.units, self.parts, strict=True)):
            if unit.kind in ("host", "call") or any(isinstance(p, Fused) and p.nest.checked for p in parts):
                if unit.kind != "call" or unit.nodes[0].name in CHECKING:
                    last = i
        return last

    def _is_dying(self, place: Place) -> bool:
        slot = place.node.params[0]
        same = [p for p in self.last if p.node.kind == "input" and p.node.params[0] == slot]
        return slot in self.dying and len(same) == 1

    # ---- who shares memory with whom ----

    def _join_sets(self) -> None:
        for i, (unit, parts) in enumerate(zip(self.units, self.parts, strict=True)):
            if unit.kind == "write":
                self._join_write(i, unit.nodes[0])
            elif isinstance(unit, Group) and not any(unit.reduced):
                self._join_map(i, parts[0])
            elif type(parts[0]) is Finished:
                self._join_map(i, parts[0].fused, parts[0].operands)
            elif unit.kind == "call" and unit.nodes[0].name in COPYING:
                self._join_call(i, unit.nodes[0])

    def _join_write(self, i: int, node: Node) -> None:
        """Write in place if the old contents are not needed any more, else into a copy."""
        a = node.inputs[0]
        old, new = Place(a.node, a.output), Place(node, 0)
        source_reads_old = any(p == old for p in self.parts[i][0].places)
        if source_reads_old or not self._try_join(i, old, new):
            self.copies.setdefault(i, []).append(nests.nest_of_copy(old, node))

    def _join_map(self, i: int, fused: Fused, elsewhere: Sequence[Place] = ()) -> None:
        """Let each result take the memory of an operand with elements of the same size, and as many, that dies here and
        is read just there, and not `elsewhere`."""
        nest = fused.nest
        taken: set[Place] = set(elsewhere)
        reads = [k for k, o in enumerate(nest.loops.operands) if not o.written]
        for w, operand in enumerate(nest.loops.operands):
            if not operand.written:
                continue
            new = fused.places[w]
            for r in reads:
                old = fused.places[r]
                same = nest.strides[r] == nest.strides[w] and nest.offsets[r] == nest.offsets[w] == 0
                alone = sum(fused.places[k] == old for k in reads) == 1 and nest.gathers[r] is None
                alike = self.nbytes(old) == self.nbytes(new) and _itemsize(old) == _itemsize(new)
                if same and alone and alike and old not in taken and self._try_join(i, old, new):
                    taken.add(old)
                    break

    def _join_call(self, i: int, node: Node) -> None:
        """Let the result take the memory of the first operand if it is dense, dies here and is no other operand."""
        base, result = node.inputs[0].meta, node.outputs[0]
        old, *others, new = places_of(node)
        dense = base.strides == result.strides and base.offset == 0 and self.nbytes(old) == result.nbytes
        if dense and old not in others:
            self._try_join(i, old, new)

    def _try_join(self, i: int, old: Place, new: Place) -> bool:
        """Join if `old` dies at unit i and its memory may be written."""
        if old.node.kind == "host" or old in self.kept or self.last[old] != i:
            return False
        if old.node.kind == "input" and (old not in self.free_inputs or i <= self.checked_until):
            return False
        self.sets.join(old, new)
        return True

    # ---- where sets lie ----

    def _anchor(self) -> None:
        """Sets with an input, a live result or a host result in them get a table slot."""
        inputs = self.inputs
        for place in self.last:
            if place.node.kind == "input":
                self.slots[self.sets.find(place)] = place.node.params[0]
        for place in self.kept:
            if place.node.kind == "host":
                continue
            root = self.sets.find(place)
            if root not in self.slots:
                self.slots[root] = inputs + len(self.fresh)
                self.fresh.append(self.nbytes(place))
        self.host_places: dict[Place, int] = {}
        for node in self.hosts:
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
            first, last, nbytes = self.first[place], self.last[place], self.nbytes(place)
            if old is not None:
                first, last, nbytes = min(first, old.first), max(last, old.last), max(nbytes, old.nbytes)
            spans[root] = Interval(root, first, last, nbytes)
        return list(spans.values())

    def is_in_place(self, node: Node) -> bool:
        """Does a call find its first operand in its result?"""
        if node.name not in COPYING:
            return False
        old, *_, new = places_of(node)
        return self.sets.find(old) == self.sets.find(new)

    def lies_at(self, place: Place) -> int:
        """The table slot of a place; of one in the arena, ~ the number of its interval."""
        root = self.sets.find(place)
        slot = self.slots.get(root)
        return ~self.number_of[root] if slot is None else slot

    def nbytes(self, place: Place) -> int:
        """The bytes of its memory."""
        return place.node.outputs[place.output].nbytes


def _itemsize(place: Place) -> int:
    return place.node.outputs[place.output].dtype.itemsize


def places_of(part: Any) -> tuple[Place, ...]:
    """The operands of a nest, or of a call: inputs in order, then results."""
    if not isinstance(part, Node):
        return part.places
    inputs = [Place(a.node, a.output) for a in part.inputs]
    return tuple(inputs + [Place(part, i) for i in range(len(part.outputs))])
