"""Fusion: nodes of a graph are gathered into units, each of which becomes one piece of work.

A unit is either a single `call`, `host` or `write` node, or a *group* of maps, gathers and reductions that one nest of
loops computes without going through memory. A group has a space of dimensions, some of them reduced. A node takes
part as an *element* (it varies over the whole space) or as a *row* value (it varies over the parallel dimensions only:
what reductions give, and what is computed from that). A node may join the group of one of its operands if

* its elements are the group's elements in the same order: sizes are split until both have the same dimensions;
* it reads members of the group at the very point where they are computed, never at another one;
* no path leads from the group through another unit back to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from flambeau._ir.graph import Array, Node
from flambeau._ir.meta import contiguous_strides

FUSABLE = frozenset({"map", "gather", "reduce"})
ROWS_FOR_ALL = 8  # a reduction to fewer rows than that is split over several tasks, which ends its group...
LONG_ROW = 1 << 15  # ...if the rows are at least this long
MOST_NODES = 160  # of a group: code generation recurses through them, and registers are few
DEEPEST = 32  # formula of constants that is repeated where it is used
TALL, LARGE = 1024, 1 << 21  # so is one down columns this long, of as many elements in all as caches do not hold


class Unit:
    """A piece of work: its nodes in order, and for a group its space."""

    def __init__(self, number: int, nodes: list[Node]) -> None:
        self.number = number
        self.nodes = nodes
        self.ancestors = 0  # bit i: depends on unit i

    @property
    def kind(self) -> str:
        return self.nodes[0].kind

    def __repr__(self) -> str:
        return f"unit {self.number}: {', '.join(f'%{n.number} {n.name or n.kind}' for n in self.nodes)}"


class Group(Unit):
    """A unit whose nodes one nest of loops computes. `sizes` are the dimensions (none of size 1), `reduced` says which
    of them are reduced; `rows` are the nodes that are row values."""

    def __init__(self, number: int, sizes: tuple[int, ...], reduced: tuple[bool, ...]) -> None:
        super().__init__(number, [])
        self.sizes = sizes
        self.reduced = reduced
        self.rows: set[Node] = set()
        self.after: set[Node] = set()  # nodes that depend on a reduction of this group
        self.closed = False  # reductions here end in a second launch: no elements may depend on them

    @property
    def kind(self) -> str:
        return "group"

    @property
    def row_sizes(self) -> tuple[int, ...]:
        return tuple([n for n, r in zip(self.sizes, self.reduced, strict=True) if not r])


class Fusion:
    """Builds the units of the nodes of a graph (in order, dead ones left out). Results of `kept` nodes are needed in
    memory.

    Constants, and whatever else is known without reading memory, are no member of any unit: they are repeated where
    they are used, unless somebody reads them from memory."""

    def __init__(self, nodes: Sequence[Node], kept: Iterable[Node]) -> None:
        self.units: list[Unit] = []
        self.unit_of: dict[Node, Unit] = {}
        self.free: dict[Node, int] = {}  # the nodes that are repeated where they are used, and how deep they are
        in_memory = set(kept) | {a.node for node in nodes for a in _read_from_memory(node)}
        for node in nodes:
            if node.kind in ("input", "empty"):
                continue
            if node.kind in ("const", "scalar", "index") or (node.kind == "map" and self._is_uniform(node)):
                self.free[node] = 1 + max([self.free[a.node] for a in node.inputs], default=0)
                if node not in in_memory:
                    continue
            if node in self.free or node.kind in FUSABLE:
                self._place(node)
            else:
                self._add(Unit(len(self.units), [node]), node)

    def ordered(self) -> list[Unit]:
        """The units, each after those it depends on; otherwise in the order of their first nodes."""
        alive = [u for u in self.units if u.nodes]
        by_number = {u.number: u for u in alive}
        left = sum(1 << number for number in by_number)
        order: list[Unit] = []
        pending = sorted(alive, key=lambda u: u.nodes[-1].number)

        def visit(unit: Unit) -> None:
            nonlocal left
            stack = [unit]
            while stack:
                top = stack[-1]
                missing = [by_number[i] for i in _bits(top.ancestors & left)]
                if missing and left >> top.number & 1:
                    stack.extend(sorted(missing, key=lambda u: -u.nodes[-1].number))
                    continue
                stack.pop()
                if left >> top.number & 1:
                    left &= ~(1 << top.number)
                    order.append(top)

        for unit in pending:
            visit(unit)
        return order

    # ------------------------------------------------------------------------------------------ bookkeeping

    def _is_uniform(self, node: Node) -> bool:
        """Is every element of a map the same number, known without reading memory?"""
        return all(self.free.get(a.node, DEEPEST) < DEEPEST and a.node.kind != "index" for a in node.inputs)

    def _producers(self, node: Node) -> list[Node]:
        """The operands that are read from units, without repetition."""
        in_units = [a.node for a in node.inputs if a.node in self.unit_of and a.node not in self.free]
        in_units += [a.node for a in _read_from_memory(node) if a.node in self.free]
        return list(dict.fromkeys(in_units))

    def _add(self, unit: Unit, node: Node) -> None:
        """Put a unit of its own into the list."""
        for p in self._producers(node):
            producer = self.unit_of[p]
            unit.ancestors |= producer.ancestors | 1 << producer.number
        self.units.append(unit)
        self.unit_of[node] = unit

    def _place(self, node: Node) -> None:
        """Let a node join the group of one of its operands, or begin a group of its own."""
        groups = sorted(
            {self.unit_of[p] for p in self._producers(node) if isinstance(self.unit_of[p], Group)},
            key=lambda u: -u.number,
        )
        for group in groups:
            full = len(group.nodes) >= MOST_NODES
            if isinstance(group, Group) and not full and self._may_depend(group, node) and self._join(group, node):
                self.merge_others(group, [g for g in groups if g is not group])
                return
        sizes, reduced = _space(node)
        group = Group(len(self.units), sizes, reduced)
        self._add(group, node)
        self._insert(group, node, row=node.kind == "reduce")

    def _may_depend(self, group: Group, node: Node) -> bool:
        """Would no cycle arise if the node joined? Its other producers must not depend on the group."""
        for p in self._producers(node):
            unit = self.unit_of[p]
            if unit is not group and unit.ancestors >> group.number & 1:
                return False
        return True

    def _insert(self, group: Group, node: Node, row: bool) -> None:
        group.nodes.append(node)
        self.unit_of[node] = group
        if row:
            group.rows.add(node)
        if node.kind == "reduce" or any(a.node in group.after for a in node.inputs):
            group.after.add(node)
        if node.kind == "reduce":
            group.closed = group.closed or _is_done_in_parts(group.sizes, group.reduced)
        added = 0
        for p in self._producers(node):
            unit = self.unit_of[p]
            if unit is not group:
                added |= unit.ancestors | 1 << unit.number
        self._depend(group, added)

    def _depend(self, unit: Unit, added: int) -> None:
        """The unit, and with it all that depend on it, now also depend on the units in `added`."""
        if added & ~unit.ancestors:
            unit.ancestors |= added
            bit = 1 << unit.number
            for other in self.units:
                if other.ancestors & bit:
                    other.ancestors |= added

    # ------------------------------------------------------------------------------------------ joining

    def _join(self, group: Group, node: Node) -> bool:
        """Make the node a member if its elements are the group's elements or rows."""
        if node.kind == "reduce":
            return self._join_reduction(group, node)
        shape = node.outputs[0].shape
        for row in (False, True) if any(group.reduced) else (False,):
            if self._join_map(group, node, shape, row):
                return True
        return False

    def _join_map(self, group: Group, node: Node, shape: Sequence[int], row: bool) -> bool:
        if not row and group.closed and any(a.node in group.after for a in node.inputs):
            return False
        target = group.row_sizes if row else group.sizes
        common = refinement(target, [n for n in shape if n != 1])
        if common is None:
            return False
        sizes, reduced = _refined(group, common, row)
        if not all(self._reads_in_place(group, a, shape, sizes, reduced, row) for a in _aligned(node)):
            return False
        if node.kind == "gather" and self.unit_of.get(node.inputs[0].node) is group:
            return False
        group.sizes, group.reduced = sizes, reduced
        self._insert(group, node, row)
        return True

    def _join_reduction(self, group: Group, node: Node) -> bool:
        a, dims = node.inputs[0], node.params[0]
        if a.node in group.after and group.closed:
            return False
        wanted = [(n, i in dims) for i, n in enumerate(a.shape) if n != 1]
        common = refinement(group.sizes, [n for n, _ in wanted])
        if common is None:
            return False
        sizes, reduced = _refined(group, common, False)
        mine = _split_flags(wanted, common)
        if any(group.reduced):
            if mine != reduced:
                return False
        elif not any(mine):
            return False
        if not self._reads_in_place(group, a, a.shape, sizes, mine, False):
            return False
        if a.node in group.after and _is_done_in_parts(sizes, mine):
            return False
        group.sizes, group.reduced = sizes, mine
        self._insert(group, node, row=True)
        return True

    def _reads_in_place(
        self, group: Group, a: Array, shape: Sequence[int], sizes: tuple[int, ...], reduced: tuple[bool, ...],
        row: bool, rows: set[Node] | None = None,
    ) -> bool:  # fmt: skip
        """Does the operand, if a member, get read at the point where it is computed? `rows` are the row values, by
        default the group's."""
        if a.node in self.free or self.unit_of.get(a.node) is not group:
            return True
        if a.meta.offset:
            return False
        space = [n for n, r in zip(sizes, reduced, strict=True) if not r] if row else list(sizes)
        strides = spread_strides(shape, a.meta.strides, space)
        if strides is None:
            return False
        if row:
            full = iter(strides)
            strides = tuple([0 if r else next(full) for r in reduced])
        return strides == own_strides(a.node in (group.rows if rows is None else rows), sizes, reduced)

    # ------------------------------------------------------------------------------------------ merging

    def merge_others(self, group: Group, others: Sequence[Unit]) -> None:
        """Take other groups that feed the same node, or are fed by it, into this one where their spaces agree."""
        for other in others:
            if isinstance(other, Group) and other.nodes and not group.closed and not other.closed:
                if len(group.nodes) + len(other.nodes) > MOST_NODES:
                    continue
                union = self._union(group, other)
                if union is not None and not self.is_between(group, other):
                    self._merge(group, other, union)

    def _union(self, group: Group, other: Group) -> _Union | None:
        """The space of both groups together, if they have one in which they read each other only point by point."""
        candidates = [_common_space(group, other)]
        if any(group.reduced) and not any(other.reduced):
            candidates.append(_space_with_rows(group, other))
        elif any(other.reduced) and not any(group.reduced):
            candidates.append(_space_with_rows(other, group))
        for union in candidates:
            if union is not None and self._reads_only_in_place(group, other, union):
                if self._reads_only_in_place(other, group, union):
                    return union
        return None

    def _reads_only_in_place(self, group: Group, other: Group, union: _Union) -> bool:
        """Does the group read members of the other one only where they are computed?"""
        for node in group.nodes:
            if any(self.unit_of.get(a.node) is other for a in _read_from_memory(node)):
                return False
            shape = node.inputs[0].shape if node.kind == "reduce" else node.outputs[0].shape
            row = node in union.rows and node.kind != "reduce"
            for a in _aligned(node):
                if not self._reads_in_place(other, a, shape, union.sizes, union.reduced, row, union.rows):
                    return False
        return True

    def is_between(self, group: Unit, other: Unit) -> bool:
        """Does one unit depend on the other by way of a third?"""
        for unit in self.units:
            if unit is not group and unit is not other and unit.nodes:
                if unit.ancestors >> group.number & 1 and other.ancestors >> unit.number & 1:
                    return True
                if unit.ancestors >> other.number & 1 and group.ancestors >> unit.number & 1:
                    return True
        return False

    def _merge(self, group: Group, other: Group, union: _Union) -> None:
        group.sizes, group.reduced, group.rows = union
        group.nodes = sorted(group.nodes + other.nodes, key=lambda n: n.number)
        for node in group.nodes:
            self.unit_of[node] = group
            if node.kind == "reduce" or any(a.node in group.after | other.after for a in node.inputs):
                group.after.add(node)
        self._stand_in(group, other)

    def _stand_in(self, unit: Unit, other: Unit) -> None:
        """The other unit's nodes now are in this one: whoever depended on either depends on what both do."""
        either = 1 << unit.number | 1 << other.number
        unit.ancestors = (unit.ancestors | other.ancestors) & ~either
        other.nodes = []
        for follower in self.units:
            if follower.ancestors & either:
                follower.ancestors = follower.ancestors & ~either | 1 << unit.number | unit.ancestors

    def take(self, unit: Unit, group: Group) -> None:
        """Make a group that nothing stands between part of the unit of a call."""
        unit.nodes += group.nodes
        for node in group.nodes:
            self.unit_of[node] = unit
        self._stand_in(unit, group)


def _is_done_in_parts(sizes: Sequence[int], reduced: Sequence[bool]) -> bool:
    """Is a reduction split over several tasks? One pass after the other over long columns would read memory in short
    pieces far from each other; in parts, whole rows are read as they lie there."""
    total, rows = math.prod(sizes), math.prod([n for n, r in zip(sizes, reduced, strict=True) if not r])
    length = total // max(rows, 1)
    if rows < ROWS_FOR_ALL:
        return length >= LONG_ROW
    return not reduced[-1] and length >= TALL and total >= LARGE


class _Union(NamedTuple):
    """The space of two groups merged, and which of their nodes are row values in it."""

    sizes: tuple[int, ...]
    reduced: tuple[bool, ...]
    rows: set[Node]


def _common_space(group: Group, other: Group) -> _Union | None:
    """The space of which both groups' are splittings, element by element."""
    common = refinement(group.sizes, other.sizes)
    if common is None:
        return None
    reduced = [_refined(g, common, False)[1] for g in (group, other)]
    if any(reduced[0]) and any(reduced[1]) and reduced[0] != reduced[1]:
        return None
    return _Union(common, reduced[0] if any(reduced[0]) else reduced[1], group.rows | other.rows)


def _space_with_rows(group: Group, other: Group) -> _Union | None:
    """The space of a group with reductions whose rows are the elements of another one."""
    common = refinement(group.row_sizes, other.sizes)
    if common is None:
        return None
    return _Union(*_refined(group, common, True), group.rows | set(other.nodes))


def own_strides(row: bool, sizes: tuple[int, ...], reduced: tuple[bool, ...]) -> tuple[int, ...]:
    """The strides over the space of the memory that a member's dense result would have."""
    if not row:
        return contiguous_strides(sizes)
    rows = iter(contiguous_strides([n for n, r in zip(sizes, reduced, strict=True) if not r]))
    return tuple([0 if r else next(rows) for r in reduced])


# ---------------------------------------------------------------------------------------------- dimensions


def _bits(x: int) -> Iterable[int]:
    while x:
        low = x & -x
        yield low.bit_length() - 1
        x ^= low


def _read_from_memory(node: Node) -> tuple[Array, ...]:
    """The operands that must be in memory: all of a call or host instruction, what a gather looks up in, what a write
    leaves as it is."""
    if node.kind in ("call", "host"):
        return node.inputs
    return node.inputs[:1] if node.kind in ("gather", "write") else ()


def _space(node: Node) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """The dimensions of a node's own loop nest, and which are reduced."""
    if node.kind == "reduce":
        shape, dims = node.inputs[0].shape, node.params[0]
        kept = [(n, i in dims) for i, n in enumerate(shape) if n != 1]
    else:
        kept = [(n, False) for n in node.outputs[0].shape if n != 1]
    return tuple([n for n, _ in kept]), tuple([r for _, r in kept])


def _aligned(node: Node) -> list[Array]:
    """The operands that are read at every point of the node's space (all but what a gather looks up in)."""
    return [gather_index(node)] if node.kind == "gather" else list(node.inputs)


def gather_index(node: Node) -> Array:
    """The index of a gather, spread over the space of its result."""
    source, index = node.inputs
    dim = node.params[0]
    shape = node.outputs[0].shape
    after = source.ndim - dim - 1
    strides = (0,) * dim + tuple(index.meta.strides) + (0,) * after
    return index.strided(shape, strides, index.meta.offset)


def gather_source_strides(node: Node) -> tuple[int, ...]:
    """The strides of what a gather looks up in, over its result's space: 0 along the dimensions of the index."""
    source, index = node.inputs
    dim = node.params[0]
    strides = source.meta.strides
    return strides[:dim] + (0,) * index.ndim + strides[dim + 1 :]


def refinement(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...] | None:
    """The coarsest sizes of which both `a` and `b` are products of neighbours, or None.

    Example::

        >>> refinement((768, 128), (12, 64, 128))
        (12, 64, 128)
    """
    a, b = list(a), list(b)
    if a == b:
        return tuple(a)
    if math.prod(a) != math.prod(b) or 0 in a or 0 in b:
        return None
    result: list[int] = []
    while a and b:
        x, y = a.pop(), b.pop()
        small, large, rest = (x, y, b) if x <= y else (y, x, a)
        if large % small:
            return None
        result.append(small)
        if large > small:
            rest.append(large // small)
    return tuple(reversed(result))


def _split(n: int, rest: list[int]) -> list[int]:
    """The sizes at the end of `rest`, innermost first, of which `n` is the product; they are taken off."""
    parts = []
    while n != 1:
        parts.append(rest.pop())
        n = 1 if n == parts[-1] else n // parts[-1]
    return parts


def _split_flags(wanted: Sequence[tuple[int, bool]], common: Sequence[int]) -> tuple[bool, ...]:
    """The flags of sizes that were split into `common`."""
    flags: list[bool] = []
    rest = list(common)
    for n, flag in reversed(wanted):
        flags += [flag] * len(_split(n, rest))
    return tuple(reversed(flags))


def _refined(group: Group, common: tuple[int, ...], row: bool) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """The group's space with its dimensions (or only the parallel ones) split into `common`."""
    if not row:
        return common, _split_flags(list(zip(group.sizes, group.reduced, strict=True)), common)
    sizes: list[int] = []
    reduced: list[bool] = []
    rest = list(common)
    for n, r in reversed(list(zip(group.sizes, group.reduced, strict=True))):
        parts = [n] if r else _split(n, rest)
        sizes += parts
        reduced += [r] * len(parts)
    return tuple(reversed(sizes)), tuple(reversed(reduced))


def spread_strides(shape: Sequence[int], strides: Sequence[int], space: Sequence[int]) -> tuple[int, ...] | None:
    """Strides over `shape` as strides over `space`, which splits its dimensions (those of size 1 left out).

    Example::

        >>> spread_strides((768, 1, 128), (128, 7, 1), (12, 64, 128))
        (8192, 128, 1)
    """
    result: list[int] = []
    rest = list(space)
    for n, s in reversed(list(zip(shape, strides, strict=True))):
        while n != 1:
            part = rest.pop() if rest else 1
            if n != part and (part <= 1 or n == 0 or n % part):
                return None
            result.append(s)
            s *= part
            n = 1 if n == part else n // part
    return tuple(reversed(result)) if not rest else None
