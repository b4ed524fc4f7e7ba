"""Fused multiply-add against exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flambeau._ops.fma import fma


def nearest(exact: Fraction, kind: type[np.floating]) -> float:
    """The float of this kind closest to a rational number, the even one of two equally close."""
    guess = kind(float(exact))
    around = [np.nextafter(guess, kind(-np.inf)), guess, np.nextafter(guess, kind(np.inf))]
    bits = f"i{guess.itemsize}"
    return float(min(around, key=lambda c: (abs(Fraction(float(c)) - exact), int(c.view(bits)) & 1)))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=5), st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_one_rounding(kind: type[np.floating], a: list[float], b: float, c: float) -> None:
    # Far below 1 the exact result could be subnormal, which the docstring excludes.
    b, c = (float(kind(x)) if abs(x) > 1e-3 else 1.0 for x in (b, c))
    a = [float(kind(x)) if x > 1e-3 else 0.75 for x in a]
    assert fma(np.array(a, kind), b, c).tolist() == [nearest(Fraction(x) * Fraction(b) + Fraction(c), kind) for x in a]


# Products whose last bits decide: rounding the product first, or rounding twice, gives the neighbour.
CASES = [
    (np.float64, 1 + 2.0**-30, 1 + 2.0**-30, -1.0),
    (np.float64, 1 + 2.0**-52, 1 - 2.0**-53, 2.0**-54),
    (np.float64, 1 + 2.0**-27, 1 + 2.0**-27, 2.0**53),
    (np.float64, 1 + 2.0**-27, 1 - 2.0**-27, 2.0**53),
    (np.float32, 1 + 2.0**-23, 1 + 2.0**-23, 2.0**24),
    (np.float32, 1 + 2.0**-23, 1 - 2.0**-23, 2.0**24 + 2),
    (np.float32, 1 + 2.0**-20, 1 + 2.0**-20, -(2.0**24) - 2),
]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("kind", "a", "b", "c"), CASES)
def test_results_that_hang_on_the_last_bit(kind: type[np.floating], a: float, b: float, c: float, sign: int) -> None:
    expected = nearest(sign * (Fraction(a) * Fraction(b) + Fraction(c)), kind)
    assert fma(np.array([sign * a], kind), b, sign * c).tolist() == [expected]


def test_a_sum_in_the_middle_between_two_float32_is_rounded_once() -> None:
    a, b, c = 1 + 2.0**-23, 2.0**-24 - 2.0**-47, 1 + 2.0**-23  # 2**-70 below the middle, which float64 cannot tell
    assert fma(np.array([a], np.float32), b, c).item() == nearest(Fraction(a) * Fraction(b) + Fraction(c), np.float32)
    assert np.float32(np.float64(a) * b + c) != fma(np.array([a], np.float32), b, c)[0]
