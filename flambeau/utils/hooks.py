"""What registering a hook returns, under PyTorch's name; and a mark for hooks."""

from __future__ import annotations

from collections.abc import Callable

from flambeau._core.homes import absent
from flambeau._core.hooks import RemovableHandle

__all__ = ["RemovableHandle", "unserializable_hook"]


def unserializable_hook(f: Callable) -> Callable:
    """The hook itself, marked as one that may get lost when its tensor is saved, as all hooks do here; decorator.

    Example::

        >>> @unserializable_hook
        ... def double(grad):
        ...     return 2 * grad
        >>> double(3)
        6
    """
    f.__torch_unserializable__ = True  # type: ignore[attr-defined]
    return f


__getattr__ = absent("torch.utils.hooks")
