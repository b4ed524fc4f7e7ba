"""Logarithms in float64, and the inverse hyperbolic functions.

x = 2^k (1 + g) with sqrt(1/2) <= 1 + g < sqrt(2). With s = g / (2 + g), log(1 + g) = log((1 + s) / (1 - s)) is an odd
series in s; written as g - g^2 / 2 + s (g^2 / 2 + s^2 P(s^2)) all but its first terms are small (Tang 1990, and the
C libraries since).
"""

from __future__ import annotations

import math

from flambeau._backends.cpu import vectormath as v
from flambeau._backends.cpu.emit import Function, Val
from flambeau._backends.cpu.vectormath_exp import LN2_HIGH, LN2_LOW, exp
from flambeau._backends.cpu.vectormath_tables import LOG, LOG_SINGLE

ROOT_HALF_BITS = 0x3FE6A09E667F3BCD
# 1 / ln 2, 1 / ln 10 and log10 2 in two parts, the first of 32 bits at most
INVERSE_LN2 = (float.fromhex("0x1.71547652p+0"), float.fromhex("0x1.705fc2eefa200p-33"))
INVERSE_LN10 = (float.fromhex("0x1.bcb7b152p-2"), float.fromhex("0x1.b9438ca9aadd5p-36"))
LOG10_2 = (float.fromhex("0x1.34413508p-2"), float.fromhex("0x1.f79fef311f12bp-34"))


def decomposed(f: Function, x: Val, exact: bool) -> tuple[Val, Val]:
    """The k (as a double) and 1 + g of positive finite x."""
    tiny = f.fcompare("olt", x, f.float(2.0**-1022, x.type))
    if exact:  # of doubles, some are denormal; no double that was a float32 is
        x = f.select(tiny, f.fmul(x, f.float(2.0**54, x.type)), x)
    bits = f.bitcast(x, "i64")
    word = bits.type
    above = f.sub(bits, f.int(ROOT_HALF_BITS - (1023 << 52), word))  # moved so that it stays positive
    biased = f.binary("lshr", above, f.int(52, word))
    fraction = f.sub(bits, f.binary("shl", f.sub(biased, f.int(1023, word)), f.int(52, word)))
    k = f.bitcast(f.binary("or", biased, f.int(0x4330000000000000, word)), "double")  # 2^52 + biased
    k = f.fsub(k, f.float(2.0**52 + 1023, x.type))
    if exact:
        k = f.select(tiny, f.fsub(k, f.float(54.0, x.type)), k)
    return k, f.bitcast(fraction, "double")


def _series(f: Function, g: Val, exact: bool) -> tuple[Val, Val]:
    """g^2 / 2 and s (g^2 / 2 + s^2 P(s^2)): log(1 + g) = g - the first + the second."""
    half_square = f.fmul(f.fmul(g, g), f.float(0.5, g.type))
    s = f.fdiv(g, f.fadd(g, f.float(2.0, g.type)))
    square = f.fmul(s, s)
    p = f.fmul(square, v.polynomial(f, square, LOG if exact else LOG_SINGLE))
    return half_square, f.fmul(s, f.fadd(half_square, p))


def _log(f: Function, k: Val, g: Val, exact: bool, rest: Val | None = None) -> Val:
    """k ln 2 + log(1 + g) + rest."""
    half_square, series = _series(f, g, exact)
    low = f.fma(k, f.float(LN2_LOW, g.type), series)
    if rest is not None:
        low = f.fadd(low, rest)
    return f.fsub(f.fmul(k, f.float(LN2_HIGH, g.type)), f.fsub(f.fsub(half_square, low), g))


def in_domain(f: Function, x: Val, result: Val) -> Val:
    """The result where x is positive and finite; what logarithms are at and below 0, at infinity, and of NaN."""
    zero = f.float(0.0, x.type)
    inside = v.both(f, f.fcompare("ogt", x, zero), f.fcompare("olt", x, f.float(math.inf, x.type)))
    below = f.select(f.fcompare("oeq", x, zero), f.float(-math.inf, x.type), f.float(math.nan, x.type))
    return f.select(inside, result, f.select(f.fcompare("ugt", x, zero), x, below))


def log(f: Function, x: Val, exact: bool = True) -> Val:
    """The natural logarithm."""
    k, m = decomposed(f, x, exact)
    return in_domain(f, x, _log(f, k, f.fsub(m, f.float(1.0, x.type)), exact))


def log1p(f: Function, x: Val, exact: bool = True) -> Val:
    """log(1 + x). Where k = 0, g is x itself; elsewhere the rounding error of 1 + x counts only in the last place."""
    one = f.float(1.0, x.type)
    u, error = v.two_sum(f, one, x) if exact else (f.fadd(one, x), x)
    k, m = decomposed(f, u, False)
    near = f.fcompare("oeq", k, f.float(0.0, x.type))
    g = f.select(near, x, f.fsub(m, one))
    rest = f.select(near, f.float(0.0, x.type), f.fdiv(error, u)) if exact else None
    result = in_domain(f, u, _log(f, k, g, exact, rest))
    return f.select(f.fcompare("oeq", x, f.float(0.0, x.type)), x, result)  # -0


def _scaled(f: Function, x: Val, inverse: tuple[float, float], power: tuple[float, float], exact: bool) -> Val:
    """log(x) times `inverse`, which is also k times `power` plus the rest; both in two parts."""
    k, m = decomposed(f, x, exact)
    g = f.fsub(m, f.float(1.0, x.type))
    half_square, series = _series(f, g, exact)
    high = v.head(f, f.fsub(g, half_square))
    low = f.fadd(f.fsub(f.fsub(g, high), half_square), series)
    top, bottom = (f.float(c, x.type) for c in inverse)
    product = f.fmul(high, top)
    rest = f.fma(f.fadd(low, high), bottom, f.fmul(low, top))
    whole = f.fmul(k, f.float(power[0], x.type))
    rest = f.fma(k, f.float(power[1], x.type), rest)
    total, error = v.two_sum(f, whole, product)
    return in_domain(f, x, f.fadd(total, f.fadd(rest, error)))


def log2(f: Function, x: Val, exact: bool = True) -> Val:
    """The logarithm of base 2."""
    return _scaled(f, x, INVERSE_LN2, (1.0, 0.0), exact)


def log10(f: Function, x: Val, exact: bool = True) -> Val:
    """The logarithm of base 10."""
    return _scaled(f, x, INVERSE_LN10, LOG10_2, exact)


def logaddexp(f: Function, a: Val, b: Val, exact: bool = True) -> Val:
    """log(e^a + e^b) = max + log(1 + e^-|a - b|): all digits always, since the two may nearly cancel."""
    difference = f.fsub(a, b)
    difference = f.select(f.fcompare("oeq", a, b), f.float(0.0, a.type), difference)  # of infinities too
    high = f.select(f.fcompare("ogt", a, b), a, b)
    small = log1p(f, exp(f, f.fneg(f.intrinsic("fabs", difference))))
    return f.fadd(high, small)


def logaddexp2(f: Function, a: Val, b: Val, exact: bool = True) -> Val:
    """log2(2^a + 2^b)."""
    difference = f.select(f.fcompare("oeq", a, b), f.float(0.0, a.type), f.fsub(a, b))
    high = f.select(f.fcompare("ogt", a, b), a, b)
    power = exp(f, f.fmul(f.fneg(f.intrinsic("fabs", difference)), f.float(math.log(2), a.type)))
    return f.fadd(high, f.fmul(log1p(f, power), f.float(1 / math.log(2), a.type)))


def asinh(f: Function, x: Val, exact: bool = True) -> Val:
    """log(|x| + sqrt(x^2 + 1)) = log1p(|x| + x^2 / (1 + sqrt(x^2 + 1))); far from 0 log(2 |x|)."""
    one = f.float(1.0, x.type)
    a = f.intrinsic("fabs", x)
    far = f.fcompare("ogt", a, f.float(2.0**30, x.type))
    inner = f.select(far, one, a)
    square = f.fmul(inner, inner)
    inner = f.fadd(inner, f.fdiv(square, f.fadd(one, f.intrinsic("sqrt", f.fadd(square, one)))))
    return v.odd(f, x, _log1p_or_log_of_twice(f, far, inner, a, exact))


def acosh(f: Function, x: Val, exact: bool = True) -> Val:
    """log(x + sqrt(x^2 - 1)) = log1p(t + sqrt(2 t + t^2)) with t = x - 1; far from 0 log(2 x)."""
    far = f.fcompare("ogt", x, f.float(2.0**30, x.type))
    t = f.fsub(f.select(far, f.float(2.0, x.type), x), f.float(1.0, x.type))
    inner = f.fadd(t, f.intrinsic("sqrt", f.fma(t, t, f.fadd(t, t))))
    result = _log1p_or_log_of_twice(f, far, inner, x, exact)
    return f.select(f.fcompare("olt", x, f.float(1.0, x.type)), f.float(math.nan, x.type), result)


def _log1p_or_log_of_twice(f: Function, far: Val, inner: Val, x: Val, exact: bool) -> Val:
    """log(1 + inner), or log(2 x) where that is far."""
    one, zero = f.float(1.0, x.type), f.float(0.0, x.type)
    u, error = v.two_sum(f, one, inner)
    u = f.select(far, x, u)
    k, m = decomposed(f, u, False)
    near = f.fcompare("oeq", k, zero)
    g = f.select(near, inner, f.fsub(m, one))
    rest = f.select(v.either(f, near, far), zero, f.fdiv(error, u)) if exact else None
    k = f.select(far, f.fadd(k, one), k)
    return in_domain(f, u, _log(f, k, g, exact, rest))


def atanh(f: Function, x: Val, exact: bool = True) -> Val:
    """log((1 + |x|) / (1 - |x|)) / 2 = log1p(2 |x| / (1 - |x|)) / 2."""
    one, half = f.float(1.0, x.type), f.float(0.5, x.type)
    a = f.intrinsic("fabs", x)
    result = f.fmul(half, log1p(f, f.fdiv(f.fadd(a, a), f.fsub(one, a)), exact))
    result = f.select(f.fcompare("ogt", a, one), f.float(math.nan, x.type), result)
    return v.odd(f, x, result)
