"""Normal draws as PyTorch's CPU kernels make them: Box and Muller's transform, in two arrangements.

G. E. P. Box, M. E. Muller: A note on the generation of random normal deviates. Annals of Mathematical Statistics 29
(1958): two even draws u1, u2 give two normal ones, sqrt(-2 log u1) times the cosine and the sine of 2 pi u2.

Contiguous tensors of at least 16 elements are filled 16 at a time, eight cosines, then eight sines. In float32 that
uses the polynomials of S. L. Moshier's Cephes library, with fused multiply-adds; they are followed here operation by
operation, so that the bits agree. Everything else is drawn one by one in float64, the sine being kept for the next
draw.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from flambeau._core.lazy import lazy_module
from flambeau._ops.draws import (
    PARTS,
    PRECISION,
    blocks,
    c_function,
    numpy_dtype,
    require,
    round_to,
    unit_doubles,
    unit_floats,
)  # fmt: skip
from flambeau._ops.fma import fma
from flambeau._ops.mersenne import MersenneTwister

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

GROUP = 16  # divides BLOCK


def check_normal(std: float) -> None:
    """RuntimeError if the standard deviation is negative or NaN."""
    if not std >= 0.0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")


def normal(
    gen: MersenneTwister,
    n: int,
    mean: float = 0.0,
    std: float = 1.0,
    dtype: str = "float32",
    *,
    contiguous: bool = True,
) -> np.ndarray:
    """Normal draws in a floating-point or complex dtype; `contiguous` says whether the tensor to be filled is.

    A complex draw has parts of variance std**2 / 2, each with the same mean (PyTorch's convention). float64, and
    anything short or not contiguous, has the bits of the C library's log, sine and cosine. RuntimeError as in
    `check_normal`.

    Example::

        >>> [round(x, 4) for x in normal(MersenneTwister(42), 3).tolist()]
        [0.3367, 0.1288, 0.2345]
    """
    check_normal(std)
    if dtype in PARTS:
        return normal(gen, 2 * n, mean, std / math.sqrt(2), PARTS[dtype], contiguous=contiguous).view(dtype)
    require(dtype, PRECISION, "normal_kernel_cpu")
    if n < GROUP or not contiguous:
        return round_to(_one_by_one(gen, n, mean, std, dtype), dtype)
    return _sixteen_by_sixteen(gen, n, mean, std, dtype)


def normal_like(
    gen: MersenneTwister, mean: np.ndarray | float, std: np.ndarray | float, dtype: str = "float32"
) -> np.ndarray:
    """Normal draws with a mean, a standard deviation or both for each element; arrays of the result's dtype, broadcast.

    RuntimeError if any standard deviation is negative.

    Example::

        >>> normal_like(MersenneTwister(42), np.zeros((2, 2), np.float32), 0.0).tolist()
        [[0.0, 0.0], [0.0, 0.0]]
    """
    shape = np.broadcast_shapes(np.shape(mean), np.shape(std))
    n = math.prod(shape)
    if np.ndim(std) == 0 and not isinstance(std, np.ndarray):
        return normal(gen, n, 0.0, std, dtype).reshape(shape) + mean
    if np.iscomplexobj(std):
        raise RuntimeError("normal expects standard deviation to be non-complex")
    if not np.all(np.asarray(std) >= 0):
        raise RuntimeError("normal expects all elements of std >= 0.0")
    return normal(gen, n, 0.0, 1.0, dtype).reshape(shape) * std + mean


def log_normal(gen: MersenneTwister, n: int, mean: float = 1.0, std: float = 2.0, dtype: str = "float32") -> np.ndarray:
    """exp of normal draws, one by one whatever the size. RuntimeError unless std > 0."""
    require(dtype, PRECISION, "log_normal_cpu")
    if not std > 0.0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")
    return round_to(c_function(math.exp, _one_by_one(gen, n, mean, std, dtype), dtype), dtype)


# ---------------------------------------------------------------------------------------------- one by one


def _one_by_one(gen: MersenneTwister, n: int, mean: float, std: float, dtype: str) -> np.ndarray:
    """float64 draws: the value kept from last time, then cosine and sine of each pair; an odd sine is kept."""
    out = np.empty(n)
    rest = out
    if n and gen.next_double_normal is not None:
        out[0], gen.next_double_normal = gen.next_double_normal, None
        rest = out[1:]
    for part in blocks(rest):
        u1, u2 = unit_doubles(gen, len(part) + len(part) % 2).reshape(-1, 2).T
        cosine, sine = _pairs(u1, c_function(math.log1p, -u2, dtype), dtype)
        part[0::2] = cosine
        part[1::2] = sine[: len(part) // 2]
        if len(part) % 2:  # what is kept must have the C library's bits: it is part of the state
            _, kept = _pairs(u1[-1:], c_function(math.log1p, -u2[-1:]), "float64")
            gen.next_double_normal = float(kept[0])
    return fma(out, std, mean)


def _pairs(u: np.ndarray, log_v: np.ndarray, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    radius = np.sqrt(-2.0 * log_v)
    theta = 2.0 * math.pi * u
    return radius * c_function(math.cos, theta, dtype), radius * c_function(math.sin, theta, dtype)


# ---------------------------------------------------------------------------------------------- sixteen by sixteen


def _sixteen_by_sixteen(gen: MersenneTwister, n: int, mean: float, std: float, dtype: str) -> np.ndarray:
    """Whole groups of 16; where n is no multiple, the last 16 elements are drawn anew.

    float32 and float64 first draw an even number for every element, those of the incomplete group for nothing; 16-bit
    floats only for whole groups.
    """
    out = np.empty(n, numpy_dtype(dtype))
    whole = n - n % GROUP
    if dtype != "float32" or not gen.fill("normal", out[:whole], mean, std):
        for part in blocks(out[:whole]):
            part[...] = _groups(gen, len(part), mean, std, dtype)
    if whole < n:
        if dtype in ("float32", "float64"):
            gen.skip((n - whole) * (2 if dtype == "float64" else 1))
        out[-GROUP:] = _groups(gen, GROUP, mean, std, dtype)
    return out


def _groups(gen: MersenneTwister, n: int, mean: float, std: float, dtype: str) -> np.ndarray:
    if dtype == "float64":
        data = unit_doubles(gen, n).reshape(-1, 2, GROUP // 2)
        u1, u2 = 1.0 - data[:, 0].ravel(), data[:, 1].ravel()
        cosine, sine = _pairs(u2, c_function(math.log, u1), dtype)
    else:
        data = unit_floats(gen, n).reshape(-1, 2, GROUP // 2)
        u1, u2 = np.float32(1) - data[:, 0].ravel(), data[:, 1].ravel()
        radius = np.sqrt(np.float32(-2) * _log(u1))
        sine, cosine = _sincos(np.float32(2 * math.pi) * u2)
        cosine *= radius
        sine *= radius
    data[:, 0] = cosine.reshape(-1, GROUP // 2)
    data[:, 1] = sine.reshape(-1, GROUP // 2)
    flat = data.reshape(-1)
    return round_to(fma(flat, std, mean), dtype)


# Cephes' single-precision polynomials (logf.c, sinf.c): a float32 fused multiply-add is a float64 one (whose product is
# exact) rounded to float32. The sum's own rounding can spoil the last bit once in some 10**9 operations.

LOG = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
LN2 = (-2.12194440e-4, 0.693359375)  # log 2 in two parts, the small one first
SINE = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COSINE = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
QUARTER_PI = (0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8)  # pi / 4 in three parts


def _single(x: np.ndarray) -> np.ndarray:
    """Round a temporary to float32 in place; it stays float64 for the next exact product."""
    x[...] = x.astype(np.float32)
    return x


def _constant(x: float) -> float:
    return float(np.float32(x))


def _polynomial(x: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    """Horner's rule in fused float32 operations, highest power first."""
    y = np.full_like(x, _constant(coefficients[0]))
    for c in coefficients[1:]:
        y *= x
        y += _constant(c)
        _single(y)
    return y


def _log(u: np.ndarray) -> np.ndarray:
    """Natural logarithm of float32 in (0, 1]: u = m 2**e with m in sqrt(1/2) ... sqrt(2), a polynomial in m - 1."""
    bits = u.view(np.int32)
    m = ((bits & 0x7FFFFF) | 0x3F000000).view(np.float32)
    below = m < np.float32(math.sqrt(0.5))
    e = ((bits >> 23) - 126 - below).astype(np.float64)
    x = m.astype(np.float64)
    x += np.where(below, x, 0.0)
    x -= 1.0
    z = _single(x * x)
    y = _single(_polynomial(x, LOG) * x)
    y = _single(y * z + _single(e * _constant(LN2[0])))
    y = _single(y - 0.5 * z)
    y = _single(x + y)
    return (y + e * LN2[1]).astype(np.float32)


def _sincos(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sine and cosine of float32 in [0, 2 pi): theta minus the nearest even multiple of pi / 4, a polynomial each."""
    octant = ((theta * np.float32(4 / math.pi)).astype(np.int32) + 1) & ~1
    y = octant.astype(np.float64)
    x = theta.astype(np.float64)
    for part in QUARTER_PI:
        x = _single(x - y * _constant(part))
    z = _single(x * x)
    c = _single(_polynomial(z, COSINE) * z)
    c = (_single(c * z - 0.5 * z) + 1.0).astype(np.float32)
    s = _single(_polynomial(z, SINE) * z)
    s = (s * x + x).astype(np.float32)
    swapped = octant & 2 != 0
    sine, cosine = np.where(swapped, c, s), np.where(swapped, s, c)
    np.negative(sine, out=sine, where=octant & 4 != 0)
    np.negative(cosine, out=cosine, where=(octant + 2) & 4 != 0)
    return sine, cosine
