"""The innermost piece of a matrix product: a tile of C that stays in registers while the products along k are added.

A tile has as many rows as there are registers for and is a few vectors wide: each step of k multiplies vectors of B by
one element of every row of A. Both strides of A arrive at run time, so the same code reads rows, columns and packed
panels. Every tile is a kernel of its own, made when a product needs it.
"""

from __future__ import annotations

from typing import NamedTuple

from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.kernel import Kernel
from flambeau._backends.cpu.target import Target
from flambeau._ir.symbols import told

ROWS = 14  # at most
VECTORS = 8  # at most, for tiles of few rows
REACH = 4  # rows that are addressed from one pointer
LINE = 64  # bytes of a cache line

PARAMETERS = (("a", "ptr"), ("a_row", "i64"), ("a_k", "i64"), ("b", "ptr"), ("b_k", "i64"), ("c", "ptr"),
              ("c_row", "i64"), ("start", "ptr"), ("start_row", "i64"), ("k", "i64"), ("last", "i64"),
              ("columns", "i64"), ("ahead", "ptr"), ("ahead_k", "i64"))  # fmt: skip


class Tile(NamedTuple):
    """`rows` x `vectors` vectors of `lanes` elements."""

    rows: int
    vectors: int
    lanes: int

    @property
    def width(self) -> int:
        return self.vectors * self.lanes


def stores_masked(target: Target) -> bool:
    """Is a store of some lanes as cheap as one of all? (AVX2 has the instruction, but it is slow on many machines.)"""
    return target.masks and target.registers >= 32


def choose(target: Target, element: str, m: int, n: int) -> Tile:
    """The tile for C (m, n): two vectors wide, or one if that holds n, or more if m leaves registers for them. Rows are
    shared out so that as little as possible is computed beyond m."""
    lanes = target.lanes(BYTES[element])
    tall, vectors = _shape(target)
    sums = tall * vectors
    if n <= lanes:
        tall, vectors = min(ROWS, sums), 1
    elif m < tall:
        while 2 * vectors <= VECTORS and _fits(target, m, 2 * vectors, sums) and vectors * lanes < n:
            vectors *= 2
    if m <= tall:
        return Tile(m, vectors, lanes)
    return Tile(told(_height, m, tall), vectors, lanes)


def _fits(target: Target, rows: int, vectors: int, sums: int) -> bool:
    """Do registers hold the sums, and of a step of k a row's elements or the vectors, and one of the others?"""
    return rows * vectors <= sums and rows * vectors + min(rows, vectors) + 1 <= target.registers


def _height(m: int, tall: int) -> int:
    """The rows of a tile, at most `tall`, with which the fewest are computed for m. A tile costs its rows and about one
    more for loading and storing."""
    heights = range(max(1, tall // 2), tall + 1)
    height = min(heights, key=lambda h: (-(-m // h) * (h + 1), -h))
    return -(-m // -(-m // height))


def _shape(target: Target) -> tuple[int, int]:
    """(rows, vectors) for which the sums, the vectors of B and an element of A fill the registers."""
    if target.registers >= 32:
        return (ROWS, 2) if target.vector_bytes > 16 else (8, 3)
    return (6, 2) if target.fma else (4, 2)  # without FMA a product needs a register too


def tile_kernel(element: str, rows: int, vectors: int, masked: bool, far: bool = False) -> Kernel:
    """`far`: what comes later is in no cache."""
    return Kernel(generate_tile, (element, rows, vectors, masked, far), ("tile",))


def generate_tile(target: Target, element: str, rows: int, vectors: int, masked: bool, far: bool) -> str:
    """`tile(...)` with PARAMETERS: c (rows, width) = start (rows, width) + a (rows, k) @ b (k, width).

    `last` is the number of the last row; it is rows - 1, or rows - 2: then the last two rows are the same one. If
    `masked`, only `columns` columns of start and c are touched. start may be c. If `far`, c is sent for, and with
    each step another address, `ahead` and then `ahead_k` further each time.
    """
    m = Module(target)
    f = m.function("tile", "void", PARAMETERS)
    a, a_row, a_k, b, b_k, c, c_row, start, start_row, k, last, columns, ahead, ahead_k = f.parameters
    lanes = target.lanes(BYTES[element])
    type = vector(element, lanes)
    masks = [f.mask_below(f.sub(columns, v * lanes), lanes) for v in range(vectors)] if masked else []
    distances = [f.mul(a_row, i) for i in range(REACH)]
    pointers = [f.offset(a, f.mul(a_row, i), element) for i in range(0, rows - 1, REACH)]
    pointers.append(f.offset(a, f.mul(a_row, last), element))

    def place(at: list[Val], i: int) -> Val:
        """The address of row i's element."""
        if i == rows - 1:
            return at[-1]
        return f.offset(at[i // REACH], distances[i % REACH], element) if i % REACH else at[i // REACH]

    if far:
        _send_for(f, c, c_row, last, rows, vectors * lanes, element)
    zeros = [f.float(0.0, type)] * (rows * vectors)
    later = [ahead] if far else []
    with f.loop(0, k, 1, [*zeros, *pointers, b, *later], guard=False) as step:
        sums, (*at, b_at) = step.carried[: len(zeros)], step.carried[len(zeros) : len(step.carried) - far]
        following = _multiplied(f, sums, [place(at, i) for i in range(rows)], b_at, type)
        step.next = [*following, *[f.offset(p, a_k, element) for p in at], f.offset(b_at, b_k, element)]
        for p in step.carried[len(step.next) :]:
            f.prefetch(p)
            step.next.append(f.offset(p, ahead_k, element))
    _finish(f, step.results[: len(zeros)], (start, start_row), (c, c_row), last, masks, vectors)
    f.ret()
    f.close()
    return m.text()


def _send_for(f: Function, c: Val, c_row: Val, last: Val, rows: int, width: int, element: str) -> None:
    """Have the lines of C come while products are added up, or all would be waited for in the end."""
    for i in range(rows):
        row = f.offset(c, f.mul(c_row, last if i == rows - 1 else i), element)
        for v in range(0, width, LINE // BYTES[element]):
            f.prefetch(f.offset(row, v, element), 1)


def _multiplied(f: Function, sums: list[Val], rows: list[Val], b: Val, type: str) -> list[Val]:
    """The sums after one more step of k. The elements of A or the vectors of B, whichever are fewer, stay in registers
    while the others come and go."""
    vectors, lanes = len(sums) // len(rows), sums[0].lanes
    result = list(sums)

    def left(i: int) -> Val:
        return f.splat(f.load(sums[0].element, rows[i]), lanes)

    def right(v: int) -> Val:
        return f.load(type, f.offset(b, v * lanes, sums[0].element))

    if len(rows) < vectors:
        xs = [left(i) for i in range(len(rows))]
        for v in range(vectors):
            y = right(v)
            for i, x in enumerate(xs):
                result[i * vectors + v] = f.fma(x, y, result[i * vectors + v])
    else:
        ys = [right(v) for v in range(vectors)]
        for i in range(len(rows)):
            x = left(i)
            for v, y in enumerate(ys):
                result[i * vectors + v] = f.fma(x, y, result[i * vectors + v])
    return result


def _finish(
    f: Function, sums: list[Val], start: tuple[Val, Val], c: tuple[Val, Val], last: Val, masks: list[Val], vectors: int
) -> None:
    """C = start + sums. All is read before anything is written, as a row may occur twice."""
    type, rows = sums[0].type, len(sums) // vectors

    def place(base: Val, row_stride: Val, number: int) -> Val:
        i, v = divmod(number, vectors)
        row = f.offset(base, f.mul(row_stride, last if i == rows - 1 else i), sums[0].element)
        return f.offset(row, v * sums[0].lanes, sums[0].element)

    results = []
    for number, x in enumerate(sums):
        address = place(*start, number)
        before = f.load_masked(type, address, masks[number % vectors]) if masks else f.load(type, address)
        results.append(f.fadd(before, x))
    for number, x in enumerate(results):
        if masks:
            f.store_masked(x, place(*c, number), masks[number % vectors])
        else:
            f.store(x, place(*c, number))
