"""What library operations mean to the compiler: their `expand` functions, in the terms of `_ir.graph`.

Each takes the graph being built, then the operation's own arguments with Arrays in place of tensors, and says the same
as the body. What is not said here, or raises Unsupported, is run by the body.

Here: copies and fills, reductions, rows, products. Look-ups and writes are in `_expand_places`, sliding windows in
`_expand_windows`, orderings and scans in `_expand_orders`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flambeau._core import dtypes
from flambeau._core.dtypes import dtype
from flambeau._ir.graph import Array, Graph, Unsupported, broadcast
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops.infer import last_dims, wrap_dim, wrap_dims

Dims = int | Sequence[int] | None
FEW = 64  # elements that each element may be compared with


def wide(x: Array) -> Array:
    """The array in the precision it is computed in: halves become float32."""
    return x.cast(dtypes.float32) if x.dtype in dtypes.HALVES else x


def nonempty(x: Array) -> Array:
    """The array, which has elements; Unsupported if there are none."""
    if x.meta.numel == 0:
        raise Unsupported("no elements")
    return x


def _kept(r: Array, dims: Sequence[int], keepdim: bool) -> Array:
    """A reduction's result with or without its reduced dimensions."""
    return r if keepdim or not dims else r.squeeze(tuple(dims))


def select(c: Graph, condition: Array, x: Array, y: Array) -> Array:
    """`x` where the condition holds, elsewhere `y`; both of one dtype, which may be half precision."""
    return c.map("where", condition, wide(x), wide(y))


# ---------------------------------------------------------------------------------------------- copies and fills


def cast(c: Graph, x: Array, d: dtype) -> Array:
    if d in dtypes.STORED:
        raise Unsupported("a dtype that is not computed with")
    return c.cast(x, d)


def copy(c: Graph, x: Array, dense: bool) -> Array:
    return c.copy(x)


def filled(c: Graph, shape: Sequence[int], value: Any, d: dtype) -> Array:
    if d.is_complex or d in dtypes.STORED:
        raise Unsupported("complex numbers, or a dtype that is not computed with")
    if d.category == dtypes.FLOAT:
        return c.const(float(value), d, shape)
    return c.const(bool(value) if d.category == dtypes.BOOL else int(value), d, shape)


def stepped(c: Graph, start: Any, step: Any, count: int, d: dtype) -> Array:
    if d.is_complex:
        raise Unsupported("complex numbers")
    i = c.index((count,), 0)
    if d.category <= dtypes.INTEGER:
        return c.cast(i * int(step) + int(start), d)
    start, step = [x if isinstance(x, Array) else float(x) for x in (start, step)]
    return c.cast(c.cast(i, dtypes.float64) * step + start, d)


def spaced(c: Graph, start: Any, end: Any, steps: int, d: dtype) -> Array:
    if d.is_complex:
        raise Unsupported("complex numbers")
    if steps == 1:
        return c.cast(start, d).expand((1,)) if isinstance(start, Array) else filled(c, (1,), start, d)
    exact = dtypes.float64 if d.itemsize == 8 or d.category <= dtypes.INTEGER else dtypes.float32
    first, last = [
        c.cast(x, exact).expand((steps,)) if isinstance(x, Array) else c.const(x, exact, (steps,)) for x in (start, end)
    ]
    step = (last - first) / max(steps - 1, 1)
    i = c.index((steps,), 0)
    front, behind = c.cast(i, exact), c.cast((steps - 1) - i, exact)
    return c.cast(c.map("where", i < steps // 2, first + step * front, last - step * behind), d)


def identity(c: Graph, n: int, m: int, d: dtype) -> Array:
    if d.is_complex:
        raise Unsupported("complex numbers")
    return c.cast(c.map("eq", c.index((n, m), 0), c.index((n, m), 1)), d)


def insensitive(c: Graph, value: Array, *sources: Array) -> Array:
    return c.copy(value)


def tril(c: Graph, x: Array, diagonal: int = 0) -> Array:
    inside = c.index(x.shape, -2) + diagonal >= c.index(x.shape, -1)
    return select(c, inside, x, c.const(0, x.dtype))


def triu(c: Graph, x: Array, diagonal: int = 0) -> Array:
    outside = c.index(x.shape, -2) + (diagonal - 1) >= c.index(x.shape, -1)
    return select(c, outside, c.const(0, x.dtype), x)


# ---------------------------------------------------------------------------------------------- reductions


def summand(c: Graph, x: Array, d: dtype | None) -> Array:
    """The operand of a sum or product: converted to `d`, integers to int64, halves to float32."""
    if d is not None:
        x = c.cast(x, d)
    elif x.dtype.category < dtypes.FLOAT:
        x = c.cast(x, dtypes.int64)
    return wide(x)


def total(c: Graph, x: Array, dim: Dims = None, keepdim: bool = False, d: dtype | None = None) -> Array:
    dims = wrap_dims(dim, x.ndim)
    return _kept(c.reduce("sum", summand(c, x, d), dims), dims, keepdim)


def product(c: Graph, x: Array, dim: Dims, keepdim: bool, d: dtype | None) -> Array:
    dims = wrap_dims(dim, x.ndim)
    return _kept(c.reduce("prod", summand(c, x, d), dims), dims, keepdim)


def _count(x: Array, dims: Sequence[int]) -> int:
    return math.prod(x.shape[i] for i in dims)


def average(c: Graph, x: Array, dim: Dims, keepdim: bool, d: dtype | None) -> Array:
    dims = wrap_dims(dim, x.ndim)
    summed = c.reduce("sum", summand(c, x, d), dims)
    return _kept(summed / _count(x, dims), dims, keepdim)


def _centred(c: Graph, x: Array, dims: Sequence[int]) -> tuple[Array, Array]:
    """(x minus its mean, the mean)."""
    mean = c.reduce("sum", x, dims) / max(1, _count(x, dims))
    return x - mean, mean


def variance(c: Graph, x: Array, dim: Dims, correction: float, keepdim: bool) -> Array:
    x, dims = nonempty(wide(x)), wrap_dims(dim, x.ndim)
    centred, _ = _centred(c, x, dims)
    summed = c.reduce("sum", centred * centred, dims)
    return _kept(summed / max(0, _count(x, dims) - correction), dims, keepdim)


def extremum(combiner: str) -> Any:
    def expand(c: Graph, x: Array, dim: Dims = None, keepdim: bool = False) -> Array:
        dims = wrap_dims(dim, x.ndim)
        return _kept(c.reduce(combiner, nonempty(wide(x)), dims), dims, keepdim)

    return expand


def position(combiner: str) -> Any:
    def expand(c: Graph, x: Array, dim: int | None = None, keepdim: bool = False) -> Array:
        x = nonempty(wide(x))
        if dim is None:
            found = c.reduce(combiner, x.reshape((x.meta.numel,)), (0,))
            return found.reshape((1,) * x.ndim if keepdim else ())
        dims = wrap_dims(dim, x.ndim)
        return _kept(c.reduce(combiner, x, dims), dims, keepdim)

    return expand


def extremum_and_position(name: str) -> Any:
    def expand(c: Graph, x: Array, dim: int, keepdim: bool) -> tuple[Array, Array]:
        if x.ndim == 0:
            raise Unsupported("a single number")
        x, dims = nonempty(wide(x)), wrap_dims(dim, x.ndim)
        value, place = c.reduce(name, x, dims), c.reduce(f"arg{name}", x, dims)
        return _kept(value, dims, keepdim), _kept(place, dims, keepdim)

    return expand


def truth(combiner: str) -> Any:
    def expand(c: Graph, x: Array, dim: Dims = None, keepdim: bool = False) -> Array:
        dims = wrap_dims(dim, x.ndim)
        return _kept(c.reduce(combiner, c.cast(wide(x), dtypes.bool_), dims), dims, keepdim)

    return expand


def count_nonzero(c: Graph, x: Array, dim: Dims = None) -> Array:
    return total(c, c.cast(wide(x), dtypes.bool_), dim)


def nansum(c: Graph, x: Array, dim: Dims = None, keepdim: bool = False, d: dtype | None = None) -> Array:
    dims, x = wrap_dims(dim, x.ndim), summand(c, x, d)
    if x.dtype.category == dtypes.FLOAT:
        x = c.map("where", c.map("isnan", x), 0.0, x)
    return _kept(c.reduce("sum", x, dims), dims, keepdim)


def is_in(c: Graph, x: Any, tests: Any, assume_unique: bool = False, invert: bool = False) -> Array:
    """A comparison with each of a few."""
    if not isinstance(x, Array) or not isinstance(tests, Array) or not 0 < tests.meta.numel <= FEW:
        raise Unsupported("numbers, or many to compare with")
    row = wide(tests).reshape((1,) * x.ndim + (tests.meta.numel,))
    found = c.reduce("any", c.map("eq", wide(nonempty(x)).unsqueeze(-1), row), (-1,)).squeeze(-1)
    return c.map("logical_not", found) if invert else found


def p_norm(c: Graph, x: Array, order: float, dim: Dims, keepdim: bool) -> Array:
    dims, x = wrap_dims(dim, x.ndim), nonempty(wide(x))
    if math.isinf(order):
        found = c.reduce("max" if order > 0 else "min", abs(x), dims)
    elif order == 0:
        found = c.reduce("sum", c.cast(c.map("ne", x, 0.0), x.dtype), dims)
    elif order == 1:
        found = c.reduce("sum", abs(x), dims)
    elif order == 2:
        found = c.map("sqrt", c.reduce("sum", x * x, dims))
    else:
        found = c.reduce("sum", abs(x) ** float(order), dims) ** (1 / order)
    return _kept(found, dims, keepdim)


def log_sum_exp(c: Graph, x: Array, dim: Dims, keepdim: bool) -> Array:
    exact = wide(x) if x.dtype.category == dtypes.FLOAT else c.cast(x, dtypes.float64)
    x, dims = nonempty(exact), wrap_dims(dim, x.ndim)
    top = c.reduce("max", x, dims)
    top = c.map("where", c.map("isfinite", top), top, 0.0)
    summed = c.reduce("sum", c.map("exp", x - top), dims)
    return _kept(c.map("log", summed) + top, dims, keepdim)


# ---------------------------------------------------------------------------------------------- rows


def softmax(c: Graph, x: Array, dim: int) -> Array:
    x, dims = _rows(x, dim)
    e = c.map("exp", x - c.reduce("max", x, dims))
    return e * (1.0 / c.reduce("sum", e, dims))


def log_softmax(c: Graph, x: Array, dim: int) -> Array:
    x, dims = _rows(x, dim)
    shifted = x - c.reduce("max", x, dims)
    return shifted - c.map("log", c.reduce("sum", c.map("exp", shifted), dims))


def _rows(x: Array, dim: int) -> tuple[Array, tuple[int, ...]]:
    if x.ndim == 0:
        raise Unsupported("a single number")
    return nonempty(wide(x)), (wrap_dim(dim, x.ndim),)


def standardize(c: Graph, x: Array, dims: tuple[int, ...], eps: float) -> tuple[Array, Array, Array]:
    normalised, mean, variance, _ = _standardized(c, nonempty(wide(x)), dims, eps)
    return normalised, mean, variance


def _standardized(c: Graph, x: Array, dims: Sequence[int], eps: float) -> tuple[Array, Array, Array, Array]:
    """x over `dims` without its mean and over its standard deviation; the mean, the variance, and the inverse of the
    standard deviation."""
    centred, mean = _centred(c, x, dims)
    variance = c.reduce("sum", centred * centred, dims) / _count(x, dims)
    inverse = 1.0 / c.map("sqrt", variance + eps)
    return centred * inverse, mean, variance, inverse


def layer_normalised(c: Graph, x: Array, shape: tuple[int, ...], eps: float, weight: Array | None = None,
                     bias: Array | None = None) -> tuple[Array, Array, Array]:  # fmt: skip
    out, mean, _, inverse = _standardized(c, nonempty(wide(x)), last_dims(x.ndim, len(shape)), eps)
    if weight is not None:
        out = out * wide(weight)
    if bias is not None:
        out = out + wide(bias)
    return out, mean, inverse


def layer_normalised_grad(c: Graph, g: Array, x: Array, mean: Array, inverse: Array, dims: tuple[int, ...],
                          weight: Array | None = None) -> tuple[Array, Array, Array]:  # fmt: skip
    g, count, rows = nonempty(wide(g)), _count(x, dims), tuple(range(dims[0]))
    normalised = (wide(x) - mean) * inverse
    scaled = g if weight is None else g * wide(weight)
    average = c.reduce("sum", scaled, dims) / count
    along = c.reduce("sum", scaled * normalised, dims) / count
    of_weight, of_bias = [_kept(c.reduce("sum", y, rows) if rows else y, rows, False) for y in (g * normalised, g)]
    return (scaled - average - normalised * along) * inverse, of_weight, of_bias


def channels_normalised(c: Graph, x: Array, mean: Array, variance: Array, eps: float, weight: Array | None = None,
                        bias: Array | None = None) -> Array:  # fmt: skip
    def by_channel(values: Array) -> Array:
        return values.reshape((1, values.shape[0], *(1,) * (x.ndim - 2)))

    inverse = 1.0 / c.map("sqrt", wide(variance) + eps)
    out = (nonempty(wide(x)) - by_channel(wide(mean))) * by_channel(inverse)
    if weight is not None:
        out = out * by_channel(wide(weight))
    return out if bias is None else out + by_channel(wide(bias))


def total_squared_error(c: Graph, x: Array, target: Array, mean: bool) -> Array:
    d = dtypes.result_type_of([(a.dtype, a.ndim) for a in (x, target)])
    error = wide(c.cast(x, d)) - wide(c.cast(target, d))
    squares = error * error
    return average(c, squares, None, False, None) if mean else total(c, squares)


def nll(c: Graph, x: Array, target: Array, weight: Array | None, ignore_index: int) -> tuple[Array, Array]:
    x = nonempty(wide(x))
    safe, counted, weights = _targets(c, x, target, weight, ignore_index)
    return _picked(c, x, safe, counted, weights), weights


def _targets(c: Graph, x: Array, target: Array, weight: Array | None, ignore_index: int) -> tuple[Array, Array, Array]:
    """(targets with ignored ones replaced by 0, which count, the weight each counts with)."""
    target = c.cast(target, dtypes.int64)
    counted = c.map("ne", target, ignore_index)
    safe = c.map("checked", c.map("where", counted, target, 0), x.shape[1 if x.ndim > 1 else 0])
    if weight is None:
        return safe, counted, c.cast(counted, x.dtype)
    found = c.gather(c.cast(weight, x.dtype), 0, safe, check=False)
    return safe, counted, c.map("where", counted, found, 0.0)


def _picked(c: Graph, x: Array, target: Array, counted: Array, weights: Array) -> Array:
    """Minus what stands at the targets, weighted. What was computed just before is better picked while it is at hand
    than looked up in memory."""
    axis = 1 if x.ndim > 1 else 0
    here = c.map("eq", c.index(x.shape, axis), target.unsqueeze(axis) if x.ndim > 1 else target.reshape((1,)))
    picked = c.reduce("sum", c.map("where", here, x, 0.0), (axis,))
    picked = picked.squeeze(axis) if x.ndim > 1 else picked.reshape(target.shape)
    return c.map("where", counted, -picked * weights, 0.0)


def mean_entropy(c: Graph, x: Array, target: Array, weight: Array | None, ignore_index: int) -> tuple[Array, Array]:
    x = wide(x)
    safe, counted, weights = _targets(c, x, target, weight, ignore_index)
    whole = total(c, weights)  # before the rows, so that these may be one loop together with what the gradient needs
    losses = _picked(c, log_softmax(c, x, 1 if x.ndim > 1 else 0), safe, counted, weights)
    return total(c, losses) / whole, weights


def mean_entropy_grad(c: Graph, g: Array, x: Array, target: Array, weights: Array) -> Array:
    axis = 1 if x.ndim > 1 else 0
    g, w = wide(g), wide(weights)
    whole = total(c, w)
    scale = g / c.map("where", c.map("eq", whole, 0.0), 1.0, whole) * w  # nothing comes of targets all ignored
    target = c.cast(target, dtypes.int64)
    if x.ndim > 1:
        target, scale = target.unsqueeze(axis), scale.unsqueeze(axis)
    here = c.map("eq", c.index(x.shape, axis), target)
    return (softmax(c, x, axis) - c.cast(here, w.dtype)) * scale


def bce(c: Graph, x: Array, target: Array) -> Array:
    x, t = wide(x), wide(target)
    inside = c.map("and_", c.map("ge", x, 0.0), c.map("le", x, 1.0))
    outside = c.cast(c.map("logical_not", inside), dtypes.int64)
    valid = c.cast(c.map("checked", outside, 1), x.dtype)  # 0, unless it stops the run
    wrong = c.map("maximum", c.map("log1p", -x), -100.0)
    return (t - 1.0) * wrong - t * c.map("maximum", c.map("log", x), -100.0) + valid


# ---------------------------------------------------------------------------------------------- products


def linear(c: Graph, x: Array, weight: Array, bias: Array | None = None) -> Array:
    x, w = wide(x), wide(weight)
    if w.ndim == 1:
        product = matmul(c, x, w)
        return product if bias is None else product + wide(bias)
    rows = x.reshape((math.prod(x.shape[:-1]), x.shape[-1]))
    out = contiguous(x.dtype, (rows.shape[0], w.shape[0]))
    operands = [rows, w.permute((1, 0))]
    if bias is not None:
        operands.append(wide(bias).expand(out.shape))
    (product,) = c.call("matmul", (None,), operands, (out,))
    return product.reshape((*x.shape[:-1], w.shape[0]))


def linear_grads(c: Graph, g: Array, x: Array | None, weight: Array | None, bias: bool) -> tuple[Array, ...]:
    rows = wide(g).reshape((math.prod(g.shape[:-1]), g.shape[-1]))
    found = [] if weight is None else [matmul(c, rows, weight).reshape((*g.shape[:-1], weight.shape[1]))]
    if x is not None:
        found.append(matmul(c, rows.permute((1, 0)), x.reshape((rows.shape[0], x.shape[-1]))))
    return (*found, total(c, rows, 0)) if bias else tuple(found)


def matmul(c: Graph, a: Array, b: Array) -> Array:
    a, b = wide(a), wide(b)
    if a.dtype.category == dtypes.BOOL:
        raise Unsupported("booleans")
    left, right = a.unsqueeze(0) if a.ndim == 1 else a, b.unsqueeze(1) if b.ndim == 1 else b
    batch = broadcast((left.shape[:-2], right.shape[:-2]))
    left, right = left.expand((*batch, *left.shape[-2:])), right.expand((*batch, *right.shape[-2:]))
    out = contiguous(a.dtype, (*batch, left.shape[-2], right.shape[-1]))
    (product,) = c.call("matmul", (None,), (left, right), (out,))
    if b.ndim == 1:
        product = product.squeeze(-1)
    return product.squeeze(len(batch)) if a.ndim == 1 else product


def convolution(
    c: Graph, x: Array, weight: Array, bias: Array | None, stride: tuple, padding: tuple, dilation: tuple,
    transposed: bool, output_padding: tuple, groups: int, shape: Sequence[int],
) -> Array:  # fmt: skip
    operands = [wide(x), wide(weight)] + ([] if bias is None else [wide(bias)])
    out = contiguous(operands[0].dtype, shape)
    if transposed:
        params: tuple = (stride, padding, dilation, output_padding, groups)
        return c.call("conv_transposed", params, operands, (out,))[0]
    return c.call("conv", (stride, padding, dilation, groups), operands, (out,))[0]


def convolution_weight_grad(
    c: Graph, g: Array, x: Array, shape: tuple, stride: tuple, padding: tuple, dilation: tuple, groups: int
) -> Array:
    operands = [wide(g), wide(x)]
    out = contiguous(operands[0].dtype, shape)
    return c.call("conv_weight", (stride, padding, dilation, groups), operands, (out,))[0]


# ---------------------------------------------------------------------------------------------- attention


def heads_inside(*metas: Meta) -> bool:
    """Do all of these, [..., heads, positions, width], have the heads of one position side by side in memory? So has
    what was cut out of one product for all heads; results then lie like that too, as PyTorch's do."""
    return all([m.ndim > 2 and m.shape[-3] > 1 and m.strides[-1] <= m.strides[-3] < m.strides[-2] for m in metas])


def _masked(mask: Array | None, is_causal: bool, scale: float, inside: bool) -> tuple[tuple, list[Array]]:
    """The parameters of the attention templates, and the mask as their last operand if there is one."""
    if mask is None:
        return (is_causal, scale, None, inside), []
    return (is_causal, scale, "bool" if mask.dtype is dtypes.bool_ else "float", inside), [mask]


def _turned(shape: Sequence[int], inside: bool) -> tuple[int, ...]:
    """The shape in memory."""
    return (*shape[:-3], shape[-2], shape[-3], shape[-1]) if inside else tuple(shape)


def attended(
    c: Graph, q: Array, k: Array, v: Array, mask: Array | None, is_causal: bool, scale: float
) -> tuple[Array, ...]:
    inside = heads_inside(q.meta)
    params, masks = _masked(mask, is_causal, scale, inside)
    shape = _turned((*q.shape[:-1], v.shape[-1]), inside)
    outputs = contiguous(q.dtype, shape), contiguous(q.dtype, q.shape[:-1])
    out, sums = c.call("attention", params, (q, k, v, *masks), outputs)
    return out.transpose(-3, -2) if inside else out, sums


def attended_grad(
    c: Graph, g: Array, q: Array, k: Array, v: Array, out: Array, sums: Array, mask: Array | None, is_causal: bool,
    scale: float,
) -> tuple[Array, ...]:  # fmt: skip
    inside = heads_inside(q.meta, k.meta, v.meta)
    params, masks = _masked(mask, is_causal, scale, inside)
    outputs = [contiguous(x.dtype, _turned(x.shape, inside)) for x in (q, k, v)]
    gradients = c.call("attention_backward", params, (g, q, k, v, out, sums, *masks), outputs)
    return tuple([x.transpose(-3, -2) for x in gradients]) if inside else gradients


# ---------------------------------------------------------------------------------------------- recurrent layers


def lstm_layer(c: Graph, gates: Array, hidden: Array, cell: Array, w_hh: Array) -> tuple[Array, ...]:
    steps, batch, width = gates.shape
    every = contiguous(gates.dtype, (steps, batch, width // 4))
    outputs, cells, activated = c.call(
        "lstm", (), (gates, hidden, cell, w_hh), (every, every, contiguous(gates.dtype, gates.shape))
    )
    return outputs, cells.slice(0, steps - 1, steps).squeeze(0), cells, activated


def lstm_layer_grad(c: Graph, g: Array, g_last: Array, g_cell: Array, activated: Array, cells: Array, cell: Array,
                    w_hh: Array) -> tuple[Array, ...]:  # fmt: skip
    outputs = [contiguous(g.dtype, x.shape) for x in (activated, cell, cell)]
    return c.call("lstm_backward", (), (g, g_last, g_cell, activated, cells, cell, w_hh), outputs)
