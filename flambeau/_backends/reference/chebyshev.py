"""How the special functions of this folder are evaluated: Chebyshev series in blocks that stay in the cache."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

BLOCK = 8192  # elements, 64 KiB of float64: what a block passes through stays in the second-level cache
SINGLE = 1e-10  # coefficients below this share of the largest change no float32


@cache
def powers(table: tuple[float, ...]) -> tuple[float, ...]:
    """The terms of a series that a float32 result can notice, as a polynomial in t: its coefficients, highest first.

    Powers of t lose digits that Chebyshev's polynomials keep, but of so few terms none that float32 has."""
    limit = SINGLE * max(map(abs, table))
    table = table[: max(i + 1 for i, c in enumerate(table) if abs(c) > limit)]
    later, last = [0.0], [0.0]  # lowest first, as long as each other
    for coefficient in table[:0:-1]:
        fresh = [2 * a - b for a, b in zip([0.0, *last], [*later, 0.0], strict=True)]
        fresh[0] += coefficient
        later, last = [*last, 0.0], fresh
    result = [a - b for a, b in zip([0.0, *last], [*later, 0.0], strict=True)]
    result[0] += table[0]
    return tuple(result[len(table) - 1 :: -1])


def series(table: tuple[float, ...], t: Any, exact: bool) -> Any:
    """The sum of table[k] T_k(t): by Clenshaw's recurrence (1955) if `exact`, else of fewer terms, by Horner's."""
    if not exact:
        highest, *rest = powers(table)
        result = np.full_like(t, highest)
        for coefficient in rest:
            result *= t
            result += coefficient
        return result
    twice = t + t
    later = np.zeros_like(t)
    last = np.full_like(t, table[-1])
    for coefficient in table[-2:0:-1]:
        fresh = twice * last
        fresh -= later
        fresh += coefficient
        last, later = fresh, last
    result = t * last
    result -= later
    result += table[0]
    return result


def blockwise(function: Callable[[Any, bool], Any]) -> Callable[[Any], Any]:
    """Makes of `function`, which takes a block of float64 and whether all their digits count, one of any array."""

    def whole(x: Any) -> Any:
        x = np.asarray(x)
        flat, result, exact = x.reshape(-1), np.empty(x.size, x.dtype), x.dtype == np.float64
        with np.errstate(all="ignore"):
            for start in range(0, x.size, BLOCK):
                part = slice(start, start + BLOCK)
                result[part] = function(flat[part].astype(np.float64), exact)
        return result.reshape(x.shape)

    whole.__name__, whole.__doc__ = function.__name__, function.__doc__
    return whole


def piecewise(x: Any, below: Any, left: Callable[[Any], Any], right: Callable[[Any], Any]) -> Any:
    """`left` of the elements in the mask `below`, `right` of the others, each computed where it is wanted only."""
    if below.all():
        return left(x)
    if not below.any():
        return right(x)
    result = np.empty_like(x)
    result[below] = left(x[below])
    above = ~below
    result[above] = right(x[above])
    return result
