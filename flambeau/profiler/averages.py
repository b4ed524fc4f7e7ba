"""Events of the same name put together, and their table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from flambeau.profiler.collecting import Event

WIDEST = 55  # characters of a name in a table


@dataclass
class Average:
    """All events of one name. Times are in microseconds; those of `self` leave out what is inside."""

    key: str
    count: int = 0
    cpu_time_total: float = 0.0
    self_cpu_time_total: float = 0.0
    flops: int = 0
    nbytes: int = 0

    @property
    def cpu_time(self) -> float:
        """The mean time of one."""
        return self.cpu_time_total / self.count if self.count else 0.0

    def add(self, event: Event) -> None:
        """One more event."""
        self.count += 1
        self.cpu_time_total += event.duration
        self.self_cpu_time_total += max(event.duration - event.inner, 0.0)
        self.flops += event.flops
        self.nbytes += event.nbytes


# The names by which PyTorch sorts -> what they are here.
ORDERS: dict[str, Callable[[Average], float]] = {
    "cpu_time": lambda a: a.cpu_time,
    "cpu_time_total": lambda a: a.cpu_time_total,
    "self_cpu_time_total": lambda a: a.self_cpu_time_total,
    "count": lambda a: a.count,
    "flops": lambda a: a.flops,
}


class Averages(list[Average]):
    """The averages of a profile, in the order in which their names first ran."""

    def __init__(self, events: Iterable[Event]) -> None:
        found: dict[str, Average] = {}
        for event in events:
            found.setdefault(event.name, Average(event.name)).add(event)
        super().__init__(found.values())

    @property
    def self_cpu_time_total(self) -> float:
        """The time of all that was collected, in microseconds."""
        return sum(a.self_cpu_time_total for a in self)

    def table(
        self, sort_by: str | None = None, row_limit: int = 100, max_name_column_width: int = WIDEST, **options: Any
    ) -> str:
        """A table, sorted by "cpu_time_total" or another of PyTorch's names for what is measured here (the longest
        first), of `row_limit` rows at most. ValueError for a name of something that is not measured."""
        if sort_by is not None and sort_by not in ORDERS:
            raise ValueError(f"table(): nothing is known of sort_by={sort_by!r}, expected one of {', '.join(ORDERS)}")
        rows = list(self) if sort_by is None else sorted(self, key=ORDERS[sort_by], reverse=True)
        total = self.self_cpu_time_total
        lines = [("Name", "Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg", "# of Calls", "MFLOP")]
        for a in rows[:row_limit] if row_limit >= 0 else rows:
            own, all_ = a.self_cpu_time_total, a.cpu_time_total
            lines.append(
                (_cut(a.key, max_name_column_width), _share(own, total), _time(own), _share(all_, total), _time(all_),
                 _time(a.cpu_time), str(a.count), f"{a.flops / 1e6:.3f}" if a.flops else "--")
            )  # fmt: skip
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        rule = "  ".join("-" * width for width in widths)
        text = ["  ".join(part.rjust(width) for part, width in zip(line, widths, strict=True)) for line in lines]
        return "\n".join([rule, text[0], rule, *text[1:], rule, f"Self CPU time total: {_time(total)}", ""])

    def __str__(self) -> str:
        return self.table()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2f}%" if whole else "--"


def _time(microseconds: float) -> str:
    """A time with a unit, as PyTorch's tables have it.

    Example::

        >>> _time(12.3456), _time(3.2e4)
        ('12.346us', '32.000ms')
    """
    for limit, unit in ((1e6, "s"), (1e3, "ms")):
        if microseconds >= limit:
            return f"{microseconds / limit:.3f}{unit}"
    return f"{microseconds:.3f}us"
