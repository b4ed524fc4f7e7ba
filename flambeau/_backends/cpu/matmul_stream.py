"""One row times a matrix with contiguous rows: B goes by once, and several of its rows at a time as they lie in memory,
which hardware foresees; the sums stay in a buffer in the first-level cache.

Every sum adds up in the order in which tiles add, so the bits are theirs.
"""

from __future__ import annotations

from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.fields import Fields, split_task
from flambeau._backends.cpu.kernel import Kernel
from flambeau._backends.cpu.matmul_epilogue import EPILOGUE, call_epilogue
from flambeau._backends.cpu.matmul_pack import batch_offsets
from flambeau._backends.cpu.target import Target

ROWS = 8  # of B at a time
COLUMNS = 2048  # of a task, at most

FIELDS = Fields(
    "a_at b_at c_at bias_at m n k a_k b_k bias_n dims batch_at stretch across column_blocks " + EPILOGUE
)  # fmt: skip


def stream_kernel(element: str, bias: bool) -> Kernel:
    return Kernel(generate_stream, (element, bias), ("stream",))


def generate_stream(target: Target, element: str, bias: bool) -> str:
    """`stream`: with FIELDS, where m is 1, a task is a block of `across` columns of one matrix C (1, n)."""
    m = Module(target)
    f, args, lo, hi = m.entry("stream")
    sums = f.stack(element, COLUMNS)
    w = dict(zip(FIELDS.names, FIELDS.read(f, args, " ".join(FIELDS.names)), strict=True))
    with f.loop(lo, hi) as task:
        block, number = split_task(f, task.index, w["column_blocks"])
        moves = batch_offsets(f, w["batch_at"], w["dims"], number, (0, 1, 2))
        n_lo = f.mul(block, w["across"])
        n_hi = f.min(f.add(n_lo, w["across"]), w["n"])
        columns = f.sub(n_hi, n_lo)
        a = f.offset(w["a_at"], moves[0], element)
        b = f.offset(w["b_at"], f.add(moves[1], n_lo), element)
        c = f.offset(w["c_at"], f.add(f.mul(number, w["n"]), n_lo), element)
        _begin(f, element, c, columns, (w["bias_at"], f.add(moves[2], f.mul(n_lo, w["bias_n"])), w["bias_n"]), bias)
        with f.loop(0, w["k"], w["stretch"]) as along:
            end = f.min(f.add(along.index, w["stretch"]), w["k"])
            _each(f, element, columns, lambda type, at: f.store(f.float(0.0, type), f.offset(sums, at, element)))
            whole = f.add(along.index, f.binary("and", f.sub(end, along.index), -ROWS))
            for k_lo, k_hi, rows in ((along.index, whole, ROWS), (whole, end, 1)):
                with f.loop(k_lo, k_hi, rows) as k:
                    _add_rows(f, element, w, (a, b), k.index, rows, sums, columns)
            _each(f, element, columns, lambda type, at: _add(f, element, type, f.offset(c, at, element), sums, at))
        call_epilogue(f, w, number, (f.int(0), f.int(1)), (n_lo, n_hi))
    f.ret()
    f.close()
    return m.text()


def _each(f: Function, element: str, columns: Val, body) -> None:
    """`body(type, column)` for all columns, whole vectors first."""
    lanes = f.target.lanes(BYTES[element])
    whole = f.binary("and", columns, -lanes)
    for type, lo, hi, step in ((vector(element, lanes), f.int(0), whole, lanes), (element, whole, columns, 1)):
        with f.loop(lo, hi, step) as column:
            body(type, column.index)


def _begin(f: Function, element: str, c: Val, columns: Val, bias: tuple[Val, Val, Val], given: bool) -> None:
    """C before anything is added."""
    base, offset, step = bias
    if given:
        with f.loop(0, columns) as column:
            value = f.load(element, f.offset(base, f.add(offset, f.mul(column.index, step)), element))
            f.store(value, f.offset(c, column.index, element))
    else:
        _each(f, element, columns, lambda type, at: f.store(f.float(0.0, type), f.offset(c, at, element)))


def _add_rows(
    f: Function, element: str, w: dict[str, Val], operands: tuple[Val, Val], k: Val, rows: int, sums: Val, columns: Val
) -> None:
    """The products with some rows of B, from number k on."""
    a, b = operands
    factors = [f.load(element, f.offset(a, f.mul(f.add(k, i), w["a_k"]), element)) for i in range(rows)]
    wide = [f.splat(x, f.target.lanes(BYTES[element])) for x in factors]
    places = [f.offset(b, f.mul(f.add(k, i), w["b_k"]), element) for i in range(rows)]
    ahead = f.mul(w["b_k"], rows)

    def body(type: str, at: Val) -> None:
        place = f.offset(sums, at, element)
        total = f.load(type, place)
        for x, row in zip(factors if type == element else wide, places, strict=True):
            if type != element:
                f.prefetch(f.offset(row, f.add(at, ahead), element))
            total = f.fma(x, f.load(type, f.offset(row, at, element)), total)
        f.store(total, place)

    _each(f, element, columns, body)


def _add(f: Function, element: str, type: str, place: Val, sums: Val, at: Val) -> None:
    f.store(f.fadd(f.load(type, place), f.load(type, f.offset(sums, at, element))), place)
