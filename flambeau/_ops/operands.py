"""Operands that are no strided tensors: sparse ones, batched ones, nested ones, masked ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Operand:
    """What takes part in operations without being a strided tensor, such as a sparse one: `operate(op, args)` says what
    an operation of the op table means for it."""

    __slots__ = ()

    def operate(self, op: Any, args: tuple) -> Any:
        """The result of `op` for arguments with this operand among them."""
        raise NotImplementedError

    def apply_function(self, function: Any, args: tuple) -> Any:
        """The result of a custom function for arguments with this operand among them; NotImplemented if that is like
        that of any tensor."""
        return NotImplemented

    def like(self, make: Callable[[Any], Any]) -> Any:
        """What `zeros_like` and its kin give for this operand, of which `make` makes tensors like a strided one;
        NotImplemented if that is like that of any tensor."""
        return NotImplemented

    def as_root(self, weight: Any) -> tuple[Any, Any]:
        """(the tensor that a backward pass from this operand starts with, the gradient it starts with)."""
        raise NotImplementedError(f"backward of a {type(self).__name__}; inside vmap use torch.func.grad")

    def as_gradient(self, found: Any) -> Any:
        """The gradient of this operand, of which `found` reached what `as_root` gives; None if nothing did."""
        return found

    def original(self, args: tuple) -> Any:
        """What an in-place operation on this operand computes from: something that the writing leaves as it is."""
        return self

    def write(self, target: Any, result: Any) -> Any:
        """The end of an in-place operation on `target`: it holds `result` from now on, and is returned."""
        kind = type(target).__name__
        raise NotImplementedError(f"in-place operations on a {kind}: use the one that makes a new tensor")
