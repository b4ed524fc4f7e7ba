"""Transposed operands of maps: what lies along another dimension than the lanes goes through square tiles.

A tile is `lanes` x `lanes` elements. Of an operand with neighbours along the dimension `across`, a tile is read by whole
vectors, transposed in registers and put on the stack with its rows along the lanes; of a written one, the other way
round. Between that the map runs over the rows of the tile as over any others.
"""

from __future__ import annotations

from flambeau._backends.cpu.casts import MEMORY
from flambeau._backends.cpu.emit import Function, Val, vector
from flambeau._backends.cpu.nest_body import Body, Point


class Tiling:
    """Runs a map over tiles; lanes run along the dimension after `across`."""

    def __init__(self, f: Function, body: Body, across: int, lanes: int) -> None:
        self.f = f
        self.body = body
        self.across, self.along, self.lanes = across, body.along, lanes
        operands = body.loops.operands
        turned = [i for i, o in enumerate(operands) if is_turned(o.strides, across, body.along) and not o.gathered]
        self.tiles = {i: f.stack(MEMORY[operands[i].dtype], lanes * lanes) for i in turned}

    def write(self, point: Point, start: Val) -> None:
        """The tiles that begin at `start` across, one after the other along the lanes."""
        f, body, lanes = self.f, self.body, self.lanes
        corner = point.inner()
        body.move(corner, self.across, start)
        rows = f.min(f.sub(body.sizes[self.across], start), lanes)
        body.compute_ahead(corner, set(range(self.across)), 0)
        with f.loop(0, body.sizes[self.along], lanes) as loop:
            place = corner.inner()
            body.move(place, self.along, loop.index)
            left = f.min(f.sub(body.sizes[self.along], loop.index), lanes)
            whole = f.binary("and", f.compare("eq", rows, lanes), f.compare("eq", left, lanes))
            ragged = f.binary("xor", whole, f.int(1, "i1"))
            with f.when(whole):
                self._tile(place, start, f.int(lanes), f.int(lanes), True)
            with f.when(ragged):
                self._tile(place, start, rows, left, False)

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
                body._advance(row, i, self.across, loop.index)
            body.compute_ahead(row, set(range(self.across + 1)), 0)
            place = body.vector(row, lanes, 0, mask)
            at = f.mul(loop.index, lanes)
            place.tiles = {i: f.offset(t, at, MEMORY[operands[i].dtype]) for i, t in self.tiles.items()}
            body.store_all(place, body.structure.stores)
        for i, tile in self.tiles.items():
            if operands[i].written:
                self._write(corner, i, tile, rows, columns, whole)

    def _lines(self, corner: Point, i: int, rows: Val, columns: Val, whole: bool) -> list[tuple[Val, Val | None]]:
        """Address and mask of every line of an operand's tile in memory."""
        f, stride, element = self.f, self.body.stride(i, self.along), MEMORY[self.body.loops.operands[i].dtype]
        found: list[tuple[Val, Val | None]] = []
        for k in range(self.lanes):
            address = f.offset(corner.pointers[i], f.mul(stride, k), element) if k else corner.pointers[i]
            mask = None
            if not whole:
                inside = f.select(f.compare("sgt", columns, k), rows, f.int(0))
                mask = f.mask_below(inside, self.lanes)
            found.append((address, mask))
        return found

    def _read(self, corner: Point, i: int, tile: Val, rows: Val, columns: Val, whole: bool) -> None:
        f, element = self.f, MEMORY[self.body.loops.operands[i].dtype]
        type = vector(element, self.lanes)
        lines = [
            f.load(type, address) if mask is None else f.load_masked(type, address, mask)
            for address, mask in self._lines(corner, i, rows, columns, whole)
        ]
        for k, line in enumerate(transposed(f, lines)):
            f.store(line, f.offset(tile, k * self.lanes, element))

    def _write(self, corner: Point, i: int, tile: Val, rows: Val, columns: Val, whole: bool) -> None:
        f, element = self.f, MEMORY[self.body.loops.operands[i].dtype]
        type = vector(element, self.lanes)
        lines = transposed(f, [f.load(type, f.offset(tile, k * self.lanes, element)) for k in range(self.lanes)])
        places = self._lines(corner, i, rows, columns, whole)
        for line, (address, mask) in zip(lines, places, strict=True):
            if mask is None:
                f.store(line, address)
            else:
                f.store_masked(line, address, mask)


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
