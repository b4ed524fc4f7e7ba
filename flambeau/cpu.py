"""The CPU as a device (`torch.cpu`), for programs that ask every device the same questions.

There is one, and operations run in the order they are called: streams and events have nothing to order.
"""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau._core.homes import absent

__all__ = [
    "Event", "Stream", "StreamContext", "current_device", "current_stream", "device_count", "is_available",
    "is_initialized", "set_device", "stream", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """Is there a CPU? Yes.

    Example::

        >>> is_available()
        True
    """
    return True


def is_initialized() -> bool:
    """Has it been started? Yes.

    Example::

        >>> is_initialized()
        True
    """
    return True


def device_count() -> int:
    """The number of CPUs that tensors know: 1, of however many cores.

    Example::

        >>> device_count()
        1
    """
    return 1


def current_device() -> str:
    """The current device: "cpu".

    Example::

        >>> current_device()
        'cpu'
    """
    return "cpu"


def set_device(device: Any) -> None:
    """Make a device the current one: there is one."""


def synchronize(device: Any = None) -> None:
    """Run what was recorded, as `torch.synchronize()` does.

    Example::

        >>> synchronize()
    """
    torch.synchronize()


class Stream:
    """A stream of work; all work is in one."""

    def __init__(self, priority: int = -1) -> None:
        self.priority = priority

    def wait_stream(self, stream: Any) -> None:
        """Wait for another stream: it has nothing that would not be done."""

    def wait_event(self, event: Any) -> None:
        """Wait for an event: it is past."""

    def record_event(self) -> None:
        """Mark a place in the stream."""


class Event:
    """A mark in a stream; it is past."""

    def query(self) -> bool:
        """Is it past? Yes."""
        return True

    def record(self, stream: Any = None) -> None:
        """Set the mark."""

    def synchronize(self) -> None:
        """Wait for the mark."""

    def wait(self, stream: Any = None) -> None:
        """Let a stream wait for the mark."""


_current = Stream()


def current_stream(device: Any = None) -> Stream:
    """The current stream.

    Example::

        >>> type(current_stream()).__name__
        'Stream'
    """
    return _current


class StreamContext:
    """A context with another current stream; None leaves it as it is."""

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        global _current
        self.before = _current
        if self.stream is not None:
            _current = self.stream

    def __exit__(self, *exception: object) -> None:
        global _current
        _current = self.before


def stream(stream: Stream | None) -> StreamContext:
    """A context with another current stream.

    Example::

        >>> mine = Stream()
        >>> with stream(mine):
        ...     current_stream() is mine
        True
    """
    return StreamContext(stream)


__getattr__ = absent("torch.cpu")
