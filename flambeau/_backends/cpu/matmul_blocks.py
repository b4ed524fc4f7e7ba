"""The loops around the tiles of a matrix product: one task computes one block of C.

A task packs its part of B, then goes through its panels of rows: a stretch of a panel of A stays in the first-level
cache while it meets all the panels of B in the block, which stay in the second-level one. Where several stretches of
those fit there, all of these go by one after the other for the same rows, and what they add up to is in a cache, too.
"""

from __future__ import annotations

from typing import NamedTuple

from flambeau._backends.cpu.emit import BYTES, Module, Val, vector
from flambeau._backends.cpu.fields import Fields, split_task
from flambeau._backends.cpu.kernel import Kernel
from flambeau._backends.cpu.matmul_epilogue import EPILOGUE, call_epilogue
from flambeau._backends.cpu.matmul_pack import GROUP, batch_offsets, copied_elements, panel_rows, panel_shares
from flambeau._backends.cpu.matmul_tile import ROWS, VECTORS, stores_masked
from flambeau._backends.cpu.target import Target

LOCAL_BYTES = 256 << 10  # of B that a task packs for itself, at most

FIELDS = Fields(
    # The operands; `bias_at` and `copy_at` may be 0. `fresh`: C starts from the bias or zeros, not from what it holds.
    "a_at b_at c_at bias_at fresh m n k a_row a_k b_k b_n bias_row bias_n dims batch_at "
    # A block is `rows` panels of A by `across` panels of B. k is cut into parts, each with a C of its own, and they
    # into depths, for each of which all of A goes by, and those into stretches.
    "panels columns rows across row_blocks column_blocks parts part depth stretch "
    # Panels of B are `width` wide and `b_panel` apart; those from `packed_from` on are packed by the task. `pack_at` is
    # 0 where there are none.
    "width b_panel packed_from pack_at "
    # Groups of panels of A are copied; then their rows and steps of k are so far apart.
    "group copy_at copied_row copied_k "
    # What is copied next is sent for by tiles, `ahead_tiles` of them in turn, which begin `ahead_tile` elements apart.
    "ahead_tiles ahead_tile ahead_k "
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
    they are the first ones, and the last. Panels of B that the task has packed lie at `packed`, `pitch` apart. `ahead`
    is what is copied later, and `tiles` the number of tiles that its group has met before."""

    a: Val
    b: Val
    c: Val
    bias: Val
    length: Val
    first: Val
    done: Val
    packed: Val
    pitch: Val
    ahead: Val
    tiles: Val


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
        self.shares = panel_shares(f, self.w["m"], self.w["panels"])
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
            with f.loop(k_lo, k_hi, w["depth"]) as deep:
                self._depth((a, b, c, bias), (k_lo, deep.index, k_hi), rows, columns)
        f.ret()
        f.close()

    def _depth(
        self, operands: tuple[Val, ...], steps: tuple[Val, Val, Val], rows: tuple[Val, Val], columns: tuple[Val, Val]
    ) -> None:
        """Pack the task's panels of B, then have all groups of panels of A go by. `steps`: where the part of k begins,
        the depth, and where the part ends."""
        f, w = self.f, self.w
        a, b, c, bias = operands
        k_lo, begin, k_hi = steps
        end = f.min(f.add(begin, w["depth"]), k_hi)
        length, packed_from = f.sub(end, begin), f.max(columns[0], w["packed_from"])
        pitch = f.mul(length, w["width"])
        self._pack(self.at(b, f.mul(begin, w["b_k"])), length, pitch, (packed_from, columns[1]))
        with f.loop(rows[0], rows[1], w["group"]) as group, f.loop(begin, end, w["stretch"]) as along:
            steps_here, before = f.min(f.sub(end, along.index), w["stretch"]), f.sub(along.index, begin)
            following = f.add(along.index, steps_here)
            met = f.mul(f.udiv(before, w["stretch"]), f.mul(w["group"], f.sub(columns[1], columns[0])))
            first = f.binary("and", f.compare("ne", w["fresh"], 0), f.compare("eq", along.index, k_lo))
            s = _Stretch(
                self.at(a, f.mul(along.index, w["a_k"])), self.at(b, f.mul(along.index, w["b_k"])), c, bias, steps_here,
                first, f.compare("eq", following, k_hi), self.at(self.packed, f.mul(before, w["width"])), pitch,
                self._ahead(a, rows, group.index, (begin, following, end, k_hi)), met,
            )  # fmt: skip
            self._group(s, rows, columns, group.index, packed_from)

    def _range(self, number: Val, size: str, end: str) -> tuple[Val, Val]:
        lo = self.f.mul(number, self.w[size])
        return lo, self.f.min(self.f.add(lo, self.w[size]), self.w[end])

    def _pack(self, b: Val, length: Val, pitch: Val, columns: tuple[Val, Val]) -> None:
        """Pack the task's panels of B, from its first step of k on."""
        f, w = self.f, self.w
        with f.loop(*columns) as column:
            first = f.mul(column.index, w["width"])
            to = self.at(self.packed, f.mul(f.sub(column.index, columns[0]), pitch))
            f.call_address(w["pack_at"], [self.at(b, f.mul(first, w["b_n"])), w["b_k"], w["b_n"], length,
                                          f.min(f.sub(w["n"], first), w["width"]), w["width"], to])  # fmt: skip

    def _ahead(self, a: Val, rows: tuple[Val, Val], group: Val, steps: tuple[Val, ...]) -> Val:
        """What is to be sent for while a stretch of a group is multiplied: of A with contiguous rows the next group's,
        in all stretches, so that each tile follows a row; of one with contiguous columns what is copied next."""
        f, w = self.f, self.w
        deep, following, end, k_hi = steps
        over = f.add(group, w["group"])
        last = f.compare("sge", over, rows[1])
        after = f.select(f.binary("and", last, f.compare("slt", end, k_hi)), end, deep)
        same = f.binary("and", f.compare("ne", w["copied_k"], 1), f.compare("slt", following, end))
        first, _ = panel_rows(f, self.shares, f.select(same, group, f.select(last, rows[0], over)))
        return self.at(a, f.mul(first, w["a_row"]), f.mul(f.select(same, following, after), w["a_k"]))

    def _group(self, s: _Stretch, rows: tuple[Val, Val], columns: tuple[Val, Val], group: Val, packed_from: Val
               ) -> None:  # fmt: skip
        """A group of panels of A, one stretch of it, meets all panels of B."""
        f, w = self.f, self.w
        direct = self.is_null("copy_at")
        a_row, a_k = f.select(direct, w["a_row"], w["copied_row"]), f.select(direct, w["a_k"], w["copied_k"])
        end = f.min(f.add(group, w["group"]), rows[1])
        with f.when(f.binary("xor", direct, f.int(1, "i1"))):
            f.call_address(w["copy_at"], [s.a, w["a_row"], w["a_k"], s.length, w["m"], w["panels"], group, end,
                                          self.copied])  # fmt: skip
        across = f.sub(columns[1], columns[0])
        with f.loop(group, end) as row:
            m0, height = panel_rows(f, self.shares, row.index)
            place = self.at(self.copied, f.mul(f.sub(row.index, group), copied_elements(self.element)))
            a = f.select(direct, self.at(s.a, f.mul(m0, w["a_row"])), place)
            met = f.add(s.tiles, f.mul(f.sub(row.index, group), across))
            with f.loop(columns[0], columns[1], 1, [f.urem(met, w["ahead_tiles"])]) as column:
                turn = column.carried[0]
                ahead = self.at(s.ahead, f.mul(turn, w["ahead_tile"]))
                self._tile(s, (a, a_row, a_k), (m0, height), column.index, packed_from, ahead)
                turn = f.add(turn, 1)
                column.next = [f.select(f.compare("eq", turn, w["ahead_tiles"]), f.int(0), turn)]
            number = f.urem(f.sub(row.index, rows[0]), w["finished"])
            whole = f.compare("eq", f.add(number, 1), w["finished"])
            last = f.compare("eq", f.add(row.index, 1), rows[1])
            with f.when(f.binary("and", s.done, f.binary("or", whole, last))):
                first, _ = panel_rows(f, self.shares, f.sub(row.index, number))
                self._epilogue((first, f.add(m0, height)), columns)

    def _tile(self, s: _Stretch, a: tuple[Val, ...], rows: tuple[Val, Val], column: Val, packed_from: Val, ahead: Val
              ) -> None:  # fmt: skip
        """One tile: into C, or by way of one on the stack if it reaches beyond C and there are no cheap masks, or if
        elements of the bias are no neighbours."""
        f, w = self.f, self.w
        m0, height = rows
        n0 = f.mul(column, w["width"])
        columns = f.min(f.sub(w["n"], n0), w["width"])
        packed = f.compare("sge", column, packed_from)
        own = self.at(s.packed, f.mul(f.sub(column, packed_from), s.pitch))
        b = f.select(packed, own, self.at(s.b, f.mul(column, w["b_panel"])))
        b_k = f.select(packed, w["width"], w["b_k"])
        c = self.at(s.c, f.mul(m0, w["n"]), n0)
        bias = self.at(s.bias, f.mul(m0, w["bias_row"]), f.mul(n0, w["bias_n"]))
        start, start_row = f.select(s.first, bias, c), f.select(s.first, w["bias_row"], w["n"])
        edge = f.compare("slt", columns, w["width"])
        kernel = f.select(edge, w["edge_at"], w["tile_at"])
        before = [*a, b, b_k]
        after = [s.length, f.sub(height, 1), columns, ahead, w["ahead_k"]]
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
