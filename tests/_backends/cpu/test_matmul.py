"""Matrix products against float64, for every target that this machine can run."""

from __future__ import annotations

import ctypes
import mmap
import random
import sys

import numpy as np
import pytest

from flambeau._backends.cpu import matmul, matmul_blocks, matmul_pack, matmul_tile
from flambeau._backends.cpu.emit import Function, Module, Val
from flambeau._backends.cpu.host import host_target
from flambeau._backends.cpu.kernel import Address, Entry, Kernel, Launch, Step
from flambeau._backends.cpu.matmul_problem import problem
from flambeau._backends.cpu.plan import run_step
from flambeau._backends.cpu.target import Target, aarch64, x86_64
from flambeau._core import dtypes
from flambeau._ir.meta import Meta, contiguous, meta

SIZES = (1, 2, 3, 5, 6, 7, 8, 12, 13, 16, 17, 31, 32, 33, 64, 97)
LAYOUTS = ("rows", "columns", "wide", "any")
BIASES = ("row", "column", "one", "whole")


class Case:
    """A product of random numbers: operands, their metas, the result expected, and a bound for its error."""

    def __init__(self, seed: int, m: int, n: int, k: int, batch: tuple[int, ...] = (), d: dtypes.dtype = dtypes.float32,
                 layouts: tuple[str, str] = ("rows", "rows"), bias: str = "") -> None:  # fmt: skip
        self.random = np.random.default_rng(seed)
        self.dtype = d
        self.arrays: list[np.ndarray] = []
        self.metas: list[Meta] = []
        self.out = contiguous(d, (*batch, m, n))
        a, b = self.matrix((*batch, m, k), layouts[0]), self.matrix((*batch, k, n), layouts[1])
        if d.category < dtypes.FLOAT:
            self.expected, self.bound = np.matmul(a, b), np.zeros(())
        else:
            a, b = a.astype(np.float64), b.astype(np.float64)
            self.expected, self.bound = a @ b, np.finfo(d.numpy).eps * (k + 2) * (np.abs(a) @ np.abs(b) + 1)
        if bias:
            self.expected = self.expected + self.bias(bias)

    def numbers(self, count: int) -> np.ndarray:
        if self.dtype.category < dtypes.FLOAT:
            return self.random.integers(0, 100, count).astype(self.dtype.numpy)
        return self.random.uniform(-1, 1, count).astype(self.dtype.numpy)

    def operand(self, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> np.ndarray:
        m = meta(self.dtype, shape, strides, offset)
        flat = self.numbers(max(1, m.extent))
        self.arrays.append(flat)
        self.metas.append(m)
        return np.lib.stride_tricks.as_strided(flat[offset:], shape, [s * flat.itemsize for s in strides])

    def matrix(self, shape: tuple[int, ...], layout: str) -> np.ndarray:
        """A matrix whose rows are contiguous, whose columns are, whose rows lie apart, or with gaps everywhere;
        "shared" and "mixed" ones have batch dimensions of stride 0, all or every other one."""
        rows, columns = shape[-2:]
        pairs = {"columns": (1, rows), "wide": (columns + 5, 1), "any": (2 * columns + 1, 2)}
        strides = pairs.get(layout, (columns, 1))
        step = (rows + 1) * (2 * columns + 5) if layout in ("wide", "any") else rows * columns
        lead: list[int] = []
        for i, size in enumerate(reversed(shape[:-2])):
            broadcast = layout == "shared" or (layout == "mixed" and i % 2 == 0)
            lead.insert(0, 0 if broadcast else step)
            step *= 1 if broadcast else size
        return self.operand(shape, (*lead, *strides), int(self.random.integers(0, 4)))

    def bias(self, form: str) -> np.ndarray:
        *batch, m, n = self.out.shape
        strides = {"row": (0, 1), "column": (1, 0), "one": (0, 0), "whole": (n, 1)}[form]
        lead = contiguous(self.dtype, self.out.shape).strides[:-2] if form == "whole" else (0,) * len(batch)
        return self.operand(tuple(self.out.shape), (*lead, *strides), 1)

    def step(self, target: Target, epilogue: object = None):
        step = matmul.lower(target, (epilogue,), tuple(self.metas), (self.out,))
        assert step is not None
        return step

    def result(self) -> np.ndarray:
        """Memory for the result, with a margin that must stay as it is."""
        return np.full(self.out.numel + 8, 77, self.dtype.numpy)

    def check(self, result: np.ndarray) -> None:
        assert (result[self.out.numel :] == 77).all(), "written beyond the result"
        found = result[: self.out.numel].reshape(self.out.shape)
        assert (np.abs(found - self.expected) <= self.bound).all()


def random_case(seed: int) -> Case:
    rng = random.Random(seed)
    m, n, k = (rng.choice(SIZES) for _ in range(3))
    batch = rng.choice(((), (), (), (3,), (2, 3), (2, 1, 2, 2)))
    layouts = rng.choice(LAYOUTS), rng.choice(LAYOUTS)
    if batch and rng.random() < 0.5:
        layouts = rng.choice((layouts[0], "mixed")), rng.choice(("shared", "mixed"))
    d = rng.choice((dtypes.float32, dtypes.float32, dtypes.float64))
    return Case(seed, m, n, k, batch, d, layouts, rng.choice(("", "", *BIASES)))


@pytest.mark.parametrize("seed", range(60))
def test_random_products(run, target, seed):
    case = random_case(seed)
    result = case.result()
    run(case.step(target), [*case.arrays, result], target, one_by_one=seed % 3 == 0)
    case.check(result)


def check_on_this_machine(case: Case) -> None:
    """For products that nests compute, which have tests of their own."""
    result = case.result()
    assert run_step(case.step(host_target()), [*case.arrays, result]) == 0
    case.check(result)


@pytest.mark.parametrize("sizes", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (1, 1, 1), (1, 1, 700), (1, 50, 700), (50, 1, 700)])
@pytest.mark.parametrize("bias", ["", "row", "column"])
def test_sizes_that_are_no_matrices(sizes, bias):
    check_on_this_machine(Case(0, *sizes, bias=bias))


@pytest.mark.parametrize(
    "layouts", [("rows", "rows"), ("columns", "rows"), ("rows", "columns"), ("columns", "columns")]
)
@pytest.mark.parametrize("sizes", [(130, 75, 900), (400, 70, 401), (6, 200, 850), (3, 90, 450), (1, 2500, 300)])
def test_stretches_and_blocks(run, target, layouts, sizes):
    case = Case(1, *sizes, layouts=layouts, bias="row")
    result = case.result()
    run(case.step(target), [*case.arrays, result], target, one_by_one=True)
    case.check(result)


@pytest.mark.parametrize("bias", BIASES)
def test_a_batch_that_meets_one_b(run, target, bias):
    case = Case(8, 5, 9, 7, (3,), layouts=("rows", "shared"), bias=bias)
    result = case.result()
    run(case.step(target), [*case.arrays, result], target)
    case.check(result)


def before_a_guard(array: np.ndarray) -> np.ndarray:
    """A copy of the array that ends where memory does: reading beyond it ends the process."""
    page = mmap.PAGESIZE
    size = -(-array.nbytes // page) * page
    memory = mmap.mmap(-1, size + page)
    copy = np.frombuffer(memory, array.dtype, array.size, size - array.nbytes)
    copy[:] = array
    guard = np.frombuffer(memory, np.uint8).ctypes.data + size
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(page), 0) == 0
    return copy


@pytest.mark.skipif(sys.platform == "win32", reason="no mprotect")
@pytest.mark.parametrize(
    "layouts", [("rows", "rows"), ("columns", "rows"), ("rows", "columns"), ("columns", "columns")]
)
@pytest.mark.parametrize("sizes", [(33, 150, 61), (3, 41, 19), (1, 601, 13), (300, 130, 21), (13, 3, 5000)])
def test_nothing_is_read_beyond_the_operands(run, target, layouts, sizes):
    case = Case(9, *sizes, layouts=layouts, bias="row")
    result = case.result()
    run(case.step(target), [*[before_a_guard(x) for x in case.arrays], result], target)
    case.check(result)


@pytest.mark.skipif(sys.platform == "win32", reason="no mprotect")
@pytest.mark.parametrize("layouts", [("rows", "rows"), ("columns", "rows"), ("rows", "columns")])
@pytest.mark.parametrize("depth", [1, 1 << 20])
def test_what_is_far_is_sent_for_and_neither_that_nor_depth_changes_bits(run, target, monkeypatch, layouts, depth):
    case = Case(10, 300, 330, 900, layouts=layouts, bias="row")
    expected = case.result()
    run(case.step(target), [*case.arrays, expected], target)
    monkeypatch.setattr(matmul, "FAR_BYTES", 0)
    monkeypatch.setattr(matmul, "DEPTH_BYTES", depth)
    step = case.step(target)
    words = dict(zip(matmul_blocks.FIELDS.names, step.launches[-1].words, strict=True))
    assert (words["depth"] == words["stretch"]) == (depth == 1)
    assert (words["ahead_k"] == 0) == (words["copy_at"] == 0)
    result = case.result()
    run(step, [*[before_a_guard(x) for x in case.arrays], result], target, one_by_one=True)
    case.check(result)
    assert (result == expected).all()


def test_b_is_packed_a_part_of_k_at_a_time(run, target, monkeypatch):
    monkeypatch.setattr(matmul, "SHARED_BYTES", 400 << 10)
    for batch, layouts in (((), ("columns", "rows")), ((2,), ("rows", "columns")), ((2,), ("rows", "mixed"))):
        case = Case(2, 300, 96, 1300, batch, layouts=layouts, bias="row")
        step = case.step(target)
        assert [launch.entry for launch in step.launches][:4] == ["panels", "blocks", "panels", "blocks"]
        result = case.result()
        run(step, [*case.arrays, result], target)
        case.check(result)


@pytest.mark.parametrize("bias", ["", "row", "column", "whole"])
def test_parts_of_a_long_k_are_tasks(run, target, bias):
    case = Case(3, 10, 7, 40_000, layouts=("columns", "rows"), bias=bias)
    step = case.step(target)
    assert [launch.entry for launch in step.launches] == ["blocks", "sum"] and step.launches[0].tasks > 50
    result = case.result()
    run(step, [*case.arrays, result], target, one_by_one=True)
    case.check(result)


def test_few_rows_read_a_small_b_as_it_lies():
    """Where packing B would take longer than it saves, tasks pack none of its panels."""

    def packed(m: int, n: int, k: int) -> int:
        (launch,) = Case(0, m, n, k).step(x86_64("v3")).launches
        words = dict(zip(matmul_blocks.FIELDS.names, launch.words, strict=True))
        return words["columns"] - words["packed_from"]

    assert packed(64, 64, 128) == 0 and packed(128, 80, 100) == 0
    assert packed(64, 512, 784) == 32 and packed(36, 512, 784) == 0


@pytest.mark.parametrize("name", ["int64", "int32", "int16", "int8", "uint8"])
def test_integers_wrap_around(name):
    check_on_this_machine(Case(4, 5, 7, 11, (2,), getattr(dtypes, name), ("columns", "any"), "row"))


def test_infinities_and_nans_stay_in_their_rows_and_columns(run, target):
    case = Case(5, 20, 19, 33, layouts=("rows", "columns"))
    a, b = (x[m.offset :] for x, m in zip(case.arrays, case.metas, strict=True))
    a[3 * 33 + 32], b[18 * 33] = np.inf, np.nan
    result = case.result()
    run(case.step(target), [*case.arrays, result], target)
    found = result[: 20 * 19].reshape(20, 19)
    assert np.isinf(found[3, :18]).all() and np.isnan(found[:, 18]).all()
    assert np.isfinite(np.delete(found[:, :18], 3, 0)).all()


# ---------------------------------------------------------------------------------------------- the same bits


def bits(run, target: Target, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The product of two matrices that may be transposed views."""
    metas = [meta(dtypes.float32, x.shape, [s // 4 for s in x.strides]) for x in (a, b)]
    out = contiguous(dtypes.float32, (len(a), b.shape[1]))
    result = np.zeros(out.shape, np.float32)
    run(matmul.lower(target, (None,), tuple(metas), (out,)), [a, b, result], target)
    return result


@pytest.mark.parametrize("k", [20, 900, 14_000])
def test_an_element_does_not_depend_on_its_company(run, target, k):
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-1, 1, (200, k)).astype(np.float32), rng.uniform(-1, 1, (k, 90)).astype(np.float32)
    if k == 900:
        b = np.tile(b, 7)
    whole = bits(run, target, a, b)
    for rows, columns in ((7, 90), (1, 90), (1, 630), (200, 33), (64, 64), (14, 3), (5, 10)):
        assert (bits(run, target, a[:rows], b[:, :columns]) == whole[:rows, :columns]).all()
    assert (bits(run, target, np.asfortranarray(a), b) == whole).all()
    assert (bits(run, target, a, np.asfortranarray(b)) == whole).all()


def test_few_rows_with_columns_do_not_depend_on_each_other(run, target):
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-1, 1, (8, 700)).astype(np.float32), rng.uniform(-1, 1, (90, 700)).astype(np.float32).T
    whole = bits(run, target, a, b)
    for rows in range(1, 8):
        assert (bits(run, target, a[:rows], b) == whole[:rows]).all()


@pytest.mark.parametrize(
    "sizes", [(300, 500, 90, ()), (10, 10, 40_000, ()), (40, 40, 40, (30,)), (1, 3000, 300, ()), (1, 3000, 300, (2,))]
)
def test_threads_do_not_change_bits(sizes):
    *matrix, batch = sizes
    case = Case(6, *matrix, batch, layouts=("rows", "columns"))
    step = case.step(host_target())
    assert any(launch.tasks > launch.grain for launch in step.launches)
    alone = step._replace(launches=tuple([launch._replace(grain=launch.tasks) for launch in step.launches]))
    results = [case.result() for _ in range(2)]
    for s, result in zip((step, alone), results, strict=True):
        assert run_step(s, [*case.arrays, result]) == 0
        case.check(result)
    assert (results[0] == results[1]).all()


# ---------------------------------------------------------------------------------------------- the epilogue


def count_and_double(target: Target) -> str:
    """`finish(words, row_lo, row_hi, column_lo, column_hi)`: doubles a block of C and counts it. Words: C, the counts,
    the columns of C."""
    m = Module(target)
    names = ("row_lo", "row_hi", "column_lo", "column_hi")
    f = m.function("finish", "void", (("words", "ptr"), *[(name, "i64") for name in names]))
    words, row_lo, row_hi, column_lo, column_hi = f.parameters
    c, counts, n = f.word(words, 0, "ptr"), f.word(words, 1, "ptr"), f.word(words, 2)
    with f.loop(row_lo, row_hi) as row, f.loop(column_lo, column_hi) as column:
        place = f.add(f.mul(row.index, n), column.index)
        _update(f, f.offset(c, place, "float"), lambda x: f.fadd(x, x))
        _update(f, f.offset(counts, place, "float"), lambda x: f.fadd(x, f.float(1.0, "float")))
    f.ret()
    f.close()
    return m.text()


def _update(f: Function, place: Val, change) -> None:
    f.store(change(f.load("float", place)), place)


@pytest.mark.parametrize(
    "sizes",
    [
        (30, 70, 50, ()),
        (500, 75, 900, ()),
        (20, 20, 10, (3,)),
        (3, 40, 20, (2,)),
        (40, 1, 70, (2,)),
        (10, 7, 40_000, ()),
    ],
)
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_every_block_is_finished_once(run, target, sizes, layout):
    m, n, k, batch = sizes
    case = Case(7, m, n, k, batch, layouts=("rows", layout), bias="row")
    epilogue = (Kernel(count_and_double, (), ("finish",)), "finish", (Address(3), Address(4), n))
    result, counts = case.result(), np.zeros(case.out.numel, np.float32)
    run(case.step(target, epilogue), [*case.arrays, result, counts], target, one_by_one=True)
    assert (counts == 1).all()
    case.expected, case.bound = 2 * case.expected, 2 * case.bound
    case.check(result)


# ---------------------------------------------------------------------------------------------- the pieces


@pytest.mark.parametrize("target", [x86_64("v2"), x86_64("v3"), x86_64("v4"), aarch64()], ids=lambda t: t.cpu)
@pytest.mark.parametrize("element", ["float", "double"])
def test_tiles_fit_the_registers(target, element):
    for m in (*range(1, 40), 64, 128, 784):
        for n in (1, 3, 10, 16, 33, 500):
            tile = matmul_tile.choose(target, element, m, n)
            others = min(tile.rows, tile.vectors) + 1  # what stays beside the sums, and what comes and goes
            assert tile.rows * tile.vectors + others <= target.registers
            assert tile.rows <= matmul_tile.ROWS and tile.vectors <= matmul_tile.VECTORS
            panels = -(-m // tile.rows)
            assert -(-m // panels) == tile.rows  # panels share rows evenly: those of all differ by one at most


@pytest.mark.parametrize("target", [x86_64("v3"), x86_64("v4", "znver4"), aarch64()], ids=lambda t: t.cpu)
@pytest.mark.parametrize("sizes", [(784, 500), (500, 5), (1, 500), (2, 500), (3, 500), (5, 500), (7, 500)])
@pytest.mark.parametrize("far", [False, True])
def test_the_inner_loop_spills_nothing(assembly, target, sizes, far):
    tile = matmul_tile.choose(target, "float", *sizes)
    text = assembly(matmul_tile.tile_kernel("float", tile.rows, tile.vectors, False, far), target)
    multiplications = [i for i, line in enumerate(text.splitlines()) if "fmadd" in line or "fmla" in line]
    assert len(multiplications) == tile.rows * tile.vectors
    loop = text.splitlines()[multiplications[0] : multiplications[-1]]
    assert not any("sp)" in line or "[sp" in line for line in loop)


def test_squares_are_transposed(run, target):
    for element, d in (("float", np.float32), ("double", np.float64)):
        lanes = target.lanes(d().itemsize)
        k, n = 3 * lanes, 2 * lanes
        source, to = np.arange(n * k, dtype=d).reshape(n, k), np.zeros((k, n), d)
        words = matmul_pack.PANELS.words(
            b_at=Address(0), to_at=Address(1), b_k=1, b_n=k, k=k, n=n, width=n, panels=1, dims=0, batch_at=0,
            pack_at=Entry(matmul_pack.pack_kernel(element, "columns", 2), "pack"),
        )  # fmt: skip
        run(Step((Launch(matmul_pack.panels_kernel(element), "panels", words, 1, 1),)), [source, to], target)
        assert (to == source.T).all()


def test_needless_dimensions_go():
    f32 = dtypes.float32
    out = contiguous(f32, (2, 3, 20, 5))
    shared = problem([contiguous(f32, (2, 3, 20, 7)), meta(f32, (2, 3, 7, 5), (0, 0, 5, 1))], out)
    assert (shared.m, shared.batch) == (120, ())
    single = problem([contiguous(f32, (2, 3, 20, 7)), contiguous(f32, (2, 3, 7, 1))], contiguous(f32, (2, 3, 20, 1)))
    assert (single.m, single.n, single.flipped, single.batch) == (1, 20, True, ((6, 7, 140, 0),))
    sliced = problem([meta(f32, (4, 1, 7), (50, 9, 1)), meta(f32, (4, 7, 5), (0, 5, 1))], contiguous(f32, (4, 1, 5)))
    assert (sliced.m, sliced.a.row, sliced.batch) == (4, 50, ())


def test_random_shapes_share_kernels():
    """Sizes are no part of kernels: only the heights of tiles are."""
    kernels = set()
    for seed in range(200):
        rng = random.Random(seed)
        case = Case(seed, rng.randint(15, 300), rng.randint(33, 300), rng.randint(1, 300))
        for launch in case.step(x86_64("v4")).launches:
            kernels.add(launch.kernel)
            kernels.update(word.kernel for word in launch.words if hasattr(word, "kernel"))
    assert len(kernels) <= 3 + 3 * matmul_tile.ROWS
