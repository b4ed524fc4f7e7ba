"""Float32 functions by intervals, for targets that look up 8 floats, or 16 and 32, in registers with one instruction.

A table has a row for each coefficient and a column for each interval, so that every lane picks its own polynomial:
f(c + t) = C + t P(t), of which only the last addition rounds at the size of the result. That takes half as many
instructions as computing an exponential. Near 0, where the result is to have all its digits, there is a series. Where
an instruction looks up less, the intervals are twice as long and the polynomials longer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flambeau._backends.cpu import vectormath as v
from flambeau._backends.cpu.emit import Function, Val, vector
from flambeau._backends.cpu.vectormath_lookup_tables import (
    ERF_EIGHT,
    ERF_LOOKUP,
    ERF_NEAR,
    TANH_EIGHT,
    TANH_EIGHT_NEAR,
    TANH_LOOKUP,
    TANH_NEAR,
)

EIGHT, SIXTEEN = 8, 16  # lanes of the instructions, and floats that they look up at least
QUARTERS, HALVES = 1.5 * 2.0**21, 1.5 * 2.0**22  # floats this large count quarters and halves in their lowest bits
LONG_FROM, LONG_TO = 9.1 / 16, 9.09  # where the table of long intervals of tanh begins; from where on all are alike


def _in_lanes(f: Function, width: int, compute: Callable[..., Val], *args: Val) -> Val:
    """What instructions of so many lanes give for any number of lanes."""
    lanes = args[0].lanes
    if lanes == width:
        return compute(f, *args)
    if lanes > width:
        halves = [range(lanes // 2), range(lanes // 2, lanes)]
        low, high = (_in_lanes(f, width, compute, *[f.shuffle(a, a, half) for a in args]) for half in halves)
        return f.shuffle(low, high, range(lanes))
    if not lanes:
        wide = [f.op(vector(a.type, width), f"insertelement {vector(a.type, width)} poison, {a}, i32 0") for a in args]
        return f.extract(compute(f, *wide), 0)
    filled = [*range(lanes), *[0] * (width - lanes)]
    result = compute(f, *[f.shuffle(a, a, filled) for a in args])
    return f.shuffle(result, result, range(lanes))


def _scaled(f: Function, x: Val, n: Val) -> Val:
    no, rounding = Val("zeroinitializer", x.type), f.int(4, "i32")
    return f.call(x.type, "llvm.x86.avx512.mask.scalef.ps.512", [x, n, no, f.int(-1, "i16"), rounding])


def _picked(f: Function, row: Sequence[float], index: Val) -> Val:
    """The entry of a row that the lowest bits of the index tell."""
    lanes = f.target.lookups
    type = vector("float", lanes)
    parts = [
        Val("<" + ", ".join(f"float {f.float(x, 'float').name}" for x in row[i : i + lanes]) + ">", type)
        for i in range(0, len(row), lanes)
    ]

    def pick(f: Function, index: Val) -> Val:
        if lanes == EIGHT:
            return f.call(type, "llvm.x86.avx2.permps", [*parts, index])
        if len(parts) == 1:
            return f.call(type, "llvm.x86.avx512.permvar.sf.512", [*parts, index])
        return f.call(type, "llvm.x86.avx512.vpermi2var.ps.512", [parts[0], index, parts[1]])

    return _in_lanes(f, lanes, pick, index)


def _on_interval(f: Function, table: Sequence[Sequence[float]], x: Val, index: Val) -> Val:
    centre, value, *coefficients = (_picked(f, row, index) for row in table)
    t = f.fsub(x, centre)
    result = coefficients[-1]
    for c in (*coefficients[-2::-1], value):
        result = f.fma(result, t, c)
    return result


def erf(f: Function, x: Val) -> Val:
    """The error function."""
    long = f.target.lookups == EIGHT
    a = f.intrinsic("fabs", x)
    near = f.fma(v.horner(f, f.fmul(a, a), ERF_NEAR), a, a)
    bounded = v.at_most(f, a, 4.0)
    index = f.bitcast(f.fadd(bounded, f.float(HALVES if long else QUARTERS, x.type)), "i32")
    far = _on_interval(f, ERF_EIGHT if long else ERF_LOOKUP, bounded, index)
    return v.odd(f, x, f.select(f.fcompare("ogt", a, f.float(0.5, x.type)), far, near))


def tanh(f: Function, x: Val) -> Val:
    """The hyperbolic tangent."""
    long = f.target.lookups == EIGHT
    a = f.intrinsic("fabs", x)
    square = f.fmul(a, a)
    near = f.fma(f.fmul(v.horner(f, square, TANH_EIGHT_NEAR if long else TANH_NEAR), square), a, a)
    if long:
        bounded, first = v.at_most(f, a, LONG_TO), f.float(LONG_FROM, x.type)
        scaled = f.bitcast(f.fmul(bounded, f.float(1 / LONG_FROM, x.type)), "i32")
        far = _on_interval(f, TANH_EIGHT, bounded, f.binary("lshr", scaled, 22))
    else:
        bounded, first = v.at_most(f, a, 10.0), f.float(0.5, x.type)
        far = _on_interval(f, TANH_LOOKUP, bounded, f.binary("lshr", f.bitcast(bounded, "i32"), 21))
    return v.odd(f, x, f.select(f.fcompare("ogt", a, first), far, near))


def scaled(f: Function, x: Val, n: Val) -> Val:
    """x 2^n for an integer n, rounded once."""
    return _in_lanes(f, SIXTEEN, _scaled, x, n)
