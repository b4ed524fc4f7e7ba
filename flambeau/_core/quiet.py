"""Calls in which NumPy warns of nothing: overflow and division by zero give infinities and NaN, as in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from functools import cache
from typing import Any

from flambeau._core.lazy import lazy_module

np = lazy_module("numpy")


@cache
def _quiet() -> Context:
    context = Context()
    context.run(np.errstate(all="ignore").__enter__)
    return context


def quietly(function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)` while NumPy warns of nothing: in a copy of a context where that is so, since to enter an
    `errstate` takes as long as a small operation.

    Example::

        >>> import numpy
        >>> float(quietly(numpy.divide, numpy.float32(1), numpy.float32(0)))
        inf
    """
    return _quiet().copy().run(function, *args)
