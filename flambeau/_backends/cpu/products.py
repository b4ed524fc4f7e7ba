"""Small matrix products inside of kernels, and the copies that prepare their operands.

Operands are copied into buffers whose rows are padded to whole tiles, so that products need no edges.
"""

from __future__ import annotations

from typing import NamedTuple

from flambeau._backends.cpu.emit import BYTES, Function, Module, Number, Val, vector
from flambeau._backends.cpu.matmul_pack import transposed
from flambeau._backends.cpu.target import Target

PITCH = 64  # columns of a buffer for turned rows; whole tiles

# Products of which only a triangle is wanted, or whose factor is one: of row i, with a diagonal d, only
COLUMNS = "columns"  # columns up to i + d are wanted
BELOW = "below"  # the steps of k up to i + d count
FROM = "from"  # the steps of k from i - d on count


class Tile(NamedTuple):
    """`height` rows by `vectors` vectors of sums fill the registers."""

    height: int
    vectors: int


def tile_of(target: Target, rows: int) -> Tile:
    """The tile for products with so many rows: a lower one if the last of the highest ones would be rather empty."""
    height = 12 if target.registers >= 32 else 6 if target.fma else 4
    high, low = (-(-rows // h) * h for h in (height, 2 * height // 3))
    if rows > height and 17 * low < 16 * high:
        height = 2 * height // 3
    return Tile(1, 4) if rows == 1 else Tile(min(rows, height), 2)


class Matrix(NamedTuple):
    """A matrix: the address of its first element, the elements from row to row and from column to column."""

    at: Val
    row: Number
    column: Number = 1


class Products:
    """The functions for products and copies of one dtype and tile, which a module gets as they are used."""

    def __init__(self, module: Module, element: str, tile: Tile) -> None:
        self.module, self.element, self.tile = module, element, tile
        self.lanes = module.target.lanes(BYTES[element])
        self.vector = vector(element, self.lanes)
        self.width = self.lanes * tile.vectors
        self._written: set[str] = set()

    def padded(self, f: Function, columns: Val) -> Val:
        """Columns in whole tiles."""
        return f.binary("and", f.add(columns, self.width - 1), -self.width)

    def at(self, f: Function, m: Matrix, row: Number, column: Number = 0) -> Val:
        """The address of an element."""
        row, column = (x if isinstance(x, Val) else f.int(x) for x in (row, column))
        return f.offset(m.at, f.add(f.mul(row, m.row), f.mul(column, m.column)), self.element)

    # ------------------------------------------------------------------------------------------ products

    def product(
        self, f: Function, a: Matrix, b: Matrix, c: Matrix, sizes: tuple[Number, ...], added: bool,
        triangle: str | None = None, diagonal: Number = 0,
    ) -> None:  # fmt: skip
        """c (rows, columns) = a (rows, k) b (k, columns), or added to c; sizes = (rows, columns, k). Columns of b and c
        are neighbours and padded. Of a triangle, some more is done: as much as whole tiles have."""
        name = "product" + "_added" * added + f"_{triangle}" * (triangle is not None)
        if name not in self._written:
            self._written.add(name)
            self._write_product(name, added, triangle)
        args = [a.at, a.row, a.column, b.at, b.row, c.at, c.row, *sizes, diagonal]
        f.call("void", name, [x if isinstance(x, Val) else f.int(x) for x in args], declare=False)

    def _write_product(self, name: str, added: bool, triangle: str | None) -> None:
        names = "a a_row a_k b b_k c c_row rows columns k diagonal".split()
        f = self.module.function(name, "void", [(n, "ptr" if n in "abc" else "i64") for n in names], internal=True)
        a, a_row, a_k, b, b_k, c, c_row, rows, columns, k, diagonal = f.parameters
        last = f.sub(rows, 1)
        with f.loop(0, rows, self.tile.height) as row:
            reach = f.max(f.add(f.add(row.index, self.tile.height), diagonal), 0)
            start, end, wide = f.int(0), k, columns
            if triangle == COLUMNS:
                wide = f.min(reach, columns)
            elif triangle == BELOW:
                end = f.min(reach, k)
            elif triangle == FROM:
                start = f.min(f.max(f.sub(row.index, diagonal), 0), k)
            numbers = [f.min(f.add(row.index, i), last) for i in range(self.tile.height)]
            lefts = [f.offset(a, f.add(f.mul(n, a_row), f.mul(start, a_k)), self.element) for n in numbers]
            to = [f.offset(c, f.mul(n, c_row), self.element) for n in numbers]
            with f.loop(0, wide, self.width) as column:
                places = [
                    f.offset(t, f.add(column.index, v * self.lanes), self.element)
                    for t in to
                    for v in range(self.tile.vectors)
                ]
                zero = f.float(0.0, self.vector)
                before = [f.load(self.vector, p) if added else zero for p in places]
                right = f.offset(b, f.add(f.mul(start, b_k), column.index), self.element)
                sums = self._tile(f, lefts, a_k, right, b_k, f.sub(end, start), before)
                for x, p in zip(sums, places, strict=True):
                    f.store(x, p)
        f.ret()
        f.close()

    def _tile(self, f: Function, lefts: list[Val], a_k: Val, b: Val, b_k: Val, k: Val, start: list[Val]) -> list[Val]:
        with f.loop(0, k, 1, [*start, f.int(0), b]) as step:
            *sums, left, right = step.carried
            ys = [f.load(self.vector, f.offset(right, v * self.lanes, self.element)) for v in range(self.tile.vectors)]
            for i, pointer in enumerate(lefts):
                x = f.splat(f.load(self.element, f.offset(pointer, left, self.element)), self.lanes)
                step.next += [f.fma(x, y, sums[i * len(ys) + v]) for v, y in enumerate(ys)]
            step.next += [f.add(left, a_k), f.offset(right, b_k, self.element)]
        return step.results[: len(start)]

    # ------------------------------------------------------------------------------------------ copies

    def copy(self, f: Function, source: Matrix, to: Matrix, sizes: tuple[Number, Number], padded: Number) -> None:
        """Rows and columns into a buffer, whose rows are filled up with zeros to `padded` columns."""
        if "copy" not in self._written:
            self._written.add("copy")
            self._write_copy()
        args = [source.at, source.row, source.column, to.at, to.row, *sizes, padded]
        f.call("void", "copy", [x if isinstance(x, Val) else f.int(x) for x in args], declare=False)

    def _write_copy(self) -> None:
        parameters = [("a", "ptr"), ("a_row", "i64"), ("a_column", "i64"), ("to", "ptr"), ("to_row", "i64"),
                      ("rows", "i64"), ("columns", "i64"), ("padded", "i64")]  # fmt: skip
        f = self.module.function("copy", "void", parameters, internal=True)
        a, a_row, a_column, to, to_row, rows, columns, padded = f.parameters
        neighbours = f.compare("eq", a_column, 1)
        whole = f.select(neighbours, f.binary("and", columns, -self.lanes), f.int(0))
        with f.loop(0, rows) as row:
            source = f.offset(a, f.mul(row.index, a_row), self.element)
            target = f.offset(to, f.mul(row.index, to_row), self.element)
            with f.loop(0, whole, self.lanes) as i:
                x = f.load(self.vector, f.offset(source, i.index, self.element))
                f.store(x, f.offset(target, i.index, self.element))
            with f.loop(whole, columns) as i:
                x = f.load(self.element, f.offset(source, f.mul(i.index, a_column), self.element))
                f.store(x, f.offset(target, i.index, self.element))
            with f.loop(columns, padded) as i:
                f.store(f.float(0.0, self.element), f.offset(target, i.index, self.element))
        f.ret()
        f.close()

    def fill(self, f: Function, to: Val, count: Number, value: float = 0.0) -> None:
        """`count` elements, in whole vectors."""
        with f.loop(0, count, self.lanes) as i:
            f.store(f.float(value, self.vector), f.offset(to, i.index, self.element))

    def turn(self, f: Function, source: Matrix, to: Val, rows: Val, columns: Val) -> None:
        """Up to PITCH rows as the columns of a buffer [columns][PITCH]; beyond the last row it is repeated."""
        if "turn" not in self._written:
            self._written.add("turn")
            self._write_turn()
        args = [source.at, source.row, source.column, to, rows, columns]
        f.call("void", "turn", [x if isinstance(x, Val) else f.int(x) for x in args], declare=False)

    def _write_turn(self) -> None:
        """Squares are transposed in registers if a row's elements are neighbours."""
        parameters = [("a", "ptr"), ("a_row", "i64"), ("a_column", "i64"), ("to", "ptr"), ("rows", "i64"),
                      ("columns", "i64")]  # fmt: skip
        f = self.module.function("turn", "void", parameters, internal=True)
        a, a_row, a_column, to, rows, columns = f.parameters
        whole = f.select(f.compare("eq", a_column, 1), f.binary("and", columns, -self.lanes), f.int(0))
        padded = self.padded(f, rows)
        with f.loop(0, padded, self.lanes) as row:
            numbers = [f.min(f.add(row.index, i), f.sub(rows, 1)) for i in range(self.lanes)]
            places = [f.offset(a, f.mul(n, a_row), self.element) for n in numbers]
            target = f.offset(to, row.index, self.element)
            with f.loop(0, whole, self.lanes) as i:
                square = [f.load(self.vector, f.offset(p, i.index, self.element)) for p in places]
                for k, x in enumerate(transposed(f, square)):
                    f.store(x, f.offset(target, f.mul(f.add(i.index, k), PITCH), self.element))
            with f.loop(whole, columns) as i:
                step = f.mul(i.index, a_column)
                line = f.offset(target, f.mul(i.index, PITCH), self.element)
                for k, p in enumerate(places):
                    f.store(f.load(self.element, f.offset(p, step, self.element)), f.offset(line, k, self.element))
        f.ret()
        f.close()
