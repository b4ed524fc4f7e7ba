"""Which nodes become one unit."""

from __future__ import annotations

import pytest

from flambeau._compiler.fuse import Fusion, Group, refinement, spread_strides
from flambeau._core.dtypes import float32, int64
from flambeau._ir.graph import Graph
from flambeau._ir.meta import contiguous


def units(graph, *results):
    """The units of a graph, as sets of the names of their nodes."""
    fusion = Fusion(graph.nodes, [r.node for r in results])
    return fusion.ordered()


def names(unit):
    return [n.name or n.kind for n in unit.nodes]


def inputs(graph, *shapes, dtype=float32):
    found = []
    for i, shape in enumerate(shapes):
        m = contiguous(dtype, shape)
        found.append(graph.input(i, dtype, m.numel).reshape(shape))
    return found


def test_pointwise_chains_are_one():
    g = Graph()
    x, y = inputs(g, (4, 5), (5,))
    result = g.map("tanh", (x + y) * 2.0)
    (unit,) = units(g, result)
    assert names(unit) == ["add", "mul", "tanh"]


def test_a_softmax_is_one():
    g = Graph()
    (x,) = inputs(g, (4, 5))
    e = g.map("exp", x - g.reduce("max", x, (1,)).expand((4, 5)))
    result = e / g.reduce("sum", e, (1,)).expand((4, 5))
    (unit,) = units(g, result)
    assert unit.sizes == (4, 5) and unit.reduced == (False, True)
    assert {n.name for n in unit.rows} == {"max", "sum"}


def test_values_of_a_row_stay_with_it_whatever_their_shape():
    g = Graph()
    (x,) = inputs(g, (4, 5))
    mean = g.reduce("sum", x, (1,)).squeeze(1) * 0.2  # [4]
    result = x - mean.unsqueeze(1).expand((4, 5))
    (unit,) = units(g, result)
    assert {n.name for n in unit.rows} == {"sum", "mul"}


def test_what_is_read_at_another_point_goes_through_memory():
    g = Graph()
    (x,) = inputs(g, (4, 4))
    doubled = x * 2.0
    result = doubled + doubled.transpose(0, 1)
    assert [names(u) for u in units(g, result)] == [["mul"], ["add"]]


def test_sums_over_other_dimensions_are_apart():
    g = Graph()
    (x,) = inputs(g, (4, 5))
    rows, columns = g.reduce("sum", x * x, (1,)), g.reduce("sum", x * x, (0,))
    assert len(units(g, rows, columns)) == 2


def test_reshapes_do_not_part():
    g = Graph()
    x, bias = inputs(g, (12, 64, 8), (8,))
    flat = x.reshape((768, 8)) + bias
    result = g.map("tanh", flat.reshape((12, 64, 8))) * x
    assert len(units(g, result)) == 1


def test_a_path_through_another_unit_keeps_apart():
    g = Graph()
    (x,) = inputs(g, (6, 6))
    a = x * 2.0
    (product,) = g.call("matmul", (None,), (a, x), (contiguous(float32, (6, 6)),))
    result = a + product
    order = units(g, result)
    assert [u.kind for u in order] == ["group", "call", "group"]


def test_groups_that_feed_one_node_are_merged():
    g = Graph()
    x, y = inputs(g, (7,), (7,))
    result = (x * 2.0) + (y * 3.0)
    assert len(units(g, result)) == 1


def test_who_follows_one_of_two_merged_groups_follows_both():
    g = Graph()
    p, q, r = inputs(g, (4, 4), (4, 4), (4, 4))
    b = g.map("exp", r)
    after_b = b.transpose(0, 1) * 2.0
    x = g.map("tanh", p)
    a = x.transpose(0, 1) + q
    both = a + b  # now after_b comes after x, too
    last = x + after_b
    fusion = Fusion(g.nodes, [both.node, last.node])
    assert fusion.unit_of[a.node] is fusion.unit_of[b.node] is not fusion.unit_of[x.node]
    assert fusion.unit_of[last.node] is fusion.unit_of[after_b.node] is not fusion.unit_of[x.node]


def test_a_gather_reads_its_source_from_memory():
    g = Graph()
    (x,) = inputs(g, (9, 3))
    (index,) = inputs(g, (5,), dtype=int64)
    result = g.gather(x * 2.0, 0, index) + 1.0
    assert [names(u) for u in units(g, result)] == [["mul"], ["gather", "add"]]


def test_long_sums_of_few_rows_end_their_group():
    g = Graph()
    (x,) = inputs(g, (1 << 16,))
    total = g.reduce("sum", x, (0,))
    result = x - total.expand((1 << 16,))
    first, second = units(g, result)
    assert isinstance(first, Group) and first.closed and names(second) == ["sub"]


@pytest.mark.parametrize("shape, dim, count", [((4000, 700), 0, 2), ((4000, 70), 0, 1), ((4000, 700), 1, 1)])
def test_long_columns_of_large_arrays_end_their_group(shape, dim, count):
    g = Graph()
    (x,) = inputs(g, shape)
    mean = g.reduce("sum", x, (dim,)) * 0.001
    assert len(units(g, x - mean.expand(shape))) == count


def test_empty_results_have_units_too():
    g = Graph()
    (x,) = inputs(g, (0, 3))
    assert units(g, g.reduce("sum", x * 2.0, (0,)))[0].sizes == (0, 3)


@pytest.mark.parametrize("a, b, common", [
    ((6,), (2, 3), (2, 3)), ((768, 128), (12, 64, 128), (12, 64, 128)), ((4, 6), (8, 3), (4, 2, 3)),
    ((2, 3), (3, 2), None), ((0,), (0,), (0,)), ((0, 3), (0,), None),
])  # fmt: skip
def test_refinement(a, b, common):
    assert refinement(a, b) == common


def test_spread_strides():
    assert spread_strides((6,), (2,), (2, 3)) == (6, 2)
    assert spread_strides((6,), (2,), (4,)) is None
    assert spread_strides((0, 3), (3, 1), (0, 3)) == (3, 1)
