"""Inclusive scans along one dimension: running sums, products, maxima and minima.

Rows whose elements are no neighbours are scanned side by side, a vector of rows at a time. A row of neighbours is
scanned a vector at a time: within the vector in log2(lanes) steps (Sklansky 1960, "Conditional-sum addition logic"),
then what was carried is combined with all lanes. Few long rows are cut into parts, which are first reduced each on its
own. Sums and products of float32 are carried in float64.
"""

from __future__ import annotations

import math

from flambeau._backends.cpu.casts import MEMORY, REGISTER
from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.fields import Fields, split_task
from flambeau._backends.cpu.kernel import Address, Kernel, Launch, Step, Word
from flambeau._backends.cpu.nest_combine import Combiner
from flambeau._backends.cpu.strided import Dense, grain
from flambeau._backends.cpu.target import Target
from flambeau._ir.meta import Meta

SUPPORTED = ("float32", "float64", "int64", "int32", "int16", "int8", "uint8")
PART = 1 << 14  # elements of a part of a row
MOST_PARTS = 64
FEW_ROWS = 8
WIDE = 4  # vectors of columns that are scanned side by side
COLUMNS_TASK = 256  # columns of a task, at most

# Rows [outer, steps, run], scanned along `steps`.
COLUMNS = Fields("x_at out_at steps run block blocks")
# Rows [rows, steps] in parts of `part` elements; `totals_at` has room for a state a part.
ROWS = Fields("x_at out_at totals_at steps part parts")


def lower_scan(target: Target, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]) -> Step | None:
    """x -> its inclusive scan. params = (combiner, dim): "sum", "prod", "max" or "min"."""
    combiner, dim = params
    (x,), (out,) = inputs, outputs
    if x.dtype.name not in SUPPORTED or x.dtype is not out.dtype:
        return None
    if not out.numel:
        return Step(())
    dense = Dense(target)
    x_at = dense.read(0, x)
    steps = out.shape[dim]
    outer, run = math.prod(out.shape[:dim]), math.prod(out.shape[dim + 1 :])
    kernel = Kernel(generate_scan, (combiner, x.dtype.name), ("columns", "rows", "totals"))
    if run > 1:
        launches = [_columns(kernel, x_at, outer, steps, run)]
    else:
        launches = _rows(kernel, dense, x_at, outer, steps)
    return Step((*dense.launches, *launches), dense.scratch, 2 * out.nbytes, out.numel) if dense.supported else None


def _columns(kernel: Kernel, x_at: Word, outer: int, steps: int, run: int) -> Launch:
    block = min(run, max(64, min(COLUMNS_TASK, (1 << 15) // steps // 64 * 64)))
    blocks = -(-run // block)
    words = COLUMNS.words(x_at=x_at, out_at=Address(1), steps=steps, run=run, block=block, blocks=blocks)
    tasks = outer * blocks
    return Launch(kernel, "columns", words, tasks, grain(tasks, outer * steps * run))


def _rows(kernel: Kernel, dense: Dense, x_at: Word, rows: int, steps: int) -> list[Launch]:
    parts = 1
    if rows < FEW_ROWS and kernel.params[0] != "prod":
        parts = max(1, min(MOST_PARTS, steps // PART))
    part = -(-steps // parts)
    parts = -(-steps // part)
    totals = dense.reserve(8 * rows * parts)
    words = ROWS.words(x_at=x_at, out_at=Address(1), totals_at=totals, steps=steps, part=part, parts=parts)
    tasks = rows * parts
    launches = [Launch(kernel, "rows", words, tasks, grain(tasks, rows * steps))]
    if parts > 1:
        launches.insert(0, Launch(kernel, "totals", words, tasks, grain(tasks, rows * steps)))
    return launches


# ---------------------------------------------------------------------------------------------- the kernel


def generate_scan(target: Target, combiner: str, dtype: str) -> str:
    """`columns`: with COLUMNS, a task is a block of columns of one matrix. `rows`, `totals`: with ROWS, a task is a
    part of a row, which is scanned from what its predecessors' totals make, or whose total is computed."""
    m = Module(target)
    scan = _Scan(m, combiner, dtype)
    scan.columns()
    scan.rows()
    scan.totals()
    return m.text()


class _Scan:
    """One combiner for one dtype."""

    def __init__(self, module: Module, combiner: str, dtype: str) -> None:
        self.module = module
        self.combiner = Combiner(combiner, dtype)
        self.register = REGISTER[self.combiner.state_dtype]
        self.element = MEMORY[dtype]
        self.lanes = module.target.lanes(BYTES[self.register])
        # A product of some lanes may overflow where those before it would have made the product small.
        self.in_vectors = combiner != "prod"

    def load(self, f: Function, at: Val, lanes: int) -> Val:
        """Elements as states."""
        value = f.load(vector(self.element, lanes), at)
        return f.cast("fpext", value, "double") if self.register != self.element else value

    def _merge(self, f: Function, a: Val, b: Val) -> Val:
        return self.combiner.merge(f, [a], [b])[0]

    def store(self, f: Function, state: Val, at: Val) -> None:
        f.store(self.combiner.result(f, [state]), at)

    def columns(self) -> None:
        f, args, lo, hi = self.module.entry("columns")
        w = dict(zip(COLUMNS.names, COLUMNS.read(f, args, " ".join(COLUMNS.names)), strict=True))
        with f.loop(lo, hi) as task:
            block, outer = split_task(f, task.index, w["blocks"])
            first = f.mul(block, w["block"])
            count = f.min(w["block"], f.sub(w["run"], first))
            start = f.add(f.mul(f.mul(outer, w["steps"]), w["run"]), first)
            x, out = (f.offset(w[a], start, self.element) for a in ("x_at", "out_at"))
            done = f.int(0)
            for lanes, vectors in ((self.lanes, WIDE), (self.lanes, 1), (0, 1)):
                width = max(1, lanes) * vectors
                end = f.sub(count, f.urem(f.sub(count, done), width))
                with f.loop(done, end, width) as column:
                    self._down(f, w, [f.offset(a, column.index, self.element) for a in (x, out)], lanes, vectors)
                done = end
        f.ret()
        f.close()

    def _down(self, f: Function, w: dict[str, Val], at: list[Val], lanes: int, vectors: int) -> None:
        """Some columns from top to bottom."""
        start = self.combiner.start(f, lanes) * vectors
        with f.loop(0, w["steps"], 1, start) as t:
            row = f.mul(t.index, w["run"])
            for i, state in enumerate(t.carried):
                place = f.add(row, i * lanes)
                state = self._merge(f, state, self.load(f, f.offset(at[0], place, self.element), lanes))
                self.store(f, state, f.offset(at[1], place, self.element))
                t.next.append(state)

    def _part(self, f: Function, args: Val, task: Val) -> tuple[dict[str, Val], Val, Val, Val]:
        """The fields; the number of a part in its row, where it starts, how long it is."""
        w = dict(zip(ROWS.names, ROWS.read(f, args, " ".join(ROWS.names)), strict=True))
        part, row = split_task(f, task, w["parts"])
        first = f.mul(part, w["part"])
        return w, part, f.add(f.mul(row, w["steps"]), first), f.min(w["part"], f.sub(w["steps"], first))

    def rows(self) -> None:
        f, args, lo, hi = self.module.entry("rows")
        with f.loop(lo, hi) as task:
            w, part, start, count = self._part(f, args, task.index)
            state = self.combiner.start(f, 0)[0]
            with f.loop(f.sub(task.index, part), task.index, 1, [state]) as before:
                total = f.load(self.register, f.offset(w["totals_at"], before.index, "i64"))
                before.next = [self._merge(f, before.carried[0], total)]
            self._along(f, f.offset(w["x_at"], start, self.element), f.offset(w["out_at"], start, self.element), count,
                        before.results[0])  # fmt: skip
        f.ret()
        f.close()

    def _along(self, f: Function, x: Val, out: Val, count: Val, carried: Val) -> None:
        """A part of a row, given what is carried into it."""
        whole = f.binary("and", count, -self.lanes) if self.in_vectors else f.int(0)
        with f.loop(0, whole, self.lanes, [carried]) as i:
            prefix = self._prefix(f, self.load(f, f.offset(x, i.index, self.element), self.lanes))
            wide = self._merge(f, f.splat(i.carried[0], self.lanes), prefix)
            self.store(f, wide, f.offset(out, i.index, self.element))
            # not from `wide`: the chain from vector to vector is one operation long
            i.next = [self._merge(f, i.carried[0], f.extract(prefix, self.lanes - 1))]
        with f.loop(whole, count, 1, i.results) as i:
            state = self._merge(f, i.carried[0], self.load(f, f.offset(x, i.index, self.element), 0))
            self.store(f, state, f.offset(out, i.index, self.element))
            i.next = [state]

    def _prefix(self, f: Function, x: Val) -> Val:
        """The scan of a vector's lanes: in each block of twice as many, the last of the lower half is combined with all
        of the upper half."""
        distance = 1
        while distance < self.lanes:
            upper = [bool(i & distance) for i in range(self.lanes)]
            order = [i // distance * distance - 1 if u else i for i, u in enumerate(upper)]
            mask = Val("<" + ", ".join(f"i1 {str(u).lower()}" for u in upper) + ">", vector("i1", self.lanes))
            x = f.select(mask, self._merge(f, f.shuffle(x, x, order), x), x)
            distance *= 2
        return x

    def totals(self) -> None:
        f, args, lo, hi = self.module.entry("totals")
        with f.loop(lo, hi) as task:
            w, _, start, count = self._part(f, args, task.index)
            x = f.offset(w["x_at"], start, self.element)
            whole = f.binary("and", count, -WIDE * self.lanes)
            with f.loop(0, whole, WIDE * self.lanes, self.combiner.start(f, self.lanes) * WIDE) as i:
                for k, state in enumerate(i.carried):
                    at = f.offset(x, f.add(i.index, k * self.lanes), self.element)
                    i.next.append(self._merge(f, state, self.load(f, at, self.lanes)))
            with f.loop(whole, count, 1, self.combiner.start(f, 0)) as rest:
                value = self.load(f, f.offset(x, rest.index, self.element), 0)
                rest.next = [self._merge(f, rest.carried[0], value)]
            wide = i.results[0]
            for state in i.results[1:]:
                wide = self._merge(f, wide, state)
            total = self._merge(f, self.combiner.across(f, [wide])[0], rest.results[0])
            f.store(total, f.offset(w["totals_at"], task.index, "i64"))
        f.ret()
        f.close()
