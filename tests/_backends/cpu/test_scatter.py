"""Scatters and sums of slices against loops in NumPy."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from flambeau._backends.cpu import scatter
from flambeau._backends.cpu.host import host_target
from flambeau._core import dtypes
from flambeau._ir.meta import contiguous, meta

sys.path.insert(0, str(Path(__file__).parent))
from steps import LAYOUTS, laid_out, name_of, result, run, targets  # noqa: E402

DTYPES = (np.float32, np.float64, np.int64, np.int32, np.int8, np.uint8)
SIZES = (1, 2, 3, 7, 16, 33)


def numbers(rng, shape, dtype):
    if np.dtype(dtype).kind == "f":
        return rng.uniform(-1, 1, shape).astype(dtype)
    return rng.integers(0, 50, shape).astype(dtype)


def expected(base, dim, index, source, alpha):
    """As loops say it, in float64 where numbers are added."""
    wide = np.float64 if base.dtype.kind == "f" and alpha is not None else base.dtype
    out = base.astype(wide)
    for place in np.ndindex(*index.shape):
        target = (*place[:dim], index[place], *place[dim + 1 :])
        if alpha is None:
            out[target] = source[place]
        else:
            out[target] += wide(alpha) * source[place] if wide is np.float64 else base.dtype.type(alpha) * source[place]
    return out


def check(found, wanted, count):
    if found.dtype.kind == "f":
        np.testing.assert_allclose(found, wanted, 0, np.finfo(found.dtype).eps * 2 * (count + 1))
    else:
        np.testing.assert_array_equal(found, wanted)


def random_shapes(rng):
    shape = [int(rng.choice(SIZES)) for _ in range(rng.integers(1, 4))]
    dim = int(rng.integers(len(shape)))
    part = [n if rng.random() < 0.6 else int(rng.integers(1, n + 1)) for n in shape]
    part[dim] = int(rng.choice((1, 5, 40)))
    return shape, dim, part


@pytest.mark.parametrize("target", targets(), ids=name_of)
@pytest.mark.parametrize("seed", range(12))
def test_scatter(seed, target):
    rng = np.random.default_rng(seed)
    shape, dim, part = random_shapes(rng)
    for lower, alpha in ((scatter.lower_scatter, None), (scatter.lower_scatter_add, 1)):
        with np.errstate(over="ignore"):
            dtype = DTYPES[rng.integers(len(DTYPES))]
            base, source = numbers(rng, shape, dtype), numbers(rng, part, dtype)
            index = rng.integers(0, shape[dim], part).astype(rng.choice((np.int64, np.int32)))
            operands = [laid_out(rng, x, rng.choice(LAYOUTS)) for x in (base, index, source)]
            out = contiguous(operands[0][1].dtype, shape)
            step = lower(target, (dim,), tuple([m for _, m in operands]), (out,))
            found = result(out)
            assert run(step, [*[a for a, _ in operands], found], target, seed % 2 == 1) == 0
            check(found, expected(base, dim, index, source, alpha), part[dim])


@pytest.mark.parametrize("target", targets(), ids=name_of)
@pytest.mark.parametrize("combiner", ["prod", "amax", "amin"])
def test_scatter_reduce(combiner, target):
    combine = {"prod": np.multiply, "amax": np.maximum, "amin": np.minimum}[combiner]
    for seed in range(8):
        rng = np.random.default_rng(seed)
        shape, dim, part = random_shapes(rng)
        dtype = DTYPES[seed % len(DTYPES)]
        base, source = numbers(rng, shape, dtype), numbers(rng, part, dtype)
        if base.dtype.kind == "f":
            source.flat[:: max(2, source.size // 3)] = np.nan
        index = rng.integers(0, shape[dim], part)
        operands = [laid_out(rng, x, rng.choice(LAYOUTS)) for x in (base, index, source)]
        out = contiguous(operands[0][1].dtype, shape)
        step = scatter.lower_scatter_reduce(target, (dim, combiner), tuple([m for _, m in operands]), (out,))
        found, wanted = result(out), base.copy()
        assert run(step, [*[a for a, _ in operands], found], target, seed % 2 == 1) == 0
        places = list(np.indices(part))
        places[dim] = index
        with np.errstate(over="ignore", invalid="ignore"):
            combine.at(wanted, tuple(places), source)
        check(found, wanted, part[dim])


@pytest.mark.parametrize("target", targets(), ids=name_of)
@pytest.mark.parametrize("seed", range(12))
def test_index_add(seed, target):
    rng = np.random.default_rng(100 + seed)
    shape, dim, _ = random_shapes(rng)
    count = int(rng.choice((1, 6, 50)))
    given = [count if d == dim else n for d, n in enumerate(shape)]
    dtype = DTYPES[rng.integers(len(DTYPES))]
    alpha = 1 if seed % 3 == 0 else 3 if np.dtype(dtype).kind != "f" else -0.75
    base, source = numbers(rng, shape, dtype), numbers(rng, given, dtype)
    index = rng.integers(0, shape[dim], count)
    operands = [laid_out(rng, x, rng.choice(LAYOUTS)) for x in (base, index, source)]
    out = contiguous(operands[0][1].dtype, shape)
    step = scatter.lower_index_add(target, (dim, alpha), tuple([m for _, m in operands]), (out,))
    found = result(out)
    assert run(step, [*[a for a, _ in operands], found], target, seed % 2 == 1) == 0
    spread = np.broadcast_to(index.reshape([-1 if d == dim else 1 for d in range(len(shape))]), given)
    with np.errstate(over="ignore"):
        check(found, expected(base, dim, spread, source, alpha), count)


@pytest.mark.parametrize("source_stride", [0, 1])
def test_slices_written(source_stride):
    """An index that is the same for all elements of a slice, and a source that may be as well."""
    rng = np.random.default_rng(0)
    base, index = numbers(rng, (20, 50), np.float32), rng.integers(0, 20, 9)
    source = numbers(rng, (9, 50), np.float32)
    metas = (
        contiguous(dtypes.float32, (20, 50)), meta(dtypes.int64, (9, 50), (1, 0)),
        meta(dtypes.float32, (9, 50), (50, source_stride)),
    )  # fmt: skip
    out = contiguous(dtypes.float32, (20, 50))
    found = result(out)
    target = host_target()
    assert run(scatter.lower_scatter(target, (0,), metas, (out,)), [base, index, source, found], target) == 0
    wanted = base.copy()
    for i, row in zip(index, source, strict=True):
        wanted[i] = row if source_stride else row[0]
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("bad", [-1, 5, 2**40])
@pytest.mark.parametrize("dim", [0, 1])
def test_an_index_out_of_range_is_told_and_not_followed(bad, dim):
    target = host_target()
    base, index, source = np.zeros((5, 5), np.float32), np.ones((5, 5), np.int64), np.ones((5, 5), np.float32)
    index[3, 2] = bad
    m, places = contiguous(dtypes.float32, (5, 5)), contiguous(dtypes.int64, (5, 5))
    for lower in (scatter.lower_scatter, scatter.lower_scatter_add):
        assert run(lower(target, (dim,), (m, places, m), (m,)), [base, index, source, result(m)], target) == 1
    step = scatter.lower_index_add(target, (dim, 1), (m, contiguous(dtypes.int64, (5,)), m), (m,))
    assert run(step, [base, index[3].copy(), source, result(m)], target) == 1


@pytest.mark.parametrize("bad", range(11))
def test_each_of_several_indices_is_checked(bad):
    """Elements are written a few at a time, after one check for all."""
    target, index, source = host_target(), np.arange(11) % 4, np.ones(11, np.float32)
    m = contiguous(dtypes.float32, (4,))
    given = contiguous(dtypes.int64, (11,)), contiguous(dtypes.float32, (11,))
    step = scatter.lower_scatter_add(target, (0,), (m, *given), (m,))
    found = result(m)
    assert run(step, [np.zeros(4, np.float32), index, source, found], target) == 0
    assert found.tolist() == [3, 3, 3, 2]
    index[bad] = 4
    assert run(step, [np.zeros(4, np.float32), index, source, result(m)], target) == 1


def test_without_a_base_the_result_is_added_to():
    target, index, source = host_target(), np.array([2, 0, 2]), np.arange(6, dtype=np.float32).reshape(3, 2)
    m = contiguous(dtypes.float32, (3, 2))
    step = scatter.lower_index_add(target, (0, 1), (contiguous(dtypes.int64, (3,)), m), (m,))
    found = np.ones((3, 2), np.float32)
    assert len(step.launches) == 1 and run(step, [index, source, found], target) == 0
    assert found.tolist() == [[3, 4], [1, 1], [5, 7]]


def test_many_tasks_give_the_same_bits():
    """Rows are shared out, so that a wide embedding's gradient has several tasks."""
    rng = np.random.default_rng(0)
    base, index = np.zeros((100, 256), np.float32), rng.integers(0, 100, 700)
    source = numbers(rng, (700, 256), np.float32)
    metas = (
        contiguous(dtypes.float32, base.shape),
        contiguous(dtypes.int64, (700,)),
        contiguous(dtypes.float32, source.shape),
    )
    out = contiguous(dtypes.float32, base.shape)
    target = host_target()
    step = scatter.lower_index_add(target, (0, 1), metas, (out,))
    assert step.launches[-1].tasks > 1
    wanted = base.copy()
    for i, row in zip(index, source, strict=True):
        wanted[i] += row
    for one_by_one in (False, True):
        found = result(out)
        run(step, [base, index, source, found], target, one_by_one)
        np.testing.assert_array_equal(found, wanted)


def test_no_index_and_no_elements():
    target, m = host_target(), contiguous(dtypes.float32, (3, 4))
    base, found = np.ones((3, 4), np.float32), result(m)
    empty = contiguous(dtypes.int64, (0, 4)), contiguous(dtypes.float32, (0, 4))
    step = scatter.lower_scatter_add(target, (0,), (m, *empty), (m,))
    nothing = np.zeros(0, np.float32)
    assert run(step, [base, nothing, nothing, found], target) == 0 and (found == 1).all()
