"""`torch.fx`, as far as programs meet it that do not transform graphs: programs are not traced into graphs here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flambeau._core.homes import absent
from flambeau._core.placeholders import placeholders
from flambeau._core.unsupported_modules import PARTLY

Function = TypeVar("Function", bound=Callable)

_ABSENT = placeholders(
    "torch.fx",
    *PARTLY["torch.fx"],
    classes="Graph GraphModule Interpreter Node Proxy Tracer Transformer",
    functions="symbolic_trace replace_pattern map_arg",
)
globals().update(_ABSENT)
__all__ = [*_ABSENT, "wrap"]


def wrap(fn_or_name: Function) -> Function:
    """Declare that a function is to be called as it is, not looked into, when a program is traced. It always is.

    Args:
        fn_or_name: a function, or the name of one in the calling module.

    Example::

        >>> @wrap
        ... def half(x):
        ...     return x / 2
        >>> half(3)
        1.5
    """
    if not callable(fn_or_name) and not isinstance(fn_or_name, str):
        raise RuntimeError(f"wrap() expects a function or the name of one, got {type(fn_or_name).__name__}")
    return fn_or_name


__getattr__ = absent("torch.fx")
