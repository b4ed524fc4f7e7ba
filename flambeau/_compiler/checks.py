"""What must hold between the passes after capture; AssertionError if it does not. (`_ir.graph.verify` looks at graphs.)

All of it takes as long as a pass, so it is done where somebody looks: in tests, and with FLAMBEAU_DUMP.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from flambeau._compiler.epilogues import Finished
from flambeau._compiler.fuse import Unit
from flambeau._compiler.nests import Fused, Place
from flambeau._compiler.placement import COPYING, Placement, places_of
from flambeau._ir.graph import Node


def check_units(units: Sequence[Unit], free: Collection[Node]) -> None:
    """Every node is in one unit, and comes after what it reads, but for the `free` ones, which are repeated."""
    unit_of: dict[Node, int] = {}
    for i, unit in enumerate(units):
        for node in unit.nodes:
            assert node not in unit_of, f"%{node.number} is in two units"
            unit_of[node] = i
    for node, i in unit_of.items():
        for a in [a for a in node.inputs if a.node not in free]:
            assert unit_of.get(a.node, -1) <= i, f"%{node.number} is computed before its operand %{a.node.number}"


def check_nests(pieces: Sequence[Sequence[Any]]) -> None:
    """Every operand of a nest stays inside its memory."""
    for piece in [piece for unit in pieces for piece in unit]:
        fused = piece.fused if type(piece) is Finished else piece
        if type(fused) is not Fused or 0 in fused.nest.sizes:
            continue
        nest = fused.nest
        for place, strides, offset, gather in zip(fused.places, nest.strides, nest.offsets, nest.gathers, strict=True):
            ends = [(n - 1) * s for n, s in zip(nest.sizes, strides, strict=True)]
            if gather is not None:
                ends.append(gather[0] * (gather[1] - 1))
            low, high = (offset + sum([bound(0, end) for end in ends]) for bound in (min, max))
            numel = place.node.outputs[place.output].numel
            assert low >= 0 and high < numel, f"%{place.node.number} is read from {low} to {high}, and has {numel}"


def check_memory(placement: Placement) -> None:
    """Whoever reads a result finds it where it was put: memory is not given to another one before."""
    holds: dict[int, Place] = {}
    for place in placement.last:
        if place.node.kind == "input":
            holds[placement.lies_at(place)] = place
    for i, (unit, parts) in enumerate(zip(placement.units, placement.parts, strict=True)):
        if unit.kind == "write" and i not in placement.copies:
            a = unit.nodes[0].inputs[0]
            _found(placement, holds, Place(a.node, a.output))
        for part in (*placement.copies.get(i, ()), *parts):
            read, written = _read_and_written(part)
            for place in read:
                _found(placement, holds, place)
            if not _in_step(part):
                both = {*map(placement.lies_at, read)} & {*map(placement.lies_at, written)}
                assert not both, f"unit {i} writes over what it reads"
            for place in written:
                at = placement.lies_at(place)
                if 0 <= at < placement.inputs:
                    fine = at in placement.dying and i > placement.checked_until
                    assert fine, f"%{place.node.number} is written over an input that is needed"
                holds[at] = place
    for place in placement.kept:
        _found(placement, holds, place)


def _in_step(part: Any) -> bool:
    """May a result lie where an operand does? In maps, whose elements are read just before they are written, in writes
    into a part of their operand, and in templates that begin with a copy of theirs."""
    if isinstance(part, Node):
        return part.name in COPYING
    return not (part.fused if type(part) is Finished else part).nest.loops.reduced


def _found(placement: Placement, holds: dict[int, Place], place: Place) -> None:
    held = holds.get(placement.lies_at(place))
    alike = held == place or (held is not None and held.node.kind == place.node.kind == "input")
    assert alike or place.node.kind == "empty", f"%{place.node.number} is not in its memory any more"


def _read_and_written(part: Any) -> tuple[list[Place], list[Place]]:
    if isinstance(part, Node):
        places, count = places_of(part), len(part.inputs)
        return list(places[:count]), list(places[count:])
    if type(part) is Finished:
        own = Place(part.node, 0)
        read, written = _read_and_written(part.fused)
        return [*part.operands, *[place for place in read if place != own]], [own, *written]
    operands = list(zip(part.places, part.nest.loops.operands, strict=True))
    return [p for p, o in operands if not o.written], [p for p, o in operands if o.written]
