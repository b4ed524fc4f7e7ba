"""The loops around the tiles of a matrix product: one task computes one block of C.

For every stretch of k a task packs its part of B, then goes through its panels of rows: a panel of A stays in the
first-level cache while it meets all the panels of B in the block, which stay in the second-level one.
"""

from __future__ import annotations

from typing import NamedTuple

from flambeau._backends.cpu.emit import BYTES, Module, Val, vector
from flambeau._backends.cpu.fields import Fields, split_task
from flambeau._backends.cpu.kernel import Kernel
from flambeau._backends.cpu.matmul_epilogue import EPILOGUE, call_epilogue
from flambeau._backends.cpu.matmul_pack import GROUP, batch_offsets, copied_elements, panel_rows
from flambeau._backends.cpu.matmul_tile import ROWS, VECTORS, stores_masked
from flambeau._backends.cpu.target import Target

LOCAL_BYTES = 256 << 10  # of B that a task packs for itself, at most

FIELDS = Fields(
    # The operands; `bias_at` and `copy_at` may be 0. `fresh`: C starts from the bias or zeros, not from what it holds.
    "a_at b_at c_at bias_at fresh m n k a_row a_k b_k b_n bias_row bias_n dims batch_at "
    # A block is `rows` panels of A by `across` panels of B. k is cut into parts, each with a C of its own, and they
    # into stretches.
    "panels columns rows across row_blocks column_blocks parts part stretch "
    # Panels of B are `width` wide and `b_panel` apart; those from `packed_from` on are packed by the task. `pack_at` is
    # 0 where there are none.
    "width b_panel packed_from pack_at "
    # Groups of panels of A are copied; then their rows and steps of k are so far apart.
    "group copy_at copied_row copied_k "
    # What computes a tile, and one at the right edge.
    "tile_at edge_at "
    # Panels of rows that are finished at a time.
    "finished "
    + EPILOGUE
)  # fmt: skip


def blocks_kernel(element: str) -> Kernel:
    return Kernel(generate_blocks, (element,), ("blocks",))


def generate_blocks(target: Target, element: str) -> str:
    """`blocks`: with FIELDS, a task is a block of one part of one matrix; C is [batch][part][m][n]."""
    m = Module(target)
    _Blocks(m, element).write()
    return m.text()


class _Stretch(NamedTuple):
    """What a task is at: addresses of A and B at its first step of k, of C and of the bias; how many steps; whether
    they are the first ones, and the last."""

    a: Val
    b: Val
    c: Val
    bias: Val
    length: Val
    first: Val
    done: Val


class _Blocks:
    """The function being written. `w` has the fields."""

    def __init__(self, module: Module, element: str) -> None:
        self.element = element
        self.lanes = module.target.lanes(BYTES[element])
        zeros = module.constant("zeros", element, ["0.0"] * (VECTORS * self.lanes))
        self.f, args, self.lo, self.hi = module.entry("blocks")
        f = self.f
        self.packed = f.stack(element, LOCAL_BYTES // BYTES[element])
        self.copied = f.stack(element, GROUP * copied_elements(element))
        self.start_tile, self.c_tile = (f.stack(element, ROWS * VECTORS * self.lanes) for _ in range(2))
        self.w = dict(zip(FIELDS.names, FIELDS.read(f, args, " ".join(FIELDS.names)), strict=True))
        self.bias = f.select(self.is_null("bias_at"), zeros, self.w["bias_at"])

    def is_null(self, name: str) -> Val:
        return self.f.compare("eq", self.w[name], Val("null", "ptr"))

    def at(self, base: Val, *moves: Val) -> Val:
        for move in moves:
            base = self.f.offset(base, move, self.element)
        return base

    def write(self) -> None:
        f, w = self.f, self.w
        with f.loop(self.lo, self.hi) as task:
            row, column, part, number = split_task(f, task.index, w["row_blocks"], w["column_blocks"], w["parts"])
            moves = batch_offsets(f, w["batch_at"], w["dims"], number, (0, 1, 2))
            a, b, bias = (self.at(x, move) for x, move in zip((w["a_at"], w["b_at"], self.bias), moves, strict=True))
            c = self.at(w["c_at"], f.mul(f.add(f.mul(number, w["parts"]), part), f.mul(w["m"], w["n"])))
            self.number = number
            rows, columns = self._range(row, "rows", "panels"), self._range(column, "across", "columns")
            k_lo = f.mul(part, w["part"])
            k_hi = f.min(f.add(k_lo, w["part"]), w["k"])
            with f.loop(k_lo, k_hi, w["stretch"]) as along:
                length = f.min(f.sub(k_hi, along.index), w["stretch"])
                first = f.binary("and", f.compare("eq", along.index, k_lo), f.compare("ne", w["fresh"], 0))
                done = f.compare("eq", f.add(along.index, length), k_hi)
                a_at, b_at = self.at(a, f.mul(along.index, w["a_k"])), self.at(b, f.mul(along.index, w["b_k"]))
                self._stretch(_Stretch(a_at, b_at, c, bias, length, first, done), rows, columns)
        f.ret()
        f.close()

    def _range(self, number: Val, size: str, end: str) -> tuple[Val, Val]:
        lo = self.f.mul(number, self.w[size])
        return lo, self.f.min(self.f.add(lo, self.w[size]), self.w[end])

    def _stretch(self, s: _Stretch, rows: tuple[Val, Val], columns: tuple[Val, Val]) -> None:
        f, w = self.f, self.w
        packed_from = f.max(columns[0], w["packed_from"])
        with f.loop(packed_from, columns[1]) as column:
            left = f.sub(w["n"], f.mul(column.index, w["width"]))
            f.call_address(w["pack_at"], [
                self.at(s.b, f.mul(f.mul(column.index, w["width"]), w["b_n"])), w["b_k"], w["b_n"], s.length,
                f.min(left, w["width"]), w["width"], self._packed(s, column.index, packed_from),
            ])  # fmt: skip
        direct = self.is_null("copy_at")
        a_row, a_k = f.select(direct, w["a_row"], w["copied_row"]), f.select(direct, w["a_k"], w["copied_k"])
        with f.loop(rows[0], rows[1], w["group"]) as group:
            group_end = f.min(f.add(group.index, w["group"]), rows[1])
            with f.when(f.binary("xor", direct, f.int(1, "i1"))):
                f.call_address(w["copy_at"], [s.a, w["a_row"], w["a_k"], s.length, w["m"], w["panels"], group.index,
                                              group_end, self.copied])  # fmt: skip
            with f.loop(group.index, group_end) as row:
                m0, height = panel_rows(f, w["m"], w["panels"], row.index)
                place = self.at(self.copied, f.mul(f.sub(row.index, group.index), copied_elements(self.element)))
                a = f.select(direct, self.at(s.a, f.mul(m0, w["a_row"])), place)
                with f.loop(columns[0], columns[1]) as column:
                    self._tile(s, (a, a_row, a_k), (m0, height), column.index, packed_from)
                number = f.urem(f.sub(row.index, rows[0]), w["finished"])
                whole = f.compare("eq", f.add(number, 1), w["finished"])
                last = f.compare("eq", f.add(row.index, 1), rows[1])
                with f.when(f.binary("and", s.done, f.binary("or", whole, last))):
                    first, _ = panel_rows(f, w["m"], w["panels"], f.sub(row.index, number))
                    self._epilogue((first, f.add(m0, height)), columns)

    def _packed(self, s: _Stretch, column: Val, packed_from: Val) -> Val:
        """Where the task has its packed panel of B."""
        f, w = self.f, self.w
        return self.at(self.packed, f.mul(f.mul(f.sub(column, packed_from), s.length), w["width"]))

    def _tile(self, s: _Stretch, a: tuple[Val, ...], rows: tuple[Val, Val], column: Val, packed_from: Val) -> None:
        """One tile: into C, or by way of one on the stack if it reaches beyond C and there are no cheap masks, or if
        elements of the bias are no neighbours."""
        f, w = self.f, self.w
        m0, height = rows
        n0 = f.mul(column, w["width"])
        columns = f.min(f.sub(w["n"], n0), w["width"])
        packed = f.compare("sge", column, packed_from)
        b = f.select(packed, self._packed(s, column, packed_from), self.at(s.b, f.mul(column, w["b_panel"])))
        b_k = f.select(packed, w["width"], w["b_k"])
        c = self.at(s.c, f.mul(m0, w["n"]), n0)
        bias = self.at(s.bias, f.mul(m0, w["bias_row"]), f.mul(n0, w["bias_n"]))
        start, start_row = f.select(s.first, bias, c), f.select(s.first, w["bias_row"], w["n"])
        edge = f.compare("slt", columns, w["width"])
        kernel = f.select(edge, w["edge_at"], w["tile_at"])
        before = [*a, b, b_k]
        after = [s.length, f.sub(height, 1), columns]
        spread = f.binary("and", s.first, self._bias_is_spread())
        detour = spread if stores_masked(f.target) else f.binary("or", spread, edge)
        with f.when(f.binary("xor", detour, f.int(1, "i1"))):
            f.call_address(kernel, [*before, c, w["n"], start, start_row, *after])
        with f.when(detour):
            start_n = f.select(s.first, w["bias_n"], f.int(1))
            shared = f.compare("eq", start_row, 0)
            self._gather(start, start_row, start_n, f.select(shared, f.int(1), height), columns)
            pitch = f.select(shared, f.int(0), w["width"])
            f.call_address(kernel, [*before, self.c_tile, w["width"], self.start_tile, pitch, *after])
            self._scatter(c, height, columns)

    def _bias_is_spread(self) -> Val:
        f, w = self.f, self.w
        given = f.compare("ne", w["bias_at"], Val("null", "ptr"))
        return f.binary("and", given, f.compare("ne", w["bias_n"], 1))

    def _gather(self, start: Val, start_row: Val, start_n: Val, height: Val, columns: Val) -> None:
        """The start values of a tile, into the one on the stack."""
        f = self.f
        with f.loop(0, height) as row, f.loop(0, columns) as column:
            value = f.load(self.element, self.at(start, f.mul(row.index, start_row), f.mul(column.index, start_n)))
            f.store(value, self.at(self.start_tile, f.mul(row.index, self.w["width"]), column.index))

    def _scatter(self, c: Val, height: Val, columns: Val) -> None:
        """The tile on the stack, into C."""
        f = self.f
        whole = f.binary("and", columns, -self.lanes)
        with f.loop(0, height) as row:
            source = self.at(self.c_tile, f.mul(row.index, self.w["width"]))
            target = self.at(c, f.mul(row.index, self.w["n"]))
            for type, lo, hi, step in (
                (vector(self.element, self.lanes), f.int(0), whole, self.lanes),
                (self.element, whole, columns, 1),
            ):
                with f.loop(lo, hi, step) as column:
                    f.store(f.load(type, self.at(source, column.index)), self.at(target, column.index))

    def _epilogue(self, rows: tuple[Val, Val], columns: tuple[Val, Val]) -> None:
        f, w = self.f, self.w
        lo, hi = f.mul(columns[0], w["width"]), f.min(f.mul(columns[1], w["width"]), w["n"])
        call_epilogue(f, w, self.number, rows, (lo, hi))
