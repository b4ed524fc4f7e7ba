"""What a timer found: `Measurement`, and how times are written."""

from __future__ import annotations

import math
import statistics
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

UNITS = {"ns": (1e-9, "nanosecond"), "us": (1e-6, "microsecond"), "ms": (1e-3, "millisecond"), "s": (1, "second")}
MOST_FIGURES = 4
LEAST_ERROR = 25e-9  # seconds; no clock is better
# The interquartile range, as a share of the median, from which on a measurement is doubted.
DOUBTFUL, UNSTEADY = 0.1, 0.25


@dataclass(frozen=True)
class TaskSpec:
    """What was measured: the statement, and how it is called in reports."""

    stmt: str
    setup: str
    global_setup: str = ""
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    env: str | None = None
    num_threads: int = 1

    @property
    def title(self) -> str:
        """The label, or else the statement."""
        if self.label is None and "\n" in self.stmt:
            label = f" ({self.sub_label})" if self.sub_label else ""
            return f"stmt:{label}\n{textwrap.indent(self.stmt, '  ')}"
        return (self.stmt if self.label is None else self.label) + (f": {self.sub_label}" if self.sub_label else "")

    def setup_str(self) -> str:
        """The setup, if there is any."""
        if self.setup in ("", "pass"):
            return ""
        return f"setup:\n{textwrap.indent(self.setup, '  ')}" if "\n" in self.setup else f"setup: {self.setup}"

    def summarize(self) -> str:
        """Title, description and setup, a line or a paragraph each."""
        parts = [self.title, self.description or "", self.setup_str()]
        return "\n".join([f"{part}\n" if "\n" in part else part for part in parts if part])


FIELDS = tuple(field.name for field in fields(TaskSpec))


@dataclass(repr=False)
class Measurement:
    """Times of a statement, in seconds: `raw_times` are of `number_per_run` runs each. The fields of `task_spec` are
    attributes, too.

    Example::

        >>> m = Measurement(10, [1e-3, 2e-3, 3e-3], TaskSpec("f(x)", "pass"))
        >>> m.median, m.stmt
        (0.0002, 'f(x)')
    """

    number_per_run: int
    raw_times: list[float]
    task_spec: TaskSpec
    metadata: dict[Any, Any] | None = None

    def __getattr__(self, name: str) -> Any:
        if name in FIELDS:
            return getattr(self.task_spec, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def times(self) -> list[float]:
        """The times of one run."""
        return [t / self.number_per_run for t in self.raw_times]

    def _quantile(self, q: float) -> float:
        times = sorted(self.times)
        place = q * (len(times) - 1)
        low = math.floor(place)
        return times[low] + (place - low) * (times[min(low + 1, len(times) - 1)] - times[low])

    @property
    def median(self) -> float:
        """The time that half of the runs stay below."""
        return self._quantile(0.5)

    @property
    def mean(self) -> float:
        """The mean time."""
        return statistics.fmean(self.times)

    @property
    def iqr(self) -> float:
        """The interquartile range: that of the middle half of the times."""
        return self._quantile(0.75) - self._quantile(0.25)

    @property
    def significant_figures(self) -> int:
        """How many figures of the median are sure, 1 to 4: by the deviation of the times in the middle half."""
        n = len(self.raw_times)
        middle = sorted(self.times)[n // 4 : math.ceil(3 * n / 4)]
        error = max(1.645 * statistics.pstdev(middle) / math.sqrt(len(middle)), LEAST_ERROR)
        return min(max(math.floor(math.log10(self.median / error)), 1), MOST_FIGURES)

    def meets_confidence(self, threshold: float = DOUBTFUL) -> bool:
        """Is the interquartile range less than this share of the median?"""
        return self.iqr / self.median < threshold

    @property
    def has_warnings(self) -> bool:
        """Do the times differ too much?"""
        return not self.meets_confidence()

    @property
    def title(self) -> str:
        """What was measured."""
        return self.task_spec.title

    @property
    def as_row_name(self) -> str:
        """The name of its row in a table."""
        return self.task_spec.sub_label or self.task_spec.stmt or "[Unknown]"

    def __repr__(self) -> str:
        unit, scale = select_unit(self.median)
        n, threads = len(self.raw_times), self.task_spec.num_threads
        lines = [object.__repr__(self), self.task_spec.summarize()]
        lines.append(f"  {'Median: ' if n > 1 else ''}{self.median / scale:.2f} {unit}")
        if n >= 4:
            low, high = self._quantile(0.25) / scale, self._quantile(0.75) / scale
            lines.append(f"  IQR:    {self.iqr / scale:.2f} {unit} ({low:.2f} to {high:.2f})")
        runs = f"{self.number_per_run} runs {'per measurement,' if n > 1 else ','}"
        lines.append(f"  {n} measurement{'s' * (n > 1)}, {runs} {threads} thread{'s' * (threads > 1)}")
        if self.has_warnings:
            steady = self.meets_confidence(UNSTEADY)
            lines.append(
                f"  WARNING: Interquartile range is {100 * self.iqr / self.median:.1f}% of the median measurement.\n"
                f"           This {'could indicate system fluctuation' if steady else 'suggests other work meanwhile'}."
            )
        return "\n".join(lines)

    @staticmethod
    def merge(measurements: Iterable[Measurement]) -> list[Measurement]:
        """Measurements of the same thing put together, as if each run had been measured alone."""
        together: dict[TaskSpec, list[float]] = {}
        for m in measurements:
            together.setdefault(m.task_spec, []).extend(m.times)
        return [Measurement(1, times, spec) for spec, times in together.items()]


def select_unit(t: float) -> tuple[str, float]:
    """The unit in which a time in seconds is a number from 1 to 1000, and how many seconds it is.

    Example::

        >>> select_unit(3e-5)
        ('us', 1e-06)
    """
    unit = {-3: "ns", -2: "us", -1: "ms"}.get(math.floor(math.log10(t) / 3), "s")
    return unit, UNITS[unit][0]


def unit_to_english(u: str) -> str:
    """The name of a unit.

    Example::

        >>> unit_to_english("ms")
        'millisecond'
    """
    return UNITS[u][1]


def trim_sigfig(x: float, n: int) -> float:
    """`x` rounded to `n` figures.

    Example::

        >>> trim_sigfig(3.14159, 3)
        3.14
    """
    return float(f"{x:.{n - 1}e}")


def ordered_unique(elements: Iterable[Any]) -> list[Any]:
    """The elements without repetitions, in the order they come in.

    Example::

        >>> ordered_unique("banana")
        ['b', 'a', 'n']
    """
    return list(dict.fromkeys(elements))
