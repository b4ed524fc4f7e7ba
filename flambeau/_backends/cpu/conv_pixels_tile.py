"""The innermost piece of a convolution pixel by pixel: sums that stay in registers while products are added to them.

A tile is a few rows by a few vectors. It is a kernel of its own, so that all shapes share it.
"""

from __future__ import annotations

from flambeau._backends.cpu.conv_pixels import Tile
from flambeau._backends.cpu.emit import BYTES, Module, Val, vector
from flambeau._backends.cpu.kernel import Kernel
from flambeau._backends.cpu.target import Target

REACH = 4  # rows that are addressed from one pointer


def tile_kernel(element: str, tile: Tile, columns: bool) -> Kernel:
    """`columns`: neighbours on the left are those of a column, otherwise those of a row."""
    return Kernel(generate_tile, (element, *tile, columns), ("tile",))


def generate_tile(target: Target, element: str, height: int, vectors: int, columns: bool) -> str:
    """`tile(left, left_pitch, right, sums, start, start_pitch, depth, segments, table)`: sums (height, width) = start
    (height, width) + left (height, depth) @ right (depth, width), for each of the `segments` pairs of places in `table`
    where left and right begin. `left_pitch`: from one row of it to the next, or column if `columns`. start may be sums.
    """
    m = Module(target)
    addresses = ("left", "right", "sums", "start", "table")
    names = "left left_pitch right sums start start_pitch depth segments table".split()
    f = m.function("tile", "void", [(n, "ptr" if n in addresses else "i64") for n in names])
    left, pitch, right, sums, start, start_pitch, depth, segments, table = f.parameters
    lanes = target.lanes(BYTES[element])
    type, width = vector(element, lanes), vectors * lanes
    begin = [
        f.load(type, f.offset(f.offset(start, f.mul(start_pitch, i), element), v * lanes, element))
        for i in range(height)
        for v in range(vectors)
    ]
    rows = [f.mul(pitch, i) for i in range(0, 1 if columns else height, REACH)]
    distances = [f.mul(pitch, i) for i in range(REACH)]
    step = pitch if columns else f.int(1)

    def place(at: list[Val], i: int) -> Val:
        if columns:
            return f.offset(at[0], i, element)
        return f.offset(at[i // REACH], distances[i % REACH], element) if i % REACH else at[i // REACH]

    with f.loop(0, segments, 1, begin) as segment:
        pair = f.offset(table, f.mul(segment.index, 2), "i64")
        from_left, from_right = f.load("i64", pair), f.load("i64", f.offset(pair, 1, "i64"))
        first = f.offset(left, from_left, element)
        at = [f.offset(first, row, element) for row in rows]
        b = f.offset(right, from_right, element)
        with f.loop(0, depth, 1, [*segment.carried, *at, b], guard=False) as k:
            added, at, b = k.carried[: len(begin)], k.carried[len(begin) : -1], k.carried[-1]
            ys = [f.load(type, f.offset(b, v * lanes, element)) for v in range(vectors)]
            for i in range(height):
                x = f.splat(f.load(element, place(at, i)), lanes)
                k.next += [f.fma(x, y, added[i * vectors + v]) for v, y in enumerate(ys)]
            k.next += [*[f.offset(p, step, element) for p in at], f.offset(b, width, element)]
        segment.next = k.results[: len(begin)]
    for i, x in enumerate(segment.results):
        f.store(x, f.offset(sums, i * lanes, element))
    f.ret()
    f.close()
    return m.text()
