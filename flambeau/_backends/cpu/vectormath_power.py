"""Powers, hypotenuse and remainders of division in float64."""

from __future__ import annotations

import math

from flambeau._backends.cpu import vectormath as v
from flambeau._backends.cpu.emit import Function, Val
from flambeau._backends.cpu.vectormath_exp import LN2_HIGH, LN2_LOW, polynomial_expm1
from flambeau._backends.cpu.vectormath_log import decomposed
from flambeau._backends.cpu.vectormath_tables import LOG_REST, LOG_SINGLE

TWO_THIRDS = (2 / 3, float.fromhex("0x1.5555555555555p-55"))


def _log_pair(f: Function, x: Val) -> v.Pair:
    """log(x) of positive finite x to some 65 bits: k ln 2 + 2 s + s^3 (2/3 + ...), the first two terms in pairs."""
    one, two = f.float(1.0, x.type), f.float(2.0, x.type)
    k, m = decomposed(f, x, True)
    g = f.fsub(m, one)
    d, d_low = v.two_sum(f, m, one)
    s = f.fdiv(g, d)
    product, error = v.two_product(f, s, d)
    s_low = f.fdiv(f.fsub(f.fsub(f.fsub(g, product), error), f.fmul(s, d_low)), d)
    z, z_low = v.two_product(f, s, s)
    z_low = f.fadd(z_low, f.fmul(f.fadd(s, s), s_low))
    u, u_low = v.fast_two_sum(f, f.float(TWO_THIRDS[0], x.type), f.fmul(z, v.polynomial(f, z, LOG_REST)))
    u_low = f.fadd(u_low, f.float(TWO_THIRDS[1], x.type))
    w, w_low = v.two_product(f, z, u)
    w_low = f.fadd(w_low, f.fadd(f.fmul(z, u_low), f.fmul(z_low, u)))
    t, t_low = v.two_product(f, s, w)
    t_low = f.fadd(t_low, f.fadd(f.fmul(s, w_low), f.fmul(s_low, w)))
    h, h_low = v.fast_two_sum(f, f.fmul(s, two), t)
    h_low = f.fadd(h_low, f.fadd(t_low, f.fadd(s_low, s_low)))
    total, rest = v.two_sum(f, f.fmul(k, f.float(LN2_HIGH, x.type)), h)
    rest = f.fadd(rest, f.fma(k, f.float(LN2_LOW, x.type), h_low))
    return v.fast_two_sum(f, total, rest)


def _log_single(f: Function, x: Val) -> Val:
    """log(x) of positive finite x in plain doubles."""
    k, m = decomposed(f, x, False)
    g = f.fsub(m, f.float(1.0, x.type))
    s = f.fdiv(g, f.fadd(m, f.float(1.0, x.type)))
    square = f.fmul(s, s)
    series = f.fma(f.fmul(s, square), v.polynomial(f, square, LOG_SINGLE), f.fadd(s, s))
    return f.fma(k, f.float(math.log(2), x.type), series)


def pow(f: Function, x: Val, y: Val, exact: bool = True) -> Val:
    """x^y = e^(y log |x|), with the sign of x for odd y; NaN for negative x and y that is no integer."""
    zero, one = f.float(0.0, x.type), f.float(1.0, x.type)
    a = f.intrinsic("fabs", x)
    y = v.clamped(f, y, -(2.0**100), 2.0**100)  # no power of this size is neither 0, 1 nor infinite
    if exact:
        high, low = _log_pair(f, a)
    else:
        high, low = _log_single(f, a), zero
    infinity = f.float(math.inf, x.type)
    high = f.select(f.fcompare("oeq", a, zero), f.fneg(infinity), f.select(f.fcompare("oeq", a, infinity), a, high))
    result = _exp_of_product(f, high, low, y, exact)
    whole, odd = _integer(f, y)
    negative = f.fcompare("olt", x, zero)
    bits = f.bitcast(x, "i64")
    signed = v.both(f, odd, f.compare("slt", bits, f.int(0, bits.type)))
    result = f.select(signed, f.fneg(result), result)
    undefined = v.both(f, negative, v.both(f, f.fcompare("olt", a, infinity), f.fcompare("une", whole, y)))
    result = f.select(undefined, f.float(math.nan, x.type), result)
    result = f.select(f.fcompare("uno", x, y), f.float(math.nan, x.type), result)
    always = v.either(f, f.fcompare("oeq", y, zero), f.fcompare("oeq", x, one))
    return f.select(always, one, result)


def _integer(f: Function, y: Val) -> tuple[Val, Val]:
    """y cut to an integer, and whether y is an odd one."""
    whole, half = f.intrinsic("trunc", y), f.fmul(y, f.float(0.5, y.type))
    return whole, v.both(f, f.fcompare("oeq", whole, y), f.fcompare("une", f.intrinsic("trunc", half), half))


def _exp_of_product(f: Function, high: Val, low: Val, y: Val, exact: bool) -> Val:
    """e^(y (high + low)). The product is 0 or beyond all powers if a factor is so large that its rounding fails."""
    bound = (-760.0, 720.0) if exact else (-105.0, 89.0)
    p = f.fmul(y, high)
    moderate = v.clamped(f, p, *bound)
    n = v.nearest_integer(f, f.fmul(moderate, f.float(math.log2(math.e), p.type)))
    r = f.fma(n, f.float(-LN2_HIGH, p.type), moderate)
    reduction = f.fmul(n, f.float(LN2_LOW, p.type))
    s = f.fsub(r, reduction)
    if exact:
        _, error = v.two_product(f, y, high)
        rest = f.fadd(error, f.fmul(y, low))
        inside = f.fcompare("oeq", p, moderate)
        rest = f.fadd(f.fsub(f.fsub(r, s), reduction), f.select(inside, rest, f.float(0.0, p.type)))
        s, rest = v.two_sum(f, s, rest)
        e = f.fadd(polynomial_expm1(f, s, True), f.fma(rest, s, rest))
        return v.scaled(f, f.fadd(f.float(1.0, p.type), e), n)
    return f.fmul(f.fadd(polynomial_expm1(f, s, False), f.float(1.0, p.type)), v.power_of_two(f, n))


def hypot(f: Function, x: Val, y: Val, exact: bool = True) -> Val:
    """sqrt(x^2 + y^2); infinite if either is, even if the other is NaN."""
    a, b = f.intrinsic("fabs", x), f.intrinsic("fabs", y)
    infinity = f.float(math.inf, x.type)
    infinite = v.either(f, f.fcompare("oeq", a, infinity), f.fcompare("oeq", b, infinity))
    if not exact:
        root = f.intrinsic("sqrt", f.fma(a, a, f.fmul(b, b)))
        return f.select(infinite, infinity, root)
    larger = f.select(f.fcompare("ogt", a, b), a, b)
    large = f.fcompare("ogt", larger, f.float(2.0**500, x.type))
    small = f.fcompare("olt", larger, f.float(2.0**-400, x.type))
    one = f.float(1.0, x.type)

    def factor(up: float) -> Val:
        return f.select(large, f.float(1 / up, x.type), f.select(small, f.float(up, x.type), one))

    down = f.select(large, f.float(2.0**600, x.type), f.select(small, f.float(2.0**-600, x.type), one))
    scale = factor(2.0**600)
    a, b = f.fmul(a, scale), f.fmul(b, scale)
    (aa, a_low), (bb, b_low) = v.two_product(f, a, a), v.two_product(f, b, b)
    total, rest = v.two_sum(f, aa, bb)
    root = f.intrinsic("sqrt", total)
    square, error = v.two_product(f, root, root)
    rest = f.fadd(f.fadd(f.fsub(f.fsub(total, square), error), rest), f.fadd(a_low, b_low))
    mended = f.fadd(root, f.fdiv(rest, f.fadd(root, root)))
    root = f.select(f.fcompare("ogt", total, f.float(0.0, x.type)), mended, total)
    return f.select(infinite, infinity, f.fmul(root, down))


# ---------------------------------------------------------------------------------------------- remainders


def fmod(f: Function, x: Val, y: Val) -> Val:
    """x - y trunc(x / y) without rounding, of doubles that were float32.

    A quotient below 2^28 rounds to the right integer or the next, which the sign of the rest tells. A larger one is
    divided by y 2^252, y 2^224..., which is rare.
    """
    a, b = f.intrinsic("fabs", x), f.intrinsic("fabs", y)
    infinity = f.float(math.inf, x.type)

    def step(a: Val, b: Val) -> Val:
        rest = f.fsub(a, f.fmul(f.intrinsic("trunc", f.fdiv(a, b)), b))
        return f.select(f.fcompare("olt", rest, f.float(0.0, a.type)), f.fadd(rest, b), rest)

    def far() -> list[Val]:
        rest = a
        for power in range(252, -1, -28):
            rest = step(rest, f.fmul(b, f.float(2.0**power, b.type)))
        return [rest]

    (rest,) = v.rarely(f, f.fcompare("oge", a, f.fmul(b, f.float(2.0**28, b.type))), [step(a, b)], far)
    rest = f.select(v.both(f, f.fcompare("oeq", b, infinity), f.fcompare("olt", a, infinity)), a, rest)
    return v.odd(f, x, rest)
