"""`torch.compile`: nothing has to be decorated here, but what is gets its kernels at once and is not recorded again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flambeau._core.errors import explain
from flambeau._core.lazy import lazy_module
from flambeau.nn import Module

_replay = lazy_module("flambeau._replay.calls")

MODES = (None, "default", "lite", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")


class OptimizedModule(Module):
    """A module that is called through `compile`; the module itself is `_orig_mod`, and attributes are looked up there.

    Keys of `state_dict` begin with `_orig_mod.`, as PyTorch's do.
    """

    def __init__(self, module: Module, fullgraph: bool = False, most: int | None = None) -> None:
        super().__init__()
        self._orig_mod = module
        self._begin(fullgraph, most)

    def _begin(self, fullgraph: bool = False, most: int | None = None) -> None:
        """Prepare what calls go through."""
        self.__dict__["_calls"] = _replay.Calls(self._orig_mod, fullgraph, most)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._calls(args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_mod":
            return super().__getattr__(name)
        return getattr(self._orig_mod, name)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_calls"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._begin()


def compile(  # noqa: A001
    model: Callable[..., Any] | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Callable[..., Any] | None = None,
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    name: str | None = None,
    disable: bool = False,
    recompile_limit: int | None = None,
    isolate_recompiles: bool = False,
    shapes_spec: Any = None,
) -> Any:
    """`model`, a function or module, compiled at its first call and replayed at later ones, without running Python, as
    long as nothing has changed that it could depend on; without `model`, a decorator.

    Operations are recorded, fused and compiled with or without this. What it saves is recording them again. Before
    each replay guards are checked over arguments, globals, closures, modules and settings; if one fails, or if the
    function does what cannot be guarded, it runs as ordinary code, with the same results. See docs/compiler.md.

    Args:
        model: a function, a method, a module (which becomes an `OptimizedModule`), or anything else that is callable.
        fullgraph: raise an error where a call cannot be replayed. Default: False, run it as ordinary code.
        dynamic, backend, options, name, shapes_spec: accepted; shapes get replays of their own, and there is one
            backend.
        mode: None or one of PyTorch's names, which all mean the same here.
        disable: return `model` as it is.
        recompile_limit: in how many different ways calls are replayed before those that are new run as ordinary code.
            Default: None, 8.
        isolate_recompiles: accepted; each call of `compile` has replays of its own.

    Raises:
        RuntimeError: for a `mode` that PyTorch does not have either, and for a mode together with options; at a call,
            with `fullgraph`, for what cannot be replayed: the error names the line and the reason.
        TypeError: for a `model` that cannot be called.
        ValueError: for a `recompile_limit` below 1.

    Example::

        >>> import flambeau as torch
        >>> @torch.compile
        ... def scaled(x):
        ...     return (x * 2).tanh()
        >>> scaled(torch.zeros(2))
        tensor([0., 0.])
    """
    if mode not in MODES:
        hint = "one of " + ", ".join(repr(m) for m in MODES if m)
        raise RuntimeError(explain(f"Unrecognized mode={mode}, should be one of: {list(MODES[1:])}", hint=hint))
    if mode is not None and options is not None:
        fact = "Either mode or options can be specified, but both can't be specified at the same time."
        raise RuntimeError(explain(fact, hint="both may be left out: neither changes anything here"))
    if recompile_limit is not None and recompile_limit < 1:
        hint = "leave it out for the usual 8; disable=True compiles nothing"
        raise ValueError(explain(f"recompile_limit must be at least 1, got {recompile_limit}", hint=hint))
    if model is None:
        return lambda m: compile(m, fullgraph=fullgraph, disable=disable, recompile_limit=recompile_limit)
    if not callable(model):
        fact = f"torch.compile() expects a function or a module, got {type(model).__name__}"
        raise TypeError(explain(fact, hint="pass the model itself, not its output"))
    if disable:
        return model
    if isinstance(model, Module):
        return OptimizedModule(model, fullgraph, recompile_limit)
    calls = _replay.Calls(model, fullgraph, recompile_limit)

    @functools.wraps(model)
    def compiled(*args: Any, **kwargs: Any) -> Any:
        return calls(args, kwargs)

    compiled._torchdynamo_orig_callable = model  # type: ignore[attr-defined]
    return compiled


def uncompiled(model: Any) -> Any:
    """The function or module that was given to `compile`, whatever it has been wrapped in since; anything else as it
    is."""
    if isinstance(model, OptimizedModule):
        return model._orig_mod
    while "_torchdynamo_orig_callable" in getattr(model, "__dict__", {}):
        model = model._torchdynamo_orig_callable
    return model


def compile_forward(self: Module, **options: Any) -> None:
    """Let the module's `forward` be compiled at the next call and replayed at later ones, with the options of
    `torch.compile`. The module stays what it is, with the same keys in its `state_dict`; copies are not compiled.

    Example::

        >>> import flambeau as torch
        >>> linear = torch.nn.Linear(1, 1)
        >>> linear.compile()
        >>> list(linear.state_dict())
        ['weight', 'bias']
    """
    self.__dict__["_compiled_call_impl"] = compile(self.forward, **options)


compile_forward.__name__ = "compile"
Module.compile = compile_forward
