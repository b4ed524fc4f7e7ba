"""`torch.overrides`: which functions can be taken over by a `__torch_function__`, and what writing one takes.

How calls are offered stands in `_core.overriding`; here is what programs import of it.

Example: a type of its own that knows the mean::

    >>> import flambeau as torch
    >>> class Constant:
    ...     def __init__(self, value):
    ...         self.value = value
    ...     @classmethod
    ...     def __torch_function__(cls, func, types, args=(), kwargs=None):
    ...         return float(args[0].value) if func is torch.mean else NotImplemented
    >>> torch.mean(Constant(3))
    3.0
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any, TypeVar

from flambeau import _api as torch
from flambeau import fft, linalg, special
from flambeau._core import overriding
from flambeau._core.overriding import (
    handle_torch_function,
    has_torch_function,
    has_torch_function_unary,
    has_torch_function_variadic,
    redispatch_function,
)
from flambeau._ops.registry import OPS
from flambeau._tensor import subclassing
from flambeau.nn import functional

Function = TypeVar("Function", bound=Callable)

__all__ = [
    "TorchFunctionMode",
    "enable_reentrant_dispatch",
    "get_default_nowrap_functions",
    "get_ignored_functions",
    "get_overridable_functions",
    "get_testing_overrides",
    "handle_torch_function",
    "has_torch_function",
    "has_torch_function_unary",
    "has_torch_function_variadic",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "redispatch_function",
    "resolve_name",
    "wrap_torch_function",
]


# ---------------------------------------------------------------------------------------------- modes


class TorchFunctionMode:
    """A context whose `__torch_function__` gets the calls of all functions, those that make tensors included, made in
    this thread. What it calls itself goes to the next mode outside it, and to the arguments in the end.

    Example::

        >>> import flambeau as torch
        >>> class Doubled(TorchFunctionMode):
        ...     def __torch_function__(self, func, types, args=(), kwargs=None):
        ...         result = func(*args, **(kwargs or {}))
        ...         return result * 2 if func is torch.ones else result
        >>> with Doubled():
        ...     torch.ones(2) + 1
        tensor([3., 3.])
    """

    def __torch_function__(
        self, func: Callable, types: tuple[type, ...], args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """What becomes of a call of `func`; `types` are the arguments' classes that have a `__torch_function__`."""
        raise NotImplementedError(f"{type(self).__name__} does not define __torch_function__")

    def __enter__(self) -> Any:
        overriding.modes.push(self)
        return self

    def __exit__(self, *error: object) -> None:
        overriding.modes.pop()


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that calls every function as it is."""

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def _get_current_function_mode_stack() -> list[Any]:
    return overriding.modes.here


def _get_current_function_mode() -> Any:
    return next(reversed(overriding.modes.here), None)


@contextmanager
def enable_reentrant_dispatch() -> Iterator[None]:
    """In PyTorch a context in which `__torch_dispatch__` may call operations that are dispatched again; operations
    here can always be called.

    Example::

        >>> with enable_reentrant_dispatch():
        ...     pass
    """
    yield


# ---------------------------------------------------------------------------------------------- functions of one's own


def wrap_torch_function(dispatcher: Callable[..., Iterable[Any]]) -> Callable[[Function], Function]:
    """A decorator that makes a function offer its calls to those objects that `dispatcher`, called with the same
    arguments, returns.

    Example::

        >>> import flambeau as torch
        >>> @wrap_torch_function(lambda a, b: (a, b))
        ... def average(a, b):
        ...     return (a + b) / 2
        >>> average(torch.ones(1), torch.zeros(1))
        tensor([0.5000])
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]

    return decorate


def is_tensor_like(inp: Any) -> bool:
    """Is that a tensor, or an object with a `__torch_function__`?

    Example::

        >>> import flambeau as torch
        >>> is_tensor_like(torch.ones(1)), is_tensor_like([1.0])
        (True, False)
    """
    return type(inp) is torch.Tensor or hasattr(inp, "__torch_function__")


# ---------------------------------------------------------------------------------------------- which functions


def _namespaces() -> dict[str, Any]:
    return {
        "torch": sys.modules[__package__],
        "torch.nn.functional": functional,
        "torch.linalg": linalg,
        "torch.fft": fft,
        "torch.special": special,
        "torch.Tensor": torch.Tensor,
    }


@functools.cache
def _offering() -> frozenset[Any]:
    """All functions that offer their calls, but for the attributes of Tensor."""
    return frozenset([op.function for op in OPS.values()]) | overriding.overridable_functions


def _functions_in(namespace: Any) -> dict[str, Callable]:
    return {name: f for name, f in vars(namespace).items() if isinstance(f, FunctionType) and name[0] != "_"}


def _overridable_in(namespace: Any) -> dict[str, Callable]:
    """Name -> function, for those of a module or of Tensor that can be taken over."""
    if namespace is not torch.Tensor:
        return {name: f for name, f in _functions_in(namespace).items() if f in _offering()}
    methods: dict[str, Callable] = {}
    methods |= {name: f for name, f in vars(namespace).items() if isinstance(f, FunctionType) and f in _offering()}
    for name, value in subclassing.own_attributes().items():
        methods[name] = value.__get__ if isinstance(value, property) else value
    return methods


@functools.cache
def _names() -> dict[Any, str]:
    """The name of every function that can be taken over, as users write it."""
    names: dict[Any, str] = {}
    for prefix, namespace in _namespaces().items():
        for name, function in _overridable_in(namespace).items():
            shown = f"{name}.__get__" if getattr(function, "__name__", "") == "__get__" else name
            names.setdefault(function, f"{prefix}.{shown}")
    return names


def get_overridable_functions() -> dict[Any, list[Callable]]:
    """The functions that a `__torch_function__` may be offered, by the module or class they stand in. Of an attribute
    it is the `__get__` of the property.

    Example::

        >>> import flambeau as torch
        >>> torch.add in get_overridable_functions()[torch]
        True
    """
    return {namespace: list(_overridable_in(namespace).values()) for namespace in _namespaces().values()}


def get_ignored_functions() -> set[Callable]:
    """The public functions of these namespaces that are never offered: they are about settings, devices, files.

    Example::

        >>> import flambeau as torch
        >>> torch.is_tensor in get_ignored_functions()
        True
    """
    functions = [f for namespace in _namespaces().values() for f in _functions_in(namespace).values()]
    return set(functions) - set(_names())


def get_default_nowrap_functions() -> set[Callable]:
    """The functions whose results `Tensor.__torch_function__` does not turn into the subclass.

    Example::

        >>> import flambeau as torch
        >>> torch.Tensor.grad.__get__ in get_default_nowrap_functions()
        True
    """
    return set(subclassing.NOT_CONVERTED)


def get_testing_overrides() -> dict[Callable, Callable]:
    """For every function that can be taken over one with the same signature that returns -1.

    Example::

        >>> import flambeau as torch
        >>> get_testing_overrides()[torch.add](1, 2)
        -1
    """
    return {function: _stand_in(function) for function in _names()}


def _stand_in(function: Callable) -> Callable:
    def stand_in(*args: Any, **kwargs: Any) -> int:
        return -1

    try:
        stand_in.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    except ValueError:  # that of an attribute
        pass
    return stand_in


def resolve_name(f: Callable) -> str | None:
    """The name of a function that can be taken over, as users write it; None for others.

    Example::

        >>> import flambeau as torch
        >>> resolve_name(torch.nn.functional.cross_entropy), resolve_name(len)
        ('torch.nn.functional.cross_entropy', None)
    """
    return _names().get(f)


def is_tensor_method_or_property(func: Callable) -> bool:
    """Is `func` a method of Tensor, or the `__get__` of one of its attributes? Operations are functions and methods in
    one, so that `torch.add`, which is `torch.Tensor.add`, is one.

    Example::

        >>> import flambeau as torch
        >>> is_tensor_method_or_property(torch.Tensor.add), is_tensor_method_or_property(torch.zeros)
        (True, False)
    """
    return func in set(_overridable_in(torch.Tensor).values())
