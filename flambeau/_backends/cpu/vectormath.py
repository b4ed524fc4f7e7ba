"""Exponentials, logarithms and error functions on vectors of float32, each at most 1 ulp from the truth.

exp, log, tanh and erf are computed in float32 throughout. The others go through float64, with polynomials that are good
to some 45 bits, so that only the last rounding counts. Polynomials were fitted by iteratively reweighted least squares
(Lawson 1961) to the relative error on the interval named beside them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from flambeau._backends.cpu.emit import Function, Val, like

# (exp(r) - 1 - r) / r^2 on |r| <= ln(2) / 2
EXP = (0.500000009801458, 0.16666515912015, 0.04166619671880678, 0.008369239524354082, 0.001395109547914367)
EXP_WIDE = (0.49999999999999784, 0.1666666666661384, 0.04166666666688333, 0.008333333369654536, 0.0013888888830999048,
            0.0001984118689271053, 2.4801625334720355e-05, 2.7634314356809093e-06, 2.7579270233296676e-07)  # fmt: skip
# (log(1 + g) - g + g^2 / 2) / g^3 on sqrt(1/2) <= 1 + g <= sqrt(2)
LOG = (0.3333331259427955, -0.25000009794554406, 0.20002119703124227, -0.16667985349993647, 0.14219518258263622,
       -0.1240575883887542, 0.11888616573595778, -0.11674795945711501, 0.06744500730275002)  # fmt: skip
# (log((1 + s) / (1 - s)) - 2 s) / s^3 in powers of s^2, on the same interval for (1 + s) / (1 - s)
LOG_WIDE = (0.6666666666473352, 0.4000000100651823, 0.28571262786311125, 0.2223410276163071, 0.17787729372784442,
            0.2071204844053857)  # fmt: skip
# (tanh(x) / x - 1) / x^2 in powers of x^2, on |x| <= 1
TANH = (-0.33333328744959784, 0.13333184812414456, -0.05395164650737059, 0.021778354962153516, -0.008580228213183569,
        0.0030595903555501597, -0.0008286202668560106, 0.00011814467353884208)  # fmt: skip
# erf(x) / x - 1 in powers of x^2, on |x| <= 1.15
ERF_SMALL = (0.12837916677766237, -0.3761263591940529, 0.11283745144341982, -0.026863377861922326,
             0.005215655267553642, -0.000841169618708024, 0.00010781758277249713, -8.391332006945312e-06)  # fmt: skip
# (log(erfc(t)) + t) / t on 1.15 <= t <= 4
ERF_LARGE = (-0.1286879957306587, -0.6350387764523178, -0.1063262850500288, 0.023726602579351986,
             -0.003543464456494772, 0.0002599191396572814, 6.295517535099793e-06, -1.8566687821547548e-06)  # fmt: skip

LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4  # their sum is ln 2; products of the first with small integers are exact
LN2_WIDE_HIGH, LN2_WIDE_LOW = 0.6931471803691238, 1.9082149292705877e-10
MAGIC = 1.5 * 2.0**52  # a double this large has its integer part in the lowest bits


def polynomial(f: Function, x: Val, coefficients: Sequence[float]) -> Val:
    """c0 + c1 x + c2 x^2 + ... by Horner's rule."""
    result = f.float(coefficients[-1], x.type)
    for c in reversed(coefficients[:-1]):
        result = f.fma(result, x, f.float(c, x.type))
    return result


def clamped(f: Function, x: Val, low: float, high: float) -> Val:
    """x between two numbers; NaN becomes the lower one."""
    lo, hi = f.float(low, x.type), f.float(high, x.type)
    x = f.select(f.fcompare("ogt", x, lo), x, lo)
    return f.select(f.fcompare("olt", x, hi), x, hi)


def is_nan(f: Function, x: Val) -> Val:
    return f.fcompare("uno", x, x)


# ---------------------------------------------------------------------------------------------- in float32


def exp(f: Function, x: Val) -> Val:
    """e^x: 2^n times a polynomial in what is left; denormal results come from scaling in two steps."""
    within = clamped(f, x, -110.0, 90.0)  # beyond, the result is 0 or infinite all the same
    n = f.intrinsic("rint", f.fmul(within, f.float(math.log2(math.e), x.type)))
    r = f.fma(n, f.float(-LN2_HIGH, x.type), within)
    r = f.fma(n, f.float(-LN2_LOW, x.type), r)
    p = f.fadd(f.fma(f.fmul(r, r), polynomial(f, r, EXP), r), f.float(1.0, x.type))
    whole = f.cast("fptosi", n, "i32")
    half = f.binary("ashr", whole, f.int(1, whole.type))
    scaled = f.fmul(f.fmul(p, power_of_two(f, half)), power_of_two(f, f.sub(whole, half)))
    return f.select(is_nan(f, x), x, scaled)


def power_of_two(f: Function, n: Val) -> Val:
    """2^n as float32, for int32 n whose result is a normal number."""
    return f.bitcast(f.binary("shl", f.add(n, f.int(127, n.type)), f.int(23, n.type)), "float")


def log(f: Function, x: Val) -> Val:
    """The natural logarithm: n ln 2 plus a polynomial in the fraction, which is brought to around 1."""
    tiny = f.fcompare("olt", x, f.float(2.0**-126, x.type))
    scaled = f.select(tiny, f.fmul(x, f.float(2.0**23, x.type)), x)
    bits = f.bitcast(scaled, "i32")
    above = f.sub(bits, f.int(0x3F3504F3, bits.type))  # sqrt(1/2)
    n = f.binary("ashr", above, f.int(23, bits.type))
    fraction = f.bitcast(f.sub(bits, f.binary("shl", n, f.int(23, bits.type))), "float")
    n = f.sub(n, f.select(tiny, f.int(23, bits.type), f.int(0, bits.type)))
    g, k = f.fsub(fraction, f.float(1.0, x.type)), f.cast("sitofp", n, "float")
    square = f.fmul(g, g)
    p = f.fmul(f.fmul(polynomial(f, g, LOG), g), square)
    p = f.fma(f.float(-0.5, x.type), square, p)
    p = f.fma(k, f.float(LN2_LOW, x.type), p)
    result = f.fma(k, f.float(LN2_HIGH, x.type), f.fadd(p, g))
    return _outside_domain(f, x, result)


def _outside_domain(f: Function, x: Val, result: Val) -> Val:
    """What logarithms are at and below 0, at infinity, and of NaN."""
    infinity = f.float(math.inf, result.type)
    zero = f.float(0.0, x.type)
    result = f.select(f.fcompare("oeq", x, f.float(math.inf, x.type)), infinity, result)
    result = f.select(f.fcompare("oeq", x, zero), f.float(-math.inf, result.type), result)
    return f.select(f.fcompare("uge", x, zero), f.select(is_nan(f, x), f.float(math.nan, result.type), result),
                    f.float(math.nan, result.type))  # fmt: skip


def tanh(f: Function, x: Val) -> Val:
    """An odd polynomial up to 1, then 1 - 2 / (e^2x + 1)."""
    a, one = f.intrinsic("fabs", x), f.float(1.0, x.type)
    square = f.fmul(x, x)
    small = f.fma(f.fmul(polynomial(f, square, TANH), square), x, x)
    e = exp(f, f.fmul(a, f.float(2.0, x.type)))
    large = f.fsub(one, f.fdiv(f.float(2.0, x.type), f.fadd(e, one)))
    large = f.intrinsic("copysign", large, x)
    return f.select(f.fcompare("ogt", a, one), large, small)


def erf(f: Function, x: Val) -> Val:
    """An odd polynomial up to 1.15, then 1 - e^(-t + t q(t))."""
    a = f.intrinsic("fabs", x)
    square = f.fmul(x, x)
    small = f.fma(polynomial(f, square, ERF_SMALL), x, x)
    t = clamped(f, a, 0.0, 4.0)
    exponent = f.fma(polynomial(f, t, ERF_LARGE), t, f.fneg(t))
    large = f.intrinsic("copysign", f.fsub(f.float(1.0, x.type), exp(f, exponent)), x)
    return f.select(f.fcompare("ogt", a, f.float(1.15, x.type)), large, small)


# ---------------------------------------------------------------------------------------------- by way of float64


def widened(f: Function, x: Val) -> Val:
    return f.cast("fpext", x, "double")


def narrowed(f: Function, x: Val) -> Val:
    return f.cast("fptrunc", x, "float")


def exp_wide(f: Function, x: Val) -> Val:
    """e^x of doubles between -700 and 700 (others are brought there), good to 2^-50."""
    x = clamped(f, x, -700.0, 700.0)
    shifted = f.fma(x, f.float(math.log2(math.e), x.type), f.float(MAGIC, x.type))
    n = f.fsub(shifted, f.float(MAGIC, x.type))
    r = f.fma(n, f.float(-LN2_WIDE_HIGH, x.type), x)
    r = f.fma(n, f.float(-LN2_WIDE_LOW, x.type), r)
    p = f.fadd(f.fma(f.fmul(r, r), polynomial(f, r, EXP_WIDE), r), f.float(1.0, x.type))
    exponent = f.binary("shl", f.bitcast(shifted, "i64"), f.int(52, like(x.type, "i64")))
    return f.bitcast(f.add(f.bitcast(p, "i64"), exponent), "double")


def log_wide(f: Function, x: Val) -> Val:
    """The natural logarithm of normal positive doubles, good to 2^-45."""
    bits = f.bitcast(x, "i64")
    word = bits.type
    above = f.sub(bits, f.int(0x3FE6A09E667F3BCD - (1023 << 52), word))  # sqrt(1/2), moved so that it stays positive
    n = f.binary("lshr", above, f.int(52, word))
    fraction = f.sub(bits, f.binary("shl", f.sub(n, f.int(1023, word)), f.int(52, word)))
    m, one = f.bitcast(fraction, "double"), f.float(1.0, x.type)
    k = f.bitcast(f.binary("or", n, f.int(0x4330000000000000, word)), "double")  # 2^52 + n
    k = f.fsub(k, f.float(2.0**52 + 1023, x.type))
    s = f.fdiv(f.fsub(m, one), f.fadd(m, one))
    square = f.fmul(s, s)
    p = f.fma(f.fmul(polynomial(f, square, LOG_WIDE), square), s, f.fmul(s, f.float(2.0, x.type)))
    return f.fma(k, f.float(math.log(2), x.type), p)


def sigmoid(f: Function, x: Val) -> Val:
    """1 / (1 + e^-x)."""
    one = f.float(1.0, like(x.type, "double"))
    result = narrowed(f, f.fdiv(one, f.fadd(one, exp_wide(f, f.fneg(widened(f, x))))))
    return f.select(is_nan(f, x), x, result)


def expm1(f: Function, x: Val) -> Val:
    """e^x - 1, by its series near 0."""
    w = widened(f, x)
    series = f.fma(f.fmul(w, w), polynomial(f, w, (1 / 2, 1 / 6, 1 / 24)), w)
    large = f.fsub(exp_wide(f, w), f.float(1.0, w.type))
    small = f.fcompare("olt", f.intrinsic("fabs", w), f.float(1e-3, w.type))
    result = narrowed(f, f.select(small, series, large))
    result = f.select(f.fcompare("oeq", x, f.float(0.0, x.type)), x, result)
    return f.select(is_nan(f, x), x, result)


def log1p(f: Function, x: Val) -> Val:
    """log(1 + x), by its series near 0."""
    w = widened(f, x)
    series = f.fma(f.fmul(w, w), polynomial(f, w, (-1 / 2, 1 / 3, -1 / 4, 1 / 5)), w)
    total = f.fadd(w, f.float(1.0, w.type))
    small = f.fcompare("olt", f.intrinsic("fabs", w), f.float(1e-3, w.type))
    result = narrowed(f, f.select(small, series, log_wide(f, total)))
    result = f.select(f.fcompare("oeq", x, f.float(0.0, x.type)), x, result)
    return _outside_domain_of_log1p(f, x, result)


def _outside_domain_of_log1p(f: Function, x: Val, result: Val) -> Val:
    one = f.float(-1.0, x.type)
    result = f.select(f.fcompare("oeq", x, f.float(math.inf, x.type)), x, result)
    result = f.select(f.fcompare("oeq", x, one), f.float(-math.inf, x.type), result)
    return f.select(f.fcompare("olt", x, one), f.float(math.nan, x.type), f.select(is_nan(f, x), x, result))


def log2(f: Function, x: Val) -> Val:
    """The logarithm of base 2."""
    return _scaled_log(f, x, 1 / math.log(2))


def log10(f: Function, x: Val) -> Val:
    """The logarithm of base 10."""
    return _scaled_log(f, x, 1 / math.log(10))


def _scaled_log(f: Function, x: Val, factor: float) -> Val:
    w = log_wide(f, widened(f, x))
    return _outside_domain(f, x, narrowed(f, f.fmul(w, f.float(factor, w.type))))


def exp2(f: Function, x: Val) -> Val:
    """2^x."""
    w = exp_wide(f, f.fmul(widened(f, x), f.float(math.log(2), like(x.type, "double"))))
    return f.select(is_nan(f, x), x, narrowed(f, w))
