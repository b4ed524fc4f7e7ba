"""Nests as native code against the loop IR run by NumPy, on every target whose code can run here."""

from __future__ import annotations

import ctypes
import math
import random
import sys
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest

from flambeau._backends.cpu.driver import driver
from flambeau._backends.cpu.kernel import Address, Scalar, Scratch, Status
from flambeau._backends.cpu.nest_codegen import KEPT_ELEMENTS
from flambeau._backends.cpu.nest_lower import choose, epilogue, lower
from flambeau._backends.cpu.nest_structure import Structure
from flambeau._backends.cpu.objects import compile_text
from flambeau._backends.cpu.target import aarch64, x86_64
from flambeau._compiler.loops import Expr, Loops, Nest, Operand, known_strides

sys.path.insert(0, str(Path(__file__).parent))
from nest_interpreter import interpret, numpy_dtype  # noqa: E402

SIZES = (1, 2, 3, 4, 5, 7, 8, 10, 13, 16, 17, 31, 37, 64, 100)
NUMBERS = ("float32", "float32", "float64", "int64", "int32", "int16", "int8", "uint8")
UNTOUCHED = 2  # elements before and behind an operand that no kernel may write


def contiguous(sizes):
    strides, step = [], 1
    for n in reversed(sizes):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


class Program:
    """A nest being put together, with arrays for its operands."""

    def __init__(self, parallel, reduced=(), seed=0):
        self.rng = random.Random(seed)
        self.data = np.random.default_rng(seed)
        self.parallel, self.reduced = len(parallel), len(reduced)
        self.sizes = (*parallel, *reduced)
        self.operands, self.strides, self.offsets, self.gathers, self.arrays, self.body = [], [], [], [], [], []
        self.scalars, self.checked = [], True

    def emit(self, op, args=(), dtype="float32", param=None):
        self.body.append(Expr(op, tuple(args), dtype, param))
        return len(self.body) - 1

    def memory(self, dtype, strides, written=False, gather=None, sound=False, low=-3.0, high=3.0):
        """A new operand with random contents."""
        steps = [(n - 1) * s for n, s in zip(self.sizes, strides, strict=True)] if 0 not in self.sizes else []
        before = -sum(s for s in steps if s < 0)
        reach = sum(map(abs, steps))
        reach += gather[0] * (gather[1] - 1) if gather else 0
        low = 0 if dtype in ("uint8", "bool") else low
        array = self.data.uniform(low, high, reach + 1 + 2 * UNTOUCHED).astype(numpy_dtype(dtype))
        dense = gather is not None and gather[0] == 1
        self.operands.append(Operand(dtype, known_strides(strides), written, gather is not None, sound, dense))
        self.strides.append(tuple(strides))
        self.offsets.append(UNTOUCHED + before)
        self.gathers.append(gather)
        self.arrays.append(array)
        return len(self.operands) - 1

    def load(self, dtype="float32", strides=None, **options):
        return self.emit("load", (), dtype, self.memory(dtype, strides or contiguous(self.sizes), **options))

    def gather(self, dtype, index, strides, stride, size, sound=False):
        operand = self.memory(dtype, strides, gather=(stride, size), sound=sound)
        return self.emit("load", (index,), dtype, operand)

    def scalar(self, value, dtype="float32"):
        self.scalars.append(value)
        return self.emit("scalar", (), dtype, len(self.scalars) - 1)

    def reduce(self, combiner, value):
        dtype = "int64" if combiner.startswith("arg") else self.body[value].dtype
        return self.emit("reduce", (value,), dtype, combiner)

    def store(self, value, row=False, strides=None):
        dtype = self.body[value].dtype
        if strides is None:
            rows = (*contiguous(self.sizes[: self.parallel]), *[0] * self.reduced)
            strides = rows if row else contiguous(self.sizes)
        return self.emit("store", (value,), dtype, self.memory(dtype, strides, written=True))

    @property
    def nest(self):
        kinds = tuple(["float64" if isinstance(s, float) else "int64" for s in self.scalars])
        loops = Loops(self.parallel, self.reduced, tuple(self.operands), kinds, tuple(self.body))
        return Nest(loops, self.sizes, tuple(self.strides), tuple(self.offsets), tuple(self.gathers), self.checked)

    def check(self, target, rtol=2e-5, atol=2e-5, status=0, unwanted=()):
        """Compare with the interpreter, but for the contents of `unwanted` operands. Cut into other chunks, the last
        one first, the tasks give the same bits."""
        step = lower(target, self.nest)
        expected = [a.copy() for a in self.arrays]
        interpret(self.nest, expected, self.scalars)
        arrays, again = ([a.copy() for a in self.arrays] for _ in range(2))
        assert (run(step, arrays, self.scalars, target) != 0) == status
        assert (run(step, again, self.scalars, target, backwards=True) != 0) == status
        for i, (o, got, repeated, want) in enumerate(zip(self.operands, arrays, again, expected, strict=True)):
            assert got.tobytes() == repeated.tobytes()
            if i in unwanted:
                got[UNTOUCHED:-UNTOUCHED] = want[UNTOUCHED:-UNTOUCHED]
            if o.dtype in ("float32", "float64"):
                np.testing.assert_allclose(got, want, rtol, atol)
            else:
                np.testing.assert_array_equal(got.view(f"u{got.itemsize}"), want.view(f"u{got.itemsize}"))
        return step


def run(step, arrays, scalars, target, backwards=False):
    """Run the launches of a step; the status."""
    scratch = np.full(step.scratch // 8 + 16, np.nan)
    status = ctypes.c_int64(0)
    base = (scratch.ctypes.data + 63) & ~63
    bits = [np.float64(s).view(np.int64).item() if isinstance(s, float) else s for s in scalars]

    def word(w):
        if isinstance(w, Address):
            return arrays[w.operand].ctypes.data + w.offset
        if isinstance(w, Scratch):
            return base + w.offset
        if isinstance(w, Scalar):
            return bits[w.scalar]
        return ctypes.addressof(status) if isinstance(w, Status) else w

    for launch in step.launches:
        words = (ctypes.c_int64 * len(launch.words))(*map(word, launch.words))
        call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        entry = call(driver(target).address(launch.kernel, launch.entry))
        for lo in reversed(range(0, launch.tasks, max(1, launch.tasks // 5))) if backwards else (0,):
            hi = min(lo + max(1, launch.tasks // 5), launch.tasks) if backwards else launch.tasks
            entry(ctypes.addressof(words), lo, hi)
    return status.value


def some_strides(rng, sizes):
    kind = rng.choice(("contiguous", "contiguous", "broadcast", "permuted", "permuted", "spread"))
    if kind == "broadcast":
        return tuple([0 if rng.random() < 0.5 else s for s in contiguous(sizes)])
    if kind == "permuted":
        return permuted_strides(sizes, rng.sample(range(len(sizes)), len(sizes)))
    return tuple([s * (2 if kind == "spread" else 1) for s in contiguous(sizes)])


def permuted_strides(sizes, order):
    strides, step = [0] * len(sizes), 1
    for d in order:
        strides[d] = step
        step *= max(1, sizes[d])
    return tuple(strides)


def some_sizes(rng, least, most, sizes=SIZES):
    return [rng.choice(sizes) for _ in range(rng.randrange(least, most + 1))]


# ---------------------------------------------------------------------------------------------- maps


@pytest.mark.parametrize("seed", range(24))
def test_random_maps(seed, target):
    rng = random.Random(seed)
    sizes = some_sizes(rng, 0, 3)
    dtype = rng.choice(NUMBERS)
    p = Program(sizes, seed=seed)
    values = [p.load(dtype, some_strides(rng, sizes)) for _ in range(3)]
    for _ in range(rng.randrange(1, 6)):
        op = rng.choice(("add", "sub", "mul", "maximum", "minimum"))
        values.append(p.emit(op, rng.sample(values, 2), dtype))
    condition = p.emit("lt", rng.sample(values, 2), "bool")
    values.append(p.emit("where", (condition, *rng.sample(values, 2)), dtype))
    p.store(values[-1], strides=permuted_strides(sizes, rng.sample(range(len(sizes)), len(sizes))))
    p.store(condition)
    p.store(p.emit("cast", (values[-1],), rng.choice(("float32", "float64", "int64"))))
    p.check(target)


@pytest.mark.parametrize("sizes", [(0,), (3, 0), (0, 5), (5000,), (3, 4099), (1, 1, 1), (2, 3, 4, 5)])
def test_sizes_of_maps(sizes, target):
    p = Program(sizes)
    p.store(p.emit("add", (p.load(), p.emit("const", (), "float32", 1.5))))
    p.check(target, 0, 0)


@pytest.mark.parametrize("dtype", ["bool", "int8", "bfloat16", "int64", "float64"])
@pytest.mark.parametrize("strides", [(1, 53), (53 * 2, 2), (37, 1), (53, -1), (-53, 1), (-53, -1), (-53 * 2, -2)])
def test_copies_of_every_dtype(dtype, strides, target):
    p = Program((37, 53))
    p.store(p.load(dtype, strides))
    p.check(target)


@pytest.mark.parametrize("sizes", [(3, 5), (4, 100), (2, 1000)])
def test_rows_read_backwards(sizes, target):
    p = Program(sizes[:1], sizes[1:])
    x, y = p.load(strides=(sizes[1], -1)), p.load()
    p.store(p.reduce("sum", p.emit("mul", (x, y))), row=True)
    p.check(target)


@pytest.mark.parametrize("sizes", [(16, 16), (17, 33), (100, 7), (3, 40, 50), (2, 9, 3, 21)])
def test_transposed_operands_beside_others(sizes, target):
    n = len(sizes)
    p = Program(sizes)
    turned = permuted_strides(sizes, [n - 2, n - 1, *range(n - 3, -1, -1)])
    x, y = p.load(strides=turned), p.load()
    bias = p.load(strides=(*[0] * (n - 2), 1, 0))
    z = p.emit("mul", (p.emit("add", (x, y)), bias))
    p.store(z)
    p.store(p.emit("sub", (z, x)), strides=turned)
    p.store(p.emit("gt", (x, y), "bool"), strides=turned)
    p.check(target, 1e-6, 1e-6)


@pytest.mark.parametrize("sizes", [(1000,), (40, 50)])
@pytest.mark.parametrize("turned", [False, True])
def test_in_place(sizes, turned, target):
    strides = permuted_strides(sizes, range(len(sizes))) if turned else contiguous(sizes)
    p = Program(sizes)
    x, y = p.load(strides=strides), p.load()
    p.store(p.emit("add", (x, y)), strides=strides)
    p.store(p.emit("sub", (x, y)), strides=contiguous(sizes))
    step = lower(target, p.nest)
    a, b = p.arrays[0].copy(), p.arrays[1].copy()
    expected = [v.copy() for v in p.arrays]
    interpret(p.nest, expected)
    assert run(step, [a, b, a, b], (), target) == 0
    inside = slice(UNTOUCHED, -UNTOUCHED)
    np.testing.assert_array_equal(a[inside], expected[2][inside])
    np.testing.assert_array_equal(b[inside], expected[3][inside])


def test_two_operands_change_places(target):
    p = Program((100,))
    a, b = p.load(), p.load()
    p.store(b)
    p.store(a)
    x, y = p.arrays[0].copy(), p.arrays[1].copy()
    assert run(lower(target, p.nest), [x, y, x, y], (), target) == 0
    inside = slice(UNTOUCHED, -UNTOUCHED)
    np.testing.assert_array_equal(x[inside], p.arrays[1][inside])
    np.testing.assert_array_equal(y[inside], p.arrays[0][inside])


def test_positions_and_scalars(target):
    p = Program((6, 19))
    row, column = p.emit("index", (), "int64", 0), p.emit("index", (), "int64", 1)
    p.store(p.emit("ge", (row, column), "bool"))
    p.store(p.emit("add", (p.emit("mul", (row, column), "int64"), p.scalar(7, "int64")), "int64"))
    p.store(p.emit("mul", (p.emit("cast", (column,), "float32"), p.scalar(0.1))))
    p.store(p.emit("mul", (p.load("float64"), p.scalar(3, "float64")), "float64"))
    p.check(target, 0, 0)


@pytest.mark.parametrize("sizes", [(1000,), (3, 511), (2, 5, 257), (2, 256)])
@pytest.mark.parametrize("step", [1, -1, 2])
def test_costly_maps_of_long_lines(sizes, step, target):
    """Several registers are one vector until the rest of a line, with whatever a map may read."""
    p = Program(sizes)
    outer = len(sizes) - 1
    x = p.load(strides=[s * step for s in contiguous(sizes)])
    row = p.load(strides=(*contiguous(sizes[:-1]), 0))
    shifted = p.emit("add", (p.emit("mul", (p.emit("exp", (x,)), row)), p.scalar(0.5)))
    place = p.emit("cast", (p.emit("index", (), "int64", outer),), "float32")
    total = p.emit("add", (p.emit("tanh", (shifted,)), p.emit("sqrt", (place,))))
    picked = p.gather("float32", p.load("int64", low=0, high=30), (0,) * len(sizes), 1, 30)
    p.store(p.emit("add", (total, picked)))
    p.store(p.emit("gt", (x, row), "bool"))
    step = p.check(target)
    assert step.launches[0].kernel.params[1].width > 1


@pytest.mark.parametrize("sizes", [((5,), (1000,)), ((3,), (129,)), ((2,), (3, 200))])
def test_costly_rows(sizes, target):
    """Every reduction gets its vectors from the wide one, with their positions."""
    p = Program(*sizes)
    e = p.emit("exp", (p.load(),))
    p.store(p.reduce("sum", e), row=True)
    p.store(p.reduce("argmax", e), row=True)
    p.check(target)


# ---------------------------------------------------------------------------------------------- reductions


@pytest.mark.parametrize("seed", range(36))
def test_random_reductions(seed, target):
    rng = random.Random(1000 + seed)
    parallel = some_sizes(rng, 0, 2)
    reduced = some_sizes(rng, 1, 2, (*SIZES, 300))
    combiner = rng.choice(("sum", "sum", "max", "min", "prod", "argmax", "argmin", "any", "all"))
    dtype = rng.choice(NUMBERS)
    p = Program(parallel, reduced, seed)
    x, y = (p.load(dtype, some_strides(rng, p.sizes), low=-1.5, high=1.5) for _ in range(2))
    z = p.emit("gt" if combiner in ("any", "all") else "add", (x, y), "bool" if combiner in ("any", "all") else dtype)
    r = p.reduce(combiner, z)
    p.store(r, row=True)
    if p.body[r].dtype == dtype:
        p.store(p.emit("sub", (x, r), dtype))
    if rng.random() < 0.5:
        p.store(z)
    p.check(target, 1e-4, 1e-4)


@pytest.mark.parametrize("sizes", [((3,), (0,)), ((), (0,)), ((4,), (3, 0)), ((0,), (5,))])
@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8"])
def test_reductions_of_nothing(sizes, dtype, target):
    p = Program(*sizes)
    x = p.load(dtype)
    for combiner in ("sum", "prod", "max", "min"):
        p.store(p.reduce(combiner, x), row=True)
    p.store(p.reduce("all", p.emit("gt", (x, x), "bool")), row=True)
    p.store(p.emit("add", (x, p.reduce("sum", x)), dtype))
    p.check(target, 0, 0)


def emit_softmax(p, x):
    e = p.emit("exp", (p.emit("sub", (x, p.reduce("max", x))),))
    total = p.reduce("sum", e)
    p.store(p.emit("truediv", (e, total)))
    p.store(p.emit("log", (total,)), row=True)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    "sizes", [((4,), (1000,)), ((5, 3), (17,)), ((100,), (10,)), ((30,), (7, 40)), ((7,), (1,)), ((2,), (9000,))]
)
def test_softmax(sizes, turned, target):
    p = Program(*sizes, seed=1)
    strides = permuted_strides(p.sizes, range(len(p.sizes))) if turned else contiguous(p.sizes)
    emit_softmax(p, p.load(strides=strides))
    p.check(target)


def test_kept_values_of_columns_fit_their_buffer(target):
    lengths, kept = range(10, 2600, 31), 0
    for columns in (33, 64, 100):
        for length in lengths:
            p = Program((columns,), (length,))
            turned = permuted_strides(p.sizes, range(2))
            x = p.load(strides=turned)
            e = p.emit("exp", (p.emit("sub", (x, p.reduce("max", x))),))
            p.store(p.emit("truediv", (e, p.reduce("sum", e))), strides=turned)
            _, shape = choose(target, p.nest)
            assert shape.along == 0
            if shape.keeping:
                kept += 1
                assert length * shape.lanes * shape.width * len(Structure(p.nest.loops, True).kept) <= KEPT_ELEMENTS
    assert 0 < kept < 3 * len(lengths)


@pytest.mark.parametrize("length", [17, 40, 100])
def test_several_values_of_a_row_are_kept_for_later_passes(length, target):
    """Quotients are kept by a pass with several vectors side by side, exponentials by the next one."""
    p = Program((4,), (length,), seed=1)
    rows, columns = p.load(strides=(1, 0), low=1.0), p.load(strides=(0, 1), low=1.0)
    emit_softmax(p, p.emit("truediv", (rows, columns)))
    p.check(target)


@pytest.mark.parametrize("sizes", [((6,), (129,)), ((40,), (8,)), ((5,), (3, 50))])
def test_layer_norm(sizes, target):
    p = Program(*sizes, seed=2)
    n = math.prod(sizes[1])
    weight = (*[0] * len(sizes[0]), *contiguous(sizes[1]))
    x, w, b = p.load(), p.load(strides=weight), p.load(strides=weight)
    share = p.emit("const", (), "float32", 1.0 / n)
    centred = p.emit("sub", (x, p.emit("mul", (p.reduce("sum", x), share))))
    variance = p.emit("mul", (p.reduce("sum", p.emit("mul", (centred, centred))), share))
    scale = p.emit("rsqrt", (p.emit("add", (variance, p.emit("const", (), "float32", 1e-5))),))
    p.store(p.emit("add", (p.emit("mul", (p.emit("mul", (centred, scale)), w)), b)))
    p.store(scale, row=True)
    p.check(target)


@pytest.mark.parametrize("classes", [3, 10, 300])
def test_cross_entropy(classes, target):
    p = Program((20,), (classes,), seed=3)
    x = p.load()
    label = p.load("int64", (1, 0), low=0, high=classes)
    highest = p.reduce("max", x)
    total = p.reduce("sum", p.emit("exp", (p.emit("sub", (x, highest)),)))
    chosen = p.gather("float32", label, (classes, 0), 1, classes)
    loss = p.emit("sub", (p.emit("add", (p.emit("log", (total,)), highest)), chosen))
    p.store(loss, row=True)
    p.check(target)


@pytest.mark.parametrize("strides", [(40, 1), (1, 3)])
def test_nan_wins_extrema_and_the_first_of_equals(strides, target):
    p = Program((3,), (40,), seed=5)
    x = p.load(strides=strides)
    values = p.arrays[0]
    row = values[UNTOUCHED:-UNTOUCHED].reshape((3, 40) if strides[1] == 1 else (40, 3))
    rows = row if strides[1] == 1 else row.T
    rows[0], rows[1], rows[2] = 1.0, -np.inf, 0.0
    rows[0, [11, 30]] = 2.0
    rows[2, [7, 33]] = np.nan
    for name in ("max", "min", "argmax", "argmin"):
        p.store(p.reduce(name, x), row=True)
    p.check(target, 0, 0)
    arrays = [a.copy() for a in p.arrays]
    run(lower(target, p.nest), arrays, (), target)
    assert list(arrays[3][UNTOUCHED:-UNTOUCHED]) == [11, 0, 7]


# ---------------------------------------------------------------------------------------------- parts


@pytest.mark.parametrize("sizes", [((), (100_003,)), ((3,), (30_001,)), ((), (300, 400)), ((10,), (20_000,)),
                                   ((2,), (65_536,))])  # fmt: skip
@pytest.mark.parametrize("turned", [False, True])
def test_long_reductions_are_done_in_parts(sizes, turned, target):
    p = Program(*sizes, seed=6)
    strides = permuted_strides(p.sizes, range(len(p.sizes))) if turned else contiguous(p.sizes)
    x = p.load(strides=strides)
    weight = p.load(strides=(*[0] * (len(p.sizes) - 1), 1))
    total = p.reduce("sum", p.emit("mul", (p.emit("mul", (x, x)), weight)))
    p.store(p.emit("sub", (total, p.load(strides=(1,) * len(sizes[0]) + (0,) * len(sizes[1])))), row=True)
    p.store(p.reduce("max", x), row=True)
    p.store(p.reduce("any", p.emit("gt", (x, weight), "bool")), row=True)
    p.store(p.emit("neg", (x,)))
    step = p.check(target, 2e-6, 1e-3)
    assert len(step.launches) >= 2


@pytest.mark.parametrize("strides", [(50_021, 1), (1, 3)])
def test_positions_of_extrema_in_parts(strides, target):
    p = Program((3,), (50_021,), seed=7)
    x = p.load("int32", strides, low=-1000, high=1000)
    p.store(p.reduce("argmax", x), row=True)
    p.store(p.reduce("argmin", x), row=True)
    position = p.emit("index", (), "int64", 1)
    p.store(p.reduce("sum", p.emit("mul", (position, p.emit("cast", (x,), "int64")), "int64")), row=True)
    assert len(p.check(target, 0, 0).launches) >= 2


@pytest.mark.parametrize("rows", [(1,), (3,), (4,), (7,), (2, 3), (3, 9)])
@pytest.mark.parametrize("columns", [50, 128, 150, 200])
def test_columns_of_any_height(columns, rows, target):
    p = Program((columns,), rows, seed=14)
    down = [columns * n for n in contiguous(rows)]
    x = p.load(strides=(1, *down))
    p.store(p.reduce("sum", x), row=True)
    p.check(target)
    p.store(p.reduce("argmax", x), row=True)
    p.store(p.emit("neg", (x,)), strides=(1, *down))
    centred = p.emit("sub", (x, p.load(strides=(0, *contiguous(rows)))))
    p.store(p.reduce("sum", p.emit("exp", (centred,))), row=True)
    p.store(p.emit("mul", (centred, p.reduce("max", centred))), strides=(1, *down))
    p.check(target)


def test_columns_in_place(target):
    """A result may lie where a row of what is summed was."""
    p = Program((70,), (6,), seed=15)
    x = p.load(strides=(1, 70))
    p.store(p.emit("add", (x, p.reduce("sum", x))), strides=(1, 70))
    nest = p.nest
    expected = [a.copy() for a in p.arrays]
    interpret(nest, expected, ())
    shared = [p.arrays[0], p.arrays[0]]
    run(lower(target, nest), shared, (), target)
    np.testing.assert_allclose(shared[0][UNTOUCHED:-UNTOUCHED], expected[1][UNTOUCHED:-UNTOUCHED], 1e-6, 1e-6)


@pytest.mark.parametrize("low", [0.0, -1.0])
@pytest.mark.parametrize("sizes", [((), (10_000_019,)), ((16,), (60_000,)), ((2,), (100, 1000))])
@pytest.mark.parametrize("turned", [False, True])
def test_sums_of_floats_are_accurate(sizes, low, turned, target):
    p = Program(*sizes, seed=8)
    count, length = math.prod(sizes[0]), math.prod(sizes[1])
    down = (*contiguous(sizes[0]), *[count * n for n in contiguous(sizes[1])])
    p.store(p.reduce("sum", p.load(strides=down if turned else None, low=low, high=1.0)), row=True)
    run(lower(target, p.nest), p.arrays, (), target)
    rows = p.arrays[0][UNTOUCHED:-UNTOUCHED]
    rows = rows.reshape(length, count).T if turned else rows.reshape(count, length)
    for row, got in zip(rows, p.arrays[1][UNTOUCHED:-UNTOUCHED], strict=True):
        exact = math.fsum(row.tolist())
        assert abs(got - exact) < 2**-24 * (abs(exact) + math.sqrt(length))


# ---------------------------------------------------------------------------------------------- gathers


@pytest.mark.parametrize("inner", [1, 4, 8, 100])
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_rows_of_a_table(inner, dtype, target):
    p = Program((50, inner), seed=9)
    index = p.load("int64", (1, 0), low=0, high=7)
    p.store(p.gather(dtype, index, (0, 1), inner, 7))
    p.check(target, 0, 0)


@pytest.mark.parametrize("inner", [4, 100])
def test_two_rows_of_one_table(inner, target):
    p = Program((50, inner), seed=9)
    first, second = (p.load("int64", (1, 0), low=0, high=7) for _ in range(2))
    table = p.memory("float32", (0, 1), gather=(inner, 7))
    rows = [p.emit("load", (index,), "float32", table) for index in (first, second)]
    p.store(p.emit("sub", rows, "float32"))
    p.check(target, 0, 0)


@pytest.mark.parametrize("dtype", ["float32", "int64", "int8"])
def test_every_lane_looks_up_its_own(dtype, target):
    p = Program((9, 21), seed=10)
    index = p.load("int32", low=0, high=5)
    x = p.gather(dtype, p.emit("cast", (index,), "int64"), (21 * 5, 1), 21, 5)
    p.store(p.emit("add", (x, p.load(dtype)), dtype))
    p.check(target, 1e-6)


@pytest.mark.parametrize("sizes", [(20,), (3, 20)])
@pytest.mark.parametrize("wrong", [4, -1, 1 << 40])
def test_an_index_out_of_range_is_told_and_nothing_invalid_read(sizes, wrong, target):
    p = Program(sizes, seed=11)
    index = p.load("int64", low=0, high=4)
    p.store(p.gather("float32", index, (0,) * len(sizes), 1, 4))
    limit = p.emit("const", (), "int64", 4)
    p.store(p.emit("checked", (index, limit), "int64"))
    p.check(target, 0, 0)
    p.arrays[0][UNTOUCHED + 13] = wrong
    p.check(target, 0, 0, status=True, unwanted={2})


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "bool"])
def test_an_index_is_the_sum_of_a_row_s_place_a_checked_number_and_a_position(dtype, turned, target):
    p = Program((5, 150), seed=14)
    index = p.load("int64", (1, 5) if turned else (150, 1), low=0, high=40)
    place = p.emit("checked", (index, p.emit("const", (), "int64", 40)), "int64")
    row, column = (p.emit("index", (), "int64", d) for d in (0, 1))
    row = p.emit("mul", (row, p.emit("const", (), "int64", 200)), "int64")
    place = p.emit("add", (p.emit("add", (place, row), "int64"), column), "int64")
    p.store(p.gather(dtype, place, (0, 0), 1, 1000, sound=True))
    p.check(target, 0, 0)
    p.arrays[0][UNTOUCHED + 130] = 40
    p.check(target, 0, 0, status=True, unwanted={2})


@pytest.mark.parametrize("n", [5, 21])
def test_lanes_beyond_the_end_are_no_wrong_indices(n, target):
    p = Program((n,), seed=13)
    shifted = p.emit("sub", (p.load("int64", low=3, high=7), p.emit("const", (), "int64", 3)), "int64")
    p.store(p.gather("float32", shifted, (0,), 1, 4))
    p.check(target, 0, 0)


# ---------------------------------------------------------------------------------------------- steps


def test_an_epilogue_touches_its_block_only(target):
    p = Program((9, 50), seed=12)
    x, bias = p.load(), p.load(strides=(0, 1))
    p.store(p.emit("maximum", (p.emit("add", (x, bias)), p.emit("const", (), "float32", 0.0))))
    kernel, name, words = epilogue(target, p.nest)
    expected = [a.copy() for a in p.arrays]
    interpret(p.nest, expected)
    block = np.zeros((9, 50), bool)
    block[2:7, 5:41] = True
    result = p.arrays[2].copy()
    status = ctypes.c_int64(0)
    arrays = [p.arrays[0], p.arrays[1], result]
    filled = [
        arrays[w.operand].ctypes.data + w.offset if isinstance(w, Address)
        else ctypes.addressof(status) if isinstance(w, Status) else w
        for w in words
    ]  # fmt: skip
    memory = (ctypes.c_int64 * len(filled))(*filled)
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 4)
    call(driver(target).address(kernel, name))(ctypes.addressof(memory), 2, 7, 5, 41)
    inside = slice(UNTOUCHED, -UNTOUCHED)
    want = np.where(block, expected[2][inside].reshape(9, 50), p.arrays[2][inside].reshape(9, 50))
    np.testing.assert_array_equal(result[inside].reshape(9, 50), want)


def test_kernels_are_shared_by_all_sizes(target):
    def kernels(rows, columns):
        p = Program((rows,), (columns,))
        emit_softmax(p, p.load())
        return [launch.kernel for launch in lower(target, p.nest).launches]

    assert kernels(100, 200) == kernels(77, 1000)


def test_single_short_lines_share_a_kernel(target):
    def kernels(parallel, reduced):
        p = Program(parallel, reduced)
        emit_softmax(p, p.load()) if reduced else p.store(p.load())
        return [launch.kernel for launch in lower(target, p.nest).launches]

    assert all(kernels((), (n,)) == kernels((), (1,)) for n in range(2, 60))
    assert all(kernels((n,), ()) == kernels((1,), ()) for n in range(2, 60))


def test_little_work_is_one_chunk_and_much_work_many(target):
    def chunks(n):
        p = Program((n,))
        p.store(p.load())
        launch = lower(target, p.nest).launches[0]
        return -(-launch.tasks // launch.grain)

    assert chunks(10_000) == 1
    assert 10 <= chunks(1_000_000) <= 200


def test_what_has_no_code_is_refused(target):
    p = Program((5,))
    p.store(p.emit("no_such_primitive", (p.load(),)))
    assert lower(target, p.nest) is None


def test_text_compiles_for_other_machines():
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    p = Program((30,), (40,))
    emit_softmax(p, p.load(strides=(1, 30)))
    for other in (x86_64("v4"), aarch64()):
        for launch in lower(other, p.nest).launches:
            assert compile_text(launch.kernel.text(other), other)
