"""Epilogues: maps over the result of a matrix product become part of the product.

A product computes its result block by block. Maps that follow it run on every block as soon as it is finished, while it
is in the cache, which saves them a pass over memory: what they only read goes by once, and a result that nobody else
reads makes room for theirs. A group of maps may join a product if

* all its nodes are maps over the rows and columns of the product, which they read where they are computed;
* every other operand has its neighbours along the columns, or does not vary along them;
* no path leads from the product through another unit to the group;
* the result is so large that it would not wait for the maps in a cache: where it would, a pass over it takes next to
  nothing beside the product, as measurements show.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from flambeau._compiler.fuse import Fusion, Group, Unit
from flambeau._compiler.loops import Loops, Nest, Operand
from flambeau._compiler.nests import Fused, Place
from flambeau._ir.graph import Node

FINISHING = frozenset({"matmul"})  # call templates that can finish their blocks
LARGE = 16 << 20  # bytes of a result from which on it is worth to


class Finished(NamedTuple):
    """A product and the nest over rows and columns of its result that finishes every block. Operands of its step are
    those of the product, then those of the nest."""

    node: Node
    fused: Fused

    @property
    def operands(self) -> tuple[Place, ...]:
        """What the product reads."""
        return tuple([Place(a.node, a.output) for a in self.node.inputs])

    @property
    def places(self) -> tuple[Place, ...]:
        return (*self.operands, Place(self.node, 0), *self.fused.places)

    @property
    def scalars(self) -> tuple[Any, ...]:
        return self.fused.scalars


def absorb(fusion: Fusion, nest_of: Callable[[Group], Fused]) -> dict[Unit, Finished]:
    """Let products take in the groups that follow them; `nest_of` gives a group's nest."""
    found: dict[Unit, Finished] = {}
    followers = _followers(fusion)
    for node in sorted(followers, key=lambda n: n.number, reverse=True):
        unit = fusion.unit_of[node]
        groups = [g for g in followers[node] if g.nodes and not fusion.is_between(unit, g)]
        for i, group in enumerate(groups):
            if unit in found or not group.nodes:
                continue
            fusion.merge_others(group, groups[i + 1 :])
            nest = over_blocks(fused := nest_of(group), node)
            if nest is not None:
                found[unit] = Finished(node, fused._replace(nest=nest))
                fusion.take(unit, group)
    return found


def _followers(fusion: Fusion) -> dict[Node, list[Group]]:
    """The groups of maps that read large products."""
    found: dict[Node, list[Group]] = {}
    for group in fusion.units:
        if isinstance(group, Group) and not any(group.reduced):
            for product in dict.fromkeys([a.node for node in group.nodes for a in node.inputs]):
                if _is_large(product):
                    found.setdefault(product, []).append(group)
    return found


def _is_large(node: Node) -> bool:
    """Is this a large product, of more than nothing?"""
    if node.kind != "call" or node.name not in FINISHING or node.inputs[0].shape[-1] == 0:
        return False
    m = node.outputs[0]
    return m.nbytes >= LARGE and m.dtype.name in ("float32", "float64")


def over_blocks(fused: Fused, product: Node) -> Nest | None:
    """The nest of maps over two dimensions, the rows and columns of a product; None if it has no such form."""
    m = product.outputs[0]
    columns = m.shape[-1]
    nest = _in_rows(fused.nest, columns)
    if nest is None or nest.sizes[0] * columns != m.numel or nest.checked:
        return None
    if any(o.gathered or o.strides[1] is None for o in nest.loops.operands):
        return None
    for place, strides, offset in zip(fused.places, nest.strides, nest.offsets, strict=True):
        if place == Place(product, 0) and (strides != (columns, 1) or offset):
            return None
    return nest


def _in_rows(nest: Nest, columns: int) -> Nest | None:
    """The nest with its last dimension cut so that a row has so many columns, if that gives two dimensions."""
    total = nest.sizes[-1] if nest.sizes else 1
    if len(nest.sizes) == 2 and total == columns:
        return nest
    if len(nest.sizes) != 1 or total % columns or any(e.op == "index" for e in nest.loops.body):
        return None
    strides = tuple([(s * columns if total > columns else 0, s) for (s,) in nest.strides])
    operands = [
        Operand(o.dtype, tuple([x if x in (0, 1) else None for x in s]), o.written, o.gathered)
        for o, s in zip(nest.loops.operands, strides, strict=True)
    ]  # fmt: skip
    loops = Loops(2, 0, tuple(operands), nest.loops.scalars, nest.loops.body)
    return nest._replace(loops=loops, sizes=(total // columns, columns), strides=strides)
