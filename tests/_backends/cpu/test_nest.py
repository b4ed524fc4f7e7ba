"""Nests as native code against the loop IR run by NumPy."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest

from flambeau._backends.cpu.nest import lower
from flambeau._backends.cpu.host import host_target
from flambeau._backends.cpu.plan import run_step
from flambeau._compiler.loops import Expr, Loops, Nest, Operand

sys.path.insert(0, str(Path(__file__).parent))
from nest_interpreter import interpret, numpy_dtype  # noqa: E402

SIZES = (1, 2, 3, 5, 7, 8, 10, 16, 17, 31, 64, 100)


def operand(dtype, strides, written=False, gathered=False):
    return Operand(dtype, tuple([s if s in (0, 1) else None for s in strides]), written, gathered)


def contiguous(sizes):
    strides, step = [], 1
    for n in reversed(sizes):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


class Program:
    """A nest being put together, with arrays for its operands."""

    def __init__(self, parallel, reduced, seed):
        self.rng = random.Random(seed)
        self.sizes = (*parallel, *reduced)
        self.parallel, self.reduced = len(parallel), len(reduced)
        self.operands, self.strides, self.offsets, self.gathers, self.arrays, self.body = [], [], [], [], [], []

    def emit(self, op, args=(), dtype="float32", param=None):
        self.body.append(Expr(op, tuple(args), dtype, param))
        return len(self.body) - 1

    def memory(self, dtype, strides, written=False, gather=None, low=-3, high=3):
        numel = 1 + sum((n - 1) * s for n, s in zip(self.sizes, strides, strict=True) if n)
        numel = max(1, numel) + (0 if gather is None else gather[0] * (gather[1] - 1))
        rng = np.random.default_rng(self.rng.randrange(1 << 30))
        array = rng.uniform(low, high, numel + 2).astype(numpy_dtype(dtype))
        self.operands.append(operand(dtype, strides, written, gather is not None))
        self.strides.append(tuple(strides))
        self.offsets.append(self.rng.choice((0, 2)) if numel else 0)
        self.gathers.append(gather)
        self.arrays.append(array)
        return len(self.operands) - 1

    def load(self, dtype="float32", strides=None, **options):
        if strides is None:
            strides = contiguous(self.sizes)
        return self.emit("load", (), dtype, self.memory(dtype, strides, **options))

    def store(self, value, row=False):
        dtype = self.body[value].dtype
        parallel = self.sizes[: self.parallel]
        strides = (*contiguous(parallel), *[0] * self.reduced) if row else contiguous(self.sizes)
        return self.emit("store", (value,), dtype, self.memory(dtype, strides, written=True))

    def nest(self):
        loops = Loops(self.parallel, self.reduced, tuple(self.operands), (), tuple(self.body))
        return Nest(loops, self.sizes, tuple(self.strides), tuple(self.offsets), tuple(self.gathers))

    def check(self, rtol=2e-5, atol=1e-5):
        nest = self.nest()
        step = lower(host_target(), nest)
        expected = [a.copy() for a in self.arrays]
        interpret(nest, expected)
        assert run_step(step, self.arrays) == 0
        for o, got, want in zip(self.operands, self.arrays, expected, strict=True):
            if o.written:
                np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), rtol, atol)


def random_strides(rng, sizes):
    kind = rng.choice(("contiguous", "contiguous", "broadcast", "permuted", "spread"))
    if kind == "broadcast":
        return tuple([0 if rng.random() < 0.5 else s for s in contiguous(sizes)])
    if kind == "permuted":
        order = list(range(len(sizes)))
        rng.shuffle(order)
        strides, step = [0] * len(sizes), 1
        for d in order:
            strides[d] = step
            step *= max(1, sizes[d])
        return tuple(strides)
    return tuple([s * (2 if kind == "spread" else 1) for s in contiguous(sizes)])


@pytest.mark.parametrize("seed", range(60))
def test_random_maps(seed):
    rng = random.Random(seed)
    sizes = [rng.choice(SIZES) for _ in range(rng.randrange(4))]
    dtype = rng.choice(("float32", "float32", "float64", "int64", "int32", "uint8"))
    p = Program(sizes, (), seed)
    values = [p.load(dtype, random_strides(rng, sizes), low=0 if dtype == "uint8" else -3) for _ in range(3)]
    for _ in range(rng.randrange(1, 6)):
        op = rng.choice(("add", "sub", "mul", "maximum", "minimum"))
        values.append(p.emit(op, rng.sample(values, 2), dtype))
    condition = p.emit("lt", rng.sample(values, 2), "bool")
    values.append(p.emit("where", (condition, *rng.sample(values, 2)), dtype))
    p.store(values[-1])
    p.store(condition)
    p.store(p.emit("cast", (values[-1],), "float32"))
    p.check()


@pytest.mark.parametrize("seed", range(80))
def test_random_reductions(seed):
    rng = random.Random(1000 + seed)
    parallel = [rng.choice(SIZES) for _ in range(rng.randrange(3))]
    reduced = [rng.choice((*SIZES, 300)) for _ in range(rng.randrange(1, 3))]
    combiner = rng.choice(("sum", "max", "min", "prod", "sum", "argmax", "argmin", "any", "all"))
    if combiner.startswith("arg"):
        reduced = reduced[:1]
    dtype = rng.choice(("float32", "float64", "int64", "int32"))
    p = Program(parallel, reduced, seed)
    x = p.load(dtype, random_strides(rng, (*parallel, *reduced)), low=-1, high=1)
    y = p.load(dtype, random_strides(rng, (*parallel, *reduced)), low=-1, high=1)
    z = p.emit("add", (x, y), dtype)
    if combiner in ("any", "all"):
        z = p.emit("gt", (x, y), "bool")
    result = {"a": "int64"}.get(combiner[0]) if combiner.startswith("arg") else "bool" if combiner[:2] in ("an", "al") else dtype  # noqa: E501
    r = p.emit("reduce", (z,), result, combiner)
    p.store(r, row=True)
    if result == dtype:
        p.store(p.emit("sub", (x, r), dtype))
    p.check(1e-4, 1e-4)


@pytest.mark.parametrize("sizes", [((4,), (1000,)), ((5, 3), (17,)), ((100,), (10,)), ((3,), (7, 40)), ((7,), (1,))])
def test_softmax(sizes):
    p = Program(*sizes, seed=1)
    x = p.load()
    m = p.emit("reduce", (x,), "float32", "max")
    e = p.emit("exp", (p.emit("sub", (x, m)),))
    s = p.emit("reduce", (e,), "float32", "sum")
    p.store(p.emit("truediv", (e, s)))
    p.store(p.emit("log", (s,)), row=True)
    p.check()


@pytest.mark.parametrize("sizes", [((), (1_000_003,)), ((3,), (70_001,)), ((), (300, 400)), ((10,), (20_000,))])
@pytest.mark.parametrize("strided", [False, True])
def test_long_reductions_are_split(sizes, strided):
    p = Program(*sizes, seed=2)
    strides = None
    if strided and sizes[0]:  # rows lie one element apart: a sum of columns
        strides = (1, *[s * sizes[0][0] for s in contiguous(sizes[1])])
    x = p.load(strides=strides)
    total = p.emit("reduce", (p.emit("mul", (x, x)),), "float32", "sum")
    largest = p.emit("reduce", (x,), "float32", "max")
    p.store(p.emit("sqrt", (total,)), row=True)
    p.store(largest, row=True)
    assert len(lower(host_target(), p.nest()).launches) == 2
    p.check(1e-6)


@pytest.mark.parametrize("inner", [1, 4, 8, 100])
def test_gathers(inner):
    rng = np.random.default_rng(0)
    p = Program((50, inner), (), seed=3)
    index = p.load("int64", (1, 0))
    p.arrays[0][:] = rng.integers(0, 7, p.arrays[0].size)
    table = p.memory("float32", (0, 1), gather=(inner, 7))
    p.store(p.emit("load", (index,), "float32", table))
    p.check(0, 0)


def test_an_index_out_of_range_is_told():
    p = Program((20,), (), seed=3)
    index = p.load("int64")
    p.arrays[0][:] = 3
    p.store(p.emit("load", (index,), "float32", p.memory("float32", (0,), gather=(1, 4))))
    step = lower(host_target(), p.nest())
    assert run_step(step, p.arrays) == 0
    for wrong in (4, -1, 1 << 40):
        p.arrays[0][p.offsets[0] + 13] = wrong
        assert run_step(step, p.arrays) != 0


def test_positions():
    p = Program((6, 19), (), seed=4)
    row, column = p.emit("index", (), "int64", 0), p.emit("index", (), "int64", 1)
    p.store(p.emit("ge", (row, column), "bool"))
    p.store(p.emit("add", (row, column), "int64"))
    p.check(0, 0)


def test_nan_wins_extrema():
    for sizes, strides in ((((3,), (40,)), None), (((40,), (3,)), (1, 40))):
        p = Program(*sizes, seed=5)
        x = p.load(strides=strides)
        p.arrays[0][p.offsets[0] + 50] = np.nan
        for name, dtype in (("max", "float32"), ("argmax", "int64"), ("argmin", "int64")):
            p.store(p.emit("reduce", (x,), dtype, name), row=True)
        p.check(0, 0)
