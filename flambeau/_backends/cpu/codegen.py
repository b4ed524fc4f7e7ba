"""Loop nests as LLVM text.

One generator covers pointwise chains, reductions and row kernels. What is chosen from sizes and strides (`Shape`) is
which dimension the vector lanes run along:

* `map`: nothing is reduced; lanes run along the innermost parallel dimension, in blocks of it.
* `rows`: lanes run along the innermost reduced dimension; at its end the lanes are combined.
* `columns`: lanes run along the innermost parallel dimension, every lane reduces on its own.

A row with reductions is run through in passes: each computes the reductions that can be, given those of the passes
before. Values that do not vary along the lanes are scalars and computed outside the innermost loop. Sums and products of
float32 are accumulated in float64, which costs little beside the memory and makes their order irrelevant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flambeau._backends.cpu.casts import HALVES, MEMORY, REGISTER, cast, to_memory, to_register
from flambeau._backends.cpu.combine import Combiner
from flambeau._backends.cpu.emit import Function, Module, Val, vector
from flambeau._backends.cpu.primitives import primitive
from flambeau._backends.cpu.target import Target
from flambeau._compiler.loops import Expr, Loops


class Shape(NamedTuple):
    """What the text of a kernel depends on beside its loops: where lanes run, how many, how many vectors side by side
    (`width`), and whether the outermost reduced dimension is split over tasks."""

    mode: str
    lanes: int
    width: int = 1
    split: bool = False


class Layout:
    """Where a kernel finds what among its words: operands, scalars, sizes, strides, gathers, then status and block."""

    def __init__(self, loops: Loops) -> None:
        self.operands = 0
        self.scalars = len(loops.operands)
        self.sizes = self.scalars + len(loops.scalars)
        self.strides: dict[tuple[int, int], int] = {}
        next = self.sizes + loops.parallel + loops.reduced
        for i, operand in enumerate(loops.operands):
            for d, stride in enumerate(operand.strides):
                if stride is None:
                    self.strides[i, d] = next
                    next += 1
        self.gathers: dict[int, int] = {}
        for i, operand in enumerate(loops.operands):
            if operand.gathered:
                self.gathers[i] = next
                next += 2
        self.status, self.block = next, next + 1


class Structure:
    """What follows from the expressions alone: which vary over reduced dimensions, and in which pass each is known."""

    def __init__(self, loops: Loops) -> None:
        self.loops = loops
        self.reduced_dims = range(loops.parallel, loops.parallel + loops.reduced)
        self.element: list[bool] = []
        self.stage: list[int] = []
        for e in loops.body:
            args_vary = any(self.element[a] for a in e.args)
            stage = max([self.stage[a] for a in e.args], default=0)
            if e.op == "reduce":
                self.element.append(False)
                self.stage.append(stage + 1)
                continue
            own = e.op in ("load", "store") and any(loops.operands[e.param].strides[d] != 0 for d in self.reduced_dims)
            own = own or (e.op == "index" and e.param in self.reduced_dims)
            self.element.append(own or args_vary)
            self.stage.append(stage)
        self.passes = max([self.stage[i] for i in self.sinks() if self.element[i]], default=-1) + 1
        self.passes = max(self.passes, max([self.stage[i] for i in self.reductions()], default=0))

    def reductions(self) -> list[int]:
        return [i for i, e in enumerate(self.loops.body) if e.op == "reduce"]

    def sinks(self) -> list[int]:
        return [i for i, e in enumerate(self.loops.body) if e.op == "store"]

    def of_pass(self, number: int) -> tuple[list[int], list[int]]:
        """The reductions and the element stores of a pass."""
        reductions = [i for i in self.reductions() if self.stage[i] == number + 1]
        stores = [i for i in self.sinks() if self.element[i] and self.stage[i] == number]
        return reductions, stores

    def varies(self, dim: int) -> list[bool]:
        """Which expressions vary along a dimension; -1 is none."""
        if dim < 0:
            return [False] * len(self.loops.body)
        found: list[bool] = []
        for e in self.loops.body:
            own = e.op in ("load", "store") and self.loops.operands[e.param].strides[dim] != 0
            own = own or (e.op == "index" and e.param == dim)
            over = e.op == "reduce" and dim in self.reduced_dims
            found.append((own or any(found[a] for a in e.args)) and not over)
        return found


def generate(target: Target, loops: Loops, shape: Shape) -> str:
    """The text of the kernel `nest`."""
    module = Module(target)
    _Generator(module, loops, shape).write()
    return module.text()


class _Generator:
    """Writes one kernel. `values` are the scalars known so far, `splats` the same in all lanes, `index` the current
    positions, `pointers` the addresses of operands at these."""

    def __init__(self, module: Module, loops: Loops, shape: Shape) -> None:
        self.loops = loops
        self.shape = shape
        self.layout = Layout(loops)
        self.structure = Structure(loops)
        self.f, self.args, self.lo, self.hi = module.entry("nest")
        dims = loops.parallel + loops.reduced
        self.vector_dim = -1
        if dims:
            self.vector_dim = dims - 1 if shape.mode == "rows" else loops.parallel - 1
        self.varies = self.structure.varies(self.vector_dim)
        self.values: dict[int, Val] = {}
        self.splats: dict[str, Val] = {}
        self.index: list[Val] = [self.f.int(0)] * dims
        self.lanes = 0

    # ------------------------------------------------------------------------------------------ the frame

    def write(self) -> None:
        f, loops, layout = self.f, self.loops, self.layout
        self.bases = [f.word(self.args, i, "ptr") for i in range(len(loops.operands))]
        self.sizes = [f.word(self.args, layout.sizes + d) for d in range(loops.parallel + loops.reduced)]
        self.stride_words = {k: f.word(self.args, w) for k, w in layout.strides.items()}
        for i, e in enumerate(loops.body):
            if e.op in ("const", "scalar"):
                self.values[i] = self._number(e)
        {"map": self._write_map, "rows": self._write_rows, "columns": self._write_columns}[self.shape.mode]()
        f.ret()
        f.close()

    def _number(self, e: Expr) -> Val:
        f, register = self.f, REGISTER[e.dtype]
        if e.op == "const":
            if e.dtype in HALVES:
                single = f.float(float(e.param), "float")
                return cast(f, single, "float32", e.dtype)
            return f.float(float(e.param), register) if register in ("float", "double") else f.int(int(e.param), register)
        arrives = self.loops.scalars[e.param]
        value = f.word(self.args, self.layout.scalars + e.param, "double" if arrives == "float64" else "i64")
        return cast(f, value, arrives, e.dtype)

    def _outer(self, first: Val, dims: Sequence[int], blocks: Val | None) -> list[Val]:
        """The positions in `dims` (and the number of the block) of task `first`, innermost last."""
        sizes = [self.sizes[d] for d in dims] + ([] if blocks is None else [blocks])
        found: list[Val] = []
        rest = first
        for size in reversed(sizes[1:]):
            found.append(self.f.urem(rest, size))
            rest = self.f.udiv(rest, size)
        return ([rest, *reversed(found)] if sizes else [])

    def _advance(self, positions: Sequence[Val], sizes: Sequence[Val]) -> list[Val]:
        """The positions of the next task."""
        f, result = self.f, []
        carry = f.int(1)
        for position, size in zip(reversed(positions), reversed(sizes), strict=True):
            following = f.add(position, carry)
            over = f.compare("eq", following, size)
            result.append(f.select(over, f.int(0), following))
            carry = f.cast("zext", over, "i64")
        return list(reversed(result))

    def _tasks(self, dims: Sequence[int], blocks: Val | None, body: object) -> None:
        """Run `body(block)` for each of this call's tasks, with `index` set in `dims`."""
        f = self.f
        sizes = [self.sizes[d] for d in dims] + ([] if blocks is None else [blocks])
        start = self._outer(self.lo, dims, blocks)
        with f.loop(self.lo, self.hi, 1, start) as loop:
            for d, position in zip(dims, loop.carried, strict=False):
                self.index[d] = position
            outer_values, outer_splats = dict(self.values), dict(self.splats)
            self.pointers = self._moved(self.bases, dims)
            body(loop.carried[-1] if blocks is not None else None)  # type: ignore[operator]
            self.values, self.splats = outer_values, outer_splats
            loop.next = self._advance(loop.carried, sizes)

    def _moved(self, pointers: Sequence[Val], dims: Sequence[int]) -> list[Val]:
        """The addresses moved to the current positions in `dims`."""
        moved = []
        for i, pointer in enumerate(pointers):
            element = MEMORY[self.loops.operands[i].dtype]
            for d in dims:
                stride = self._stride(i, d)
                if stride is not None:
                    pointer = self.f.offset(pointer, self.f.mul(self.index[d], stride), element)
            moved.append(pointer)
        return moved

    def _stride(self, operand: int, dim: int) -> Val | int | None:
        """The stride of an operand; None for 0."""
        stride = self.loops.operands[operand].strides[dim]
        return self.stride_words[operand, dim] if stride is None else stride or None

    # ------------------------------------------------------------------------------------------ maps

    def _write_map(self) -> None:
        f, loops = self.f, self.loops
        if not loops.parallel:
            with f.when(f.compare("slt", self.lo, self.hi)):
                self.pointers = list(self.bases)
                self._emit_stores(self.structure.sinks(), 0)
            return
        block = f.word(self.args, self.layout.block)
        size = self.sizes[self.vector_dim]
        blocks = f.udiv(f.add(size, f.sub(block, 1)), block)

        def body(number: Val | None) -> None:
            assert number is not None
            start = f.mul(number, block)
            end = f.min(f.add(start, block), size)
            self._row_values(0, invariant_only=True)
            self._along(start, end, lambda: self._emit_stores(self.structure.sinks(), self.lanes))

        self._tasks(range(loops.parallel - 1), blocks, body)

    def _along(self, start: Val, end: Val, body: object) -> None:
        """Run `body` along the vector dimension: whole vectors, then one by one."""
        f, outside = self.f, (self.pointers, self.values, self.splats)
        inside = (self.pointers, self.values, self._prepared_splats())
        for lo, hi, count in self._rounds(start, end):
            with f.loop(lo, hi, count or 1) as loop:
                self._enter(loop.index, count, *inside)
                body()  # type: ignore[operator]
        self.pointers, self.values, self.splats = outside
        self.lanes = 0

    def _rounds(self, start: Val, end: Val) -> list[tuple[Val, Val, int]]:
        """The vector dimension from `start` to `end`: (from, to, lanes) of whole vectors, then of single elements."""
        lanes = self.shape.lanes
        if not lanes:
            return [(start, end, 0)]
        middle = self.f.add(start, self.f.binary("and", self.f.sub(end, start), -lanes))
        return [(start, middle, lanes), (middle, end, 0)]

    def _enter(self, position: Val, lanes: int, pointers: list[Val], values: dict, splats: dict) -> None:
        """Begin a round of the innermost loop."""
        self.index[self.vector_dim] = position
        self.lanes = lanes
        self.values, self.splats = dict(values), dict(splats)
        self.pointers = self._moved(pointers, [self.vector_dim])

    # ------------------------------------------------------------------------------------------ rows

    def _write_rows(self) -> None:
        loops = self.loops
        if not loops.parallel and not self.shape.split:
            with self.f.when(self.f.compare("slt", self.lo, self.hi)):
                self.pointers = list(self.bases)
                self._passes_over_row(None)
            return
        chunks = self.f.word(self.args, self.layout.block + 1) if self.shape.split else None
        self._tasks(range(loops.parallel), chunks, self._passes_over_row)

    def _passes_over_row(self, chunk: Val | None) -> None:
        for number in range(self.structure.passes):
            self._row_values(number)
            reductions, stores = self.structure.of_pass(number)
            accumulators = [Combiner.of(self.loops.body[r], self.loops.body) for r in reductions]
            results = self._reduce_row(reductions, stores, accumulators, chunk)
            for r, value in zip(reductions, results, strict=True):
                self.values[r] = value
        self._finish_row(chunk)

    def _finish_row(self, chunk: Val | None) -> None:
        """What is left once all reductions are known: row values and their stores, or partial results."""
        if chunk is not None:
            self._store_partial(chunk)
            return
        self._row_values(self.structure.passes)
        for i in self.structure.sinks():
            if not self.structure.element[i]:
                self._store(i, 0)

    def _reduce_row(
        self, reductions: list[int], stores: list[int], accumulators: list[Combiner], chunk: Val | None
    ) -> list[Val]:
        """One pass over a row; the results of its reductions."""
        f, lanes = self.f, self.shape.lanes
        states: list[Val] = []
        for a in accumulators:
            states += a.start(f, lanes) + a.start(f, 0)
        dims = list(self.structure.reduced_dims)
        states = self._nested(dims, states, chunk, lambda s: self._innermost(reductions, stores, accumulators, s, chunk))
        results = []
        for a in accumulators:
            n = a.parts
            wide, single, states = states[:n], states[n : 2 * n], states[2 * n :]
            results.append(a.finish(f, a.across(f, wide, single) if lanes else single, partial=chunk is not None))
        return results

    def _nested(self, dims: list[int], states: list[Val], chunk: Val | None, body: object) -> list[Val]:
        """Loops over all but the innermost of `dims`, which carry the accumulators."""
        if len(dims) == 1:
            return body(states)  # type: ignore[operator]
        f, d = self.f, dims[0]
        lo, hi = self._range(d, chunk)
        pointers = self.pointers
        with f.loop(lo, hi, 1, states) as loop:
            self.index[d] = loop.index
            self.pointers = self._moved(pointers, [d])
            loop.next = self._nested(dims[1:], loop.carried, chunk, body)
        self.pointers = pointers
        return loop.results

    def _range(self, d: int, chunk: Val | None) -> tuple[Val, Val]:
        """The positions to run through: all, or those of a chunk of the outermost reduced dimension."""
        f = self.f
        if chunk is None or d != self.loops.parallel:
            return f.int(0), self.sizes[d]
        length = f.word(self.args, self.layout.block)
        lo = f.mul(chunk, length)
        return lo, f.min(f.add(lo, length), self.sizes[d])

    def _innermost(
        self, reductions: list[int], stores: list[int], accumulators: list[Combiner], states: list[Val],
        chunk: Val | None,
    ) -> list[Val]:  # fmt: skip
        """The innermost loop along a row: whole vectors into the wide accumulators, the rest into the single ones."""
        f, outside = self.f, (self.pointers, self.values, self.splats)
        inside = (self.pointers, self.values, self._prepared_splats())
        for start, end, count in self._rounds(*self._range(self.vector_dim, chunk)):
            with f.loop(start, end, count or 1, states) as loop:
                self._enter(loop.index, count, *inside)
                loop.next = self._accumulate(reductions, stores, accumulators, loop.carried)
            states = loop.results
        self.pointers, self.values, self.splats = outside
        self.lanes = 0
        return states

    def _accumulate(
        self, reductions: list[int], stores: list[int], accumulators: list[Combiner], states: list[Val]
    ) -> list[Val]:
        """One round: the new states; those of the other kind of accumulator stay."""
        f, at = self.f, 0
        result: list[Val] = []
        for r, a in zip(reductions, accumulators, strict=True):
            wide, single = states[at : at + a.parts], states[at + a.parts : at + 2 * a.parts]
            at += 2 * a.parts
            value = self._operand(self.loops.body[r].args[0], self.lanes)
            position = self.index[self.vector_dim] if self.shape.mode == "rows" else self.index[-1]
            along = self.shape.mode == "rows"
            if self.lanes:
                wide = a.step(f, wide, value, position, self.lanes, along)
            else:
                single = a.step(f, single, value, position, 0, along)
            result += wide + single
        self._emit_stores(stores, self.lanes)
        return result

    # ------------------------------------------------------------------------------------------ columns

    def _write_columns(self) -> None:
        f, loops, lanes = self.f, self.loops, self.shape.lanes
        size = self.sizes[self.vector_dim]
        width = max(lanes, 1) * self.shape.width
        blocks = f.udiv(f.add(size, f.int(width - 1)), width)
        dims = list(range(loops.parallel - 1))

        def body(number: Val | None) -> None:
            assert number is not None
            chunk = None
            if self.shape.split:
                chunks = f.word(self.args, self.layout.block + 1)
                chunk, number = f.urem(number, chunks), f.udiv(number, chunks)
            # the last block overlaps the one before it rather than reach beyond the end
            start = f.min(f.mul(number, width), f.sub(size, width))
            base = self.pointers
            values, splats = self.values, self.splats
            for v in range(self.shape.width):
                self.values, self.splats = dict(values), dict(splats)
                self.index[self.vector_dim] = f.add(start, v * max(lanes, 1))
                self.lanes = lanes
                self.pointers = self._moved(base, [self.vector_dim])
                self._passes_over_columns(chunk)
            self.lanes = 0

        if self.shape.split:
            blocks = f.mul(blocks, f.word(self.args, self.layout.block + 1))
        self._tasks(dims, blocks, body)

    def _passes_over_columns(self, chunk: Val | None) -> None:
        f = self.f
        for number in range(self.structure.passes):
            self._row_values(number)
            reductions, stores = self.structure.of_pass(number)
            accumulators = [Combiner.of(self.loops.body[r], self.loops.body) for r in reductions]
            states = [s for a in accumulators for s in a.start(f, self.lanes) + a.start(f, 0)]
            dims = list(self.structure.reduced_dims)
            states = self._nested(dims, states, chunk, lambda s: self._column_loop(reductions, stores, accumulators, s, chunk))  # noqa: E501, B023
            for r, a in zip(reductions, accumulators, strict=True):
                n = a.parts
                own = states[:n] if self.lanes else states[n : 2 * n]
                states = states[2 * n :]
                self.values[r] = a.finish(f, own, partial=chunk is not None)
        if chunk is not None:
            self._store_partial(chunk)
            return
        self._row_values(self.structure.passes)
        for i in self.structure.sinks():
            if not self.structure.element[i]:
                self._store(i, self.lanes)

    def _column_loop(
        self, reductions: list[int], stores: list[int], accumulators: list[Combiner], states: list[Val],
        chunk: Val | None,
    ) -> list[Val]:  # fmt: skip
        f, d = self.f, self.structure.reduced_dims[-1]
        lo, hi = self._range(d, chunk)
        pointers, values, splats = self.pointers, self.values, self.splats
        with f.loop(lo, hi, 1, states) as loop:
            self.index[d] = loop.index
            self.values, self.splats = dict(values), dict(splats)
            self.pointers = self._moved(pointers, [d])
            loop.next = self._accumulate(reductions, stores, accumulators, loop.carried)
        self.pointers, self.values, self.splats = pointers, values, splats
        return loop.results

    # ------------------------------------------------------------------------------------------ expressions

    def _row_values(self, stage: int, invariant_only: bool = False) -> None:
        """Compute what is known now and does not vary along the innermost loop."""
        for i, e in enumerate(self.loops.body):
            if i in self.values or e.op in ("store", "reduce"):
                continue
            if invariant_only:
                ready = not self.varies[i]
            else:
                ready = not self.structure.element[i] and self.structure.stage[i] <= stage
            if ready and all(a in self.values for a in e.args):
                self._value(i, self.lanes)

    def _prepared_splats(self) -> dict[str, Val]:
        """The scalars that the innermost loop uses beside vectors, put into all lanes before it begins."""
        self.splats = dict(self.splats)  # those from here on are of no use outside
        for i, e in enumerate(self.loops.body):
            if self.shape.lanes and (self.varies[i] or e.op == "reduce"):
                for a in e.args:
                    if a in self.values and not self.values[a].lanes:
                        self._splat(self.values[a], self.shape.lanes)
        return self.splats

    def _splat(self, value: Val, lanes: int) -> Val:
        if value.name[0] != "%":  # a literal
            return Val(f"splat ({value})", vector(value.type, lanes))
        found = self.splats.get(value.name)
        if found is None:
            found = self.splats[value.name] = self.f.splat(value, lanes)
        return found

    def _operand(self, i: int, lanes: int) -> Val:
        """The value of an expression, in all lanes if there are lanes."""
        value = self._value(i, lanes)
        return self._splat(value, lanes) if lanes and not value.lanes else value

    def _value(self, i: int, lanes: int) -> Val:
        """The value of an expression, computed if it is not known here."""
        found = self.values.get(i)
        if found is None:
            found = self.values[i] = self._compute(i, lanes if self.varies[i] else 0)
        return found

    def _compute(self, i: int, lanes: int) -> Val:
        f, e = self.f, self.loops.body[i]
        if e.op == "load":
            return self._load(e, lanes)
        if e.op == "index":
            return self._position(e.param, lanes)
        args = [self._operand(a, lanes) for a in e.args]
        source = self.loops.body[e.args[0]].dtype if e.args else e.dtype
        if e.op == "cast":
            return cast(f, args[0], source, e.dtype)
        if e.op == "checked":
            return self._checked(args[0], args[1])
        computed = self.loops.body[e.args[-1]].dtype
        return primitive(f, e.op, computed, args)

    def _position(self, dim: int, lanes: int) -> Val:
        position = self.index[dim]
        if not lanes or dim != self.vector_dim:
            return position
        f = self.f
        return f.add(f.splat(position, lanes), f.lane_numbers(f"<{lanes} x i64>"))

    # ------------------------------------------------------------------------------------------ memory

    def _load(self, e: Expr, lanes: int) -> Val:
        f, operand = self.f, self.loops.operands[e.param]
        element = MEMORY[operand.dtype]
        pointer, at = self.pointers[e.param], None
        if operand.gathered:
            at = self._checked_index(e, lanes)
            if not at.lanes:
                pointer = f.offset(pointer, f.mul(at, f.word(self.args, self.layout.gathers[e.param])), element)
                at = None
        if not lanes:
            return to_register(f, f.load(element, pointer), operand.dtype)
        stride = self._stride(e.param, self.vector_dim)
        if at is None and stride == 1:
            loaded = f.load(vector(element, lanes), pointer)
        elif at is None and stride is None:
            loaded = f.splat(f.load(element, pointer), lanes)
        else:
            loaded = self._load_lanes(e.param, pointer, stride, at, lanes)
        return to_register(f, loaded, operand.dtype)

    def _load_lanes(self, operand: int, pointer: Val, stride: Val | int | None, at: Val | None, lanes: int) -> Val:
        """Lane by lane: from strided memory, or where an index says."""
        f, element = self.f, MEMORY[self.loops.operands[operand].dtype]
        if at is not None:
            at = f.mul(at, f.splat(f.word(self.args, self.layout.gathers[operand]), lanes))
        result = Val("poison", vector(element, lanes))
        for lane in range(lanes):
            place = pointer if stride is None else f.offset(pointer, f.mul(f.int(lane), stride), element)
            if at is not None:
                place = f.offset(place, f.extract(at, lane), element)
            result = f.insert(result, f.load(element, place), lane)
        return result

    def _checked_index(self, e: Expr, lanes: int) -> Val:
        """The index of a gather: 0 in place of one that is out of range, which the status tells."""
        index = self._value(e.args[0], lanes)
        size = self.f.word(self.args, self.layout.gathers[e.param] + 1)
        return self._checked(index, self.f.splat(size, index.lanes) if index.lanes else size)

    def _checked(self, index: Val, size: Val) -> Val:
        """The index, or 0 in place of one that is not below `size`, which the status tells."""
        f = self.f
        inside = f.compare("ult", index, size)
        bad = f.binary("xor", inside, f.int(-1, inside.type))
        if index.lanes:
            bits = f.op(f"i{index.lanes}", f"bitcast {bad} to i{index.lanes}")
            bad = f.compare("ne", bits, f.int(0, bits.type))
        with f.when(bad):
            f.store(f.int(1), f.word(self.args, self.layout.status, "ptr"))
        return f.select(inside, index, f.int(0, index.type))

    def _emit_stores(self, stores: Sequence[int], lanes: int) -> None:
        values = {i: self._operand(self.loops.body[i].args[0], lanes) for i in stores}
        for i in stores:  # after all loads: results may lie where operands were
            self._store_value(i, values[i], lanes)

    def _store(self, i: int, lanes: int) -> None:
        value = self._value(self.loops.body[i].args[0], lanes)
        if lanes and not value.lanes:
            value = self._splat(value, lanes)
        self._store_value(i, value, lanes)

    def _store_value(self, i: int, value: Val, lanes: int) -> None:
        f, e = self.f, self.loops.body[i]
        operand = self.loops.operands[e.param]
        element = MEMORY[operand.dtype]
        value = to_memory(f, value, operand.dtype)
        pointer = self.pointers[e.param]
        if not value.lanes:
            f.store(value, pointer)
            return
        stride = self._stride(e.param, self.vector_dim)
        if stride == 1:
            f.store(value, pointer, _align(element))
            return
        for lane in range(value.lanes):
            place = pointer if stride is None else f.offset(pointer, f.mul(f.int(lane), stride), element)
            f.store(f.extract(value, lane), place)

    def _store_partial(self, chunk: Val) -> None:
        """The states of the reductions, for the launch that combines them."""
        f = self.f
        first = len(self.loops.operands) - len(self.structure.reductions())
        for k, r in enumerate(self.structure.reductions()):
            operand = first + k
            element = MEMORY[self.loops.operands[operand].dtype]
            place = f.word(self.args, self.layout.block + 2 + k)
            pointer = f.offset(self.pointers[operand], f.mul(chunk, place), element)
            f.store(to_memory(f, self.values[r], self.loops.operands[operand].dtype), pointer, _align(element))


def _align(element: str) -> int:
    return {"i8": 1, "i16": 2, "float": 4, "i32": 4}.get(element, 8)
