"""Special functions in NumPy, which has none: computed in float64, so that float32 results are right to the last bit or
so.

Those that C's library has (erf, erfc, lgamma) are called element by element; the others are series.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


def each(function: Callable[[float], float], x: Any) -> Any:
    """`function` of every element, in the array's own dtype."""
    x = np.asarray(x)
    values = np.fromiter(map(function, x.reshape(-1).astype(np.float64).tolist()), np.float64, x.size)
    return values.reshape(x.shape).astype(x.dtype)


def erf(x: Any) -> Any:
    """The error function."""
    return each(math.erf, x)


def erfc(x: Any) -> Any:
    """1 - erf(x), exact for large x."""
    return each(math.erfc, x)


def _lgamma(x: float) -> float:
    try:
        return math.lgamma(x)
    except ValueError:  # a pole
        return math.inf


def lgamma(x: Any) -> Any:
    """The logarithm of |gamma(x)|."""
    return each(_lgamma, x)


def erfinv(x: Any) -> Any:
    """The inverse of erf: Giles' approximation (2010), polished by two steps of Newton's method on erf or erfc."""
    x = np.asarray(x)
    y = x.astype(np.float64)
    with np.errstate(all="ignore"):
        w = -np.log((1 - y) * (1 + y))
        a = 0.147
        first = 2 / (math.pi * a) - w / 2
        guess = np.sign(y) * np.sqrt(np.sqrt(first * first + w / a) - first)
        for _ in range(3):
            # near 1 work with the complement, which keeps its digits
            error = np.where(np.abs(y) < 0.5, erf(guess) - y, np.sign(y) * ((1 - np.abs(y)) - erfc(np.abs(guess))))
            slope = 2 / math.sqrt(math.pi) * np.exp(-guess * guess)
            step = error / slope
            guess = guess - step / (1 + guess * step)
        result = np.where(np.abs(y) == 1, np.sign(y) * np.inf, guess)
        result = np.where(y == 0, y, np.where(np.abs(y) > 1, np.nan, result))
    return result.astype(x.dtype)


def ndtri(p: Any) -> Any:
    """The inverse of the normal distribution function, from the side where p keeps its digits."""
    p = np.asarray(p)
    y = p.astype(np.float64)
    with np.errstate(all="ignore"):
        small = np.minimum(y, 1 - y)
        x = math.sqrt(2) * erfinv(2 * small - 1)
        for _ in range(3):
            error = 0.5 * erfc(-x / math.sqrt(2)) - small
            slope = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
            step = np.where(slope > 0, error / slope, 0)
            x = np.where(np.isfinite(x), x - step / (1 + 0.5 * x * step), x)
        result = np.where(y > 0.5, -x, x)
        result = np.where(y == 0, -np.inf, np.where(y == 1, np.inf, np.where((y < 0) | (y > 1), np.nan, result)))
    return result.astype(p.dtype)


def erfcx(x: Any) -> Any:
    """exp(x^2) erfc(x): directly where that is safe, by a continued fraction (Lentz) above."""
    x = np.asarray(x)
    y = x.astype(np.float64)
    with np.errstate(all="ignore"):
        direct = np.exp(y * y) * erfc(y)
        big = np.maximum(y, 2.0)
        fraction = big.copy()
        for n in range(120, 0, -1):
            fraction = big + (n / 2) / fraction
        tail = 1 / (math.sqrt(math.pi) * fraction)
    return np.where(y > 3, tail, direct).astype(x.dtype)


def log_ndtr(x: Any) -> Any:
    """log of the normal distribution function, without underflow on the left."""
    x = np.asarray(x)
    y = x.astype(np.float64)
    with np.errstate(all="ignore"):
        left = np.log(0.5 * erfcx(-y / math.sqrt(2))) - 0.5 * y * y
        right = np.log1p(-0.5 * erfc(y / math.sqrt(2)))
    return np.where(y < -1, left, right).astype(x.dtype)


# Bernoulli numbers B_2k / (2k)! times (2k)!, for the asymptotic series.
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)


def digamma(x: Any) -> Any:
    """The derivative of log gamma: recurrence up to 10, then Stirling's series; reflection on the left (Abramowitz &
    Stegun 6.3)."""
    x = np.asarray(x)
    y = x.astype(np.float64)
    with np.errstate(all="ignore"):
        left = y < 0
        z = np.where(left, 1 - y, y)
        shift = np.zeros_like(z)
        for _ in range(10):
            low = z < 10
            shift = shift - np.where(low, 1 / z, 0)
            z = np.where(low, z + 1, z)
        inverse = 1 / (z * z)
        series = np.zeros_like(z)
        for k in range(len(BERNOULLI), 0, -1):
            series = (series + BERNOULLI[k - 1] / (2 * k)) * inverse
        result = np.log(z) - 0.5 / z - series + shift
        fraction = y - np.floor(y)
        result = np.where(left, result - math.pi / np.tan(math.pi * fraction), result)
        result = np.where(left & (fraction == 0), np.nan, result)
        result = np.where(y == 0, np.copysign(np.inf, -y), result)
    return result.astype(x.dtype)


def zeta(s: Any, q: Any) -> Any:
    """Hurwitz' zeta function sum (q + k)^-s: ten terms, then Euler and Maclaurin's formula."""
    s, q = np.broadcast_arrays(np.asarray(s), np.asarray(q))
    a, b = s.astype(np.float64), q.astype(np.float64)
    with np.errstate(all="ignore"):
        total = np.zeros(a.shape)
        for k in range(12):
            total = total + (b + k) ** -a
        z = b + 12
        total = total + z ** (1 - a) / (a - 1) + 0.5 * z**-a
        factor, power = a.copy(), z ** (-a - 1)
        factorial = 2.0
        for k in range(1, len(BERNOULLI) + 1):
            total = total + BERNOULLI[k - 1] / factorial * factor * power
            factor = factor * (a + 2 * k - 1) * (a + 2 * k)
            power = power / (z * z)
            factorial *= (2 * k + 1) * (2 * k + 2)
        total = np.where(a == 1, np.inf, np.where(a < 1, np.nan, total))
        total = np.where((b <= 0) & (b == np.floor(b)) & (a > 1), np.inf, total)
        total = np.where((b < 0) & (b != np.floor(b)) & (a != np.floor(a)), np.nan, total)
    return total.astype(s.dtype)


def _bessel(x: Any, order: int) -> Any:
    """exp(-|x|) I_n(x) by the trapezoidal rule on 1/pi * integral of exp(x (cos t - 1)) cos(n t), which converges
    exponentially because the integrand is periodic; the asymptotic series for large x."""
    x = np.asarray(x)
    y = np.abs(x.astype(np.float64)).reshape(-1)
    result = np.zeros_like(y)
    angle = (np.arange(128) + 0.5) * (math.pi / 128)
    weight = np.cos(order * angle) / 128
    for start in range(0, y.size, 8192):
        part = np.minimum(y[start : start + 8192], 600)
        result[start : start + 8192] = np.exp(part[:, None] * (np.cos(angle) - 1)) @ weight
    with np.errstate(all="ignore"):
        m, far = 4.0 * order * order, np.maximum(y, 1)
        series = (
            1
            - (m - 1) / (8 * far)
            + (m - 1) * (m - 9) / (2 * (8 * far) ** 2)
            - (m - 1) * (m - 9) * (m - 25) / (6 * (8 * far) ** 3)
        )
        result = np.where(y > 500, series / np.sqrt(2 * math.pi * far), result)
    result = result.reshape(x.shape)
    return (np.sign(x) * result if order % 2 else result).astype(x.dtype)


def i0e(x: Any) -> Any:
    """exp(-|x|) times the modified Bessel function of order 0."""
    return _bessel(x, 0)


def i1e(x: Any) -> Any:
    """exp(-|x|) times the modified Bessel function of order 1."""
    return _bessel(x, 1)
