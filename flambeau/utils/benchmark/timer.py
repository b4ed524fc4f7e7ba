"""Measuring statements: `Timer`. Operations run when somebody looks at their results, so the clock waits for them."""

from __future__ import annotations

import enum
import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flambeau import _api as torch
from flambeau.utils.benchmark.measurement import Measurement, TaskSpec


def timer() -> float:
    """The time in seconds, once all that was recorded has run.

    Example::

        >>> start = timer()
        >>> timer() >= start
        True
    """
    torch.synchronize()
    return timeit.default_timer()


@contextmanager
def set_torch_threads(n: int) -> Iterator[None]:
    """A context with so many threads for operations.

    Example::

        >>> with set_torch_threads(1):
        ...     torch.get_num_threads()
        1
    """
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Language(enum.Enum):
    """What statements are written in; here Python's are measured alone."""

    PYTHON = 0
    CPP = 1


class Timer:
    """Measures how long a statement takes, on `num_threads` threads, with what was recorded run to the end.

    Args:
        stmt: the statement, as text.
        setup: statements that run once before.
        global_setup: no use for Python.
        timer: the clock; it must wait for what was recorded, as `timer` does.
        globals: the names that `stmt` and `setup` may use.
        label, sub_label, description, env: what the measurement is called in reports and in tables, where rows are
            sub-labels and columns descriptions.
        num_threads: how many threads operations may use.
        language: NotImplementedError for C++.

    Example::

        >>> Timer("x + 1", globals={"x": torch.ones(3)}).timeit(10).number_per_run
        10
    """

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Callable[[], float] = timer,
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        env: str | None = None,
        num_threads: int = 1,
        language: Language | str = Language.PYTHON,
    ) -> None:
        if language not in (Language.PYTHON, "py", "python"):
            raise NotImplementedError(f"Timer measures Python, got language={language!r}: there is no C++ compiler")
        if not isinstance(stmt, str):
            raise ValueError(f"Currently only a `str` stmt is supported, got {type(stmt).__name__}")
        names = {"torch": torch, **(globals or {})}
        self._clock = timer
        self._timer = timeit.Timer(stmt=stmt, setup=setup, timer=timer, globals=names)
        self._task_spec = TaskSpec(stmt, setup, global_setup, label, sub_label, description, env, num_threads)

    def _time(self, number: int) -> float:
        return max(self._timer.timeit(number), 1e-9)  # the clock may stand still

    def timeit(self, number: int = 1000000) -> Measurement:
        """One measurement of `number` runs, after a hundredth as many (2 at least) that are not measured."""
        with set_torch_threads(self._task_spec.num_threads):
            self._time(max(number // 100, 2))
            return Measurement(number, [self._time(number)], self._task_spec)

    def repeat(self, repeat: int = -1, number: int = -1) -> None:
        """NotImplementedError: see `blocked_autorange`."""
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def autorange(self, callback: Callable[[int, float], Any] | None = None) -> None:
        """NotImplementedError: see `blocked_autorange`."""
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def blocked_autorange(
        self, callback: Callable[[int, float], Any] | None = None, min_run_time: float = 0.2
    ) -> Measurement:
        """Measurements of blocks of runs for at least `min_run_time` seconds. The size of a block is such that the
        clock costs little, and there are many. `callback(number, seconds)` is called after each."""
        with set_torch_threads(self._task_spec.num_threads):
            number = self._block_size(min_run_time)
            times = self._blocks(number, min_run_time, callback)
        return Measurement(number, times, self._task_spec)

    def adaptive_autorange(
        self,
        threshold: float = 0.1,
        *,
        min_run_time: float = 0.01,
        max_run_time: float = 10.0,
        callback: Callable[[int, float], Any] | None = None,
    ) -> Measurement:
        """Measurements of blocks of runs until the interquartile range is less than `threshold` of the median, or
        `max_run_time` is over."""
        with set_torch_threads(self._task_spec.num_threads):
            number = self._block_size(0.05)
            found, spent = Measurement(number, [], self._task_spec), 0.0
            while spent < max_run_time:
                times = self._blocks(number, min_run_time, callback)
                found.raw_times += times
                spent += sum(times)
                if len(found.raw_times) > 4 and found.meets_confidence(threshold):
                    break
        return found

    def collect_callgrind(self, *args: Any, **kwargs: Any) -> None:
        """NotImplementedError: instructions are not counted."""
        raise NotImplementedError(
            "Timer.collect_callgrind: instructions are not counted; use blocked_autorange, or perf around the process"
        )

    def _block_size(self, min_run_time: float) -> int:
        """A number of runs that takes a thousandth of the time, or so much longer than the clock that this is lost."""
        clock = min(self._of_nothing() for _ in range(5))
        number = 1
        while True:
            taken = self._time(number)
            if taken > min_run_time / 1000 and (clock / taken <= 1e-4 or taken >= min_run_time):
                return number
            number *= 10

    def _of_nothing(self) -> float:
        return timeit.Timer("pass", timer=self._clock).timeit(1)

    def _blocks(self, number: int, least: float, callback: Callable[[int, float], Any] | None) -> list[float]:
        times: list[float] = []
        while sum(times) < least:
            times.append(self._time(number))
            if callback is not None:
                callback(number, times[-1])
        return times
