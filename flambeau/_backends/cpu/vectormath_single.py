"""The functions that programs spend their time in, in float32 throughout, for targets with fused multiply-add.

Each is at most 1 ulp from the truth for every float32 (the tests go through all of them). The pattern: the result is a
leading term that is exact, or nearly so, plus one that is a few times smaller; only the last addition rounds at the
size of the result.
"""

from __future__ import annotations

import math

from flambeau._backends.cpu import vectormath as v
from flambeau._backends.cpu import vectormath_lookup as lookup
from flambeau._backends.cpu.emit import Function, Val
from flambeau._backends.cpu.vectormath_tables import (
    ERF_NEAR_SINGLE,
    EXP2_SINGLE,
    EXP_FLOAT_SINGLE,
    LOG1P_SINGLE,
    LOG_ERFC_SINGLE,
    TANH_SINGLE,
)  # fmt: skip

MAGIC = 1.5 * 2.0**23  # a float this large has its integer part in the lowest bits
ONE_BITS = 0x3F800000
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4  # products of the first with small integers are exact
LOG10_2_HIGH, LOG10_2_LOW = 0.30078125, math.log10(2) - 0.30078125
ROOT_HALF_BITS = 0x3F3504F3


Exponent = tuple[Val, Val]  # an integer n as a float, and n 2^23: what a factor of 2^n adds to a float's bits

# ---------------------------------------------------------------------------------------------- exponentials


def _rounded(f: Function, x: Val, factor: float) -> Exponent:
    """n, the integer nearest to x times the factor."""
    shifted = f.fma(x, f.float(factor, x.type), f.float(MAGIC, x.type))
    bits = f.bitcast(shifted, "i32")
    return f.fsub(shifted, f.float(MAGIC, x.type)), f.binary("shl", bits, f.int(23, bits.type))


def _exp_parts(f: Function, x: Val, low: Val | None = None) -> tuple[Val, Val, Exponent]:
    """r, e^r - 1 - r and n of x + low = n ln 2 + r; the second takes in the rounding errors of r."""
    n, step = _rounded(f, x, math.log2(math.e))
    exact = f.fma(n, f.float(-LN2_HIGH, x.type), x)
    r = f.fma(n, f.float(-LN2_LOW, x.type), exact)
    error = f.fma(n, f.float(-LN2_LOW, x.type), f.fsub(exact, r))
    if low is not None:
        r, lost = v.fast_two_sum(f, r, low)
        error = f.fadd(error, lost)
    return r, f.fma(f.fmul(r, r), v.horner(f, r, EXP_FLOAT_SINGLE), error), (n, step)


def _exp_pair(f: Function, x: Val, low: Val | None = None) -> tuple[Val, Val, Exponent]:
    """e^r as a sum, the second part of which is some 20 times smaller, and n of x + low = n ln 2 + r."""
    r, rest, n = _exp_parts(f, x, low)
    high, error = v.fast_two_sum(f, f.float(1.0, x.type), r)
    return high, f.fadd(rest, error), n


def _power(f: Function, step: Val) -> Val:
    """2^n of n 2^23, for n from -126 to 127."""
    return f.bitcast(f.add(step, f.int(ONE_BITS, step.type)), "float")


def _scaled(f: Function, x: Val, n: Exponent) -> Val:
    """x 2^n for n from -252 to 254: in two steps, the last of which may overflow or round to a denormal number."""
    if f.target.lookups == lookup.SIXTEEN:
        return lookup.scaled(f, x, n[0])
    step = n[1]
    half = f.binary("and", f.binary("ashr", step, f.int(1, step.type)), f.int(-(2**23), step.type))
    return f.fmul(f.fmul(x, _power(f, half)), _power(f, f.sub(step, half)))


def exp(f: Function, x: Val) -> Val:
    """e^x."""
    r, rest, n = _exp_parts(f, v.clamped(f, x, -104.0, 89.0))
    return _scaled(f, f.fadd(f.fadd(r, rest), f.float(1.0, x.type)), n)


def exp2(f: Function, x: Val) -> Val:
    """2^x."""
    x = v.clamped(f, x, -151.0, 129.0)
    n, step = _rounded(f, x, 1.0)
    r = f.fsub(x, n)
    return _scaled(f, f.fma(r, v.horner(f, r, EXP2_SINGLE), f.float(1.0, x.type)), (n, step))


def sigmoid(f: Function, x: Val) -> Val:
    """1 / (1 + e^-x), for negative x e^x / (1 + e^x)."""
    one, zero = f.float(1.0, x.type), f.float(0.0, x.type)
    high, low, n = _exp_pair(f, v.at_least(f, f.fneg(f.intrinsic("fabs", x)), -104.0))
    negative = f.fcompare("olt", x, zero)
    e = _scaled(f, f.fadd(high, low), n)
    below = v.fast_two_sum(f, one, e)
    above = f.select(negative, high, one), f.select(negative, low, zero)
    q = _quotient(f, above, below, f.fdiv(one, below[0]))
    return f.select(negative, _scaled(f, q, n), q)


def _quotient(f: Function, above: v.Pair, below: v.Pair, inverse: Val) -> Val:
    """A quotient of sums, given about 1 / below: mended by its remainder."""
    q = f.fmul(above[0], inverse)
    negative = f.fneg(q)
    remainder = f.fadd(f.fma(negative, below[0], above[0]), f.fma(negative, below[1], above[1]))
    return f.fma(remainder, inverse, q)


def tanh(f: Function, x: Val) -> Val:
    """An odd polynomial up to 0.8, then 1 - 2 / (e^2x + 1)."""
    if f.target.lookups:
        return lookup.tanh(f, x)
    a, one = f.intrinsic("fabs", x), f.float(1.0, x.type)
    square = f.fmul(a, a)
    near = f.fma(f.fmul(v.horner(f, square, TANH_SINGLE), square), a, a)
    bounded = v.at_most(f, a, 10.0)
    high, low, (_, step) = _exp_pair(f, f.fadd(bounded, bounded))
    scale = _power(f, step)
    below, error = v.fast_two_sum(f, f.fmul(high, scale), one)
    below, below_low = v.fast_two_sum(f, below, f.fma(low, scale, error))
    inverse = f.fdiv(one, below)
    q = f.fadd(inverse, inverse)
    q = f.fma(f.fmul(f.fneg(q), inverse), below_low, q)
    far = f.fsub(one, q)
    return v.odd(f, x, f.select(f.fcompare("ogt", a, f.float(0.8, x.type)), far, near))


def erf(f: Function, x: Val) -> Val:
    """An odd polynomial up to 0.9, then 1 - e^(-t + t q(t))."""
    if f.target.lookups:
        return lookup.erf(f, x)
    a = f.intrinsic("fabs", x)
    near = f.fma(v.horner(f, f.fmul(a, a), ERF_NEAR_SINGLE), a, a)
    t = v.at_most(f, a, 4.0)
    q = v.horner(f, t, LOG_ERFC_SINGLE)
    exponent = f.fma(q, t, f.fneg(t))
    rest = f.fma(q, t, f.fneg(f.fadd(t, exponent)))
    r, small, (_, step) = _exp_parts(f, exponent, rest)
    e = f.fmul(f.fadd(f.fadd(r, small), f.float(1.0, x.type)), _power(f, step))
    far = f.fsub(f.float(1.0, x.type), e)
    return v.odd(f, x, f.select(f.fcompare("ogt", a, f.float(0.9, x.type)), far, near))


# ---------------------------------------------------------------------------------------------- logarithms


def _decomposed(f: Function, x: Val) -> tuple[Val, Val]:
    """x = 2^k m with sqrt(1/2) <= m < sqrt(2), for positive finite normal x; k is an integer."""
    bits = f.bitcast(x, "i32")
    above = f.sub(bits, f.int(ROOT_HALF_BITS, bits.type))
    k = f.binary("ashr", above, f.int(23, bits.type))
    return k, f.bitcast(f.sub(bits, f.binary("shl", k, f.int(23, bits.type))), "float")


def _log_parts(f: Function, x: Val) -> tuple[Val, Val, v.Pair]:
    """k, g and log(1 + g) - g, as a pair, of x = 2^k (1 + g)."""
    tiny = f.fcompare("olt", x, f.float(2.0**-126, x.type))
    k, m = _decomposed(f, f.select(tiny, f.fmul(x, f.float(2.0**23, x.type)), x))
    k = f.sub(k, f.select(tiny, f.int(23, k.type), f.int(0, k.type)))
    g = f.fsub(m, f.float(1.0, x.type))
    return f.cast("sitofp", k, "float"), g, _log_rest(f, g)


def _log_rest(f: Function, g: Val) -> v.Pair:
    """log(1 + g) - g = -g^2 / 2 + g^3 P(g), with the error of the sum."""
    half = f.float(-0.5, g.type)
    square, error = v.two_product(f, g, g)
    p = f.fmul(f.fmul(v.horner(f, g, LOG1P_SINGLE), g), square)
    p = f.fma(half, error, p)
    rest = f.fma(half, square, p)
    return rest, f.fadd(f.fma(half, square, f.fneg(rest)), p)


def _in_domain(f: Function, x: Val, result: Val) -> Val:
    """The result where x is positive and finite; what logarithms are at and below 0, at infinity, and of NaN."""
    zero = f.float(0.0, x.type)
    inside = v.both(f, f.fcompare("ogt", x, zero), f.fcompare("olt", x, f.float(math.inf, x.type)))
    below = f.select(f.fcompare("oeq", x, zero), f.float(-math.inf, x.type), f.float(math.nan, x.type))
    return f.select(inside, result, f.select(f.fcompare("ugt", x, zero), x, below))


def log(f: Function, x: Val) -> Val:
    """The natural logarithm."""
    k, g, (rest, _) = _log_parts(f, x)
    rest = f.fma(k, f.float(LN2_LOW, x.type), rest)
    return _in_domain(f, x, f.fma(k, f.float(LN2_HIGH, x.type), f.fadd(rest, g)))


def log1p(f: Function, x: Val) -> Val:
    """log(1 + x). Where k = 0, g is x itself; elsewhere the rounding error of 1 + x counts."""
    one = f.float(1.0, x.type)
    u, error = v.two_sum(f, one, x)
    k, m = _decomposed(f, u)
    near = f.compare("eq", k, f.int(0, k.type))
    bounded = f.min(k, f.int(64, k.type))  # beyond, the error does not matter
    inverse = f.sub(f.int(ONE_BITS, k.type), f.binary("shl", bounded, f.int(23, k.type)))
    g = f.select(near, x, f.fsub(m, one))
    error = f.select(near, f.float(0.0, x.type), f.fmul(error, f.bitcast(inverse, "float")))
    error = f.fma(f.fneg(error), g, error)  # about error / (1 + g)
    k = f.cast("sitofp", k, "float")
    rest = f.fadd(f.fma(k, f.float(LN2_LOW, x.type), _log_rest(f, g)[0]), error)
    result = _in_domain(f, u, f.fma(k, f.float(LN2_HIGH, x.type), f.fadd(rest, g)))
    return f.select(f.fcompare("oeq", x, f.float(0.0, x.type)), x, result)  # -0


def _log_of_base(f: Function, x: Val, factor: float, high: float, low: float) -> Val:
    """k (high + low) + (g + rest) factor; the sum k high + g factor, and the product in it, with their errors."""
    k, g, (rest, rest_low) = _log_parts(f, x)
    rounded = f.float(factor, x.type)
    product, error = v.two_product(f, g, rounded)
    error = f.fma(g, f.float(factor - v.as_single(factor), x.type), f.fma(rest_low, rounded, error))
    total, lost = v.two_sum(f, f.fmul(k, f.float(high, x.type)), product)
    small = f.fma(k, f.float(low, x.type), f.fma(rest, rounded, error))
    return _in_domain(f, x, f.fadd(total, f.fadd(small, lost)))


def log2(f: Function, x: Val) -> Val:
    """The logarithm of base 2."""
    return _log_of_base(f, x, 1 / math.log(2), 1.0, 0.0)


def log10(f: Function, x: Val) -> Val:
    """The logarithm of base 10."""
    return _log_of_base(f, x, 1 / math.log(10), LOG10_2_HIGH, LOG10_2_LOW)
