"""Epilogues: maps over the result of a matrix product become part of the product.

A product computes its result block by block. Maps that follow it run on every block as soon as it is finished, while it
is in the cache, which saves them a pass over memory: what they only read goes by once, and a result that nobody else
reads makes room for theirs. A group of maps may join a product if

* all its nodes are maps over the rows and columns of the product, which they read where they are computed;
* every other operand has its neighbours along the columns, or does not vary along them;
* no path leads from the product through another unit to the group.

Whether a product of these sizes has a place for epilogues, and wins by them, is known to the backend.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from flambeau._compiler.fuse import Fusion, Group, Unit
from flambeau._compiler.loops import Loops, Nest, Operand
from flambeau._compiler.nests import Fused, Place
from flambeau._ir.graph import Node
from flambeau._ir.meta import Meta


class Backend(Protocol):
    """What epilogues ask of a backend."""

    def takes_epilogue(
        self, template: str, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...], nest: Nest
    ) -> bool: ...


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
    def scalars(self) -> tuple[int, ...]:
        return self.fused.scalars


def absorb(fusion: Fusion, nest_of: Callable[[Group], Fused], backend: Backend) -> dict[Unit, Finished]:
    """Let products take in the groups that follow them; `nest_of` gives a group's nest."""
    found: dict[Unit, Finished] = {}
    for node, groups in reversed(_followers(fusion).items()):
        unit = fusion.unit_of[node]
        for group in groups:
            if unit in found or not group.nodes or fusion.is_between(unit, group):
                continue
            nest = over_blocks(fused := nest_of(group), node)
            metas = tuple([a.meta for a in node.inputs])
            if nest is not None and backend.takes_epilogue(node.name, metas, node.outputs, nest):
                found[unit] = Finished(node, fused._replace(nest=nest))
                fusion.take(unit, group)
    return found


def _followers(fusion: Fusion) -> dict[Node, list[Group]]:
    """The groups of maps over as many elements as a product has, which read it; in the order of the products."""
    found: dict[Node, list[Group]] = {}
    for group in fusion.units:
        if not isinstance(group, Group) or any(group.reduced) or any(n.kind != "map" for n in group.nodes):
            continue
        for a in [a for node in group.nodes for a in node.inputs]:
            product = a.node.kind == "call" and len(a.node.outputs) == 1
            if product and a.meta.numel == a.node.outputs[0].numel and group not in found.setdefault(a.node, []):
                found[a.node].append(group)
    return dict(sorted(found.items(), key=lambda item: item[0].number))


def over_blocks(fused: Fused, product: Node) -> Nest | None:
    """The nest of maps over two dimensions, the rows and columns of a product; None if it has no such form."""
    columns = product.outputs[0].shape[-1]
    nest = _in_rows(fused.nest, columns)
    if nest is None or nest.checked or any(o.gathered or o.strides[1] is None for o in nest.loops.operands):
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
