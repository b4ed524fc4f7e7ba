"""Traces: what was decided for some numbers holds for others exactly where every decision would be the same."""

from __future__ import annotations

import gc
import math
import weakref
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flambeau._ir.symbols import Symbol, Trace, settled, told


def tiles(n, m):
    """A computation with all that compilers do to sizes."""
    rows, rest = divmod(n, 4)
    left = divmod(100, n)
    if rest:
        rows += 1
    cost = math.prod((rows, m, 8))
    grain = max(1, 2 * 64 * rows // cost) if cost >= 128 else rows
    strides = (m, 1) if m != 1 else (0, 0)
    total = sum((x - 1) * s for x, s in zip((n, m), strides, strict=True))
    bits = n & 5, 5 & n, n | 8, 8 | n, n << 2, 1 << n, n >> 1, 1000 >> n, (n - 1).bit_length()
    order = sorted((n, m, 12), reverse=True)
    return rows, -rest, left, bits, grain, strides, total, order[0], (n, m) == (m, n), min(n, m) / 2, 0 in (n, m)


sizes = st.integers(1, 40)


@given(sizes, sizes, sizes, sizes)
def test_the_function_gives_what_the_computation_would_or_none(n, m, other_n, other_m):
    trace = Trace([n, m])
    function = trace.function(tiles(*trace.parameters))
    assert function([n, m]) == tiles(n, m)
    found = function([other_n, other_m])
    assert found is None or found == tiles(other_n, other_m)


def test_other_sizes_with_the_same_decisions_are_covered():
    trace = Trace([6, 5])
    function = trace.function(tiles(*trace.parameters))
    assert function([7, 4]) == tiles(7, 4)
    assert function([8, 4]) is None  # nothing is left over


def test_whoever_takes_the_plain_number_binds_the_trace_to_it():
    for take in (int, float, lambda n: len(range(n)), settled):
        trace = Trace([6])
        n = trace.parameters[0]
        assert take(n) == 6
        function = trace.function((n,))
        assert function([6]) == (6,) and function([7]) is None


def test_truth_is_a_decision():
    trace = Trace([6])
    assert trace.parameters[0]
    assert trace.function((1,))([0]) is None


def test_a_key_is_the_plain_number():
    trace = Trace([6, 7])
    n, m = trace.parameters
    places = {n: "n"}
    assert [places.get(i, "none") for i in (5, 6)] == ["none", "n"]
    assert trace.function((m,))([6, 8]) == (8,) and trace.function((m,))([5, 7]) is None


def test_a_key_that_is_interned_is_found_by_equal_symbols_alone():
    trace = Trace([6, 6], interning=True)
    n, m = trace.parameters
    table = {n: "n"}
    assert 6 not in table and trace.function((1,))([7, 8])
    assert table[m] == "n"
    assert trace.function((1,))([7, 7]) and trace.function((1,))([6, 7]) is None  # the look-up was a decision
    assert Trace([6], interning=True).parameters[0] not in table


def test_what_is_neutral_leaves_no_trace():
    n = Trace([6]).parameters[0]
    assert n * 1 is n and 1 * n is n and n + 0 is n and 0 + n is n and n - 0 is n and n // 1 is n
    assert type(n * 1.0) is Symbol and (n * 1.0).value == 6.0 and 0 * n == n * 0 == 0 and type(0 * n) is int


steps = st.lists(st.tuples(st.sampled_from("+-*r"), st.integers(-5, 5), st.sampled_from(("<", "<=", "==", "!="))),
                 min_size=1, max_size=6)  # fmt: skip


def along(n, steps):
    """Sums, differences and multiples of a number, and how each compares with a plain one and with the one before."""
    x, found = n, []
    compare = {"<": lambda a, b: a < b, "<=": lambda a, b: a <= b, "==": lambda a, b: a == b, "!=": lambda a, b: a != b}
    for op, k, comparison in steps:
        before = x
        x = x + k if op == "+" else x - k if op == "-" else x * k if op == "*" else k - x
        found.append(
            (compare[comparison](x, k), compare[comparison](x, before), compare[comparison](before, n * 2 + k))
        )
    return x, tuple(found)


@given(st.integers(-12, 12), st.integers(-12, 12), steps)
def test_what_follows_from_one_number_on_a_line_holds_where_the_outcomes_are_the_same(n, other, steps):
    trace = Trace([n])
    function = trace.function(along(trace.parameters[0], steps))
    assert function([n]) == along(n, steps)
    assert function([other]) == (along(other, steps) if along(other, steps)[1] == along(n, steps)[1] else None)


def test_ways_to_the_same_number_are_one():
    n, m = Trace([6, 7]).parameters
    assert (n - 1) * 64 + 64 is n * 64 and 64 * n is n * 64 and 0 - (0 - n) is n and 2 * n + n is n * 3
    assert n - n == 0 and type(n - n) is int and n * 4 - n * 3 is n
    assert n + m - m is not n  # no line: it could be, at the price of a solver


def test_guards_of_one_number_are_one():
    trace = Trace([6])
    n = trace.parameters[0]
    assert n != 0 and n * 4 != 4 and n - 1 >= 0 and n < 100 and 5 - n > -40 and n != 1000 and n * 3 != 7
    function = trace.function((n,))
    assert [x for x in range(-10, 200) if function([x]) is not None] == list(range(2, 45))


def test_steps_that_nothing_needs_are_left_out():
    trace = Trace([0])
    10 // (trace.parameters[0] + 1)
    unused = trace.parameters[0] * 3
    assert trace.function((trace.parameters[0],))([-1]) == (-1,)  # no division by zero
    assert trace.function((unused,))([2]) == (6,)


class Named(NamedTuple):
    size: object
    kind: str


def test_results_keep_their_types():
    trace = Trace([3])
    n = trace.parameters[0]
    function = trace.function((Named(n + 1, "same"), Named(1, "plain"), None, (n * 0.5,)))
    assert function([4]) == (Named(5, "same"), Named(1, "plain"), None, (2.0,))
    assert function([4])[0].kind == "same"


def test_a_function_does_not_keep_its_trace():
    trace = Trace([3])
    n = trace.parameters[0]
    function, gone = trace.function((Named(n + 1, "same"), (n * 2,))), weakref.ref(trace)
    del trace, n
    gc.collect()
    assert gone() is None and function([4]) == (Named(5, "same"), (8,))


def test_what_is_no_number_is_unequal():
    n = Trace([3]).parameters[0]
    assert n != "3" and not n == None  # noqa: E711
    with pytest.raises(TypeError):
        n + "3"


def nearest(n, m):
    """Comparisons among which another way may lead to the same."""
    return min(range(3, 9), key=lambda h: (-(-n // h) * (h + m), -h))


@given(sizes, sizes, sizes, sizes)
def test_of_what_is_told_only_the_outcome_is_a_guard(n, m, other_n, other_m):
    trace = Trace([n, m])
    a, b = trace.parameters
    height = told(nearest, a * 2, 3 - b + b)
    function = trace.function((height, a * height - b))
    assert function([n, m]) == (nearest(n * 2, 3), n * nearest(n * 2, 3) - m)
    same = nearest(n * 2, 3) == nearest(other_n * 2, 3)
    assert (function([other_n, other_m]) is not None) == same
    assert told(nearest, n, m) == nearest(n, m)
