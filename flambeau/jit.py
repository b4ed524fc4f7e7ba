"""What programs written for TorchScript (`torch.jit`) find here: their Python code runs as it is.

Operations are recorded and compiled with or without a decorator, so `script` and `trace` have only to give back what
can be called. A second representation of a program, to be saved or inspected, does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flambeau._core.unsupported import refuse
from flambeau.nn import Module

__all__ = [
    "Error", "Future", "ScriptWarning", "TracerWarning", "TracingCheckError", "annotate", "export", "fork", "freeze",
    "ignore", "interface", "is_scripting", "is_tracing", "isinstance", "optimize_for_inference", "optimized_execution",
    "script", "script_if_tracing", "script_method", "trace", "unused", "wait",
]  # fmt: skip

is_instance = isinstance  # Python's own; this module has PyTorch's function of that name


class Error(RuntimeError):
    """An error in a scripted program; here errors are Python's."""


class ScriptWarning(Warning):
    """A warning about a scripted program."""


class TracerWarning(Warning):
    """A warning about a traced program."""


class TracingCheckError(Exception):
    """A traced program that gives something else than the original; not raised here."""


def script(
    obj: Any,
    optimize: Any = None,
    _frames_up: int = 0,
    _rcb: Any = None,
    example_inputs: Any = None,
) -> Any:
    """The function, class or module itself: it is recorded and compiled when it runs.

    TypeError for what cannot be called.

    Example::

        >>> script(lambda x: x + 1)(1)
        2
    """
    if not callable(obj):
        raise TypeError(f"torch.jit.script expects a function, class or module, got {type(obj).__name__}")
    return obj


def trace(func: Any, example_inputs: Any = None, **options: Any) -> Any:
    """The function or module itself, after it has run once with the example inputs. Unlike a trace of PyTorch's it
    keeps its control flow.

    Example::

        >>> trace(lambda x: x + 1, (1,))(2)
        3
    """
    if example_inputs is not None:
        func(*(example_inputs if is_instance(example_inputs, tuple) else (example_inputs,)))
    return func


def script_if_tracing(fn: Callable) -> Callable:
    """The function itself.

    Example::

        >>> script_if_tracing(abs)(-1)
        1
    """
    return fn


def script_method(fn: Callable) -> Callable:
    """The method itself."""
    return fn


def freeze(mod: Module, preserved_attrs: Any = None, optimize_numerics: bool = True) -> Module:
    """A module in evaluation mode, as it is; RuntimeError in training mode.

    Example::

        >>> import flambeau as torch
        >>> freeze(torch.nn.ReLU().eval())
        ReLU()
    """
    if mod.training:
        raise RuntimeError("Freezing is currently only implemented for modules in eval mode. Please call .eval() first")
    return mod


def optimize_for_inference(mod: Module, other_methods: Any = None) -> Module:
    """The module in evaluation mode: what it computes is fused anyway.

    Example::

        >>> import flambeau as torch
        >>> optimize_for_inference(torch.nn.ReLU()).training
        False
    """
    return mod.eval()


def is_scripting() -> bool:
    """Is this TorchScript? No.

    Example::

        >>> is_scripting()
        False
    """
    return False


def is_tracing() -> bool:
    """Is a trace being made? No.

    Example::

        >>> is_tracing()
        False
    """
    return False


def _mark(name: str) -> Callable:
    def decorate(fn: Any = None, **options: Any) -> Any:
        return fn if callable(fn) else lambda function: function

    decorate.__name__ = decorate.__qualname__ = name
    decorate.__doc__ = f"The function itself: `{name}` tells something to TorchScript's compiler, which is not here."
    return decorate


export, ignore, unused, interface = _mark("export"), _mark("ignore"), _mark("unused"), _mark("interface")


def annotate(the_type: Any, the_value: Any) -> Any:
    """The value itself: types are not needed.

    Example::

        >>> annotate(int, 3)
        3
    """
    return the_value


def isinstance(obj: Any, target_type: Any) -> bool:  # noqa: A001
    """Is `obj` of a type? Of generic types the outermost is compared.

    Example::

        >>> isinstance([1], list[int])
        True
    """
    kinds = target_type if is_instance(target_type, tuple) else (target_type,)
    return is_instance(obj, tuple([getattr(kind, "__origin__", kind) for kind in kinds]))


class Future:
    """A result that `fork` gave; `wait` returns it."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def wait(self) -> Any:
        """The result."""
        return self._value

    value = wait

    def done(self) -> bool:
        """Is it there? Yes."""
        return True


def fork(func: Callable, *args: Any, **kwargs: Any) -> Future:
    """The result of a call, which runs at once.

    Example::

        >>> wait(fork(max, 1, 2))
        2
    """
    return Future(func(*args, **kwargs))


def wait(future: Future) -> Any:
    """The result that `fork` gave."""
    return future.wait()


@contextmanager
def optimized_execution(should_optimize: bool) -> Iterator[None]:
    """A context that says whether TorchScript optimises; it has nothing to change.

    Example::

        >>> with optimized_execution(True):
        ...     pass
    """
    yield


def __getattr__(name: str) -> Any:
    raise refuse("torch.jit", name)
