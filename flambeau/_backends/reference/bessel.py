"""Bessel functions of the orders 0 and 1, and Airy's, in NumPy: near 0 a Chebyshev series of what is left when the
logarithms and poles are taken away, far away amplitude and phase (M. Abramowitz, I. Stegun, chapters 9 and 10)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flambeau._backends.reference import tables
from flambeau._backends.reference.chebyshev import blockwise, piecewise, series
from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

# ---------------------------------------------------------------------------------------------- J and Y


def _waves(order: int, x: Any, exact: bool) -> tuple[Any, Any]:
    """J and Y of x >= 8, from the amplitude and the phase."""
    p_table, q_table = ((tables.P0_LARGE, tables.Q0_LARGE), (tables.P1_LARGE, tables.Q1_LARGE))[order]
    t = 2 * (8 / x) ** 2 - 1
    p, q = series(p_table, t, exact), series(q_table, t, exact) * (8 / x)
    # cos and sin of x - pi/4 - order pi/2, by those of x: a difference of large x would lose digits
    s, c = np.sin(x), np.cos(x)
    cosine, sine = (c + s, s - c) if order == 0 else (s - c, -(s + c))
    scale = 1 / np.sqrt(math.pi * x)
    return scale * (p * cosine - q * sine), scale * (p * sine + q * cosine)


def _j_small(order: int, x: Any, exact: bool) -> Any:
    t = x * x / 32 - 1
    return x * series(tables.J1_SMALL, t, exact) if order else series(tables.J0_SMALL, t, exact)


def _j(order: int) -> Callable[[Any], Any]:
    def bessel_j(x: Any, exact: bool) -> Any:
        """The Bessel function of the first kind."""
        a = np.abs(x)
        value = piecewise(a, a < 8, lambda b: _j_small(order, b, exact), lambda b: _waves(order, b, exact)[0])
        value = np.where(np.isinf(x), 0, value)
        return np.where(x < 0, -value, value) if order else value

    return blockwise(bessel_j)


def _y_small(order: int, x: Any, exact: bool) -> Any:
    t = x * x / 32 - 1
    wave = _j_small(order, x, True) * np.log(x)
    if order == 0:
        return series(tables.Y0_SMALL, t, exact) + wave * (2 / math.pi)
    return x * series(tables.Y1_SMALL, t, exact) + (wave - 1 / x) * (2 / math.pi)


def _y(order: int) -> Callable[[Any], Any]:
    def bessel_y(x: Any, exact: bool) -> Any:
        """The Bessel function of the second kind, for x >= 0."""
        value = piecewise(x, x < 8, lambda b: _y_small(order, b, exact), lambda b: _waves(order, b, exact)[1])
        return np.where(x > 0, np.where(np.isinf(x), 0, value), np.where(x == 0, -np.inf, np.nan))

    return blockwise(bessel_y)


bessel_j0, bessel_j1, bessel_y0, bessel_y1 = _j(0), _j(1), _y(0), _y(1)

# ---------------------------------------------------------------------------------------------- I and K


def _i_scaled(order: int, x: Any, exact: bool) -> Any:
    """exp(-x) I(x) for x >= 0."""
    small, large = ((tables.I0_SMALL, tables.I0_LARGE), (tables.I1_SMALL, tables.I1_LARGE))[order]

    def near(a: Any) -> Any:
        value = series(small, a / 4 - 1, exact)
        return a * value if order else value

    return piecewise(x, x < 8, near, lambda a: series(large, 16 / a - 1, exact) / np.sqrt(a))


def _i(order: int, scaled: bool) -> Callable[[Any], Any]:
    def bessel_i(x: Any, exact: bool) -> Any:
        """The modified Bessel function of the first kind."""
        a = np.abs(x)
        value = _i_scaled(order, a, exact)
        if not scaled:  # in two halves, since exp(a) overflows earlier than the product
            value = value * np.exp(a / 2) * np.exp(a / 2)
            value = np.where(np.isinf(a), a, value)
        return np.where(x < 0, -value, value) if order else value

    return blockwise(bessel_i)


def _k_small(order: int, x: Any, exact: bool) -> Any:
    t = x * x / 2 - 1
    growing = _i_scaled(order, x, True) * np.exp(x) * np.log(x / 2)
    if order == 0:
        return series(tables.K0_SMALL, t, exact) - growing
    return x * series(tables.K1_SMALL, t, exact) + growing + 1 / x


def _k(order: int, scaled: bool) -> Callable[[Any], Any]:
    table = (tables.K0_LARGE, tables.K1_LARGE)[order]

    def near(a: Any, exact: bool) -> Any:
        value = _k_small(order, a, exact)
        return value * np.exp(a) if scaled else value

    def far(a: Any, exact: bool) -> Any:
        value = series(table, 4 / a - 1, exact) / np.sqrt(a)
        return value if scaled else value * np.exp(-a)

    def bessel_k(x: Any, exact: bool) -> Any:
        """The modified Bessel function of the second kind, for x >= 0."""
        value = piecewise(x, x < 2, lambda a: near(a, exact), lambda a: far(a, exact))
        return np.where(x > 0, value, np.where(x == 0, np.inf, np.nan))

    return blockwise(bessel_k)


bessel_i0, bessel_i0e, bessel_i1, bessel_i1e = _i(0, False), _i(0, True), _i(1, False), _i(1, True)
bessel_k0, bessel_k0e, bessel_k1, bessel_k1e = _k(0, False), _k(0, True), _k(1, False), _k(1, True)

# ---------------------------------------------------------------------------------------------- Airy


def _airy_right(x: Any, exact: bool) -> Any:
    z = x * np.sqrt(x) * (2 / 3)
    z_start = 2 * math.sqrt(2) * (2 / 3)
    value = series(tables.AIRY_RIGHT, 2 * z_start / z - 1, exact) * np.exp(-z) / np.sqrt(np.sqrt(x))
    return np.where(np.isinf(x), 0, value)


def _airy_left(x: Any, exact: bool) -> Any:
    a = -x
    z = a * np.sqrt(a) * (2 / 3)
    ratio = (8 * 2 / 3) / z
    t = 2 * ratio * ratio - 1
    p, q = series(tables.AIRY_P, t, exact), series(tables.AIRY_Q, t, exact) * ratio
    s, c = np.sin(z), np.cos(z)
    return (p * (c + s) + q * (s - c)) * math.sqrt(0.5 / math.pi) / np.sqrt(np.sqrt(a))


def _airy_ai(x: Any, exact: bool) -> Any:
    """Airy's function Ai."""

    def not_right(b: Any) -> Any:
        return piecewise(
            b, b < -4, lambda a: _airy_left(a, exact), lambda a: series(tables.AIRY_MIDDLE, (a + 1) / 3, exact)
        )

    return piecewise(x, x < 2, not_right, lambda b: _airy_right(b, exact))


airy_ai = blockwise(_airy_ai)
