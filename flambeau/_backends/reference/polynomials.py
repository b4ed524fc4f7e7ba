"""Orthogonal polynomials in NumPy, by their recurrences (M. Abramowitz, I. Stegun, chapter 22)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


def _chebyshev(k: int, x: Any, p: Any, q: Any) -> Any:
    return 2 * x * p - q


# family: (the polynomial of degree 1, the next of degree k + 1 from those of degree k and k - 1)
FAMILIES: dict[str, tuple[Callable[[Any], Any], Callable[[int, Any, Any, Any], Any]]] = {
    "chebyshev_t": (lambda x: x, _chebyshev),
    "chebyshev_u": (lambda x: 2 * x, _chebyshev),
    "chebyshev_v": (lambda x: 2 * x - 1, _chebyshev),
    "chebyshev_w": (lambda x: 2 * x + 1, _chebyshev),
    "hermite_h": (lambda x: 2 * x, lambda k, x, p, q: 2 * (x * p - k * q)),
    "hermite_he": (lambda x: x, lambda k, x, p, q: x * p - k * q),
    "laguerre_l": (lambda x: 1 - x, lambda k, x, p, q: ((2 * k + 1 - x) * p - k * q) / (k + 1)),
    "legendre_p": (lambda x: x, lambda k, x, p, q: ((2 * k + 1) * x * p - k * q) / (k + 1)),
}


def polynomial(family: str, x: Any, n: Any) -> Any:
    """The polynomial of degree n (its integer part; 0 below degree 0) of a family, at x."""
    x, n = np.broadcast_arrays(np.asarray(x), np.asarray(n))
    first, following = FAMILIES[family]
    y, degree = x.astype(np.float64), np.nan_to_num(np.trunc(n.astype(np.float64)), posinf=-1)
    with np.errstate(all="ignore"):
        lower, current = np.ones_like(y), first(y)
        result = np.where(degree == 0, lower, np.where(degree == 1, current, 0.0))
        for k in range(1, int(degree.max(initial=0))):
            lower, current = current, following(k, y, current, lower)
            result = np.where(degree == k + 1, current, result)
        result = np.where(np.isnan(y) & (degree >= 0), np.nan, result)
    return result.astype(x.dtype)
