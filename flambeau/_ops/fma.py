"""Fused multiply-add, a * b + c with a single rounding, in plain NumPy.

Compilers contract `x * (high - low) + low` into one fused instruction where the CPU has it, so a kernel that wants the
same bits needs it too, and NumPy has none. The method rounds the inexact part "to odd", after which a second rounding
is harmless: S. Boldo, G. Melquiond: Emulation of a FMA and correctly rounded sums: proved algorithms using rounding to
odd. IEEE Transactions on Computers 57 (2008).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

SPLITTER = 2.0**27 + 1  # cuts a float64 into two halves of 26 bits (Dekker, 1971; Veltkamp)


def fma(a: np.ndarray, b: float, c: float) -> np.ndarray:
    """a * b + c rounded once; float32 or float64 as `a` is, to which the numbers b and c are rounded first.

    Exact but for overflow in between and results below the normal range.

    Example::

        >>> a = np.array([1 + 2.0**-30])
        >>> fma(a, 1 + 2.0**-30, -1.0).item() == 2.0**-29 + 2.0**-60
        True
    """
    kind = a.dtype.type
    b, c = float(kind(b)), float(kind(c))
    if c == 0.0:
        return a * kind(b) + kind(c)  # the sum makes -0.0 + 0.0 the positive zero
    return _fma_single(a, b, c) if a.dtype == np.float32 else _fma_double(a, b, c)


def _fma_single(a: np.ndarray, b: float, c: float) -> np.ndarray:
    product = a.astype(np.float64)
    product *= b  # exact: 24 + 24 bits fit in 53
    total = product + c
    # Rounding twice goes wrong only where the first rounding landed on the middle between two float32.
    middle = np.flatnonzero((total.view(np.int64) & 0x1FFFFFFF) == 0x10000000)
    if middle.size:
        total[middle] = _add_to_odd(product[middle], np.float64(c))
    return total.astype(np.float32)


def _fma_double(a: np.ndarray, b: float, c: float) -> np.ndarray:
    high, low = _two_product(a, b)
    inner, inner_low = _two_sum(low, np.float64(c))
    total, total_low = _two_sum(high, inner)
    return total + _add_to_odd(total_low, inner_low)


def _two_product(a: np.ndarray, b: float) -> tuple[np.ndarray, np.ndarray]:
    """The rounded product and what rounding lost (Dekker, 1971)."""
    product = a * b
    a_high, a_low = _split(a)
    b_high, b_low = _split(np.float64(b))
    return product, a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)


def _split(x: Any) -> tuple[Any, Any]:
    big = x * SPLITTER
    high = big - (big - x)
    return high, x - high


def _two_sum(a: np.ndarray, b: np.ndarray | np.float64) -> tuple[np.ndarray, np.ndarray]:
    """The rounded sum and what rounding lost (Knuth)."""
    total = a + b
    b_part = total - a
    return total, (a - (total - b_part)) + (b - b_part)


def _add_to_odd(a: np.ndarray, b: np.ndarray | np.float64) -> np.ndarray:
    """a + b, an inexact sum becoming that neighbour whose last bit is 1."""
    total, lost = _two_sum(a, b)
    bits = total.view(np.int64)
    even = (lost != 0) & (bits & 1 == 0)
    away = np.where((lost > 0) == (total > 0), 1, -1)  # towards the lost part, in units of the last place
    return np.where(even, bits + away, bits).view(np.float64)
