"""What is computed again in place of being kept in memory, and that the numbers are the same."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau._compiler.fuse import Fusion
from flambeau._compiler.repetition import repetitions
from flambeau._core.dtypes import float32
from flambeau._ir.graph import Graph

N = 40_000  # long enough for a reduction in parts


def repeated(graph, *results):
    """The names of the nodes that are repeated, with the group they are repeated in."""
    kept = {r.node for r in results}
    fusion = Fusion(graph.nodes, kept)
    return {n.number for nodes in repetitions(fusion, graph.nodes, kept).values() for n in nodes}


def vector(graph, slot=0, shape=(N,)):
    return graph.input(slot, float32, N).reshape(shape)


def test_a_difference_from_the_mean_is_computed_again():
    g = Graph()
    x = vector(g)
    centred = x - g.reduce("sum", x, (0,)).expand((N,))
    result = centred / g.reduce("sum", centred * centred, (0,)).expand((N,))
    assert repeated(g, result) == {centred.node.number}
    assert repeated(g, result, centred) == set()  # it is in memory anyway


@pytest.mark.parametrize("costly", [lambda x, y: x.graph.map("exp", x), lambda x, y: x * y])
def test_what_costs_more_than_reading_it_is_kept(costly):
    g = Graph()
    value = costly(vector(g, 0), vector(g, 1))
    result = value - g.reduce("sum", value, (0,)).expand((N,))
    assert repeated(g, result) == set()


def test_what_somebody_reads_at_another_place_is_kept():
    g = Graph()
    x = vector(g, 0, (200, 200))
    value = x * 2.0
    total = g.reduce("sum", value, (0, 1)).expand((200, 200))
    assert repeated(g, value.transpose(0, 1) - total) == set()
    (product,) = g.call("matmul", (None,), (value, value), (value.node.outputs[0],))
    assert repeated(g, value - total, product) == set()


def test_what_is_read_in_part_is_kept():
    g = Graph()
    value = vector(g, 0, (2, N // 2)) * 2.0
    total = g.reduce("sum", value, (0, 1)).reshape((1,)).expand((N // 2,))
    assert repeated(g, value.slice(0, 0, 1).squeeze(0) - total) == set()


def test_what_is_read_in_another_shape_may_be_of_a_row():
    g = Graph()
    x, row = vector(g, 0, (200, 200)), g.input(1, float32, 200)
    value = x - row.expand((200, 200))
    flat = value.reshape((N,)) * g.reduce("sum", value, (0, 1)).reshape((1,)).expand((N,))
    assert repeated(g, flat) == set()


FORMULAS = {
    "standardised": lambda x: (x - x.mean()) / x.std(),
    "of columns": lambda x: (x.reshape(-1, 4) - x.reshape(-1, 4).mean(0)) / x.reshape(-1, 4).var(0),
    "scaled": lambda x: x * 3.0 - (x * 3.0).sum(),
    "both": lambda x: [(x + 1.0) / (x + 1.0).sum(), (x + 1.0) * (x + 1.0).abs().max()],
    "read along a row": lambda x: ((x - x.mean()).reshape(200, -1).sum(1), (x - x.mean()).abs().max()),
    "turned": lambda x: ((x - 1.0) * (x - 1.0).sum(), (x - 1.0).reshape(200, 200).t() * (x - 1.0).min()),
    "in part": lambda x: ((x - 1.0) * (x - 1.0).sum(), (x - 1.0)[: N // 2] * 2.0, (x - 1.0)[N // 2 :].sum()),
    "flat": lambda x: (x.reshape(200, 200) - x[:200]).reshape(-1) * (x.reshape(200, 200) - x[:200]).sum(),
    "after a product": lambda x: (x.reshape(200, 200) @ x.reshape(200, 200) + (x - x.sum()).reshape(200, 200)).sum(),
}  # fmt: skip


@pytest.mark.parametrize("formula", FORMULAS.values(), ids=FORMULAS)
def test_numbers_are_those_of_numpy(formula):
    x = np.random.default_rng(0).standard_normal(N, np.float32)
    wanted = formula(torch.tensor(x.astype(np.float64)))
    for _ in range(3):  # compiled at the second sight
        found = formula(torch.tensor(x))
        for f, w in zip(found if type(found) in (list, tuple) else [found],
                        wanted if type(wanted) in (list, tuple) else [wanted], strict=True):  # fmt: skip
            np.testing.assert_allclose(f.numpy(), w.numpy(), 3e-4, 2e-4 * float(w.abs().max()))
