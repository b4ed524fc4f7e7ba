"""The algebra of views against NumPy's, and what a graph says about dtypes, constants and equal nodes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flambeau._backends.reference.evaluate import evaluate, seen
from flambeau._core import dtypes
from flambeau._ir.graph import Graph, Unsupported, broadcast, reshaped_strides, verify
from flambeau._ir.meta import meta

SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)


def value(graph, array, memory=None):
    verify(graph.nodes)
    return np.array(seen(evaluate(graph, memory or {}), array))


def an_input(graph, shape, d=dtypes.float32):
    """An Array of this shape, and NumPy's view of the same memory."""
    numel = math.prod(shape)
    memory = np.arange(numel, dtype=d.numpy)
    return graph.input(0, d, numel).reshape(shape), memory.reshape(shape), {0: memory}


# ---------------------------------------------------------------------------------------------- views


@st.composite
def factors(draw, numel):
    """A shape with this many elements."""
    if numel == 0:
        return draw(SHAPES.filter(lambda s: math.prod(s) == 0))
    shape = []
    while numel > 1:
        n = draw(st.sampled_from([n for n in range(1, numel + 1) if numel % n == 0]))
        shape.append(n)
        numel //= n
        if len(shape) == 4:
            return (*shape, numel)
    return tuple(shape)


def step(draw, a, x):
    """One view of the Array and the same of NumPy's."""
    kinds = ["unsqueeze", "expand", "reshape"] + (["permute", "transpose", "slice", "squeeze"] if x.ndim else [])
    kind = draw(st.sampled_from(kinds))
    if kind == "unsqueeze":
        dim = draw(st.integers(-x.ndim - 1, x.ndim))
        return a.unsqueeze(dim), np.expand_dims(x, dim)
    if kind == "expand":
        shape = [draw(st.integers(1, 3)) if n == 1 else n for n in x.shape]
        shape = [2] * draw(st.integers(0, 1)) + shape
        return a.expand(shape), np.broadcast_to(x, shape)
    if kind == "reshape":
        shape = draw(factors(x.size))
        return a.reshape(shape), x.reshape(shape)
    if kind == "permute":
        dims = draw(st.permutations(range(x.ndim)))
        return a.permute(dims), x.transpose(dims)
    i, j = draw(st.integers(-x.ndim, x.ndim - 1)), draw(st.integers(-x.ndim, x.ndim - 1))
    if kind == "transpose":
        return a.transpose(i, j), np.swapaxes(x, i, j)
    if kind == "squeeze":
        dims = tuple([d for d in sorted({i % x.ndim, j % x.ndim}) if x.shape[d] == 1])
        return a.squeeze(dims), x.squeeze(dims)
    start = draw(st.integers(0, x.shape[i]))
    stop, by = draw(st.integers(start, x.shape[i])), draw(st.integers(1, 3))
    index = [slice(None)] * x.ndim
    index[i] = slice(start, stop, by)
    return a.slice(i, start, stop, by), x[tuple(index)]


@given(st.data(), SHAPES)
def test_views_show_what_numpy_shows(data, shape):
    graph = Graph()
    a, x, memory = an_input(graph, shape)
    for _ in range(data.draw(st.integers(1, 5))):
        a, x = step(data.draw, a, x)
        if x.size > 500:
            break
    assert tuple(a.shape) == x.shape
    np.testing.assert_array_equal(value(graph, a, memory), x)


@given(st.data(), SHAPES)
def test_reshape_copies_only_where_numpy_must(data, shape):
    numel = math.prod(shape)
    x = np.arange(numel, dtype=np.float32).reshape(shape).transpose(data.draw(st.permutations(range(len(shape)))))
    wanted = data.draw(factors(numel))
    strides = reshaped_strides(meta(dtypes.float32, x.shape, [s // 4 for s in x.strides]), wanted)
    needs_a_copy = numel > 0 and not np.shares_memory(x.reshape(wanted), x)
    assert (strides is None) == needs_a_copy


@given(st.lists(SHAPES, min_size=1, max_size=3))
def test_broadcast_is_numpys(shapes):
    try:
        expected = np.broadcast_shapes(*shapes)
    except ValueError:
        with pytest.raises(Unsupported):
            broadcast(shapes)
    else:
        assert broadcast(shapes) == expected


def test_expand_refuses_what_does_not_broadcast():
    a, _, _ = an_input(Graph(), (2, 3))
    with pytest.raises(Unsupported):
        a.expand((2, 4))


@given(SHAPES.filter(len), st.data())
def test_index_counts_along_its_dimension(shape, data):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    graph = Graph()
    np.testing.assert_array_equal(value(graph, graph.index(shape, dim)), np.indices(shape)[dim])


@given(st.data(), SHAPES.filter(lambda s: s and 0 not in s))
def test_write_replaces_the_elements_of_a_layout(data, shape):
    graph = Graph()
    into, written, memory = an_input(graph, shape)
    flat = graph.whole(into.node)
    for _ in range(2):
        into, written = step(data.draw, into, written)
    if into.node is not flat.node or into.meta.numel > flat.meta.numel:
        return  # a copy, or places that meet
    result = graph.write(flat, into.meta, graph.const(-1, dtypes.float32, into.shape))
    expected = memory[0].copy()
    expected[written.reshape(-1).astype(int)] = -1  # every element is its own position
    np.testing.assert_array_equal(value(graph, result, memory), expected)


# ---------------------------------------------------------------------------------------------- nodes


def test_equal_nodes_are_one():
    graph = Graph()
    a, _, _ = an_input(graph, (2, 3))
    assert (a + 1).node is (a + 1).node
    assert (a + 1).node is not (a + 2).node
    assert graph.const(float("nan"), dtypes.float32).node is graph.const(float("nan"), dtypes.float32).node
    assert graph.const(0.0, dtypes.float32).node is not graph.const(-0.0, dtypes.float32).node
    assert graph.empty(dtypes.float32, 3).node is not graph.empty(dtypes.float32, 3).node


@pytest.mark.parametrize(
    "left, right, name, result",
    [
        ("int32", "float32", "add", "float32"),
        ("bool", "int64", "mul", "int64"),
        ("uint8", 2, "add", "uint8"),
        ("bool", 2, "add", "int64"),
        ("bool", 2.5, "add", "float32"),
        ("float32", "float64", "lt", "bool"),
    ],
)
def test_primitives_compute_in_the_highest_dtype(left, right, name, result):
    graph = Graph()
    a = graph.input(0, dtypes.BY_NAME[left], 4)
    b = graph.input(1, dtypes.BY_NAME[right], 4) if isinstance(right, str) else right
    assert graph.map(name, a, b).dtype.name == result


def test_a_condition_does_not_decide_the_dtype():
    graph = Graph()
    a = graph.input(0, dtypes.float32, 4)
    assert graph.where(a > 0, a, 0.0).dtype is dtypes.float32
    assert graph.where(graph.input(1, dtypes.int64, 4), a, 0.0).dtype is dtypes.float32


@pytest.mark.parametrize("d", [dtypes.float16, dtypes.bfloat16, dtypes.complex64])
def test_halves_and_complex_numbers_are_refused(d):
    graph = Graph()
    a = graph.input(0, d, 4)
    for say in (lambda: a + 1, lambda: graph.reduce("sum", a, (0,))):
        with pytest.raises(Unsupported):
            say()


def test_a_primitive_that_the_backend_lacks_is_refused():
    graph = Graph(lambda name, d: name != "exp")
    a = graph.input(0, dtypes.float32, 4)
    graph.log(a)
    with pytest.raises(Unsupported):
        graph.exp(a)


def test_values_decide_nothing():
    a = Graph().input(0, dtypes.float32, 1)
    with pytest.raises(Unsupported):
        bool(a > 0)


@pytest.mark.parametrize("exponent", [0.5, 1, 2, 3, -1, -2, 2.5, -3])
def test_powers(exponent):
    graph, x = Graph(), np.array([0.25, 1, 2, 3], np.float64)
    a = graph.input(0, dtypes.float64, 4)
    np.testing.assert_allclose(value(graph, a**exponent, {0: x}), x**exponent, 1e-15)
    np.testing.assert_allclose(value(graph, a ** graph.const(exponent, dtypes.float64), {0: x}), x**exponent, 1e-15)
    np.testing.assert_allclose(value(graph, 2**a, {0: x}), 2**x, 1e-15)


def test_reductions_over_single_elements():
    graph = Graph()
    x = np.array([[5], [7]], np.int64)
    a = graph.input(0, dtypes.int64, 2).reshape((2, 1))
    assert graph.reduce("sum", a, (1,)) is a
    np.testing.assert_array_equal(value(graph, graph.reduce("argmax", a, (1,)), {0: x.reshape(-1)}), [[0], [0]])


def test_gather_looks_up_one_dimension():
    graph = Graph()
    a, x, memory = an_input(graph, (2, 3, 4))
    index = np.array([[2, 0], [1, 1]])
    memory[1] = index.reshape(-1)
    found = graph.gather(a, 1, graph.input(1, dtypes.int64, 4).reshape((2, 2)))
    np.testing.assert_array_equal(value(graph, found, memory), x.take(index, 1))
    memory[1] = np.array([0, 3, 0, 0])
    with pytest.raises(IndexError, match="3"):
        evaluate(graph, memory)


def test_verify_finds_a_reach_beyond_memory():
    graph = Graph()
    a = graph.input(0, dtypes.float32, 6)
    graph.copy(a.strided((2, 3), (3, 1), 1))
    with pytest.raises(AssertionError, match="beyond"):
        verify(graph.nodes)
