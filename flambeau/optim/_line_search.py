"""A line search for the strong Wolfe conditions.

Nocedal & Wright, "Numerical Optimization", algorithms 3.5 (bracket) and 3.6 (zoom), with the safeguards of M. Schmidt's
minFunc: along a direction, find a step that lowers the loss enough (`c1`) and flattens the slope enough (`c2`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class Point(NamedTuple):
    """The function at step `t`: its value, its gradient there, and its slope along the direction."""

    t: float
    loss: float
    grad: Any
    slope: float


def strong_wolfe(
    evaluate: Callable[[float], Point], start: Point, t: float, size: float, *, tolerance: float, max_steps: int,
    c1: float = 1e-4, c2: float = 0.9,
) -> tuple[Point, int]:  # fmt: skip
    """The best point found from `start` (at step 0), first trying `t`, and how often the function was evaluated.

    `size` is the largest element of the direction: a bracket whose ends are nearer than `tolerance` ends the search.
    """

    def too_high(point: Point) -> bool:
        return point.loss > start.loss + c1 * point.t * start.slope

    def flat(point: Point) -> bool:
        return abs(point.slope) <= -c2 * start.slope

    previous, point = start, evaluate(t)
    evaluations, steps = 1, 0
    while steps < max_steps:  # go ahead until a good point lies behind
        if too_high(point) or (steps > 1 and point.loss >= previous.loss):
            bracket = [previous, point]
            break
        if flat(point):
            return point, evaluations
        if point.slope >= 0:
            bracket = [previous, point]
            break
        bounds = point.t + 0.01 * (point.t - previous.t), point.t * 10
        previous, point = point, evaluate(cubic_minimum(previous, point, bounds))
        evaluations, steps = evaluations + 1, steps + 1
    else:
        bracket = [start, point]

    low = int(bracket[1].loss < bracket[0].loss)
    hesitated = False
    while steps < max_steps and abs(bracket[1].t - bracket[0].t) * size >= tolerance:
        t, hesitated = inner_step(bracket, hesitated)
        point = evaluate(t)
        evaluations, steps = evaluations + 1, steps + 1
        if too_high(point) or point.loss >= bracket[low].loss:
            bracket[1 - low] = point
            low = int(bracket[1].loss < bracket[0].loss)
            continue
        if flat(point):
            return point, evaluations
        if point.slope * (bracket[1 - low].t - bracket[low].t) >= 0:
            bracket[1 - low] = bracket[low]
        bracket[low] = point
    return bracket[low], evaluations


def inner_step(bracket: list[Point], hesitated: bool) -> tuple[float, bool]:
    """Where to look inside the bracket, and whether that was near an end; the second time it is moved inwards."""
    t = cubic_minimum(bracket[0], bracket[1])
    left, right = sorted(point.t for point in bracket)
    margin = 0.1 * (right - left)
    if min(right - t, t - left) >= margin:
        return t, False
    if not hesitated and left < t < right:
        return t, True
    return (right - margin if abs(t - right) < abs(t - left) else left + margin), False


def cubic_minimum(a: Point, b: Point, bounds: tuple[float, float] | None = None) -> float:
    """The minimum of the cubic with the values and slopes of `a` and `b`, kept within `bounds` (default: between them).

    Where the cubic has none, the middle of the bounds. Nocedal & Wright, equation 3.59.
    """
    a, b = (a, b) if a.t <= b.t else (b, a)
    low, high = bounds or (a.t, b.t)
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    discriminant = d1 * d1 - a.slope * b.slope
    if discriminant >= 0:
        d2 = math.sqrt(discriminant)
        scale = b.slope - a.slope + 2 * d2
        if scale != 0:
            t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / scale)
            if math.isfinite(t):
                return min(max(t, low), high)
    return (low + high) / 2
