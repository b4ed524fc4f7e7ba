"""Fake results: what a function given to `register_fake` says of an operator's results, without their numbers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flambeau._core.errors import explain
from flambeau._engine.window import Window, state


class FakeContext:
    """What `get_ctx()` gives: sizes that are not known before the numbers are."""

    def __init__(self, first: int) -> None:
        self.next = first
        self.asked = False

    def new_dynamic_size(self, *, min: int = 0, max: int | None = None) -> int:  # noqa: A002 (PyTorch's names)
        """A size that depends on the numbers of a tensor, between `min` and `max`. It is some number: what is computed
        from it is not compared with the kernel's result."""
        if max is not None and max < min:
            raise ValueError(f"expected max to be greater than or equal to min, got min={min} and max={max}")
        self.asked = True
        self.next += 1
        size = min + self.next
        return size if max is None or size <= max else max

    new_dynamic_symint = create_unbacked_symint = new_dynamic_size


class _Current(threading.local):
    context: FakeContext | None = None


_current = _Current()


def get_ctx() -> FakeContext:
    """Inside a function given to `register_fake`: what makes sizes that depend on numbers.

    RuntimeError anywhere else.

    Example::

        >>> import flambeau as torch
        >>> def places(x: torch.Tensor) -> torch.Tensor: return x.nonzero()
        >>> op = torch.library.custom_op("example::places", places, mutates_args=())
        >>> @op.register_fake
        ... def _(x):
        ...     count = torch.library.get_ctx().new_dynamic_size()
        ...     return x.new_empty((count, x.dim()), dtype=torch.int64)
        >>> torch.library.opcheck(op, (torch.tensor([0., 3.]),))["test_faketensor"]
        'SUCCESS'
    """
    if _current.context is None:
        raise RuntimeError(
            explain("get_ctx() was called outside of a fake impl", hint="call it in a function given to register_fake")
        )
    return _current.context


class FakeWindow(Window):
    """A window in which nothing runs: who looks at a number is in error."""

    def looked(self) -> None:
        raise RuntimeError(
            explain(
                "a fake impl looks at the numbers of a tensor, which a fake tensor does not have",
                hint="compute shapes from shapes; get_ctx().new_dynamic_size() is a size that depends on numbers",
            )
        )

    def full(self) -> bool:
        return False

    def flush(self) -> None:
        pass


@contextmanager
def _faking(context: FakeContext) -> Iterator[None]:
    outer = state.window
    outer.flush()
    state.window, _current.context = FakeWindow(outer.born), context
    try:
        yield
    finally:
        state.window, _current.context = outer, None


def fake_results(function: Callable, args: list[Any], kwargs: dict[str, Any]) -> list[Any]:
    """What the function returns: once, or if it asks for dynamic sizes twice, each time for others."""
    found = []
    for first in (1, 101):
        context = FakeContext(first)
        with _faking(context):
            found.append(function(*args, **kwargs))
        if not context.asked:
            break
    return found
