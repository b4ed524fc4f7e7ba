"""The innermost piece of a convolution: a tile of output that stays in registers while its products are added up.

A tile is `rows` x 2 vectors: every step of the depth multiplies a column of the left matrix, an element at a time in
all lanes, with two vectors of the right one. It is a kernel of its own, so that all shapes share it.
"""

from __future__ import annotations

from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.kernel import Kernel
from flambeau._backends.cpu.target import Target

VECTORS = 2


def tile_rows(target: Target) -> int:
    """The rows for which the sums, the vectors and one element in all lanes fill the registers. Where there are masks,
    that element is an operand in memory."""
    if target.registers >= 32:
        return 14 if target.masks else 13
    return 6 if target.fma else 5


def tile_width(target: Target, element: str) -> int:
    return VECTORS * target.lanes(BYTES[element])


def tile_kernel(element: str, rows: int, left_pitch: int = 0) -> Kernel:
    """A tile whose left matrix has its columns one after the other (`left_pitch` 0), or its rows, that far apart."""
    return Kernel(generate_tile, (element, rows, left_pitch), ("tile",))


def generate_tile(target: Target, element: str, rows: int, left_pitch: int) -> str:
    """`tile(left, right, sums, bias, depth, right_pitch, sums_pitch, fresh, segments, starts)`: sums (rows, width) +=
    left (rows, depth) @ right (depth, width). If `fresh`, they start from bias (rows) instead of what is there.

    There are `segments` pieces of that depth; those of `right` begin where `starts` says, seen from `right`."""
    m = Module(target)
    parameters = [(n, "ptr") for n in ("left", "right", "sums", "bias")]
    parameters += [(n, "i64") for n in ("depth", "right_pitch", "sums_pitch", "fresh", "segments")] + [
        ("starts", "ptr")
    ]
    f = m.function("tile", "void", parameters)
    left, right, sums, bias, depth, right_pitch, sums_pitch, fresh, segments, starts = f.parameters
    lanes = target.lanes(BYTES[element])
    start = _start(f, rows, lanes, element, sums, bias, sums_pitch, fresh)

    def step(acc: list[Val], a: Val, b: Val, number: int) -> list[Val]:
        vectors = [f.load(vector(element, lanes), f.offset(b, lanes * v, element)) for v in range(VECTORS)]
        after = []
        for i in range(rows):
            place = i * left_pitch + number if left_pitch else number * rows + i
            x = f.splat(f.load(element, f.offset(a, place, element)), lanes)
            after += [f.fma(x, vectors[v], acc[VECTORS * i + v]) for v in range(VECTORS)]
        return after

    unroll = 2 if rows * VECTORS > 16 else 4
    column = 1 if left_pitch else rows
    whole = f.binary("and", depth, -unroll)
    with f.loop(0, segments, 1, [*start, left], guard=False) as segment:
        begin = f.load("i64", f.offset(starts, segment.index, "i64"))
        carried = [*segment.carried, f.offset(right, begin, element)]
        for lo, hi, steps in ((f.int(0), whole, unroll), (whole, depth, 1)):
            with f.loop(lo, hi, steps, carried) as k:
                *acc, a, b = k.carried
                for number in range(steps):
                    acc = step(acc, a, b, number)
                    b = f.offset(b, right_pitch, element)
                k.next = [*acc, f.offset(a, steps * column, element), b]
            carried = k.results
        segment.next = carried[:-1]
    carried = segment.results
    for i in range(rows):
        for v in range(VECTORS):
            f.store(carried[VECTORS * i + v], f.offset(_row(f, sums, sums_pitch, i, element), lanes * v, element))
    f.ret()
    f.close()
    return m.text()


def _row(f: Function, sums: Val, pitch: Val, i: int, element: str) -> Val:
    return f.offset(sums, f.mul(pitch, i), element) if i else sums


def _start(f: Function, rows: int, lanes: int, element: str, sums: Val, bias: Val, pitch: Val, fresh: Val) -> list[Val]:
    """The first sums: the bias, or what earlier tiles have left."""
    new, old, ready = (f.fresh_label(name) for name in ("new", "old", "ready"))
    f.branch(f.compare("ne", fresh, 0), new, old)
    f.label(new)
    biases = [f.splat(f.load(element, f.offset(bias, i, element)), lanes) for i in range(rows)]
    f.jump(ready)
    f.label(old)
    loaded = [
        f.load(vector(element, lanes), f.offset(_row(f, sums, pitch, i, element), lanes * v, element))
        for i in range(rows)
        for v in range(VECTORS)
    ]
    f.jump(ready)
    f.label(ready)
    return [f.phi(x.type, (biases[i // VECTORS], new), (x, old)) for i, x in enumerate(loaded)]
