"""What library operations mean to the compiler: their `expand` functions, in the terms of `_ir.graph`.

Each takes the graph being built, then the operation's own arguments with Arrays in place of tensors, and says the same
as the body. What is not said here, or raises Unsupported, is run by the body.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flambeau._core import dtypes
from flambeau._core.dtypes import dtype
from flambeau._ir.graph import Array, Graph, Unsupported, broadcast
from flambeau._ir.meta import contiguous, contiguous_strides, meta
from flambeau._ops.infer import wrap_dim, wrap_dims

Dims = int | Sequence[int] | None


def wide(x: Array) -> Array:
    """The array in the precision it is computed in: halves become float32."""
    return x.cast(dtypes.float32) if x.dtype in dtypes.HALVES else x


def _nonempty(x: Array) -> Array:
    if x.meta.numel == 0:
        raise Unsupported("no elements")
    return x


def _kept(r: Array, dims: Sequence[int], keepdim: bool) -> Array:
    """A reduction's result with or without its reduced dimensions."""
    return r if keepdim or not dims else r.squeeze(tuple(dims))


# ---------------------------------------------------------------------------------------------- copies and fills


def cast(c: Graph, x: Array, d: dtype) -> Array:
    return c.cast(x, d)


def copy(c: Graph, x: Array, dense: bool) -> Array:
    return c.copy(x)


def filled(c: Graph, shape: Sequence[int], value: Any, d: dtype) -> Array:
    if d.is_complex:
        raise Unsupported("complex numbers")
    if d.category == dtypes.INTEGER and not -(1 << 31) < int(value) < 1 << 31:
        raise Unsupported("a number that may wrap around")
    return c.const(bool(value) if d.category == dtypes.BOOL else value, d, shape)


def stepped(c: Graph, start: Any, step: Any, count: int, d: dtype) -> Array:
    if d.is_complex or count == 0:
        raise Unsupported("complex or no numbers")
    i = c.index((count,), 0)
    if d.category <= dtypes.INTEGER:
        return c.cast(i * int(step) + int(start), d)
    return c.cast(c.cast(i, dtypes.float64) * float(step) + float(start), d)


def identity(c: Graph, n: int, m: int, d: dtype) -> Array:
    if d.is_complex or not n * m:
        raise Unsupported("complex or no numbers")
    return c.cast(c.map("eq", c.index((n, m), 0), c.index((n, m), 1)), d)


def insensitive(c: Graph, value: Array, source: Array) -> Array:
    return c.copy(value)


def tril(c: Graph, x: Array, diagonal: int = 0) -> Array:
    inside = c.index(x.shape, -2) + diagonal >= c.index(x.shape, -1)
    return c.map("where", inside, x, c.const(0, x.dtype))


def triu(c: Graph, x: Array, diagonal: int = 0) -> Array:
    outside = c.index(x.shape, -2) + (diagonal - 1) >= c.index(x.shape, -1)
    return c.map("where", outside, c.const(0, x.dtype), x)


# ---------------------------------------------------------------------------------------------- reductions


def _summand(c: Graph, x: Array, d: dtype | None) -> Array:
    """The operand of a sum or product: converted to `d`, integers to int64, halves to float32."""
    if d is not None:
        x = c.cast(x, d)
    elif x.dtype.category < dtypes.FLOAT:
        x = c.cast(x, dtypes.int64)
    return wide(x)


def total(c: Graph, x: Array, dim: Dims = None, keepdim: bool = False, d: dtype | None = None) -> Array:
    dims = wrap_dims(dim, x.ndim)
    return _kept(c.reduce("sum", _summand(c, x, d), dims), dims, keepdim)


def product(c: Graph, x: Array, dim: Dims, keepdim: bool, d: dtype | None) -> Array:
    dims = wrap_dims(dim, x.ndim)
    return _kept(c.reduce("prod", _summand(c, x, d), dims), dims, keepdim)


def _count(x: Array, dims: Sequence[int]) -> int:
    return math.prod(x.shape[i] for i in dims)


def average(c: Graph, x: Array, dim: Dims, keepdim: bool, d: dtype | None) -> Array:
    dims = wrap_dims(dim, x.ndim)
    summed = c.reduce("sum", _summand(c, x, d), dims)
    return _kept(summed / float(_count(x, dims)), dims, keepdim)


def _centred(c: Graph, x: Array, dims: Sequence[int]) -> tuple[Array, Array]:
    """(x minus its mean, the mean)."""
    mean = c.reduce("sum", x, dims) / float(max(1, _count(x, dims)))
    return x - mean.expand(x.shape), mean


def variance(c: Graph, x: Array, dim: Dims, correction: float, keepdim: bool) -> Array:
    x, dims = _nonempty(wide(x)), wrap_dims(dim, x.ndim)
    centred, _ = _centred(c, x, dims)
    summed = c.reduce("sum", centred * centred, dims)
    return _kept(summed / float(max(0, _count(x, dims) - correction)), dims, keepdim)


def extremum(combiner: str) -> Any:
    def expand(c: Graph, x: Array, dim: Dims = None, keepdim: bool = False) -> Array:
        dims = wrap_dims(dim, x.ndim)
        return _kept(c.reduce(combiner, _nonempty(wide(x)), dims), dims, keepdim)

    return expand


def position(combiner: str) -> Any:
    def expand(c: Graph, x: Array, dim: int | None = None, keepdim: bool = False) -> Array:
        x = _nonempty(wide(x))
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
        x, dims = _nonempty(wide(x)), wrap_dims(dim, x.ndim)
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
    dims, x = wrap_dims(dim, x.ndim), _summand(c, x, d)
    if x.dtype.category == dtypes.FLOAT:
        x = c.map("where", c.map("isnan", x), 0.0, x)
    return _kept(c.reduce("sum", x, dims), dims, keepdim)


def p_norm(c: Graph, x: Array, order: float, dim: Dims, keepdim: bool) -> Array:
    dims, x = wrap_dims(dim, x.ndim), _nonempty(wide(x))
    if order == 2:
        found = c.map("sqrt", c.reduce("sum", x * x, dims))
    elif order == 1:
        found = c.reduce("sum", abs(x), dims)
    elif math.isinf(order):
        found = c.reduce("max" if order > 0 else "min", abs(x), dims)
    else:
        raise Unsupported(f"the norm of order {order}")
    return _kept(found, dims, keepdim)


def log_sum_exp(c: Graph, x: Array, dim: Dims, keepdim: bool) -> Array:
    if x.dtype.category != dtypes.FLOAT:
        raise Unsupported("integers")
    x, dims = _nonempty(wide(x)), wrap_dims(dim, x.ndim)
    top = c.reduce("max", x, dims)
    top = c.map("where", c.map("isfinite", top), top, 0.0)
    summed = c.reduce("sum", c.map("exp", x - top.expand(x.shape)), dims)
    return _kept(c.map("log", summed) + top, dims, keepdim)


# ---------------------------------------------------------------------------------------------- rows


def softmax(c: Graph, x: Array, dim: int) -> Array:
    x, dims = _rows(x, dim)
    e = c.map("exp", x - c.reduce("max", x, dims).expand(x.shape))
    return e * (1.0 / c.reduce("sum", e, dims)).expand(x.shape)


def log_softmax(c: Graph, x: Array, dim: int) -> Array:
    x, dims = _rows(x, dim)
    shifted = x - c.reduce("max", x, dims).expand(x.shape)
    return shifted - c.map("log", c.reduce("sum", c.map("exp", shifted), dims)).expand(x.shape)


def _rows(x: Array, dim: int) -> tuple[Array, tuple[int, ...]]:
    if x.ndim == 0:
        raise Unsupported("a single number")
    return _nonempty(wide(x)), (wrap_dim(dim, x.ndim),)


def standardize(c: Graph, x: Array, dims: tuple[int, ...], eps: float) -> tuple[Array, Array, Array]:
    x = _nonempty(wide(x))
    centred, mean = _centred(c, x, dims)
    variance = c.reduce("sum", centred * centred, dims) / float(_count(x, dims))
    inverse = 1.0 / c.map("sqrt", variance + eps)
    return centred * inverse.expand(x.shape), mean, variance


def nll(c: Graph, x: Array, target: Array, weight: Array | None, ignore_index: int) -> tuple[Array, Array]:
    x = _nonempty(wide(x))
    axis = 1 if x.ndim > 1 else 0
    classes = x.shape[axis]
    target = c.cast(target, dtypes.int64)
    counted = c.map("ne", target, ignore_index)
    safe = c.map("where", counted, target, 0)
    picked = along(c, x, axis, safe.unsqueeze(axis) if x.ndim > 1 else safe.reshape((1,)), classes)
    picked = picked.squeeze(axis) if x.ndim > 1 else picked.reshape(target.shape)
    if weight is None:
        weights = c.cast(counted, x.dtype)
    else:
        weights = c.map("where", counted, c.gather(wide(weight), 0, safe), 0.0)
    return c.map("where", counted, -picked * weights, 0.0), weights


# ---------------------------------------------------------------------------------------------- products


def linear(c: Graph, x: Array, weight: Array, bias: Array | None = None) -> Array:
    x, w = wide(x), wide(weight)
    if w.ndim != 2 or x.dtype.category != dtypes.FLOAT:
        raise Unsupported("a vector of weights")
    rows = x.reshape((math.prod(x.shape[:-1]), x.shape[-1]))
    out = contiguous(x.dtype, (rows.shape[0], w.shape[0]))
    operands = [rows, w.permute((1, 0))]
    if bias is not None:
        operands.append(wide(bias).expand(out.shape))
    (product,) = c.call("matmul", (None,), operands, (out,))
    return product.reshape((*x.shape[:-1], w.shape[0]))


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


# ---------------------------------------------------------------------------------------------- look-ups and places


def along(c: Graph, x: Array, dim: int, index: Array, size: int) -> Array:
    """For every element of `index` (as many dimensions as `x`) the element of `x` at the same place, except along `dim`,
    where the index says; checked against `size`."""
    index = c.cast(index, dtypes.int64)
    strides = contiguous_strides(x.shape)
    inside = c.map("and_", c.map("ge", index, 0), c.map("lt", index, size))
    place = index * strides[dim]
    for d in range(x.ndim):
        if d != dim and index.shape[d] > 1:
            place = place + c.index(index.shape, d) * strides[d]
    place = c.map("where", inside, place, -1)
    return c.gather(c.copy(x).reshape((x.meta.numel,)), 0, place)


def gather(c: Graph, x: Array, dim: int, index: Array, sparse_grad: bool = False) -> Array:
    if x.ndim == 0 or index.ndim == 0:
        raise Unsupported("a single number")
    dim = wrap_dim(dim, x.ndim)
    return along(c, _nonempty(x), dim, _nonempty(index), x.shape[dim])


def rows_of(c: Graph, indices: Array, weight: Array, padding_idx: int, by_freq: bool, sparse: bool) -> Array:
    return c.gather(_nonempty(weight), 0, indices)


def index_select(c: Graph, x: Array, dim: int, index: Array) -> Array:
    if x.ndim == 0:
        raise Unsupported("a single number")
    return c.gather(_nonempty(x), wrap_dim(dim, x.ndim), index.reshape((index.meta.numel,)))


def index_at(c: Graph, x: Array, indices: tuple) -> Array:
    """Index tensors in neighbouring dimensions, which are looked up as one."""
    dims = [d for d, i in enumerate(indices) if i is not None]
    if not dims or dims != list(range(dims[0], dims[-1] + 1)) or 0 in x.shape:
        raise Unsupported("indices apart from each other")
    shape = broadcast([indices[d].shape for d in dims])
    place = None
    valid = None
    for d in dims:
        index = c.cast(indices[d], dtypes.int64).expand(shape)
        index = c.map("where", c.map("lt", index, 0), index + x.shape[d], index)
        inside = c.map("and_", c.map("ge", index, 0), c.map("lt", index, x.shape[d]))
        valid = inside if valid is None else c.map("and_", valid, inside)
        place = index if place is None else place * x.shape[d] + index
    assert place is not None and valid is not None
    if len(dims) > 1:
        place = c.map("where", valid, place, -1)
    merged = math.prod(x.shape[d] for d in dims)
    source = x.reshape((*x.shape[: dims[0]], merged, *x.shape[dims[-1] + 1 :]))
    return c.gather(source, dims[0], place)


def scattered(c: Graph, x: Array, dim: int, index: Array, src: Any) -> Array:
    """One place a slice: a comparison of positions."""
    if x.ndim == 0 or index.ndim == 0 or not index.meta.numel:
        raise Unsupported("a single number, or none")
    dim = wrap_dim(dim, x.ndim)
    fits = all(index.shape[d] == (1 if d == dim else n) for d, n in enumerate(x.shape))
    if not fits or (isinstance(src, Array) and tuple(src.shape) != tuple(index.shape)):
        raise Unsupported("several places a slice")
    place = c.map("checked", c.cast(index, dtypes.int64), x.shape[dim])
    here = c.map("eq", c.index(x.shape, dim), place.expand(x.shape))
    value = src.expand(x.shape) if isinstance(src, Array) else c.const(src, x.dtype)
    return c.map("where", here, value, x)


def cat(c: Graph, tensors: tuple, dim: int) -> Array:
    parts = [t for t in tensors if tuple(t.shape) != (0,)]
    if not parts or len({t.dtype for t in parts}) > 1 or parts[0].ndim == 0:
        raise Unsupported("nothing to join, or several dtypes")
    dim = wrap_dim(dim, parts[0].ndim)
    shape = list(parts[0].shape)
    shape[dim] = sum(t.shape[dim] for t in parts)
    strides = contiguous_strides(shape)
    joined, at = c.empty(parts[0].dtype, math.prod(shape)), 0
    for t in parts:
        if t.meta.numel:
            joined = c.write(joined, meta(t.dtype, t.shape, strides, at * strides[dim]), t)
        at += t.shape[dim]
    return joined.reshape(shape)


def stack(c: Graph, tensors: tuple, dim: int) -> Array:
    return cat(c, tuple([t.unsqueeze(wrap_dim(dim, t.ndim + 1)) for t in tensors]), wrap_dim(dim, tensors[0].ndim + 1))


def embed(c: Graph, x: Array, shape: tuple, strides: tuple, offset: int) -> Array:
    if _overlap(x.shape, strides):
        raise Unsupported("places that meet")
    return overwritten(c, c.copy(c.const(0, x.dtype, shape)), x, strides, offset)


def overwritten(c: Graph, x: Array, src: Array, strides: tuple, offset: int) -> Array:
    base = c.copy(x)
    if not src.meta.numel:
        return base
    flat = base.reshape((math.prod(base.shape),))
    return c.write(flat, meta(x.dtype, src.shape, strides, offset), src).reshape(x.shape)


def _overlap(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """May two positions of this layout be the same element?"""
    reach = 0
    for stride, n in sorted((s, n) for n, s in zip(shape, strides, strict=True) if n > 1):
        if stride <= reach:
            return True
        reach += stride * (n - 1)
    return False


def padded(c: Graph, x: Array, pad: tuple[int, ...], value: Any) -> Array:
    if min(pad, default=0) < 0:
        raise Unsupported("padding that cuts off")
    shape, offset = list(x.shape), 0
    for i in range(len(pad) // 2):
        shape[x.ndim - 1 - i] += pad[2 * i] + pad[2 * i + 1]
    strides = contiguous_strides(shape)
    for i in range(len(pad) // 2):
        offset += pad[2 * i] * strides[x.ndim - 1 - i]
    frame = c.copy(filled(c, shape, value, x.dtype))
    if not x.meta.numel:
        return frame
    flat = frame.reshape((math.prod(shape),))
    return c.write(flat, meta(x.dtype, x.shape, strides, offset), x).reshape(shape)
