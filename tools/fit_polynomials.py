"""Makes flambeau/_backends/cpu/vectormath_tables.py, the coefficients of the CPU compiler's functions.

Every polynomial is the best one in the sense of Chebyshev, by the exchange algorithm of Remez (1934), for the error
times a weight; then its coefficients are rounded to doubles. `exact` terms serve float64 results, `single` terms those
that end as float32. Run it where mpmath is installed: `python tools/fit_polynomials.py > TABLES`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from mpmath import mp, mpf

mp.dps = 60


GRID = 40  # points of the search for extrema, for every term


class Fit(NamedTuple):
    """A function of u; for each precision its interval and number of terms; the weight of an error."""

    name: str
    comment: str
    function: Callable[[mpf], mpf]
    exact: tuple[float, float, int] | None
    single: tuple[float, float, int] | None
    weight: Callable[[mpf], mpf] = lambda u: mpf(1)


def best(fit: Fit, low: float, high: float, terms: int) -> list[float]:
    """Coefficients of 1, u, u^2... of the polynomial whose largest weighted error is least."""
    count = GRID * terms
    middle, radius = (mpf(low) + mpf(high)) / 2, (mpf(high) - mpf(low)) / 2
    grid = [middle - radius * mp.cos(mp.pi * (i + mpf(0.5)) / count) for i in range(count)]
    values, weights = [fit.function(u) for u in grid], [fit.weight(u) for u in grid]
    chosen = [min(count - 1, round((i + 0.5) * count / (terms + 1))) for i in range(terms + 1)]
    for _ in range(12):
        rows = [[*(grid[i] ** k for k in range(terms)), (-1) ** j / weights[i]] for j, i in enumerate(chosen)]
        solution = mp.lu_solve(mp.matrix(rows), mp.matrix([values[i] for i in chosen]))
        errors = [
            (mp.polyval(list(solution)[-2::-1], u) - y) * w for u, y, w in zip(grid, values, weights, strict=True)
        ]
        before, chosen = chosen, extrema(errors, terms + 1)
        if chosen == before:
            break
    return [float(c) for c in list(solution)[:-1]]


def extrema(errors: list[mpf], count: int) -> list[int]:
    """Where the error is largest between its changes of sign: `count` places side by side, the largest ones."""
    places = [0]
    for i, e in enumerate(errors):
        if e * errors[places[-1]] < 0:
            places.append(i)
        elif abs(e) > abs(errors[places[-1]]):
            places[-1] = i
    while len(places) > count:
        places.pop(0 if abs(errors[places[0]]) < abs(errors[places[-1]]) else -1)
    return places


def of_square(function: Callable[[mpf], mpf]) -> Callable[[mpf], mpf]:
    """The function in terms of z = u^2."""
    return lambda z: function(mp.sqrt(z))


def scaled_erfc(x: mpf) -> mpf:
    return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)


def erfinv_of(w: mpf) -> mpf:
    """erfinv(x) / x for the x with -log(1 - x^2) = w."""
    x = mp.sqrt(-mp.expm1(-w))
    complement = mp.exp(-w) / (1 + x)
    y = mp.sqrt(w) * mpf(0.9)
    for _ in range(100):  # Newton's method on erf(y) = x, by way of the complement
        step = (complement - mp.erfc(y)) * mp.sqrt(mp.pi) / 2 * mp.exp(y * y)
        y -= step / (1 + y * step)
        if abs(step) < mpf(10) ** -40:
            break
    return y / x


R = 0.3475  # ln(2) / 2 and a little more
S = 0.0295  # the largest s^2 for s = (m - 1) / (m + 1), sqrt(1/2) <= m <= sqrt(2)
Q = 0.6175  # (pi / 4)^2 and a little more

# In the order of the names: for float64 first, then for float64 that ends as float32 or float32 itself.
FITS = [
    Fit("EXP", "(exp(u) - 1 - u) / u^2, |u| <= ln(2) / 2", lambda u: (mp.expm1(u) - u) / u**2, (-R, R, 10), (-R, R, 6)),
    Fit("LOG", "(log((1 + s) / (1 - s)) - 2 s) / s^3, u = s^2, sqrt(1/2) <= (1 + s) / (1 - s) <= sqrt(2)",
        of_square(lambda s: (2 * mp.atanh(s) - 2 * s) / s**3), (0, S, 7), (0, S, 4)),
    Fit("LOG_REST", "the same, less 2/3, over u",
        of_square(lambda s: (2 * mp.atanh(s) - 2 * s) / s**5 - mpf(2) / 3 / s**2), (1e-12, S, 8), None),
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
    Fit("ERFC", "(1 + 2 x) exp(x^2) erfc(x), u = (x - 3.75) / (x + 3.75), 0.4 <= x <= 28 (exact), x <= 10.2 (single)",
        lambda t: scaled_erfc(mpf(3.75) * (1 + t) / (1 - t)), (-0.807, 0.765, 23), (-1 + 1e-9, 0.463, 13)),
    Fit("LOG1P", "(log(1 + u) - u + u^2 / 2) / u^3, sqrt(1/2) <= 1 + u <= sqrt(2)",
        lambda u: (mp.log1p(u) - u + u**2 / 2) / u**3, None, (-0.2930, 0.4143, 9),
        lambda u: abs(u) ** 3 / abs(mp.log1p(u))),
    Fit("EXP_FLOAT", "the same as EXP", lambda u: (mp.expm1(u) - u) / u**2, None, (-R, R, 5),
        lambda u: u**2),
    Fit("EXP2", "(2^u - 1) / u, |u| <= 1/2", lambda u: mp.expm1(u * mp.log(2)) / u, None, (-0.501, 0.501, 7)),
    Fit("TANH", "(tanh(x) / x - 1) / x^2, u = x^2, |x| <= 0.8",
        of_square(lambda x: (mp.tanh(x) / x - 1) / x**2), None, (0, 0.6401, 6), lambda u: u),
    Fit("ERF_NEAR", "erf(x) / x - 1, u = x^2, |x| <= 0.9",
        of_square(lambda x: mp.erf(x) / x - 1), None, (0, 0.8101, 7)),
    Fit("LOG_ERFC", "(log(erfc(u)) + u) / u, 0.9 <= u <= 4",
        lambda u: (mp.log(mp.erfc(u)) + u) / u, None, (0.899, 4, 7), lambda u: mp.erfc(u) * u),
    Fit("ERFINV_NEAR", "erfinv(x) / x, u = w - 5 / 2, w = -log(1 - x^2) <= 5",
        lambda u: erfinv_of(u + mpf(2.5)), None, (-2.5 + 1e-9, 2.5, 9)),
    Fit("ERFINV_FAR", "the same, u = sqrt(w) - 4, 5 <= w <= 37",
        lambda u: erfinv_of((u + 4) ** 2), None, (-1.7640, 2.083, 12)),
]  # fmt: skip


def main() -> None:
    print('"""Coefficients of polynomials, lowest power first. Made by tools/fit_polynomials.py."""\n')
    print("from __future__ import annotations\n\n# fmt: off")
    for fit in FITS:
        for suffix, interval in (("", fit.exact), ("_SINGLE", fit.single)):
            if interval is None:
                continue
            print(f"\n# {fit.comment}" if not suffix or fit.exact is None else "")
            listed, lines = best(fit, *interval), [""]
            for c in listed:
                if len(lines[-1]) + len(repr(c)) > 112:
                    lines.append("")
                lines[-1] += f" {c!r},"
            print(f"{fit.name}{suffix} = (", *(f"   {line}" for line in lines), ")", sep="\n")
    print("\n# the bits of 2 / pi after 64 zeros, in words of 64 bits\nTWO_OVER_PI = (")
    words = [f"0x{w:016X}," for w in two_over_pi()]
    print(*("    " + " ".join(words[i : i + 5]) for i in range(0, len(words), 5)), ")", sep="\n")


def two_over_pi() -> list[int]:
    """64 zeros, then the bits of 2 / pi, in words of 64: as many as the reduction of the largest double needs."""
    with mp.workdps(500):
        bits = int(mp.floor(2 / mp.pi * mpf(2) ** (20 * 64)))
    return [0] + [(bits >> (64 * i)) % 2**64 for i in reversed(range(20))]


if __name__ == "__main__":
    main()
