"""softmax(q k^T scale + mask) v, a block of queries at a time, without the matrix of scores.

For every row the largest score and the sum of exponentials so far are kept; when a block of keys has a larger one, what
was summed up is scaled (Milakov & Gimelshein 2018, "Online normalizer calculation for softmax"; Dao et al. 2022,
"FlashAttention").
"""

from __future__ import annotations

import math

from flambeau._backends.cpu.attention_blocks import KEYS, ROWS, WIDTHS, Blocks, across
from flambeau._backends.cpu.emit import Module, Val
from flambeau._backends.cpu.fields import Fields, split_task
from flambeau._backends.cpu.kernel import Kernel
from flambeau._backends.cpu.products import BELOW, COLUMNS, Matrix, Tile
from flambeau._backends.cpu.strided import places
from flambeau._backends.cpu.target import Target

FIELDS = Fields(
    "q_at k_at v_at mask_at out_at sums_at scale queries keys width value_width blocks dims dims_at "
    "q_row q_column k_row k_column v_row v_column out_row mask_row mask_column"
)


def forward_kernel(element: str, tile: Tile, causal: bool, mask: str | None, most: int = WIDTHS[0]) -> Kernel:
    return Kernel(generate_forward, (element, tile, causal, mask, most), ("forward",))


def generate_forward(target: Target, element: str, tile: Tile, causal: bool, mask: str | None, most: int) -> str:
    """`forward`: with FIELDS, a task is a block of up to ROWS queries of one matrix."""
    m = Module(target)
    _Forward(m, element, tile, causal, mask, most).write()
    return m.text()


class _Forward:
    """The function being written, for queries, keys and values of `most` bytes at most. `w` has the fields."""

    def __init__(
        self, module: Module, element: str, tile: Tile, causal: bool, mask: str | None, most: int
    ) -> None:  # fmt: skip
        self.b = b = Blocks(module, element, tile, most)
        self.element, self.causal, self.mask = element, causal, mask
        self.f, args, self.lo, self.hi = module.entry("forward")
        f = self.f
        self.turned = f.stack(element, b.limit * KEYS)
        self.values = f.stack(element, b.limit * KEYS)
        self.scores = f.stack(element, ROWS * KEYS)
        self.mask_row = f.stack(element, KEYS)
        self.mixed = f.stack(element, ROWS * b.limit)
        self.largest, self.sums = f.stack(element, ROWS), f.stack(element, ROWS)
        self.w = dict(zip(FIELDS.names, FIELDS.read(f, args, " ".join(FIELDS.names)), strict=True))
        scale = f.word(args, FIELDS.index["scale"], "double")
        self.scale = scale if element == "double" else f.cast("fptrunc", scale, element)

    def matrix(self, name: str, move: Val) -> Matrix:
        w = self.w
        return Matrix(self.f.offset(w[f"{name}_at"], move, self.element), w[f"{name}_row"], w[f"{name}_column"])

    def write(self) -> None:
        f, w, b = self.f, self.w, self.b
        self.padded = b.padded(f, w["value_width"])
        with f.loop(self.lo, self.hi) as task:
            block, number = split_task(f, task.index, w["blocks"])
            q_move, k_move, v_move, self.out_move, mask_move = places(f, w["dims"], w["dims_at"], number, 5)
            q, k, v = (self.matrix(n, x) for n, x in (("q", q_move), ("k", k_move), ("v", v_move)))
            first = f.mul(block, ROWS)
            rows = f.min(f.sub(w["queries"], first), ROWS)
            self._start(rows)
            keys = f.min(f.add(first, rows), w["keys"]) if self.causal else w["keys"]
            with f.loop(0, keys, KEYS) as key:
                count = f.min(f.sub(w["keys"], key.index), KEYS)
                self._keys(q, k, v, mask_move, (first, rows), (key.index, count))
            self._finish(number, first, rows)
        f.ret()
        f.close()

    def _start(self, rows: Val) -> None:
        b, f = self.b, self.f
        b.fill(f, self.mixed, f.mul(rows, self.padded))
        b.fill(f, self.largest, ROWS, -math.inf)
        b.fill(f, self.sums, ROWS)

    def _keys(
        self, q: Matrix, k: Matrix, v: Matrix, mask_move: Val, queries: tuple[Val, Val], keys: tuple[Val, Val]
    ) -> None:
        """One block of keys, and what it adds to the block of queries."""
        f, w, b = self.f, self.w, self.b
        (first, rows), (key, count) = queries, keys
        b.turn(f, k._replace(at=b.at(f, k, key)), self.turned, count, w["width"])
        columns = b.padded(f, count)
        scores, diagonal = Matrix(self.scores, KEYS), f.sub(first, key)
        b.product(f, q._replace(at=b.at(f, q, first)), Matrix(self.turned, KEYS), scores, (rows, columns, w["width"]),
                  added=False, triangle=COLUMNS if self.causal else None, diagonal=diagonal)  # fmt: skip
        with f.loop(0, rows) as row:
            self._row(row.index, f.add(first, row.index), mask_move, key, count)
        values = Matrix(self.values, self.padded)
        direct = f.binary("and", f.compare("eq", v.column, 1), f.compare("eq", self.padded, w["value_width"]))
        with f.when(f.binary("xor", direct, f.int(1, "i1"))):
            b.copy(f, v._replace(at=b.at(f, v, key)), values, (count, w["value_width"]), self.padded)
        right = Matrix(f.select(direct, b.at(f, v, key), self.values), f.select(direct, w["v_row"], self.padded))
        mixed = Matrix(self.mixed, self.padded)
        b.product(f, scores, right, mixed, (rows, self.padded, count), added=True,
                  triangle=BELOW if self.causal else None, diagonal=diagonal)  # fmt: skip

    def _row(self, row: Val, query: Val, mask_move: Val, key: Val, count: Val) -> None:
        """One row of products becomes exponentials; what has been summed up is scaled to the largest score now."""
        f, w, b = self.f, self.w, self.b
        scores = f.offset(self.scores, f.mul(row, KEYS), self.element)
        limit = reach = count
        if self.causal:
            limit = f.min(count, f.sub(f.add(query, 1), key))
            reach = b.reach(f, row, f.sub(f.sub(query, row), key), count)
        if self.mask is not None:
            memory = "i8" if self.mask == "bool" else self.element
            place = f.add(f.mul(query, w["mask_row"]), f.mul(key, w["mask_column"]))
            mask = f.offset(w["mask_at"], f.add(mask_move, place), memory)
            b.masked(f, mask, w["mask_column"], self.mask, count, self.mask_row)
        before = f.load(self.element, f.offset(self.largest, row, self.element))
        with f.loop(0, reach, b.lanes, [f.splat(before, b.lanes)]) as i:
            x = b.score(f, scores, i.index, self.scale, self.mask_row if self.mask else None, limit)
            f.store(x, f.offset(scores, i.index, self.element))
            i.next = [f.select(f.fcompare("ogt", x, i.carried[0]), x, i.carried[0])]
        largest = across(f, i.results[0], "maximum")
        none = f.fcompare("oeq", largest, f.float(-math.inf, self.element))
        base = f.select(none, f.float(0.0, self.element), largest)
        with f.loop(0, reach, b.lanes, [f.float(0.0, b.vector)]) as i:
            at = f.offset(scores, i.index, self.element)
            p = b.primitive(f, "exp", f.fsub(f.load(b.vector, at), f.splat(base, b.lanes)))
            f.store(p, at)
            i.next = [f.fadd(i.carried[0], p)]
        factor = b.primitive(f, "exp", f.fsub(before, base))
        sum_at = f.offset(self.sums, row, self.element)
        total = f.fadd(f.fmul(f.load(self.element, sum_at), factor), across(f, i.results[0], "fadd"))
        f.store(total, sum_at)
        f.store(largest, f.offset(self.largest, row, self.element))
        with f.when(f.fcompare("une", factor, f.float(1.0, self.element))):
            self._scale(row, factor)

    def _scale(self, row: Val, factor: Val) -> None:
        f, b = self.f, self.b
        line = f.offset(self.mixed, f.mul(row, self.padded), self.element)
        wide = f.splat(factor, b.lanes)
        with f.loop(0, self.padded, b.lanes) as i:
            at = f.offset(line, i.index, self.element)
            f.store(f.fmul(f.load(b.vector, at), wide), at)

    def _finish(self, number: Val, first: Val, rows: Val) -> None:
        """The results of a block of queries; a row without any position gives zeros and -inf."""
        f, w, b = self.f, self.w, self.b
        zero, one = f.float(0.0, self.element), f.float(1.0, self.element)
        width = w["value_width"]
        start = f.add(f.mul(number, w["queries"]), first)
        with f.loop(0, rows) as row:
            total = f.load(self.element, f.offset(self.sums, row.index, self.element))
            largest = f.load(self.element, f.offset(self.largest, row.index, self.element))
            empty = f.fcompare("oeq", total, zero)
            self._scale(row.index, f.fdiv(one, f.select(empty, one, total)))
            logarithm = f.fadd(largest, b.primitive(f, "log", f.select(empty, one, total)))
            f.store(logarithm, f.offset(w["sums_at"], f.add(start, row.index), self.element))
        place = f.add(self.out_move, f.mul(first, w["out_row"]))
        out = Matrix(f.offset(w["out_at"], place, self.element), w["out_row"])
        b.copy(f, Matrix(self.mixed, self.padded), out, (rows, width), width)
