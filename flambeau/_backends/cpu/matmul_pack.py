"""Copying pieces of A and B into the order in which tiles read them.

B is packed into panels [k][width], so that a step of k reads neighbours. Panels of A are copied, rows as rows and
columns as columns, into a buffer whose rows lie neither a page nor a power of two apart, which would collide in the
caches. (Goto & van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008.)
"""

from __future__ import annotations

from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.fields import Fields, split_task
from flambeau._backends.cpu.kernel import Kernel
from flambeau._backends.cpu.matmul_tile import ROWS
from flambeau._backends.cpu.target import Target

GROUP = 8  # panels of A that are copied at once, at most
AHEAD = 16  # columns from the one of A that is copied to the one that is sent for
PACK = (("b", "ptr"), ("b_k", "i64"), ("b_n", "i64"), ("k", "i64"), ("columns", "i64"), ("width", "i64"),
        ("to", "ptr"))  # fmt: skip
COPY = (("a", "ptr"), ("a_row", "i64"), ("a_k", "i64"), ("k", "i64"), ("m", "i64"), ("panels", "i64"), ("lo", "i64"),
        ("hi", "i64"), ("to", "ptr"))  # fmt: skip
PANELS = Fields("b_at to_at b_k b_n k n width panels dims batch_at pack_at")


def stretch_limit(element: str) -> int:
    """The most elements of k between two visits of C: panels of A and B of that length fit the first-level cache."""
    return 1024 // BYTES[element]


def row_pitch(element: str) -> int:
    """Elements between two rows of a copied panel of A: an odd number of cache lines that holds a stretch."""
    line = 64 // BYTES[element]
    return (-(-stretch_limit(element) // line) | 1) * line


def column_pitch(target: Target, element: str, rows: int) -> int:
    """Elements between two columns of a copied panel of A: the rows in whole vectors."""
    lanes = target.lanes(BYTES[element])
    return -(-rows // lanes) * lanes


def columns_group(rows: int) -> int:
    """Panels of so many rows that are copied at once where columns of A are contiguous: some cache lines of each."""
    return min(GROUP, 56 // rows)


def copied_elements(element: str) -> int:
    """The elements of a copied panel of A, at most, and a cache line between panels: all are written to in turns, and
    would have the same place in the first-level cache."""
    return max(ROWS * row_pitch(element), 16 * stretch_limit(element)) + 64 // BYTES[element]


def panel_shares(f: Function, m: Val, panels: Val) -> tuple[Val, Val]:
    """(the rows of a panel, how many panels have one more): rows are shared out evenly, so that no panel is tiny."""
    return f.udiv(m, panels), f.urem(m, panels)


def panel_rows(f: Function, shares: tuple[Val, Val], panel: Val) -> tuple[Val, Val]:
    """(the first row of a panel, its height)."""
    height, longer = shares
    first = f.add(f.mul(panel, height), f.min(panel, longer))
    return first, f.add(height, f.cast("zext", f.compare("slt", panel, longer), "i64"))


# ---------------------------------------------------------------------------------------------- A


def copy_rows_kernel(element: str) -> Kernel:
    return Kernel(generate_copy_rows, (element,), ("copy",))


def copy_columns_kernel(element: str, rows: int) -> Kernel:
    """For panels of so many rows."""
    return Kernel(generate_copy_columns, (element, rows), ("copy",))


def generate_copy_rows(target: Target, element: str) -> str:
    """`copy(...)` with COPY, for A with contiguous rows: k columns of panels lo..hi-1, one panel after the other, their
    rows `row_pitch` apart."""
    m = Module(target)
    f = m.function("copy", "void", COPY)
    _copy_rows(f, element)
    f.ret()
    f.close()
    return m.text()


def generate_copy_columns(target: Target, element: str, rows: int) -> str:
    """`copy(...)` with COPY, for A with contiguous columns: k columns of panels lo..hi-1, `columns_group` at most, one
    panel after the other, their columns `column_pitch` apart."""
    m = Module(target)
    f = m.function("copy", "void", COPY)
    _, _, _, _, m_, panels, lo, hi, _ = f.parameters
    pitch = column_pitch(target, element, rows)
    shares = panel_shares(f, m_, panels)
    firsts = [panel_rows(f, shares, f.min(f.add(lo, i), f.sub(hi, 1)))[0] for i in range(columns_group(rows))]
    inside = f.compare("sle", f.add(firsts[-1], pitch), m_)
    with f.when(inside):
        _copy_columns(f, element, firsts, pitch, masked=False)
    with f.when(f.binary("xor", inside, f.int(1, "i1"))):
        _copy_columns(f, element, firsts, pitch, masked=True)
    f.ret()
    f.close()
    return m.text()


def _copy_rows(f: Function, element: str) -> None:
    a, a_row, _, k, m, panels, lo, hi, to = f.parameters
    lanes = f.target.lanes(BYTES[element])
    whole = f.binary("and", k, -lanes)
    shares = panel_shares(f, m, panels)
    with f.loop(lo, hi) as panel:
        first, height = panel_rows(f, shares, panel.index)
        to_panel = f.offset(to, f.mul(f.sub(panel.index, lo), copied_elements(element)), element)
        with f.loop(0, height) as row:
            source = f.offset(a, f.mul(f.add(first, row.index), a_row), element)
            target = f.offset(to_panel, f.mul(row.index, row_pitch(element)), element)
            _copy(f, vector(element, lanes), source, target, f.int(0), whole, lanes)
            _copy(f, element, source, target, whole, k, 1)


def _copy_columns(f: Function, element: str, firsts: list[Val], pitch: int, masked: bool) -> None:
    """All panels of a column go before the next column, as they are neighbours; where there are fewer than `firsts`
    the last one is copied again. If `masked`, nothing beyond row m is read. Columns further on are sent for, as they
    lie where hardware does not foresee it."""
    a, _, a_k, k, m, _, lo, hi, to = f.parameters
    lanes = f.target.lanes(BYTES[element])
    type = vector(element, lanes)
    places = []
    for i, first in enumerate(firsts):
        number = f.min(f.int(i), f.sub(f.sub(hi, lo), 1))
        panel = f.offset(to, f.mul(number, copied_elements(element)), element)
        for lane in range(0, pitch, lanes):
            row = f.add(first, lane)
            mask = f.mask_below(f.sub(m, row), lanes) if masked else None
            places.append((f.offset(a, row, element), f.offset(panel, lane, element), mask))
    ahead = f.mul(a_k, AHEAD)
    with f.loop(0, k, 1, [f.int(0), f.int(0)], guard=False) as step:
        source, target = step.carried
        for begin, end, mask in places:
            place = f.offset(begin, source, element)
            f.prefetch(f.offset(place, ahead, element))
            value = f.load_masked(type, place, mask) if mask else f.load(type, place)
            f.store(value, f.offset(end, target, element))
        step.next = [f.add(source, a_k), f.add(target, pitch)]


def _copy(f: Function, type: str, source: Val, target: Val, lo: Val, hi: Val, step: int) -> None:
    element = Val("", type).element
    with f.loop(lo, hi, step) as i:
        f.store(f.load(type, f.offset(source, i.index, element)), f.offset(target, i.index, element))


# ---------------------------------------------------------------------------------------------- B


def pack_kernel(element: str, order: str, vectors: int) -> Kernel:
    """For panels of so many vectors; `order` says which elements of B are neighbours: those of its "rows", of its
    "columns", or not known ("any"). Only where rows are copied does the kernel depend on the width."""
    return Kernel(generate_pack, (element, order, vectors if order == "rows" else 0), ("pack",))


def panels_kernel(element: str) -> Kernel:
    return Kernel(generate_panels, (element,), ("panels",))


def generate_pack(target: Target, element: str, order: str, vectors: int) -> str:
    """`pack(...)` with PACK, to be called by other kernels: a panel [k][width]; what is beyond `columns` is of no
    account. `vectors` is 0 where any width will do."""
    m = Module(target)
    f = m.function("pack", "void", PACK)
    if order == "rows":
        _pack_rows(f, element, vectors * target.lanes(BYTES[element]))
    elif order == "columns":
        _pack_columns(f, element)
    else:
        _pack_elements(f, element)
    f.ret()
    f.close()
    return m.text()


def generate_panels(target: Target, element: str) -> str:
    """`panels`: with PANELS, one task is a panel of all of B [batch][panel][k][width]."""
    m = Module(target)
    f, args, lo, hi = m.entry("panels")
    b, to, b_k, b_n, k, n, width, panels, dims, batch, pack = PANELS.read(f, args, " ".join(PANELS.names))
    with f.loop(lo, hi) as task:
        panel, number = split_task(f, task.index, panels)
        (moved,) = batch_offsets(f, batch, dims, number, (1,))
        column = f.mul(panel, width)
        source = f.offset(f.offset(b, moved, element), f.mul(column, b_n), element)
        target_at = f.offset(to, f.mul(task.index, f.mul(k, width)), element)
        f.call_address(pack, [source, b_k, b_n, k, f.min(f.sub(n, column), width), width, target_at])
    f.ret()
    f.close()
    return m.text()


def batch_offsets(f: Function, batch: Val, dims: Val, number: Val, which: tuple[int, ...]) -> list[Val]:
    """How many elements matrix `number` lies from the first. `batch` has for each batch dimension, the innermost
    first, its size and the strides of A, B and bias; `which` of those are wanted."""
    start = [number, *[f.int(0)] * len(which)]
    with f.loop(0, dims, 1, start) as dim:
        rest, *sums = dim.carried
        at = f.offset(batch, f.mul(dim.index, 4), "i64")
        size = f.word(at, 0)
        position = f.urem(rest, size)
        moved = [f.add(s, f.mul(position, f.word(at, 1 + w))) for s, w in zip(sums, which, strict=True)]
        dim.next = [f.udiv(rest, size), *moved]
    return dim.results[1:]


def _pack_rows(f: Function, element: str, width: int) -> None:
    b, b_k, _, k, columns, _, to = f.parameters
    lanes = f.target.lanes(BYTES[element])
    type = vector(element, lanes)
    full = f.compare("eq", columns, width)
    with f.loop(0, f.select(full, k, f.int(0)), 1, [b, to]) as step:
        source, target = step.carried
        for lane in range(0, width, lanes):
            f.store(f.load(type, f.offset(source, lane, element)), f.offset(target, lane, element))
        step.next = [f.offset(source, b_k, element), f.offset(target, width, element)]
    whole = f.binary("and", columns, -lanes)
    with f.loop(f.select(full, k, f.int(0)), k) as step:
        source = f.offset(b, f.mul(step.index, b_k), element)
        target = f.offset(to, f.mul(step.index, width), element)
        _copy(f, type, source, target, f.int(0), whole, lanes)
        _copy(f, element, source, target, whole, columns, 1)


def _pack_columns(f: Function, element: str) -> None:
    """Squares of lanes x lanes elements, transposed in registers; beyond the last column it is repeated."""
    b, _, b_n, k, columns, width, to = f.parameters
    lanes = f.target.lanes(BYTES[element])
    type = vector(element, lanes)
    whole = f.binary("and", k, -lanes)
    with f.loop(0, columns, lanes) as column:
        places = [f.mul(b_n, f.min(f.add(column.index, i), f.sub(columns, 1))) for i in range(lanes)]
        with f.loop(0, whole, lanes, [b, f.offset(to, column.index, element)]) as step:
            source, target = step.carried
            square = transposed(f, [f.load(type, f.offset(source, p, element)) for p in places])
            for row in square:
                f.store(row, target)
                target = f.offset(target, width, element)
            step.next = [f.offset(source, lanes, element), target]
    _pack_some(f, element, (whole, k))


def _pack_elements(f: Function, element: str) -> None:
    _pack_some(f, element, (f.int(0), f.parameters[3]))


def _pack_some(f: Function, element: str, steps: tuple[Val, Val]) -> None:
    """A range of steps of a panel, element by element."""
    b, b_k, b_n, _, columns, width, to = f.parameters
    with f.loop(*steps) as step:
        source = f.offset(b, f.mul(step.index, b_k), element)
        target = f.offset(to, f.mul(step.index, width), element)
        with f.loop(0, columns) as column:
            value = f.load(element, f.offset(source, f.mul(column.index, b_n), element))
            f.store(value, f.offset(target, column.index, element))


def transposed(f: Function, rows: list[Val]) -> list[Val]:
    """A square of vectors transposed, by shuffles that are one instruction each where a register is 16-byte lanes side
    by side: first the squares inside those lanes, then whole lanes change places."""
    n = len(rows)
    inside = 16 // BYTES[rows[0].element]
    if inside == 2:
        rows = _exchanged(f, rows, 1)
    else:
        low = [j // 4 * 4 + j % 4 // 2 + n * (j % 2) for j in range(n)]
        high = [j + 2 for j in low]
        pairs = [(rows[i], rows[i + 1]) for i in range(0, n, 2)]
        rows = _exchanged(f, [f.shuffle(a, b, order) for a, b in pairs for order in (low, high)], 2)
        rows = [rows[i // 4 * 4 + (0, 2, 1, 3)[i % 4]] for i in range(n)]
    while inside < n:
        rows = _exchanged(f, rows, inside)
        inside *= 2
    return rows


def _exchanged(f: Function, rows: list[Val], size: int) -> list[Val]:
    """Blocks of `size` lanes beside the diagonal of blocks of twice that size change places."""
    n = len(rows)
    low = [n + j - size if j & size else j for j in range(n)]
    high = [n + j if j & size else j + size for j in range(n)]
    result = list(rows)
    for i in range(n):
        if not i & size:
            result[i] = f.shuffle(rows[i], rows[i + size], low)
            result[i + size] = f.shuffle(rows[i], rows[i + size], high)
    return result
