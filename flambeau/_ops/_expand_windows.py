"""What sliding windows and resampling mean to the compiler: pools, columns of images, interpolation; see `_expand`.

The kernel templates `max_pool`, `max_pool_place`, `avg_pool` and `avg_pool_backward` take the parameters of the
operations of these names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from flambeau._core import dtypes
from flambeau._ir.graph import Array, Graph, Unsupported
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops._expand import nonempty, wide
from flambeau._ops._expand_places import added_up, index_add, padded

Sizes = tuple[int, ...]
FEW_POSITIONS = 64  # of a window, that may be told apart by comparisons


def template(name: str, infer: Callable[..., Meta | tuple[Meta, ...]], tensors: int = 1) -> Any:
    """An operation that is a kernel template, with its first arguments as operands and the others as parameters."""

    def expand(c: Graph, *args: Any) -> tuple[Array, ...]:
        operands = [wide(nonempty(x)) for x in args[:tensors]]
        metas = infer(*[x.meta for x in operands], *args[tensors:])
        metas = metas if isinstance(metas, tuple) else (metas,)
        return c.call(name, args[tensors:], operands, [contiguous(m.dtype, m.shape) for m in metas])

    return expand


def average(infer: Callable[..., Meta]) -> Any:
    """The template `avg_pool`; a mean over dimensions where one window is the whole image."""
    pooled = template("avg_pool", infer)

    def expand(c: Graph, x: Array, kernel: Sizes, stride: Sizes, padding: Sizes, *options: Any) -> Any:
        x = wide(nonempty(x))
        n, divisor = len(kernel), options[-1]
        image = x.shape[x.ndim - n :]
        whole = not any(padding) and all(size == k for size, k in zip(image, kernel, strict=True))
        if not whole or x.dtype.category != dtypes.FLOAT:
            return pooled(c, x, kernel, stride, padding, *options)
        total = c.reduce("sum", x, tuple(range(x.ndim - n, x.ndim)))
        mean = total / (math.prod(kernel) if divisor is None else divisor)
        return mean.reshape((*x.shape[: x.ndim - n], *[1] * n))

    return expand


def positions(c: Graph, code: Array, windows: Any) -> Array:
    """Codes of maxima, which are row-major positions within windows, as flat indices into the input's space."""
    rest = math.prod(windows.kernel)
    if rest > FEW_POSITIONS:
        raise Unsupported("large windows")
    lead = code.ndim - len(windows.kernel)
    code = c.cast(nonempty(code), dtypes.int64)
    flat: Array | None = None
    for d, k in enumerate(windows.kernel):
        rest //= k
        at = c.const(0, dtypes.int64, code.shape)
        for step in range(1, k):  # a division by comparisons
            at = at + c.cast(code >= step * rest, dtypes.int64)
        code = code - at * rest
        start = c.index(code.shape, lead + d) * windows.stride[d] - windows.padding[d]
        if windows.padding[d]:  # a window of equal elements may name one in the padding: then the first inside is meant
            if windows.dilation[d] > 1:
                raise Unsupported("padding of dilated windows")
            at = c.map("maximum", at, -start)
        place = start + at * windows.dilation[d]
        flat = place if flat is None else flat * windows.size[d] + place
    assert flat is not None
    return flat


def taken(c: Graph, x: Array, code: Array, windows: Any) -> Array:
    """What codes of maxima point at."""
    if any(windows.padding):
        raise Unsupported("windows that reach into padding, at which a code may point")
    lead = x.ndim - len(windows.kernel)
    space = math.prod(windows.size)
    place = positions(c, code, windows)
    for d in range(lead):
        place = place + c.index(code.shape, d) * (math.prod(x.shape[d + 1 : lead]) * space)
    return c.gather(x.reshape((x.meta.numel,)), 0, place, check=False)


def columns(c: Graph, x: Array, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes, counts: Sizes) -> Array:
    """All blocks of (N, C, H, W) at once, as a view of the padded images with overlapping strides."""
    (top, left), (n, channels) = padding, x.shape[:2]
    image = padded(c, nonempty(x), (left, left, top, top), 0)
    a, b, row, column = image.meta.strides
    blocks = image.strided(
        (n, channels, *kernel, *counts),
        (a, b, dilation[0] * row, dilation[1] * column, stride[0] * row, stride[1] * column),
        image.meta.offset,
    )
    return blocks.reshape((n, channels * math.prod(kernel), math.prod(counts)))


def images(
    c: Graph, x: Array, size: Sizes, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes, counts: Sizes
) -> Array:
    """The transpose of `columns`: every element is added at its place in the padded images, which are then cut."""
    n, channels = nonempty(x).shape[0], x.shape[1] // math.prod(kernel)
    height, width = [m + 2 * p for m, p in zip(size, padding, strict=True)]
    spread = (*kernel, *counts)
    row = c.index(spread, 0) * dilation[0] + c.index(spread, 2) * stride[0]
    column = c.index(spread, 1) * dilation[1] + c.index(spread, 3) * stride[1]
    place = (row * width + column).reshape((math.prod(spread),))
    source = wide(x).reshape((n * channels, math.prod(spread)))
    whole = added_up(c, source, 1, place, height * width).reshape((n, channels, height, width))
    for d, (p, m) in enumerate(zip(padding, size, strict=True)):
        whole = whole.slice(2 + d, p, p + m)
    return whole


# ---------------------------------------------------------------------------------------------- bins


def bin_means(c: Graph, x: Array, size: Sizes) -> Array:
    """Averages of bins, along one dimension after the other, those that shrink most first."""
    if 0 in size:
        raise Unsupported("no bins")
    x, lead = wide(nonempty(x)), x.ndim - len(size)
    for i in sorted(range(len(size)), key=lambda i: size[i] / x.shape[lead + i]):
        dim, n = lead + i, x.shape[lead + i]
        x = _bin_sums(c, x, dim, size[i]) / _facing(_bin_sizes(c, n, size[i], x.dtype), dim, x.ndim)
    return x


def bin_means_backward(c: Graph, g: Array, shape: Sizes, size: Sizes) -> Array:
    """The transpose of `bin_means`. The bins that an element is in are one of as many bins over these as there are
    elements."""
    g, lead = wide(nonempty(g)), g.ndim - len(size)
    for i in range(len(size)):
        dim, n = lead + i, shape[lead + i]
        g = _bin_sums(c, g / _facing(_bin_sizes(c, n, size[i], g.dtype), dim, g.ndim), dim, n)
    return g


def bin_maxima(c: Graph, x: Array, size: Sizes) -> tuple[Array, Array]:
    """Maxima of bins and their flat places. Bins that are less wide than others have their last elements twice, of
    which the first counts."""
    if 0 in size:
        raise Unsupported("no bins")
    x, lead = wide(nonempty(x)), x.ndim - len(size)
    spaces = x.shape[lead:]
    widest = tuple([_widest_bin(n, out) for n, out in zip(spaces, size, strict=True)])
    spread, place = (*size, *widest), c.const(0, dtypes.int64, (*size, *widest))
    for d, n in enumerate(spaces):
        start, end = _bin_edges(c, c.index(spread, d), n, size[d])
        place = place * n + c.map("minimum", start + c.index(spread, len(size) + d), end - 1)
    bins, elements = math.prod(size), math.prod(widest)
    place = place.reshape((bins, elements))
    found = c.gather(x.reshape((*x.shape[:lead], math.prod(spaces))), -1, place, check=False)
    value, code = (c.reduce(name, found, (-1,)).squeeze(-1) for name in ("max", "argmax"))
    at = c.index(code.shape, -1) * elements + code
    where = c.gather(place.reshape((bins * elements,)), 0, at, check=False)
    shape = (*x.shape[:lead], *size)
    return value.reshape(shape), where.reshape(shape)


def _widest_bin(n: int, out: int) -> int:
    """The elements of the widest of `out` bins over n."""
    return max([-(-(i + 1) * n // out) - i * n // out for i in range(out)])


def _bin_edges(c: Graph, i: Array, n: int, out: int) -> tuple[Array, Array]:
    """Where bins number `i` of `out` over n elements begin, floor(i n / out), and end, ceil((i + 1) n / out). Half an
    element to the side of what is rounded, the inverse of a number will do for division."""
    i = c.cast(i, dtypes.float64)
    low, high = (c.map("floor", at * (1.0 / out)) for at in (i * n + 0.5, (i + 1.0) * n - 0.5))
    return c.cast(low, dtypes.int64), c.cast(high, dtypes.int64) + 1


def _bin_sizes(c: Graph, n: int, out: int, d: dtypes.dtype) -> Array:
    start, end = _bin_edges(c, c.index((out,), 0), n, out)
    return c.cast(end - start, d)


def _bin_sums(c: Graph, x: Array, dim: int, out: int) -> Array:
    """The sum of every bin along a dimension."""
    n = x.shape[dim]
    spread = (out, _widest_bin(n, out))
    start, end = _bin_edges(c, c.index(spread, 0), n, out)
    place = start + c.index(spread, 1)
    values = c.gather(x, dim, c.map("minimum", place, end - 1), check=False)
    inside = (place < end).reshape([*[1] * dim, *spread, *[1] * (x.ndim - dim - 1)])
    return c.reduce("sum", c.map("where", inside, values, 0.0), (dim + 1,)).squeeze(dim + 1)


# ---------------------------------------------------------------------------------------------- interpolation


def resample(c: Graph, x: Array, size: Sizes, kind: str, align: bool, steps: Sequence[float]) -> Array:
    """One dimension after the other; `steps` says how far an output is from the next, in inputs."""
    if x.dtype is dtypes.uint8 or kind not in ("nearest", "nearest-exact", "linear"):
        raise Unsupported(f"{kind} interpolation of {x.dtype.name}")
    x, lead = wide(nonempty(x)), x.ndim - len(size)
    for i in sorted(range(len(size)), key=lambda i: size[i] / x.shape[lead + i]):
        n, out, dim = x.shape[lead + i], size[i], lead + i
        if kind != "linear" and out % n == 0 and steps[i] * out == n:
            x = _repeated(x, dim, out // n)
        elif kind != "linear":
            x = c.gather(x, dim, _nearest(c, n, out, steps[i], kind == "nearest-exact", x.dtype), check=False)
        else:
            x = _linear(c, x, dim, out, steps[i], align)
    return x


def _repeated(x: Array, dim: int, times: int) -> Array:
    """Every element `times` times along a dimension."""
    shape = x.shape
    spread = x.unsqueeze(dim + 1).expand((*shape[: dim + 1], times, *shape[dim + 1 :]))
    return spread.reshape((*shape[:dim], shape[dim] * times, *shape[dim + 1 :]))


def _nearest(c: Graph, n: int, out: int, step: float, exact: bool, d: dtypes.dtype) -> Array:
    """The input nearest to each output, computed in the precision of the elements."""
    i = c.cast(c.index((out,), 0), d)
    source = c.map("floor", (i + 0.5 if exact else i) * step)
    return c.map("minimum", c.cast(source, dtypes.int64), n - 1)


def _neighbours(c: Graph, n: int, out: int, step: float, align: bool, d: dtypes.dtype) -> tuple[Array, Array, Array]:
    """(the inputs below and above each output, how far it is from the one below)."""
    i = c.cast(c.index((out,), 0), d)
    source = c.map("maximum", i * step if align else (i + 0.5) * step - 0.5, 0.0)
    base = c.map("floor", source)
    low = c.map("minimum", c.cast(base, dtypes.int64), n - 1)
    return low, c.map("minimum", low + 1, n - 1), source - base


def _linear(c: Graph, x: Array, dim: int, out: int, step: float, align: bool) -> Array:
    """Two neighbours, weighted by their distances."""
    low, high, t = _neighbours(c, x.shape[dim], out, step, align, x.dtype)
    t = _facing(t, dim, x.ndim)
    return c.gather(x, dim, low, check=False) * (1.0 - t) + c.gather(x, dim, high, check=False) * t


def _facing(t: Array, dim: int, ndim: int) -> Array:
    """A vector as an array of `ndim` dimensions, all but `dim` of size 1."""
    return t.reshape([t.shape[0] if d == dim else 1 for d in range(ndim)])


def resample_backward(
    c: Graph, g: Array, shape: Sizes, size: Sizes, kind: str, align: bool, steps: Sequence[float]
) -> Array:
    """The transpose of `resample`: every output is added to the inputs it was made of."""
    if kind not in ("nearest", "nearest-exact", "linear"):
        raise Unsupported(f"the transpose of {kind} interpolation")
    g, lead = wide(nonempty(g)), g.ndim - len(size)
    for i in range(len(size)):
        n, out, dim = shape[lead + i], size[i], lead + i
        if kind != "linear" and out % n == 0 and steps[i] * out == n:
            blocks = g.reshape((*g.shape[:dim], n, out // n, *g.shape[dim + 1 :]))
            g = c.reduce("sum", blocks, (dim + 1,)).squeeze(dim + 1)
        elif kind != "linear":
            g = added_up(c, g, dim, _nearest(c, n, out, steps[i], kind == "nearest-exact", g.dtype), n)
        else:
            low, high, t = _neighbours(c, n, out, steps[i], align, g.dtype)
            t = _facing(t, dim, g.ndim)
            g = index_add(c, added_up(c, g * (1.0 - t), dim, low, n), dim, high, g * t)
    return g
