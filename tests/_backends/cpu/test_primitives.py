"""Scalar primitives and casts as native code against the reference builder and NumPy."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from flambeau._backends.cpu.casts import MEMORY, cast
from flambeau._backends.cpu.primitives import BOOLEAN, FLOAT, FUNCTIONS, SIGNED, UNSIGNED, primitive, supported
from flambeau._backends.reference.builder import NumpyBuilder

sys.path.insert(0, str(Path(__file__).parent))
from vector_kernels import ARM, TARGETS, V2, V3, V4, apply, assembly, convert, run, text  # noqa: E402

OPERATORS = {
    "add": "__add__", "sub": "__sub__", "mul": "__mul__", "truediv": "__truediv__", "neg": "__neg__", "lt": "__lt__",
    "le": "__le__", "gt": "__gt__", "ge": "__ge__", "eq": "__eq__", "ne": "__ne__", "and_": "__and__", "or_": "__or__",
    "xor": "__xor__",
}  # fmt: skip
NEW = {"rsqrt": lambda x: (1 / np.sqrt(x)).astype(x.dtype), "reciprocal": lambda x: (1 / x).astype(x.dtype)}
UNARY = {"neg", "abs", "sqrt", "rsqrt", "reciprocal", "floor", "ceil", "trunc", "round", "sgn", "isnan",
         "isinf", "isfinite", "signbit", "logical_not", "invert"}  # fmt: skip
PREDICATES = {"lt", "le", "gt", "ge", "eq", "ne", "isnan", "isinf", "isfinite", "signbit", "logical_not",
              "logical_and", "logical_or", "logical_xor"}  # fmt: skip
FLOAT_VALUES = np.array([0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -3.5, 3.0, -7.0, 1e-40, -1e-40, 1e30, -1e30, 16777216.0, 0.1,
                         np.inf, -np.inf, np.nan], np.float32)  # fmt: skip
DIVISIONS = {"trunc_divide", "floor_divide", "fmod", "remainder"}
INTEGERS = ("int64", "int32", "int16", "int8", "uint8")


def reference(name):
    if name in OPERATORS:
        return lambda *args: getattr(args[0], OPERATORS[name])(*args[1:])
    return NEW.get(name) or getattr(NumpyBuilder(), name)


def pairs(values):
    return [a.ravel() for a in np.meshgrid(values, values)]


def check(target, name, dtype, values):
    args = (values,) if name in UNARY else pairs(values)
    with np.errstate(all="ignore"):
        want = reference(name)(*args)
    got = apply(target, name, dtype, *args, predicate=name in PREDICATES)
    assert got.dtype == want.dtype
    assert np.array_equal(got, want, equal_nan=got.dtype.kind == "f"), name
    if got.dtype.kind == "f" and name not in ("maximum", "minimum", "fmax", "fmin", "sgn"):
        number = ~np.isnan(want)
        assert np.array_equal(np.signbit(got)[number], np.signbit(want)[number]), name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", TARGETS)
def test_floats(target, dtype):
    for name in FLOAT:
        check(target, name, dtype, FLOAT_VALUES.astype(dtype))


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("target", TARGETS)
def test_integers(target, dtype):
    info = np.iinfo(dtype)
    values = [0, 1, 2, 3, 5, 7, 8, 31, 63, 64, 100, info.max, info.max - 1, info.min, info.min + 1]
    values += [] if info.min == 0 else [-1, -2, -3, -7, -100]
    values = np.array(values, dtype)
    for name in UNSIGNED if dtype == "uint8" else SIGNED:
        if name in DIVISIONS:
            check_division(target, name, *pairs(values))
        elif not name.startswith("bitwise"):
            check(target, name, dtype, values)


def check_division(target, name, a, b):
    """Results, but where the divisor is zero: only that the processor bears it."""
    number = b != 0
    with np.errstate(all="ignore"):
        want = reference(name)(a[number], b[number])
    assert np.array_equal(apply(target, name, a.dtype.name, a, b)[number], want), name


@pytest.mark.parametrize("target", TARGETS)
def test_booleans(target):
    values = np.array([False, True])
    for name in BOOLEAN:
        if name.startswith("bitwise") or name == "sgn":
            continue
        args = (values,) if name in UNARY else pairs(values)
        with np.errstate(all="ignore"):
            want = reference(name)(*args)
        assert np.array_equal(apply(target, name, "bool", *args), want), name


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0, 3.0, -1.0, -2.0])
def test_constant_powers_take_the_shortcuts_of_the_reference(exponent):
    x = FLOAT_VALUES
    with np.errstate(all="ignore"):
        want = NumpyBuilder().pow(x, np.float32(exponent)).astype(np.float32)
    got = run(V3, lambda f, a: primitive(f, "pow", "float32", [a[0], f.float(exponent, a[0].type)]), [x], ["float32"],
              "float32", np.float32)  # fmt: skip
    assert np.array_equal(got, want, equal_nan=True)


def test_remainders_of_very_different_magnitudes_are_exact():
    rng = np.random.default_rng(0)
    x, y = (np.ldexp(rng.random(50_000, np.float32), rng.integers(-140, 127, 50_000)).astype(np.float32) for _ in "xy")
    with np.errstate(all="ignore"):
        want = np.fmod(x, y)
    assert np.array_equal(apply(V3, "fmod", "float32", x, y), want, equal_nan=True)


def test_supported_says_what_there_is_code_for():
    assert supported("exp", "float32") and supported("where", "bool") and supported("add", "uint8")
    assert not supported("zeta", "float32") and not supported("floor_divide", "bool")
    assert not supported("exp", "complex64") and not supported("add", "float16")


# ---------------------------------------------------------------------------------------------- casts

REALS = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")
NUMBERS = [0, 1, -1, 2.5, -2.5, 127, 128, 255, 256, -129, 300.7, 65504, 65520, 70000, 1e-7, 6e-8, -3e-8, 2.0**31,
           2.0**40 + 3, -(2.0**33) - 1]  # fmt: skip


def reference_cast(x, to):
    if to == "bool":
        return x != 0
    if np.dtype(to).kind in "iu" and x.dtype.kind == "f":
        return x.astype(np.int64).astype(to)
    return x.astype(to)


@pytest.mark.parametrize("source", REALS)
@pytest.mark.parametrize("target", TARGETS)
def test_casts(target, source):
    with np.errstate(all="ignore"):
        x = reference_cast(np.array(NUMBERS), source)
        if x.dtype.kind == "f":
            finite = np.isfinite(x)
        for to in REALS:
            usable = finite if x.dtype.kind == "f" and np.dtype(to).kind in "iu" else np.ones(len(x), bool)
            # float64 becomes a half by way of float32, as PyTorch does it
            want = reference_cast(x.astype(np.float32) if source == "float64" and to == "float16" else x, to)
            got = convert(target, x, source, to, np.dtype(to))
            assert np.array_equal(got[usable], want[usable], equal_nan=got.dtype.kind == "f"), (source, to)


@pytest.mark.parametrize("target", TARGETS)
def test_every_float16(target):
    bits = np.arange(2**16).astype(np.uint16)
    wide = convert(target, bits, "float16", "float32", np.float32)
    assert np.array_equal(wide, bits.view(np.float16).astype(np.float32), equal_nan=True)
    back = convert(target, wide, "float32", "float16", np.float16)
    assert np.array_equal(back, bits.view(np.float16), equal_nan=True)


@pytest.mark.parametrize("target", TARGETS)
def test_halves_round_to_nearest_even(target):
    x = np.arange(0, 2**32, 9973, np.uint64).astype(np.uint32).view(np.float32)
    ties = (np.arange(2**16, dtype=np.uint32) << 16 | 0x8000).view(np.float32)
    below = (ties.view(np.uint32) - 1).view(np.float32)
    x = np.concatenate([x, ties, below, np.arange(0, 2**13).astype(np.float32) * 2.0**-26])
    x = x.astype(np.float32)
    with np.errstate(all="ignore"):
        want = x.astype(np.float16)
    assert np.array_equal(convert(target, x, "float32", "float16", np.float16), want, equal_nan=True)
    bits = x.view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1) >> 16).astype(np.uint16)
    got = convert(target, x, "float32", "bfloat16", np.uint16)
    nan = np.isnan(x)
    assert np.array_equal(got[~nan], rounded[~nan])
    assert np.isnan(convert(target, got, "bfloat16", "float32", np.float32)[nan]).all()


@pytest.mark.parametrize("target", [V2, V3, V4, ARM], ids=lambda t: t.cpu)
def test_nothing_calls_a_library(target):
    calls = re.compile(r"^\s*(?:callq?|bl)\s+(?!payne_hanek|\.?L?payne)\S+", re.MULTILINE)
    two = {"atan2", "pow", "hypot", "logaddexp", "logaddexp2", "fmod", "remainder", "floor_divide", "copysign"}
    for name in sorted({*FUNCTIONS, *two}):
        for source, dtype in ("float32", "float32"), ("float16", "float16"), ("float64", "float16"):

            def body(f, args):
                wide = [cast(f, cast(f, a, source, dtype), dtype, "float32") for a in args]  # noqa: B023
                return cast(f, primitive(f, name, "float32", wide), "float32", dtype)  # noqa: B023

            for lanes in (0, 8):
                code = text(target, body, [source] * (2 if name in two else 1), dtype, lanes)
                assert not calls.search(assembly(target, code)), (name, source, dtype, lanes)
    for source in MEMORY:
        for to in ("float32", "float16", "bfloat16", "int64", "uint8", "bool"):
            code = text(target, lambda f, a: cast(f, a[0], source, to), [source], to, 8)  # noqa: B023
            assert not calls.search(assembly(target, code)), (source, to)
