"""The scalar primitives in LLVM: what bodies of pointwise operations are written in, on scalars and vectors alike.

Each has one meaning, that of the reference builder (`_backends/reference/builder.py`). Integers wrap around; what they
are divided by is not zero: whoever builds a graph has that checked. The functions of analysis are in `vectormath` and
the files named after it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from flambeau._backends.cpu import vectormath as v
from flambeau._backends.cpu import vectormath_erf as erf
from flambeau._backends.cpu import vectormath_exp as exp
from flambeau._backends.cpu import vectormath_log as log
from flambeau._backends.cpu import vectormath_power as power
from flambeau._backends.cpu import vectormath_single as single
from flambeau._backends.cpu import vectormath_trigonometry as trigonometry
from flambeau._backends.cpu.casts import FLOATS
from flambeau._backends.cpu.emit import Function, Val

INTEGERS = ("int64", "int32", "int16", "int8", "uint8")
Body = Callable[..., Val]


def supported(name: str, dtype: str) -> bool:
    """Is there code for the primitive in this dtype?"""
    if name in ("cast", "copy", "where"):
        return dtype in FLOATS or dtype in INTEGERS or dtype == "bool"
    return name in _table(dtype) or (name == "checked" and dtype == "int64")


def primitive(f: Function, name: str, dtype: str, args: Sequence[Val]) -> Val:
    """Emit one primitive that computes in `dtype`; predicates give i1."""
    if name == "where":
        return f.select(*args)
    return _table(dtype)[name](f, *args)


def _table(dtype: str) -> dict[str, Body]:
    if dtype == "float32":
        return FLOAT32
    if dtype == "float64":
        return FLOAT64
    if dtype == "uint8":
        return UNSIGNED
    return SIGNED if dtype in INTEGERS else BOOLEAN if dtype == "bool" else {}


# ---------------------------------------------------------------------------------------------- floats


def _binary(instruction: str) -> Body:
    return lambda f, a, b: f.binary(instruction, a, b)


def _fcompare(predicate: str) -> Body:
    return lambda f, a, b: f.fcompare(predicate, a, b)


def _intrinsic(name: str) -> Body:
    return lambda f, *args: f.intrinsic(name, *args)


def _is_number(x: Val) -> bool:
    """Is it a literal that is not NaN?"""
    return x.name[0] != "%" and "0x7FF8" not in x.name


def maximum(f: Function, a: Val, b: Val) -> Val:
    """The larger; NaN if either is NaN."""
    if _is_number(b):
        return f.select(f.fcompare("olt", a, b), b, a)  # one instruction, as NaN can only come from the other
    larger = f.select(f.fcompare("ogt", a, b), a, b)
    return f.select(v.is_nan(f, a), a, larger)


def minimum(f: Function, a: Val, b: Val) -> Val:
    """The smaller; NaN if either is NaN."""
    if _is_number(b):
        return f.select(f.fcompare("ogt", a, b), b, a)
    smaller = f.select(f.fcompare("olt", a, b), a, b)
    return f.select(v.is_nan(f, a), a, smaller)


def _fmax(f: Function, a: Val, b: Val) -> Val:
    """The larger; of a number and NaN the number, and the first of equals (0 and -0)."""
    larger = f.select(f.fcompare("oge", a, b), a, b)
    return f.select(v.is_nan(f, b), a, larger)


def _fmin(f: Function, a: Val, b: Val) -> Val:
    smaller = f.select(f.fcompare("ole", a, b), a, b)
    return f.select(v.is_nan(f, b), a, smaller)


def _reciprocal(f: Function, a: Val) -> Val:
    return f.fdiv(f.float(1.0, a.type), a)


def _rsqrt(f: Function, a: Val) -> Val:
    return f.fdiv(f.float(1.0, a.type), f.intrinsic("sqrt", a))


def _sign(f: Function, a: Val) -> Val:
    """-1, 0 or 1; 0 of NaN."""
    zero, one = f.float(0.0, a.type), f.float(1.0, a.type)
    positive = f.select(f.fcompare("ogt", a, zero), one, zero)
    return f.select(f.fcompare("olt", a, zero), f.fneg(one), positive)


def _truthy(f: Function, a: Val) -> Val:
    return f.fcompare("une", a, f.float(0.0, a.type))


def _logical(instruction: str, truthy: Callable[[Function, Val], Val]) -> Body:
    return lambda f, a, b: f.binary(instruction, truthy(f, a), truthy(f, b))


def _negated(f: Function, a: Val) -> Val:
    return f.binary("xor", a, f.int(-1, a.type))


def _isinf(f: Function, a: Val) -> Val:
    return f.fcompare("oeq", f.intrinsic("fabs", a), f.float(math.inf, a.type))


def _isfinite(f: Function, a: Val) -> Val:
    return f.fcompare("olt", f.intrinsic("fabs", a), f.float(math.inf, a.type))


def _signbit(f: Function, a: Val) -> Val:
    bits = f.bitcast(a, "i32" if a.element == "float" else "i64")
    return f.compare("slt", bits, f.int(0, bits.type))


def _trunc_divide(f: Function, a: Val, b: Val) -> Val:
    return f.intrinsic("trunc", f.fdiv(a, b))


def _fmod(f: Function, a: Val, b: Val) -> Val:
    """a - b trunc(a / b): the rest of the exact division, with the sign of a."""
    if a.element == "double":
        return f.binary("frem", a, b)  # the C library's, lane by lane
    return v.narrowed(f, power.fmod(f, v.widened(f, a), v.widened(f, b)))


def _remainder(f: Function, a: Val, b: Val) -> Val:
    """a - b floor(a / b): the rest of the exact division, with the sign of b."""
    rest = _fmod(f, a, b)
    return f.select(_signs_differ(f, rest, b), f.fadd(rest, b), rest)


def _signs_differ(f: Function, rest: Val, b: Val) -> Val:
    """Is there a rest, of the other sign than b?"""
    zero = f.float(0.0, b.type)
    other = f.binary("xor", f.fcompare("olt", rest, zero), f.fcompare("olt", b, zero))
    return f.binary("and", f.fcompare("une", rest, zero), other)


def _floor_divide(f: Function, a: Val, b: Val) -> Val:
    """The exact quotient rounded down, as NumPy computes it; by zero a / b."""
    zero, one = f.float(0.0, a.type), f.float(1.0, a.type)
    rest = _fmod(f, a, b)
    quotient = f.fdiv(f.fsub(a, rest), b)
    quotient = f.select(_signs_differ(f, rest, b), f.fsub(quotient, one), quotient)
    low = f.intrinsic("floor", quotient)
    far = f.fcompare("ogt", f.fsub(quotient, low), f.float(0.5, a.type))
    low = f.select(far, f.fadd(low, one), low)
    plain = f.fdiv(a, b)
    low = f.select(f.fcompare("oeq", quotient, zero), f.copysign(zero, plain), low)
    return f.select(f.fcompare("oeq", b, zero), plain, low)


FLOAT: dict[str, Body] = {
    "add": _binary("fadd"), "sub": _binary("fsub"), "mul": _binary("fmul"), "truediv": _binary("fdiv"),
    "neg": lambda f, a: f.fneg(a), "abs": _intrinsic("fabs"), "sqrt": _intrinsic("sqrt"), "rsqrt": _rsqrt,
    "reciprocal": _reciprocal, "floor": _intrinsic("floor"), "ceil": _intrinsic("ceil"),
    "trunc": _intrinsic("trunc"), "round": _intrinsic("rint"), "copysign": lambda f, a, b: f.copysign(a, b),
    "maximum": maximum, "minimum": minimum, "fmax": _fmax, "fmin": _fmin, "sgn": _sign,
    "lt": _fcompare("olt"), "le": _fcompare("ole"), "gt": _fcompare("ogt"), "ge": _fcompare("oge"),
    "eq": _fcompare("oeq"), "ne": _fcompare("une"), "isnan": v.is_nan, "isinf": _isinf,
    "isfinite": _isfinite, "signbit": _signbit, "trunc_divide": _trunc_divide, "remainder": _remainder,
    "floor_divide": _floor_divide, "fmod": _fmod, 
    "logical_not": lambda f, a: f.fcompare("oeq", a, f.float(0.0, a.type)),
    "logical_and": _logical("and", _truthy), "logical_or": _logical("or", _truthy),
    "logical_xor": _logical("xor", _truthy),
}  # fmt: skip


def _power(body: Body) -> Body:
    """x to the power of y, by `body` unless y is a constant for which the reference has something faster."""

    def power(f: Function, x: Val, y: Val) -> Val:
        for exponent, shortcut in SHORTCUTS.items():
            if y == f.float(exponent, y.type):
                return shortcut(f, x)
        return body(f, x, y)

    return power


SHORTCUTS: dict[float, Body] = {
    0.5: _intrinsic("sqrt"), 1.0: lambda f, x: x, 2.0: lambda f, x: f.fmul(x, x),
    3.0: lambda f, x: f.fmul(f.fmul(x, x), x), -1.0: _reciprocal, -2.0: lambda f, x: _reciprocal(f, f.fmul(x, x)),
}  # fmt: skip

# Functions of doubles; in float32 they go through doubles, but for those that have code of their own there.
FUNCTIONS: dict[str, Body] = {
    "exp": exp.exp, "exp2": exp.exp2, "expm1": exp.expm1, "tanh": exp.tanh, "sinh": exp.sinh, "cosh": exp.cosh,
    "sigmoid": exp.sigmoid, "log": log.log, "log2": log.log2, "log10": log.log10, "log1p": log.log1p,
    "logaddexp": log.logaddexp, "logaddexp2": log.logaddexp2, "asinh": log.asinh, "acosh": log.acosh,
    "atanh": log.atanh, "sin": trigonometry.sin, "cos": trigonometry.cos, "tan": trigonometry.tan,
    "asin": trigonometry.asin, "acos": trigonometry.acos, "atan": trigonometry.atan, "atan2": trigonometry.atan2,
    "erf": erf.erf, "erfc": erf.erfc, "erfinv": erf.erfinv, "pow": power.pow, "hypot": power.hypot,
}  # fmt: skip


def _single(fused: Body, otherwise: Body) -> Body:
    """Code in float32 where there is fused multiply-add, by way of doubles elsewhere."""
    through = v.through_doubles(otherwise)
    return lambda f, x: (fused if f.target.fma else through)(f, x)


FLOAT32: dict[str, Body] = FLOAT | {name: v.through_doubles(body) for name, body in FUNCTIONS.items()}
FLOAT32 |= {
    name: _single(getattr(single, name), FUNCTIONS[name])
    for name in ("exp", "exp2", "sigmoid", "tanh", "erf", "log", "log1p", "log2", "log10")
}
FLOAT64: dict[str, Body] = FLOAT | FUNCTIONS
for _floats in (FLOAT32, FLOAT64):
    _floats["pow"] = _power(_floats["pow"])

# ---------------------------------------------------------------------------------------------- integers and booleans


def _compare(predicate: str) -> Body:
    return lambda f, a, b: f.compare(predicate, a, b)


def _nonzero(f: Function, a: Val) -> Val:
    return f.compare("ne", a, f.int(0, a.type))


def _chosen(predicate: str) -> Body:
    """The operand that compares so with the other."""
    return lambda f, a, b: f.select(f.compare(predicate, a, b), a, b)


def _integer_abs(f: Function, a: Val) -> Val:
    return f.select(f.compare("slt", a, f.int(0, a.type)), f.sub(f.int(0, a.type), a), a)


def _integer_sign(f: Function, a: Val) -> Val:
    zero = f.int(0, a.type)
    positive = f.select(f.compare("sgt", a, zero), f.int(1, a.type), zero)
    return f.select(f.compare("slt", a, zero), f.int(-1, a.type), positive)


def _integer_bits(f: Function, a: Val) -> Val:
    return f.int(int(a.element[1:]), a.type)


def _divisor(f: Function, b: Val) -> Val:
    """What may be divided by: the processor must never see 0, which a check has told of, nor the smallest integer
    divided by -1."""
    one, trouble = f.int(1, b.type), f.compare("eq", b, f.int(0, b.type))
    return f.select(f.binary("or", trouble, f.compare("eq", b, f.int(-1, b.type))), one, b)


def _signed_quotient(f: Function, a: Val, b: Val) -> Val:
    """a / b rounded towards zero."""
    quotient = f.binary("sdiv", a, _divisor(f, b))
    return f.select(f.compare("eq", b, f.int(-1, b.type)), f.sub(f.int(0, a.type), a), quotient)


def _signed_rest(f: Function, a: Val, b: Val) -> Val:
    """What that leaves, with the sign of a."""
    return f.binary("srem", a, _divisor(f, b))


def _rounds_up(f: Function, rest: Val, b: Val) -> Val:
    """Is a quotient with this rest rounded up when it is rounded towards zero?"""
    zero = f.int(0, b.type)
    differ = f.compare("slt", f.binary("xor", rest, b), zero)
    return f.binary("and", f.compare("ne", rest, zero), differ)


def _signed_floor(f: Function, a: Val, b: Val) -> Val:
    quotient = _signed_quotient(f, a, b)
    up = _rounds_up(f, _signed_rest(f, a, b), b)
    return f.select(up, f.sub(quotient, f.int(1, a.type)), quotient)


def _signed_remainder(f: Function, a: Val, b: Val) -> Val:
    rest = _signed_rest(f, a, b)
    return f.select(_rounds_up(f, rest, b), f.add(rest, b), rest)


def _unsigned_division(instruction: str) -> Body:
    def divide(f: Function, a: Val, b: Val) -> Val:
        zero = f.int(0, b.type)
        return f.binary(instruction, a, f.select(f.compare("eq", b, zero), f.int(1, b.type), b))

    return divide


def _shift_left(f: Function, a: Val, b: Val) -> Val:
    """The bits moved left; 0 if further than there are bits, or by a negative number."""
    inside = f.compare("ult", b, _integer_bits(f, a))
    return f.select(inside, f.binary("shl", a, b), f.int(0, a.type))


def _shift_right(f: Function, a: Val, b: Val) -> Val:
    """The bits moved right, the sign behind them; the sign alone if further than there are bits, or by a negative
    number."""
    most = f.int(int(a.element[1:]) - 1, a.type)
    return f.binary("ashr", a, f.select(f.compare("ult", b, most), b, most))


def _unsigned_shift_right(f: Function, a: Val, b: Val) -> Val:
    """The bits moved right; 0 if further than there are bits."""
    inside = f.compare("ult", b, _integer_bits(f, a))
    return f.select(inside, f.binary("lshr", a, b), f.int(0, a.type))


def _unsigned_pow(f: Function, x: Val, y: Val) -> Val:
    """x to the power of y >= 0, by repeated squaring, bit by bit of y."""
    zero, one = f.int(0, x.type), f.int(1, x.type)
    with f.loop(0, int(x.element[1:]), carried=(one, x, y), guard=False) as bit:
        result, square, left = bit.carried
        odd = f.compare("ne", f.binary("and", left, one), zero)
        bit.next += [f.select(odd, f.mul(result, square), result), f.mul(square, square), f.binary("lshr", left, one)]
    return bit.results[0]


def _signed_pow(f: Function, x: Val, y: Val) -> Val:
    """The same; a negative power is 0 but for 1 and -1."""
    zero, one, minus = (f.int(c, x.type) for c in (0, 1, -1))
    negative = f.compare("slt", y, zero)
    power = _unsigned_pow(f, x, f.select(negative, zero, y))
    odd = f.compare("ne", f.binary("and", y, one), zero)
    turned = f.select(f.compare("eq", x, minus), f.select(odd, minus, one), zero)
    return f.select(negative, f.select(f.compare("eq", x, one), one, turned), power)


INTEGER: dict[str, Body] = {
    "add": _binary("add"), "sub": _binary("sub"), "mul": _binary("mul"), "neg": lambda f, a: f.sub(f.int(0, a.type), a),
    "and_": _binary("and"), "or_": _binary("or"), "xor": _binary("xor"), "invert": _negated,
    "bitwise_and": _binary("and"), "bitwise_or": _binary("or"), "bitwise_xor": _binary("xor"),
    "eq": _compare("eq"), "ne": _compare("ne"), "shift_left": _shift_left,
    "logical_not": lambda f, a: f.compare("eq", a, f.int(0, a.type)), "logical_and": _logical("and", _nonzero),
    "logical_or": _logical("or", _nonzero), "logical_xor": _logical("xor", _nonzero),
}  # fmt: skip

SIGNED: dict[str, Body] = INTEGER | {
    "abs": _integer_abs, "sgn": _integer_sign, "maximum": _chosen("sgt"),
    "minimum": _chosen("slt"), "fmax": _chosen("sgt"), "fmin": _chosen("slt"), "lt": _compare("slt"),
    "le": _compare("sle"), "gt": _compare("sgt"), "ge": _compare("sge"), "pow": _signed_pow,
    "shift_right": _shift_right, "trunc_divide": _signed_quotient, "floor_divide": _signed_floor,
    "fmod": _signed_rest, "remainder": _signed_remainder,
}  # fmt: skip

UNSIGNED: dict[str, Body] = INTEGER | {
    "abs": lambda f, a: a, "maximum": _chosen("ugt"), "minimum": _chosen("ult"), "fmax": _chosen("ugt"),
    "fmin": _chosen("ult"), "lt": _compare("ult"), "le": _compare("ule"), "gt": _compare("ugt"),
    "ge": _compare("uge"), "sgn": lambda f, a: f.cast("zext", _nonzero(f, a), "i8"), "pow": _unsigned_pow,
    "shift_right": _unsigned_shift_right, "trunc_divide": _unsigned_division("udiv"),
    "floor_divide": _unsigned_division("udiv"), "fmod": _unsigned_division("urem"),
    "remainder": _unsigned_division("urem"),
}  # fmt: skip

BOOLEAN: dict[str, Body] = {
    "add": _binary("or"), "mul": _binary("and"), "and_": _binary("and"), "or_": _binary("or"), "xor": _binary("xor"),
    "sgn": lambda f, a: a, "abs": lambda f, a: a, "pow": lambda f, a, b: f.binary("or", a, _negated(f, b)),
    "fmax": _binary("or"), "fmin": _binary("and"),
    "invert": _negated, "logical_not": _negated, "logical_and": _binary("and"), "logical_or": _binary("or"),
    "logical_xor": _binary("xor"), "maximum": _binary("or"), "minimum": _binary("and"), "eq": _compare("eq"),
    "ne": _compare("ne"), "lt": _compare("ult"), "le": _compare("ule"), "gt": _compare("ugt"), "ge": _compare("uge"),
    "bitwise_and": _binary("and"), "bitwise_or": _binary("or"), "bitwise_xor": _binary("xor"),
}  # fmt: skip
