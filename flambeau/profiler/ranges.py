"""Parts of a program that a profile should show: `record_function`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flambeau.profiler import collecting


class record_function:  # noqa: N801 (PyTorch's name)
    """A context, or decorator, that a profile shows as `name`. While a profile is taken, what was recorded runs before
    and after it, so that its work is within; otherwise it costs nothing.

    Example::

        >>> from flambeau.profiler import profile, record_function
        >>> with profile() as p, record_function("my part"):
        ...     y = torch.ones(3) + 1
        >>> "my part" in [e.key for e in p.key_averages()]
        True
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self._collector: collecting.Collector | None = None

    def __enter__(self) -> record_function:
        self._collector = collecting.current()
        if self._collector is not None:
            self._collector.begin(self.name)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._collector is not None:
            self._collector.end()

    def __call__(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name):
                return function(*args, **kwargs)

        return wrapper
