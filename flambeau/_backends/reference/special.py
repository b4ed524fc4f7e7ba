"""The error function and the normal distribution in NumPy, which has neither: computed in float64, so that float32
results are right to the last bit or so."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from flambeau._backends.reference.chebyshev import blockwise, piecewise, series
from flambeau._backends.reference.tables import ERF, ERF_SMALL, ERFCX
from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

ROOT_HALF = math.sqrt(0.5)


def _scaled_complement(x: Any, exact: bool) -> Any:
    """exp(x^2) erfc(x) for x >= 0 (M. Shepherd, J. Laframboise, Mathematics of Computation 36, 1981)."""
    near = np.minimum(x, 1e12)
    return np.where(
        x < 1e12, series(ERFCX, (near - 3.75) / (near + 3.75), exact) / (1 + 2 * near), 1 / (math.sqrt(math.pi) * x)
    )


def _bell(x: Any) -> Any:
    """exp(-x^2), the square in two parts: an exact one, and one whose rounding error does not count x^2 times."""
    head = np.floor(np.minimum(x, 1e4) * 16) / 16
    return np.exp(-head * head) * np.exp(-(x - head) * (x + head))


def _erf_small(x: Any, exact: bool) -> Any:
    return x * series(ERF_SMALL, 2 * x * x - 1, exact)


def _erf(x: Any, exact: bool) -> Any:
    """The error function; for float32 by one polynomial, beyond whose range it is 1."""
    if not exact:
        x = np.clip(x, -4, 4)
        return x * series(ERF, x * x * 0.125 - 1, exact)

    def far(b: Any) -> Any:
        a = np.abs(b)
        return np.copysign(1 - _bell(a) * _scaled_complement(a, exact), b)

    return piecewise(x, np.abs(x) < 1, lambda a: _erf_small(a, exact), far)


def _erfc(x: Any, exact: bool) -> Any:
    """1 - erf(x), exact for large x."""

    def far(b: Any) -> Any:
        a = np.abs(b)
        tail = _bell(a) * _scaled_complement(a, exact)
        return np.where(b > 0, tail, 2 - tail)

    return piecewise(x, np.abs(x) < 0.5, lambda a: 1 - _erf_small(a, exact), far)


def _erfcx(x: Any, exact: bool) -> Any:
    """exp(x^2) erfc(x)."""
    scaled = _scaled_complement(np.abs(x), exact)
    return np.where(x < 0, 2 * np.exp(x * x) - scaled, scaled)


def _inverse_complement(q: Any) -> Any:
    """The x with erfc(x) = q for 0 < q <= 1: Newton's method on log erfc, which is nearly a parabola for large x."""
    logarithm = np.log(q)
    x = np.sqrt(np.maximum(-logarithm - 0.5 * np.log(np.maximum(-logarithm, 1)) - 0.4, 0)) + 0.0
    x = np.where(q > 0.3, 1 - q, x)
    for _ in range(8):
        scaled = _scaled_complement(x, True)
        step = (np.log(scaled) - x * x - logarithm) * scaled * (math.sqrt(math.pi) / 2)
        x = np.maximum(x + step, 0)
        if np.all(np.abs(step) <= 1e-15 * x):
            break
    return x


def _erfinv(x: Any, exact: bool) -> Any:
    """The inverse of erf: from erfc near 1, where that keeps the digits, by Newton's method on erf elsewhere."""
    a = np.abs(x)

    def near(b: Any) -> Any:
        y = b * (math.sqrt(math.pi) / 2) * (1 + b * b * (math.pi / 12 + b * b * 0.13))
        for _ in range(5):
            error = _erf(y, True) - b
            step = error * (math.sqrt(math.pi) / 2) * np.exp(y * y)
            y = y - step / (1 + y * step)
        return y

    found = np.copysign(piecewise(a, a < 0.6, near, lambda b: _inverse_complement(1 - b)), x)
    return np.where(a < 1, found, np.where(a == 1, np.copysign(np.inf, x), np.nan))


def _ndtri(p: Any, exact: bool) -> Any:
    """The inverse of the normal distribution function, from the side where p keeps its digits."""
    x = np.sqrt(2) * _inverse_complement(2 * np.minimum(p, 1 - p))
    x = np.where(np.abs(p - 0.5) < 0.25, np.sqrt(2) * _erfinv(2 * p - 1, True), np.where(p < 0.5, -x, x))
    return np.where((p > 0) & (p < 1), x, np.where(p == 0, -np.inf, np.where(p == 1, np.inf, np.nan)))


def _log_ndtr(x: Any, exact: bool) -> Any:
    """The logarithm of the normal distribution function, without underflow on the left."""
    left = np.log(0.5 * _erfcx(np.minimum(x, 0) * -ROOT_HALF, exact)) - 0.5 * x * x
    return np.where(x < -1, left, np.log1p(-0.5 * _erfc(x * ROOT_HALF, exact)))


erf, erfc, erfcx, erfinv = blockwise(_erf), blockwise(_erfc), blockwise(_erfcx), blockwise(_erfinv)
ndtri, log_ndtr = blockwise(_ndtri), blockwise(_log_ndtr)
