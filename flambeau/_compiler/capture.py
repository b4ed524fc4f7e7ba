"""Capture: a window of instructions becomes a graph.

A pointwise operation is captured by running its body with the graph as builder, another one by its `expand`. What
neither can say stays a `host` node: the reference backend runs that instruction in its turn.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from flambeau._compiler.assembly import assembled
from flambeau._core import dtypes
from flambeau._core.dtypes import dtype
from flambeau._ir.graph import Array, Graph, Node, Unsupported
from flambeau._ir.meta import Meta, contiguous, dense_order
from flambeau._ir.program import Instruction, Value
from flambeau._ir.symbols import Symbol

# Numbers that bodies treat in a way of their own, or that constant folding profits from: part of a plan's key. All
# other floats may change from run to run without a new plan.
STATIC_FLOATS = frozenset({0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, 4.0})
STATIC_INTS = 64  # integers up to this size are part of the key, larger ones arrive at run time


RUNTIME = object()  # in a plan's key, in the place of a number that may change from run to run


def key_of(number: Any) -> Any:
    """What a plan's key says of a number of a pointwise operation."""
    kind = type(number)
    if kind is float:
        return (number or repr(number)) if number in STATIC_FLOATS else RUNTIME  # 0.0 equals -0.0
    return number if kind is not int or -STATIC_INTS <= number <= STATIC_INTS else RUNTIME


def is_static(number: Any) -> bool:
    """Is this number of a pointwise operation part of the plan's key?"""
    return key_of(number) is not RUNTIME


class Capture:
    """A graph and what ties it to the window: `nbytes` has the bytes of the values from before it by their slots,
    `bindings` the node and result that hold each slot's value, `hosts` the number of the instruction that each host
    node stands for, `origin` that of the instruction each node comes from."""

    def __init__(self, slots: dict[Value, int], nbytes: Sequence[int], supports: Callable[[str, dtype], bool]) -> None:
        self.graph = Graph(supports)
        self.slots = slots
        self.nbytes = nbytes
        self.bindings: dict[int, tuple[Node, int]] = {}
        self.hosts: dict[Node, int] = {}
        self.origin: dict[Node, int] = {}
        self.scalars = 0

    def run(self, instructions: Sequence[Instruction], refused: Collection[int] = ()) -> None:
        """Capture all instructions in order; those numbered in `refused` are left to the reference."""
        for number, instruction in enumerate(instructions):
            family = instruction.op.family
            first_scalar, first_node = self.scalars, len(self.graph.nodes)
            if family == "pointwise":
                self.scalars += sum(not is_static(a) for a in instruction.args if type(a) is not Value)
            try:
                if number in refused:
                    raise Unsupported("refused by the backend")
                if family == "pointwise":
                    self._bind(instruction, (self._pointwise(instruction, first_scalar),))
                elif family == "write":
                    self._bind(instruction, (self._write(instruction),))
                else:
                    self._bind(instruction, self._library(instruction))
            except Unsupported:
                self._host(instruction, number)
            for node in self.graph.nodes[first_node:]:
                self.origin[node] = number

    # ------------------------------------------------------------------------------------------ operands

    def read(self, value: Value, m: Meta) -> Array:
        """A value seen through a layout."""
        slot = self.slots[value]
        bound = self.bindings.get(slot)
        if bound is None:
            if self.nbytes[slot] % m.dtype.itemsize:
                raise Unsupported("memory of another dtype")
            node = self.graph.input(slot, m.dtype, self.nbytes[slot] // m.dtype.itemsize).node
            self.bindings[slot] = bound = (node, 0)
        node, output = bound
        if node.outputs[output].dtype is not m.dtype:
            raise Unsupported("memory seen as another dtype")
        if m.dtype.is_complex or m.dtype in dtypes.STORED or m.extent > node.outputs[output].numel:
            raise Unsupported("complex numbers, a dtype that is only kept, or a layout beyond its memory")
        return Array(self.graph, node, output, node.outputs[output] if m is node.outputs[output] else m)

    def _arguments(self, args: tuple, metas: tuple) -> list[Any]:
        """The arguments of an expansion: Arrays for values, tuples of them for lists, everything else as it is."""
        found: list[Any] = []
        for a, m in zip(args, metas, strict=True):
            if type(a) is Value:
                found.append(self.read(a, m))
            elif type(a) is tuple and any(type(x) is Value for x in a):
                found.append(tuple(self._arguments(a, m)))
            else:
                found.append(a)
        return found

    # ------------------------------------------------------------------------------------------ the families

    def _pointwise(self, instruction: Instruction, scalar: int) -> Array:
        op, inference = instruction.op, instruction.inference
        out = inference.outputs[0]
        compute = dtypes.float32 if inference.compute in dtypes.HALVES else inference.compute
        if compute.is_complex:
            raise Unsupported("complex numbers")
        order = None if out.is_contiguous else dense_order(out)
        args: list[Any] = []
        for i, (a, m) in enumerate(zip(instruction.args, instruction.metas, strict=True)):
            operand: Any = a
            if type(a) is Value:
                operand = self.read(a, m)
                if i in op.operands:
                    operand = operand.cast(compute)
                if order is not None:
                    operand = operand.expand(out.shape).permute(order)
            elif not is_static(a):
                operand = self._scalar(a, scalar, compute)
                scalar += 1
            elif i in op.operands and type(a) in (int, float, bool, Symbol):
                operand = _number(self.graph, a, compute)
            args.append(operand)
        result = op.run(self.graph, *args)
        if not isinstance(result, Array):
            result = self.graph.const(result, compute)
        if order is not None and result.ndim == len(order):
            inverse = sorted(range(len(order)), key=order.__getitem__)
            return result.permute(inverse)
        return assembled(self.graph, result)

    def _scalar(self, number: float | int, slot: int, compute: dtype) -> Array:
        """A run-time number, which arrives as a double or as a 64-bit integer, in the dtype computed in."""
        if type(number) is int:
            return self.graph.scalar(slot, dtypes.int64).cast(compute)
        if compute.category < dtypes.FLOAT:
            raise Unsupported("a float among integers")
        return self.graph.scalar(slot, compute)

    def _library(self, instruction: Instruction) -> tuple[Array, ...]:
        expand = getattr(instruction.op, "expand", None)
        if expand is None:
            raise Unsupported(instruction.op.name)
        result = expand(self.graph, *self._arguments(instruction.args, instruction.metas))
        return result if isinstance(result, tuple) else (result,)

    def _write(self, instruction: Instruction) -> Array:
        old_value, source_value, exposed = instruction.args
        target, source_meta, _ = instruction.metas
        if exposed:
            raise Unsupported("memory that others see")
        source = self.read(source_value, source_meta)
        old = self.read(old_value, target)
        whole = old.node.outputs[old.output]
        source = source.cast(target.dtype).expand(target.shape)
        if target.numel == whole.numel and target.offset == 0:
            order = dense_order(target)
            if order is not None:  # everything is replaced: the old contents do not matter
                return self.graph.copy(source.permute(order)).reshape((whole.numel,))
        flat = self.graph.whole(old.node, old.output)
        return self.graph.write(flat, target, source)

    # ------------------------------------------------------------------------------------------ results

    def _bind(self, instruction: Instruction, results: tuple[Array, ...]) -> None:
        """Tie each output value to a whole result whose memory has the layout that was inferred."""
        if instruction.op.family == "write":
            array = results[0]
            self.bindings[self.slots[instruction.outputs[0]]] = (array.node, array.output)
            return
        bound = []
        for m, array in zip(instruction.inference.outputs, results, strict=True):
            if m.dtype.is_complex:
                raise Unsupported("complex numbers")
            if tuple(array.shape) != tuple(m.shape):
                array = array.expand(m.shape)
            array = self.graph.cast(array, m.dtype)
            order = None if m.is_contiguous else dense_order(m)
            if order is not None:
                array = array.permute(order)
            elif not m.is_contiguous:
                raise Unsupported("a result with gaps")
            computed = array.node.kind in ("map", "reduce", "gather", "call", "write")
            array = array if computed and _fills_memory(array) else self.graph.copy(array)
            bound.append((array.node, array.output))
        for value, binding in zip(instruction.outputs, bound, strict=True):
            self.bindings[self.slots[value]] = binding

    def _host(self, instruction: Instruction, number: int) -> None:
        """Leave the instruction to the reference; its operands must be in memory by then."""
        inputs: list[Array] = []
        for value in operands_of(instruction):
            slot = self.slots[value]
            bound = self.bindings.get(slot)
            if bound is None:  # memory from before, whose dtype does not matter here
                node = self.graph.input(slot, dtypes.uint8, self.nbytes[slot]).node
                bound = (node, 0)
            inputs.append(self.graph.whole(*bound))
        if instruction.op.family == "write":
            metas: tuple[Meta, ...] = (instruction.metas[0],)
            extents = [self._elements(instruction.args[0], metas[0])]
        else:
            metas = instruction.inference.outputs
            extents = [m.numel if m.is_contiguous else m.extent for m in metas]
        outputs = [contiguous(m.dtype, (n,)) for m, n in zip(metas, extents, strict=True)]
        node = self.graph.node("host", instruction.op.name, (number,), inputs, outputs)
        self.hosts[node] = number
        for i, value in enumerate(instruction.outputs):
            self.bindings[self.slots[value]] = (node, i)

    def _elements(self, value: Value, m: Meta) -> int:
        """How many elements of the layout's dtype the memory of a value has."""
        slot = self.slots[value]
        bound = self.bindings.get(slot)
        if bound is None:
            return self.nbytes[slot] // m.dtype.itemsize
        return bound[0].outputs[bound[1]].nbytes // m.dtype.itemsize


def _fills_memory(array: Array) -> bool:
    """Does an array have all elements of its node's result in their order, in whatever shape?"""
    whole = array.node.outputs[array.output]
    return array.meta is whole or (
        array.meta.is_contiguous and array.meta.offset == 0 and array.meta.numel == whole.numel
    )


def operands_of(instruction: Instruction) -> list[Value]:
    """The values among the (possibly nested) arguments of an instruction."""
    found: list[Value] = []
    add_values(instruction.args, found)
    return found


def add_values(args: tuple, found: list[Value]) -> None:
    """Append the values among (possibly nested) arguments."""
    for a in args:
        kind = type(a)
        if kind is Value:
            found.append(a)
        elif kind is tuple:
            add_values(a, found)


def _number(graph: Graph, number: Any, compute: dtype) -> Array:
    """A constant operand in the dtype computed in; integers wrap around."""
    if compute.category == dtypes.INTEGER:
        if isinstance(number, float):
            raise Unsupported("a float among integers")
        bits = 8 * compute.itemsize
        number = int(number) & ((1 << bits) - 1)
        if compute.name != "uint8" and number >> (bits - 1):
            number -= 1 << bits
    return graph.const(number, compute)
