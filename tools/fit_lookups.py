"""Makes flambeau/_backends/cpu/vectormath_lookup_tables.py: erf and tanh by intervals, for tables held in registers.

On each interval f(c + t) = C + t P(t). The centre c is chosen so that C = f(c) is nearly a float32 (S. Gal, ACM TOMS
17, 1991); P fits at Chebyshev's nodes, and after each coefficient is rounded to float32 those after it are fitted anew.
Run it where mpmath is installed: `python tools/fit_lookups.py > TABLES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from mpmath import mp, mpf

mp.prec = 120
CANDIDATES = 1500  # float32 numbers on either side of the middle that may become the centre
FLAT = 1e-4  # where the function is flatter than that, its inverse finds the centre

Real = Callable[[mpf], mpf]


def rounded(x: mpf) -> mpf:
    """The nearest float32."""
    return mpf(float(np.float32(float(x))))


def centre(function: Real, middle: float) -> tuple[mpf, mpf]:
    """A float32 near the middle at which the function is nearly one, and that one."""
    if mp.diff(function, middle) < FLAT:
        value = rounded(function(mpf(middle)))
        return rounded(mp.findroot(lambda x: function(x) - value, middle)), value
    low = high = np.float32(middle)
    found = [low]
    for _ in range(CANDIDATES):
        low, high = np.nextafter(low, np.float32(0)), np.nextafter(high, np.float32(100))
        found += [low, high]
    c = min((mpf(float(x)) for x in found), key=lambda x: abs(function(x) - rounded(function(x))))
    return c, rounded(function(c))


def fitted(function: Real, low: float, high: float, powers: Sequence[int]) -> list[mpf]:
    """Float32 coefficients of these powers of u."""
    count = 8 * len(powers)
    nodes = [mpf(low + high) / 2 + mpf(high - low) / 2 * mp.cos(mp.pi * (k + mpf(0.5)) / count) for k in range(count)]
    left, found = [function(u) for u in nodes], []
    for j, power in enumerate(powers):
        rows = [[u**p for p in powers[j:]] for u in nodes]
        found.append(rounded(mp.lu_solve(mp.matrix(rows), mp.matrix(left))[0]))
        left = [y - found[-1] * u**power for y, u in zip(left, nodes, strict=True)]
    return found


def interval(function: Real, low: float, high: float, degree: int) -> list[mpf]:
    """Centre, value there, and coefficients of t, t^2..."""
    c, value = centre(function, (low + high) / 2)
    step = fitted(lambda t: function(c + t) - value, float(low - c), float(high - c), range(1, degree + 1))
    return [c, value, *step]


def of_square(function: Real, power: int) -> Real:
    """((f(x) / x - 1) / x^power as a function of x^2."""
    return lambda u: (function(mp.sqrt(u)) / mp.sqrt(u) - 1) / mp.sqrt(u) ** power


def erf_rows() -> list[list[mpf]]:
    """Intervals around multiples of 1/4, by the lowest 4 bits of their number; from 4 on it is 1."""
    rows = [interval(mp.erf, i / 4 - 0.125, i / 4 + 0.125, 5) for i in range(2, 16)]
    return [[mpf(4), mpf(1), *[mpf(0)] * 5], rows[0], *rows]


def erf_eight_rows() -> list[list[mpf]]:
    """Intervals around multiples of 1/2 up to 4, from 1/2 on, by the lowest 3 bits of their number."""
    ends = [0.5, *[i / 2 + 0.25 for i in range(1, 8)], 4.0]
    rows = [interval(mp.erf, low, high, 7) for low, high in pairwise(ends)]
    return [rows[-1], *rows[:-1]]


def tanh_rows() -> list[list[mpf]]:
    """Four intervals for each power of 2 from 1/2 to 8, by the lowest 5 bits above the 21st."""
    rows = [[mpf(8), mpf(1), *[mpf(0)] * 6]] * 32
    for low in np.float32([0.5, 1, 2, 4, 8]):
        for part in range(4 if low < 8 else 1):
            start = low * np.float32(1 + part / 4)
            rows[start.view(np.int32) >> 21 & 31] = interval(mp.tanh, float(start), float(start + low / 4), 6)
    return rows


def tanh_eight_rows() -> list[list[mpf]]:
    """Two intervals for each power of 2 times 9.1 / 16, by the lowest 3 bits above the 22nd of x 16 / 9.1."""
    ends = [9.1 / 16 * x for x in (1, 1.5, 2, 3, 4, 6, 8, 12, 16)]
    rows = [interval(mp.tanh, low, high, 7) for low, high in pairwise(ends)]
    return [*rows[2:], *rows[:2]]


def wrapped(first: str, numbers: Sequence[mpf], indent: str) -> list[str]:
    """Lines of a tuple's numbers."""
    lines, line = [], first
    for x in numbers:
        item = f"{float(x)!r}, "
        if len(line) + len(item) > 120:
            lines.append(line.rstrip())
            line = indent
        line += item
    return [*lines, line.rstrip()]


def table(name: str, comment: str, rows: Sequence[Sequence[mpf]]) -> str:
    """Rows of centres, values and coefficients, made from those of each interval."""
    lines = [f"# {comment}", f"{name} = ("]
    for row in zip(*rows, strict=True):
        lines += wrapped("    (", row, "     ")
        lines[-1] = lines[-1].rstrip(",") + "),"
    return "\n".join([*lines, ")"])


def series(name: str, comment: str, coefficients: Sequence[mpf]) -> str:
    return "\n".join([f"# {comment}", f"{name} = (", *wrapped("    ", coefficients, "    "), ")"])


if __name__ == "__main__":
    parts = [
        '"""Tables of functions by intervals, one row each: centres, values there, then coefficients, the lowest power '
        'first.\n\nMade by tools/fit_lookups.py.\n"""',
        "from __future__ import annotations",
        "# fmt: off",
        table("ERF_LOOKUP", "erf(c + t), intervals of 1/4", erf_rows()),
        series("ERF_NEAR", "erf(x) / x - 1, u = x^2, |x| <= 1/2", fitted(of_square(mp.erf, 0), 0, 0.26, range(5))),
        table("ERF_EIGHT", "erf(c + t), intervals of 1/2", erf_eight_rows()),
        table("TANH_LOOKUP", "tanh(c + t), intervals of 1/8 to 2", tanh_rows()),
        table("TANH_EIGHT", "tanh(c + t), intervals of 0.28 to 2.28", tanh_eight_rows()),
        series("TANH_NEAR", "(tanh(x) / x - 1) / x^2, u = x^2, |x| <= 1/2",
               fitted(of_square(mp.tanh, 2), 0, 0.25, range(5))),
        series("TANH_EIGHT_NEAR", "the same, |x| <= 0.57",
               fitted(of_square(mp.tanh, 2), 0, 0.325, range(6))),
    ]  # fmt: skip
    print("\n\n".join(parts))
