"""Sorts and the first k against the operations' bodies in NumPy, to the bit."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from flambeau._backends.cpu import sort
from flambeau._backends.cpu.host import host_target
from flambeau._core import dtypes
from flambeau._ir.meta import contiguous
from flambeau._ops.sort import ordering

sys.path.insert(0, str(Path(__file__).parent))
from steps import LAYOUTS, laid_out, name_of, result, run, targets  # noqa: E402

DTYPES = (np.float32, np.float32, np.float64, np.int64, np.int32, np.int16, np.int8, np.uint8)
SIZES = (1, 2, 3, 8, 17, 64, 65, 200)


def numbers(rng, shape, dtype):
    """Few different numbers, so that many are equal, all over the range; zeros of both signs, infinities and NaN."""
    if np.dtype(dtype).kind == "f":
        x = (rng.integers(-20, 20, shape) * rng.choice([0.1, 1e30], shape)).astype(dtype)
        special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, 1e-42], dtype)
        return np.where(rng.random(shape) < 0.2, rng.choice(special, shape), x)
    info = np.iinfo(dtype)
    x = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    return np.where(rng.random(shape) < 0.5, rng.choice(np.array([info.min, info.max, 0, 7], dtype), shape), x)


def check(x, dim, descending, kept, memory, m, target, one_by_one=False):
    shape = [kept if d == dim else n for d, n in enumerate(x.shape)]
    outputs = contiguous(m.dtype, shape), contiguous(dtypes.int64, shape)
    if kept == x.shape[dim]:
        step = sort.lower_sort(target, (dim, descending, True), (m,), outputs)
    else:
        step = sort.lower_topk(target, (kept, dim, descending, True), (m,), outputs)
    values, positions = (result(o) for o in outputs)
    assert run(step, [memory, values, positions], target, one_by_one) == 0
    order = np.take(ordering(x, dim, descending), range(kept), axis=dim)
    np.testing.assert_array_equal(positions, order)
    wanted = np.take_along_axis(x, order, dim)
    assert values.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("target", targets(), ids=name_of)
@pytest.mark.parametrize("seed", range(16))
def test_random_shapes(seed, target):
    rng = np.random.default_rng(seed)
    shape = [int(rng.choice(SIZES)) for _ in range(rng.integers(1, 3))]
    if rng.random() < 0.3:
        shape.insert(0, 3)
    dim = int(rng.integers(len(shape)))
    x = numbers(rng, shape, DTYPES[seed % len(DTYPES)])
    memory, m = laid_out(rng, x, rng.choice(LAYOUTS))
    for descending in (False, True):
        for kept in {shape[dim], max(1, shape[dim] // 7), 1}:
            check(x, dim, descending, kept, memory, m, target, seed % 2 == 1)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.float64, np.uint8])
@pytest.mark.parametrize("steps", [4096, 4097, 33_333])
def test_long_rows(steps, dtype, monkeypatch):
    """Networks up to their limit and radix sorts behind it, with buffers for one row at a time."""
    monkeypatch.setattr(sort, "BUFFER_BYTES", 1)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, steps)).astype(dtype) if dtype == np.float32 else numbers(rng, (2, steps), dtype)
    m = contiguous(dtypes.from_numpy(x.dtype), x.shape)
    for descending in (False, True):
        check(x, 1, descending, steps, x, m, host_target())


@pytest.mark.parametrize("kept", [1, 10, 16, 17, 500, 3000])
def test_first_of_long_rows(kept):
    """Also where the best come last, so that the buffer is full again and again."""
    rng = np.random.default_rng(0)
    x = np.stack([rng.standard_normal(5000), np.arange(5000), -np.arange(5000)]).astype(np.float32)
    m = contiguous(dtypes.float32, x.shape)
    for descending in (False, True):
        check(x, 1, descending, kept, x, m, host_target())


def test_integers_that_share_digits():
    """Passes of the radix sort in which nothing moves."""
    x = np.random.default_rng(0).integers(0, 200, 10_000)
    check(x, 0, False, len(x), x, contiguous(dtypes.int64, x.shape), host_target())
    x = np.full(10_000, 3)
    check(x, 0, True, len(x), x, contiguous(dtypes.int64, x.shape), host_target())


def test_what_is_not_supported():
    m = contiguous(dtypes.float16, (5,))
    assert sort.lower_sort(host_target(), (0, False, True), (m,), (m, contiguous(dtypes.int64, (5,)))) is None
    empty = contiguous(dtypes.float32, (0, 5))
    outputs = empty, contiguous(dtypes.int64, (0, 5))
    assert sort.lower_sort(host_target(), (1, False, True), (empty,), outputs).launches == ()
