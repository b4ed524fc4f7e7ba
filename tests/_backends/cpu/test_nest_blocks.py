"""Nests laid out with symbols: the same words as without, in every size."""

from __future__ import annotations

import random

import pytest

from flambeau._backends.cpu import host
from flambeau._backends.cpu.nest_blocks import MOST_WAYS, NestBlocks, _numbers, _with_numbers
from flambeau._backends.cpu.nest_lower import lower
from flambeau._backends.cpu.plan import block_of
from flambeau._compiler.loops import Expr, Loops, Nest, Operand

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


@pytest.mark.parametrize("make", [pointwise, turned, softmax, total, looked_up])
def test_the_words_are_those_of_the_plain_lowering(make):
    target, rng = host.host_target(), random.Random(1)
    blocks = NestBlocks(target)
    for _ in range(60):
        nest = make(rng.choice(SIZES), rng.choice(SIZES))
        assert blocks.block(nest) == block_of(lower(target, nest)), nest.sizes
    (known,) = blocks._known.values()
    assert 1 < len(known.ways) <= MOST_WAYS and not known.abandoned


@pytest.mark.parametrize("make", [pointwise, turned, softmax, total, looked_up])
def test_numbers_are_put_where_they_were_found(make):
    nest, other = make(3, 7), make(11, 13)
    assert _with_numbers(nest, _numbers(other)) == other


def test_sizes_without_elements():
    blocks = NestBlocks(host.host_target())
    for n in (3, 0, 5, 0, 7):
        assert (blocks.block(pointwise(n, 4)).launches == ()) == (n == 0)


def test_what_has_no_code_has_none_in_any_size():
    nest = pointwise(3, 4)
    body = (*nest.loops.body[:2], Expr("no such primitive", (0, 1), "float32"), nest.loops.body[3])
    blocks = NestBlocks(host.host_target())
    for n in (3, 4, 5):
        assert blocks.block(pointwise(n, 4)._replace(loops=nest.loops._replace(body=body))) is None
