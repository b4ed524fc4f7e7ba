"""The gamma function and its kin in NumPy, which has none of them: log gamma, its derivatives, Hurwitz' zeta function
and the incomplete gamma functions, computed in float64."""

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


def _lgamma(x: float) -> float:
    try:
        return math.lgamma(x)
    except ValueError:  # a pole
        return math.inf


def lgamma(x: Any) -> Any:
    """The logarithm of |gamma(x)|."""
    return each(_lgamma, x)


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
    """Hurwitz' zeta function sum (q + k)^-s: a dozen positive terms, then Euler and Maclaurin's formula."""
    s, q = np.broadcast_arrays(np.asarray(s), np.asarray(q))
    a, b = s.astype(np.float64), q.astype(np.float64)
    with np.errstate(all="ignore"):
        total = np.zeros(a.shape)
        lowest = b[b > -4000].min(initial=0)  # the series wants a positive remainder
        terms = 12 - int(np.floor(lowest))
        for k in range(terms):
            total = total + (b + k) ** -a
        z = b + terms
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


# ---------------------------------------------------------------------------------------------- incomplete gamma


def _front(a: Any, x: Any) -> Any:
    """x^a exp(-x) / gamma(a + 1). For large a by Stirling's formula, so that the large logarithms cancel on paper."""
    direct = np.exp(a * np.log(x) - x - lgamma(a + 1))
    far = np.maximum(a, 25)
    excess = (x - far) / far
    rest = 1 / (12 * far) - 1 / (360 * far**3) + 1 / (1260 * far**5) - 1 / (1680 * far**7)
    large = np.exp(far * (np.log1p(excess) - excess) - rest) / np.sqrt(2 * math.pi * far)
    return np.where(a > 25, large, direct)


def _lower_series(a: Any, x: Any, limit: int) -> Any:
    """P(a, x) / front: 1 + x / (a + 1) + x^2 / ((a + 1)(a + 2)) + ..."""
    term, total = np.ones_like(x), np.ones_like(x)
    for n in range(1, limit):
        term = term * (x / (a + n))
        total = total + term
        if not np.any(term > total * 1e-17):
            break
    return total


def _upper_fraction(a: Any, x: Any, limit: int) -> Any:
    """Q(a, x) / (a front): Legendre's continued fraction, by Lentz' method."""
    b = x + 1 - a
    c, d = np.full_like(x, 1e300), 1 / b
    total = d
    for n in range(1, limit):
        step = n * (a - n)
        b = b + 2
        d = 1 / (step * d + b)
        c = b + step / c
        total = total * (c * d)
        if not np.any(np.abs(c * d - 1) > 1e-16):
            break
    return total


def _incomplete(a: Any, x: Any, upper: bool) -> Any:
    """Q(a, x) or P(a, x), whichever is wanted, from the one of the two that converges there."""
    a, x = np.broadcast_arrays(np.asarray(a), np.asarray(x))
    result = np.full(a.shape, np.nan)
    u, v = a.astype(np.float64), x.astype(np.float64)
    with np.errstate(all="ignore"):
        inside = (u > 0) & (v > 0) & np.isfinite(u) & np.isfinite(v)
        p, q = u[inside], v[inside]
        by_series = q < p + 1
        limit = 200 + int(20 * math.sqrt(p.max(initial=1)))
        value = np.empty_like(p)
        s, t = p[by_series], q[by_series]
        lower = _front(s, t) * _lower_series(s, t, limit)
        value[by_series] = 1 - lower if upper else lower
        s, t = p[~by_series], q[~by_series]
        higher = _front(s, t) * s * _upper_fraction(s, t, limit)
        value[~by_series] = higher if upper else 1 - higher
        result[inside] = value
        nothing = ((v == 0) & (u > 0)) | (np.isinf(u) & np.isfinite(v) & (v >= 0) & (u > 0))
        everything = ((u == 0) & (v > 0)) | (np.isinf(v) & np.isfinite(u) & (v > 0) & (u >= 0))
        result = np.where(nothing, float(upper), np.where(everything, float(not upper), result))
    return result.astype(x.dtype)


def igamma(a: Any, x: Any) -> Any:
    """The regularised lower incomplete gamma function P(a, x) (Abramowitz & Stegun 6.5)."""
    return _incomplete(a, x, False)


def igammac(a: Any, x: Any) -> Any:
    """The regularised upper incomplete gamma function Q(a, x) = 1 - P(a, x)."""
    return _incomplete(a, x, True)
