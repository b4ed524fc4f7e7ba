"""Pooling against the reference's: equal bits for maxima, float64 for averages."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest

from flambeau._backends.cpu.kernel import Step
from flambeau._backends.cpu.pool import lower_avg_pool, lower_avg_pool_backward, lower_max_pool, lower_max_pool_place
from flambeau._backends.cpu.target import aarch64, x86_64
from flambeau._core import dtypes
from flambeau._ir.meta import Meta, contiguous, meta, strides_in_order
from flambeau._ops import _pooling
from flambeau._ops.pool import _code_dtype, _divisors, _windows

Sizes = tuple[int, ...]
GUARD = 16  # elements behind an array that must stay untouched


class Case(NamedTuple):
    """One pooling; `shape` has a batch dimension or not."""

    shape: Sizes
    kernel: Sizes
    stride: Sizes
    padding: Sizes
    dilation: Sizes
    ceil_mode: bool = False
    channels_last: bool = False
    double: bool = False

    @property
    def windows(self) -> _pooling.Windows:
        return _windows(self.shape, self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode)

    @property
    def pooled(self) -> Sizes:
        return (*self.shape[: -len(self.kernel)], *self.windows.out)

    @property
    def dtype(self) -> dtypes.dtype:
        return dtypes.float64 if self.double else dtypes.float32


CASES = {
    "usual": Case((2, 3, 28, 28), (2, 2), (2, 2), (0, 0), (1, 1)),
    "usual, a rest": Case((2, 3, 29, 41), (2, 2), (2, 2), (0, 0), (1, 1)),
    "a rest that counts": Case((3, 29, 41), (2, 2), (2, 2), (0, 0), (1, 1), ceil_mode=True),
    "overlapping": Case((2, 3, 29, 41), (3, 3), (2, 2), (1, 1), (1, 1)),
    "overlapping, ceil": Case((2, 3, 30, 40), (3, 3), (2, 2), (1, 1), (1, 1), ceil_mode=True),
    "channels last": Case((2, 37, 13, 12), (3, 3), (2, 2), (1, 1), (1, 1), channels_last=True),
    "channels last, usual": Case((2, 16, 8, 8), (2, 2), (2, 2), (0, 0), (1, 1), channels_last=True),
    "one dimension": Case((2, 3, 17), (3,), (1,), (1,), (1,), ceil_mode=True),
    "long": Case((1, 1, 60001), (3,), (2,), (1,), (1,), ceil_mode=True),
    "volume": Case((2, 3, 7, 8, 9), (3, 2, 4), (2, 2, 2), (1, 0, 2), (1, 1, 1), ceil_mode=True, double=True),
    "volume, pairs": Case((3, 5, 7, 8), (2, 2, 2), (2, 3, 2), (0, 0, 0), (1, 1, 1)),
    "whole image": Case((2, 3, 20, 20), (20, 20), (20, 20), (0, 0), (1, 1)),
    "large codes": Case((2, 3, 20, 21), (17, 16), (3, 2), (8, 0), (1, 1)),
    "single": Case((2, 3, 5, 3), (1, 1), (1, 1), (0, 0), (1, 1)),
    "gaps": Case((2, 3, 40, 19), (3, 1), (3, 2), (0, 0), (1, 1)),
    "double": Case((4, 3, 12, 15), (2, 3), (2, 2), (1, 1), (1, 1), double=True),
    "dilated": Case((2, 3, 13, 17), (3, 2), (1, 3), (1, 1), (2, 1), ceil_mode=True),
    "dilated, in a row": Case((2, 3, 13, 37), (2, 3), (2, 2), (0, 1), (3, 2)),
}
AVERAGES = [name for name, case in CASES.items() if set(case.dilation) == {1}]


def random_case(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 4))
    kernel = tuple([int(k) for k in rng.integers(1, 5, n)])
    padding = tuple([int(rng.integers(0, k // 2 + 1)) for k in kernel])
    size = [k + int(rng.integers(0, {1: 70, 2: 20, 3: 7}[n])) for k in kernel]
    lead = [int(i) for i in rng.integers(1, 5, rng.integers(1, 3))]
    stride = tuple([int(s) for s in rng.integers(1, 4, n)])
    return Case((*lead, *size), kernel, stride, padding, (1,) * n, *[bool(b) for b in rng.integers(0, 2, 3)])


def laid_out(shape: Sequence[int], case: Case, offset: int = 0) -> tuple[np.ndarray, np.ndarray, Meta]:
    """NaN in a flat array, the array as it is seen through a layout, and that layout."""
    order = [0, *range(2, len(shape)), 1] if case.channels_last and len(shape) > 3 else range(len(shape))
    strides = strides_in_order(shape, list(order))
    m = meta(case.dtype, shape, strides, offset)
    flat = np.full(m.extent + GUARD, np.nan, case.dtype.numpy)
    return flat, np.lib.stride_tricks.as_strided(flat[offset:], shape, [s * flat.itemsize for s in strides]), m


def numbers(kind: str, shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    if kind == "normal":
        return rng.standard_normal(shape)
    x = rng.integers(0, 3, shape).astype(np.float64)  # mostly ties
    if kind == "special":
        x[rng.random(shape) < 0.5] = -np.inf
        x[rng.random(shape) < 0.02] = np.nan
        x[rng.random(shape) < 0.02] = np.inf
    return x


def check_maximum(case: Case, kind: str, target, run, one_by_one: bool = False) -> None:
    rng = np.random.default_rng(1)
    params = (case.kernel, case.stride, case.padding, case.dilation, case.ceil_mode)
    x, y = laid_out(case.shape, case, 3), laid_out(case.pooled, case)
    x[1][...] = numbers(kind, case.shape, rng)
    kept = contiguous(_code_dtype(case.kernel), case.pooled)
    code = np.full(kept.numel + GUARD, 99, kept.dtype.numpy)
    step = lower_max_pool(target, params, (x[2],), (y[2], kept))
    run(step, [x[0], y[0], code], target, one_by_one)
    values, codes = _pooling.maximum(x[1].copy(), case.windows)
    np.testing.assert_array_equal(y[1], values)
    np.testing.assert_array_equal(code[:-GUARD].reshape(case.pooled), codes)
    assert np.isnan(y[0][-GUARD:]).all() and (code[-GUARD:] == 99).all()

    g, dx = laid_out(case.pooled, case, 1), laid_out(case.shape, case._replace(channels_last=False))
    g[1][...] = rng.standard_normal(case.pooled)
    step = lower_max_pool_place(target, (case.shape, *params), (g[2], kept), (dx[2],))
    run(step, [g[0], code, dx[0]], target, one_by_one)
    check_close(dx, _pooling.place(g[1].astype(np.float64), codes, case.windows))


def check_average(case: Case, include_pad: bool, divisor: int | None, target, run, one_by_one: bool = False) -> None:
    rng = np.random.default_rng(2)
    params = (case.kernel, case.stride, case.padding, case.ceil_mode, include_pad, divisor)
    x, y = laid_out(case.shape, case, 3), laid_out(case.pooled, case)
    x[1][...] = rng.standard_normal(case.shape)
    run(lower_avg_pool(target, params, (x[2],), (y[2],)), [x[0], y[0]], target, one_by_one)
    divisors = _divisors(case.windows, include_pad, divisor)
    check_close(y, _pooling.sums(x[1].astype(np.float64), case.windows) / divisors)

    g, dx = laid_out(case.pooled, case, 1), laid_out(case.shape, case._replace(channels_last=False))
    g[1][...] = rng.standard_normal(case.pooled)
    step = lower_avg_pool_backward(target, (case.shape, *params), (g[2],), (dx[2],))
    run(step, [g[0], dx[0]], target, one_by_one)
    check_close(dx, _pooling.spread(g[1].astype(np.float64) / divisors, case.windows))


def check_close(found: tuple[np.ndarray, np.ndarray, Meta], wanted: np.ndarray) -> None:
    flat, view, _ = found
    eps = np.finfo(view.dtype).eps
    np.testing.assert_allclose(view, wanted, rtol=16 * eps, atol=16 * eps)
    assert np.isnan(flat[-GUARD:]).all()


@pytest.mark.parametrize("kind", ["normal", "ties", "special"])
@pytest.mark.parametrize("name", CASES)
def test_maximum(name, kind, target, run):
    check_maximum(CASES[name], kind, target, run)


@pytest.mark.parametrize("include_pad, divisor", [(True, None), (False, None), (True, 7)])
@pytest.mark.parametrize("name", AVERAGES)
def test_average(name, include_pad, divisor, target, run):
    check_average(CASES[name], include_pad, divisor, target, run)


@pytest.mark.parametrize("seed", range(20))
def test_random_windows(seed, target, run):
    case = random_case(seed)
    check_maximum(case, "special", target, run)
    check_average(case, bool(seed % 2), None, target, run)


@pytest.mark.parametrize("name", ["usual", "overlapping, ceil", "channels last", "long"])
def test_tasks_are_independent(name, target, run):
    check_maximum(CASES[name], "ties", target, run, one_by_one=True)
    check_average(CASES[name], True, None, target, run, one_by_one=True)


def test_windows_of_padding_only(target, run):
    """Windows whose elements are all the lowest number report the first position, as the reference does."""
    case = Case((1, 1, 6, 9), (3, 3), (2, 2), (1, 1), (1, 1))
    x, y = laid_out(case.shape, case), laid_out(case.pooled, case)
    x[1][...] = -np.inf
    code = np.full(math.prod(case.pooled), 99, np.uint8)
    params = (case.kernel, case.stride, case.padding, case.dilation, False)
    run(
        lower_max_pool(target, params, (x[2],), (y[2], contiguous(dtypes.uint8, case.pooled))),
        [x[0], y[0], code],
        target,
    )
    assert not code.any() and np.isneginf(y[1]).all()


@pytest.mark.parametrize("other", [aarch64(), x86_64("v4"), x86_64("v3"), x86_64("v2")], ids=lambda t: t.cpu)
def test_no_library_calls(other, assembly):
    """On every target, kernels call nothing but themselves."""
    for name in ("usual", "overlapping", "channels last", "volume"):
        case = CASES[name]
        x, y = contiguous(case.dtype, case.shape), contiguous(case.dtype, case.pooled)
        code = contiguous(_code_dtype(case.kernel), case.pooled)
        windows, average = (case.kernel, case.stride, case.padding), (False, True, None)
        maximum = (*windows, case.dilation, False)
        steps: list[Step | None] = [
            lower_max_pool(other, maximum, (x,), (y, code)),
            lower_max_pool_place(other, (case.shape, *maximum), (y, code), (x,)),
            lower_avg_pool(other, (*windows, *average), (x,), (y,)),
            lower_avg_pool_backward(other, (case.shape, *windows, *average), (y,), (x,)),
        ]
        for step in steps:
            assert step is not None
            for launch in step.launches:
                text = assembly(launch.kernel, other)
                own = set(re.findall(r"^([A-Za-z_]\w*):", text, re.M))
                assert set(re.findall(r"^\s+(?:callq?|bl)\s+([A-Za-z_]\w*)", text, re.M)) <= own


def test_unsupported():
    """Other dtypes are left to the reference."""
    target = x86_64("v3")
    params = ((2, 2), (2, 2), (0, 0), (1, 1), False)
    for dtype in (dtypes.float16, dtypes.int64):
        x, y = contiguous(dtype, (1, 1, 4, 4)), contiguous(dtype, (1, 1, 2, 2))
        code = contiguous(dtypes.uint8, y.shape)
        assert lower_max_pool(target, params, (x,), (y, code)) is None
        assert lower_max_pool_place(target, (x.shape, *params), (y, code), (x,)) is None
        assert lower_avg_pool(target, (*params[:3], False, True, None), (x,), (y,)) is None
