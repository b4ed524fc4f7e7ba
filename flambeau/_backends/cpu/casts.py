"""Dtypes in memory and in registers, and conversions between them.

In registers a bool is an `i1`; float16 and bfloat16 are their 16 bits, since nothing is computed in them.
"""

from __future__ import annotations

from flambeau._backends.cpu.emit import Function, Val, like

MEMORY = {"float32": "float", "float64": "double", "float16": "i16", "bfloat16": "i16", "int64": "i64", "int32": "i32",
          "int16": "i16", "int8": "i8", "uint8": "i8", "bool": "i8"}  # fmt: skip
REGISTER = MEMORY | {"bool": "i1"}
FLOATS = ("float32", "float64")
HALVES = ("float16", "bfloat16")
UNSIGNED = ("uint8", "bool")


def to_register(f: Function, value: Val, dtype: str) -> Val:
    """What was loaded, as it is computed with."""
    return f.compare("ne", value, f.int(0, value.type)) if dtype == "bool" else value


def to_memory(f: Function, value: Val, dtype: str) -> Val:
    """A value as it is stored."""
    return f.cast("zext", value, "i8") if dtype == "bool" else value


def cast(f: Function, value: Val, source: str, target: str) -> Val:
    """A register value converted to another dtype. Floats become small integers by way of int64, so that they wrap
    around; what does not fit into int64 has no defined result. Halves round to nearest, ties to even."""
    if source == target:
        return value
    if source in HALVES:
        wide = from_float16(f, value) if source == "float16" else from_bfloat16(f, value)
        return cast(f, wide, "float32", target)
    if target in HALVES:
        single = cast(f, value, source, "float32")
        return to_float16(f, single) if target == "float16" else to_bfloat16(f, single)
    if target == "bool":
        if source in FLOATS:
            return f.fcompare("une", value, f.float(0.0, value.type))
        return f.compare("ne", value, f.int(0, value.type))
    register = REGISTER[target]
    if source in FLOATS:
        if target in FLOATS:
            return f.cast("fpext" if target == "float64" else "fptrunc", value, register)
        wide = f.cast("fptosi", value, "i64")
        return wide if target == "int64" else f.cast("trunc", wide, register)
    if target in FLOATS:
        return f.cast("uitofp" if source in UNSIGNED else "sitofp", value, register)
    return _resize(f, value, register, source in UNSIGNED)


def _resize(f: Function, value: Val, element: str, unsigned: bool) -> Val:
    """An integer with another number of bits."""
    have, want = int(value.element[1:]), int(element[1:])
    if have == want:
        return value
    return f.cast("trunc" if have > want else "zext" if unsigned else "sext", value, element)


def from_bfloat16(f: Function, bits: Val) -> Val:
    """The float32 whose upper half these bits are."""
    wide = f.cast("zext", bits, "i32")
    return f.bitcast(f.binary("shl", wide, 16), "float")


def to_bfloat16(f: Function, x: Val) -> Val:
    """The upper half of a float32, rounded; NaN stays NaN."""
    bits = f.bitcast(x, "i32")
    odd = f.binary("and", f.binary("lshr", bits, 16), 1)
    rounded = f.add(f.add(bits, f.int(0x7FFF, bits.type)), odd)
    quiet = f.binary("or", bits, f.int(0x400000, bits.type))
    chosen = f.select(f.fcompare("uno", x, x), quiet, rounded)
    return f.cast("trunc", f.binary("lshr", chosen, 16), "i16")


def from_float16(f: Function, bits: Val) -> Val:
    """The float32 of a half; by its bits where the target has no instruction for it."""
    if f.target.fma:  # every x86-64 with FMA has F16C, every 64-bit ARM converts halves
        return f.cast("fpext", f.bitcast(bits, "half"), "float")
    wide = f.cast("zext", bits, "i32")
    shifted = f.binary("shl", f.binary("and", wide, 0x7FFF), 13)
    # As bits of a float32 the exponent is too small by 112; a product mends that for denormals too.
    scaled = f.fmul(f.bitcast(shifted, "float"), f.float(2.0**112, like(bits.type, "float")))
    special = f.compare("uge", f.binary("and", wide, 0x7FFF), f.int(0x7C00, wide.type))
    infinite = f.binary("or", f.bitcast(scaled, "i32"), f.int(0x7F800000, wide.type))
    magnitude = f.select(special, infinite, f.bitcast(scaled, "i32"))
    sign = f.binary("shl", f.binary("and", wide, 0x8000), 16)
    return f.bitcast(f.binary("or", magnitude, sign), "float")


def to_float16(f: Function, x: Val) -> Val:
    """The half nearest to a float32."""
    if f.target.fma:
        return f.bitcast(f.cast("fptrunc", x, "half"), "i16")
    bits = f.bitcast(x, "i32")
    sign = f.binary("and", f.binary("lshr", bits, 16), 0x8000)
    magnitude = f.binary("and", bits, 0x7FFFFFFF)
    # normal results: exponent moved by 112, then rounded to 10 bits of fraction
    odd = f.binary("and", f.binary("lshr", magnitude, 13), 1)
    moved = f.sub(f.add(f.add(magnitude, f.int(0xFFF, bits.type)), odd), f.int(112 << 23, bits.type))
    normal = f.binary("lshr", moved, 13)
    # denormal results: adding 0.5 makes the hardware round at the right bit
    half = f.float(0.5, x.type)
    added = f.bitcast(f.fadd(f.bitcast(magnitude, "float"), half), "i32")
    denormal = f.sub(added, f.bitcast(half, "i32"))
    result = f.select(f.compare("ult", magnitude, f.int(113 << 23, bits.type)), denormal, normal)
    overflow = f.compare("uge", magnitude, f.int(0x477FF000, bits.type))
    result = f.select(overflow, f.int(0x7C00, bits.type), result)
    result = f.select(f.compare("ugt", magnitude, f.int(0x7F800000, bits.type)), f.int(0x7E00, bits.type), result)
    return f.cast("trunc", f.binary("or", result, sign), "i16")
