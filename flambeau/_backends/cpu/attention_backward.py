"""The gradients of attention: scores are computed again, a block at a time, from what the softmax's sums were.

With p = exp(s - sum) for the scores s, and dp = g v^T:  dv = p^T g,  ds = p (dp - g . out) scale,  dq = ds k,
dk = ds^T q  (Dao et al. 2022, "FlashAttention", appendix B).
"""

from __future__ import annotations

import math

from flambeau._backends.cpu.attention_blocks import KEYS, ROWS, WIDTHS, Blocks, across
from flambeau._backends.cpu.emit import Module, Val
from flambeau._backends.cpu.fields import Fields
from flambeau._backends.cpu.kernel import Kernel
from flambeau._backends.cpu.products import BELOW, COLUMNS, FROM, Matrix, Tile
from flambeau._backends.cpu.strided import places
from flambeau._backends.cpu.target import Target

FIELDS = Fields(
    "g_at q_at k_at v_at out_at sums_at mask_at dq_at dk_at dv_at deltas_at scale queries keys width value_width "
    "dims dims_at g_row g_column q_row q_column k_row k_column v_row v_column "
    "out_row out_column dq_row dk_row dv_row mask_row mask_column"
)


def backward_kernel(element: str, tile: Tile, causal: bool, mask: str | None, most: int = WIDTHS[0]) -> Kernel:
    return Kernel(generate_backward, (element, tile, causal, mask, most), ("backward",))


def generate_backward(target: Target, element: str, tile: Tile, causal: bool, mask: str | None, most: int) -> str:
    """`backward`: with FIELDS, a task is one matrix, so that nothing is added up across tasks."""
    m = Module(target)
    _Backward(m, element, tile, causal, mask, most).write()
    return m.text()


class _Backward:
    """The function being written, for queries, keys and values of `most` bytes at most. `w` has the fields."""

    def __init__(
        self, module: Module, element: str, tile: Tile, causal: bool, mask: str | None, most: int
    ) -> None:  # fmt: skip
        self.b = b = Blocks(module, element, tile, most)
        self.element, self.causal, self.mask = element, causal, mask
        self.f, args, self.lo, self.hi = module.entry("backward")
        f = self.f
        self.k_turned, self.v_turned = (f.stack(element, b.limit * KEYS) for _ in range(2))
        self.k, self.dk, self.dv = (f.stack(element, KEYS * b.limit) for _ in range(3))
        self.q, self.g, self.dq = (f.stack(element, ROWS * b.limit) for _ in range(3))
        self.p, self.ds = (f.stack(element, ROWS * KEYS) for _ in range(2))
        self.mask_row = f.stack(element, KEYS)
        self.w = dict(zip(FIELDS.names, FIELDS.read(f, args, " ".join(FIELDS.names)), strict=True))
        scale = f.word(args, FIELDS.index["scale"], "double")
        self.scale = scale if element == "double" else f.cast("fptrunc", scale, element)

    def matrix(self, name: str, move: Val) -> Matrix:
        w = self.w
        return Matrix(self.f.offset(w[f"{name}_at"], move, self.element), w[f"{name}_row"], w[f"{name}_column"])

    def result(self, name: str, move: Val) -> Matrix:
        return Matrix(self.f.offset(self.w[f"{name}_at"], move, self.element), self.w[f"{name}_row"])

    def write(self) -> None:
        f, w, b = self.f, self.w, self.b
        self.width, self.value_width = w["width"], w["value_width"]
        self.padded, self.value_padded = b.padded(f, self.width), b.padded(f, self.value_width)
        with f.loop(self.lo, self.hi) as task:
            *moves, self.mask_move = places(f, w["dims"], w["dims_at"], task.index, 9)
            g, q, k, v, out = (self.matrix(n, x) for n, x in zip(("g", "q", "k", "v", "out"), moves, strict=False))
            self.dq_to, dk, dv = (self.result(n, x) for n, x in zip(("dq", "dk", "dv"), moves[5:], strict=True))
            self.first_row = f.mul(task.index, w["queries"])
            self._deltas(g, out)
            self._clear(self.dq_to, w["queries"])
            with f.loop(0, w["keys"], KEYS) as key:
                count = f.min(f.sub(w["keys"], key.index), KEYS)
                self._keys(g, q, k._replace(at=b.at(f, k, key.index)), v._replace(at=b.at(f, v, key.index)), key.index,
                           count)  # fmt: skip
                for to, buffer, width, padded in (
                    (dk, self.dk, self.width, self.padded),
                    (dv, self.dv, self.value_width, self.value_padded),
                ):
                    rows = to._replace(at=b.at(f, to, key.index))
                    b.copy(f, Matrix(buffer, padded), rows, (count, width), width)
        f.ret()
        f.close()

    def _deltas(self, g: Matrix, out: Matrix) -> None:
        """g . out of every row."""
        f, w, b = self.f, self.w, self.b
        with f.loop(0, w["queries"]) as row:
            b.copy(f, g._replace(at=b.at(f, g, row.index)), Matrix(self.g, 0), (1, self.value_width), self.value_padded)
            b.copy(f, out._replace(at=b.at(f, out, row.index)), Matrix(self.q, 0), (1, self.value_width),
                   self.value_padded)  # fmt: skip
            with f.loop(0, self.value_padded, b.lanes, [f.float(0.0, b.vector)]) as i:
                x, y = (f.load(b.vector, f.offset(a, i.index, self.element)) for a in (self.g, self.q))
                i.next = [f.fma(x, y, i.carried[0])]
            number = f.add(self.first_row, row.index)
            f.store(across(f, i.results[0], "fadd"), f.offset(w["deltas_at"], number, self.element))

    def _clear(self, to: Matrix, rows: Val) -> None:
        f = self.f
        with f.loop(0, rows) as row:
            line = self.b.at(f, to, row.index)
            with f.loop(0, self.width) as i:
                f.store(f.float(0.0, self.element), f.offset(line, i.index, self.element))

    def _keys(self, g: Matrix, q: Matrix, k: Matrix, v: Matrix, key: Val, count: Val) -> None:
        """One block of keys meets all blocks of queries."""
        f, w, b = self.f, self.w, self.b
        b.turn(f, k, self.k_turned, count, self.width)
        b.turn(f, v, self.v_turned, count, self.value_width)
        b.copy(f, k, Matrix(self.k, self.padded), (count, self.width), self.padded)
        b.fill(f, self.dk, f.mul(count, self.padded))
        b.fill(f, self.dv, f.mul(count, self.value_padded))
        # with a causal mask the blocks of queries before this key see none of it
        start = f.binary("and", key, -ROWS) if self.causal else f.int(0)
        with f.loop(start, w["queries"], ROWS) as row:
            rows = f.min(f.sub(w["queries"], row.index), ROWS)
            g_rows, q_rows = (x._replace(at=b.at(f, x, row.index)) for x in (g, q))
            self._queries(g_rows, q_rows, (row.index, rows), (key, count))

    def _queries(self, g: Matrix, q: Matrix, queries: tuple[Val, Val], keys: tuple[Val, Val]) -> None:
        """One block of queries and one of keys."""
        f, b = self.f, self.b
        (first, rows), (key, count) = queries, keys
        q_rows, g_rows = Matrix(self.q, self.padded), Matrix(self.g, self.value_padded)
        b.copy(f, q, q_rows, (rows, self.width), self.padded)
        b.copy(f, g, g_rows, (rows, self.value_width), self.value_padded)
        p, ds = Matrix(self.p, KEYS), Matrix(self.ds, KEYS)
        columns, diagonal = b.padded(f, count), f.sub(first, key)
        before, below, start = (COLUMNS, BELOW, FROM) if self.causal else (None, None, None)
        b.product(f, q_rows, Matrix(self.k_turned, KEYS), p, (rows, columns, self.width), False, before, diagonal)
        b.product(f, g_rows, Matrix(self.v_turned, KEYS), ds, (rows, columns, self.value_width), False, before,
                  diagonal)  # fmt: skip
        with f.loop(0, rows) as row:
            self._row(row.index, f.add(first, row.index), key, count)
        b.product(f, Matrix(self.p, 1, KEYS), g_rows, Matrix(self.dv, self.value_padded),
                  (count, self.value_padded, rows), True, start, diagonal)  # fmt: skip
        b.product(f, Matrix(self.ds, 1, KEYS), q_rows, Matrix(self.dk, self.padded), (count, self.padded, rows), True,
                  start, diagonal)  # fmt: skip
        b.product(f, ds, Matrix(self.k, self.padded), Matrix(self.dq, self.padded), (rows, self.padded, count), False,
                  below, diagonal)  # fmt: skip
        self._add_dq(first, rows)

    def _row(self, row: Val, query: Val, key: Val, count: Val) -> None:
        """One row of products becomes the softmax's results, one of their gradients those of the scores."""
        f, w, b = self.f, self.w, self.b
        limit = reach = count
        if self.causal:
            limit = f.min(count, f.sub(f.add(query, 1), key))
            reach = b.reach(f, row, f.sub(f.sub(query, row), key), count)
        if self.mask is not None:
            memory = "i8" if self.mask == "bool" else self.element
            place = f.add(f.mul(query, w["mask_row"]), f.mul(key, w["mask_column"]))
            mask = f.offset(w["mask_at"], f.add(self.mask_move, place), memory)
            b.masked(f, mask, w["mask_column"], self.mask, count, self.mask_row)
        number = f.add(self.first_row, query)
        total = f.load(self.element, f.offset(w["sums_at"], number, self.element))
        empty = f.fcompare("oeq", total, f.float(-math.inf, self.element))
        total = f.splat(f.select(empty, f.float(math.inf, self.element), total), b.lanes)
        delta = f.splat(f.load(self.element, f.offset(w["deltas_at"], number, self.element)), b.lanes)
        scale = f.splat(self.scale, b.lanes)
        p_row, ds_row = (f.offset(x, f.mul(row, KEYS), self.element) for x in (self.p, self.ds))
        with f.loop(0, reach, b.lanes) as i:
            x = b.score(f, p_row, i.index, self.scale, self.mask_row if self.mask else None, limit)
            p = b.primitive(f, "exp", f.fsub(x, total))
            f.store(p, f.offset(p_row, i.index, self.element))
            at = f.offset(ds_row, i.index, self.element)
            inside = f.mask_below(f.sub(limit, i.index), b.lanes)  # what lies beyond may be anything
            dp = f.select(inside, f.fsub(f.load(b.vector, at), delta), f.float(0.0, b.vector))
            f.store(f.fmul(f.fmul(p, dp), scale), at)

    def _add_dq(self, row: Val, rows: Val) -> None:
        f, b = self.f, self.b
        whole = f.binary("and", self.width, -b.lanes)
        with f.loop(0, rows) as i:
            to = b.at(f, self.dq_to, f.add(row, i.index))
            source = f.offset(self.dq, f.mul(i.index, self.padded), self.element)
            for lo, hi, type, step in ((f.int(0), whole, b.vector, b.lanes), (whole, self.width, self.element, 1)):
                with f.loop(lo, hi, step) as j:
                    at = f.offset(to, j.index, self.element)
                    f.store(f.fadd(f.load(type, at), f.load(type, f.offset(source, j.index, self.element))), at)
