"""The combiners of reductions: how a state starts, takes values in, meets another, and becomes a result.

A state is one value, or two for the extrema with positions. Sums and products of float32 are accumulated in float64, so
that the order of the summands hardly matters. To widen each would take longer than to read it from the cache: a few
vectors of a row, side by side, or of a column, one below the other, are added first, by pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from flambeau._backends.cpu.casts import FLOATS, REGISTER
from flambeau._backends.cpu.emit import Function, Val, vector
from flambeau._backends.cpu.primitives import primitive
from flambeau._compiler.loops import Expr

INTEGER_RANGE = {"int64": (-(2**63), 2**63 - 1), "int32": (-(2**31), 2**31 - 1), "int16": (-(2**15), 2**15 - 1),
                 "int8": (-128, 127), "uint8": (0, 255), "bool": (0, 1)}  # fmt: skip
MERGES = {"sum": "add", "prod": "mul", "max": "maximum", "min": "minimum", "any": "or_", "all": "and_"}


def identity(name: str, dtype: str) -> float | int:
    """The result of combining nothing."""
    if name in ("sum", "any"):
        return 0
    if name in ("prod", "all"):
        return 1
    is_max = name.endswith("max")
    if dtype in FLOATS:
        return -math.inf if is_max else math.inf
    low, high = INTEGER_RANGE[dtype]
    return low if is_max else high


class Combiner:
    """How one reduction of expression `value` goes. A `wide` result stays in the dtype of the state."""

    def __init__(self, name: str, dtype: str, value: int = 0, wide: bool = False) -> None:
        self.name = name
        self.dtype = dtype
        self.value = value
        self.wide = wide
        self.with_position = name.startswith("arg")
        self.parts = 2 if self.with_position else 1
        self.state_dtype = accumulated(name, dtype)
        self.adds_pairs = name == "sum" and self.state_dtype != dtype

    @staticmethod
    def of(e: Expr, body: Sequence[Expr]) -> Combiner:
        """The combiner of a `reduce` expression. What is widened only to be summed is taken as it was before."""
        value = e.args[0]
        if body[value].op == "cast":
            source = body[value].args[0]
            state_dtype = accumulated(e.param, body[source].dtype)
            if state_dtype == body[value].dtype != body[source].dtype:
                return Combiner(e.param, body[source].dtype, source, True)
        return Combiner(e.param, body[value].dtype, value)

    def start(self, f: Function, lanes: int) -> list[Val]:
        """The state before any value. The position is 0: where no value beats the identity, all are equal to it and the
        first is the extremum."""
        type = vector(REGISTER[self.state_dtype], lanes)
        nothing = identity(self.name, self.state_dtype)
        first = f.float(nothing, type) if self.state_dtype in FLOATS else f.int(int(nothing), type)
        return [first, f.int(0, vector("i64", lanes))] if self.with_position else [first]

    def step(self, f: Function, state: Sequence[Val], value: Val, position: Val | None, mask: Val | None) -> list[Val]:
        """The state with one more value in each lane of `mask`; positions grow from step to step."""
        if self.with_position:
            assert position is not None
            following = self._choose(f, self._beats(f, value, state[0]), [value, position], state)
        else:
            if self.state_dtype == self.dtype:
                following = [self._merge(f, state[0], value)]
            else:
                following = [self._widened(f, state[0], f.cast("fpext", value, "double"))]
        if mask is None:
            return following
        return [f.select(mask, new, old) for new, old in zip(following, state, strict=True)]

    @staticmethod
    def pairwise(f: Function, values: list[Val]) -> Val:
        """The sum of values, by pairs."""
        while len(values) > 1:
            pairs = [f.fadd(a, b) for a, b in zip(values[::2], values[1::2], strict=False)]
            values = pairs + values[2 * len(pairs) :]
        return values[0]

    def _merge(self, f: Function, a: Val, b: Val) -> Val:
        return primitive(f, MERGES[self.name], self.state_dtype, [a, b])

    def _widened(self, f: Function, state: Val, value: Val) -> Val:
        """One more value in a sum or product of doubles. The sum is by the multiplier's unit: the adder's has to widen
        the values, on some processors, and would do half as many."""
        if self.name == "prod" or not f.target.fma:
            return self._merge(f, state, value)
        one = f.intrinsic("arithmetic.fence", f.float(1.0, "double"))
        return f.intrinsic("fma", value, f.splat(one, value.lanes) if value.lanes else one, state)

    def _beats(self, f: Function, new: Val, old: Val) -> Val:
        """Is a value more extreme than another? NaN is more so than any number."""
        relation = "gt" if self.name == "argmax" else "lt"
        if self.dtype not in FLOATS:
            return primitive(f, relation, self.dtype, [new, old])
        return f.binary("and", f.fcompare(f"u{relation}", new, old), f.fcompare("ord", old, old))

    @staticmethod
    def _choose(f: Function, condition: Val, a: Sequence[Val], b: Sequence[Val]) -> list[Val]:
        return [f.select(condition, x, y) for x, y in zip(a, b, strict=True)]

    def merge(self, f: Function, a: Sequence[Val], b: Sequence[Val]) -> list[Val]:
        """Two states as one; of equal extrema the first counts."""
        if not self.with_position:
            return [self._merge(f, a[0], b[0])]
        beaten, beats = self._beats(f, a[0], b[0]), self._beats(f, b[0], a[0])
        tie = f.binary("xor", f.binary("or", beaten, beats), f.int(-1, beats.type))
        earlier = f.binary("and", tie, f.compare("slt", b[1], a[1]))
        return self._choose(f, f.binary("or", beats, earlier), b, a)

    def across(self, f: Function, state: Sequence[Val]) -> list[Val]:
        """All lanes as one, in a fixed order: halves are folded onto each other."""
        lanes = state[0].lanes
        while lanes > 1:
            lanes //= 2
            low = [f.shuffle(p, p, range(lanes)) for p in state]
            high = [f.shuffle(p, p, range(lanes, 2 * lanes)) for p in state]
            state = self.merge(f, low, high)
        return [f.extract(p, 0) for p in state]

    def result(self, f: Function, state: Sequence[Val]) -> Val:
        """What the reduction gives."""
        if self.with_position:
            return state[1]
        if self.wide or self.state_dtype == self.dtype:
            return state[0]
        return f.cast("fptrunc", state[0], REGISTER[self.dtype])


def accumulated(name: str, dtype: str) -> str:
    """The dtype in which values are combined."""
    return "float64" if name in ("sum", "prod") and dtype == "float32" else dtype
