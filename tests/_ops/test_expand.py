"""What operations mean to the compiler against what they do: expansions, computed by the reference, against bodies.

An operation with an expansion needs samples here. A sample lists the operation's arguments; `t` stands for a tensor of
numbers in each of the dtypes the operation is tried in, `i` for one of integers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest

from flambeau._backends.reference.evaluate import evaluate, seen
from flambeau._core import dtypes
from flambeau._ir.graph import Array, Graph, Unsupported, verify
from flambeau._ir.meta import meta
from flambeau._ops.registry import OPS

FLOATS = ("float32", "float64", "float16", "bfloat16")
REALS = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8")
ALL = (*REALS, "bool")
WIDE = ("float32", "float64")

TOLERANCE = {"float64": 1e-12, "float32": 3e-6, "float16": 2e-3, "bfloat16": 2e-2}


class Wanted(NamedTuple):
    """A tensor that a sample asks for; `dtype` is "" for the one that is being tried."""

    shape: tuple[int, ...]
    low: float
    high: float
    dtype: str
    special: bool


def t(*shape, low=-3, high=3, special=False):
    """A tensor of numbers of the dtype that is being tried; with `special` some elements are infinite or NaN."""
    return Wanted(shape, low, high, "", special)


def i(*shape, below, low=0, dtype="int64"):
    """A tensor of integers from `low` up to `below`, which is left out."""
    return Wanted(shape, low, max(below, low + 1), dtype, False)


f32, f64, i64, b8 = dtypes.float32, dtypes.float64, dtypes.int64, dtypes.bool_
S = t(3, 5, special=True)
REDUCED = [(t(3, 4), None, False), (t(3, 4), 1, True), (t(2, 3, 4), (0, 2), False), (t(), None, False), (S, 1, False)]

# name: (dtypes, samples)
SAMPLES: dict[str, tuple] = {}


def samples(name, dtypes_, *cases):
    SAMPLES[name] = (dtypes_, cases)


samples("sum", ALL, (t(3, 4),), (t(0, 3), 0), (t(3, 4), [1]), (t(3, 4), 0, False, f32), *REDUCED)
samples("nansum", ALL, (t(3, 4),), (t(0, 3), 0), *REDUCED)
samples("product", ALL, *[(*r, None) for r in REDUCED], (t(0, 3), 0, False, None), (t(3, 4), None, False, f64))
samples("average", FLOATS, *[(*r, None) for r in REDUCED], (t(0, 3), 0, False, None), (t(3, 4), None, False, f64))
samples("linear_grads", FLOATS, *[
    (t(4, 3), t(4, 5), t(3, 5), True), (t(4, 3), None, t(3, 5), False), (t(2, 4, 3), t(2, 4, 5), None, True),
    (t(3), t(5), t(3, 5), True), (t(4, 3), None, None, True), (t(0, 3), t(0, 5), t(3, 5), True),
])  # fmt: skip
samples("total_squared_error", FLOATS, *[
    (t(3, 4), t(3, 4), True), (t(3, 4), t(4), False), (t(3, 1), t(2), True), (t(), t(), True), (S, t(3, 5), False),
])  # fmt: skip
samples("variance", FLOATS, *[(x, d, 1, k) for x, d, k in REDUCED], (t(3, 4), 0, 3, False), (t(3, 4), 1, 0.5, True))
samples("root_with_zero_gradient", FLOATS, (t(3, 4, low=0),))
for name in ("all", "any"):
    samples(name, ALL, (t(3, 4),), (t(0, 3), 0), *REDUCED, (t(4, 6, low=-1, high=1), 0))
samples("count_nonzero", ALL, (t(3, 4),), (t(0, 3), 0), (t(4, 6, low=-1, high=1), 0), (t(),))
for name in ("amax", "amin"):
    samples(name, ALL, (t(3, 4),), (t(0, 3), 1), *REDUCED)
for name in ("argmax", "argmin"):
    samples(
        name,
        ALL,
        (t(3, 4),),
        (t(3, 9, low=-1, high=1), 1),
        (t(3, 4, 2), 1, True),
        (S, 1),
        (t(), 0),
        (t(2, 3), None, True),
    )
for name in ("max_along", "min_along"):
    samples(name, ALL, (t(3, 4), 1, False), (t(3, 9, low=-1, high=1), 1, False), (t(3, 4, 2), 1, True), (S, 1, False))
for name in ("max_of_all", "min_of_all"):
    samples(name, ALL, (t(3, 4),), (S,), (t(),))
samples(
    "p_norm",
    FLOATS,
    *[(x, p, d, k) for x, d, k in REDUCED for p in (2, 1, 2.0, float("inf"), float("-inf"), 0, 3, 0.5)],
)
samples("log_sum_exp", ALL, *REDUCED, (t(3, 0), 1, False))
samples("softmax_rows", FLOATS, (t(3, 4), 1), (t(3, 4, 2), -2), (S, 1), (t(), 0), (t(0, 3), 1))
samples("log_softmax_rows", FLOATS, (t(3, 4), 1), (t(3, 4, 2), -2), (S, 1), (t(), 0), (t(0, 3), 1))
Q, K, V = t(2, 3, 4), t(2, 5, 4), t(2, 5, 6)
MASKS = (None, False), (None, True), (Wanted((3, 5), 0, 2, "bool", False), False), (t(2, 3, 5), False)
samples("attended", WIDE, *[(Q, K, V, mask, causal, 0.5) for mask, causal in MASKS])
samples(
    "attended_grad",
    WIDE,
    *[(t(2, 3, 6), Q, K, V, t(2, 3, 6), t(2, 3), mask, causal, 0.5) for mask, causal in MASKS],
)
samples("lstm_layer", WIDE, (t(5, 2, 12), t(2, 3), t(2, 3), t(12, 3)), (t(1, 4, 4), t(4, 1), t(4, 1), t(4, 1)))
samples(
    "lstm_layer_grad",
    WIDE,
    (t(5, 2, 3), t(2, 3), t(2, 3), t(5, 2, 12, low=0, high=1), t(5, 2, 3), t(2, 3), t(12, 3)),
)
samples("standardize", FLOATS, (t(3, 4), (1,), 1e-5), (t(3, 4, 2), (0, 2), 0.1), (t(3, 4), (0, 1), 1e-5))
samples(
    "layer_normalised", FLOATS, (t(3, 4), (4,), 0.1, t(4), t(4)), (t(3, 4, 2), (4, 2), 0.1, t(4, 2)), (t(4), (4,), 0.1)
)
samples(
    "channels_normalised",
    FLOATS,
    (t(3, 4), t(4), t(4, low=0), 0.1, t(4), t(4)),
    (t(3, 4, 2), t(4), t(4, low=0), 0.1, None, t(4)),
    (t(3, 4, 2, 5), t(4), t(4, low=0), 1e-5),
)
samples(
    "layer_normalised_grad",
    FLOATS,
    (t(3, 4), t(3, 4), t(3, 1), t(3, 1), (1,), t(4)),
    (t(3, 2, 4), t(3, 2, 4), t(3, 1, 1), t(3, 1, 1), (1, 2)),
    (t(4), t(4), t(1), t(1), (0,), t(4)),
)
samples(
    "nll_of",
    FLOATS,
    (t(4, 3), i(4, below=3), None, -100),
    (t(4, 3, 2), i(4, 2, below=3), t(3, low=0), 1),
    (t(5), i(below=5), None, -100),
    (t(5), i(1, below=5), None, -100),
    (t(6, 3), i(6, below=3, dtype="uint8"), None, 2),
)
samples(
    "mean_entropy",
    FLOATS,
    (t(4, 3), i(4, below=3), None, -100),
    (t(4, 3, 2), i(4, 2, below=3), t(3, low=0), 1),
    (t(5), i(below=5), None, -100),
    (t(5), i(1, below=5), None, -100),
)
samples(
    "mean_entropy_grad",
    FLOATS,
    (t(), t(4, 3), i(4, below=3), t(4, low=1)),
    (t(), t(4, 3, 2), i(4, 2, below=3, dtype="uint8"), t(4, 2, low=1)),
    (t(), t(5), i(below=5), t(low=1)),
    (t(), t(5), i(1, below=5), t(1, low=1)),
)
samples("bce_of", FLOATS, (t(3, 4, low=0, high=1), t(3, 4, low=0, high=1)))
samples(
    "cast",
    ALL,
    *[(S, d) for d in (f32, f64, dtypes.float16, dtypes.bfloat16, b8)],
    *[(t(3, 4), d) for d in (i64, dtypes.int32, dtypes.uint8, dtypes.int8)],
)
samples("copy_of", ALL, (t(3, 4), True), (t(3, 4), False), (t(0), True))
samples("insensitive", ALL, (t(3, 4), t(3, 4)))
samples("in_place_of", ALL, (t(3, 4), t(3, 4)))
samples("straight_through", FLOATS, (t(3, 4), t(3, 4), t(3, 4)))
samples(
    "filled",
    ("float32",),
    *[((2, 3), v, d) for v in (0, 1.5, True, -2) for d in (f32, i64, b8, dtypes.float16)],
    ((), 7, f64),
    ((0, 2), 1, f32),
    ((2,), 3000000000, i64),
    ((2,), float("nan"), f32),
)
samples(
    "stepped",
    ("float32",),
    (0, 1, 5, i64),
    (3, -2, 4, dtypes.int32),
    (0.5, 0.25, 4, f32),
    (1, 2, 3, f64),
    (0, 1, 0, i64),
)
samples("spaced", ("float32",), (0, 1, 5, f32), (1, -1, 4, f64), (0, 10, 4, i64), (3, 5, 1, f32), (0.5, 2, 0, f32))
samples("identity", ("float32",), (3, 4, f32), (3, 2, i64), (2, 2, b8), (0, 2, f32))
for name in ("tril", "triu"):
    samples(name, ALL, (t(3, 4),), (t(2, 4, 3), 1), (t(4, 4), -2), (t(0, 3), 0), (t(3, 4, special=True), 1))
samples(
    "nn.functional.linear",
    FLOATS,
    (t(3, 4), t(2, 4), t(2)),
    (t(2, 3, 4), t(5, 4)),
    (t(4), t(2, 4), t(2)),
    (t(3, 4), t(4), None),
    (t(0, 4), t(2, 4), t(2)),
    (t(3, 4), t(4), t()),
    (t(3, 0), t(2, 0), t(2)),
)
samples(
    "matmul",
    (*REALS, "bool"),
    (t(3, 4), t(4, 2)),
    (t(2, 3, 4), t(4, 2)),
    (t(2, 1, 3, 4), t(3, 4, 2)),
    (t(4), t(4)),
    (t(4), t(2, 4, 3)),
    (t(2, 3, 4), t(4)),
    (t(3, 0), t(0, 2)),
)
CONV = ("float32", "float64", "float16", "bfloat16", "int64")
samples(
    "convolution",
    CONV,
    (t(2, 3, 5, 6), t(4, 3, 3, 2), t(4), (1, 2), (1, 0), (1, 1), False, (0, 0), 1),
    (t(2, 4, 7), t(4, 2, 3), None, (2,), (1,), (2,), False, (0,), 2),
    (t(2, 4, 5), t(4, 2, 3), t(4), (2,), (1,), (1,), True, (1,), 2),
    (t(1, 2, 3, 4, 4), t(2, 3, 2, 2, 2), None, (1, 2, 1), (0, 0, 0), (1, 1, 1), True, (0, 0, 0), 1),
)
samples(
    "internal.convolution_weight_grad",
    CONV,
    (t(2, 4, 5, 3), t(2, 3, 5, 6), (4, 3, 3, 2), (1, 2), (1, 0), (1, 1), 1),
    (t(2, 4, 2), t(2, 4, 7), (4, 2, 3), (2,), (0,), (2,), 2),
)
samples(
    "gather",
    ALL,
    (t(3, 4), 1, i(3, 2, below=4)),
    (t(3, 4), 0, i(5, 2, below=3, dtype="int32")),
    (t(5), 0, i(0, below=1)),
    (t(), 0, i(below=1)),
    (t(3, 4), -1, i(2, 6, below=4), True),
)
samples(
    "rows_of",
    ALL,
    (i(2, 3, below=5), t(5, 4), -1, False, False),
    (i(4, below=5, dtype="int32"), t(5, 2), 1, False, False),
)
samples(
    "index_select",
    ALL,
    (t(3, 4), 1, i(5, below=4)),
    (t(3, 4), 0, i(below=3, dtype="int32")),
    (t(), 0, i(1, below=1)),
    (t(3, 4), 0, i(0, below=3)),
)
samples(
    "internal.index",
    ALL,
    (t(3, 4), (i(5, low=-3, below=3),)),
    (t(3, 4), (i(2, 1, below=3), i(3, low=-4, below=4))),
    (t(2, 3, 4), (None, i(2, 2, low=-3, below=3))),
    (t(2, 3, 4), (i(2, below=2), None, i(2, low=-4, below=4))),
    (t(2, 3, 4), (None, None, i(below=4))),
    (t(3, 0), (i(2, below=3),)),
)
samples(
    "internal.scatter",
    ALL,
    (t(3, 4), 1, i(3, 1, below=4), t(3, 1)),
    (t(3, 4), 1, i(3, 1, below=4), 1),
    (t(3, 4), 0, i(1, 4, below=3), 0),
    (t(3, 4), 1, i(2, 3, below=4), t(3, 3)),
    (t(3), 0, i(2, below=3), 1),
)
samples(
    "internal.cat",
    ALL,
    ((t(3, 4), t(3, 2)), 1),
    ((t(1, 2), t(0, 2), t(3, 2)), 0),
    ((t(0), t(2, 2)), -1),
    ((t(2), i(3, below=5)), 0),
)
samples("internal.stack", ALL, ((t(3, 4), t(3, 4)), 1), ((t(), t()), 0), ((t(2), t(2), t(2)), -1))
samples("internal.embed", ALL, (t(2, 3), (4, 6), (12, 2), 1), (t(2, 3), (4, 6), (1, 1), 0), (t(0, 3), (4,), (1, 1), 0))
samples("internal.overwritten", ALL, (t(4, 6), t(2, 3), (12, 2), 1), (t(4, 6), t(0, 3), (12, 2), 1))
samples(
    "internal.constant_pad_nd",
    ALL,
    (t(3, 4), (1, 2), 0),
    (t(3, 4), (1, 0, 2, 1), 1.5),
    (t(3, 4), (-1, 2, 1, -1), 2),
    (t(0, 2), (0, 0, 1, 1), 1),
    (t(3, 4), (), 0),
)
samples("take", ALL, (t(3, 4), i(2, 3, low=-12, below=12)), (t(3, 4), i(below=12)))
samples(
    "index_add",
    REALS,
    (t(3, 4), 1, i(5, below=4), t(3, 5)),
    (t(3, 4), 0, i(6, below=3, dtype="int32"), t(6, 4), 2),
    (t(3, 4), 0, i(0, below=3), t(0, 4)),
    (t(5), 0, i(7, below=5), t(7), 0.5),
    (t(), 0, i(1, below=1), t(1)),
)
samples("internal.bin_means", FLOATS, (t(2, 3, 7, 9), (3, 4)), (t(3, 5), (8,)), (t(2, 28), (5,)), (t(2, 3), (0,)))
samples("internal.bin_maxima", FLOATS, (t(2, 3, 7, 9), (3, 4)), (t(3, 5), (8,)), (t(2, 4, 5, 3), (3, 2, 2)),
        (t(3, 7, special=True), (3,)))  # fmt: skip
samples("internal.bin_means_backward", FLOATS, (t(2, 3, 3, 4), (2, 3, 7, 9), (3, 4)), (t(3, 8), (3, 5), (8,)))
samples("index_copy", ALL, (t(3, 4), 1, i(2, below=4), t(3, 2)), (t(3, 4), -2, i(6, below=3), t(6, 4)))
samples("internal.index_fill", ALL, (t(3, 4), 1, i(2, low=-4, below=4), 1), (t(3, 4), 0, i(below=3), t()))
samples(
    "internal.index_put",
    REALS,
    (t(3, 4), (i(5, low=-3, below=3),), t(5, 4), True),
    (t(3, 4), (i(2, 1, below=3), i(3, low=-4, below=4)), t(3), True),
    (t(2, 3, 4), (None, i(2, 2, low=-3, below=3)), t(1, 2, 2, 2, 1), False),
    (t(3, 4), (i(5, below=3),), t(), False),
    (t(2, 3, 4), (i(2, below=2), None, i(2, below=4)), t(), False),
    (t(3, 4), (None, i(7, below=4)), t(3, 7), True),
)
samples("put", REALS, (t(3, 4), i(5, low=-12, below=12), t(5), True), (t(3, 4), i(2, 2, below=12), t(2, 2), False))
samples(
    "scatter_add",
    REALS,
    (t(3, 4), 1, i(3, 6, below=4), t(3, 6)),
    (t(3, 4), 0, i(2, 2, below=3), t(4, 3)),
    (t(5), 0, i(8, below=5), t(8)),
    (t(5), 0, i(0, below=5), t(0)),
    (t(), 0, i(below=1), t()),
)
for combiner in ("sum", "prod", "amax", "amin", "mean"):
    for own in (True, False):
        samples("internal.scatter_reduce", REALS, (t(3, 4), 1, i(3, 6, below=4), t(3, 6), combiner, own),
                (t(5, 4), 0, i(3, 2, below=5), t(3, 4), combiner, own))  # fmt: skip
samples("internal.flip", ALL, (t(3, 4), (0,)), (t(2, 3, 4), (0, 2)), (t(), ()), (t(0, 2), (1,)),
        (t(3, 70), (1,)), (t(40, 20), (0, 1)), (t(20, 3), (0,)))  # fmt: skip
samples(
    "internal.roll",
    ALL,
    (t(3, 4), (1,), (1,)),
    (t(3, 4), (-2, 5), (1, 0)),
    (t(3, 4), (5,), None),
    (t(3, 4), (0,), (0,)),
)
PADS = ((1, 2), (0, 1, 2, 0), (2, -1), (-1, 0))
samples(
    "internal.repeated_pad", ALL, *[(t(2, 3, 4, 5), p, m) for p in PADS for m in ("reflect", "replicate", "circular")]
)
for name in ("cumsum", "cumprod"):
    samples(name, ALL, (t(3, 4), 1), (t(3, 4), 0, f64), (t(), 0), (S, -1))
for name in ("cummax", "cummin"):
    samples(name, ALL, (t(3, 4), 1), (t(2, 9, low=-1, high=1), -1), (t(), 0), (S, 1), (t(5, 2, special=True), 0))
samples("sorted_along", ALL, (t(3, 4), 1, False), (t(9, 2, low=-1, high=1), -2, True), (t(), 0, False), (S, 1, True))
samples("top", ALL, (t(3, 4), 2, 1, True, True), (t(5, 2), 3, 0, False, True), (S, 4, -1, True, True))
samples(
    "kth", ALL, (t(3, 4), 2, 1, False), (t(9, 2, low=-1, high=1), 5, 0, True), (S, 5, -1, False), (t(), 1, 0, False)
)
for name in ("median_along", "nanmedian_along"):
    samples(
        name,
        ALL,
        (t(3, 4), 1, False),
        (t(9, 2, low=-1, high=1), 0, True),
        (S, -1, False),
        (t(7, 2, special=True), 0, False),
    )
POOLS = [
    ((2, 4, 7, 6), (2, 3), (2, 2), (1, 1), (1, 1)),
    ((3, 6, 6), (2, 2), (2, 2), (0, 0), (1, 1)),
    ((2, 3, 9), (3,), (1,), (1,), (2,)),
    ((1, 2, 4, 4, 5), (2, 1, 2), (1, 1, 2), (0, 0, 0), (1, 1, 1)),
]


def pooled(shape, kernel, stride, padding, dilation):
    """The shape of a pool's result, rounded down."""
    lead = len(shape) - len(kernel)
    numbers = zip(shape[lead:], kernel, stride, padding, dilation, strict=True)
    return (*shape[:lead], *[(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in numbers])


def corner(shape, kernel, stride, padding, dilation):
    """Codes of maxima, among positions of windows that lie in no padding."""
    below = 1 if any(padding) else math.prod(kernel)
    return i(*pooled(shape, kernel, stride, padding, dilation), below=below, dtype="uint8")


PLAIN = [(x, k, s, p) for x, k, s, p, d in POOLS if set(d) == {1}]
samples(
    "internal.max_pool",
    FLOATS,
    *[(t(*x), *n, False) for x, *n in POOLS],
    (t(2, 5, 5, special=True), (2, 2), (2, 2), (0, 0), (1, 1), True),
)
samples("internal.max_pool_place", FLOATS, *[(t(*pooled(*n)), corner(*n), *n, False) for n in POOLS])
samples("internal.max_pool_take", ALL, *[(t(*n[0]), corner(*n), *n[1:], False) for n in POOLS])
samples("internal.max_pool_index", ("float32",), *[(corner(*n), *n, False) for n in POOLS])
samples(
    "internal.avg_pool",
    FLOATS,
    *[(t(*x), *n, False, i, v) for x, *n in PLAIN for i, v in ((True, None), (False, None), (True, 3))],
    *[(t(2, 3, 7, 5), (7, 5), (7, 5), (0, 0), False, True, v) for v in (None, 3)],
)
samples(
    "internal.avg_pool_backward",
    FLOATS,
    *[(t(*pooled(*n, (1, 1, 1)[: len(n[1])])), *n, False, i, None) for n in PLAIN for i in (True, False)],
)
samples(
    "internal.im2col",
    ALL,
    (t(2, 3, 5, 6), (2, 3), (1, 1), (0, 0), (1, 1)),
    (t(2, 3, 5, 6), (2, 2), (2, 1), (1, 2), (1, 2)),
)
samples(
    "internal.resample",
    FLOATS,
    *[
        (t(2, 3, 4, 5), s, k, a, v)
        for k, a in (("nearest", False), ("nearest-exact", False), ("linear", False), ("linear", True))
        for s, v in (((8, 10), (2.0, 2.0)), ((7, 3), (None, None)), ((4, 5), (None, None)), ((5, 12), (1.3, 2.5)))
    ],
    (t(2, 3, 4), (8,), "nearest", False, (None,)),
    (t(1, 2, 3, 2, 2), (6, 4, 3), "linear", True, (None,) * 3),
)
samples(
    "internal.resample_backward",
    FLOATS,
    *[
        (t(2, 3, *size), (2, 3, 4, 5), size, kind, align, scales)
        for kind, align in (("nearest", False), ("nearest-exact", False), ("linear", False), ("linear", True))
        for size, scales in (((8, 15), (2.0, 3.0)), ((7, 3), (None, None)), ((4, 5), (None, None)))
    ],
    (t(2, 3, 8), (2, 3, 4), (8,), "nearest-exact", False, (None,)),
)
samples(
    "internal.repeated_pad_backward",
    FLOATS,
    (t(2, 3, 4, 8), (2, 3, 4, 5), (1, 2), "reflect"),
    (t(2, 3, 6, 6), (2, 3, 4, 5), (0, 1, 2, 0), "replicate"),
    (t(2, 3, 4, 8), (2, 3, 4, 5), (1, 2), "circular"),
    (t(2, 3, 4, 6), (2, 3, 4, 5), (2, -1), "reflect"),
)
samples(
    "internal.col2im",
    FLOATS,
    (t(2, 18, 20), (5, 7), (2, 3), (1, 1), (0, 0), (1, 1)),
    (t(2, 12, 27), (5, 6), (2, 2), (2, 1), (1, 2), (2, 1)),
)
samples("internal.max_unpool", REALS, (t(3, 1), i(3, 1, below=5), (5,)), (t(2, 1, 1), i(2, 1, 1, below=6), (3, 2)))
samples("isin", ALL, (t(3, 4), t(5)), (t(3, 4), i(2, below=3), False, True), (t(), t(2, 2)), (t(3), 2), (t(0), t(2)))


# ---------------------------------------------------------------------------------------------- the comparison


def array(rng, spec, d):
    """Elements that a sample asks for; floats are multiples of 1/4, so that there are ties."""
    if spec.dtype:
        return np.asarray(rng.integers(spec.low, spec.high, spec.shape)).astype(spec.dtype)
    numbers = np.asarray(np.round(rng.uniform(spec.low, spec.high, spec.shape) * 4) / 4)
    if d.category != dtypes.FLOAT:
        return np.asarray(np.trunc(np.abs(numbers) if d.name == "uint8" else numbers)).astype(d.numpy)
    if spec.special:
        numbers.reshape(-1)[rng.integers(0, numbers.size, 3)] = [np.nan, np.inf, -np.inf]
    return numbers.astype(d.numpy)


def arguments(rng, case, d):
    """The arguments of a body: arrays in place of the tensors that a sample asks for."""
    found = []
    for a in case:
        if isinstance(a, Wanted):
            a = array(rng, a, d)
        elif type(a) is tuple:
            a = tuple(arguments(rng, a, d))
        found.append(a)
    return found


class Captured:
    """A graph whose inputs show arrays, in layouts that change from one to the next."""

    def __init__(self):
        self.graph = Graph()
        self.memory = {}

    def read(self, argument):
        if type(argument) is tuple:
            return tuple([self.read(a) for a in argument])
        if not isinstance(argument, np.ndarray):
            return argument
        slot = len(self.memory)
        order = list(range(argument.ndim))
        if slot % 2 == 0:  # lies in the order of other dimensions, with something in front
            order = order[::-1]
        flat = np.concatenate([np.zeros(slot % 3, argument.dtype), argument.transpose(order).reshape(-1)])
        self.memory[slot] = flat
        d = dtypes.from_numpy(argument.dtype)
        sizes = [argument.shape[i] for i in order]
        steps = np.cumprod([1, *[max(n, 1) for n in sizes[:0:-1]]])[::-1] if sizes else []
        strides = [int(steps[order.index(i)]) for i in range(argument.ndim)]
        node = self.graph.input(slot, d, flat.size).node
        return Array(self.graph, node, 0, meta(d, argument.shape, strides, slot % 3))

    def results(self, arrays):
        verify(self.graph.nodes)
        found = evaluate(self.graph, self.memory)
        return [np.array(seen(found, a)) for a in arrays]


def metas(argument):
    if type(argument) is tuple:
        return tuple([metas(a) for a in argument])
    return meta_of(argument) if isinstance(argument, np.ndarray) else argument


def meta_of(x):
    c = np.empty(x.shape, x.dtype)
    return meta(dtypes.from_numpy(x.dtype), x.shape, [s // x.itemsize for s in c.strides])


def assert_same(ours, theirs, d, what):
    assert ours.shape == theirs.shape, what
    if d.category < dtypes.FLOAT:
        np.testing.assert_array_equal(ours, theirs, err_msg=what)
    else:
        tolerance = TOLERANCE[d.name]
        np.testing.assert_allclose(ours.astype("f8"), theirs.astype("f8"), tolerance, tolerance, err_msg=what)


EXPANDED = [name for name, op in OPS.items() if op.family == "library" and op.expand is not None]


@pytest.mark.parametrize("name", EXPANDED)
def test_expansion_says_what_the_body_does(name):
    op = OPS[name]
    assert name in SAMPLES, f"{name} has an expansion and no samples"
    kinds, cases = SAMPLES[name]
    rng = np.random.default_rng(1)
    covered = 0
    for d in [dtypes.BY_NAME[k] for k in kinds]:
        for case in cases:
            covered += compare(op, arguments(rng, case, d), f"{name}{case} in {d.name}")
    assert covered, f"the expansion of {name} covers no sample"


def compare(op, args, what):
    """Did the expansion cover these arguments? AssertionError if it says something else than the body."""
    try:
        inferred = op.infer(*metas(tuple(args)))
    except (RuntimeError, TypeError, IndexError, NotImplementedError, ValueError):
        return False  # arguments that users cannot give
    captured = Captured()
    try:
        ours = op.expand(captured.graph, *[captured.read(a) for a in args])
    except Unsupported:
        return False
    ours = ours if isinstance(ours, tuple) else (ours,)
    with np.errstate(all="ignore"):
        theirs = op.run(*args)
    theirs = theirs if isinstance(theirs, tuple) else (theirs,)
    inferred = inferred if isinstance(inferred, tuple) else (inferred,)
    assert len(ours) == len(inferred), what
    ours = [captured.graph.cast(a, m.dtype) for a, m in zip(ours, inferred, strict=True)]
    for found, m, x in zip(captured.results(ours), inferred, theirs, strict=True):
        assert found.shape == tuple(m.shape), f"{what}: shape {found.shape} where {m} was inferred"
        assert_same(found, np.asarray(x).astype(m.dtype.numpy), m.dtype, what)
    return True


OUT_OF_RANGE = [
    ("gather", t(3, 4), 1, i(3, 2, low=4, below=6)),
    ("rows_of", i(2, low=-1, below=0), t(5, 4), -1, False, False),
    ("index_select", t(3, 4), 0, i(2, low=3, below=4)),
    ("internal.index", t(3, 4), (i(2, below=3), i(2, low=-5, below=-4))),
    ("take", t(3, 4), i(2, low=12, below=13)),
    ("internal.scatter", t(3, 4), 1, i(3, 1, low=4, below=5), 1),
    ("internal.scatter", t(3, 4), 1, i(3, 2, low=-1, below=0), 1),
    ("scatter_add", t(3, 4), 1, i(3, 2, low=4, below=5), t(3, 2)),
    ("index_add", t(3, 4), 1, i(2, low=4, below=5), t(3, 2)),
    ("internal.index_put", t(3, 4), (i(2, low=3, below=4),), t(2, 4), True),
    ("nll_of", t(4, 3), i(4, low=3, below=5), None, -100),
    ("mean_entropy", t(4, 3), i(4, low=-2, below=0), t(3), -100),
    ("bce_of", t(2, 2, low=1.25), t(2, 2)),
]


@pytest.mark.parametrize("case", OUT_OF_RANGE, ids=[case[0] for case in OUT_OF_RANGE])
def test_what_is_out_of_range_stops_the_run(case):
    op, args = OPS[case[0]], arguments(np.random.default_rng(1), case[1:], f32)
    with pytest.raises((IndexError, RuntimeError)):
        op.run(*args)
    captured = Captured()
    found = op.expand(captured.graph, *[captured.read(a) for a in args])
    with pytest.raises(IndexError):
        captured.results(found if isinstance(found, tuple) else (found,))


def test_every_sample_is_of_an_expansion():
    assert sorted(SAMPLES) == sorted(EXPANDED)
