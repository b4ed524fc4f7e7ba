"""What look-ups, writes and rearrangements mean to the compiler: gather, scatter, indexing, joining, padding, flipping.

See `_expand`. Elements are looked up by `gather`, whose positions are integers computed like anything else; writes are
kernel templates:

* `scatter` (dim): base, index, source -> base with the elements of source at the places that index says along dim;
* `scatter_add` (dim): the same, added; index and source have the same shape, which reaches no further than the base's;
* `scatter_reduce` (dim, combiner): the same, combined by "prod", "amax" or "amin";
* `index_add` (dim, alpha): base, a vector of places, source -> base with alpha * source added to slices along dim.

All of them find out that an index is not within 0..n-1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flambeau._core import dtypes
from flambeau._ir.graph import Array, Graph, Unsupported, broadcast
from flambeau._ir.meta import contiguous, contiguous_strides, meta, overlaps
from flambeau._ops._expand import filled, nonempty, wide
from flambeau._ops.infer import wrap_dim
from flambeau._ops.positions import identity

MOST_PARTS = 1000  # that are joined by kernels: each takes a millisecond to compile


def flat(x: Array) -> Array:
    """The elements in row-major order."""
    return x.reshape((x.meta.numel,))


def at_least_1d(x: Array) -> Array:
    return x if x.ndim else x.reshape((1,))


def wrapped(c: Graph, index: Array, size: int) -> Array:
    """int64 positions with negative ones counted from the end."""
    index = c.cast(index, dtypes.int64)
    return c.map("where", index < 0, index + size, index)


def call(c: Graph, template: str, params: tuple, base: Array, *inputs: Array) -> Array:
    """A template whose result looks like its first operand."""
    return c.call(template, params, (base, *inputs), (contiguous(base.dtype, base.shape),))[0]


# ---------------------------------------------------------------------------------------------- look-ups


def along(c: Graph, x: Array, dim: int, index: Array, check: bool = True) -> Array:
    """For every element of `index`, which has as many dimensions as `x`, the element of `x` at the same place, except
    along `dim`, where the index says."""
    index = c.cast(index, dtypes.int64)
    if check:
        index = c.map("checked", index, x.shape[dim])
    strides, last = contiguous_strides(x.shape), x.ndim - 1
    place = index if dim == last else index * strides[dim]
    for d in range(x.ndim):
        if d != dim and index.shape[d] > 1:
            position = c.index(index.shape, d)
            place = place + (position if d == last else position * strides[d])
    return c.gather(flat(x), 0, place, check=False)


def gather(c: Graph, x: Array, dim: int, index: Array, sparse_grad: bool = False) -> Array:
    source, where = at_least_1d(nonempty(x)), at_least_1d(nonempty(index))
    return along(c, source, wrap_dim(dim, source.ndim), where).reshape(index.shape)


def rows_of(c: Graph, indices: Array, weight: Array, *_: Any) -> Array:
    return c.gather(nonempty(weight), 0, indices)


def index_select(c: Graph, x: Array, dim: int, index: Array) -> Array:
    picked = c.gather(at_least_1d(nonempty(x)), wrap_dim(dim, x.ndim), flat(index))
    return picked if x.ndim else picked.reshape(())


def take(c: Graph, x: Array, index: Array) -> Array:
    return c.gather(flat(nonempty(x)), 0, wrapped(c, index, x.meta.numel))


def index_at(c: Graph, x: Array, indices: tuple) -> Array:
    """Indexed dimensions, which lie side by side, are looked up as one."""
    order, indices = _neighbouring(nonempty(x), indices)
    x = x.permute(order)
    first, last, place = _merged(c, x, indices)
    source = x.reshape((*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :]))
    return c.gather(source, first, place, check=False)


def _neighbouring(x: Array, indices: tuple) -> tuple[list[int], tuple]:
    """An order of the dimensions in which the indexed ones lie side by side, to the front if they do not yet; and the
    indices in this order."""
    dims = [d for d, index in enumerate(indices) if index is not None]
    if not dims:
        raise Unsupported("no index")
    if dims[-1] - dims[0] + 1 == len(dims):
        return list(range(x.ndim)), indices
    return [*dims, *[d for d in range(x.ndim) if d not in dims]], tuple([indices[d] for d in dims])


def _merged(c: Graph, x: Array, indices: tuple) -> tuple[int, int, Array]:
    """(first and last indexed dimension, row-major positions in them), checked; negative indices wrap around."""
    dims = [d for d, index in enumerate(indices) if index is not None]
    shape = broadcast([indices[d].shape for d in dims])
    place: Array | None = None
    for d in dims:
        index = c.map("checked", wrapped(c, nonempty(indices[d]), x.shape[d]), x.shape[d]).expand(shape)
        place = index if place is None else place * x.shape[d] + index
    assert place is not None
    return dims[0], dims[-1], place


# ---------------------------------------------------------------------------------------------- writes


def scattered(c: Graph, x: Array, dim: int, index: Array, src: Any) -> Array:
    if not index.meta.numel:
        return c.copy(x)
    base, where, dim = at_least_1d(x), at_least_1d(index), wrap_dim(dim, x.ndim)
    if isinstance(src, Array):
        src = _part(at_least_1d(src), where.shape)
    if all(where.shape[d] == (1 if d == dim else n) for d, n in enumerate(base.shape)):
        return _one_a_slice(c, base, dim, where, src).reshape(x.shape)
    source = src if isinstance(src, Array) else c.const(src, x.dtype, where.shape)
    return call(c, "scatter", (dim,), base, where, source).reshape(x.shape)


def _one_a_slice(c: Graph, x: Array, dim: int, index: Array, src: Any) -> Array:
    """One place a slice is found by comparison of positions, which fuses with what is around."""
    place = c.map("checked", c.cast(index, dtypes.int64), x.shape[dim])
    value = wide(src) if isinstance(src, Array) else wide(c.const(src, x.dtype))
    return c.map("where", c.map("eq", c.index(x.shape, dim), place), value, wide(x))


def _part(src: Array, shape: Sequence[int]) -> Array:
    """The front of an array in every dimension."""
    for d, n in enumerate(shape):
        if src.shape[d] != n:
            src = src.slice(d, 0, n)
    return src


def scatter_add(c: Graph, x: Array, dim: int, index: Array, src: Array) -> Array:
    if not isinstance(src, Array):
        raise Unsupported("a number added")
    if not index.meta.numel:
        return c.copy(x)
    base, where = wide(at_least_1d(x)), at_least_1d(index)
    part = wide(_part(at_least_1d(src), where.shape))
    return call(c, "scatter_add", (wrap_dim(dim, x.ndim),), base, where, part).reshape(x.shape)


def scatter_reduce(c: Graph, x: Array, dim: int, index: Array, src: Any, reduce: str, include_self: bool) -> Array:
    if not isinstance(src, Array) or x.dtype is dtypes.bool_:
        raise Unsupported("a number, or booleans")
    if not index.meta.numel:
        return c.copy(x)
    x = wide(x)
    if not include_self:
        x = scattered(c, x, dim, index, identity(reduce, x.dtype.numpy))
    if reduce == "sum":
        return scatter_add(c, x, dim, index, src)
    if reduce == "mean":
        return _scatter_mean(c, x, dim, index, src, include_self)
    base, where = at_least_1d(x), at_least_1d(index)
    part = wide(_part(at_least_1d(src), where.shape))
    return call(c, "scatter_reduce", (wrap_dim(dim, x.ndim), reduce), base, where, part).reshape(x.shape)


def _scatter_mean(c: Graph, x: Array, dim: int, index: Array, src: Array, include_self: bool) -> Array:
    """The sum over how many elements there are in it; of integers, rounded down."""
    total = scatter_add(c, x, dim, index, src)
    own = c.const(int(include_self), dtypes.int64, x.shape)
    count = c.map("maximum", scatter_add(c, own, dim, index, c.const(1, dtypes.int64, index.shape)), 1)
    if total.dtype.category == dtypes.FLOAT:
        return total / count.cast(total.dtype)
    return c.map("floor_divide", total.cast(dtypes.int64), count).cast(total.dtype)


def index_add(c: Graph, x: Array, dim: int, index: Array, source: Array, alpha: float = 1) -> Array:
    if not index.meta.numel or not x.meta.numel:
        return c.copy(x)
    base, source = wide(at_least_1d(x)), wide(at_least_1d(source))
    if base.dtype.category < dtypes.FLOAT and type(alpha) is not int:
        raise Unsupported("a fraction of integers")
    return call(c, "index_add", (wrap_dim(dim, x.ndim), alpha), base, flat(index), source).reshape(x.shape)


def index_copy(c: Graph, x: Array, dim: int, index: Array, source: Array) -> Array:
    return _slices_written(c, x, dim, c.cast(index, dtypes.int64), source)


def index_fill(c: Graph, x: Array, dim: int, index: Array, value: Any) -> Array:
    value = value if isinstance(value, Array) else c.const(value, x.dtype)
    return _slices_written(c, x, dim, wrapped(c, index, at_least_1d(x).shape[wrap_dim(dim, x.ndim)]), value)


def _slices_written(c: Graph, x: Array, dim: int, index: Array, source: Array) -> Array:
    """`source`, which broadcasts, written to the slices of `dim` that a vector names."""
    if not index.meta.numel or not x.meta.numel:
        return c.copy(x)
    base, dim = at_least_1d(x), wrap_dim(dim, x.ndim)
    shape = [index.meta.numel if d == dim else n for d, n in enumerate(base.shape)]
    where = index.reshape([n if d == dim else 1 for d, n in enumerate(shape)]).expand(shape)
    return call(c, "scatter", (dim,), base, where, source.expand(shape)).reshape(x.shape)


def put_at(c: Graph, x: Array, indices: tuple, values: Array, accumulate: bool) -> Array:
    """The indexed dimensions become one, in which slices are added or written."""
    order, indices = _neighbouring(nonempty(x), indices)
    x = x.permute(order)
    first, last, place = _merged(c, x, indices)
    merged = (*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :])
    wanted = (*x.shape[:first], *place.shape, *x.shape[last + 1 :])
    extra = max(0, values.ndim - len(wanted))
    values = values.squeeze(tuple(range(extra))) if extra else values
    source = values.expand(wanted).reshape((*merged[:first], place.meta.numel, *merged[first + 1 :]))
    if accumulate:
        result = index_add(c, x.reshape(merged), first, place, source)
    else:
        result = _slices_written(c, x.reshape(merged), first, flat(place), source)
    return result.reshape(x.shape).permute(sorted(range(x.ndim), key=order.__getitem__))


def put(c: Graph, x: Array, index: Array, source: Array, accumulate: bool = False) -> Array:
    where, values = flat(wrapped(c, index, x.meta.numel)), flat(source)
    if accumulate:
        return index_add(c, flat(x), 0, where, values).reshape(x.shape)
    return _slices_written(c, flat(x), 0, where, values).reshape(x.shape)


def added_up(c: Graph, source: Array, dim: int, place: Array, size: int) -> Array:
    """Zeros with the slices of `source` added at the places that a vector says along `dim`, which gets this size."""
    shape = [size if d == dim else n for d, n in enumerate(source.shape)]
    return index_add(c, c.const(0, source.dtype, shape), dim, place, source)


def embed(c: Graph, x: Array, shape: tuple, strides: tuple, offset: int) -> Array:
    if not overlaps(x.shape, strides):
        return overwritten(c, c.const(0, x.dtype, shape), x, strides, offset)
    place = c.const(offset, dtypes.int64, x.shape)
    for d, step in enumerate(strides):
        place = place + c.index(x.shape, d) * step
    return added_up(c, flat(x), 0, flat(place), math.prod(shape)).reshape(shape)


def max_unpool(c: Graph, x: Array, indices: Array, size: tuple) -> Array:
    lead = nonempty(x).shape[: x.ndim - len(size)]
    windows = math.prod(x.shape[x.ndim - len(size) :])
    zeros = c.const(0, x.dtype, (*lead, math.prod(size)))
    places, values = indices.reshape((*lead, windows)), x.reshape((*lead, windows))
    return call(c, "scatter", (len(lead),), zeros, places, values).reshape((*lead, *size))


def overwritten(c: Graph, x: Array, src: Array, strides: tuple, offset: int) -> Array:
    base = c.copy(x)
    if not src.meta.numel:
        return base
    return c.write(flat(base), meta(x.dtype, src.shape, strides, offset), src).reshape(x.shape)


# ---------------------------------------------------------------------------------------------- joining


def cat(c: Graph, tensors: tuple, dim: int) -> Array:
    if len(tensors) > MOST_PARTS:
        raise Unsupported("many parts")
    parts = [t for t in tensors if tuple(t.shape) != (0,)] or [tensors[0]]
    if any(t.dtype is not parts[0].dtype for t in parts):
        raise Unsupported("several dtypes")
    return joined(c, parts, wrap_dim(dim, parts[0].ndim))


def stack(c: Graph, tensors: tuple, dim: int) -> Array:
    dim = wrap_dim(dim, tensors[0].ndim + 1)
    return cat(c, tuple([t.unsqueeze(dim) for t in tensors]), dim)


def joined(c: Graph, parts: Sequence[Array], dim: int) -> Array:
    """Arrays of one dtype one behind another along `dim`, each written to its place."""
    shape = list(parts[0].shape)
    shape[dim] = sum(t.shape[dim] for t in parts)
    strides = contiguous_strides(shape)
    whole, at = c.empty(parts[0].dtype, math.prod(shape)), 0
    for t in parts:
        if t.meta.numel:
            whole = c.write(whole, meta(t.dtype, t.shape, strides, at * strides[dim]), t)
        at += t.shape[dim]
    return whole.reshape(shape)


# ---------------------------------------------------------------------------------------------- rearranging


def flip(c: Graph, x: Array, dims: tuple[int, ...]) -> Array:
    x = nonempty(x)
    for d in dims if x.ndim else ():
        x = x.reversed(d)
    return c.copy(x)


def roll(c: Graph, x: Array, shifts: tuple[int, ...], dims: tuple[int, ...] | None) -> Array:
    given = rolled = nonempty(x) if dims is not None else flat(nonempty(x))
    for shift, d in zip(shifts, (0,) if dims is None else dims, strict=True):
        n = rolled.shape[d]
        cut = n - shift % n
        if cut < n:
            rolled = joined(c, [rolled.slice(d, cut, n), rolled.slice(d, 0, cut)], d)
    return (c.copy(x) if rolled is given else rolled).reshape(x.shape)


def padded(c: Graph, x: Array, pad: tuple[int, ...], value: Any) -> Array:
    """A frame of one number, into which the array is written; negative padding cuts off first."""
    shape, offset = list(x.shape), 0
    for i in range(len(pad) // 2):
        d, before, after = x.ndim - 1 - i, pad[2 * i], pad[2 * i + 1]
        x = x.slice(d, max(0, -before), x.shape[d] - max(0, -after))
        shape[d] += before + after
    strides = contiguous_strides(shape)
    for i in range(len(pad) // 2):
        offset += max(0, pad[2 * i]) * strides[x.ndim - 1 - i]
    if not x.meta.numel:
        return filled(c, shape, value, x.dtype)
    if list(x.shape) == shape:
        return c.copy(x)
    frame = flat(c.copy(filled(c, shape, value, x.dtype)))
    return c.write(frame, meta(x.dtype, x.shape, strides, offset), x).reshape(shape)


def repeated_pad(c: Graph, x: Array, pad: tuple[int, ...], mode: str) -> Array:
    """Along each padded dimension the position that each element comes from."""
    nonempty(x)
    for i in range(len(pad) // 2):
        d, front, behind = x.ndim - 1 - i, pad[2 * i], pad[2 * i + 1]
        if front or behind:
            x = c.gather(x, d, _source(c, mode, x.shape[d], front, behind), check=False)
    return c.copy(x)


def repeated_pad_backward(c: Graph, g: Array, shape: tuple[int, ...], pad: tuple[int, ...], mode: str) -> Array:
    """Along each padded dimension every element is added to the one it came from."""
    g = wide(nonempty(g))
    for i in range(len(pad) // 2):
        d, front, behind = g.ndim - 1 - i, pad[2 * i], pad[2 * i + 1]
        if front or behind:
            g = added_up(c, g, d, _source(c, mode, shape[d], front, behind), shape[d])
    return c.copy(g)


def _source(c: Graph, mode: str, n: int, front: int, behind: int) -> Array:
    """Which of `n` elements stands at each padded position."""
    at = c.index((front + n + behind,), 0) - front
    if mode == "reflect":
        at = abs(at)
        return c.map("minimum", at, 2 * (n - 1) - at)
    if mode == "replicate":
        return c.map("minimum", c.map("maximum", at, 0), n - 1)
    if front < 0 or behind < 0:
        raise Unsupported("circular padding that cuts off")
    at = c.map("where", at < 0, at + n, at)
    return c.map("where", at >= n, at - n, at)
