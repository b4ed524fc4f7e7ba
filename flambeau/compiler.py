"""`torch.compiler`: what programs say to and ask about `torch.compile`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flambeau import _api as torch
from flambeau._core.errors import explain
from flambeau._core.lazy import lazy_module
from flambeau._core.trees import mapped
from flambeau._core.unsupported import refuse
from flambeau._engine.window import state
from flambeau._replay import calls
from flambeau._replay.steering import STANCES, inside, steering, substitutes, trusted
from flambeau.compiling import OptimizedModule, uncompiled
from flambeau.compiling import compile as compile
from flambeau.nn import Module

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

__all__ = [
    "allow_in_graph", "assume_constant_result", "compile", "cudagraph_mark_step_begin", "disable",
    "get_default_backend", "is_compiling", "is_dynamo_compiling", "is_exporting", "list_backends",
    "nested_compile_region", "reset", "set_stance", "substitute_in_graph", "wrap_numpy",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    raise refuse("torch.compiler", name)


# ---------------------------------------------------------------------------------------------- asking


def is_compiling() -> bool:
    """Is this inside a call of a compiled function? What it then does may be recorded, and replayed without Python.

    Example::

        >>> import flambeau as torch
        >>> def asked(x):
        ...     return x * 2 if torch.compiler.is_compiling() else x
        >>> asked(torch.ones(1)), torch.compile(asked)(torch.ones(1))
        (tensor([1.]), tensor([2.]))
    """
    return inside.compiled


def is_dynamo_compiling() -> bool:
    """The same as `is_compiling`: there is one kind of compiled function."""
    return inside.compiled


def is_exporting() -> bool:
    """False: programs are not exported."""
    return False


def list_backends(exclude_tags: Any = ("debug", "experimental")) -> list[str]:
    """The names of backends, of which there is one. `torch.compile` takes PyTorch's other names for it, too."""
    return ["inductor"]


def get_default_backend() -> str:
    """The name of the backend that `torch.compile` uses."""
    return "inductor"


# ---------------------------------------------------------------------------------------------- leaving to Python


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """Leave a function to Python: it runs at every call, also where a compiled function calls it. That function is not
    replayed then, and `fullgraph=True` is an error.

    Args:
        fn: a function, a module (the result is one that calls it), or a class (its calls are left to Python). Default:
            None, for a decorator.
        recursive: accepted: what the function calls is left to Python either way.
        reason: why, for the error of `fullgraph=True`. Default: None.

    AssertionError for what cannot be called.

    Example::

        >>> import flambeau as torch
        >>> @torch.compiler.disable(reason="it counts its calls")
        ... def counted(x):
        ...     calls.append(1)
        ...     return x
        >>> calls = []
        >>> compiled = torch.compile(lambda x: counted(x) + 1)
        >>> _ = [compiled(torch.ones(1)) for _ in range(3)]
        >>> len(calls)
        3
    """
    if fn is None:
        return lambda function: disable(function, recursive, reason=reason)
    fn = uncompiled(fn)
    assert callable(fn), "fn must be callable"
    if isinstance(fn, Module):
        return LeftModule(fn)
    if isinstance(fn, type):
        method = "forward" if issubclass(fn, Module) else "__call__"
        setattr(fn, method, disable(getattr(fn, method), reason=reason))
        return fn
    what = f"{getattr(fn, '__qualname__', type(fn).__name__)} is called, which torch.compiler.disable leaves to Python"
    what += f" ({reason})" if reason else ""

    @functools.wraps(fn)
    def left(*args: Any, **kwargs: Any) -> Any:
        state.window.unseen(what)
        before, inside.compiled = inside.compiled, False
        try:
            return fn(*args, **kwargs)
        finally:
            inside.compiled = before

    left._torchdynamo_orig_callable = fn  # type: ignore[attr-defined]
    trusted[id(left)] = left
    return left


class LeftModule(OptimizedModule):
    """A module that `disable` was applied to: called as it is."""

    def _begin(self, fullgraph: bool = False, most: int | None = None) -> None:
        left = disable(self._orig_mod.__call__)
        self.__dict__["_calls"] = lambda args, kwargs: left(*args, **kwargs)


# ---------------------------------------------------------------------------------------------- what is not looked into


def allow_in_graph(fn: Any) -> Any:
    """Trust a function, or each of a list: compiled functions that call it are replayed whatever it is made of. What it
    does to tensors is recorded; that it does nothing else, and depends on nothing but its arguments, is up to you.

    AssertionError for what cannot be called.

    Example::

        >>> import flambeau as torch
        >>> settings = {("a", "tuple"): 3}  # whose keys no guard looks at
        >>> def scaled(x):
        ...     return x * settings["a", "tuple"]
        >>> compiled = torch.compile(torch.compiler.allow_in_graph(scaled), fullgraph=True)
        >>> compiled(torch.ones(1))
        tensor([3.])
    """
    if isinstance(fn, (list, tuple)):
        return [allow_in_graph(f) for f in fn]
    if not callable(fn):
        raise AssertionError("allow_in_graph expects a callable")
    trusted[id(fn)] = fn
    return fn


def assume_constant_result(fn: Callable) -> Callable:
    """Trust a function to return the same every time: a compiled function that calls it is replayed with what it
    returned at first. The function itself is returned.

    Example::

        >>> import flambeau as torch
        >>> @torch.compiler.assume_constant_result
        ... def factor():
        ...     print("asked")
        ...     return 2
        >>> compiled = torch.compile(lambda x: x * factor())
        >>> compiled(torch.ones(1)), compiled(torch.ones(1))
        asked
        (tensor([2.]), tensor([2.]))
    """
    trusted[id(fn)] = fn
    return fn


def substitute_in_graph(
    original_fn: Callable, *, can_constant_fold_through: bool = False, skip_signature_check: bool = False
) -> Callable[[Callable], Callable]:
    """Say in Python what a function does that cannot be looked into, one written in C for instance: compiled functions
    that call it are replayed as if they called the substitute. The function itself is what runs.

    Args:
        original_fn: the function.
        can_constant_fold_through: accepted.
        skip_signature_check: may the parameters differ? Default: False.

    Returns:
        A decorator for the substitute, which gives a function that calls the original.

    Raises:
        TypeError: for what is no function, or has other parameters.
        ValueError: for a function that has a substitute.

    Example::

        >>> import bisect
        >>> import flambeau as torch
        >>> @torch.compiler.substitute_in_graph(bisect.bisect_left, skip_signature_check=True)
        ... def place(values, value):
        ...     return len([v for v in values if v < value])
        >>> compiled = torch.compile(lambda x: x + bisect.bisect_left([1, 3], 2), fullgraph=True)
        >>> compiled(torch.ones(1))
        tensor([2.])
    """
    if not inspect.isroutine(original_fn):
        raise TypeError(f"substitute_in_graph expects a function but got {type(original_fn)!r}")

    def register(traceable: Callable) -> Callable:
        if not inspect.isroutine(traceable):
            raise TypeError(f"@substitute_in_graph(...) expects a function but got {type(traceable)!r}")
        if not skip_signature_check:
            _check_signatures(original_fn, traceable)
        if id(original_fn) in substitutes:
            raise ValueError(f"Duplicate polyfilled object {original_fn}")
        substitutes[id(original_fn)] = original_fn, traceable

        @functools.wraps(original_fn)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return original_fn(*args, **kwargs)

        substitutes[id(wrapped)] = wrapped, traceable
        return wrapped

    return register


def _check_signatures(original: Callable, traceable: Callable) -> None:
    """TypeError for other parameters; what has no signature, or takes anything, fits."""
    try:
        theirs = inspect.signature(original)
    except ValueError:
        return
    own = inspect.signature(traceable)
    if _named(theirs) and _named(own) and _named(theirs) != _named(own):
        raise TypeError(f"Signature mismatch between {original} and {traceable}: {theirs} != {own}")


def _named(signature: inspect.Signature) -> list[tuple]:
    """The parameters that have names: these, whether they must be given by them, and their defaults."""
    parameters = [p for p in signature.parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return [(p.name, p.kind == p.KEYWORD_ONLY, p.default) for p in parameters]


def nested_compile_region(fn: Any = None, **options: Any) -> Any:
    """The function itself, or a decorator: equal operations share their kernels wherever they stand, so a region that
    is called many times needs no mark. `options`, `max_reuse_entries` and `reuse_hash_fn` are accepted.

    Example::

        >>> nested_compile_region(abs)(-1)
        1
    """
    return (lambda function: function) if fn is None else fn


def wrap_numpy(fn: Callable) -> Callable:
    """A function of arrays made one of tensors: arguments are given to NumPy, arrays among the results become tensors.
    No gradient goes through it; RuntimeError for a tensor that requires one.

    Example::

        >>> import flambeau as torch
        >>> import numpy as np
        >>> @torch.compiler.wrap_numpy
        ... def doubled(a):
        ...     return np.concatenate([a, a])
        >>> doubled(torch.ones(1))
        tensor([1., 1.])
    """

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        given, named = mapped(lambda x: x.numpy() if isinstance(x, torch.Tensor) else x, (args, kwargs))
        return mapped(lambda x: torch.as_tensor(x) if isinstance(x, np.ndarray) else x, fn(*given, **named))

    return wrapped


# ---------------------------------------------------------------------------------------------- steering


class set_stance:  # noqa: N801 (PyTorch's name)
    """Say what calls of compiled functions do from now on, in all threads; as a context manager inside the block, as a
    decorator inside the function.

    Args:
        stance: "default": replay, and learn to replay what is new.
            "force_eager": run as ordinary code, as if nothing was compiled.
            "eager_on_recompile": replay what is known, run as ordinary code what is new.
            "fail_on_recompile": replay what is known; what is new is a RuntimeError. Functions that turned out not to
            be replayable run as ordinary code.
            "eager_then_compile", "aot_eager_then_compile": run the first call of each function as ordinary code.
        skip_guard_eval_unsafe: accepted: guards are always evaluated.
        force_backend: accepted with "default": there is one backend.

    RuntimeError for another stance.

    Example::

        >>> import flambeau as torch
        >>> @torch.compile
        ... def doubled(x):
        ...     return x * 2
        >>> with torch.compiler.set_stance("fail_on_recompile"):
        ...     doubled(torch.ones(1))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        RuntimeError: Detected recompile when torch.compile stance is 'fail_on_recompile': doubled has no replay for ...
    """

    def __init__(
        self, stance: str = "default", *, skip_guard_eval_unsafe: bool = False, force_backend: Any = None
    ) -> None:
        if stance not in STANCES:
            raise RuntimeError(explain(f"invalid torch.compile stance '{stance}'", hint=f"one of {', '.join(STANCES)}"))
        if force_backend is not None and stance != "default":
            raise RuntimeError("non-default stance cannot have force_backend set")
        self.stance = stance
        self._before = steering.stance
        steering.stance = stance

    def __enter__(self) -> None:
        steering.stance = self.stance

    def __exit__(self, *error: object) -> None:
        steering.stance = self._before

    def __call__(self, function: Callable) -> Callable:
        steering.stance = self._before

        @functools.wraps(function)
        def steered(*args: Any, **kwargs: Any) -> Any:
            with set_stance(self.stance):
                return function(*args, **kwargs)

        return steered


def reset() -> None:
    """Forget all replays: compiled functions begin anew. Kernels are kept.

    Example::

        >>> import flambeau as torch
        >>> torch.compiler.reset()
    """
    calls.forget_all()


def cudagraph_mark_step_begin() -> None:
    """Nothing: the results of each call have memory of their own, so no step invalidates those of the one before.

    Example::

        >>> import flambeau as torch
        >>> torch.compiler.cudagraph_mark_step_begin()
    """
