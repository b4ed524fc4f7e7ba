"""What scans and orderings mean to the compiler; see `_expand`. Kernel templates:

* `scan` (combiner, dim): x -> running sums, products, maxima or minima ("sum", "prod", "max", "min") along dim;
* `sort` (dim, descending, stable): x -> sorted values, their int64 positions;
* `topk` (k, dim, largest, sorted): x -> the k greatest or smallest values in order, their int64 positions.

NaN is the greatest number; sorting is stable.
"""

from __future__ import annotations

from typing import Any

from flambeau._core import dtypes
from flambeau._core.dtypes import dtype
from flambeau._ir.graph import Array, Graph, Unsupported
from flambeau._ir.meta import contiguous
from flambeau._ops._expand import nonempty, summand, wide
from flambeau._ops._expand_places import along
from flambeau._ops.infer import wrap_dim


def _comparable(c: Graph, x: Array) -> Array:
    """Elements that have an order of their own: halves widened, booleans as bytes."""
    return c.cast(x, dtypes.uint8) if x.dtype is dtypes.bool_ else wide(nonempty(x))


def scan(c: Graph, combiner: str, x: Array, dim: int) -> Array:
    if x.ndim == 0:
        return c.copy(x)
    return c.call("scan", (combiner, wrap_dim(dim, x.ndim)), (nonempty(x),), (contiguous(x.dtype, x.shape),))[0]


def accumulation(combiner: str) -> Any:
    """Running sums or products: integers as int64."""

    def expand(c: Graph, x: Array, dim: int, d: dtype | None = None) -> Array:
        return scan(c, combiner, summand(c, x, d), dim)

    return expand


def running_extremum(combiner: str) -> Any:
    """Running extrema and their positions: the last place so far where the element equals the extremum."""

    def expand(c: Graph, x: Array, dim: int) -> tuple[Array, Array]:
        if x.ndim == 0:
            return c.copy(x), c.const(0, dtypes.int64)
        x, dim = _comparable(c, x), wrap_dim(dim, x.ndim)
        running = scan(c, combiner, x, dim)
        hit = c.map("eq", x, running)
        if x.dtype.category == dtypes.FLOAT:
            hit = c.map("or_", hit, c.isnan(x))
        positions = scan(c, "max", c.map("where", hit, c.index(x.shape, dim), 0), dim)
        return running, positions

    return expand


def sort(c: Graph, x: Array, dim: int, descending: bool) -> tuple[Array, ...]:
    if x.ndim == 0:
        return c.copy(x), c.const(0, dtypes.int64)
    x = _comparable(c, x)
    outputs = contiguous(x.dtype, x.shape), contiguous(dtypes.int64, x.shape)
    return c.call("sort", (wrap_dim(dim, x.ndim), descending, True), (x,), outputs)


def topk(c: Graph, x: Array, k: int, dim: int, largest: bool, sorted: bool) -> tuple[Array, ...]:
    if x.ndim == 0 or k == 0:
        raise Unsupported("a single number, or none")
    x, dim = _comparable(c, x), wrap_dim(dim, x.ndim)
    shape = [k if i == dim else n for i, n in enumerate(x.shape)]
    outputs = contiguous(x.dtype, shape), contiguous(dtypes.int64, shape)
    return c.call("topk", (k, dim, largest, sorted), (x,), outputs)


def kth(c: Graph, x: Array, k: int, dim: int, keepdim: bool) -> tuple[Array, ...]:
    if x.ndim == 0:
        return c.copy(x), c.const(0, dtypes.int64)
    found = [a.slice(dim, k - 1, k) for a in sort(c, x, dim, False)]
    return tuple(found) if keepdim else tuple([a.squeeze(dim) for a in found])


def median(ignore_nan: bool) -> Any:
    """The lower median and its position; a NaN, which stands behind all numbers, unless those are ignored."""

    def expand(c: Graph, x: Array, dim: int, keepdim: bool) -> tuple[Array, ...]:
        if x.ndim == 0:
            return c.copy(x), c.const(0, dtypes.int64)
        ordered, dim = sort(c, x, dim, False), wrap_dim(dim, x.ndim)
        n = x.shape[dim]
        if x.dtype.category == dtypes.FLOAT:
            nans = c.reduce("sum", c.cast(c.isnan(wide(x)), dtypes.int64), (dim,))
            places = _middle_of_numbers(c, n, nans) if ignore_nan else c.map("where", nans > 0, n - nans, (n - 1) // 2)
            found = [along(c, a, dim, places, check=False) for a in ordered]
        else:
            found = [a.slice(dim, (n - 1) // 2, (n - 1) // 2 + 1) for a in ordered]
        return tuple(found) if keepdim else tuple([a.squeeze(dim) for a in found])

    return expand


def _middle_of_numbers(c: Graph, n: int, nans: Array) -> Array:
    """max(0, (n - nans - 1) // 2), exact in float64."""
    half = c.map("floor", c.cast((n - 1) - nans, dtypes.float64) * 0.5)
    return c.map("maximum", c.cast(half, dtypes.int64), 0)
