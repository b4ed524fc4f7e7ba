"""Collects what runs, with its times, while somebody asks."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from flambeau._engine import plans, window


@dataclass
class Event:
    """Something that ran: `kind` is "kernel" for native code, "operation" for one that NumPy computed, "range" for what
    the program marked. Times are in microseconds, `start` since the profile began."""

    name: str
    kind: str
    start: float
    duration: float
    thread: int
    nbytes: int = 0
    flops: int = 0
    inner: float = field(default=0.0)  # the time of the events directly inside


class Collector:
    """The events of a profile, and the ranges that are open in each thread."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.began = time.perf_counter()
        self._open = threading.local()

    def now(self) -> float:
        """Microseconds since the profile began."""
        return 1e6 * (time.perf_counter() - self.began)

    def begin(self, name: str) -> None:
        """Open a range, once what was recorded before has run."""
        window.flush()
        self._ranges().append(Event(name, "range", self.now(), 0.0, threading.get_ident()))

    def end(self) -> None:
        """Close the latest range, once what was recorded in it has run."""
        window.flush()
        ranges = self._ranges()
        if ranges:  # it was opened before the profile otherwise
            event = ranges.pop()
            event.duration = self.now() - event.start
            self._add(event)

    def kernels(self, plan: Any, native: Any, seconds: list[float]) -> None:
        """Kernels of a plan, which have just run one after the other."""
        start = self.now() - 1e6 * sum(seconds)
        for name, block, took in zip(plan.names_of(native), native.blocks, seconds, strict=True):
            self._add(Event(name, "kernel", start, 1e6 * took, threading.get_ident(), block.bytes, block.flops))
            start += 1e6 * took

    def operation(self, instruction: Any, seconds: float) -> None:
        """An operation that NumPy has just computed."""
        nbytes = instruction.inference.nbytes if instruction.inference else 0
        start = self.now() - 1e6 * seconds
        self._add(Event(instruction.op.name, "operation", start, 1e6 * seconds, threading.get_ident(), nbytes))

    def _ranges(self) -> list[Event]:
        if not hasattr(self._open, "ranges"):
            self._open.ranges = []
        return self._open.ranges

    def _add(self, event: Event) -> None:
        ranges = self._ranges()
        if ranges:
            ranges[-1].inner += event.duration
        self.events.append(event)


_current: Collector | None = None


def current() -> Collector | None:
    """The collector of the profile that is being taken, if any."""
    return _current


def start() -> Collector:
    """Collect from now on; RuntimeError if somebody does already."""
    global _current
    if _current is not None or plans.profile is not None:
        raise RuntimeError("a profile is being taken already: profiles cannot be nested")
    window.flush()
    _current = Collector()
    plans.profile, window.watcher = _current.kernels, _current.operation
    return _current


def stop() -> None:
    """Collect no more; what was recorded runs before."""
    global _current
    try:
        window.flush()
    finally:
        _current = plans.profile = window.watcher = None
