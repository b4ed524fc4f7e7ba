"""Scans against NumPy's, in float64."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from flambeau._backends.cpu.host import host_target
from flambeau._backends.cpu.scan import lower_scan
from flambeau._core import dtypes
from flambeau._ir.meta import contiguous

sys.path.insert(0, str(Path(__file__).parent))
from steps import LAYOUTS, laid_out, name_of, result, run, targets  # noqa: E402

UFUNC = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}


def scanned(x, combiner, dim, target, how="dense", rng=None, one_by_one=False):
    memory, m = laid_out(rng, x, how)
    out = contiguous(m.dtype, m.shape)
    step = lower_scan(target, (combiner, dim), (m,), (out,))
    found = result(out)
    assert run(step, [memory, found], target, one_by_one) == 0
    return found


def check(x, combiner, dim, found):
    if x.dtype.kind != "f":
        np.testing.assert_array_equal(found, UFUNC[combiner].accumulate(x, dim, x.dtype))
        return
    wanted = UFUNC[combiner].accumulate(x.astype(np.float64), dim)
    eps = np.finfo(x.dtype).eps
    if combiner in ("max", "min"):
        np.testing.assert_array_equal(found, wanted.astype(x.dtype))
    elif combiner == "prod":
        np.testing.assert_allclose(found, wanted, eps * (1 if x.dtype == np.float32 else x.shape[dim]), 2e-45)
    else:
        size = np.add.accumulate(np.abs(x.astype(np.float64)), dim)
        bound = eps * (np.abs(wanted) if x.dtype == np.float32 else 0) + 1e-15 * x.shape[dim] * size
        assert (np.abs(found - wanted) <= bound).all()


@pytest.mark.parametrize("target", targets(), ids=name_of)
@pytest.mark.parametrize("combiner", UFUNC)
@pytest.mark.parametrize("seed", range(6))
def test_random_shapes(seed, combiner, target):
    rng = np.random.default_rng(seed)
    for dtype in (np.float32, rng.choice((np.float64, np.int64, np.int32, np.int8, np.uint8))):
        shape = [int(rng.choice((1, 2, 3, 8, 17, 41, 70))) for _ in range(rng.integers(1, 4))]
        dim = int(rng.integers(len(shape)))
        if np.dtype(dtype).kind == "f":
            x = rng.uniform(0.8, 1.25, shape) * rng.choice((-1, 1), shape)
        else:
            x = rng.integers(0, 5, shape)
        x = x.astype(dtype)
        with np.errstate(over="ignore"):
            check(x, combiner, dim, scanned(x, combiner, dim, target, rng.choice(LAYOUTS), rng, seed % 2 == 1))


@pytest.mark.parametrize("combiner", ["sum", "max", "min", "prod"])
def test_long_rows(combiner):
    rng = np.random.default_rng(0)
    for shape in ((100_003,), (3, 40_001)):
        x = rng.uniform(-1, 1, shape).astype(np.float32)
        found = [scanned(x, combiner, -1 % len(shape), host_target(), one_by_one=one) for one in (False, True)]
        check(x, combiner, len(shape) - 1, found[0])
        np.testing.assert_array_equal(*found)


def test_products_do_not_overflow_on_the_way():
    x = np.array([1e-30] * 12 + [1e30] * 30, np.float32)
    found = scanned(x, "prod", 0, host_target())
    with np.errstate(over="ignore"):
        wanted = np.multiply.accumulate(x.astype(np.float64)).astype(np.float32)
    np.testing.assert_array_equal(found[:20], wanted[:20])


@pytest.mark.parametrize("target", targets(), ids=name_of)
@pytest.mark.parametrize("shape", [(50,), (50, 20)])
def test_nan_stays_from_where_it_appears(shape, target):
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, shape).astype(np.float32)
    x[13], x[7] = np.nan, np.inf
    for combiner in UFUNC:
        found = scanned(x, combiner, 0, target)
        wanted = UFUNC[combiner].accumulate(x.astype(np.float64), 0)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
        np.testing.assert_array_equal(np.isinf(found), np.isinf(wanted))


def test_what_is_not_supported():
    m = contiguous(dtypes.float16, (3,))
    assert lower_scan(host_target(), ("sum", 0), (m,), (m,)) is None
    empty = contiguous(dtypes.float32, (0, 3))
    assert lower_scan(host_target(), ("sum", 0), (empty,), (empty,)).launches == ()
