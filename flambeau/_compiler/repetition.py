"""Repetition: what is cheaper to compute again than to keep in memory is computed where it is needed.

A group whose reductions end in a second launch gives its elements to the groups after it by way of memory: of `x -
mean`, which a variance and a result are computed from, all elements would be written and read. A map is repeated in
another group instead if

* it is one cheap primitive of at most one array of its size, which is in memory anyway, and of row values or numbers;
* nobody but groups that read it where they compute would find it in memory.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from flambeau._compiler.fuse import Fusion, Group, own_strides, spread_strides
from flambeau._ir.graph import Array, Node

CHEAP = frozenset({"add", "sub", "mul", "neg", "abs", "maximum", "minimum", "where", "cast"})


def repetitions(fusion: Fusion, nodes: Collection[Node], kept: Collection[Node]) -> dict[Group, set[Node]]:
    """The nodes that each group computes though they are members of another one. Results of `kept` nodes are needed in
    memory."""
    readers: dict[Node, list[tuple[Node, Array]]] = {}
    for node in nodes:
        for a in node.inputs:
            if a.node.kind == "map" and fusion.unit_of.get(a.node) not in (None, fusion.unit_of.get(node)):
                readers.setdefault(a.node, []).append((node, a))
    found: dict[Group, set[Node]] = {}
    for node, reading in readers.items():
        if node not in kept and _is_cheap(fusion, node) and all(_can_repeat(fusion, r, a) for r, a in reading):
            for reader, _ in reading:
                group = fusion.unit_of[reader]
                assert isinstance(group, Group)
                found.setdefault(group, set()).add(node)
    return found


def _is_cheap(fusion: Fusion, node: Node) -> bool:
    """Is a map an element of its group that takes no more reading than its result would?"""
    group = fusion.unit_of[node]
    if not isinstance(group, Group) or node in group.rows or node.name not in CHEAP or node in fusion.free:
        return False
    whole: set[Node] = set()
    for a in node.inputs:
        if a.node in fusion.free:
            continue
        producer = fusion.unit_of.get(a.node)
        if all(s != 0 for s in a.meta.strides):
            whole.add(a.node)
            if producer is group:
                return False
        elif producer is not None and not (isinstance(producer, Group) and a.node in producer.rows):
            return False
    return len(whole) == 1


def _can_repeat(fusion: Fusion, reader: Node, a: Array) -> bool:
    """Does a map or reduction in a group read an array where it is computed, at every point of the group's space?"""
    group = fusion.unit_of.get(reader)
    if not isinstance(group, Group) or reader.kind not in ("map", "reduce") or a.meta.offset:
        return False
    if reader in group.rows and reader.kind == "map":
        return False
    if any(b.node.kind == "call" for n in group.nodes for b in n.inputs):  # which may take the group in
        return False
    shape, whole = reader.inputs[0].shape if reader.kind == "reduce" else reader.outputs[0].shape, a.node.outputs[0]
    if math.prod(group.sizes) != whole.numel:
        return False
    if any(spread_strides(whole.shape, b.meta.strides, group.sizes) is None for b in a.node.inputs):
        return False
    strides = spread_strides(shape, a.meta.strides, group.sizes)
    return strides == own_strides(False, group.sizes, group.reduced)
