"""From a group of nodes to a nest in the loop IR: operands with strides, expressions, dimensions merged."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from flambeau._compiler.fuse import Fusion, Group, gather_index, gather_source_strides, own_strides, spread_strides
from flambeau._compiler.loops import Expr, Loops, Nest, Operand, known_strides
from flambeau._core import dtypes
from flambeau._ir.graph import Array, Node
from flambeau._ir.meta import Meta
from flambeau._ir.symbols import Symbol


class Place(NamedTuple):
    """Where a nest's operand is: result number `output` of `node`."""

    node: Node
    output: int


class Fused(NamedTuple):
    """A nest, the places of its operands, and the run-time scalars that it takes: slots, or symbols."""

    nest: Nest
    places: tuple[Place, ...]
    scalars: tuple[Any, ...]


class _Access(NamedTuple):
    """What tells operands apart: a place read or written with these strides from this offset; of one that is gathered,
    whether the index is `sound`."""

    place: Place
    strides: tuple[int, ...]
    offset: int
    written: bool
    gather: tuple[int, int] | None
    sound: bool


class _Builder:
    """Collects operands, scalars and expressions over a space of sizes, some of them reduced."""

    def __init__(self, fusion: Fusion, sizes: tuple[int, ...], reduced: tuple[bool, ...], members: Sequence[Node],
                 rows: set[Node]) -> None:  # fmt: skip
        self.fusion = fusion
        self.sizes = sizes
        self.reduced = reduced
        self.members = set(members)
        self.rows = rows
        self.accesses: dict[_Access, int] = {}
        self.scalars: dict[tuple[Any, str], int] = {}
        self.body: dict[Expr, int] = {}
        self.indexed: set[int] = set()  # dimensions whose position is used as a number
        self.values: dict[Node, int] = {}
        self.checked = False

    # ------------------------------------------------------------------------------------------ expressions

    def emit(self, op: str, args: Sequence[int], dtype: str, param: object = None) -> int:
        """The number of an expression; an equal one is not written twice."""
        expr = Expr(op, tuple(args), dtype, param)
        return self.body.setdefault(expr, len(self.body))

    def member(self, node: Node) -> None:
        """Emit the expression of a member."""
        row = node in self.rows and node.kind != "reduce"
        d = node.outputs[0].dtype.name
        if node.kind == "reduce":
            value = self.emit("reduce", [self.read(node.inputs[0], node.inputs[0].shape, False)], d, node.name)
        elif node.kind == "gather":
            value = self._gather(node, row)
        elif node.kind == "map":
            value = self._map(node, node.outputs[0].shape, row)
        else:
            value = self.read(self.fusion_array(node), node.outputs[0].shape, row)
        self.values[node] = value

    @staticmethod
    def fusion_array(node: Node) -> Array:
        """A free node's result as it is."""
        return Array(None, node, 0, node.outputs[0])  # type: ignore[arg-type]

    def _map(self, node: Node, shape: Sequence[int], row: bool) -> int:
        args = [self.read(a, shape, row) for a in node.inputs]
        if node.name == "copy":
            return args[0]
        self.checked = self.checked or node.name == "checked"
        return self.emit(node.name, args, node.outputs[0].dtype.name)

    def _gather(self, node: Node, row: bool) -> int:
        source, (dim, check) = node.inputs[0], node.params
        index = self.read(gather_index(node), node.outputs[0].shape, row)
        strides = self._strides(node.outputs[0].shape, gather_source_strides(node), row)
        along = (source.meta.strides[dim], source.shape[dim])
        self.checked = self.checked or check
        place = Place(source.node, source.output)
        operand = self.operand(place, strides, source.meta.offset, False, along, not check)
        return self.emit("load", [index], source.dtype.name, operand)

    def read(self, a: Array, shape: Sequence[int], row: bool) -> int:
        """The expression of an operand of a member whose space is seen as `shape`."""
        node = a.node
        if node in self.fusion.free:
            return self._free(a, shape, row)
        if node in self.members:
            return self.values[node]
        strides = self._strides(shape, a.meta.strides, row)
        operand = self.operand(Place(node, a.output), strides, a.meta.offset)
        return self.emit("load", [], a.dtype.name, operand)

    def _free(self, a: Array, shape: Sequence[int], row: bool) -> int:
        """A node that is repeated here: a number, a run-time scalar, a position, or a map of these."""
        node, d = a.node, a.dtype.name
        if node.kind == "const":
            return self._const(node.params[0], d)
        if node.kind == "scalar":
            arrives = "float64" if a.dtype.category == dtypes.FLOAT else "int64"
            return self._scalar(node.params[0], arrives, d)
        if node.kind == "index":
            return self._position(self._strides(shape, a.meta.strides, row), a.meta.offset)
        args = [self._free(b, (), row) for b in node.inputs]
        return args[0] if node.name == "copy" else self.emit(node.name, args, d)

    def _const(self, value: Any, d: str) -> int:
        """A number. Expressions that are equal are one, so a negative zero is written as the negation of zero and
        there is only one NaN."""
        if value == "nan":
            value = math.nan
        elif value == 0 and isinstance(value, float) and math.copysign(1.0, value) < 0:
            return self.emit("neg", [self.emit("const", [], d, 0.0)], d)
        return self.emit("const", [], d, value)

    def _position(self, strides: tuple[int, ...], offset: int) -> int:
        """offset + the sum of stride times position."""
        total = None
        for i, (stride, n) in enumerate(zip(strides, self.sizes, strict=True)):
            if stride and n > 1:
                self.indexed.add(i)
                term = self.emit("index", [], "int64", i)
                if stride != 1:
                    term = self.emit("mul", [term, self._whole(stride)], "int64")
                total = term if total is None else self.emit("add", [total, term], "int64")
        if total is None:
            return self._whole(offset)
        return self.emit("add", [total, self._whole(offset)], "int64") if offset else total

    def _scalar(self, scalar: Any, arrives: str, d: str) -> int:
        """A run-time scalar: the slot of one that arrives, or a symbol."""
        number = self.scalars.setdefault((scalar, arrives), len(self.scalars))
        return self.emit("scalar", [], d, number)

    def _whole(self, number: Any) -> int:
        """A whole number that follows from sizes."""
        if type(number) is Symbol:
            return self._scalar(number, "int64", "int64")
        return self.emit("const", [], "int64", number)

    # ------------------------------------------------------------------------------------------ operands

    def operand(self, place: Place, strides: tuple[int, ...], offset: int, written: bool = False,
                gather: tuple[int, int] | None = None, sound: bool = False) -> int:  # fmt: skip
        access = _Access(place, strides, offset, written, gather, sound)
        return self.accesses.setdefault(access, len(self.accesses))

    def store(self, place: Place, m: Meta, value: int, strides: tuple[int, ...], offset: int = 0) -> None:
        """Write a value to memory."""
        strides = tuple([0 if n == 1 else s for n, s in zip(self.sizes, strides, strict=True)])
        self.emit("store", [value], m.dtype.name, self.operand(place, strides, offset, True))

    def _strides(self, shape: Sequence[int], strides: Sequence[int], row: bool) -> tuple[int, ...]:
        """Strides over a member's shape as strides over the whole space."""
        space = [n for n, r in zip(self.sizes, self.reduced, strict=True) if not r] if row else self.sizes
        found = spread_strides(shape, strides, space)
        assert found is not None, "a member's space is the group's"
        if not row:
            return found
        rest = iter(found)
        return tuple([0 if r else next(rest) for r in self.reduced])

    # ------------------------------------------------------------------------------------------ the nest

    def finish(self) -> Fused:
        """Parallel dimensions first, then neighbours merged where every operand allows."""
        order = sorted(range(len(self.sizes)), key=lambda i: self.reduced[i])
        accesses = list(self.accesses)
        groups = self._merged(order, accesses)
        sizes, strides = [], [[] for _ in accesses]  # type: ignore[var-annotated]
        for dims in groups:
            size = 1
            for i in dims:
                size *= self.sizes[i]
            sizes.append(size)
            for access, own in zip(accesses, strides, strict=True):
                own.append(access.strides[dims[-1]])
        place_of = {i: number for number, dims in enumerate(groups) for i in dims}
        parallel = sum(not self.reduced[dims[0]] for dims in groups)
        body = [e._replace(param=place_of[e.param]) if e.op == "index" else e for e in self.body]
        operands = tuple([
            Operand(_dtype_of(a), known_strides(own), a.written, a.gather is not None, a.sound,
                    a.gather is not None and a.gather[0] == 1)
            for a, own in zip(accesses, strides, strict=True)
        ])  # fmt: skip
        loops = Loops(parallel, len(groups) - parallel, operands, tuple([d for _, d in self.scalars]), tuple(body))
        nest = Nest(loops, tuple(sizes), tuple([tuple(s) for s in strides]), tuple([a.offset for a in accesses]),
                    tuple([a.gather for a in accesses]), self.checked)  # fmt: skip
        return Fused(nest, tuple([a.place for a in accesses]), tuple([slot for slot, _ in self.scalars]))

    def _merged(self, order: list[int], accesses: list[_Access]) -> list[list[int]]:
        """The dimensions in lists of those that can be run through as one."""
        groups: list[list[int]] = []
        for i in order:
            if self.sizes[i] == 1:
                continue
            if groups:
                last = groups[-1][-1]
                together = self.reduced[last] == self.reduced[i] and not {last, i} & self.indexed
                if together and all(a.strides[last] == a.strides[i] * self.sizes[i] for a in accesses):
                    groups[-1].append(i)
                    continue
            groups.append([i])
        return groups


def _dtype_of(access: _Access) -> str:
    return access.place.node.outputs[access.place.output].dtype.name


def nest_of(fusion: Fusion, group: Group, stored: set[Node], repeated: Collection[Node] = ()) -> Fused:
    """The nest of a group; members in `stored` are written to memory, `repeated` nodes of other groups are computed
    here again."""
    nodes = sorted([*group.nodes, *repeated], key=lambda n: n.number) if repeated else group.nodes
    builder = _Builder(fusion, group.sizes, group.reduced, nodes, group.rows)
    for node in nodes:
        builder.member(node)
    for node in group.nodes:
        if node in stored:
            strides = own_strides(node in group.rows, group.sizes, group.reduced)
            builder.store(Place(node, 0), node.outputs[0], builder.values[node], strides)
    return builder.finish()


def nest_of_write(fusion: Fusion, node: Node) -> Fused:
    """The nest that stores the source of a write into its layout."""
    into, source = node.params[0], node.inputs[1]
    sizes = tuple([n for n in into.shape if n != 1])
    builder = _Builder(fusion, sizes, (False,) * len(sizes), (), set())
    value = builder.read(source, into.shape, False)
    strides = spread_strides(into.shape, into.strides, sizes)
    assert strides is not None
    builder.store(Place(node, 0), node.outputs[0], value, strides, into.offset)
    return builder.finish()


def nest_of_copy(source: Place, node: Node) -> Fused:
    """The nest that copies flat memory: what a write begins with if the old contents are still needed."""
    m = node.outputs[0]
    strides = (1,) if m.numel != 1 else ()
    sizes = (m.numel,) if m.numel != 1 else ()
    d = m.dtype.name
    operands = (Operand(d, strides, False), Operand(d, strides, True))
    body = (Expr("load", (), d, 0), Expr("store", (0,), d, 1))
    nest = Nest(Loops(len(sizes), 0, operands, (), body), sizes, (strides, strides), (0, 0), (None, None), False)
    return Fused(nest, (source, Place(node, 0)), ())
