"""`torch.fx`, as far as programs meet it that do not transform graphs.

There is no second representation of a program: no tracer makes graphs of nodes. The classes are here so that
annotations and `isinstance` can name them; objects of them cannot be made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flambeau._core.errors import explain
from flambeau._core.unsupported import refuse

Function = TypeVar("Function", bound=Callable)

__all__ = ["Graph", "GraphModule", "Interpreter", "Node", "Proxy", "Tracer", "Transformer", "symbolic_trace", "wrap"]


def _no_graphs(name: str) -> NotImplementedError:
    return NotImplementedError(
        explain(
            f"torch.fx.{name} is not implemented: programs are not traced into graphs of Python objects",
            hint="torch.compile replays a function; a torch.overrides.TorchFunctionMode sees its calls; "
            "torch.explain shows what they became",
        )
    )


class _OfGraphs:
    """A class of which there are no objects here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise _no_graphs(type(self).__name__)


class Graph(_OfGraphs):
    """A traced program."""


class GraphModule(_OfGraphs):
    """A module made of a traced program."""


class Node(_OfGraphs):
    """A step of a traced program."""


class Proxy(_OfGraphs):
    """What stands for a value while a program is traced: nothing ever does."""


class Tracer(_OfGraphs):
    """What traces a program."""


class Interpreter(_OfGraphs):
    """What runs a traced program step by step."""


class Transformer(_OfGraphs):
    """What makes another program of a traced one."""


def symbolic_trace(root: Any, concrete_args: Any = None) -> Any:
    """NotImplementedError: there is no tracer."""
    raise _no_graphs("symbolic_trace")


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
        raise RuntimeError("Unsupported type for global function! Must be either a callable or string name")
    return fn_or_name


def __getattr__(name: str) -> Any:
    raise refuse("torch.fx", name)
