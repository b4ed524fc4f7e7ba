"""The vocabulary of vector mathematics: polynomials, exact sums and products, powers of two, rare cases.

The functions themselves are in the files beside this one (`vectormath_exp`, `_log`, `_trigonometry`, ...). They compute
in float64 and take a flag `exact`: should all 53 bits of the result count, or will it end as float32, for which about
30 bits are enough? So a float32 function gives the nearer of the two neighbours of the true value nearly always, on
targets with and without fused multiply-add alike. What programs spend their time in has a float32 form of its own
(`vectormath_single`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from flambeau._backends.cpu.emit import Function, Val, like

MAGIC = 1.5 * 2.0**52  # a double this large has its integer part in the lowest bits
SIGN = -(2**63)

Pair = tuple[Val, Val]  # an unevaluated sum: the second is no more than the rounding error of the first


def polynomial(f: Function, x: Val, coefficients: Sequence[float]) -> Val:
    """c0 + c1 x + c2 x^2 + ... = c0 + x ((c1 + c3 x^2 + ...) + x (c2 + c4 x^2 + ...)): the two halves, computed side by
    side, take half as long as Horner's rule, and the last step rounds as it does there."""
    first, rest = coefficients[0], coefficients[1:]
    if len(rest) < 4:
        inner = horner(f, x, rest)
    else:
        square = f.fmul(x, x)
        inner = f.fma(horner(f, square, rest[1::2]), x, horner(f, square, rest[0::2]))
    return f.fma(inner, x, f.float(first, x.type))


def horner(f: Function, x: Val, coefficients: Sequence[float]) -> Val:
    """The same by Horner's rule, which rounds least."""
    result = f.float(coefficients[-1], x.type)
    for c in reversed(coefficients[:-1]):
        result = f.fma(result, x, f.float(c, x.type))
    return result


def is_nan(f: Function, x: Val) -> Val:
    return f.fcompare("uno", x, x)


def at_least(f: Function, x: Val, low: float) -> Val:
    """The larger of x and a number; NaN stays."""
    bound = f.float(low, x.type)
    return f.select(f.fcompare("olt", x, bound), bound, x)


def at_most(f: Function, x: Val, high: float) -> Val:
    """The smaller of x and a number; NaN stays."""
    bound = f.float(high, x.type)
    return f.select(f.fcompare("ogt", x, bound), bound, x)


def clamped(f: Function, x: Val, low: float, high: float) -> Val:
    """x between two numbers; NaN stays."""
    return at_most(f, at_least(f, x, low), high)


def widened(f: Function, x: Val) -> Val:
    return f.cast("fpext", x, "double")


def narrowed(f: Function, x: Val) -> Val:
    return f.cast("fptrunc", x, "float")


def as_single(x: float) -> float:
    """The float32 nearest to a number."""
    return struct.unpack("<f", struct.pack("<f", x))[0]


def through_doubles(function: Callable[..., Val]) -> Callable[..., Val]:
    """The float32 form of a function of doubles."""
    return lambda f, *args: narrowed(f, function(f, *(widened(f, a) for a in args), exact=False))


def odd(f: Function, x: Val, magnitude: Val) -> Val:
    """A result for |x| as the result for x of an odd function; zeros keep their sign too."""
    return f.copysign(magnitude, x)


def either(f: Function, a: Val, b: Val) -> Val:
    """Lanes where one condition or the other holds."""
    return f.binary("or", a, b)


def both(f: Function, a: Val, b: Val) -> Val:
    return f.binary("and", a, b)


# ---------------------------------------------------------------------------------------------- more than 53 bits


def fast_two_sum(f: Function, a: Val, b: Val) -> Pair:
    """a + b and its rounding error, for |a| >= |b| (Dekker 1971)."""
    s = f.fadd(a, b)
    return s, f.fsub(b, f.fsub(s, a))


def two_sum(f: Function, a: Val, b: Val) -> Pair:
    """a + b and its rounding error (Knuth)."""
    s = f.fadd(a, b)
    part = f.fsub(s, a)
    return s, f.fadd(f.fsub(a, f.fsub(s, part)), f.fsub(b, part))


def two_product(f: Function, a: Val, b: Val) -> Pair:
    """a b and its rounding error; without fused multiply-add by Dekker's halves, for factors below 2^990."""
    p = f.fmul(a, b)
    if f.target.fma:
        return p, f.fma(a, b, f.fneg(p))
    ah, al = _halves(f, a)
    bh, bl = _halves(f, b)
    error = f.fsub(p, f.fmul(ah, bh))
    error = f.fsub(f.fsub(error, f.fmul(ah, bl)), f.fmul(al, bh))
    return p, f.fsub(f.fmul(al, bl), error)


def _halves(f: Function, a: Val) -> Pair:
    """a as a sum of two numbers of 26 bits."""
    c = f.fmul(a, f.float(2.0**27 + 1, a.type))
    high = f.fsub(c, f.fsub(c, a))
    return high, f.fsub(a, high)


def head(f: Function, x: Val) -> Val:
    """x without the lower half of its bits: products with numbers of 32 bits are exact."""
    bits = f.binary("and", f.bitcast(x, "i64"), f.int(-(2**32), like(x.type, "i64")))
    return f.bitcast(bits, "double")


# ---------------------------------------------------------------------------------------------- powers of two


def nearest_integer(f: Function, x: Val) -> Val:
    """x rounded, as a double, for |x| < 2^51."""
    magic = f.float(MAGIC, x.type)
    return f.fsub(f.fadd(x, magic), magic)


def power_of_two(f: Function, n: Val) -> Val:
    """2^n for an integer n (as a double) from -1022 to 1023."""
    bits = f.bitcast(f.fadd(n, f.float(MAGIC + 1023, n.type)), "i64")
    return f.bitcast(f.binary("shl", bits, f.int(52, bits.type)), "double")


def scaled(f: Function, x: Val, n: Val) -> Val:
    """x 2^n for an integer n (as a double) from -2044 to 2046: in two steps, of which the last rounds or overflows."""
    half = nearest_integer(f, f.fmul(n, f.float(0.5, n.type)))
    return f.fmul(f.fmul(x, power_of_two(f, half)), power_of_two(f, f.fsub(n, half)))


# ---------------------------------------------------------------------------------------------- rare cases


def any_lane(f: Function, condition: Val) -> Val:
    """Does the condition hold in any lane?"""
    if not condition.lanes:
        return condition
    return f.call("i1", f"llvm.vector.reduce.or.v{condition.lanes}i1", [condition])


def rarely(f: Function, condition: Val, usual: Sequence[Val], compute: Callable[[], Sequence[Val]]) -> list[Val]:
    """What `compute` gives in the lanes where the condition holds; it is run only if there are any."""
    test, before = any_lane(f, condition), f.block
    with f.when(test):
        chosen = [f.select(condition, new, old) for new, old in zip(compute(), usual, strict=True)]
        inside = f.block
    return [f.phi(u.type, (u, before), (c, inside)) for u, c in zip(usual, chosen, strict=True)]
