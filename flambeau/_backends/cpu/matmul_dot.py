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
ROWS_OF_LITTLE = 4  # at most where B stays in the first-level cache: more would gain little, each with its own kernel
LITTLE_BYTES = 40 << 10
COLUMNS = 8  # of B at once, at most

FIELDS = Fields("a_at b_at c_at bias_at m n k a_row b_n bias_row bias_n dims batch_at across column_blocks " + EPILOGUE)


def rows_at_once(m: int, b_bytes: int) -> int:
    """The rows of a kernel for m rows, shared out evenly, where B has so many bytes."""
    most = ROWS_OF_LITTLE if b_bytes <= LITTLE_BYTES else ROWS_AT_ONCE
    return -(-m // -(-m // most))


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
    sums = f.stack(element, rows * columns_at_once(target, rows) + target.lanes(BYTES[element]))
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
            totals = _group(f, element, w, (a, b), [f.add(first, i) for i in range(rows)], group.index)
            if rows == 1:
                _store_row(f, element, w, (c, bias), first, group.index, totals)
            else:
                _store(f, element, w, (c, bias), (first, rows), (group.index, n_hi), totals, sums)
        call_epilogue(f, w, number, (f.int(0), w["m"]), (n_lo, n_hi))
    f.ret()
    f.close()
    return m.text()


def _group(
    f: Function, element: str, w: dict[str, Val], operands: tuple[Val, Val], rows: list[Val], first: Val
) -> list[Val]:
    """Some rows of a few columns of the product, one after the other in vectors; beyond the last column it is computed
    again."""
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
    return [_totals(f, sums[begin : begin + lanes]) for begin in range(0, len(sums), lanes)]


def _totals(f: Function, vectors: list[Val]) -> Val:
    """The sums of the lanes of each vector, side by side. Each is added up by halves; what is left of two vectors is
    put into one, by shuffles that are one instruction where a register is 16-byte lanes side by side."""
    n, inside = vectors[0].lanes, 16 // BYTES[vectors[0].element]
    found = [(v, [i] * n) for i, v in enumerate(vectors)]  # a vector, and whose sum each of its lanes is a part of
    half = n // 2
    while half:
        block = n if half >= inside else inside
        low = [
            side + start + i
            for start in range(0, n, block)
            for side in (0, n)
            for i in range(block)
            if i % (2 * half) < half
        ]
        high = [i + half for i in low]
        pairs = [(found[i], found[min(i + 1, len(found) - 1)]) for i in range(0, len(found), 2)]
        found = [
            (f.fadd(f.shuffle(a, b, low), f.shuffle(a, b, high)), [(whose + others)[i] for i in low])
            for (a, whose), (b, others) in pairs
        ]
        half //= 2
    ((total, whose),) = found
    return f.shuffle(total, total, [whose.index(i) if i in whose else 0 for i in range(n)])


def _store(
    f: Function, element: str, w: dict[str, Val], results: tuple[Val, Val], rows: tuple[Val, int],
    columns: tuple[Val, Val], totals: list[Val], sums: Val,
) -> None:  # fmt: skip
    """Rows from the first on, so many, of the columns of a group that are before the end: bias and totals, by way of
    the memory `sums`."""
    (c, bias), (first, count), (column, end) = results, rows, columns
    for number, total in enumerate(totals):
        f.store(total, f.offset(sums, number * total.lanes, element))
    at_once = columns_at_once(f.target, count)
    last = f.min(f.sub(end, column), at_once)
    with f.loop(0, count) as i:
        row = f.add(first, i.index)
        to = f.offset(c, f.add(f.mul(w["n"], row), column), element)
        start = f.offset(bias, f.add(f.mul(w["bias_row"], row), f.mul(w["bias_n"], column)), element)
        source = f.offset(sums, f.mul(i.index, at_once), element)
        with f.loop(0, last) as j:
            before = f.load(element, f.offset(start, f.mul(w["bias_n"], j.index), element))
            total = f.load(element, f.offset(source, j.index, element))
            f.store(f.fadd(before, total), f.offset(to, j.index, element))


def _store_row(
    f: Function, element: str, w: dict[str, Val], results: tuple[Val, Val], row: Val, column: Val, totals: list[Val]
) -> None:
    """The same for a single row, which has no time for loops; beyond the last column that is stored again."""
    c, bias = results
    for j in range(columns_at_once(f.target, 1)):
        number = f.min(f.add(column, j), f.sub(w["n"], 1))
        before = f.load(element, f.offset(bias, f.add(f.mul(w["bias_row"], row), f.mul(w["bias_n"], number)), element))
        total = f.extract(totals[j // totals[0].lanes], j % totals[0].lanes)
        f.store(f.fadd(before, total), f.offset(c, f.add(f.mul(w["n"], row), number), element))
