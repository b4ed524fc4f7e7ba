"""Writes to places that an index names along one dimension: scatter, and sums of scattered elements or slices.

A copy of the base is made first; where there is no such operand, the result's memory has it already. What index and
source have in a place of the other dimensions goes to that place of the result, so places are shared out to tasks;
where an index is that of a whole slice, slices are. Each task goes through the index in its order: the last element
written stays, sums are added up in order, on any number of threads.
"""

from __future__ import annotations

import math
from functools import partial, reduce
from typing import NamedTuple

from flambeau._backends.cpu.casts import FLOATS, MEMORY, UNSIGNED
from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.fields import Fields, split_task
from flambeau._backends.cpu.kernel import Address, Kernel, Launch, Status, Step, double_bits
from flambeau._backends.cpu.primitives import maximum, minimum
from flambeau._backends.cpu.strided import at_operand, copy, dims_of, dims_words, grain, places
from flambeau._backends.cpu.target import Target
from flambeau._ir.meta import Meta, passing

BLOCK_BYTES = 512  # of a block of neighbours, at least: memory is read in long stretches
MOST_TASKS = 4
MOST_PARTS = 2  # of slices: each part passes over the source with gaps, which memory is slow at
TASK = 1 << 14  # elements that a task has at least
TOGETHER = 4  # elements that are written without a jump
SUMMED = (*FLOATS, "int64", "int32", "int16", "int8", "uint8")
COMBINE = {("prod", False): "mul", ("amax", False): "max", ("amin", False): "min",
           ("prod", True): "mul", ("amax", True): "unsigned_max", ("amin", True): "unsigned_min"}  # fmt: skip
CHOSEN = {"max": "sgt", "min": "slt", "unsigned_max": "ugt", "unsigned_min": "ult"}  # integers: how they compare

FIELDS = Fields(
    # Along the dimension: `steps` indices, each of which must be below `limit`.
    "out_at index_at source_at alpha status_at limit steps out_t index_t source_t "
    # Across it: neighbours in the result, `run` of them, `block` to a task; then the other dimensions.
    "run block blocks index_w source_w dims dims_at "
    # A task has the slices whose number, modulo `parts` (a power of two), is its own.
    "parts"
)


def lower_scatter(target: Target, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]) -> Step | None:
    """base, index, source -> base with the elements of source at the places that index says along dim. params = (dim,);
    index and source have the same shape, which reaches no further than the base's in other dimensions."""
    return _lower(target, params[0], inputs, outputs[0], None)


def lower_scatter_add(
    target: Target, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]
) -> Step | None:
    """The same, added to what is there."""
    return _lower(target, params[0], inputs, outputs[0], 1) if outputs[0].dtype.name in SUMMED else None


def lower_scatter_reduce(
    target: Target, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]
) -> Step | None:
    """The same, combined with what is there: params = (dim, "prod", "amax" or "amin")."""
    dim, combiner = params
    d = outputs[0].dtype.name
    return _lower(target, dim, inputs, outputs[0], 1, COMBINE[combiner, d in UNSIGNED]) if d in SUMMED else None


def lower_index_add(target: Target, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]) -> Step | None:
    """base, index, source -> base with alpha * source added to the slices along dim that the vector index names.
    params = (dim, alpha)."""
    dim, alpha = params
    *base, index, source = inputs
    if outputs[0].dtype.name not in SUMMED:
        return None
    strides = [index.strides[0] if d == dim and index.ndim else 0 for d in range(source.ndim)]
    spread = passing(index.dtype, source.shape, strides, index.offset)
    return _lower(target, dim, (*base, spread, source), outputs[0], alpha)


def _lower(
    target: Target, dim: int, inputs: tuple[Meta, ...], out: Meta, alpha: float | None, combine: str = "add"
) -> Step | None:
    """Elements of source are written (alpha None), added to `out` alpha times, or combined with it."""
    *base, index, source = inputs
    index_at, source_at, out_at = len(base), len(base) + 1, Address(len(inputs))
    element = MEMORY.get(out.dtype.name)
    if element is None or index.dtype.name not in ("int64", "int32"):
        return None
    launches = copy(target, base[0], at_operand(0, base[0]), out, out_at) if base else ()
    if launches is None or out.numel == 0 and index.numel == 0:
        return None if launches is None else Step(())
    moved = (2 * out.nbytes if base else 0) + 2 * source.nbytes + index.nbytes
    if index.numel == 0:
        return Step(launches, 0, moved)
    kept = [d for d in range(out.ndim) if d != dim]
    layouts = [[m.strides[d] for d in kept] for m in (out, index, source)]
    dims = dims_of([index.shape[d] for d in kept], *layouts)
    run, index_w, source_w = 1, 0, 0
    if dims and dims[-1][1] == 1:
        run, _, index_w, source_w = dims.pop()
    form = "single" if run == 1 else "slices" if index_w == 0 else "elements"
    outer = math.prod([n for n, *_ in dims])
    wanted = min(MOST_TASKS // outer, index.numel // TASK, run * out.dtype.itemsize // BLOCK_BYTES)
    blocks, parts = max(1, wanted), 1
    if form == "slices":
        blocks, parts = 1, MOST_PARTS if wanted >= MOST_PARTS else 1
    block = -(-run // blocks)
    scaled = alpha is not None and alpha != 1
    words = FIELDS.words(
        out_at=out_at, index_at=at_operand(index_at, index), source_at=at_operand(source_at, source),
        status_at=Status(),
        alpha=_bits(alpha or 0, out.dtype.name), limit=out.shape[dim], steps=index.shape[dim],
        out_t=out.strides[dim], index_t=index.strides[dim], source_t=source.strides[dim],
        run=run, block=block, blocks=blocks, parts=parts, index_w=index_w, source_w=source_w, **dims_words(dims),
    )  # fmt: skip
    combine = "write" if alpha is None else "add_scaled" if scaled else combine
    neighbours = source_w if source_w in (0, 1) else None
    steps = (index.strides[dim], source.strides[dim]) if form == "single" else (index_w, source_w)
    kind = Kind(element, MEMORY[index.dtype.name], combine, form, neighbours, out.strides[dim] == 1, steps == (1, 1))
    tasks = outer * blocks * parts
    launch = Launch(scatter_kernel(kind), "scatter", words, tasks, grain(tasks, index.numel, TASK))
    return Step((*launches, launch), 0, moved, index.numel if alpha is not None else 0)


def _bits(alpha: float, dtype: str) -> int:
    return double_bits(float(alpha)) if dtype in FLOATS else int(alpha)


# ---------------------------------------------------------------------------------------------- the kernel


class Kind(NamedTuple):
    """What a kernel's text depends on. `combine` is "write", "add", "add_scaled" or one of COMBINE; `form` is "single"
    if there are no neighbours, "slices" if all have the same index, else "elements"; `neighbours` is the stride of
    source along them if that is 0 or 1. Strides of 1: `dense`, of the result along the indexed dimension; `dense_line`,
    of index and source along a line."""

    element: str
    index_type: str
    combine: str
    form: str
    neighbours: int | None
    dense: bool
    dense_line: bool


def scatter_kernel(kind: Kind) -> Kernel:
    return Kernel(generate_scatter, (kind,), ("scatter",))


def generate_scatter(target: Target, kind: Kind) -> str:
    """`scatter`: with FIELDS, a task is a block of neighbours in one place of the other dimensions, or some slices."""
    m = Module(target)
    _Scatter(m, kind).write()
    return m.text()


class Line(NamedTuple):
    """Elements one after the other: where their part of the result begins, the first index and source; and steps."""

    out: Val
    out_step: int
    indices: Val
    index_step: Val | int
    source: Val
    source_step: Val | int


class _Scatter:
    """The function being written. `w` has the fields."""

    def __init__(self, module: Module, kind: Kind) -> None:
        self.kind, self.element, self.index = kind, kind.element, kind.index_type
        self.lanes = module.target.lanes(BYTES[kind.element])
        self.f, args, self.lo, self.hi = module.entry("scatter")
        self.w = dict(zip(FIELDS.names, FIELDS.read(self.f, args, " ".join(FIELDS.names)), strict=True))
        self.alpha = self._alpha(self.f, args) if kind.combine == "add_scaled" else None

    def _alpha(self, f: Function, args: Val) -> Val:
        i = FIELDS.index["alpha"]
        if self.element in ("float", "double"):
            wide = f.word(args, i, "double")
            return wide if self.element == "double" else f.cast("fptrunc", wide, "float")
        return self.w["alpha"] if self.element == "i64" else f.cast("trunc", self.w["alpha"], self.element)

    def write(self) -> None:
        f, w = self.f, self.w
        with f.loop(self.lo, self.hi) as task:
            block, part, number = split_task(f, task.index, w["blocks"], w["parts"])
            moves = places(f, w["dims"], w["dims_at"], number, 3)
            first = f.mul(block, w["block"])
            count = f.min(w["block"], f.sub(w["run"], first))
            out = f.offset(w["out_at"], f.add(moves[0], first), self.element)
            index = f.offset(w["index_at"], f.add(moves[1], f.mul(first, w["index_w"])), self.index)
            source = f.offset(w["source_at"], f.add(moves[2], f.mul(first, w["source_w"])), self.element)
            if self.kind.form == "single":
                self._elements(self._line(out, 0, index, source, "t"), w["steps"])
            else:
                with f.loop(0, w["steps"], 1, [index, source]) as t:
                    row, values = t.carried
                    if self.kind.form == "slices":
                        self._slice(out, row, values, count, part)
                    else:
                        self._elements(self._line(out, 1, row, values, "w"), count)
                    t.next = [f.offset(row, w["index_t"], self.index), f.offset(values, w["source_t"], self.element)]
        f.ret()
        f.close()

    def _line(self, out: Val, out_step: int, index: Val, source: Val, along: str) -> Line:
        steps = (1, 1) if self.kind.dense_line else (self.w[f"index_{along}"], self.w[f"source_{along}"])
        return Line(out, out_step, index, steps[0], source, steps[1])

    def _elements(self, line: Line, count: Val) -> None:
        """Elements of a line, a few at a time: one check for all is a test that never jumps."""
        f = self.f
        start, end = f.int(0), f.binary("and", count, -TOGETHER)
        for together in (TOGETHER, 1):
            with f.loop(start, end, together, [line.indices, line.source]) as i:
                here = line._replace(out=f.offset(line.out, f.mul(i.index, line.out_step), self.element),
                                     indices=i.carried[0], source=i.carried[1])  # fmt: skip
                i.next = self._put_some(here, together)
            line, start, end = line._replace(indices=i.results[0], source=i.results[1]), end, count

    def _put_some(self, line: Line, count: int) -> list[Val]:
        """The first elements of a line; where its index and source go on."""
        f = self.f
        steps = [[k * s if isinstance(s, int) else f.mul(s, k) for k in range(count + 1)]
                 for s in (line.index_step, line.source_step)]  # fmt: skip
        indices = [f.offset(line.indices, s, self.index) for s in steps[0]]
        sources = [f.offset(line.source, s, self.element) for s in steps[1]]
        places = [self._place(at) for at in indices[:-1]]
        with f.when(self._inside(places), self._tell):
            for k, (place, source) in enumerate(zip(places, sources, strict=False)):
                to = self._at(f.offset(line.out, k * line.out_step, self.element), place)
                self._put(to, f.load(self.element, source))
        return [indices[-1], sources[-1]]

    def _at(self, out: Val, place: Val) -> Val:
        """Where an index leads."""
        return self.f.offset(out, place if self.kind.dense else self.f.mul(place, self.w["out_t"]), self.element)

    def _slice(self, out: Val, index: Val, source: Val, count: Val, part: Val) -> None:
        f, w = self.f, self.w
        place = self._place(index)
        inside = self._inside([place])
        with f.when(f.binary("xor", inside, f.int(1, "i1"))):
            self._tell()
        own = f.compare("eq", f.binary("and", place, f.sub(w["parts"], 1)), part)
        with f.when(f.binary("and", inside, own)):
            to = self._at(out, place)
            whole = f.binary("and", count, -self.lanes) if self.kind.neighbours is not None else f.int(0)
            for lo, hi, lanes in ((f.int(0), whole, self.lanes), (whole, count, 0)):
                with f.loop(lo, hi, max(1, lanes)) as i:
                    self._put(f.offset(to, i.index, self.element), self._values(source, i.index, lanes))

    def _values(self, source: Val, i: Val, lanes: int) -> Val:
        """Neighbours in the source from number i on."""
        f = self.f
        if self.kind.neighbours == 0:
            value = f.load(self.element, source)
            return f.splat(value, lanes) if lanes else value
        place = i if self.kind.neighbours == 1 else f.mul(i, self.w["source_w"])
        return f.load(vector(self.element, lanes), f.offset(source, place, self.element))

    def _place(self, at: Val) -> Val:
        """An index."""
        place = self.f.load(self.index, at)
        return place if self.index == "i64" else self.f.cast("sext", place, "i64")

    def _inside(self, places: list[Val]) -> Val:
        """Are all indices within the limit?"""
        return reduce(partial(self.f.binary, "and"), [self.f.compare("ult", p, self.w["limit"]) for p in places])

    def _tell(self) -> None:
        """An index is not."""
        self.f.store(self.f.int(1), self.w["status_at"])

    def _put(self, to: Val, value: Val) -> None:
        if self.kind.combine != "write":
            value = self._combined(self.f.load(value.type, to), value)
        self.f.store(value, to)

    def _combined(self, old: Val, value: Val) -> Val:
        f, is_float, how = self.f, self.element in ("float", "double"), self.kind.combine
        if how == "mul":
            return f.fmul(old, value) if is_float else f.mul(old, value)
        if how in CHOSEN:
            if is_float:
                return (maximum if how == "max" else minimum)(f, old, value)
            return f.select(f.compare(CHOSEN[how], old, value), old, value)
        if self.alpha is not None:
            alpha = f.splat(self.alpha, value.lanes) if value.lanes else self.alpha
            value = f.fmul(value, alpha) if is_float else f.mul(value, alpha)
        return f.fadd(old, value) if is_float else f.add(old, value)
