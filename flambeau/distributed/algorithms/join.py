"""Training loops of different lengths: `Join` for modules that know how to wait for those that are not through."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Protocol, runtime_checkable

__all__ = ["Join", "Joinable"]


@runtime_checkable
class Joinable(Protocol):
    """What a process that is through can go on with for the others, such as DistributedDataParallel."""

    def join(self, *, enable: bool = True, throw_on_early_termination: bool = False, **kwargs: Any) -> Any:
        """A context for the loop of this process."""


class Join:
    """A context for a training loop that may have fewer inputs here than in other processes: at its end each of
    `joinables` takes part in what the others still do.

    Args:
        joinables: modules in DistributedDataParallel.
        enable: whether to join at all. Default: True.
        throw_on_early_termination: RuntimeError in all processes as soon as one is through. Default: False.

    Example::

        with Join([model]):
            for x in batches:
                model(x).sum().backward()
    """

    def __init__(
        self, joinables: Sequence[Any], enable: bool = True, throw_on_early_termination: bool = False, **kwargs: Any
    ) -> None:
        if not joinables:
            raise ValueError("The join context manager requires at least one joinable")
        self._contexts = [
            joinable.join(enable=enable, throw_on_early_termination=throw_on_early_termination, **kwargs)
            for joinable in joinables
        ]
        self._stack = ExitStack()

    def __enter__(self) -> Join:
        for context in self._contexts:
            self._stack.enter_context(context)
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)
