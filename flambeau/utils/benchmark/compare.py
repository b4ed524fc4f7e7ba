"""A table of measurements: `Compare`."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any

from flambeau.utils.benchmark.measurement import (
    Measurement,
    ordered_unique,
    select_unit,
    trim_sigfig,
    unit_to_english,
)

BEST, WORST, END = "\033[92m", "\033[91m", "\033[0m"


class Colorize(enum.Enum):
    """Among which times the best and the worst are coloured: nowhere, in a column, in a row."""

    NONE = "none"
    COLUMNWISE = "columnwise"
    ROWWISE = "rowwise"


class Compare:
    """Lays measurements out: a table for each label, a row for each sub-label (or statement) and number of threads, a
    column for each description. Those of the same thing are put together.

    Example::

        >>> from flambeau.utils.benchmark import Measurement, TaskSpec
        >>> spec = {"stmt": "f()", "setup": "", "label": "f"}
        >>> times = {"old": 3e-6, "new": 2e-6}
        >>> Compare([Measurement(1, [t], TaskSpec(**spec, description=d)) for d, t in times.items()]).print()
        [--------- f ---------]
                    | old | new
        1 threads: ------------
              f()   | 3.0 | 2.0
        <BLANKLINE>
        Times are in microseconds (us).
        <BLANKLINE>
    """

    def __init__(self, results: Iterable[Measurement]) -> None:
        self._results: list[Measurement] = []
        self.extend_results(results)
        self._trim = self._mark = False
        self._colorize = Colorize.NONE

    def extend_results(self, results: Iterable[Measurement]) -> None:
        """Add measurements. ValueError for anything else."""
        for result in results:
            if not isinstance(result, Measurement):
                raise ValueError(f"Expected an instance of `Measurement`, got {type(result)} instead.")
            self._results.append(result)

    def trim_significant_figures(self) -> None:
        """From now on show only figures that are sure."""
        self._trim = True

    def colorize(self, rowwise: bool = False) -> None:
        """From now on colour the best and the worst time of each column, or row."""
        self._colorize = Colorize.ROWWISE if rowwise else Colorize.COLUMNWISE

    def highlight_warnings(self) -> None:
        """From now on mark times that are not sure with (! and the interquartile range in percent)."""
        self._mark = True

    def print(self) -> None:
        """Print the tables."""
        print(str(self))

    def __str__(self) -> str:
        merged = Measurement.merge(self._results)
        labels = ordered_unique(m.task_spec.label or m.task_spec.stmt for m in merged)
        parts = [self._table(label, [m for m in merged if (m.task_spec.label or m.task_spec.stmt) == label])
                 for label in labels]  # fmt: skip
        return "\n\n".join(parts)

    def _table(self, label: str, results: list[Measurement]) -> str:
        unit, scale = select_unit(min(m.median for m in results))
        columns = ordered_unique(m.task_spec.description or "" for m in results)
        rows = sorted(ordered_unique(_row_key(m) for m in results), key=lambda row: row[:2])
        cells = {(_row_key(m), m.task_spec.description or ""): m for m in results}
        texts = {place: self._time(m, scale) for place, m in cells.items()}
        widths = {c: max(len(c), *(len(texts[r, c]) for r in rows if (r, c) in texts)) for c in columns}
        stub = max([len(name) + 6 for *_, name in rows] + [len(f"{r[0]} threads: ") for r in rows])
        head = " " * stub + "".join(f" | {c:>{widths[c]}}" for c in columns)
        lines, last = [f"[{f' {label} ':-^{len(head) - 2}}]", head], None
        for row in rows:
            threads, env, name = row
            if last != (threads, env):
                about = f"{threads} threads: " + (f"({env}) " if env else "")
                lines.append(about + "-" * (len(head) - len(about)))
                last = threads, env
            shown = [self._coloured(texts.get((row, c), ""), widths[c], row, c, cells) for c in columns]
            lines.append(f"      {name}".ljust(stub) + "".join(f" | {text}" for text in shown))
        return "\n".join([*lines, "", f"Times are in {unit_to_english(unit)}s ({unit}).", ""])

    def _time(self, m: Measurement, scale: float) -> str:
        figures = m.significant_figures if self._trim else 4
        value = m.median / scale
        text = f"{trim_sigfig(value, figures):.1f}" if not self._trim else f"{trim_sigfig(value, figures):g}"
        return f"(! {100 * m.iqr / m.median:.0f}%) {text}" if self._mark and m.has_warnings else text

    def _coloured(self, text: str, width: int, row: Any, column: str, cells: dict) -> str:
        shown = text.rjust(width)
        if self._colorize is Colorize.NONE or (row, column) not in cells:
            return shown
        rowwise = self._colorize is Colorize.ROWWISE
        rivals = [m.median for (r, c), m in cells.items() if (r == row if rowwise else c == column)]
        mine = cells[row, column].median
        if len(rivals) < 2 or mine not in (min(rivals), max(rivals)):
            return shown
        return (BEST if mine == min(rivals) else WORST) + shown + END


def _row_key(m: Measurement) -> tuple[int, str, str]:
    return m.task_spec.num_threads, m.task_spec.env or "", m.as_row_name
