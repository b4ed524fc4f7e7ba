"""`torch._tensor_str`: parts of a tensor's `repr`, which libraries write those of their own classes with."""

from __future__ import annotations

from typing import Any

from flambeau._tensor import interop, printing
from flambeau._tensor.printing import OPTIONS as PRINT_OPTS

__all__ = ["PRINT_OPTS", "_add_suffixes", "_tensor_str"]


def _tensor_str(self: Any, indent: int) -> str:
    """The elements in brackets, for a text whose first character stands in column `indent`.

    Example::

        >>> import flambeau as torch
        >>> _tensor_str(torch.tensor([1.0, 2.5]), 0)
        '[1.0000, 2.5000]'
    """
    return printing.write_elements(interop.array(self), indent, PRINT_OPTS)


def _add_suffixes(tensor_str: str, suffixes: list[str], indent: int, force_newline: bool) -> str:
    """The text, the suffixes and a closing bracket; lines end before they are too long, and with `force_newline` before
    the first suffix.

    Example::

        >>> _add_suffixes("index([0, 1]", ["dim_size=2"], 6, False)
        'index([0, 1], dim_size=2)'
    """
    return printing.add_suffixes(tensor_str, suffixes, indent, PRINT_OPTS, force_newline)
