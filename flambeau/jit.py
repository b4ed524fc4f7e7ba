"""What programs written for TorchScript (`torch.jit`) find here: their Python code runs as it is.

Operations are recorded and compiled with or without a decorator, so `script` and `trace` have only to give back what
can be called. A second representation of a program, to be saved or inspected, does not exist.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from flambeau._core.homes import absent
from flambeau.futures import Future, fork, wait
from flambeau.nn import Module

__all__ = [
    "Attribute", "Error", "Final", "Future", "ScriptModule", "ScriptWarning", "TracerWarning", "TracingCheckError",
    "annotate", "enable_onednn_fusion", "export", "fork", "freeze", "fuser", "ignore", "interface", "is_scripting",
    "is_tracing", "isinstance", "onednn_fusion_enabled", "optimize_for_inference", "optimized_execution", "script",
    "script_if_tracing", "script_method", "set_fusion_strategy", "strict_fusion", "trace", "trace_module", "unused",
    "wait",
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


def trace_module(mod: Module, inputs: dict[str, Any], **options: Any) -> Module:
    """The module itself, after each named method has run once with its example inputs.

    Example::

        >>> import flambeau as torch
        >>> trace_module(torch.nn.ReLU(), {"forward": torch.ones(1)})
        ReLU()
    """
    for name, example in inputs.items():
        trace(mod if name == "forward" else getattr(mod, name), example)
    return mod


def script_if_tracing(fn: Callable) -> Callable:
    """The function itself, for a trace keeps control flow.

    Example::

        >>> script_if_tracing(abs)(-1)
        1
    """
    return _mark(fn, "script_if_tracing")


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


# What these say to TorchScript's compiler, in the attribute where PyTorch keeps it. Here all code is Python's, so a
# marked function runs, where a scripted program of PyTorch's would raise for an `unused` one.


def _mark(fn: Any, name: str, says: str = "") -> Any:
    if not callable(fn):
        raise TypeError(f"torch.jit.{name} expects a function, got {type(fn).__name__}")
    if says:
        fn._torchscript_modifier = says
    return fn


def export(fn: Callable) -> Callable:
    """The method itself, marked as one to be compiled though `forward` does not call it.

    Example::

        >>> export(lambda x: x + 1)(1)
        2
    """
    return _mark(fn, "export", "export (compile this function even if nothing calls it)")


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """The function itself, marked as one that stays Python; `@ignore` and `@ignore()`. RuntimeError for what is neither
    a function nor a bool.

    Example::

        >>> ignore(lambda x: x + 1)(1)
        2
    """
    if callable(drop):
        return _mark(drop, "ignore", "ignore (leave as a call to Python, cannot be torch.jit.save'd)")
    if not is_instance(drop, bool):
        raise RuntimeError(f"Argument to @torch.jit.ignore must be a bool or a function but got {drop}")
    return unused if drop or kwargs.get("drop_on_export") else ignore


def unused(fn: Any) -> Any:
    """The function, or a property's, itself, marked as one to be left out of scripted programs.

    Example::

        >>> unused(lambda x: x + 1)(1)
        2
    """
    for part in (fn.fget, fn.fset) if is_instance(fn, property) else (fn,):
        if part is not None:
            _mark(part, "unused", "unused (ignored and replaced with raising of an exception)")
    return fn


def _overload(func: Callable) -> Callable:
    """The function itself: it says one of the signatures that a script may call the next of its name with.

    Example::

        >>> _overload(abs)(-1)
        1
    """
    return func


_overload_method = _overload  # the same, of methods


def interface(obj: type) -> type:
    """The class itself: any module with its methods can stand for another. RuntimeError for what is no class.

    Example::

        >>> @interface
        ... class Scores:
        ...     def forward(self, x: int) -> int: ...
        >>> Scores.__name__
        'Scores'
    """
    if not is_instance(obj, type):
        raise RuntimeError("interface must be applied to a class")
    return obj


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


@contextmanager
def optimized_execution(should_optimize: bool) -> Iterator[None]:
    """A context that says whether TorchScript optimises; it has nothing to change.

    Example::

        >>> with optimized_execution(True):
        ...     pass
    """
    yield


class ScriptModule(Module):
    """A module of which some methods are scripted; here a module like others."""


class Attribute(NamedTuple):
    """A value with a type that TorchScript should see; here the value is what counts."""

    value: Any
    type: Any


# ---------------------------------------------------------------------------------------------- switches of fusion

# Chains are fused with or without these; they keep what was set, for programs that ask.


class _Fusion:
    onednn = False
    strategy: list[tuple[str, int]] = [("STATIC", 2), ("DYNAMIC", 10)]


def enable_onednn_fusion(enabled: bool) -> None:
    """Say whether oneDNN may fuse. It is not here; what was said is kept."""
    _Fusion.onednn = bool(enabled)


def onednn_fusion_enabled() -> bool:
    """What was said to `enable_onednn_fusion`.

    Example::

        >>> onednn_fusion_enabled()
        False
    """
    return _Fusion.onednn


def set_fusion_strategy(strategy: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Set how often TorchScript specialises, pairs of "STATIC" or "DYNAMIC" and a number; the strategy before. The
    compiler here decides itself. RuntimeError for another word.

    Example::

        >>> set_fusion_strategy([("DYNAMIC", 3)])
        [('STATIC', 2), ('DYNAMIC', 10)]
        >>> set_fusion_strategy([("STATIC", 2), ("DYNAMIC", 10)])
        [('DYNAMIC', 3)]
    """
    if any(kind not in ("STATIC", "DYNAMIC") for kind, _ in strategy):
        raise RuntimeError(f'a fusion strategy is "STATIC" or "DYNAMIC", got {strategy}')
    before, _Fusion.strategy = _Fusion.strategy, list(strategy)
    return before


@contextmanager
def fuser(name: str) -> Iterator[None]:
    """A context for one of TorchScript's fusers, "fuser0" to "fuser3"; chains are fused in it and outside.

    Example::

        >>> with fuser("fuser1"):
        ...     pass
    """
    if name not in ("fuser0", "fuser1", "fuser2", "fuser3"):
        raise Exception(f"unrecognized fuser option (name: {name})")
    yield


class strict_fusion:  # noqa: N801 (PyTorch's name)
    """A context in which TorchScript fails where it cannot fuse; Python code that is not scripted, as all code here,
    gets a warning as in PyTorch."""

    def __init__(self) -> None:
        warnings.warn("Only works in script mode", stacklevel=2)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass


__getattr__ = absent("torch.jit")
del annotations  # Python's own: `torch.jit.annotations` is a module
