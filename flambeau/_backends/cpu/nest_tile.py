"""Transposed operands of maps: what lies along another dimension than the lanes goes through square tiles.

A tile is `lanes` x `lanes` elements. Of an operand with neighbours along the dimension `across`, a tile is read by
whole vectors, transposed in registers and put on the stack with its rows along the lanes; of a written one, the other
way round. Between that the map runs over the rows of the tile as over any others.
"""

from __future__ import annotations

from flambeau._backends.cpu.casts import MEMORY
from flambeau._backends.cpu.emit import Function, Number, Val, vector
from flambeau._backends.cpu.nest_body import Body, Point

TILES = 4  # tiles across that are done for the same columns


class Tiling:
    """Runs a map over tiles; lanes run along the dimension after `across`."""

    def __init__(self, f: Function, body: Body, across: int, lanes: int) -> None:
        self.f = f
        self.body = body
        self.across, self.along, self.lanes = across, body.along, lanes
        operands = body.loops.operands
        turned = [i for i, o in enumerate(operands) if is_turned(o.strides, across, body.along) and not o.gathered]
        self.tiles = {i: f.stack(MEMORY[operands[i].dtype], lanes * lanes) for i in turned}

    def write(self, point: Point, start: Val, end: Val) -> None:
        """The tiles from `start` to `end` across. They are the inner loop: what lies across is read by whole cache
        lines and pages then, before the next columns' turn comes."""
        f, body, lanes = self.f, self.body, self.lanes
        point = point.inner()
        body.compute_ahead(point, set(range(self.across)), 0)
        with f.loop(0, body.sizes[self.along], lanes) as loop:
            column = point.inner()
            body.move(column, self.along, loop.index)
            columns = f.min(f.sub(body.sizes[self.along], loop.index), lanes)
            with f.loop(start, end, lanes) as inner:
                corner = column.inner()
                body.move(corner, self.across, inner.index)
                rows = f.min(f.sub(end, inner.index), lanes)
                whole = f.binary("and", f.compare("eq", rows, lanes), f.compare("eq", columns, lanes))
                ragged = f.binary("xor", whole, f.int(1, "i1"))
                with f.when(whole):
                    self._tile(corner, inner.index, f.int(lanes), f.int(lanes), True)
                with f.when(ragged):
                    self._tile(corner, inner.index, rows, columns, False)

    def _tile(self, corner: Point, start: Val, rows: Val, columns: Val, whole: bool) -> None:
        """One tile of `rows` across and `columns` along."""
        f, body, lanes = self.f, self.body, self.lanes
        operands = body.loops.operands
        for i, tile in self.tiles.items():
            if not operands[i].written:
                self._read(corner, i, tile, rows, columns, whole)
        corner = corner.inner()
        body.splat_ahead(corner, range(len(body.loops.body)), lanes)
        mask = None if whole else f.mask_below(columns, lanes)
        with f.loop(0, rows, 1, guard=False) as loop:
            row = corner.inner()
            row.index[self.across] = f.add(start, loop.index)
            for i in range(len(operands)):
                body.advance(row, i, self.across, loop.index)
            body.compute_ahead(row, set(range(self.across + 1)), 0)
            place = body.vector(row, lanes, 0, mask)
            at = f.mul(loop.index, lanes)
            place.tiles = {i: f.offset(t, at, MEMORY[operands[i].dtype]) for i, t in self.tiles.items()}
            body.store_all(place, body.structure.stores)
        for i, tile in self.tiles.items():
            if operands[i].written:
                self._write(corner, i, tile, rows, columns, whole)

    def _read(self, corner: Point, i: int, tile: Val, rows: Val, columns: Val, whole: bool) -> None:
        """Put an operand's tile on the stack, transposed."""
        if whole:
            lines = [self.f.load(self._type(i), self._line(corner, i, k)) for k in range(self.lanes)]
        else:
            mask = self.f.mask_below(rows, self.lanes)
            with self.f.loop(0, columns, 1, guard=False) as loop:
                line = self.f.load_masked(self._type(i), self._line(corner, i, loop.index), mask)
                self.f.store(line, self._row(tile, i, loop.index))
            lines = [self.f.load(self._type(i), self._row(tile, i, k)) for k in range(self.lanes)]
        for k, line in enumerate(transposed(self.f, lines)):
            self.f.store(line, self._row(tile, i, k))

    def _write(self, corner: Point, i: int, tile: Val, rows: Val, columns: Val, whole: bool) -> None:
        """Take an operand's tile from the stack, transposed."""
        lines = transposed(self.f, [self.f.load(self._type(i), self._row(tile, i, k)) for k in range(self.lanes)])
        for k, line in enumerate(lines):
            self.f.store(line, self._line(corner, i, k) if whole else self._row(tile, i, k))
        if not whole:
            mask = self.f.mask_below(rows, self.lanes)
            with self.f.loop(0, columns, 1, guard=False) as loop:
                line = self.f.load(self._type(i), self._row(tile, i, loop.index))
                self.f.store_masked(line, self._line(corner, i, loop.index), mask)

    def _type(self, i: int) -> str:
        return vector(MEMORY[self.body.loops.operands[i].dtype], self.lanes)

    def _line(self, corner: Point, i: int, k: Number) -> Val:
        """The address of a tile's line in an operand's memory."""
        place = self.f.mul(self.body.stride(i, self.along), k)
        return self.f.offset(corner.pointers[i], place, MEMORY[self.body.loops.operands[i].dtype])

    def _row(self, tile: Val, i: int, k: Number) -> Val:
        """The address of a row on the stack."""
        place = self.f.mul(k, self.lanes) if isinstance(k, Val) else k * self.lanes
        return self.f.offset(tile, place, MEMORY[self.body.loops.operands[i].dtype])


def is_turned(strides: tuple[int | None, ...], across: int, along: int) -> bool:
    """Does an operand have its neighbours across, and not along, the lanes?"""
    return strides[across] == 1 and strides[along] is None


def transposed(f: Function, rows: list[Val]) -> list[Val]:
    """A square of vectors transposed: blocks off the diagonal change places, of 1, 2, 4... elements."""
    lanes, distance = len(rows), 1
    while distance < lanes:
        low = [i if not i & distance else i - distance + lanes for i in range(lanes)]
        high = [i + distance if not i & distance else i + lanes for i in range(lanes)]
        following = list(rows)
        for i in range(lanes):
            if not i & distance:
                a, b = rows[i], rows[i + distance]
                following[i], following[i + distance] = f.shuffle(a, b, low), f.shuffle(a, b, high)
        rows, distance = following, 2 * distance
    return rows
