"""The kernels under matrix products: packing, the micro-kernels, and the loops around them.

All are generic in sizes and strides. A micro-kernel keeps a tile of C in registers: as many rows as there are registers
for, two vectors wide; for every k it multiplies two vectors of B with one broadcast element of each row of A.
"""

from __future__ import annotations

from typing import NamedTuple

from flambeau._backends.cpu.casts import MEMORY
from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.target import Target

VECTORS = 2  # of B, side by side


class Tile(NamedTuple):
    """The shape of a tile of C: `rows` by `width` = VECTORS * `lanes` elements."""

    rows: int
    lanes: int
    width: int

    @staticmethod
    def of(target: Target, dtype: str) -> Tile:
        lanes = target.lanes(BYTES[MEMORY[dtype]])
        spare = VECTORS + (2 if target.registers == 16 else 1)  # for B, and for elements of A
        rows = (target.registers - spare) // VECTORS
        return Tile(min(rows, 14), lanes, VECTORS * lanes)


# ---------------------------------------------------------------------------------------------- packing


def pack_left(target: Target, dtype: str) -> str:
    """`pack`: panels of A, [batch][panel][k][rows]. Words: A, panels, m, k, stride of a row, stride of k, panels, inner
    batch size, strides of both batch dimensions. A task is one panel."""
    module, tile, element = Module(target), Tile.of(target, dtype), MEMORY[dtype]
    f, args, lo, hi = module.entry("pack")
    source, packed = f.word(args, 0, "ptr"), f.word(args, 1, "ptr")
    m, k, row_stride, k_stride, panels = (f.word(args, i) for i in range(2, 7))
    with f.loop(lo, hi) as task:
        panel = f.urem(task.index, panels)
        base = _batch_base(f, args, source, f.udiv(task.index, panels), 7, element)
        first, height = _panel(f, m, panels, panel)
        base = f.offset(base, f.mul(first, row_stride), element)
        to = f.offset(packed, f.mul(task.index, f.mul(k, tile.rows)), element)
        with f.loop(0, k) as step:
            from_k = f.offset(base, f.mul(step.index, k_stride), element)
            to_k = f.offset(to, f.mul(step.index, tile.rows), element)
            with f.loop(0, height) as row:
                value = f.load(element, f.offset(from_k, f.mul(row.index, row_stride), element))
                f.store(value, f.offset(to_k, row.index, element))
    f.ret()
    f.close()
    return module.text()


def pack_right(target: Target, dtype: str, order: str) -> str:
    """`pack`: panels of B, [batch][panel][k][width], zeros beyond n. Words: B, panels, n, k, stride of k, stride of n,
    panels, inner batch size, strides of both batch dimensions. `order` says which elements of B are neighbours: those
    of "rows", of "columns", or not known ("any"). A task is one panel."""
    module, tile, element = Module(target), Tile.of(target, dtype), MEMORY[dtype]
    f, args, lo, hi = module.entry("pack")
    source, packed = f.word(args, 0, "ptr"), f.word(args, 1, "ptr")
    n, k, k_stride, n_stride, panels = (f.word(args, i) for i in range(2, 7))
    with f.loop(lo, hi) as task:
        panel = f.urem(task.index, panels)
        base = _batch_base(f, args, source, f.udiv(task.index, panels), 7, element)
        first = f.mul(panel, tile.width)
        base = f.offset(base, f.mul(first, n_stride), element)
        to = f.offset(packed, f.mul(task.index, f.mul(k, tile.width)), element)
        width = f.min(f.sub(n, first), tile.width)
        full = f.compare("eq", width, tile.width)
        fast = f.select(full, k, f.int(0))
        if order == "rows":
            _copy_rows(f, tile, element, base, to, fast, k_stride)
        elif order == "columns":
            fast = f.binary("and", fast, -tile.lanes)
            _transpose_columns(f, tile, element, base, to, fast, n_stride)
        else:
            fast = f.int(0)
        _copy_elements(f, tile, element, base, to, (fast, k), (k_stride, n_stride), width)
    f.ret()
    f.close()
    return module.text()


def _copy_rows(f: Function, tile: Tile, element: str, base: Val, to: Val, k: Val, k_stride: Val) -> None:
    type = vector(element, tile.lanes)
    with f.loop(0, k) as step:
        row = f.offset(base, f.mul(step.index, k_stride), element)
        target = f.offset(to, f.mul(step.index, tile.width), element)
        for v in range(VECTORS):
            value = f.load(type, f.offset(row, v * tile.lanes, element))
            f.store(value, f.offset(target, v * tile.lanes, element))


def _transpose_columns(f: Function, tile: Tile, element: str, base: Val, to: Val, k: Val, n_stride: Val) -> None:
    """Squares of lanes x lanes elements, transposed in registers."""
    type = vector(element, tile.lanes)
    with f.loop(0, k, tile.lanes) as step:
        for v in range(VECTORS):
            columns = []
            for lane in range(tile.lanes):
                column = f.offset(base, f.mul(n_stride, v * tile.lanes + lane), element)
                columns.append(f.load(type, f.offset(column, step.index, element)))
            for i, row in enumerate(transposed(f, columns)):
                place = f.add(f.mul(f.add(step.index, i), tile.width), v * tile.lanes)
                f.store(row, f.offset(to, place, element))


def transposed(f: Function, rows: list[Val]) -> list[Val]:
    """A square of vectors transposed: every round interleaves the first half of the rows with the second."""
    n = len(rows)
    low = [i // 2 + (i % 2) * n for i in range(n)]
    high = [n // 2 + i for i in low]
    for _ in range(n.bit_length() - 1):
        half = n // 2
        pairs = [(rows[i], rows[i + half]) for i in range(half)]
        rows = [f.shuffle(a, b, order) for a, b in pairs for order in (low, high)]
    return rows


def _copy_elements(
    f: Function, tile: Tile, element: str, base: Val, to: Val, k: tuple[Val, Val], strides: tuple[Val, Val], width: Val
) -> None:
    """What is left, element by element, and zeros beyond the last column."""
    zero = f.float(0.0, element)
    with f.loop(*k) as step:
        row = f.offset(base, f.mul(step.index, strides[0]), element)
        target = f.offset(to, f.mul(step.index, tile.width), element)
        with f.loop(0, width) as column:
            value = f.load(element, f.offset(row, f.mul(column.index, strides[1]), element))
            f.store(value, f.offset(target, column.index, element))
        with f.loop(width, tile.width) as column:
            f.store(zero, f.offset(target, column.index, element))


def _batch_base(f: Function, args: Val, base: Val, number: Val, first_word: int, element: str) -> Val:
    """The address of a batch's matrix: words are the inner batch size and the strides of both batch dimensions."""
    inner, outer_stride, inner_stride = (f.word(args, first_word + i) for i in range(3))
    moved = f.mul(f.udiv(number, inner), outer_stride)
    return f.offset(base, f.add(moved, f.mul(f.urem(number, inner), inner_stride)), element)


def _panel(f: Function, m: Val, panels: Val, panel: Val) -> tuple[Val, Val]:
    """(the first row of a panel, its height): rows are shared out evenly, so that no panel is tiny."""
    height, longer = f.udiv(m, panels), f.urem(m, panels)
    first = f.add(f.mul(panel, height), f.min(panel, longer))
    extra = f.cast("zext", f.compare("slt", panel, longer), "i64")
    return first, f.add(height, extra)


# ---------------------------------------------------------------------------------------------- the product


def compute(target: Target, dtype: str, packed_left: bool, bias: bool) -> str:
    """`compute`: blocks of C. Words: A, B, C, bias, m, n, k, strides of A (row, batch, batch), of B (k, panel, batch,
    batch), of the bias (row, batch, batch), panels of A, of B, panels in a block, of A, of B, blocks down, across,
    stretch of k, inner batch size. A task is one block."""
    module, tile = Module(target), Tile.of(target, dtype)
    _Compute(module, tile, MEMORY[dtype], packed_left, bias).write()
    return module.text()


class _Compute:
    def __init__(self, module: Module, tile: Tile, element: str, packed_left: bool, bias: bool) -> None:
        self.module = module
        self.tile = tile
        self.element = element
        self.packed_left = packed_left
        self.bias = bias

    def write(self) -> None:
        zeros = self.module.constant("zeros", self.element, ["0.0"] * self.tile.width)
        for rows in range(1, self.tile.rows + 1):
            self._micro_kernel(rows)
        table = ", ".join(f"ptr @tile{rows}" for rows in range(1, self.tile.rows + 1))
        self.module.globals.append(f"@tiles = internal constant [{self.tile.rows} x ptr] [{table}]")
        self._entry(zeros)

    def _entry(self, zeros: Val) -> None:
        f, args, lo, hi = self.module.entry("compute")
        a, b, c, bias = (f.word(args, i, "ptr") for i in range(4))
        m, n, k = (f.word(args, i) for i in range(4, 7))
        a_row, a_outer, a_inner = (f.word(args, i) for i in range(7, 10))
        b_k, b_panel, b_outer, b_inner = (f.word(args, i) for i in range(10, 14))
        i_row, i_outer, i_inner = (f.word(args, i) for i in range(14, 17))
        panels, columns, rows, across, row_blocks, column_blocks, stretch, inner = (
            f.word(args, i) for i in range(17, 25)
        )
        with f.loop(lo, hi) as task:
            blocks = f.mul(row_blocks, column_blocks)
            number, block = f.udiv(task.index, blocks), f.urem(task.index, blocks)
            outer_at, inner_at = f.udiv(number, inner), f.urem(number, inner)
            a_base = self._moved(f, a, (outer_at, a_outer), (inner_at, a_inner))
            b_base = self._moved(f, b, (outer_at, b_outer), (inner_at, b_inner))
            c_base = f.offset(c, f.mul(number, f.mul(m, n)), self.element)
            i_base = self._moved(f, bias, (outer_at, i_outer), (inner_at, i_inner)) if self.bias else zeros
            row_lo = f.mul(f.udiv(block, column_blocks), rows)
            row_hi = f.min(f.add(row_lo, rows), panels)
            column_lo = f.mul(f.urem(block, column_blocks), across)
            column_hi = f.min(f.add(column_lo, across), columns)
            with f.loop(0, k, stretch) as along:
                length = f.min(f.sub(k, along.index), stretch)
                first = f.compare("eq", along.index, 0)
                with f.loop(column_lo, column_hi) as column:
                    n0 = f.mul(column.index, self.tile.width)
                    b_at = f.add(f.mul(column.index, b_panel), f.mul(along.index, b_k))
                    b_tile = f.offset(b_base, b_at, self.element)
                    with f.loop(row_lo, row_hi) as row:
                        m0, height = _panel(f, m, panels, row.index)
                        if self.packed_left:
                            at = f.mul(f.add(f.mul(row.index, k), along.index), self.tile.rows)
                        else:
                            at = f.add(f.mul(m0, a_row), along.index)
                        a_tile = f.offset(a_base, at, self.element)
                        c_tile = f.offset(c_base, f.add(f.mul(m0, n), n0), self.element)
                        start = f.offset(i_base, f.add(f.mul(m0, i_row), n0), self.element) if self.bias else i_base
                        start = f.select(first, start, c_tile)
                        start_row = f.select(first, i_row if self.bias else f.int(0), n)
                        tile_at = f.offset(Val("@tiles", "ptr"), f.sub(height, 1), "ptr")
                        kernel = f.load("ptr", tile_at, 8)
                        f.call_address(kernel, [a_tile, a_row, b_tile, b_k, c_tile, n, start, start_row, length,
                                                f.sub(n, n0)])  # fmt: skip
        f.ret()
        f.close()

    def _moved(self, f: Function, base: Val, *moves: tuple[Val, Val]) -> Val:
        for at, stride in moves:
            base = f.offset(base, f.mul(at, stride), self.element)
        return base

    def _micro_kernel(self, rows: int) -> None:
        """`tileN(a, a_row, b, b_k, c, c_row, start, start_row, k, columns)`: N rows of C from the start values (those of
        the bias, of C itself, or zeros) and the products of k steps."""
        tile, element = self.tile, self.element
        parameters = [("a", "ptr"), ("a_row", "i64"), ("b", "ptr"), ("b_k", "i64"), ("c", "ptr"), ("c_row", "i64"),
                      ("start", "ptr"), ("start_row", "i64"), ("k", "i64"), ("columns", "i64")]  # fmt: skip
        f = self.module.function(f"tile{rows}", "void", parameters, internal=True)
        a, a_row, b, b_k, c, c_row, start, start_row, k, columns = f.parameters
        type = vector(element, tile.lanes)
        masks = [f.mask_below(f.sub(columns, v * tile.lanes), tile.lanes) for v in range(VECTORS)]
        sums = []
        for i in range(rows):
            row = f.offset(start, f.mul(start_row, i), element)
            for v in range(VECTORS):
                sums.append(f.load_masked(type, f.offset(row, v * tile.lanes, element), masks[v]))
        lines = [f.offset(a, f.mul(a_row, i), element) for i in range(rows)]
        with f.loop(0, k, 1, sums, guard=False) as step:
            step.next = self._step(f, rows, step.index, step.carried, (a, lines), (b, b_k))
        full = f.compare("sge", columns, tile.width)
        self._store(f, rows, step.results, c, c_row, full, None)
        self._store(f, rows, step.results, c, c_row, f.binary("xor", full, f.int(1, "i1")), masks)
        f.ret()
        f.close()

    def _step(
        self, f: Function, rows: int, k: Val, sums: list[Val], left: tuple[Val, list[Val]], right: tuple[Val, Val]
    ) -> list[Val]:
        """One k: two vectors of B, one element of every row of A."""
        tile, element = self.tile, self.element
        b_at = f.offset(right[0], f.mul(k, right[1]), element)
        vectors = [
            f.load(vector(element, tile.lanes), f.offset(b_at, v * tile.lanes, element)) for v in range(VECTORS)
        ]
        result = []
        packed = f.offset(left[0], f.mul(k, tile.rows), element) if self.packed_left else None
        for i in range(rows):
            place = f.offset(packed, i, element) if packed is not None else f.offset(left[1][i], k, element)
            factor = f.splat(f.load(element, place), tile.lanes)
            result += [f.fma(factor, vectors[v], sums[VECTORS * i + v]) for v in range(VECTORS)]
        return result

    def _store(
        self, f: Function, rows: int, sums: list[Val], c: Val, c_row: Val, condition: Val, masks: list[Val] | None
    ) -> None:
        with f.when(condition):
            for i in range(rows):
                row = f.offset(c, f.mul(c_row, i), self.element)
                for v in range(VECTORS):
                    place = f.offset(row, v * self.tile.lanes, self.element)
                    if masks is None:
                        f.store(sums[VECTORS * i + v], place)
                    else:
                        f.store_masked(sums[VECTORS * i + v], place, masks[v])
