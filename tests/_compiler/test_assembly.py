"""Sums of arrays that are 0 but for a part, computed by NumPy with and without their assembly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from flambeau._backends.reference.evaluate import evaluate, seen
from flambeau._compiler.assembly import assembled
from flambeau._core.dtypes import float32
from flambeau._ir.graph import Graph
from flambeau._ir.meta import meta

SHAPE = (4, 6, 5)


def layout(*index):
    """The layout of `x[index]` for a dense x of SHAPE."""
    whole = np.zeros(SHAPE, np.int8)
    x = whole[(*index, ...)]
    return meta(float32, x.shape, x.strides, x.__array_interface__["data"][0] - whole.__array_interface__["data"][0])


def padded(graph, slot, m):
    """Zeros of SHAPE, the part with a layout replaced by what is in a slot."""
    zeros = graph.copy(graph.const(0.0, float32, SHAPE))
    part = graph.input(slot, float32, m.numel).reshape(m.shape)
    return graph.write(zeros.reshape((120,)), m, part).reshape(SHAPE)


def summed(graph, parts):
    """The sum, assembled at every step as in capture, and as it is."""
    arrays = [padded(graph, i, m) for i, m in enumerate(parts)]
    plain = made = arrays[0]
    for array in arrays[1:]:
        plain, made = graph.map("add", plain, array), assembled(graph, graph.map("add", made, array))
    return made, plain


def check(parts, kinds):
    graph = Graph()
    made, plain = summed(graph, parts)
    rng = np.random.default_rng(0)
    results = evaluate(graph, {i: rng.standard_normal(m.numel, np.float32) for i, m in enumerate(parts)})
    np.testing.assert_array_equal(seen(results, made), seen(results, plain))
    found, node = [], made.node
    while node.kind == "write":
        found.append("write")
        node = node.inputs[0].node
    assert [*found, node.name if node.kind == "map" else node.kind] == kinds


HALVES = slice(0, 3), slice(3, 6)


@pytest.mark.parametrize("parts", [
    [(slice(None), h) for h in HALVES],
    [(slice(None), slice(None), slice(4)), (slice(None), slice(None), 4)],
    [(i,) for i in range(4)],
    [(slice(1, 4),), (0,)],
    [(slice(None, None, 2),), (slice(1, None, 2),)],
    [(slice(None), i) for i in range(6)],
])  # fmt: skip
def test_parts_that_fill_an_array_need_no_zeros(parts):
    check([layout(*p) for p in parts], ["write"] * len(parts) + ["empty"])


@pytest.mark.parametrize("parts", [
    [(slice(None), 1), (slice(None), 4)],
    [(0, slice(2)), (slice(2, 4), slice(1, 3), 2)],
    [(slice(None), slice(None), 0), (slice(None), slice(None), 3), (slice(None), slice(None), slice(1, 3))],
])  # fmt: skip
def test_parts_that_leave_places_are_written_into_zeros(parts):
    check([layout(*p) for p in parts], ["write"] * len(parts) + ["copy"])


@pytest.mark.parametrize("parts", [
    [(slice(0, 3),), (slice(2, 4),)],
    [(slice(None), 2), (1,)],
    [(slice(None), slice(0, 4), 2), (slice(None), slice(3, 6), slice(1, 3))],
])  # fmt: skip
def test_parts_that_may_overlap_are_added(parts):
    check([layout(*p) for p in parts], ["add"])


def test_whatever_the_slices():
    pieces = [slice(None), slice(0, 2), slice(1, 3), slice(2, 4), 0, 3, slice(0, 4, 2)]
    rng = np.random.default_rng(1)
    for _ in range(200):
        some = [layout(*[pieces[i] for i in rng.integers(len(pieces), size=3)]) for _ in range(3)]
        graph = Graph()
        made, plain = summed(graph, some)
        results = evaluate(graph, {i: rng.standard_normal(m.numel, np.float32) for i, m in enumerate(some)})
        np.testing.assert_array_equal(seen(results, made), seen(results, plain))


def test_other_sums_stay():
    graph = Graph()
    a = padded(graph, 0, layout(0))
    dense = graph.input(1, float32, 120).reshape(SHAPE)
    for x, y in itertools.permutations((a, dense, graph.copy(dense)), 2):
        assert assembled(graph, added := graph.map("add", x, y)) is added
