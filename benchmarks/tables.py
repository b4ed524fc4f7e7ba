"""Printing what was measured: a line a workload as it is done, and the summary."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from ceilings import Ceilings
from harness import FRAMEWORKS, Row

OTHERS = FRAMEWORKS[2:]
NAMES = {"replay": "Flambeau, compiled", "eager": "PyTorch", "compile": "torch.compile", "jax": "JAX"}
WORST = 10
WIDTH = 56
HEAD = f"| {'workload':{WIDTH}} | Flambeau | compiled | PyTorch  | × PyTorch | × compile | × JAX  | ceiling | notes |"
RULE = "|" + "|".join("-" * width for width in (WIDTH + 2, 10, 10, 10, 11, 11, 8, 9, 7)) + "|"


def duration(seconds: float) -> str:
    """Example: 1.23e-5 is `12.3 µs`."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def ratio(row: Row, other: str) -> float | None:
    """How many times as fast as the other Flambeau is: the median over the rounds."""
    ours, theirs = row.seconds.get("flambeau"), row.seconds.get(other)
    if not ours or not theirs:
        return None
    return statistics.median(b / a for a, b in zip(ours, theirs, strict=False))


def ceiling_share(row: Row, ceilings: Ceilings | None) -> str:
    """The part of what the machine could do at most."""
    if ceilings is None or "flambeau" not in row.seconds:
        return ""
    least = max(row.flops / ceilings.flops, row.traffic / ceilings.bandwidth)
    return f"{least / statistics.median(row.seconds['flambeau']):.0%}" if least else ""


def line(row: Row, ceilings: Ceilings | None) -> str:
    times = [duration(statistics.median(row.seconds[f])) if f in row.seconds else "" for f in FRAMEWORKS[:3]]
    ratios = ["" if (r := ratio(row, other)) is None else f"{r:.2f}" for other in OTHERS]
    notes = [row.note] if row.note else []
    notes += [f"{NAMES.get(framework, 'Flambeau')}: {text[:160]}" for framework, text in row.problems.items()]
    numbers = f"{times[0]:>8} | {times[1]:>8} | {times[2]:>8} | {ratios[0]:>9} | {ratios[1]:>9} | {ratios[2]:>6}"
    return f"| {row.name:{WIDTH}} | {numbers} | {ceiling_share(row, ceilings):>7} | {'; '.join(notes)} |"


def summary(rows: Sequence[Row]) -> str:
    """Geometric means, and the rows where Flambeau is furthest behind."""
    lines = [f"| Flambeau beside | rows | geometric mean | {WORST} worst |", "|---|---|---|---|"]
    for other in OTHERS:
        ratios = sorted((r, row.name) for row in rows if (r := ratio(row, other)) is not None)
        if ratios:
            mean = statistics.geometric_mean([r for r, _ in ratios])
            worst = "; ".join(f"{name}: {r:.2f}" for r, name in ratios[:WORST])
            lines.append(f"| {NAMES[other]} | {len(ratios)} | × {mean:.2f} | {worst} |")
    wrong = [f"- {row.group}: {row.name}: {f}: {text}" for row in rows for f, text in row.problems.items()]
    if wrong:
        lines += ["", f"Not as it should be ({len(wrong)}):", "", *wrong]
    return "\n".join(lines)
