"""Convolutions against the reference's, in float64."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest

from flambeau._backends.cpu.conv import lower_conv, lower_conv_transposed, lower_conv_weight
from flambeau._backends.cpu.conv_geometry import POINT, correlation, forward_axis
from flambeau._backends.cpu.conv_pixels import (
    MOST_VECTORS,
    Tile,
    most_rows,
    padded_columns,
    pixel_blocks,
    tile_of,
    tiles_of,
)
from flambeau._backends.cpu.conv_pixels_tile import tile_kernel
from flambeau._backends.cpu.host import host_target
from flambeau._backends.cpu.kernel import Entry, Kernel, Step
from flambeau._backends.cpu.plan import run_step
from flambeau._backends.cpu.target import aarch64, x86_64
from flambeau._core import dtypes
from flambeau._ir.meta import Meta, contiguous, meta, strides_in_order
from flambeau._ops import _convolve

Sizes = tuple[int, ...]
GUARD = 16  # elements behind an array that must stay untouched


class Case(NamedTuple):
    """One convolution: `size` and `kernel` as many numbers as there are spatial dimensions."""

    batch: int
    channels: int  # of a group
    filters: int  # of a group
    size: Sizes
    kernel: Sizes
    stride: Sizes
    padding: Sizes
    dilation: Sizes
    groups: int = 1
    channels_last: bool = False
    double: bool = False

    @property
    def out(self) -> Sizes:
        rows = zip(self.size, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return tuple([(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in rows])

    @property
    def rest(self) -> Sizes:
        """The output padding of the transposed convolution."""
        rows = zip(self.size, self.out, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return tuple([n - ((o - 1) * s - 2 * p + d * (k - 1) + 1) for n, o, k, s, p, d in rows])

    @property
    def dtype(self) -> dtypes.dtype:
        return dtypes.float64 if self.double else dtypes.float32

    @property
    def shapes(self) -> tuple[Sizes, Sizes, Sizes]:
        """Of images, weight and results."""
        total = self.filters * self.groups
        return ((self.batch, self.channels * self.groups, *self.size), (total, self.channels, *self.kernel),
                (self.batch, total, *self.out))  # fmt: skip

    def geometry(self) -> _convolve.Geometry:
        x, w, _ = self.shapes
        return _convolve.geometry_of(
            x, w, self.out, self.stride, self.padding, self.dilation, self.groups, np.dtype(np.float64)
        )


CASES = {
    "first layer": Case(3, 1, 32, (28, 28), (3, 3), (1, 1), (0, 0), (1, 1)),
    "usual": Case(2, 32, 64, (14, 14), (3, 3), (1, 1), (1, 1), (1, 1)),
    "stride 2": Case(2, 13, 24, (15, 29), (3, 3), (2, 2), (1, 1), (1, 1)),
    "channels last": Case(2, 9, 20, (15, 30), (3, 5), (2, 1), (1, 2), (1, 1), channels_last=True),
    "channels last, many": Case(2, 37, 40, (9, 19), (3, 3), (1, 2), (1, 1), (1, 1), channels_last=True),
    "channels last, small": Case(7, 40, 67, (5, 5), (3, 3), (1, 1), (1, 1), (1, 1), channels_last=True),
    "pointwise": Case(2, 70, 13, (9, 11), (1, 1), (1, 1), (0, 0), (1, 1)),
    "pointwise, channels last": Case(2, 70, 13, (9, 11), (1, 1), (1, 1), (0, 0), (1, 1), channels_last=True),
    "pointwise, stride 3": Case(2, 7, 8, (10, 10), (1, 1), (3, 3), (0, 0), (1, 1)),
    "pointwise, many": Case(1, 40, 130, (28, 28), (1, 1), (1, 1), (0, 0), (1, 1)),
    "pointwise, very many": Case(3, 12, 1100, (25, 27), (1, 1), (1, 1), (0, 0), (1, 1)),
    "pointwise, very many, double": Case(2, 9, 1021, (50, 61), (1, 1), (1, 1), (0, 0), (1, 1), double=True),
    "pointwise, stride 2": Case(2, 40, 48, (20, 21), (1, 1), (2, 2), (0, 0), (1, 1)),
    "many of both": Case(1, 300, 150, (9, 18), (3, 3), (2, 1), (1, 1), (1, 1)),
    "many of both, stride 3": Case(2, 24, 40, (61, 97), (4, 5), (3, 2), (1, 1), (1, 1)),
    "many of both, groups": Case(2, 18, 35, (9, 9), (3, 3), (1, 1), (1, 1), (1, 1), 3),
    "many of both, dilated": Case(1, 20, 17, (23, 29), (3, 3), (1, 2), (4, 0), (3, 5)),
    "many of both, long rows": Case(1, 20, 140, (1000,), (3,), (1,), (1,), (1,)),
    "many of both, rows in parts": Case(1, 20, 16, (393,), (3,), (1,), (1,), (1,)),
    "many of both, many small images": Case(9, 150, 40, (7, 7), (3, 3), (1, 1), (1, 1), (1, 1)),
    "many of both, many lines": Case(1, 70, 33, (29, 31), (3, 3), (2, 2), (1, 1), (1, 1)),
    "many of both, volume": Case(2, 19, 33, (5, 6, 9), (3, 2, 3), (2, 1, 2), (1, 1, 1), (1, 2, 1)),
    "many of both, double": Case(2, 70, 40, (11, 27), (3, 3), (1, 1), (1, 1), (1, 1), double=True),
    "many of both, channels last": Case(2, 70, 40, (11, 27), (3, 3), (2, 2), (1, 1), (1, 1), channels_last=True),
    "dilated": Case(1, 5, 7, (23, 19), (3, 2), (1, 2), (4, 0), (3, 5), 2),
    "small images": Case(9, 40, 17, (4, 4), (3, 3), (1, 1), (1, 1), (1, 1)),
    "one position": Case(5, 11, 6, (4, 4), (4, 4), (1, 1), (0, 0), (1, 1)),
    "many filters": Case(1, 3, 290, (5, 5), (3, 3), (1, 1), (1, 1), (1, 1)),
    "many channels": Case(1, 300, 8, (6, 6), (3, 3), (1, 1), (1, 1), (1, 1)),
    "large kernel": Case(1, 2, 5, (40, 31), (31, 29), (1, 1), (3, 3), (1, 1)),
    "wide padding": Case(1, 2, 5, (3, 3), (2, 2), (1, 1), (6, 6), (1, 1)),
    "depthwise": Case(2, 1, 1, (12, 40), (3, 3), (1, 1), (1, 1), (1, 1), 8),
    "depthwise, stride 2": Case(2, 1, 2, (13, 37), (5, 3), (2, 2), (2, 1), (1, 1), 5, double=True),
    "depthwise, channels last": Case(2, 1, 1, (7, 7), (3, 3), (1, 1), (1, 1), (1, 1), 8, channels_last=True),
    "few filters": Case(2, 33, 2, (28, 17), (3, 3), (1, 1), (1, 1), (1, 1)),
    "signal": Case(2, 3, 8, (3001,), (9,), (2,), (4,), (1,)),
    "depthwise, many groups": Case(2, 1, 1, (6, 19), (3, 3), (1, 1), (1, 1), (1, 1), 70),
    "depthwise, short rows": Case(2, 1, 1, (9, 14), (3, 3), (1, 1), (1, 1), (1, 1), 5),
    "depthwise, short rows across": Case(1, 1, 2, (7, 6), (3, 2), (1, 1), (1, 0), (1, 1), 3, channels_last=True),
    "depthwise signal": Case(2, 1, 1, (20011,), (7,), (1,), (6,), (2,), 3),
    "volume": Case(2, 3, 8, (5, 6, 7), (3, 2, 3), (2, 1, 2), (1, 1, 1), (1, 2, 1)),
    "volume, channels last": Case(1, 4, 8, (5, 6, 7), (2, 2, 2), (1, 1, 1), (0, 1, 0), (2, 1, 1), channels_last=True),
    "plain volume": Case(2, 5, 6, (3, 4, 5), (1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1)),
    "double": Case(3, 6, 15, (10, 21), (3, 3), (2, 1), (1, 1), (1, 1), double=True),
}


def random_case(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 4))
    most = {1: 60, 2: 20, 3: 8}[n]

    def numbers(low: int, high: int) -> Sizes:
        return tuple([int(i) for i in rng.integers(low, high, n)])

    kernel, dilation, padding = numbers(1, 5), numbers(1, 4), numbers(0, 4)
    reach = [d * (k - 1) + 1 - 2 * p for k, d, p in zip(kernel, dilation, padding, strict=True)]
    size = tuple([max(1, r) + int(rng.integers(0, most)) for r in reach])
    batch, channels, filters, groups = (int(rng.integers(1, most)) for most in (4, 12, 20, 4))
    return Case(batch, channels, filters, size, kernel, numbers(1, 4), padding, dilation, groups,
                bool(rng.integers(2)), bool(rng.integers(2)))  # fmt: skip


def laid_out(shape: Sequence[int], case: Case, rng: np.random.Generator, offset: int = 0
             ) -> tuple[np.ndarray, np.ndarray, Meta]:  # fmt: skip
    """Random numbers in a flat array, the array as they are seen through a layout, and that layout."""
    order = [0, *range(2, len(shape)), 1] if case.channels_last and len(shape) > 3 else range(len(shape))
    strides = strides_in_order(shape, list(order))
    m = meta(case.dtype, shape, strides, offset)
    flat = rng.standard_normal(m.extent + GUARD).astype(case.dtype.numpy)
    view = np.lib.stride_tricks.as_strided(flat[offset:], shape, [s * flat.itemsize for s in strides])
    return flat, view, m


def result(shape: Sequence[int], case: Case) -> tuple[np.ndarray, np.ndarray, Meta]:
    flat, view, m = laid_out(shape, case, np.random.default_rng(0))
    flat[:] = np.nan
    return flat, view, m


def check(found: tuple[np.ndarray, np.ndarray, Meta], wanted: np.ndarray, size: np.ndarray) -> None:
    """Rounding errors of a few units in the last place of the sum of the products' sizes; nothing written beyond."""
    flat, view, _ = found
    error = np.abs(view - wanted) / (size + 1)
    assert np.nanmax(error) <= 8 * np.finfo(view.dtype).eps
    assert not np.isnan(view).any()
    assert np.isnan(flat[-GUARD:]).all()


def check_forward(case: Case, target, run, one_by_one: bool = False) -> None:
    rng = np.random.default_rng(1)
    x, w = laid_out(case.shapes[0], case, rng, 3), laid_out(case.shapes[1], case, rng)
    b = laid_out(case.shapes[1][:1], case, rng, 1)
    y = result(case.shapes[2], case)
    params = (case.stride, case.padding, case.dilation, case.groups)
    biased = case.batch != 2
    inputs = (x, w, b) if biased else (x, w)
    kept = [i[0].copy() for i in inputs]
    step = lower_conv(target, params, tuple([i[2] for i in inputs]), (y[2],))
    run(step, [*[i[0] for i in inputs], y[0]], target, one_by_one)
    assert all(np.array_equal(before, i[0]) for before, i in zip(kept, inputs, strict=True))
    double = [i[1].astype(np.float64) for i in (x, w, b)]
    bias = double[2].reshape(-1, *[1] * len(case.size)) if biased else 0
    wanted, size = (
        _convolve.correlate(f(double[0]), f(double[1]), None, case.geometry()).reshape(case.shapes[2])
        for f in (np.asarray, np.abs)
    )
    check(y, wanted + bias, size)


def check_transposed(case: Case, target, run, one_by_one: bool = False) -> None:
    """The transpose goes from what `case` gives back to what it takes."""
    rng = np.random.default_rng(2)
    g, w = laid_out(case.shapes[2], case, rng, 2), laid_out(case.shapes[1], case, rng)
    b = laid_out((case.channels * case.groups,), case, rng)
    x = result(case.shapes[0], case)
    biased = case.batch != 2
    inputs = (g, w, b) if biased else (g, w)
    params = (case.stride, case.padding, case.dilation, case.rest, case.groups)
    step = lower_conv_transposed(target, params, tuple([i[2] for i in inputs]), (x[2],))
    run(step, [*[i[0] for i in inputs], x[0]], target, one_by_one)
    double = [i[1].astype(np.float64) for i in (g, w, b)]
    wanted, size = (
        _convolve.transposed(f(double[0]), f(double[1]), case.geometry()).reshape(case.shapes[0])
        for f in (np.asarray, np.abs)
    )
    check(x, wanted + (double[2].reshape(-1, *[1] * len(case.size)) if biased else 0), size)


def check_weight(case: Case, target, run, one_by_one: bool = False) -> None:
    rng = np.random.default_rng(3)
    g, x = laid_out(case.shapes[2], case, rng, 1), laid_out(case.shapes[0], case, rng, 2)
    w = result(case.shapes[1], case)
    step = lower_conv_weight(target, (case.stride, case.padding, case.dilation, case.groups), (g[2], x[2]), (w[2],))
    run(step, [g[0], x[0], w[0]], target, one_by_one)
    wanted, size = (
        _convolve.weight_gradient(f(g[1].astype(np.float64)), f(x[1].astype(np.float64)), case.geometry())
        .reshape(case.shapes[1])
        for f in (np.asarray, np.abs)
    )  # fmt: skip
    check(w, wanted, size)


@pytest.mark.parametrize("name", CASES)
def test_forward(name, target, run):
    check_forward(CASES[name], target, run)


@pytest.mark.parametrize("name", CASES)
def test_transposed(name, target, run):
    check_transposed(CASES[name], target, run)


@pytest.mark.parametrize("name", CASES)
def test_weight(name, target, run):
    check_weight(CASES[name], target, run)


@pytest.mark.parametrize("seed", range(24))
def test_random_shapes(seed, target, run):
    case = random_case(seed)
    check_forward(case, target, run)
    check_transposed(case, target, run)
    check_weight(case, target, run)


@pytest.mark.parametrize("name", ["usual", "stride 2", "small images", "many filters", "depthwise, many groups",
                                  "signal", "pointwise, very many", "many of both, stride 3"])  # fmt: skip
def test_tasks_are_independent(name, target, run):
    """Any order of tasks gives right results."""
    check_forward(CASES[name], target, run, one_by_one=True)
    check_transposed(CASES[name], target, run, one_by_one=True)
    check_weight(CASES[name], target, run, one_by_one=True)


@pytest.mark.parametrize("name", ["usual", "small images", "depthwise", "pointwise, very many",
                                  "many of both, stride 3"])  # fmt: skip
def test_same_bits_with_threads(name, run):
    """A plan runs tasks on several threads and gives the same bits as one task after the other."""
    case, target = CASES[name], host_target()
    x, w, y = (laid_out(shape, case, np.random.default_rng(4)) for shape in case.shapes)
    params = (case.stride, case.padding, case.dilation, case.groups)
    forward = lower_conv(target, params, (x[2], w[2]), (y[2],))
    backward = lower_conv_weight(target, params, (y[2], x[2]), (w[2],))
    transposed = lower_conv_transposed(target, (*params[:3], case.rest, case.groups), (y[2], w[2]), (x[2],))
    for step, inputs, output in ((forward, (x, w), y), (backward, (y, x), w), (transposed, (y, w), x)):
        found = [np.full_like(output[0], np.nan) for _ in range(2)]
        run(step, [*[i[0] for i in inputs], found[0]], target, one_by_one=True)
        assert run_step(step, [*[i[0] for i in inputs], found[1]]) == 0
        np.testing.assert_array_equal(*found)


def test_strides_of_any_kind(target, run):
    """Inputs that are slices and broadcasts: a transposed image, a weight that is one number, a bias read backwards."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal(2 * 3 * 10 * 9).astype(np.float32)
    w, b = np.full(1, 0.5, np.float32), rng.standard_normal(10).astype(np.float32)
    y = np.full(2 * 5 * 8 * 7, np.nan, np.float32)
    f = dtypes.float32
    metas = (meta(f, (2, 3, 9, 10), (270, 90, 1, 9)), meta(f, (5, 3, 3, 3), (0, 0, 0, 0)), meta(f, (5,), (2,)))
    step = lower_conv(target, ((1, 1), (0, 0), (1, 1), 1), metas, (contiguous(f, (2, 5, 7, 8)),))
    run(step, [x, w, b, y], target)
    images = x.reshape(2, 3, 10, 9).swapaxes(2, 3)
    sums = np.lib.stride_tricks.sliding_window_view(images, (3, 3), (2, 3)).sum((1, 4, 5)) * 0.5
    np.testing.assert_allclose(y.reshape(2, 5, 7, 8), sums[:, None] + b[::2].reshape(5, 1, 1), rtol=1e-4, atol=1e-5)


def test_infinity_stays_where_it_is(target, run):
    """An infinite input reaches the outputs that see it and no others, however they are computed."""
    for groups, filters in ((1, 8), (4, 1)):
        case = Case(1, 4 // groups, filters, (9, 21), (3, 3), (1, 1), (1, 1), (1, 1), groups)
        flat, x, m = laid_out(case.shapes[0], case, np.random.default_rng(6))
        w = np.ones(int(np.prod(case.shapes[1])), np.float32)
        x[0, 2, 4, 5] = np.inf
        y = result(case.shapes[2], case)
        params = (case.stride, case.padding, case.dilation, groups)
        step = lower_conv(target, params, (m, contiguous(case.dtype, case.shapes[1])), (y[2],))
        run(step, [flat, w, y[0]], target)
        seen = np.zeros(case.shapes[2], bool)
        seen[0, 2 if groups == 4 else slice(None), 3:6, 4:7] = True
        assert np.array_equal(np.isinf(y[1]), seen) and not np.isnan(y[1]).any()


def kernels_of(step: Step) -> set[Kernel]:
    """The kernels of a step, those its launches call included."""
    found = set()
    for launch in step.launches:
        found |= {launch.kernel, *[word.kernel for word in launch.words if isinstance(word, Entry)]}
    return found


def steps_of(case: Case, target) -> list[Step]:
    x, w, y = (contiguous(case.dtype, shape) for shape in case.shapes)
    params = (case.stride, case.padding, case.dilation, case.groups)
    found = [
        lower_conv(target, params, (x, w), (y,)),
        lower_conv_transposed(target, (*params[:3], case.rest, case.groups), (y, w), (x,)),
        lower_conv_weight(target, params, (y, x), (w,)),
    ]
    assert None not in found
    return found


@pytest.mark.parametrize("height", range(1, 15))
def test_tiles_of_a_row(height):
    """They hold the row; only where it is shorter than the lower ones is anything computed beyond it."""
    for rows in range(1, 100):
        tiles, lower = tiles_of(rows, height)
        assert padded_columns(rows, height) == max(rows, tiles * max(1, height - 1)) and 0 <= lower <= tiles


@pytest.mark.parametrize("target", [x86_64("v3"), x86_64("v4")], ids=lambda t: t.cpu)
def test_usual_rows_are_computed_without_waste(target):
    for columns in (*range(4, 33), 56, 112, 224):
        for filters in (16, 64, 96, 512):
            assert padded_columns(columns, tile_of(target, 4, columns, filters).height) == columns


@pytest.mark.parametrize("channels, size, step", [(128, 28, 1), (256, 14, 1), (512, 7, 1), (64, 56, 2), (128, 28, 2),
                                                  (256, 14, 2)])  # fmt: skip
def test_few_chunks_of_channels_share_a_block(channels, size, step):
    """For every chunk sums are read again, and gradients gathered: residual networks have up to four."""
    out, filters = size // step, channels * step
    axis = forward_axis(size, out, 3, step, 1, 1)
    x, y = (
        contiguous(dtypes.float32, shape).strides for shape in ((32, channels, size, size), (32, filters, out, out))
    )
    c = correlation(32, 1, channels, filters, (POINT, axis, axis), x, y)
    for weight in (False, True):
        blocks = pixel_blocks(c, x86_64("v3"), 4, weight)
        assert blocks is not None and -(-channels // blocks.channels) <= (4 if weight or step == 1 else 6)


def test_kernels_know_no_sizes():
    """Whatever is convolved, no more kernels than there are shapes of tiles, and a few others."""
    target = x86_64("v3")
    kernels: set[Kernel] = set()
    for seed in range(200):
        case = random_case(seed)._replace(double=False)
        for step in steps_of(case, target):
            kernels |= kernels_of(step)
    tiles = {k for k in kernels if k.entries == ("tile",)}
    by_pixels = {k for k in tiles if k.generate.__module__.endswith("pixels_tile")}
    assert len(tiles - by_pixels) <= 3 * 6
    assert len(by_pixels) <= 2 * sum(most_rows(target, vectors) for vectors in range(1, MOST_VECTORS + 1))
    orders = {("float", order) for order in ("across", "along", "apart", "any", "line")}
    widths = {("float", 8 * n, order) for n in range(1, MOST_VECTORS + 1) for order in ("filters", "run", "any")}
    sizeless = {(), ("float",), ("float", False), ("float", True)} | orders | widths
    assert {k.params for k in kernels - tiles if "direct" not in k.generate.__name__} <= sizeless
    assert len(kernels - tiles) <= 64


@pytest.mark.parametrize("other", [x86_64("v4", "znver4"), x86_64("v3")], ids=lambda t: t.cpu)
@pytest.mark.parametrize("vectors", range(1, MOST_VECTORS + 1))
@pytest.mark.parametrize("columns", [False, True])
def test_the_highest_tiles_spill_nothing(other, vectors, columns, assembly):
    tile = Tile(most_rows(other, vectors), vectors)
    lines = assembly(tile_kernel("float", tile, columns), other).splitlines()
    products = [i for i, line in enumerate(lines) if "fmadd" in line or "fmla" in line]
    assert len(products) == tile.height * tile.vectors
    assert not any("sp)" in line or "[sp" in line for line in lines[products[0] : products[-1]])


@pytest.mark.parametrize("other", [aarch64(), x86_64("v4"), x86_64("v3"), x86_64("v2")], ids=lambda t: t.cpu)
def test_no_library_calls(other, assembly):
    """On every target, kernels call nothing but themselves and what they are given."""
    names = ("usual", "channels last, many", "depthwise", "depthwise, stride 2", "double")
    kernels = {kernel for name in names for step in steps_of(CASES[name], other) for kernel in kernels_of(step)}
    for kernel in kernels:
        text = assembly(kernel, other)
        own = set(re.findall(r"^([A-Za-z_]\w*):", text, re.M))
        called = set(re.findall(r"^\s+(?:callq?|bl)\s+([A-Za-z_]\w*)", text, re.M))
        assert called <= own


def test_unsupported():
    """Other dtypes and empty tensors are left to the reference."""
    target = x86_64("v3")
    params = ((1, 1), (0, 0), (1, 1), 1)
    for dtype, batch in ((dtypes.float16, 1), (dtypes.int64, 1), (dtypes.float32, 0)):
        x, w, y = (contiguous(dtype, shape) for shape in ((batch, 2, 4, 4), (3, 2, 3, 3), (batch, 3, 2, 2)))
        assert lower_conv(target, params, (x, w), (y,)) is None
        assert lower_conv_transposed(target, (*params[:3], (0, 0), 1), (y, w), (x,)) is None
        assert lower_conv_weight(target, params, (y, x), (w,)) is None
