"""The combiners of reductions: how lanes start, take values in, and become one result.

A state has one part, or two for the extrema with positions. Sums and products of float32 are accumulated in float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from flambeau._backends.cpu.casts import FLOATS, REGISTER
from flambeau._backends.cpu.emit import Function, Val, vector
from flambeau._backends.cpu.primitives import primitive
from flambeau._compiler.loops import Expr

COMBINERS = ("sum", "prod", "max", "min", "any", "all", "argmax", "argmin")
INTEGER_BITS = {"int64": 64, "int32": 32, "int16": 16, "int8": 8, "uint8": 8}
LAST = 2**63 - 1  # the position of no element


class Combiner:
    """How one reduction of values of `dtype` goes."""

    def __init__(self, name: str, dtype: str) -> None:
        self.name = name
        self.dtype = dtype
        self.parts = 2 if name.startswith("arg") else 1
        self.state_dtype = "float64" if name in ("sum", "prod") and dtype == "float32" else dtype
        self.register = REGISTER[self.state_dtype]

    @staticmethod
    def of(e: Expr, body: Sequence[Expr]) -> Combiner:
        """The combiner of a `reduce` expression."""
        return Combiner(e.param, body[e.args[0]].dtype)

    def start(self, f: Function, lanes: int) -> list[Val]:
        """The state before any value."""
        type = vector(self.register, lanes)
        identity = self._identity()
        first = f.float(identity, type) if self.state_dtype in FLOATS else f.int(int(identity), type)
        return [first] if self.parts == 1 else [first, f.int(LAST, vector("i64", lanes))]

    def _identity(self) -> float:
        if self.name in ("sum", "any"):
            return 0
        if self.name == "prod":
            return 1
        if self.name == "all":
            return -1  # all bits
        low = self.name.endswith("max")
        if self.state_dtype in FLOATS:
            return -math.inf if low else math.inf
        if self.state_dtype == "bool":
            return 0 if low else -1
        bits = INTEGER_BITS[self.state_dtype]
        if self.state_dtype == "uint8":
            return 0 if low else 255
        return -(1 << bits - 1) if low else (1 << bits - 1) - 1

    def step(self, f: Function, state: list[Val], value: Val, position: Val, lanes: int, along: bool) -> list[Val]:
        """The state with one more value in each lane; `position` is that of the first lane, the lanes being `along` the
        reduced dimension or all at one position."""
        if self.parts == 1:
            if self.state_dtype != self.dtype:
                value = f.cast("fpext", value, "double")
            return [self.merge(f, state[0], value)]
        if lanes:
            position = f.splat(position, lanes)
            if along:
                position = f.add(position, f.lane_numbers(position.type))
        return self._better(f, state, [value, position])

    def merge(self, f: Function, a: Val, b: Val) -> Val:
        """Two states of one part as one."""
        name = {"sum": "add", "prod": "mul", "max": "maximum", "min": "minimum", "any": "or_", "all": "and_"}[self.name]
        return primitive(f, name, self.state_dtype, [a, b])

    def _better(self, f: Function, a: list[Val], b: list[Val]) -> list[Val]:
        """Of two (value, position), the extreme one; the first of equals. NaN counts as more extreme than anything."""
        relation = "gt" if self.name == "argmax" else "lt"
        better = primitive(f, relation, self.dtype, [b[0], a[0]])
        equal = primitive(f, "eq", self.dtype, [b[0], a[0]])
        if self.dtype in FLOATS:
            new, old = f.fcompare("uno", b[0], b[0]), f.fcompare("uno", a[0], a[0])
            better = f.binary("or", better, f.binary("and", new, f.binary("xor", old, f.int(-1, old.type))))
            equal = f.binary("or", equal, f.binary("and", new, old))
        earlier = f.binary("and", equal, f.compare("slt", b[1], a[1]))
        better = f.binary("or", better, earlier)
        return [f.select(better, b[0], a[0]), f.select(better, b[1], a[1])]

    def across(self, f: Function, wide: list[Val], single: list[Val]) -> list[Val]:
        """All lanes and the single state as one, in a fixed order: halves are folded onto each other."""
        lanes = wide[0].lanes
        while lanes > 1:
            lanes //= 2
            low = [f.shuffle(p, p, range(lanes)) for p in wide]
            high = [f.shuffle(p, p, range(lanes, 2 * lanes)) for p in wide]
            wide = [self.merge(f, low[0], high[0])] if self.parts == 1 else self._better(f, low, high)
        total = [f.extract(p, 0) for p in wide]
        return [self.merge(f, total[0], single[0])] if self.parts == 1 else self._better(f, total, single)

    def finish(self, f: Function, state: list[Val], partial: bool = False) -> Val:
        """The result of a state; a partial one stays as it is accumulated."""
        if self.parts == 2:
            return state[1]
        if self.state_dtype != self.dtype and not partial:
            return f.cast("fptrunc", state[0], REGISTER[self.dtype])
        return state[0]
