"""Checks that libraries make of their arguments with functions of PyTorch's that are private by name: `torch._check`.

Each raises an error of its own kind if the condition, which is a bool, is False; `message` is a function without
arguments that returns what the error says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau._core.errors import explain


def _checked(name: str, kind: type[Exception]) -> Callable[..., None]:
    def check(cond: bool, message: Callable[[], Any] | None = None) -> None:
        if not isinstance(cond, bool):
            hint = "of a tensor with one element: bool(tensor) or tensor.item()"
            raise TypeError(explain(f"cond must be a bool, but got {type(cond)}", hint=hint))
        if cond:
            return
        if message is not None and not callable(message):
            raise TypeError(explain("message must be a callable", hint="write lambda: 'what is wrong'"))
        raise kind("Expected cond to be True, but got False." if message is None else str(message()))

    check.__name__ = check.__qualname__ = name
    check.__doc__ = f"{kind.__name__} if `cond` is False; TypeError if it is no bool, or `message` no function."
    return check


_check = _checked("_check", RuntimeError)
_check_index = _checked("_check_index", IndexError)
_check_value = _checked("_check_value", ValueError)
_check_type = _checked("_check_type", TypeError)
_check_not_implemented = _checked("_check_not_implemented", NotImplementedError)


def _assert_async(input: Any, assert_msg: str = "Expected Tensor with single nonzero value, but got zero") -> None:
    """RuntimeError if a tensor of one element is zero or False. It is looked at now; PyTorch lets a GPU do so later.

    Example::

        >>> import flambeau as torch
        >>> _assert_async(torch.tensor(True))
    """
    if not input:
        raise RuntimeError(assert_msg)
