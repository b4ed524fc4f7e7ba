"""Float32 functions by intervals, for targets that look up 16 or 32 floats in registers with one instruction.

A table has a row for each coefficient and a column for each interval, so that every lane picks its own polynomial:
f(c + t) = C + t P(t), of which only the last addition rounds at the size of the result. That takes half as many
instructions as computing an exponential. Near 0, where the result is to have all its digits, there is a series.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flambeau._backends.cpu import vectormath as v
from flambeau._backends.cpu.emit import Function, Val, vector
from flambeau._backends.cpu.vectormath_lookup_tables import ERF_LOOKUP, ERF_NEAR, TANH_LOOKUP, TANH_NEAR

LANES = 16  # of the instructions
QUARTERS = 1.5 * 2.0**21  # a float this large counts quarters in its lowest bits


def in_sixteens(f: Function, compute: Callable[..., Val], *args: Val) -> Val:
    """What instructions of 16 lanes give for any number of lanes."""
    lanes = args[0].lanes
    if lanes == LANES:
        return compute(f, *args)
    if lanes > LANES:
        halves = [range(lanes // 2), range(lanes // 2, lanes)]
        low, high = (in_sixteens(f, compute, *[f.shuffle(a, a, half) for a in args]) for half in halves)
        return f.shuffle(low, high, range(lanes))
    if not lanes:
        wide = [f.op(vector(a.type, LANES), f"insertelement {vector(a.type, LANES)} poison, {a}, i32 0") for a in args]
        return f.extract(compute(f, *wide), 0)
    filled = [*range(lanes), *[0] * (LANES - lanes)]
    result = compute(f, *[f.shuffle(a, a, filled) for a in args])
    return f.shuffle(result, result, range(lanes))


def _scaled(f: Function, x: Val, n: Val) -> Val:
    no, rounding = Val("zeroinitializer", x.type), f.int(4, "i32")
    return f.call(x.type, "llvm.x86.avx512.mask.scalef.ps.512", [x, n, no, f.int(-1, "i16"), rounding])


def _picked(f: Function, row: Sequence[float], index: Val) -> Val:
    """The entry of a row that the lowest bits of the index tell."""
    type = vector("float", LANES)
    parts = [
        Val("<" + ", ".join(f"float {f.float(x, 'float').name}" for x in row[i : i + LANES]) + ">", type)
        for i in range(0, len(row), LANES)
    ]
    if len(parts) == 1:
        return f.call(type, "llvm.x86.avx512.permvar.sf.512", [*parts, index])
    return f.call(type, "llvm.x86.avx512.vpermi2var.ps.512", [parts[0], index, parts[1]])


def _on_interval(f: Function, table: Sequence[Sequence[float]], x: Val, index: Val) -> Val:
    centre, value, *coefficients = (_picked(f, row, index) for row in table)
    t = f.fsub(x, centre)
    result = coefficients[-1]
    for c in (*coefficients[-2::-1], value):
        result = f.fma(result, t, c)
    return result


def _erf(f: Function, x: Val) -> Val:
    a = f.intrinsic("fabs", x)
    near = f.fma(v.horner(f, f.fmul(a, a), ERF_NEAR), a, a)
    bounded = v.at_most(f, a, 4.0)
    index = f.bitcast(f.fadd(bounded, f.float(QUARTERS, x.type)), "i32")
    far = _on_interval(f, ERF_LOOKUP, bounded, index)
    return v.odd(f, x, f.select(f.fcompare("ogt", a, f.float(0.5, x.type)), far, near))


def _tanh(f: Function, x: Val) -> Val:
    a = f.intrinsic("fabs", x)
    square = f.fmul(a, a)
    near = f.fma(f.fmul(v.horner(f, square, TANH_NEAR), square), a, a)
    bounded = v.at_most(f, a, 10.0)
    index = f.binary("lshr", f.bitcast(bounded, "i32"), 21)
    far = _on_interval(f, TANH_LOOKUP, bounded, index)
    return v.odd(f, x, f.select(f.fcompare("ogt", a, f.float(0.5, x.type)), far, near))


def erf(f: Function, x: Val) -> Val:
    """The error function."""
    return in_sixteens(f, _erf, x)


def tanh(f: Function, x: Val) -> Val:
    """The hyperbolic tangent."""
    return in_sixteens(f, _tanh, x)


def scaled(f: Function, x: Val, n: Val) -> Val:
    """x 2^n for an integer n, rounded once."""
    return in_sixteens(f, _scaled, x, n)
