"""Scans: cumulative sums, products, extrema; differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes
from flambeau._core.dtypes import dtype
from flambeau._core.lazy import lazy_module
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops import _expand_orders
from flambeau._ops.infer import wrap_dim, wrap_dims
from flambeau._ops.join import cat
from flambeau._ops.reduce import accumulated, in_dtype, sum_dtype
from flambeau._ops.registry import composite, library
from flambeau._ops.results import values_and_indices

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

cummax_result, cummin_result = values_and_indices("cummax"), values_and_indices("cummin")


def _infer_scan(m: Meta, dim: int, dtype: dtype | None = None) -> Meta:
    wrap_dim(dim, m.ndim)
    return contiguous(sum_dtype(m, dtype), m.shape)


def reversed_cumsum(g: Any, dim: int) -> Any:
    """Sums from each position to the end."""
    return g.flip(dim).cumsum(dim).flip(dim) if g.dim() else g


@library(
    out="computed",
    overlap="same",
    expand=_expand_orders.accumulation("sum"),
    category="scan",
    inplace=True,
    infer=_infer_scan,
    gradient={"input": lambda g, dim: reversed_cumsum(g, dim)},
)
def cumsum(input: Any, dim: int, dtype: dtype | None = None) -> Any:
    """Running sums along `dim`; integers as int64.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1, 2, 3]).cumsum(0)
        tensor([1, 3, 6])
    """
    x = in_dtype(input, dtype)
    found = x.cumsum(axis=dim) if x.ndim else x.copy()
    if found.dtype.kind == "f":
        found += 0  # a sum of nothing but -0 is 0, as it begins with 0
    return found


@library(
    out="computed",
    overlap="same",
    expand=_expand_orders.accumulation("prod"),
    category="scan",
    inplace=True,
    infer=_infer_scan,
    gradient={"input": lambda g, input, out, dim: _cumprod_grad(g, input, out, dim)},
)
def cumprod(input: Any, dim: int, dtype: dtype | None = None) -> Any:
    """Running products along `dim`; integers as int64.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1, 2, 3]).cumprod(0)
        tensor([1, 2, 6])
    """
    x = in_dtype(input, dtype)
    return x.cumprod(axis=dim) if x.ndim else x.copy()


def _cumprod_grad(g: Any, x: Any, out: Any, dim: int) -> Any:
    """Without zeros the reversed running sum of g * out, divided by x; a zero blocks what lies behind the first one."""
    if x.dim() == 0 or x.numel() == 0:
        return g
    x = x.to(out.dtype)
    xc, outc = (x.conj(), out.conj()) if x.dtype.is_complex else (x, out)
    plain = reversed_cumsum(g * outc, dim) / xc
    zeros = (x == 0).cumsum(dim)
    if not bool(zeros.any()):
        return plain
    first = (zeros == 1) & (x == 0)
    before = zeros == 0
    # products with the first zero taken as 1: what the derivative by that zero sees
    without = xc.masked_fill(first, 1).cumprod(dim)
    reach = without.masked_fill(zeros > 1, 0)
    at_first = reversed_cumsum((g * reach).masked_fill(before, 0), dim)
    left = reversed_cumsum((g * outc).masked_fill(zeros > 0, 0), dim) / xc.masked_fill(x == 0, 1)
    return (left.masked_fill(~before, 0)) + at_first.masked_fill(~first, 0)


@library(
    overlap="same",
    category="scan",
    inplace=True,
    infer=lambda m, dim: _infer_scan(m, dim, m.dtype if m.dtype.differentiable else dtypes.get_default_dtype()),
    gradient={"input": lambda g, input, out, dim: _logcumsumexp_grad(g, input, out, dim)},
)
def logcumsumexp(input: Any, dim: int) -> Any:
    """Logarithms of running sums of exponentials along `dim`.

    Example::

        >>> import flambeau as torch
        >>> torch.zeros(2).logcumsumexp(0)
        tensor([0.0000, 0.6931])
    """
    x = accumulated(input)
    if x.dtype.kind == "c":
        return _complex_logcumsumexp(x, dim) if x.ndim else x.copy()
    return np.logaddexp.accumulate(x, axis=dim) if x.ndim else x.copy()


def _complex_logcumsumexp(x: np.ndarray, dim: int) -> np.ndarray:
    """Step by step from the larger term, whose phase is kept beyond 2 pi."""
    rows = np.moveaxis(x, dim, 0)
    result = np.empty_like(rows)
    for i, row in enumerate(rows):
        result[i] = row if i == 0 else _complex_logaddexp(result[i - 1], row)
    return np.moveaxis(result, 0, dim)


def _complex_logaddexp(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    high, low = np.where(a.real >= b.real, a, b), np.where(a.real >= b.real, b, a)
    with np.errstate(all="ignore"):
        total = high + np.log1p(np.exp(low - high))
    return np.where(np.isneginf(low.real), high, total)


def _logcumsumexp_grad(g: Any, x: Any, out: Any, dim: int) -> Any:
    if x.dim() == 0:
        return g
    if x.dtype.is_complex:
        return reversed_cumsum(g * (-out).exp().conj(), dim) * x.exp().conj()
    # split by sign so that everything can be done with logarithms, which do not overflow; the log of zero is the least
    # finite number, which subtracted from itself gives no NaN when this is differentiated again
    lowest = float(np.finfo(x.dtype.numpy).min)
    size = g.abs().masked_fill(g == 0, 1).log()
    positive, negative = size.masked_fill(g <= 0, lowest), size.masked_fill(g >= 0, lowest)
    parts = [(_reversed_logcumsumexp(part - out, dim) + x).exp() for part in (positive, negative)]
    return parts[0] - parts[1]


def _reversed_logcumsumexp(x: Any, dim: int) -> Any:
    return x.flip(dim).logcumsumexp(dim).flip(dim)


def _infer_cumulative_extremum(m: Meta, dim: int) -> tuple[Meta, Meta]:
    wrap_dim(dim, m.ndim)
    return contiguous(m.dtype, m.shape), contiguous(dtypes.int64, m.shape)


def _cumulative(x: np.ndarray, dim: int, better: Any) -> tuple[np.ndarray, np.ndarray]:
    """Running extrema and their positions, the last of equals; NaN stays from where it appears."""
    if x.ndim == 0 or x.size == 0:
        return x.copy(), np.zeros(x.shape, np.int64)
    wide = accumulated(x)
    running = better.accumulate(wide, axis=dim)
    hit = (wide == running) | (np.isnan(wide) if wide.dtype.kind == "f" else False)
    shape = [1] * x.ndim
    shape[dim] = x.shape[dim]
    positions = np.where(hit, np.arange(x.shape[dim]).reshape(shape), 0)
    positions = np.maximum.accumulate(positions, axis=dim)
    return np.take_along_axis(x, positions, dim), positions


def _grad_to_positions(g: Any, m: Meta, dim: int, positions: Any) -> Any:
    return g if m.ndim == 0 else g.new_zeros(m.shape).scatter_add(dim, positions, g)


@library(
    expand=_expand_orders.running_extremum("max"),
    category="scan",
    infer=_infer_cumulative_extremum,
    result_type=cummax_result,
    nondifferentiable=(1,),
    gradient={"input": lambda g0, out1, input_meta, dim: _grad_to_positions(g0, input_meta, dim, out1)},
    saves=("input",),
)
def cummax(input: Any, dim: int) -> Any:
    """Running maxima along `dim` and their positions.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1, 3, 2]).cummax(0).values
        tensor([1, 3, 3])
    """
    return _cumulative(input, dim, np.maximum)


@library(
    expand=_expand_orders.running_extremum("min"),
    category="scan",
    infer=_infer_cumulative_extremum,
    result_type=cummin_result,
    nondifferentiable=(1,),
    gradient={"input": lambda g0, out1, input_meta, dim: _grad_to_positions(g0, input_meta, dim, out1)},
    saves=("input",),
)
def cummin(input: Any, dim: int) -> Any:
    """Running minima along `dim` and their positions.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([3, 1, 2]).cummin(0).values
        tensor([3, 1, 1])
    """
    return _cumulative(input, dim, np.minimum)


# ---------------------------------------------------------------------------------------------- differences and
# integrals


@composite()
def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Differences of neighbours along `dim`, `n` times over.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1, 4, 9]).diff()
        tensor([3, 5])
    """
    if input.dim() == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    parts = [p for p in (prepend, input, append) if p is not None]
    x = cat(parts, dim) if len(parts) > 1 else input.clone() if n == 0 else input
    for _ in range(builtin_min(n, x.shape[dim])):
        size = x.shape[dim]
        after, before = x.narrow(dim, 1, size - 1), x.narrow(dim, 0, size - 1)
        x = after.logical_xor(before) if x.dtype is dtypes.bool_ else after - before
    return x


def builtin_min(a: int, b: int) -> int:
    return a if a < b else b


@composite(method=False, aliases=("trapz",))
def trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """The integral along `dim` by the trapezoidal rule, over points `x` or with spacing `dx` (1 by default).

    Example::

        >>> import flambeau as torch
        >>> torch.trapezoid(torch.tensor([1., 5., 10.]))
        tensor(10.5000)
    """
    return _areas(y, x, dx, dim).sum(dim)


@composite(method=False)
def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """Running integrals along `dim` by the trapezoidal rule.

    Example::

        >>> import flambeau as torch
        >>> torch.cumulative_trapezoid(torch.tensor([1., 5., 10.]))
        tensor([ 3.0000, 10.5000])
    """
    return _areas(y, x, dx, dim).cumsum(dim)


def _areas(y: Any, x: Any, dx: Any, dim: int) -> Any:
    """The trapezoids between neighbours."""
    size = y.shape[dim]
    if size == 0:
        return y.new_zeros(y.shape)
    pairs = y.narrow(dim, 1, size - 1) + y.narrow(dim, 0, size - 1)
    if x is None:
        return pairs * ((1 if dx is None else dx) / 2)
    if x.dim() == 1 and y.dim() > 1:
        shape: Sequence[int] = [1] * y.dim()
        shape = [*shape[: wrap_dim(dim, y.dim())], x.shape[0], *shape[wrap_dim(dim, y.dim()) + 1 :]]
        x = x.reshape(shape)
    return pairs * diff(x, dim=dim) / 2


# ---------------------------------------------------------------------------------------------- derivatives


@composite(method=False)
def gradient(input: Any, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> tuple[Any, ...]:
    """The numerical derivative of samples along each of `dim` (all by default): second-order central differences
    inside, one-sided ones of order `edge_order` (1 or 2) at the ends.

    `spacing` is the distance of samples, a list with one for each dimension, or a list of tensors with coordinates.
    RuntimeError for a dimension with fewer than edge_order + 1 samples.

    Example::

        >>> import flambeau as torch
        >>> torch.gradient(torch.tensor([1., 4., 9., 16.]))
        (tensor([3., 4., 6., 7.]),)
    """
    dims = wrap_dims(dim, input.dim())
    spacing = 1 if spacing is None else spacing
    steps = list(spacing) if isinstance(spacing, (tuple, list)) else [spacing] * len(dims)
    if len(steps) != len(dims):
        raise RuntimeError(
            f"torch.gradient expected spacing to be unspecified, a scalar, or a list with {len(dims)} items, one for "
            f"each dimension, got {len(steps)}"
        )
    if edge_order not in (1, 2):
        raise RuntimeError(f"torch.gradient only supports edge_order=1 and edge_order=2, got {edge_order}")
    for d in dims:
        if input.shape[d] <= edge_order:
            raise RuntimeError(
                f"torch.gradient expected each dimension size to be at least edge_order+1, got {input.shape[d]} for "
                f"dimension {d}"
            )
    return tuple([_derivative(input, d, s, edge_order) for d, s in zip(dims, steps, strict=True)])


def _derivative(f: Any, dim: int, step: Any, edge_order: int) -> Any:
    """Weighted sums of neighbours; the weights are those of the parabola through three samples (Fornberg 1988)."""
    n = f.shape[dim]

    def part(start: int, count: int = 1) -> Any:
        return f.narrow(dim, start % n, count)

    if getattr(step, "ndim", 0):
        shape = [1] * f.dim()
        shape[dim] = n - 1
        before = diff(step).reshape(shape)
        left, right = before.narrow(dim, 0, n - 2), before.narrow(dim, 1, n - 2)
        first, second = before.narrow(dim, 0, 1), before.narrow(dim, builtin_min(1, n - 2), 1)
        last, previous = before.narrow(dim, n - 2, 1), before.narrow(dim, n - 3 if n > 2 else 0, 1)
    else:
        left = right = first = second = last = previous = step
    inner = _three_point(part(0, n - 2), part(1, n - 2), part(2, n - 2), left, right)
    if edge_order == 1:
        start, end = (part(1) - part(0)) / first, (part(-1) - part(-2)) / last
    else:
        start = _end_point(part(0), part(1), part(2), first, second)
        end = -_end_point(part(-1), part(-2), part(-3), last, previous)
    return cat([start, inner, end], dim)


def _three_point(before: Any, at: Any, after: Any, left: Any, right: Any) -> Any:
    """The slope at the middle one of three samples, `left` and `right` away from the others."""
    if left is right:
        return (after - before) / (2 * left)
    return (
        before * (-right / (left * (left + right)))
        + at * ((right - left) / (left * right))
        + after * (left / (right * (left + right)))
    )


def _end_point(at: Any, near: Any, far: Any, first: Any, second: Any) -> Any:
    """The slope at the first of three samples, the second of which is `first` away, and the third `second` more."""
    return (
        at * (-(2 * first + second) / (first * (first + second)))
        + near * ((first + second) / (first * second))
        + far * (-first / (second * (first + second)))
    )
