"""Nests and templates laid out with symbols: the same words as without, in every size."""

from __future__ import annotations

import random
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from flambeau._backends.cpu import blocks, host
from flambeau._backends.cpu.blocks import MOST_WAYS
from flambeau._backends.cpu.driver import Driver
from flambeau._backends.cpu.kernel import kernels_of
from flambeau._backends.cpu.lower import TEMPLATES, CpuBackend, lower_of
from flambeau._backends.cpu.nest_lower import lower
from flambeau._backends.cpu.plan import block_of
from flambeau._compiler.loops import Expr, Loops, Nest, Operand, nest_numbers, nest_with
from flambeau._core.dtypes import float32, int64
from flambeau._ir import meta as metas
from flambeau._ir.meta import contiguous, layout_numbers, meta
from flambeau._ir.symbols import Symbol

SIZES = (2, 3, 7, 8, 15, 16, 17, 32, 33, 64, 100, 129, 1000, 4099)


def pointwise(n, m):
    operands = (Operand("float32", (None, 1), False), Operand("float32", (0, 1), False),
                Operand("float32", (None, 1), True))  # fmt: skip
    body = (Expr("load", (), "float32", 0), Expr("load", (), "float32", 1), Expr("add", (0, 1), "float32"),
            Expr("store", (2,), "float32", 2))  # fmt: skip
    strides = ((m, 1), (0, 1), (m, 1))
    return Nest(Loops(2, 0, operands, (), body), (n, m), strides, (0, 5, 0), (None,) * 3, False)


def turned(n, m):
    nest = pointwise(n, m)
    operands = (nest.loops.operands[0]._replace(strides=(1, None)), *nest.loops.operands[1:])
    return nest._replace(loops=nest.loops._replace(operands=operands), strides=((1, n), *nest.strides[1:]))


def softmax(n, m):
    operands = (Operand("float32", (None, 1), False), Operand("float32", (None, 1), True))
    body = (Expr("load", (), "float32", 0), Expr("reduce", (0,), "float32", "max"), Expr("sub", (0, 1), "float32"),
            Expr("exp", (2,), "float32"), Expr("reduce", (3,), "float32", "sum"), Expr("truediv", (3, 4), "float32"),
            Expr("store", (5,), "float32", 1))  # fmt: skip
    return Nest(Loops(1, 1, operands, (), body), (n, m), ((m, 1), (m, 1)), (0, 0), (None, None), False)


def total(n, m):
    operands = (Operand("float32", (None, 1), False), Operand("float32", (0, 0), True))
    body = (Expr("load", (), "float32", 0), Expr("reduce", (0,), "float32", "sum"), Expr("store", (1,), "float32", 1))
    return Nest(Loops(0, 2, operands, (), body), (n, m), ((2 * m, 1), (0, 0)), (3, 0), (None, None), False)


def looked_up(n, m):
    operands = (Operand("float32", (0, 1), False, True), Operand("int64", (1, 0), False),
                Operand("float32", (None, 1), True))  # fmt: skip
    body = (Expr("load", (), "int64", 1), Expr("load", (0,), "float32", 0), Expr("store", (1,), "float32", 2))
    strides = ((0, 1), (1, 0), (m, 1))
    return Nest(Loops(2, 0, operands, (), body), (n, m), strides, (0, 0, 0), ((m, 50), None, None), True)


@pytest.fixture(autouse=True)
def no_symbols_stay():
    """A meta with symbols among those that are kept would be found by plain numbers later."""
    yield
    kept = [m for table in (metas._interned, metas._contiguous) for m in table.values()]
    assert not [m for m in kept if any(type(n) is Symbol and not n.trace.interning for n in (*m.shape, m.offset))]


def block_with_symbols(structure, numbers):
    block = structure.block(numbers)
    if block is None:
        lowered = structure.lowered(numbers, alone=False)
        block = lowered and lowered.block()
    return block


def block_of_nest(backend, nest):
    return block_with_symbols(backend.nest(nest.loops, nest.checked), nest_numbers(nest))


NESTS = [pointwise, turned, softmax, total, looked_up]


@pytest.mark.parametrize("make", NESTS)
def test_a_nest_has_the_words_of_the_plain_lowering(make):
    target, rng = host.host_target(), random.Random(1)
    backend = CpuBackend(target)
    for _ in range(60):
        nest = make(rng.choice(SIZES), rng.choice(SIZES))
        assert block_of_nest(backend, nest) == block_of(lower(target, nest)), nest.sizes
    (structure,) = backend.structures.known.values()
    assert 1 < len(structure.ways) <= MOST_WAYS and not structure.abandoned


@pytest.mark.parametrize("make", NESTS)
def test_numbers_are_put_where_they_were_found(make):
    nest, other = make(3, 7), make(11, 13)
    assert nest_with(nest.loops, nest_numbers(other), other.checked) == other


def test_the_kernels_of_several_parts_are_asked_for_together(monkeypatch):
    backend, several = CpuBackend(host.host_target()), [pointwise(3, 4), softmax(5, 6), softmax(7, 600)]
    lowered = [backend.nest(n.loops, n.checked).lowered(nest_numbers(n), alone=False) for n in several]
    wanted = {kernel for step, _ in lowered for kernel in kernels_of(step)}
    asked, load = [], Driver.load

    def noted(self, kernels):
        asked.append(list(kernels))
        load(self, asked[-1])

    monkeypatch.setattr(Driver, "load", noted)
    assert backend.blocks(lowered) == [block_of(lower(host.host_target(), n)) for n in several]
    assert len(wanted) > 1 and wanted < set(asked[0])


def test_of_two_parts_with_the_same_way_it_is_found_once():
    backend, several = CpuBackend(host.host_target()), [pointwise(30, 40), pointwise(31, 40)]
    structure = backend.nest(several[0].loops, False)
    assert all(structure.block(nest_numbers(n)) is None for n in several)
    backend.blocks([structure.lowered(nest_numbers(n), alone=False) for n in several])
    assert len(structure.ways) == 1


def test_sizes_without_elements():
    backend = CpuBackend(host.host_target())
    for n in (3, 0, 5, 0, 7):
        assert (block_of_nest(backend, pointwise(n, 4)).launches == b"") == (n == 0)


def test_what_has_no_code_has_none_in_any_size():
    nest = pointwise(3, 4)
    body = (*nest.loops.body[:2], Expr("no such primitive", (0, 1), "float32"), nest.loops.body[3])
    backend = CpuBackend(host.host_target())
    for n in (3, 4, 5):
        nest = pointwise(n, 4)._replace(loops=nest.loops._replace(body=body))
        assert block_of_nest(backend, nest) is None


def f32(*shape):
    return contiguous(float32, shape)


def scan(n, m):
    return "scan", ("sum", 1), (f32(n, m),), (f32(n, m),)


def index_add(n, m):
    return "index_add", (0, 1.0), (f32(50, m), contiguous(int64, (n,)), f32(n, m)), (f32(50, m),)


def sort(n, m):
    return "sort", (1, False, True), (f32(n, m),), (f32(n, m), contiguous(int64, (n, m)))


def matmul(n, m):
    return "matmul", (None,), (f32(n, 20), f32(20, m)), (f32(n, m),)


def transposed(n, m):
    return "matmul", (None,), (meta(float32, (n, m), (1, n)), f32(m, 9)), (f32(n, 9),)


def batched(n, m):
    return "matmul", (None,), (f32(n, 5, m), f32(n, m, 6)), (f32(n, 5, 6),)


def conv(n, m):
    n, m = n % 20 + 3, m % 20 + 3
    return "conv", ((1, 1), (1, 1), (1, 1), 1), (f32(2, 3, n, m), f32(8, 3, 3, 3)), (f32(2, 8, n, m),)


def conv_of_a_batch(n, m):
    return "conv", ((2, 2), (1, 1), (1, 1), 1), (f32(n, 16, 15, 15), f32(32, 16, 3, 3)), (f32(n, 32, 8, 8),)


def conv_weight(n, m):
    n = n % 40 + 1
    return "conv_weight", ((1, 1), (1, 1), (1, 1), 1), (f32(n, 3, 9, 9), f32(n, 8, 9, 9)), (f32(8, 3, 3, 3),)


def conv_transposed_of_a_batch(n, m):
    return (
        "conv_transposed",
        ((2, 2), (1, 1), (1, 1), (0, 0), 1),
        (f32(n, 32, 8, 8), f32(32, 16, 3, 3)),
        (f32(n, 16, 15, 15),),
    )


def conv_weight_of_many(n, m):
    n = n % 40 + 1
    return "conv_weight", ((1, 1), (1, 1), (1, 1), 1), (f32(n, 32, 9, 9), f32(n, 16, 9, 9)), (f32(32, 16, 3, 3),)


def scatter_reduce(n, m):
    return "scatter_reduce", (0, "amax"), (f32(50, m), contiguous(int64, (n, m)), f32(n, m)), (f32(50, m),)


def test_no_more_ways_are_kept_than_said(monkeypatch):
    monkeypatch.setattr(blocks, "ALL_WAYS", 6)
    structures = CpuBackend(host.host_target()).structures
    for key in range(20):
        structures.of(key, lambda numbers: None).ways += [lambda numbers: None] * 2
    assert list(structures.known) == [16, 17, 18, 19]
    structures.of(16, lambda numbers: None).ways += [lambda numbers: None] * 9
    structures.of(20, lambda numbers: None)
    assert list(structures.known) == [20]


def test_every_template_is_where_the_table_says():
    assert all(callable(lower_of(name)) for name in TEMPLATES)
    assert lower_of("no_such_template") is None


TEMPLATES_CALLED = [
    scan, index_add, sort, matmul, transposed, batched, conv, conv_of_a_batch, conv_transposed_of_a_batch, conv_weight,
    conv_weight_of_many, scatter_reduce,
]  # fmt: skip


@pytest.mark.parametrize("make", TEMPLATES_CALLED)
def test_a_template_has_the_words_of_the_plain_lowering(make):
    target, rng = host.host_target(), random.Random(2)
    backend = CpuBackend(target)
    for _ in range(40):
        template, params, inputs, outputs = make(rng.choice(SIZES[:-1]), rng.choice(SIZES[:-1]))
        plain = lower_of(template)(target, params, inputs, outputs)
        kinds = [tuple([(m.dtype, m.ndim) for m in metas]) for metas in (inputs, outputs)]
        structure = backend.call(template, params, *kinds)
        block = block_with_symbols(structure, layout_numbers((*inputs, *outputs)))
        assert block == block_of(plain), inputs
    assert [structure.abandoned for structure in backend.structures.known.values()] == [None]


def test_threads_share_the_structures(monkeypatch):
    monkeypatch.setattr(blocks, "REMEMBERED", 300)
    structures, interval = blocks.Structures(), sys.getswitchinterval()

    def ask(first):
        return [structures.of(first + n, lambda numbers: None) for n in range(400)]

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            assert [len(found) for found in threads.map(ask, range(0, 400, 100))] == [400] * 4
    finally:
        sys.setswitchinterval(interval)
    assert len(structures.known) == 300
