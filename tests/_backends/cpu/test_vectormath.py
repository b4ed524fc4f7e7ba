"""Functions of the CPU compiler: float32 results within 1 ulp, float64 results within a few, special values exact."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from flambeau._backends.cpu import vectormath as v
from flambeau._backends.cpu.emit import Module
from flambeau._backends.cpu.primitives import FUNCTIONS, primitive
from flambeau._backends.reference import special

sys.path.insert(0, str(Path(__file__).parent))
from vector_kernels import LANES, TARGETS, V3, apply, compiled  # noqa: E402


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1 + e)


REFERENCE = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "tanh": np.tanh, "sinh": np.sinh, "cosh": np.cosh,
    "sigmoid": sigmoid, "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "asinh": np.arcsinh,
    "acosh": np.arccosh, "atanh": np.arctanh, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin,
    "acos": np.arccos, "atan": np.arctan, "erf": special.erf, "erfc": special.erfc, "erfinv": special.erfinv,
    "atan2": np.arctan2, "pow": np.power, "hypot": np.hypot, "logaddexp": np.logaddexp, "logaddexp2": np.logaddexp2,
}  # fmt: skip
UNARY = sorted(set(FUNCTIONS) - {"atan2", "pow", "hypot", "logaddexp", "logaddexp2"})
BINARY = sorted(set(FUNCTIONS) - set(UNARY))

SPECIAL = [0.0, 2.0**-149, 1e-40, 2.0**-126, 1e-10, 0.25, 0.5, 1 - 2.0**-24, 1.0, 1 + 2.0**-23, 1.5, 2.0, 3.0, 88.72283,
           88.72284, 103.97, 104.0, 127.99, 128.0, 149.0, 150.0, 16777217.0, 1647099.4, 1e10, 3.4e38,
           math.inf]  # fmt: skip
SPECIAL = np.array([*SPECIAL, *(-x for x in SPECIAL), math.nan], np.float32)


def every_bit_pattern(step: int) -> np.ndarray:
    """Float32 numbers of all magnitudes, `step` bit patterns apart, and the special ones."""
    bits = np.arange(0, 2**32, step, np.uint64).astype(np.uint32)
    return np.concatenate([SPECIAL, bits.view(np.float32)])


def ulps(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Errors in units of the last place of the wanted value (given in more digits); zeros must have its sign."""
    with np.errstate(all="ignore"):
        rounded = want.astype(got.dtype)
        unit = np.spacing(np.where(np.isfinite(rounded), np.abs(rounded), np.finfo(got.dtype).max)).astype(want.dtype)
        error = np.abs(got.astype(want.dtype) - want) / unit
    error = np.where((got == rounded) & ~np.isfinite(rounded), 0, np.where(np.isnan(error), np.inf, error))
    signs = (np.signbit(got) != np.signbit(rounded)) & (got == 0) & (rounded == 0)
    return np.where(np.isnan(got) & np.isnan(rounded), 0, np.where(signs, np.inf, error))


def worst(got, want, *args):
    """The largest error and the arguments there, for the message."""
    errors = ulps(got, want)
    i = int(np.argmax(errors))
    return errors[i], [a[i] for a in args], got[i], want[i]


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("target", TARGETS)
def test_float32_is_within_1_ulp(target, name):
    x = every_bit_pattern(39_119)
    with np.errstate(all="ignore"):
        want = REFERENCE[name](x.astype(np.float64))
    assert worst(apply(target, name, "float32", x), want, x) <= (1.0,)


@pytest.mark.parametrize("name", ["erf", "tanh"])
def test_float32_without_lookups_is_within_1_ulp(name):
    x = every_bit_pattern(39_119)
    with np.errstate(all="ignore"):
        want = REFERENCE[name](x.astype(np.float64))
    assert worst(apply(V3._replace(lookups=0), name, "float32", x), want, x) <= (1.0,)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("target", TARGETS)
def test_float32_of_two_arguments_is_within_1_ulp(target, name):
    rng = np.random.default_rng(0)
    pairs = [a.ravel() for a in np.meshgrid(SPECIAL, SPECIAL)]
    some = [rng.integers(0, 2**32, 20_000, np.uint64).astype(np.uint32).view(np.float32) for _ in range(2)]
    usual = [np.abs(rng.standard_normal(20_000, np.float32)) * 2, rng.standard_normal(20_000, np.float32) * 20]
    x, y = (np.concatenate([p, s, u]) for p, s, u in zip(pairs, some, usual, strict=True))
    with np.errstate(all="ignore"):
        want = REFERENCE[name](x.astype(np.float64), y.astype(np.float64))
    assert worst(apply(target, name, "float32", x, y), want, x, y) <= (1.0,)


def samples(name: str) -> np.ndarray:
    """Doubles of all magnitudes for which the function has something to say."""
    rng = np.random.default_rng(1)
    large = {"exp": 740, "exp2": 1070, "expm1": 709, "sinh": 710, "cosh": 710, "tanh": 20, "sigmoid": 700, "erf": 6,
             "erfc": 27}.get(name, 1e300)  # fmt: skip
    x = np.exp(rng.uniform(-40, math.log(large), 20_000)) * rng.choice([-1, 1], 20_000)
    if name in ("log", "log2", "log10", "acosh"):
        x = np.abs(x)
    near = rng.uniform(-1, 1, 20_000)
    if name.startswith(("log", "acosh")):
        near = np.abs(near) + (name != "log1p")
    return np.concatenate([SPECIAL.astype(np.float64), x, near])


@pytest.mark.parametrize("name", sorted(set(UNARY)))
@pytest.mark.parametrize("target", TARGETS)
def test_float64_is_within_few_ulps(target, name):
    """Compared with long doubles, or with the reference where NumPy has none; erfc's tail is the least exact."""
    x = samples(name)
    exact = name not in ("sigmoid", "erf", "erfc", "erfinv")
    with np.errstate(all="ignore"):
        want = REFERENCE[name](x.astype(np.longdouble) if exact else x)
    bound = 2.5 if name in ("tan", "tanh", "sinh") else 2.0 if exact else 5.0
    assert worst(apply(target, name, "float64", x), want, x) <= (bound,)


@pytest.mark.parametrize("target", TARGETS)
def test_float64_powers_and_angles(target):
    rng = np.random.default_rng(2)
    pairs = [a.ravel() for a in np.meshgrid(SPECIAL.astype(np.float64), SPECIAL.astype(np.float64))]
    x = np.concatenate([pairs[0], np.exp(rng.uniform(-30, 30, 20_000)), 1 + rng.uniform(-1e-3, 1e-3, 20_000)])
    y = np.concatenate([pairs[1], rng.uniform(-20, 20, 20_000), rng.uniform(-1e5, 1e5, 20_000)])
    for name in ("pow", "atan2", "hypot"):
        with np.errstate(all="ignore"):
            want = REFERENCE[name](x.astype(np.longdouble), y.astype(np.longdouble))
        assert worst(apply(target, name, "float64", x, y), want, x, y) <= (2.0,), name


@pytest.mark.parametrize("name", ["exp", "sin", "pow", "tanh", "erf"])
def test_scalars_take_the_same_code(name):
    x = every_bit_pattern(9_999_991)
    args = (x, x[::-1].copy()) if name == "pow" else (x,)
    for lanes in (0, 4, 8):
        got = apply(V3, name, "float32", *args, lanes=lanes)
        assert np.array_equal(got, apply(V3, name, "float32", *args), equal_nan=True)


# ---------------------------------------------------------------------------------------------- all float32 numbers


def checker(target, name: str) -> str:
    """A kernel that stores the largest error, in ulps, of the float32 function over the bit patterns lo..hi-1. The
    float64 function of the same name stands for the truth."""
    f, args, lo, hi = (module := Module(target)).entry("kernel")
    type = f"<{LANES} x double>"
    start = f.float(0.0, type)
    with f.loop(lo, hi, LANES, carried=[start]) as loop:
        first = f.splat(f.cast("trunc", loop.index, "i32"), LANES)
        x = f.bitcast(f.add(first, f.lane_numbers(first.type)), "float")
        got = primitive(f, name, "float32", [x])
        want = primitive(f, name, "float64", [v.widened(f, x)])
        rounded = v.narrowed(f, want)
        bits, expected = f.bitcast(got, "i32"), f.bitcast(rounded, "i32")
        field = f.binary("lshr", f.binary("and", expected, f.int(0x7F800000, bits.type)), f.int(23, bits.type))
        field = f.min(f.max(field, f.int(1, bits.type)), f.int(254, bits.type))
        exponent = f.cast("zext", f.add(field, f.int(1023 - 127 - 23, bits.type)), "i64")
        unit = f.bitcast(f.binary("shl", exponent, f.int(52, exponent.type)), "double")
        error = f.fdiv(f.intrinsic("fabs", f.fsub(v.widened(f, got), want)), unit)
        infinite = f.float(math.inf, type)
        error = f.select(v.is_nan(f, error), infinite, error)
        zero = f.float(0.0, got.type)
        zeros = v.both(f, f.fcompare("oeq", got, zero), f.fcompare("oeq", rounded, zero))
        error = f.select(zeros, infinite, error)
        same = f.compare("eq", bits, expected)
        nans = v.both(f, v.is_nan(f, got), v.is_nan(f, rounded))
        error = f.select(v.either(f, same, nans), f.float(0.0, type), error)
        worse = f.fcompare("ogt", error, loop.carried[0])
        loop.next.append(f.select(worse, error, loop.carried[0]))
    f.store(loop.results[0], f.word(args, 0, "ptr"))
    f.ret()
    f.close()
    return module.text()


def largest_error(target, name: str, lo: int = 0, hi: int = 2**32) -> float:
    found = np.zeros(LANES)
    words = np.array([found.ctypes.data], np.int64)
    compiled(target, checker(target, name))(words.ctypes.data, lo, hi)
    return float(found.max())


@pytest.mark.slow
@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("target", TARGETS)
def test_every_float32_is_within_1_ulp(target, name):
    assert largest_error(target, name) <= 1.0
