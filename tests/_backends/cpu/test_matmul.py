"""Matrix products against float64."""

from __future__ import annotations

import random

import numpy as np
import pytest

from flambeau._backends.cpu import matmul
from flambeau._backends.cpu.host import host_target
from flambeau._backends.cpu.plan import run_step
from flambeau._core import dtypes
from flambeau._ir.meta import contiguous, meta

SIZES = (1, 2, 3, 5, 6, 7, 8, 12, 13, 16, 17, 31, 32, 33, 64, 97)


def laid_out(rng, shape, d, how):
    """(a flat array, the meta of a matrix in it, its elements)."""
    rows, columns = shape[-2:]
    offset = rng.choice((0, 3))
    batch = 1
    for n in shape[:-2]:
        batch *= n
    gap = 2 if how == "any" else 1
    strides = {"rows": (columns, 1), "columns": (1, rows), "wide": (columns + 5, 1), "any": (2 * columns, 2)}[how]
    step = rows * columns * gap + (5 * rows if how == "wide" else 0)
    lead = []
    for n in reversed(shape[:-2]):
        lead.append(step)
        step *= n
    m = meta(d, shape, (*reversed(lead), *strides), offset)
    flat = np.random.default_rng(rng.randrange(1 << 30)).uniform(-1, 1, max(1, m.extent)).astype(d.numpy)
    if d.category < dtypes.FLOAT:
        flat = np.random.default_rng(0).integers(-4, 5, max(1, m.extent)).astype(d.numpy)
    view = np.lib.stride_tricks.as_strided(flat[offset:], shape, [s * flat.itemsize for s in m.strides])
    return flat, m, view


def check(rng, batch, m, n, k, d=dtypes.float32, how=("rows", "rows"), bias=False):
    a, ma, va = laid_out(rng, (*batch, m, k), d, how[0])
    b, mb, vb = laid_out(rng, (*batch, k, n), d, how[1])
    out = contiguous(d, (*batch, m, n))
    inputs, arrays = [ma, mb], [a, b]
    expected = va.astype(np.float64) @ vb.astype(np.float64)
    if bias:
        c = np.random.default_rng(1).uniform(-1, 1, n).astype(d.numpy)
        inputs.append(meta(d, out.shape, (*[0] * (len(batch) + 1), 1)))
        arrays.append(c)
        expected = expected + c
    step = matmul.lower(host_target(), (None,), tuple(inputs), (out,))
    result = np.full(max(1, out.numel), 77, d.numpy)
    assert run_step(step, [*arrays, result]) == 0
    if d.category < dtypes.FLOAT:
        expected = expected.astype(np.int64).astype(d.numpy)  # integers wrap around
    eps = np.finfo(d.numpy).eps if d.category == dtypes.FLOAT else 0
    np.testing.assert_allclose(result[: out.numel].reshape(out.shape), expected, 0, eps * (k + 4))


@pytest.mark.parametrize("seed", range(40))
def test_random_products(seed):
    rng = random.Random(seed)
    m, n, k = (rng.choice(SIZES) for _ in range(3))
    batch = rng.choice(((), (), (3,), (2, 3)))
    how = rng.choice(("rows", "columns", "wide", "any")), rng.choice(("rows", "columns", "wide", "any"))
    d = rng.choice((dtypes.float32, dtypes.float32, dtypes.float64))
    check(rng, batch, m, n, k, d, how, rng.random() < 0.4)


@pytest.mark.parametrize("sizes", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (1, 1, 1), (1, 50, 700), (50, 1, 700)])
def test_sizes_that_are_no_matrices(sizes):
    check(random.Random(0), (), *sizes)
    check(random.Random(0), (), *sizes, bias=True)


@pytest.mark.parametrize("how", [("rows", "rows"), ("columns", "rows"), ("rows", "columns"), ("columns", "columns")])
def test_long_sums_and_large_matrices(how):
    check(random.Random(1), (), 130, 75, 2100, how=how, bias=True)
    check(random.Random(1), (), 257, 300, 100, how=how)


@pytest.mark.parametrize("d", [dtypes.int64, dtypes.int32, dtypes.uint8])
def test_integers(d):
    check(random.Random(2), (2,), 5, 7, 11, d)


def test_batches_that_share_a_matrix():
    rng = random.Random(3)
    a, ma, va = laid_out(rng, (4, 20, 30), dtypes.float32, "rows")
    b = np.random.default_rng(0).uniform(-1, 1, (30, 17)).astype(np.float32)
    out = contiguous(dtypes.float32, (4, 20, 17))
    mb = meta(dtypes.float32, (4, 30, 17), (0, 17, 1))
    step = matmul.lower(host_target(), (None,), (ma, mb), (out,))
    result = np.zeros(out.numel, np.float32)
    assert run_step(step, [a, b.reshape(-1), result]) == 0
    np.testing.assert_allclose(result.reshape(out.shape), va @ b, 1e-5, 1e-5)


def test_a_row_does_not_depend_on_its_company():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-1, 1, (40, 900)).astype(np.float32), rng.uniform(-1, 1, (900, 64)).astype(np.float32)
    results = []
    for rows in (40, 7, 2):
        out = contiguous(dtypes.float32, (rows, 64))
        metas = (contiguous(dtypes.float32, (rows, 900)), contiguous(dtypes.float32, (900, 64)))
        result = np.zeros((rows, 64), np.float32)
        run_step(matmul.lower(host_target(), (None,), metas, (out,)), [a[:rows].copy(), b, result])
        results.append(result[:2])
    assert (results[0] == results[1]).all() and (results[0] == results[2]).all()
