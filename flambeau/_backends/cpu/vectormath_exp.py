"""Exponentials in float64: exp, exp2, expm1, hyperbolic functions, the logistic function.

x = n ln 2 + r with an integer n and |r| <= ln(2) / 2; e^x = 2^n e^r, and e^r - 1 is a polynomial.
"""

from __future__ import annotations

import math

from flambeau._backends.cpu import vectormath as v
from flambeau._backends.cpu.emit import Function, Val
from flambeau._backends.cpu.vectormath_tables import EXP, EXP_SINGLE

# ln 2 in two parts: products of the first, which has 32 bits, with integers below 2^20 are exact
LN2_HIGH, LN2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
LOWEST, HIGHEST = -746.0, 710.0  # beyond these e^x is 0 and infinite
LOWEST_SINGLE, HIGHEST_SINGLE = -105.0, 90.0


def reduced(f: Function, x: Val) -> tuple[Val, Val]:
    """The n and r of x."""
    n, r, _ = _reduced(f, x)
    return n, r


def _reduced(f: Function, x: Val) -> tuple[Val, Val, Val]:
    """n, r and r before the last step, which rounds."""
    n = v.nearest_integer(f, f.fmul(x, f.float(math.log2(math.e), x.type)))
    before = f.fma(n, f.float(-LN2_HIGH, x.type), x)
    return n, f.fma(n, f.float(-LN2_LOW, x.type), before), before


def polynomial_expm1(f: Function, r: Val, exact: bool, rest: Val | None = None) -> Val:
    """e^(r + rest) - 1 for |r| <= ln(2) / 2."""
    p = v.polynomial(f, r, EXP if exact else EXP_SINGLE)
    square = f.fmul(r, r)
    return f.fma(square, p, r) if rest is None else f.fadd(r, f.fma(square, p, rest))


def exp(f: Function, x: Val, exact: bool = True) -> Val:
    """e^x."""
    n, r = reduced(f, v.clamped(f, x, *((LOWEST, HIGHEST) if exact else (LOWEST_SINGLE, HIGHEST_SINGLE))))
    p = f.fadd(polynomial_expm1(f, r, exact), f.float(1.0, x.type))
    return v.scaled(f, p, n) if exact else f.fmul(p, v.power_of_two(f, n))


def exp2(f: Function, x: Val, exact: bool = True) -> Val:
    """2^x."""
    x = v.clamped(f, x, *((-1080.0, 1030.0) if exact else (-152.0, 130.0)))
    n = v.nearest_integer(f, x)
    r = f.fmul(f.fsub(x, n), f.float(math.log(2), x.type))
    p = f.fadd(polynomial_expm1(f, r, exact), f.float(1.0, x.type))
    return v.scaled(f, p, n) if exact else f.fmul(p, v.power_of_two(f, n))


def _expm1(f: Function, x: Val, exact: bool) -> Val:
    """e^x - 1 = 2 (2^(n-1) (e^r - 1) + (2^(n-1) - 1/2)); the factor of 2 last, so that only it may overflow."""
    half = f.float(0.5, x.type)
    n, r, before = _reduced(f, v.clamped(f, x, -40.0, HIGHEST if exact else HIGHEST_SINGLE))
    lost = f.fma(n, f.float(-LN2_LOW, x.type), f.fsub(before, r)) if exact else None
    power = v.power_of_two(f, f.fsub(n, f.float(1.0, x.type)))
    total = f.fma(power, polynomial_expm1(f, r, exact, lost), f.fsub(power, half))
    return f.fadd(total, total)


def expm1(f: Function, x: Val, exact: bool = True) -> Val:
    """e^x - 1."""
    result = _expm1(f, x, exact)
    return f.select(f.fcompare("oeq", x, f.float(0.0, x.type)), x, result)  # -0


def tanh(f: Function, x: Val, exact: bool = True) -> Val:
    """With t = e^2|x| - 1: t / (t + 2), for larger |x| better as 1 - 2 / (t + 2)."""
    one, two = f.float(1.0, x.type), f.float(2.0, x.type)
    a = v.at_most(f, f.intrinsic("fabs", x), 22.0)
    t = _expm1(f, f.fadd(a, a), exact)
    far = f.fcompare("ogt", a, f.float(0.55, x.type))
    quotient = f.fdiv(f.select(far, two, t), f.fadd(t, two))
    return v.odd(f, x, f.select(far, f.fsub(one, quotient), quotient))


def sinh(f: Function, x: Val, exact: bool = True) -> Val:
    """With t = e^|x| - 1: (t + t / (t + 1)) / 2; far from 0 e^|x| / 2, by halves of |x| that do not overflow early."""
    a, one, half = f.intrinsic("fabs", x), f.float(1.0, x.type), f.float(0.5, x.type)
    if not exact:
        t = _expm1(f, v.at_most(f, a, HIGHEST_SINGLE), exact)
        return v.odd(f, x, f.fmul(half, f.fadd(t, f.fdiv(t, f.fadd(t, one)))))
    t = _expm1(f, v.at_most(f, a, 40.0), exact)
    near = f.fmul(half, f.fadd(t, f.fdiv(t, f.fadd(t, one))))
    return v.odd(f, x, f.select(f.fcompare("olt", a, f.float(22.0, x.type)), near, _half_exp(f, a)))


def cosh(f: Function, x: Val, exact: bool = True) -> Val:
    """(e^|x| + 1 / e^|x|) / 2."""
    a, half = f.intrinsic("fabs", x), f.float(0.5, x.type)
    e = exp(f, v.at_most(f, a, 40.0 if exact else HIGHEST_SINGLE), exact)
    near = f.fmul(half, f.fadd(e, f.fdiv(f.float(1.0, x.type), e)))
    return f.select(f.fcompare("olt", a, f.float(22.0, x.type)), near, _half_exp(f, a)) if exact else near


def _half_exp(f: Function, x: Val) -> Val:
    """e^x / 2, which is finite a little longer than e^x."""
    n, r = reduced(f, v.at_most(f, x, HIGHEST + 2))
    p = f.fadd(polynomial_expm1(f, r, True), f.float(1.0, x.type))
    return v.scaled(f, p, f.fsub(n, f.float(1.0, x.type)))


def sigmoid(f: Function, x: Val, exact: bool = True) -> Val:
    """1 / (1 + e^-x), for negative x as e^x / (1 + e^x), which does not overflow."""
    one = f.float(1.0, x.type)
    e = exp(f, f.fneg(f.intrinsic("fabs", x)), exact)
    above = f.select(f.fcompare("olt", x, f.float(0.0, x.type)), e, one)
    return f.fdiv(above, f.fadd(one, e))
