"""Sine, cosine, tangent and their inverses in float64.

x = n pi / 2 + r with |r| <= pi / 4. For n up to 2^20, n pi / 2 is subtracted in three parts (Cody and Waite 1980);
beyond, the bits of 2 / pi that matter are taken from a table (Payne and Hanek 1983), lane by lane, for that is rare.
"""

from __future__ import annotations

import math

from flambeau._backends.cpu import vectormath as v
from flambeau._backends.cpu.emit import Function, Module, Val
from flambeau._backends.cpu.vectormath_tables import (
    ASIN,
    ASIN_SINGLE,
    ATAN,
    ATAN_SINGLE,
    COS,
    COS_SINGLE,
    SIN,
    SIN_SINGLE,
    TWO_OVER_PI,
)  # fmt: skip

# pi / 2 in three parts; products of the first two, of 33 bits each, with integers up to 2^20 are exact
HALF_PI = [float.fromhex(part) for part in ("0x1.921fb544p+0", "0x1.0b4611a6p-34", "0x1.3198a2e037073p-69")]
HALF_PI_HIGH, HALF_PI_LOW = math.pi / 2, 6.123233995736766e-17
FAR = 2.0**20 * math.pi / 2


# ---------------------------------------------------------------------------------------------- reduction


def reduced(f: Function, x: Val) -> tuple[Val, Val, Val]:
    """The n (its lowest bits as an i64) and r as a pair. NaN and infinities give NaN."""
    n = v.nearest_integer(f, f.fmul(x, f.float(2 / math.pi, x.type)))
    first, second, third = (f.fmul(n, f.float(part, x.type)) for part in HALF_PI)
    high, low = v.two_sum(f, f.fsub(x, first), f.fneg(second))
    near = n, *v.fast_two_sum(f, high, f.fsub(low, third))
    far = f.fcompare("oge", f.intrinsic("fabs", x), f.float(FAR, x.type))
    n, r, rest = v.rarely(f, far, near, lambda: _far_reduced(f, x))
    return f.bitcast(f.fadd(n, f.float(v.MAGIC, x.type)), "i64"), r, rest


def _far_reduced(f: Function, x: Val) -> tuple[Val, Val, Val]:
    """The same for large |x|, lane by lane; n is modulo 4."""
    name = _payne_hanek(f.module)
    if not x.lanes:
        parts = f.call("<4 x double>", name, [x], declare=False)
        return f.extract(parts, 0), f.extract(parts, 1), f.extract(parts, 2)
    start = [Val("zeroinitializer", x.type)] * 3
    with f.loop(0, x.lanes, carried=start, guard=False) as lane:
        one = f.op("double", f"extractelement {x}, {lane.index}")
        parts = f.call("<4 x double>", name, [one], declare=False)
        for i, so_far in enumerate(lane.carried):
            lane.next.append(f.op(x.type, f"insertelement {so_far}, {f.extract(parts, i)}, {lane.index}"))
    n, high, low = lane.results
    return n, high, low


def _payne_hanek(module: Module) -> str:
    """The function, made once a module, that reduces one double of at least 2^20: returns n modulo 4 and r as a pair.

    x = m 2^e with a 53-bit integer m. Of the bits of 2 / pi, those that m 2^e turns into multiples of 4 are left out;
    m times the following 192 is x 2 / pi modulo 4: 2 bits of n, then the fraction, to some 60 bits after its leading
    zeros, of which there are at most 62.
    """
    name = "payne_hanek"
    if any(f" @{name}(" in text for text in module.functions):
        return name
    words = module.constant("two_over_pi", "i64", [str(w) for w in TWO_OVER_PI])
    f = module.function(name, "<4 x double>", [("x", "double")], internal=True)
    (x,) = f.parameters
    bits = f.bitcast(x, "i64")
    field = f.binary("and", f.binary("lshr", bits, 52), 0x7FF)
    m = f.binary("or", f.binary("and", bits, 2**52 - 1), 2**52)
    first = 1075 - 62  # the exponent for which the bit whose product has weight 2 begins the table
    position = f.sub(f.max(f.min(field, 2046), first), first)
    window = _window(f, words, position)
    wide = f.cast("zext", m, "i128")
    products = [f.binary("mul", wide, f.cast("zext", w, "i128")) for w in window]
    total = f.binary("shl", products[0], f.int(64, "i128"))
    total = f.add(f.add(total, products[1]), f.binary("lshr", products[2], f.int(64, "i128")))
    n = f.binary("lshr", f.add(total, f.int(2**125, "i128")), f.int(126, "i128"))
    signed = f.binary("shl", total, f.int(2, "i128"))  # the fraction times 2^128, now from -1/2 to 1/2
    negative = f.compare("slt", signed, 0)
    magnitude = f.select(negative, f.sub(f.int(0, "i128"), signed), signed)
    zeros = f.op("i128", f"call i128 @llvm.ctlz.i128({magnitude}, i1 false)")
    f.module.declare("llvm.ctlz.i128", "i128 @llvm.ctlz.i128(i128, i1)")
    normal = f.binary("shl", magnitude, zeros)
    high = _bits_as_double(f, normal, 75)
    low = f.fmul(_bits_as_double(f, normal, 22), f.float(2.0**-53, "double"))
    scale = f.cast("trunc", f.sub(f.int(1023 - 53, "i128"), zeros), "i64")
    scale = f.bitcast(f.binary("shl", scale, 52), "double")
    scale = f.select(negative, f.fneg(scale), scale)
    high, low = f.fmul(high, scale), f.fmul(low, scale)
    product, error = v.two_product(f, high, f.float(HALF_PI_HIGH, "double"))
    error = f.fadd(error, f.fmul(low, f.float(HALF_PI_HIGH, "double")))
    error = f.fadd(error, f.fmul(high, f.float(HALF_PI_LOW, "double")))
    r = v.fast_two_sum(f, product, error)
    quadrant = f.cast("uitofp", f.cast("trunc", n, "i64"), "double")
    finite = f.compare("ne", field, 2047)
    sign = f.compare("slt", bits, 0)
    zero, one = f.float(0.0, "double"), f.float(1.0, "double")
    turned = f.select(sign, f.float(-1.0, "double"), one)
    result = Val("zeroinitializer", "<4 x double>")
    for i, part in enumerate((quadrant, *r)):
        part = f.select(finite, f.fmul(part, turned), zero if i == 0 else f.float(math.nan, "double"))
        result = f.insert(result, part, i)
    f.ret(result)
    f.close()
    return name


def _window(f: Function, words: Val, position: Val) -> list[Val]:
    """Three words of the table from bit `position` on."""
    first, shift = f.binary("lshr", position, 6), f.binary("and", position, 63)
    found = [f.load("i64", f.offset(words, f.add(first, i), "i64")) for i in range(4)]
    return [f.op("i64", f"call i64 @llvm.fshl.i64({a}, {b}, {shift})") for a, b in zip(found, found[1:], strict=False)]


def _bits_as_double(f: Function, x: Val, position: int) -> Val:
    """53 bits of an i128, from bit `position` on, as a number."""
    part = f.cast("trunc", f.binary("lshr", x, f.int(position, "i128")), "i64")
    return f.cast("sitofp", f.binary("and", part, 2**53 - 1), "double")


# ---------------------------------------------------------------------------------------------- functions


def _sine(f: Function, r: Val, rest: Val, exact: bool) -> Val:
    """sin(r + rest) for |r| <= pi / 4."""
    square = f.fmul(r, r)
    if not exact:
        return f.fma(f.fmul(r, square), v.polynomial(f, square, SIN_SINGLE), r)
    cube = f.fmul(r, square)
    tail = v.polynomial(f, square, SIN[1:])
    small = f.fmul(square, f.fsub(f.fmul(f.float(0.5, r.type), rest), f.fmul(cube, tail)))
    return f.fsub(r, f.fsub(f.fsub(small, rest), f.fmul(cube, f.float(SIN[0], r.type))))


def _cosine(f: Function, r: Val, rest: Val, exact: bool) -> Val:
    """cos(r + rest) for |r| <= pi / 4."""
    one, square = f.float(1.0, r.type), f.fmul(r, r)
    half = f.fmul(square, f.float(0.5, r.type))
    tail = f.fmul(f.fmul(square, square), v.polynomial(f, square, COS if exact else COS_SINGLE))
    if not exact:
        return f.fadd(f.fsub(one, half), tail)
    whole = f.fsub(one, half)
    return f.fadd(whole, f.fadd(f.fsub(f.fsub(one, whole), half), f.fsub(tail, f.fmul(r, rest))))


def _bit(f: Function, n: Val, which: int) -> Val:
    return f.compare("ne", f.binary("and", n, f.int(which, n.type)), f.int(0, n.type))


def _negated_where(f: Function, condition: Val, x: Val) -> Val:
    return f.select(condition, f.fneg(x), x)


def sin(f: Function, x: Val, exact: bool = True) -> Val:
    """The sine."""
    n, r, rest = reduced(f, x)
    result = f.select(_bit(f, n, 1), _cosine(f, r, rest, exact), _sine(f, r, rest, exact))
    result = _negated_where(f, _bit(f, n, 2), result)
    return f.select(f.fcompare("oeq", x, f.float(0.0, x.type)), x, result)  # -0


def cos(f: Function, x: Val, exact: bool = True) -> Val:
    """The cosine."""
    n, r, rest = reduced(f, x)
    result = f.select(_bit(f, n, 1), _sine(f, r, rest, exact), _cosine(f, r, rest, exact))
    return _negated_where(f, _bit(f, f.add(n, f.int(1, n.type)), 2), result)


def tan(f: Function, x: Val, exact: bool = True) -> Val:
    """The tangent, as sine over cosine; a quarter turn further it is -cosine over sine."""
    n, r, rest = reduced(f, x)
    s, c = _sine(f, r, rest, exact), _cosine(f, r, rest, exact)
    turned = _bit(f, n, 1)
    result = f.fdiv(f.select(turned, f.fneg(c), s), f.select(turned, s, c))
    return f.select(f.fcompare("oeq", x, f.float(0.0, x.type)), x, result)  # -0


def _odd_series(f: Function, x: Val, coefficients: tuple[float, ...]) -> Val:
    """x^3 P(x^2)."""
    square = f.fmul(x, x)
    return f.fmul(f.fmul(x, square), v.polynomial(f, square, coefficients))


def atan(f: Function, x: Val, exact: bool = True) -> Val:
    """The angle whose tangent is x."""
    a = f.intrinsic("fabs", x)
    return v.odd(f, x, _atan_of_quotient(f, a, f.float(1.0, x.type), exact))


def _atan_of_quotient(f: Function, y: Val, x: Val, exact: bool) -> Val:
    """atan(y / x) for y, x >= 0 not both 0 or infinite: an angle of 0, pi / 4 or pi / 2 plus one of at most pi / 8.

    The tangent of the latter is y / x, (y - x) / (y + x) or -x / y: one division, whichever it is."""
    zero = f.float(0.0, x.type)
    steep = f.fcompare("ogt", f.fmul(y, f.float(math.tan(math.pi / 8), x.type)), x)
    flat = f.fcompare("olt", y, f.fmul(x, f.float(math.tan(math.pi / 8), x.type)))
    above = f.select(steep, f.fneg(x), f.select(flat, y, f.fsub(y, x)))
    below = f.select(steep, y, f.select(flat, x, f.fadd(y, x)))
    t = f.fdiv(above, below)
    base, rest = (
        f.select(steep, f.float(2 * c, x.type), f.select(flat, zero, f.float(c, x.type)))
        for c in (HALF_PI_HIGH / 2, HALF_PI_LOW / 2)
    )
    series = _odd_series(f, t, ATAN if exact else ATAN_SINGLE)
    return f.fadd(base, f.fadd(t, f.fadd(series, rest)))


def atan2(f: Function, y: Val, x: Val, exact: bool = True) -> Val:
    """The angle of the point (x, y), from -pi to pi; signs of zeros tell the side."""
    ay, ax = f.intrinsic("fabs", y), f.intrinsic("fabs", x)
    zero, one = f.float(0.0, x.type), f.float(1.0, x.type)
    infinity = f.float(math.inf, x.type)
    if exact:  # far from overflow and underflow of what is multiplied or added
        largest = f.select(f.fcompare("ogt", ay, ax), ay, ax)
        large = f.fcompare("ogt", largest, f.float(2.0**1000, x.type))
        small = f.fcompare("olt", largest, f.float(2.0**-900, x.type))
        scale = f.select(large, f.float(2.0**-100, x.type), f.select(small, f.float(2.0**150, x.type), one))
        sy, sx = f.fmul(ay, scale), f.fmul(ax, scale)
    else:
        sy, sx = ay, ax
    diagonal = f.fcompare("oeq", ay, ax)  # of zeros and infinities too
    nothing = v.both(f, diagonal, f.fcompare("oeq", ax, zero))
    diagonal = v.both(f, diagonal, f.fcompare("oeq", ax, infinity))
    sy = f.select(diagonal, one, f.select(nothing, zero, sy))
    sx = f.select(v.either(f, diagonal, nothing), one, sx)
    angle = _atan_of_quotient(f, sy, sx, exact)
    bits = f.bitcast(x, "i64")
    left = f.compare("slt", bits, f.int(0, bits.type))
    turned = f.fadd(f.fsub(f.float(math.pi, x.type), angle), f.float(2 * HALF_PI_LOW, x.type))
    return v.odd(f, y, f.select(left, turned, angle))


def _half_angle(f: Function, a: Val) -> Val:
    """sqrt((1 - a) / 2), the sine of half the angle whose cosine is a."""
    return f.intrinsic("sqrt", f.fmul(f.fsub(f.float(1.0, a.type), a), f.float(0.5, a.type)))


def _half_angle_rest(f: Function, a: Val, root: Val) -> Val:
    """The rounding error of that root."""
    square, error = v.two_product(f, root, root)
    below = f.fmul(f.fsub(f.float(1.0, a.type), a), f.float(0.5, a.type))
    rest = f.fdiv(f.fsub(f.fsub(below, square), error), f.fadd(root, root))
    return f.select(f.fcompare("ogt", root, f.float(0.0, a.type)), rest, f.float(0.0, a.type))


def asin(f: Function, x: Val, exact: bool = True) -> Val:
    """A series up to 1/2; beyond, pi / 2 - 2 asin(sqrt((1 - x) / 2)). Outside [-1, 1] the root gives NaN."""
    a = f.intrinsic("fabs", x)
    far = f.fcompare("ogt", a, f.float(0.5, x.type))
    root = _half_angle(f, a)
    t = f.select(far, root, a)
    series = _odd_series(f, t, ASIN if exact else ASIN_SINGLE)
    if exact:
        series = f.fadd(series, f.select(far, _half_angle_rest(f, a, root), f.float(0.0, x.type)))
    near = f.fadd(t, series)
    # pi / 2 - 2 t is exact to the last bit of pi / 4 or so; the small terms come last
    high, low = v.fast_two_sum(f, f.float(HALF_PI_HIGH, x.type), f.fmul(t, f.float(-2.0, x.type)))
    small = f.fsub(f.fadd(low, f.float(HALF_PI_LOW, x.type)), f.fadd(series, series))
    return v.odd(f, x, f.select(far, f.fadd(high, small), near))


def acos(f: Function, x: Val, exact: bool = True) -> Val:
    """pi / 2 - asin(x) up to 1/2 on either side; 2 asin(sqrt((1 - x) / 2)) beyond, on the left pi minus that."""
    a, zero = f.intrinsic("fabs", x), f.float(0.0, x.type)
    far = f.fcompare("ogt", a, f.float(0.5, x.type))
    root = _half_angle(f, a)
    t = f.select(far, root, x)
    series = _odd_series(f, t, ASIN if exact else ASIN_SINGLE)
    if exact:
        series = f.fadd(series, f.select(far, _half_angle_rest(f, a, root), zero))
    turn = f.float(HALF_PI_HIGH, x.type)
    rest = f.float(HALF_PI_LOW, x.type)
    near = f.fsub(turn, f.fsub(t, f.fsub(rest, series)))
    half = f.fadd(t, series)
    left = f.fsub(turn, f.fsub(f.fadd(t, series), rest))
    doubled = f.select(f.fcompare("olt", x, zero), left, half)
    return f.select(far, f.fadd(doubled, doubled), near)
