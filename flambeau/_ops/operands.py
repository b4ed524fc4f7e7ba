"""Operands that are no strided tensors: sparse ones, batched ones."""

from __future__ import annotations

from typing import Any


class Operand:
    """What takes part in operations without being a strided tensor, such as a sparse one: `operate(op, args)` says what
    an operation of the op table means for it."""

    __slots__ = ()

    def operate(self, op: Any, args: tuple) -> Any:
        """The result of `op` for arguments with this operand among them."""
        raise NotImplementedError
