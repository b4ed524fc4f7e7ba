"""Ordering: sort, topk, medians, quantiles, unique, histograms. NaN counts as the largest number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._ir.meta import Meta, contiguous, preserved
from flambeau._ir.recording import TensorBase
from flambeau._ops import _expand_orders
from flambeau._ops.extrema import scatter_grad
from flambeau._ops.infer import wrap_dim
from flambeau._ops.reduce import accumulated, reduced_shape
from flambeau._ops.registry import composite, library
from flambeau._ops.results import named, values_and_indices
from flambeau._ops.strided import owner

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

BLOCK = 1 << 15  # elements that are counted at a time: what is computed on the way stays in the cache

sort_result, topk_result, kthvalue_result = (
    values_and_indices("sort"),
    values_and_indices("topk"),
    values_and_indices("kthvalue"),
)
median_result, nanmedian_result, mode_result = (
    values_and_indices("median"),
    values_and_indices("nanmedian"),
    values_and_indices("mode"),
)


def ordering(x: np.ndarray, dim: int, descending: bool) -> np.ndarray:
    """The positions that sort `x` along `dim`, stably."""
    x = accumulated(x)
    if not descending:
        return np.argsort(x, axis=dim, kind="stable")
    # equal elements must stay in order: sort the reversed row upwards and read it backwards
    flipped = np.flip(x, dim)
    return x.shape[dim] - 1 - np.flip(np.argsort(flipped, axis=dim, kind="stable"), dim)


def _infer_sort(m: Meta, dim: int, descending: bool) -> tuple[Meta, Meta]:
    if m.dtype.is_complex:
        raise RuntimeError("Sort does not support complex dtypes on CPU")
    wrap_dim(dim, m.ndim)
    return preserved(m), preserved(m, dtypes.int64)


@library(
    node_name="SortBackward0",
    expand=_expand_orders.sort,
    category="sort",
    method=False,
    function=False,
    infer=_infer_sort,
    result_type=sort_result,
    nondifferentiable=(1,),
    gradient={"input": lambda g0, out1, input_meta, dim: scatter_grad(g0, input_meta, dim, True, out1)},
)
def sorted_along(input: Any, dim: int, descending: bool) -> Any:
    """(sorted values, their positions)."""
    if input.ndim == 0:
        return input.copy(), np.zeros((), np.int64)
    order = ordering(input, dim, descending)
    return np.take_along_axis(input, order, dim), order


@composite(overlap="same")
def sort(input: Any, dim: Any = -1, descending: bool = False, stable: bool | None = None) -> Any:
    """(values, indices) of `input` sorted along `dim`; always stable.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([3, 1, 2]).sort().values
        tensor([1, 2, 3])
    """
    if isinstance(dim, bool):  # sort(stable, dim, descending)
        dim, descending = descending if descending is not False else -1, bool(stable)
    return sorted_along(input, dim, descending)


@composite()
def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """The positions that sort `input` along `dim`.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([3, 1, 2]).argsort()
        tensor([1, 2, 0])
    """
    return sorted_along(input, dim, descending).indices


@composite(overlap="same")
def msort(input: Any) -> Any:
    """`input` sorted along its first dimension.

    Example::

        >>> import flambeau as torch
        >>> torch.msort(torch.tensor([3, 1, 2]))
        tensor([1, 2, 3])
    """
    return sorted_along(input, 0, False).values


def _infer_topk(m: Meta, k: int, dim: int, largest: bool, sorted: bool) -> tuple[Meta, Meta]:  # noqa: A002
    if m.dtype.is_complex:
        raise RuntimeError("topk(): does not support complex input")
    d = wrap_dim(dim, m.ndim)
    size = m.shape[d] if m.ndim else 1
    if not 0 <= k <= size:
        raise RuntimeError(f"selected index k out of range: k={k}, dimension {d} has {size} elements")
    shape = [k if i == d else n for i, n in enumerate(m.shape)]
    return contiguous(m.dtype, shape), contiguous(dtypes.int64, shape)


@library(
    node_name="TopkBackward0",
    expand=_expand_orders.topk,
    category="sort",
    infer=_infer_topk,
    result_type=topk_result,
    nondifferentiable=(1,),
    method=False,
    function=False,
    gradient={"input": lambda g0, out1, input_meta, dim: scatter_grad(g0, input_meta, dim, True, out1)},
)
def top(input: Any, k: int, dim: int, largest: bool, sorted: bool) -> Any:  # noqa: A002
    """The k largest or smallest along `dim` and their positions, in order."""
    if input.ndim == 0:
        return input.copy(), np.zeros((), np.int64)
    x = accumulated(input)
    n = x.shape[dim]
    if x.dtype.kind != "f" and k * 8 < n or x.dtype.kind == "f" and k * 8 < n and not np.isnan(x).any():
        order = np.argpartition(x, n - k if largest else k, axis=dim) if k else np.argsort(x, axis=dim)
        picked = np.take(order, range(n - k, n) if largest else range(k), axis=dim)
        picked.sort(axis=dim)
        inner = ordering(np.take_along_axis(x, picked, dim), dim, largest)
        order = np.take_along_axis(picked, inner, dim)
    else:
        order = np.take(ordering(x, dim, largest), range(k), axis=dim)
    return np.take_along_axis(input, order, dim), order


@composite(overlap="same")
def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:  # noqa: A002
    """(values, indices) of the `k` largest (or smallest) elements along `dim`, sorted.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1, 5, 3]).topk(2).values
        tensor([5, 3])
    """
    return top(input, int(k), dim, largest, sorted)


def _infer_pick(m: Meta, dim: int, keepdim: bool) -> tuple[Meta, Meta]:
    d = wrap_dim(dim, m.ndim)
    if m.ndim and m.shape[d] == 0:
        raise IndexError(f"Expected reduction dim {d} to have non-zero size.")
    shape = reduced_shape(m, dim, keepdim)
    return contiguous(m.dtype, shape), contiguous(dtypes.int64, shape)


def _picked(input: np.ndarray, positions: np.ndarray, dim: int, keepdim: bool) -> tuple[np.ndarray, np.ndarray]:
    values = np.take_along_axis(input, positions, dim)
    return (values, positions) if keepdim else (values.squeeze(dim), positions.squeeze(dim))


def _infer_kth(m: Meta, k: int, dim: int, keepdim: bool) -> tuple[Meta, Meta]:
    size = m.shape[wrap_dim(dim, m.ndim)] if m.ndim else 1
    if not 1 <= k <= size:
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {dim}: k={k}, size {size}")
    return _infer_pick(m, dim, keepdim)


@library(
    node_name="KthvalueBackward0",
    expand=_expand_orders.kth,
    category="sort",
    method=False,
    function=False,
    infer=_infer_kth,
    result_type=kthvalue_result,
    nondifferentiable=(1,),
    gradient={"input": lambda g0, out1, input_meta, dim, keepdim: scatter_grad(g0, input_meta, dim, keepdim, out1)},
)
def kth(input: Any, k: int, dim: int, keepdim: bool) -> Any:
    """The k-th smallest along `dim` and its position."""
    if input.ndim == 0:
        return input.copy(), np.zeros((), np.int64)
    return _picked(input, np.take(ordering(input, dim, False), [k - 1], axis=dim), dim, keepdim)


@composite(overlap="none")
def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """(values, indices) of the `k`-th smallest elements along `dim`, counted from 1.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1, 5, 3]).kthvalue(2).values
        tensor(3)
    """
    return kth(input, k, dim, keepdim)


def _median_positions(x: np.ndarray, dim: int, ignore_nan: bool) -> np.ndarray:
    order = ordering(x, dim, False)
    n = x.shape[dim]
    wide = accumulated(x)
    nans = np.isnan(wide).sum(axis=dim, keepdims=True) if wide.dtype.kind == "f" else np.zeros(1, np.int64)
    shape = [1 if i == dim % x.ndim else s for i, s in enumerate(x.shape)]
    nans = np.broadcast_to(nans, shape)
    middle = np.maximum((n - nans - 1) // 2, 0) if ignore_nan else np.where(nans > 0, n - nans, (n - 1) // 2)
    return np.take_along_axis(order, middle, dim)


@library(
    node_name="MedianBackward1",
    expand=_expand_orders.median(ignore_nan=False),
    category="sort",
    method=False,
    function=False,
    infer=_infer_pick,
    result_type=median_result,
    nondifferentiable=(1,),
    gradient={"input": lambda g0, out1, input_meta, dim, keepdim: scatter_grad(g0, input_meta, dim, keepdim, out1)},
)
def median_along(input: Any, dim: int, keepdim: bool) -> Any:
    """The lower median along `dim` and its position; NaN if there is one."""
    if input.ndim == 0:
        return input.copy(), np.zeros((), np.int64)
    return _picked(input, _median_positions(input, dim, False), dim, keepdim)


@library(
    expand=_expand_orders.median(ignore_nan=True),
    category="sort",
    method=False,
    function=False,
    infer=_infer_pick,
    result_type=nanmedian_result,
    nondifferentiable=(1,),
    gradient={"input": lambda g0, out1, input_meta, dim, keepdim: scatter_grad(g0, input_meta, dim, keepdim, out1)},
)
def nanmedian_along(input: Any, dim: int, keepdim: bool) -> Any:
    """The lower median along `dim` of what is not NaN, and its position."""
    if input.ndim == 0:
        return input.copy(), np.zeros((), np.int64)
    return _picked(input, _median_positions(input, dim, True), dim, keepdim)


def _saved_for_median(input: Any, dim: int | None = None, keepdim: bool = False) -> tuple[str, ...]:
    return ("input", "out") if dim is None else ()


def _whole(function: Any, input: Any) -> Any:
    """The median of all elements; NaN of none."""
    if input.numel() == 0:
        return input.new_full((), float("nan"))
    return function(input.reshape(-1), 0, False).values


@composite(
    node_name=lambda input, dim=None, *_, **named: f"MedianBackward{0 if dim is None else 1}",
    shows=("input",),
    saves=_saved_for_median,
)
def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The median of all elements, or (values, indices) along `dim`; of an even number the lower one.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1., 5., 3., 9.]).median()
        tensor(3.)
    """
    return _whole(median_along, input) if dim is None else median_along(input, dim, keepdim)


@composite(saves=_saved_for_median)
def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """`median` of what is not NaN.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1., float("nan"), 3.]).nanmedian()
        tensor(1.)
    """
    return _whole(nanmedian_along, input) if dim is None else nanmedian_along(input, dim, keepdim)


@library(
    node_name="ModeBackward0",
    category="sort",
    method=False,
    function=False,
    infer=_infer_pick,
    result_type=mode_result,
    nondifferentiable=(1,),
    gradient={"input": lambda g0, out1, input_meta, dim, keepdim: scatter_grad(g0, input_meta, dim, keepdim, out1)},
)
def mode_along(input: Any, dim: int, keepdim: bool) -> Any:
    """The most frequent value along `dim`, the smallest of equals, and its last position."""
    if input.ndim == 0:
        return input.copy(), np.zeros((), np.int64)
    order = ordering(input, dim, False)
    rows = np.moveaxis(np.take_along_axis(accumulated(input), order, dim), dim, -1)
    starts = np.ones(rows.shape, bool)
    starts[..., 1:] = rows[..., 1:] != rows[..., :-1]
    n = rows.shape[-1]
    begin = np.maximum.accumulate(np.where(starts, np.arange(n), 0), axis=-1)
    best = np.argmax(np.arange(n) - begin, axis=-1)  # the end of the longest run, the first of equals
    positions = np.take_along_axis(order, np.expand_dims(best, dim), dim)
    return _picked(input, positions, dim, keepdim)


@composite(overlap="none")
def mode(input: Any, dim: int = -1, keepdim: bool = False) -> Any:
    """(values, indices) of the most frequent values along `dim`.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1, 2, 2]).mode().values
        tensor(2)
    """
    return mode_along(input, dim, keepdim)


# ---------------------------------------------------------------------------------------------- quantiles


def _quantile(input: Any, q: Any, dim: int | None, keepdim: bool, interpolation: str, ignore_nan: bool) -> Any:
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(
            f"quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, but got "
            f"{interpolation}"
        )
    if input.numel() == 0:
        raise RuntimeError("quantile() input tensor must be non-empty")
    if input.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(f"quantile() input tensor must be either float or double dtype, got {input.dtype}")
    q = q if isinstance(q, TensorBase) else input.new_tensor(q)
    if bool(((q < 0) | (q > 1)).any()):
        raise RuntimeError("quantile() q values must be in the range [0, 1]")
    rank = input.dim()
    x = input.reshape(-1) if dim is None or not rank else input.movedim(dim, -1)
    ordered = sorted_along(x, -1, False).values
    missing = x.isnan().sum(-1, True)
    last = (x.shape[-1] - missing).clamp(min=1) - 1 if ignore_nan else missing * 0 + (x.shape[-1] - 1)
    found = _interpolated(ordered, q.reshape(-1).to(input.dtype) * last.to(input.dtype), interpolation)
    found = found.masked_fill((missing == x.shape[-1]) if ignore_nan else (missing > 0), float("nan"))
    found = found.movedim(-1, 0)
    if keepdim:
        found = (
            found.unsqueeze(1 + dim % rank)
            if dim is not None and rank
            else found.reshape([found.shape[0]] + [1] * rank)
        )
    return owner(found if q.dim() else found.squeeze(0))


def _interpolated(ordered: Any, rank: Any, interpolation: str) -> Any:
    """Elements of sorted rows at fractional positions."""
    if interpolation in ("lower", "higher", "nearest"):
        whole = {"lower": rank.floor, "higher": rank.ceil, "nearest": rank.round}[interpolation]()
        return ordered.gather(-1, whole.long())
    low = rank.floor()
    below, above = ordered.gather(-1, low.long()), ordered.gather(-1, rank.ceil().long())
    return below.lerp(above, 0.5 * (rank != low).to(rank.dtype) if interpolation == "midpoint" else rank - low)


@composite()
def quantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Any:
    """The value below which the share `q` of the elements along `dim` lies; NaN if there is one.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([0., 1., 2., 3.]).quantile(0.5)
        tensor(1.5000)
    """
    return _quantile(input, q, dim, keepdim, interpolation, False)


@composite()
def nanquantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Any:
    """`quantile` of what is not NaN.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([0., float("nan"), 2.]).nanquantile(0.5)
        tensor(1.)
    """
    return _quantile(input, q, dim, keepdim, interpolation, True)


# ---------------------------------------------------------------------------------------------- counting


@library(category="sort", method=False, function=False)
def unique_of(input: Any, dim: int | None) -> Any:
    """(sorted unique elements or slices, the position of each input among them, how often each occurs); every NaN
    differs from every other."""
    x = accumulated(input)
    found = _unique_integers(x.reshape(-1)) if dim is None else None
    if found is not None:
        values, counts, shifted = found
        return values, (np.cumsum(counts > 0) - 1)[shifted].reshape(x.shape), counts[counts > 0]
    values, inverse, counts = np.unique(x, axis=dim, return_inverse=True, return_counts=True, equal_nan=False)
    return values.astype(input.dtype), inverse.reshape(x.shape if dim is None else -1), counts


@library(category="sort", method=False, function=False)
def unique_elements(input: Any) -> Any:
    """(sorted unique elements, how often each occurs)."""
    x = accumulated(input).reshape(-1)
    found = _unique_integers(x)
    if found is not None:
        return found[0], found[1][found[1] > 0]
    ordered = np.sort(x)
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: x.size])
    return ordered[starts].astype(input.dtype), np.diff(starts, append=x.size)


def _unique_integers(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Of integers from a range with no more places than there are integers: (sorted unique ones, how often each of the
    range occurs, the place of each in the range). Counting takes less time than sorting."""
    if x.dtype.kind not in "iu" or not x.size or int(x.max()) - int(x.min()) >= x.size:
        return None
    low = x.min()
    shifted = np.subtract(x, low, dtype=np.int64, casting="unsafe")
    counts = np.bincount(shifted)
    return (np.flatnonzero(counts) + int(low)).astype(x.dtype), counts, shifted


@composite()
def unique(
    input: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,  # noqa: A002
) -> Any:
    """The unique elements (or slices along `dim`), sorted; on request the position of each input among them and counts.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([3, 1, 3]).unique()
        tensor([1, 3])
    """
    if dim is None and not return_inverse:
        values, counts = unique_elements(input)
        return (values, counts) if return_counts else values
    values, inverse, counts = unique_of(input, dim)
    found = (values,) + (inverse,) * return_inverse + (counts,) * return_counts
    return found if len(found) > 1 else values


@library(category="sort", method=False, function=False)
def unique_runs(input: Any, dim: int | None) -> Any:
    """Runs of equal neighbours: (their values, the run of each input, their lengths)."""
    x = input.reshape(-1) if dim is None else np.moveaxis(input, dim, 0)
    rows = x.reshape(x.shape[0], math.prod(x.shape[1:]))
    starts = np.ones(len(rows), bool)
    starts[1:] = (rows[1:] != rows[:-1]).any(1)
    values = x[starts]
    run = np.cumsum(starts) - 1
    counts = np.bincount(run, minlength=len(values)) if len(rows) else np.zeros(0, np.int64)
    return (
        (values if dim is None else np.moveaxis(values, 0, dim)),
        run.reshape(input.shape) if dim is None else run,
        counts,
    )


@composite()
def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The first of each run of equal neighbours.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1, 1, 2, 1]).unique_consecutive()
        tensor([1, 2, 1])
    """
    values, inverse, counts = unique_runs(input, dim)
    found = (values,) + (inverse,) * return_inverse + (counts,) * return_counts
    return found if len(found) > 1 else values


@library(category="sort", fallible=True)
def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each non-negative integer occurs, or the sum of its `weights`.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([0, 2, 2]).bincount()
        tensor([1, 0, 2])
    """
    if input.dtype.kind not in "iu":
        raise errors.not_implemented("bincount_cpu", input.dtype, hint="bincount counts integers: x.long()")
    if input.ndim != 1 or (input.size and input.min() < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is not None and weights.shape != input.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    counts = np.bincount(input, weights, minlength)
    return counts.astype(weights.dtype) if weights is not None and weights.dtype == np.float32 else counts


def _range_of(x: np.ndarray, low: float, high: float, margin: float) -> tuple[float, float]:
    """The range as given, or that of the data; widened on both sides by `margin` if it is a single point."""
    if low == high and x.size:
        low, high = float(x.min()), float(x.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise RuntimeError(f"range of [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError("max must be larger than min")
    return (low - margin, high + margin) if low == high else (low, high)


@library(category="sort")
def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:  # noqa: A002
    """How many elements fall into each of `bins` equal parts of [min, max] (by default of the data's range).

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1., 2., 1.]).histc(4, 0, 3)
        tensor([0., 2., 1., 0.])
    """
    if input.dtype.kind in "iub":
        raise errors.not_implemented("histogram_cpu", input.dtype, hint="convert first, x.float()")
    if bins <= 0:
        raise RuntimeError("bins must be > 0")
    x = accumulated(input).reshape(-1)
    low, high = _range_of(x, min, max, 1.0)
    counts = np.zeros(bins, np.int64)
    for first in range(0, x.size, BLOCK):
        part = x[first : first + BLOCK]
        part = part[np.flatnonzero((part >= low) & (part <= high))].astype(np.float64)
        places = np.minimum(((part - low) * (bins / (high - low))).astype(np.int64), bins - 1)
        counts += np.bincount(places, minlength=bins)
    return counts.astype(input.dtype)


histogram_result = named("histogram", "hist", "bin_edges")


@composite()
def histogram(
    input: Any, bins: Any, *, range: Sequence[float] | None = None, weight: Any = None, density: bool = False
) -> Any:  # noqa: A002
    """(counts, edges) over `bins` equal parts of `range`, or between the edges that `bins` gives.

    Example::

        >>> import flambeau as torch
        >>> torch.histogram(torch.tensor([1., 2., 1.]), bins=4, range=(0., 3.))[0]
        tensor([0., 2., 1., 0.])
    """
    low, high = range if range is not None else (0.0, 0.0)
    counts, edges = histogram_of(input, bins, weight, float(low), float(high), density)
    return histogram_result(counts, edges)


@library(category="sort", method=False, function=False)
def histogram_of(input: Any, bins: Any, weight: Any, low: float, high: float, density: bool) -> Any:
    """(counts, edges)."""
    x = input.reshape(-1)
    if isinstance(bins, np.ndarray):
        edges = bins
    else:
        low, high = _range_of(x, low, high, 0.5) if x.size or low != high else (0.0, 1.0)
        edges = np.linspace(low, high, bins + 1, dtype=input.dtype)
    counts, _ = np.histogram(x, edges, weights=None if weight is None else weight.reshape(-1), density=density)
    return counts.astype(input.dtype), edges.copy()
