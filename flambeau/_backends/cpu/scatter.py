"""Writes to places that an index names along one dimension: scatter, and sums of scattered elements or slices.

A copy of the base is made first. What index and source have in a place of the other dimensions goes to that place of
the result, so places are shared out to tasks; where an index is that of a whole slice, slices are. Each task goes
through the index in its order: the last element written stays, sums are added up in order, on any number of threads.
"""

from __future__ import annotations

import math

from flambeau._backends.cpu.casts import FLOATS, MEMORY
from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.fields import Fields, split_task
from flambeau._backends.cpu.kernel import Address, Kernel, Launch, Status, Step, double_bits
from flambeau._backends.cpu.strided import at_operand, copy, dims_of, dims_words, grain, places
from flambeau._backends.cpu.target import Target
from flambeau._ir.meta import Meta, passing

BLOCK_BYTES = 512  # of a block of neighbours, at least: memory is read in long stretches
MOST_TASKS = 4
MOST_PARTS = 2  # of slices: each part passes over the source with gaps, which memory is slow at
TASK = 1 << 14  # elements that a task has at least
SUMMED = (*FLOATS, "int64", "int32", "int16", "int8", "uint8")

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
    base, index, source = inputs
    return _lower(target, params[0], base, index, source, outputs[0], None)


def lower_scatter_add(
    target: Target, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]
) -> Step | None:
    """The same, added to what is there."""
    base, index, source = inputs
    return _lower(target, params[0], base, index, source, outputs[0], 1) if base.dtype.name in SUMMED else None


def lower_index_add(target: Target, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]) -> Step | None:
    """base, index, source -> base with alpha * source added to the slices along dim that the vector index names.
    params = (dim, alpha)."""
    dim, alpha = params
    base, index, source = inputs
    if base.dtype.name not in SUMMED:
        return None
    strides = [index.strides[0] if d == dim and index.ndim else 0 for d in range(source.ndim)]
    spread = passing(index.dtype, source.shape, strides, index.offset)
    return _lower(target, dim, base, spread, source, outputs[0], alpha)


def _lower(
    target: Target, dim: int, base: Meta, index: Meta, source: Meta, out: Meta, alpha: float | None
) -> Step | None:
    """Elements of source are written (alpha None) or added to `out`, alpha times."""
    element = MEMORY.get(out.dtype.name)
    if element is None or index.dtype.name not in ("int64", "int32"):
        return None
    launches = copy(target, base, at_operand(0, base), out, Address(3))
    if launches is None or out.numel == 0 and index.numel == 0:
        return None if launches is None else Step(())
    moved = 2 * out.nbytes + 2 * source.nbytes + index.nbytes
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
        out_at=Address(3), index_at=at_operand(1, index), source_at=at_operand(2, source), status_at=Status(),
        alpha=_bits(alpha or 0, out.dtype.name), limit=out.shape[dim], steps=index.shape[dim],
        out_t=out.strides[dim], index_t=index.strides[dim], source_t=source.strides[dim],
        run=run, block=block, blocks=blocks, parts=parts, index_w=index_w, source_w=source_w, **dims_words(dims),
    )  # fmt: skip
    combine = "write" if alpha is None else "add" if not scaled else "add_scaled"
    neighbours = source_w if source_w in (0, 1) else None
    kernel = scatter_kernel(element, MEMORY[index.dtype.name], combine, form, neighbours)
    tasks = outer * blocks * parts
    launch = Launch(kernel, "scatter", words, tasks, grain(tasks, index.numel, TASK))
    return Step((*launches, launch), 0, moved, index.numel if alpha is not None else 0)


def _bits(alpha: float, dtype: str) -> int:
    return double_bits(float(alpha)) if dtype in FLOATS else int(alpha)


# ---------------------------------------------------------------------------------------------- the kernel


def scatter_kernel(element: str, index: str, combine: str, form: str, neighbours: int | None) -> Kernel:
    return Kernel(generate_scatter, (element, index, combine, form, neighbours), ("scatter",))


def generate_scatter(target: Target, element: str, index: str, combine: str, form: str, neighbours: int | None) -> str:
    """`scatter`: with FIELDS, a task is a block of neighbours in one place of the other dimensions, or some slices.

    `combine` is "write", "add" or "add_scaled"; `form` is "single" if there are no neighbours, "slices" if all have the
    same index, else "elements"; `neighbours` is the stride of source along them if that is 0 or 1.
    """
    m = Module(target)
    _Scatter(m, element, index, combine, form, neighbours).write()
    return m.text()


class _Scatter:
    """The function being written. `w` has the fields."""

    def __init__(
        self, module: Module, element: str, index: str, combine: str, form: str, neighbours: int | None
    ) -> None:
        self.element, self.index, self.combine = element, index, combine
        self.form, self.neighbours = form, neighbours
        self.lanes = module.target.lanes(BYTES[element])
        self.f, args, self.lo, self.hi = module.entry("scatter")
        self.w = dict(zip(FIELDS.names, FIELDS.read(self.f, args, " ".join(FIELDS.names)), strict=True))
        self.alpha = self._alpha(self.f, args) if combine == "add_scaled" else None

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
            with f.loop(0, w["steps"]) as t:
                row = f.offset(index, f.mul(t.index, w["index_t"]), self.index)
                values = f.offset(source, f.mul(t.index, w["source_t"]), self.element)
                if self.form == "slices":
                    self._slice(out, row, values, count, part)
                elif self.form == "elements":
                    with f.loop(0, count) as i:
                        self._element(f.offset(out, i.index, self.element),
                                      f.offset(row, f.mul(i.index, w["index_w"]), self.index),
                                      f.offset(values, f.mul(i.index, w["source_w"]), self.element))  # fmt: skip
                else:
                    self._element(out, row, values)
        f.ret()
        f.close()

    def _element(self, out: Val, index: Val, source: Val) -> None:
        f = self.f
        place, inside = self._checked(index)
        with f.when(inside):
            self._put(f.offset(out, f.mul(place, self.w["out_t"]), self.element), f.load(self.element, source))

    def _slice(self, out: Val, index: Val, source: Val, count: Val, part: Val) -> None:
        f, w = self.f, self.w
        place, inside = self._checked(index)
        own = f.compare("eq", f.binary("and", place, f.sub(w["parts"], 1)), part)
        with f.when(f.binary("and", inside, own)):
            to = f.offset(out, f.mul(place, w["out_t"]), self.element)
            whole = f.binary("and", count, -self.lanes) if self.neighbours is not None else f.int(0)
            for lo, hi, lanes in ((f.int(0), whole, self.lanes), (whole, count, 0)):
                with f.loop(lo, hi, max(1, lanes)) as i:
                    self._put(f.offset(to, i.index, self.element), self._values(source, i.index, lanes))

    def _values(self, source: Val, i: Val, lanes: int) -> Val:
        """Neighbours in the source from number i on."""
        f = self.f
        if self.neighbours == 0:
            value = f.load(self.element, source)
            return f.splat(value, lanes) if lanes else value
        place = i if self.neighbours == 1 else f.mul(i, self.w["source_w"])
        return f.load(vector(self.element, lanes), f.offset(source, place, self.element))

    def _checked(self, at: Val) -> tuple[Val, Val]:
        """An index, and whether it is within the limit; it is told if not."""
        f = self.f
        place = f.load(self.index, at)
        place = place if self.index == "i64" else f.cast("sext", place, "i64")
        inside = f.compare("ult", place, self.w["limit"])
        with f.when(f.binary("xor", inside, f.int(1, "i1"))):
            f.store(f.int(1), self.w["status_at"])
        return place, inside

    def _put(self, to: Val, value: Val) -> None:
        f, is_float = self.f, self.element in ("float", "double")
        if self.combine != "write":
            old = f.load(value.type, to)
            if self.alpha is None:
                value = f.fadd(old, value) if is_float else f.add(old, value)
            else:
                alpha = f.splat(self.alpha, value.lanes) if value.lanes else self.alpha
                value = f.fadd(old, f.fmul(value, alpha)) if is_float else f.add(old, f.mul(value, alpha))
        f.store(value, to)
