"""Few rows times a matrix whose columns lie in memory as rows do, as with one example and a layer's transposed weight.

Every element of C is a dot product along k, with partial sums in the lanes of a vector. B is read once and as it lies;
transposing it first would take longer than the product.
"""

from __future__ import annotations

from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.fields import Fields, split_task
from flambeau._backends.cpu.kernel import Kernel
from flambeau._backends.cpu.matmul_epilogue import EPILOGUE, call_epilogue
from flambeau._backends.cpu.matmul_pack import batch_offsets
from flambeau._backends.cpu.target import Target

ROWS = 8  # of A, at most
ROWS_AT_ONCE = 7  # at most: eight are read faster as four twice, with two columns, than with one
COLUMNS = 8  # of B at once, at most

FIELDS = Fields("a_at b_at c_at bias_at m n k a_row b_n bias_row bias_n dims batch_at across column_blocks " + EPILOGUE)


def rows_at_once(m: int) -> int:
    """The rows of a kernel for m rows, shared out evenly."""
    return -(-m // -(-m // ROWS_AT_ONCE))


def columns_at_once(target: Target, rows: int) -> int:
    """As many as the registers hold sums for."""
    return max(1, min(COLUMNS, (target.registers - rows - 1) // rows))


def dot_kernel(element: str, rows: int) -> Kernel:
    return Kernel(generate_dots, (element, rows), ("dots",))


def generate_dots(target: Target, element: str, rows: int) -> str:
    """`dots`: with FIELDS, a task is a block of `across` columns of one matrix C (m, n), computed `rows` rows at a
    time. If they do not divide m, some are computed twice."""
    m = Module(target)
    zero = m.constant("zero", element, ["0.0"])
    f, args, lo, hi = m.entry("dots")
    w = dict(zip(FIELDS.names, FIELDS.read(f, args, " ".join(FIELDS.names)), strict=True))
    no_bias = f.compare("eq", w["bias_at"], Val("null", "ptr"))
    bases = w["a_at"], w["b_at"], f.select(no_bias, zero, w["bias_at"])
    with f.loop(lo, hi) as task:
        block, number = split_task(f, task.index, w["column_blocks"])
        moves = batch_offsets(f, w["batch_at"], w["dims"], number, (0, 1, 2))
        a, b, bias = (f.offset(base, move, element) for base, move in zip(bases, moves, strict=True))
        c = f.offset(w["c_at"], f.mul(f.mul(number, w["m"]), w["n"]), element)
        n_lo = f.mul(block, w["across"])
        n_hi = f.min(f.add(n_lo, w["across"]), w["n"])
        with f.loop(n_lo, n_hi, columns_at_once(target, rows)) as group, f.loop(0, w["m"], rows) as top:
            first = f.min(top.index, f.sub(w["m"], rows))
            _group(f, element, w, (a, b), (c, bias), [f.add(first, i) for i in range(rows)], group.index)
        call_epilogue(f, w, number, (f.int(0), w["m"]), (n_lo, n_hi))
    f.ret()
    f.close()
    return m.text()


def _group(
    f: Function, element: str, w: dict[str, Val], operands: tuple[Val, Val], results: tuple[Val, Val], rows: list[Val],
    first: Val,
) -> None:  # fmt: skip
    """Some rows of a few columns of C; beyond the last one it is computed again."""
    (a, b), lanes = operands, f.target.lanes(BYTES[element])
    type = vector(element, lanes)
    numbers = [f.min(f.add(first, j), f.sub(w["n"], 1)) for j in range(columns_at_once(f.target, len(rows)))]
    lefts = [f.offset(a, f.mul(w["a_row"], row), element) for row in rows]
    rights = [f.offset(b, f.mul(w["b_n"], number), element) for number in numbers]
    whole = f.binary("and", w["k"], -lanes)
    sums = [f.float(0.0, type)] * (len(rows) * len(rights))
    for lo, hi in ((f.int(0), whole), (whole, w["k"])):
        mask = f.mask_below(f.sub(w["k"], whole), lanes) if lo is whole else None
        with f.loop(lo, hi, lanes, sums) as k:

            def load(pointer: Val, k: Val = k.index, mask: Val | None = mask) -> Val:
                place = f.offset(pointer, k, element)
                return f.load(type, place) if mask is None else f.load_masked(type, place, mask)

            xs, ys = [load(p) for p in lefts], [load(p) for p in rights]
            pairs = [(x, y) for x in xs for y in ys]
            k.next = [f.fma(x, y, s) for (x, y), s in zip(pairs, k.carried, strict=True)]
        sums = k.results
    for number, total in enumerate(sums):
        i, j = divmod(number, len(rights))
        _store(f, element, w, results, rows[i], numbers[j], _sum(f, total))


def _sum(f: Function, x: Val) -> Val:
    """The sum of a vector's lanes."""
    while x.lanes > 1:
        half = x.lanes // 2
        low, high = f.shuffle(x, x, range(half)), f.shuffle(x, x, range(half, 2 * half))
        x = f.fadd(low, high)
    return f.extract(x, 0)


def _store(
    f: Function, element: str, w: dict[str, Val], results: tuple[Val, Val], row: Val, column: Val, total: Val
) -> None:
    c, bias = results
    place = f.offset(bias, f.add(f.mul(w["bias_row"], row), f.mul(w["bias_n"], column)), element)
    f.store(f.fadd(f.load(element, place), total), f.offset(c, f.add(f.mul(w["n"], row), column), element))
