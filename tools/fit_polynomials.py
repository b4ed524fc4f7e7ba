"""Makes flambeau/_backends/cpu/vectormath_tables.py, the coefficients of the CPU compiler's functions.

Every polynomial interpolates its function in Chebyshev nodes, which is within a small factor of the best there is, with
60 digits (mpmath); then its coefficients are rounded to doubles. `exact` terms serve float64 results, `single` terms
those that end as float32. Run it where mpmath is installed: `python tools/fit_polynomials.py > TABLES`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from mpmath import mp, mpf

mp.dps = 60


class Fit(NamedTuple):
    """A function of u on an interval (one for each precision), and its number of terms in both."""

    name: str
    comment: str
    function: Callable[[mpf], mpf]
    exact: tuple[float, float, int]
    single: tuple[float, float, int] | None = None


def polynomial(function: Callable[[mpf], mpf], low: float, high: float, terms: int) -> list[float]:
    """Coefficients of 1, u, u^2... of the interpolating polynomial."""
    middle, radius = (mpf(low) + mpf(high)) / 2, (mpf(high) - mpf(low)) / 2
    nodes = [middle + radius * mp.cos(mp.pi * (2 * i + 1) / (2 * terms)) for i in range(terms)]
    powers = mp.matrix([[u**k for k in range(terms)] for u in nodes])
    return [float(c) for c in mp.lu_solve(powers, mp.matrix([function(u) for u in nodes]))]


def of_square(function: Callable[[mpf], mpf]) -> Callable[[mpf], mpf]:
    """The function in terms of z = u^2."""
    return lambda z: function(mp.sqrt(z))


def scaled_erfc(t: mpf) -> mpf:
    x = mpf(3.75) * (1 + t) / (1 - t)
    return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)


def erfinv_tail(s: mpf) -> mpf:
    """erfinv(x) for s = sqrt(-log(1 - x^2)), over s: x is found from s exactly."""
    x = mp.sqrt(-mp.expm1(-s * s))
    start = s
    return mp.findroot(lambda y: mp.log(mp.erfc(y)) - mp.log1p(-x), start) / s


def erfinv_middle(w: mpf) -> mpf:
    """erfinv(x) / x for w = -log(1 - x^2)."""
    x = mp.sqrt(-mp.expm1(-w))
    return mp.erfinv(x) / x


R = 0.3475  # ln(2) / 2 and a little more
S = 0.0295  # the largest s^2 for s = (m - 1) / (m + 1), sqrt(1/2) <= m <= sqrt(2)
Q = 0.6175  # (pi / 4)^2 and a little more

FITS = [
    Fit("EXP", "(exp(u) - 1 - u) / u^2, |u| <= ln(2) / 2", lambda u: (mp.expm1(u) - u) / u**2, (-R, R, 10), (-R, R, 6)),
    Fit("LOG", "(log((1 + s) / (1 - s)) - 2 s) / s^3, u = s^2, sqrt(1/2) <= (1 + s) / (1 - s) <= sqrt(2)",
        of_square(lambda s: (2 * mp.atanh(s) - 2 * s) / s**3), (0, S, 7), (0, S, 4)),
    Fit("SIN", "(sin(x) - x) / x^3, u = x^2, |x| <= pi / 4",
        of_square(lambda x: (mp.sin(x) - x) / x**3), (0, Q, 6), (0, Q, 4)),
    Fit("COS", "(cos(x) - 1 + x^2 / 2) / x^4, u = x^2, |x| <= pi / 4",
        of_square(lambda x: (mp.cos(x) - 1 + x**2 / 2) / x**4), (0, Q, 6), (0, Q, 4)),
    Fit("ATAN", "(atan(x) - x) / x^3, u = x^2, |x| <= tan(pi / 8)",
        of_square(lambda x: (mp.atan(x) - x) / x**3), (0, 0.1717, 12), (0, 0.1717, 7)),
    Fit("ASIN", "(asin(x) - x) / x^3, u = x^2, |x| <= 1/2",
        of_square(lambda x: (mp.asin(x) - x) / x**3), (0, 0.2501, 14), (0, 0.2501, 8)),
    Fit("ERF", "erf(x) / x - 1, u = x^2, |x| <= 1",
        of_square(lambda x: mp.erf(x) / x - 1), (0, 1, 13), (0, 1, 9)),
    Fit("ERFC", "(1 + 2 x) exp(x^2) erfc(x), u = (x - 3.75) / (x + 3.75), 0.4 <= x <= 28 (exact), 11 (single)",
        scaled_erfc, (-0.807, 0.765, 23), (-0.807, 0.492, 12)),
]  # fmt: skip


def main() -> None:
    print('"""Coefficients of polynomials, lowest power first. Made by tools/fit_polynomials.py."""\n')
    print("from __future__ import annotations\n\n# fmt: off")
    for fit in FITS:
        for suffix, interval in (("", fit.exact), ("_SINGLE", fit.single)):
            if interval is None:
                continue
            print(f"\n# {fit.comment}" if not suffix else "")
            listed, lines = polynomial(fit.function, *interval), [""]
            for c in listed:
                if len(lines[-1]) + len(repr(c)) > 112:
                    lines.append("")
                lines[-1] += f" {c!r},"
            print(f"{fit.name}{suffix} = (", *(f"   {line}" for line in lines), ")", sep="\n")


if __name__ == "__main__":
    main()
