"""The error function, its complement and its inverse in float64.

erf is an odd series up to 1. Beyond, erfc(x) = e^(-x^2) P(t) / (1 + 2 x) with t = (x - 3.75) / (x + 3.75) (M. Shepherd,
J. Laframboise, Mathematics of Computation 36, 1981).
"""

from __future__ import annotations

import math

from flambeau._backends.cpu import vectormath as v
from flambeau._backends.cpu.emit import Function, Val
from flambeau._backends.cpu.vectormath_exp import exp, polynomial_expm1, reduced
from flambeau._backends.cpu.vectormath_log import log
from flambeau._backends.cpu.vectormath_tables import (
    ERF,
    ERF_SINGLE,
    ERFC,
    ERFC_SINGLE,
    ERFINV_FAR_SINGLE,
    ERFINV_NEAR_SINGLE,
)  # fmt: skip

CENTRE = 3.75
ZERO_FROM, ZERO_FROM_SINGLE = 27.3, 10.2  # beyond, erfc is 0


def _small(f: Function, x: Val, exact: bool) -> Val:
    """erf(x) for |x| <= 1."""
    return f.fma(x, v.polynomial(f, f.fmul(x, x), ERF if exact else ERF_SINGLE), x)


def _tail(f: Function, x: Val, exact: bool) -> Val:
    """erfc(x) for x >= 0, if it is to be exact for x >= 0.4; smaller x are brought there."""
    one, centre = f.float(1.0, x.type), f.float(CENTRE, x.type)
    x = v.clamped(f, x, 0.4, ZERO_FROM) if exact else v.at_most(f, x, ZERO_FROM_SINGLE)
    below, shifted = f.fadd(f.fadd(x, x), one), f.fadd(x, centre)
    inverse = f.fdiv(one, f.fmul(below, shifted))  # one division for both
    t = f.fmul(f.fmul(f.fsub(x, centre), below), inverse)
    p = f.fmul(f.fmul(v.polynomial(f, t, ERFC if exact else ERFC_SINGLE), shifted), inverse)
    if not exact:  # the square is exact
        n, r = reduced(f, f.fneg(f.fmul(x, x)))
        return f.fmul(f.fma(p, polynomial_expm1(f, r, exact), p), v.power_of_two(f, n))
    square, error = v.two_product(f, x, x)
    n, r = reduced(f, f.fneg(square))
    e = polynomial_expm1(f, r, exact)
    e = f.fsub(e, f.fma(error, e, error))
    return v.scaled(f, f.fma(p, e, p), n)


def erf(f: Function, x: Val, exact: bool = True) -> Val:
    """The error function."""
    one, a = f.float(1.0, x.type), f.intrinsic("fabs", x)
    near = v.at_most(f, a, 1.0)
    far = f.fsub(one, _tail(f, a, exact))
    return v.odd(f, x, f.select(f.fcompare("ogt", a, one), far, _small(f, near, exact)))


def erfc(f: Function, x: Val, exact: bool = True) -> Val:
    """1 - erf(x), with all its digits for large x."""
    one, a = f.float(1.0, x.type), f.intrinsic("fabs", x)
    tail = _tail(f, a, exact)
    far = f.select(f.fcompare("olt", x, f.float(0.0, x.type)), f.fsub(f.float(2.0, x.type), tail), tail)
    if not exact:
        return far
    near = f.fsub(one, _small(f, v.clamped(f, x, -0.5, 0.5), exact))
    return f.select(f.fcompare("ogt", a, f.float(0.5, x.type)), far, near)


def erfinv(f: Function, x: Val, exact: bool = True) -> Val:
    """The inverse of erf: x times a polynomial in w = -log(1 - x^2) or its root (M. Giles, GPU Computing Gems 2, 2011),
    good to 20 bits, then a step of Halley's method on erf, for larger x on its complement."""
    one, a = f.float(1.0, x.type), f.intrinsic("fabs", x)
    complement = f.fsub(one, a)
    w = f.fneg(log(f, f.fmul(complement, f.fadd(one, a)), exact))
    near = v.polynomial(f, f.fadd(w, f.float(-2.5, x.type)), ERFINV_NEAR_SINGLE)
    far = v.polynomial(f, f.fadd(f.intrinsic("sqrt", w), f.float(-4.0, x.type)), ERFINV_FAR_SINGLE)
    y = f.fmul(a, f.select(f.fcompare("olt", w, f.float(5.0, x.type)), near, far))
    tail = f.fsub(complement, _tail(f, y, exact))
    error = f.select(f.fcompare("ogt", a, f.float(0.8, x.type)), tail, f.fsub(_small(f, y, exact), a))
    step = f.fmul(f.fmul(error, f.float(math.sqrt(math.pi) / 2, x.type)), exp(f, f.fmul(y, y), exact))
    y = f.fsub(y, f.fdiv(step, f.fma(y, step, one)))
    return v.odd(f, x, f.select(f.fcompare("oeq", a, one), f.float(math.inf, x.type), y))
