"""The scalar primitives in LLVM: what bodies of pointwise operations are written in, on scalars and vectors alike.

Each has one meaning, that of the reference builder (`_backends/reference/builder.py`). Integers wrap around; integer
divisions can fail when they run and stay with the reference. What has no vector code of its own here is computed lane by
lane by the C library, in double precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from flambeau._backends.cpu import vectormath
from flambeau._backends.cpu.casts import FLOATS
from flambeau._backends.cpu.emit import Function, Val, like

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


def maximum(f: Function, a: Val, b: Val) -> Val:
    """The larger; NaN if either is NaN."""
    larger = f.select(f.fcompare("ogt", a, b), a, b)
    return f.select(vectormath.is_nan(f, a), a, larger)


def minimum(f: Function, a: Val, b: Val) -> Val:
    """The smaller; NaN if either is NaN."""
    smaller = f.select(f.fcompare("olt", a, b), a, b)
    return f.select(vectormath.is_nan(f, a), a, smaller)


def _fmax(f: Function, a: Val, b: Val) -> Val:
    """The larger; of a number and NaN the number."""
    larger = f.select(f.fcompare("ogt", a, b), a, b)
    return f.select(vectormath.is_nan(f, b), a, larger)


def _fmin(f: Function, a: Val, b: Val) -> Val:
    smaller = f.select(f.fcompare("olt", a, b), a, b)
    return f.select(vectormath.is_nan(f, b), a, smaller)


def _reciprocal(f: Function, a: Val) -> Val:
    return f.fdiv(f.float(1.0, a.type), a)


def _rsqrt(f: Function, a: Val) -> Val:
    return f.fdiv(f.float(1.0, a.type), f.intrinsic("sqrt", a))


def _sign(f: Function, a: Val) -> Val:
    """-1, 0 or 1; NaN stays."""
    zero, one = f.float(0.0, a.type), f.float(1.0, a.type)
    positive = f.select(f.fcompare("ogt", a, zero), one, zero)
    signed = f.select(f.fcompare("olt", a, zero), f.fneg(one), positive)
    return f.select(vectormath.is_nan(f, a), a, signed)


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


def _remainder(f: Function, a: Val, b: Val) -> Val:
    """a - b floor(a / b): the rest of the exact division, with the sign of b."""
    zero = f.float(0.0, a.type)
    rest = f.binary("frem", a, b)
    other_sign = f.binary("xor", f.fcompare("olt", rest, zero), f.fcompare("olt", b, zero))
    mend = f.binary("and", f.fcompare("une", rest, zero), other_sign)
    return f.select(mend, f.fadd(rest, b), rest)


def _floor_divide(f: Function, a: Val, b: Val) -> Val:
    """The exact quotient rounded down, as NumPy computes it; by zero a / b."""
    zero, one = f.float(0.0, a.type), f.float(1.0, a.type)
    rest = f.binary("frem", a, b)
    quotient = f.fdiv(f.fsub(a, rest), b)
    other_sign = f.binary("xor", f.fcompare("olt", rest, zero), f.fcompare("olt", b, zero))
    mend = f.binary("and", f.fcompare("une", rest, zero), other_sign)
    quotient = f.select(mend, f.fsub(quotient, one), quotient)
    low = f.intrinsic("floor", quotient)
    far = f.fcompare("ogt", f.fsub(quotient, low), f.float(0.5, a.type))
    low = f.select(far, f.fadd(low, one), low)
    plain = f.fdiv(a, b)
    low = f.select(f.fcompare("oeq", quotient, zero), f.intrinsic("copysign", zero, plain), low)
    return f.select(f.fcompare("oeq", b, zero), plain, low)


def _logaddexp(f: Function, a: Val, b: Val) -> Val:
    """log(e^a + e^b) = max + log(1 + e^-|a - b|)."""
    same = f.fcompare("oeq", a, b)
    distance = f.select(same, f.float(0.0, a.type), f.fneg(f.intrinsic("fabs", f.fsub(a, b))))
    table = FLOAT32 if a.element == "float" else FLOAT64
    return f.fadd(maximum(f, a, b), table["log1p"](f, table["exp"](f, distance)))


def _libm(name: str, count: int = 1) -> Body:
    """A function of the C library, in double precision, lane by lane."""

    def body(f: Function, *args: Val) -> Val:
        single = args[0].element == "float"
        wide = [f.cast("fpext", a, "double") if single else a for a in args]
        if not args[0].lanes:
            result = f.call("double", name, wide)
        else:
            result = Val("poison", like(args[0].type, "double"))
            for i in range(args[0].lanes):
                result = f.insert(result, f.call("double", name, [f.extract(a, i) for a in wide]), i)
        return f.cast("fptrunc", result, "float") if single else result

    return body


def _sigmoid_double(f: Function, x: Val) -> Val:
    one = f.float(1.0, x.type)
    return f.fdiv(one, f.fadd(one, FLOAT64["exp"](f, f.fneg(x))))


FLOAT: dict[str, Body] = {
    "add": _binary("fadd"), "sub": _binary("fsub"), "mul": _binary("fmul"), "truediv": _binary("fdiv"),
    "neg": lambda f, a: f.fneg(a), "abs": _intrinsic("fabs"), "sqrt": _intrinsic("sqrt"), "rsqrt": _rsqrt,
    "reciprocal": _reciprocal, "floor": _intrinsic("floor"), "ceil": _intrinsic("ceil"),
    "trunc": _intrinsic("trunc"), "round": _intrinsic("rint"), "copysign": _intrinsic("copysign"),
    "maximum": maximum, "minimum": minimum, "fmax": _fmax, "fmin": _fmin, "sgn": _sign, "sign": _sign,
    "lt": _fcompare("olt"), "le": _fcompare("ole"), "gt": _fcompare("ogt"), "ge": _fcompare("oge"),
    "eq": _fcompare("oeq"), "ne": _fcompare("une"), "isnan": vectormath.is_nan, "isinf": _isinf,
    "isfinite": _isfinite, "signbit": _signbit, "trunc_divide": _trunc_divide, "remainder": _remainder,
    "floor_divide": _floor_divide, "fmod": _binary("frem"), "logaddexp": _logaddexp,
    "logical_not": lambda f, a: f.fcompare("oeq", a, f.float(0.0, a.type)),
    "logical_and": _logical("and", _truthy), "logical_or": _logical("or", _truthy),
    "logical_xor": _logical("xor", _truthy),
    "sin": _libm("sin"), "cos": _libm("cos"), "tan": _libm("tan"), "asin": _libm("asin"), "acos": _libm("acos"),
    "atan": _libm("atan"), "atan2": _libm("atan2", 2), "sinh": _libm("sinh"), "cosh": _libm("cosh"),
    "asinh": _libm("asinh"), "acosh": _libm("acosh"), "atanh": _libm("atanh"), "erfc": _libm("erfc"),
    "pow": _libm("pow", 2), "hypot": _libm("hypot", 2),
}  # fmt: skip

FLOAT32: dict[str, Body] = FLOAT | {
    "exp": vectormath.exp, "log": vectormath.log, "tanh": vectormath.tanh, "erf": vectormath.erf,
    "sigmoid": vectormath.sigmoid, "expm1": vectormath.expm1, "log1p": vectormath.log1p, "log2": vectormath.log2,
    "log10": vectormath.log10, "exp2": vectormath.exp2,
}  # fmt: skip

FLOAT64: dict[str, Body] = FLOAT | {
    name: _libm(name) for name in ("exp", "log", "tanh", "erf", "expm1", "log1p", "log2", "log10", "exp2")
}
FLOAT64["sigmoid"] = _sigmoid_double

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


INTEGER: dict[str, Body] = {
    "add": _binary("add"), "sub": _binary("sub"), "mul": _binary("mul"), "neg": lambda f, a: f.sub(f.int(0, a.type), a),
    "and_": _binary("and"), "or_": _binary("or"), "xor": _binary("xor"), "invert": _negated,
    "bitwise_and": _binary("and"), "bitwise_or": _binary("or"), "bitwise_xor": _binary("xor"),
    "eq": _compare("eq"), "ne": _compare("ne"),
    "logical_not": lambda f, a: f.compare("eq", a, f.int(0, a.type)), "logical_and": _logical("and", _nonzero),
    "logical_or": _logical("or", _nonzero), "logical_xor": _logical("xor", _nonzero),
}  # fmt: skip

SIGNED: dict[str, Body] = INTEGER | {
    "abs": _integer_abs, "sgn": _integer_sign, "sign": _integer_sign, "maximum": _chosen("sgt"),
    "minimum": _chosen("slt"), "fmax": _chosen("sgt"), "fmin": _chosen("slt"), "lt": _compare("slt"),
    "le": _compare("sle"), "gt": _compare("sgt"), "ge": _compare("sge"),
}  # fmt: skip

UNSIGNED: dict[str, Body] = INTEGER | {
    "abs": lambda f, a: a, "maximum": _chosen("ugt"), "minimum": _chosen("ult"), "lt": _compare("ult"),
    "le": _compare("ule"), "gt": _compare("ugt"), "ge": _compare("uge"),
}  # fmt: skip

BOOLEAN: dict[str, Body] = {
    "add": _binary("or"), "mul": _binary("and"), "and_": _binary("and"), "or_": _binary("or"), "xor": _binary("xor"),
    "invert": _negated, "logical_not": _negated, "logical_and": _binary("and"), "logical_or": _binary("or"),
    "logical_xor": _binary("xor"), "maximum": _binary("or"), "minimum": _binary("and"), "eq": _compare("eq"),
    "ne": _compare("ne"), "lt": _compare("ult"), "le": _compare("ule"), "gt": _compare("ugt"), "ge": _compare("uge"),
    "bitwise_and": _binary("and"), "bitwise_or": _binary("or"), "bitwise_xor": _binary("xor"),
}  # fmt: skip
