"""Results with names: what operations with several outputs return (`torch.return_types`)."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

KINDS: dict[str, Any] = {}  # all types that there are, by their names


def named(name: str, *fields: str) -> Any:
    """The type of a result of the operation `name`: a tuple whose items have names, printed as PyTorch prints it.

    Example::

        >>> import flambeau as torch
        >>> KINDS["max"](1, 2)
        torch.return_types.max(
        values=1,
        indices=2)
    """
    if name in KINDS:
        raise ValueError(f"the type {name!r} is declared twice")
    kind: Any = namedtuple(name, fields)  # type: ignore[misc]
    kind.__module__ = "torch.return_types"

    def text(self: Any) -> str:
        return f"torch.return_types.{name}(\n" + ",\n".join(f"{f}={getattr(self, f)!r}" for f in fields) + ")"

    def reduce(self: Any) -> Any:
        return _again, (name, tuple(self))  # there need not be a module torch.return_types

    kind.__repr__ = text  # type: ignore[method-assign]
    kind.__reduce__ = reduce  # type: ignore[method-assign]
    KINDS[name] = kind
    return kind


def _again(name: str, values: tuple) -> Any:
    """An unpickled result."""
    return KINDS[name](*values)


def values_and_indices(name: str) -> Any:
    """The type of a result that picks elements: what they are, and where they were."""
    return named(name, "values", "indices")
