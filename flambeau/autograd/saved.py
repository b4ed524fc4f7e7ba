"""Hooks on what the graph saves for backward: pack it when it is saved, unpack it when it is needed.

Checkpointing, offloading and mutation-proof saving are hooks. The stack of hooks is a thread's own; while it is empty
nothing is packed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flambeau._ir.recording import TensorBase


class _Stack(threading.local):
    """The hooks in force, innermost last, and why there may be none."""

    top: tuple[Callable, Callable] | None = None
    disabled: str | None = None

    def __init__(self) -> None:
        self.hooks: list[tuple[Callable, Callable]] = []


stack = _Stack()


class Packed:
    """A tensor, or a tuple of them, as the pack hook left it."""

    __slots__ = ("content", "unpack_hook", "many")

    def __init__(self, saved: Any, hooks: tuple[Callable, Callable]) -> None:
        pack, self.unpack_hook = hooks
        self.many = isinstance(saved, tuple)
        self.content = tuple([self._pack(s, pack) for s in saved]) if self.many else self._pack(saved, pack)

    @staticmethod
    def _pack(t: Any, pack: Callable) -> Any:
        if not isinstance(t, TensorBase):
            return t
        version = t._storage.version
        packed = pack(t)
        if t._storage.version != version:
            raise RuntimeError(
                "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook "
                "cannot be modified by in-place operations as this can lead to unexpected side-effects."
            )
        return (packed,)

    def unpack(self) -> Any:
        """The tensor again."""
        return tuple([self._unpack(c) for c in self.content]) if self.many else self._unpack(self.content)

    def _unpack(self, content: Any) -> Any:
        if not isinstance(content, tuple):
            return content
        found = self.unpack_hook(content[0])
        if not isinstance(found, TensorBase):
            raise TypeError(f"Output of saved tensor unpack_hook expected to be a Tensor, got {type(found).__name__}")
        return found


class saved_tensors_hooks:  # noqa: N801 (PyTorch's name)
    """A context in which `pack_hook(tensor)` is called with each tensor that is saved for backward; what it returns is
    kept, and `unpack_hook` makes a tensor of it when backward asks, with the same contents.

    Contexts nest; the innermost counts.

    Example::

        >>> import flambeau as torch
        >>> x = torch.ones(2, requires_grad=True)
        >>> with torch.autograd.graph.saved_tensors_hooks(lambda t: t.tolist(), lambda kept: torch.tensor(kept)):
        ...     y = x * x
        >>> y.sum().backward()
        >>> x.grad
        tensor([2., 2.])
    """

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> None:
        if stack.disabled is not None:
            raise RuntimeError(stack.disabled)
        stack.hooks.append((self.pack_hook, self.unpack_hook))
        stack.top = stack.hooks[-1]

    def __exit__(self, *exception: Any) -> None:
        stack.hooks.pop()
        stack.top = stack.hooks[-1] if stack.hooks else None


class save_on_cpu(saved_tensors_hooks):  # noqa: N801 (PyTorch's name)
    """A context in which saved tensors are kept in the CPU's memory, where they are anyway.

    Example::

        >>> with save_on_cpu():
        ...     pass
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda t: t, lambda t: t)


@contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """A context in which hooks on saved tensors raise RuntimeError with this message.

    Example::

        >>> with disable_saved_tensors_hooks("not here"):
        ...     with save_on_cpu():
        ...         pass
        Traceback (most recent call last):
        ...
        RuntimeError: not here
    """
    before, stack.disabled = stack.disabled, error_message
    if stack.hooks:
        stack.disabled = before
        raise RuntimeError(error_message)
    try:
        yield
    finally:
        stack.disabled = before
