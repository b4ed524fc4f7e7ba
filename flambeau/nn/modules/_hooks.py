"""Hooks of modules: where they are kept, how they are registered, and how a call runs them.

A module without hooks never comes here: `Module.__call__` only asks whether one of the dictionaries holds something.
"""

from __future__ import annotations

import itertools
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flambeau import _api as torch
from flambeau._core.hooks import RemovableHandle
from flambeau.autograd import Function

if TYPE_CHECKING:
    from .module import Module

Hook = Callable[..., Any]
Hooks = OrderedDict[int, Hook]
Flags = OrderedDict[int, bool]


class BoundHook:
    """A hook that wants its module first; the module is held weakly, so that the hook keeps nothing alive."""

    def __init__(self, hook: Hook, module: Module | None = None) -> None:
        self.hook = hook
        self.module = None if module is None else weakref.ref(module)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.module is None:
            return self.hook(*args, **kwargs)
        module = self.module()
        if module is None:
            raise RuntimeError("You are trying to call the hook of a dead Module!")
        return self.hook(module, *args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return {"hook": self.hook, "module": None if self.module is None else self.module()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["hook"], state["module"])  # type: ignore[misc]


# Hooks common to all modules, for debugging and profiling.
global_forward_pre_hooks: Hooks = OrderedDict()
global_forward_hooks: Hooks = OrderedDict()
global_forward_with_kwargs: Flags = OrderedDict()
global_forward_always_called: Flags = OrderedDict()
global_backward_pre_hooks: Hooks = OrderedDict()
global_backward_hooks: Hooks = OrderedDict()
global_legacy_backward_hooks: Hooks = OrderedDict()
global_buffer_registration_hooks: Hooks = OrderedDict()
global_module_registration_hooks: Hooks = OrderedDict()
global_parameter_registration_hooks: Hooks = OrderedDict()


def _register(
    hooks: Hooks, hook: Hook, flags: list[tuple[Flags, bool]] | None = None, prepend: bool = False
) -> RemovableHandle:
    flags = flags or []
    handle = RemovableHandle(hooks, extra_dict=[flag for flag, _ in flags])
    hooks[handle.id] = hook
    for flag, wanted in flags:
        if wanted:
            flag[handle.id] = True
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def register_module_buffer_registration_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, name, buffer)` before any module registers a buffer; it may return another buffer."""
    return _register(global_buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, name, submodule)` before any module registers a child; it may return another one."""
    return _register(global_module_registration_hooks, hook)


def register_module_parameter_registration_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, name, parameter)` before any module registers a parameter; it may return another one."""
    return _register(global_parameter_registration_hooks, hook)


def register_module_forward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, args)` before every module's forward, ahead of the module's own pre-hooks."""
    return _register(global_forward_pre_hooks, hook)


def register_module_forward_hook(
    hook: Hook, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call `hook(module, args, output)` after every module's forward, ahead of the module's own hooks.

    Args:
        with_kwargs: call `hook(module, args, kwargs, output)` instead. Default: False.
        always_call: also when forward raised. Default: False.
    """
    flags = [(global_forward_with_kwargs, with_kwargs), (global_forward_always_called, always_call)]
    return _register(global_forward_hooks, hook, flags)


def register_module_full_backward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, grad_output)` before the backward pass goes through any module."""
    return _register(global_backward_pre_hooks, hook)


def register_module_full_backward_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` when the gradients of any module's inputs are known."""
    if global_legacy_backward_hooks:
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a global Module hook. "
            "Please use only one of them."
        )
    return _register(global_backward_hooks, hook)


def register_module_backward_hook(hook: Hook) -> RemovableHandle:
    """Deprecated: hooks the node that made the output; use `register_module_full_backward_hook`."""
    if global_backward_hooks:
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a global Module hook. "
            "Please use only one of them."
        )
    return _register(global_legacy_backward_hooks, hook)


class HookRegistration:
    """The `register_*_hook` methods of Module. A handle's `remove()` undoes each of them."""

    _forward_pre_hooks: Hooks
    _forward_pre_hooks_with_kwargs: Flags
    _forward_hooks: Hooks
    _forward_hooks_with_kwargs: Flags
    _forward_hooks_always_called: Flags
    _backward_pre_hooks: Hooks
    _backward_hooks: Hooks
    _is_full_backward_hook: bool | None

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before forward; it may return the arguments to use instead.

        Args:
            prepend: before the hooks registered so far. Default: False.
            with_kwargs: call `hook(module, args, kwargs)`, which may return `(args, kwargs)`. Default: False.

        Example:
            >>> import flambeau as torch
            >>> double = torch.nn.Identity()
            >>> handle = double.register_forward_pre_hook(lambda module, args: args[0] * 2)
            >>> double(torch.ones(2))
            tensor([2., 2.])
        """
        flags = [(self._forward_pre_hooks_with_kwargs, with_kwargs)]
        return _register(self._forward_pre_hooks, hook, flags, prepend)

    def register_forward_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after forward; it may return the output to use instead.

        Args:
            prepend: before the hooks registered so far. Default: False.
            with_kwargs: call `hook(module, args, kwargs, output)`. Default: False.
            always_call: also when forward raised; `output` is then None. Default: False.
        """
        flags = [(self._forward_hooks_with_kwargs, with_kwargs), (self._forward_hooks_always_called, always_call)]
        return _register(self._forward_hooks, hook, flags, prepend)

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` once the gradients of the outputs are known; it may replace them."""
        return _register(self._backward_pre_hooks, hook, prepend=prepend)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` once the gradients of the inputs are known; it may return
        other `grad_input`. Both are tuples, with None for arguments that are no tensors.

        Raises:
            RuntimeError: the module already has a hook of `register_backward_hook`.
        """
        self._claim_backward_hooks(full=True)
        return _register(self._backward_hooks, hook, prepend=prepend)

    def register_backward_hook(self, hook: Hook) -> RemovableHandle:
        """Deprecated: hooks the node that made the output; use `register_full_backward_hook`."""
        self._claim_backward_hooks(full=False)
        return _register(self._backward_hooks, hook)

    def _claim_backward_hooks(self, full: bool) -> None:
        if self._is_full_backward_hook is (not full):
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a single Module. "
                "Please use only one of them."
            )
        self._is_full_backward_hook = full


def call_with_hooks(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """One call of a module that has hooks, in order: forward pre-hooks, forward, forward hooks; backward hooks are
    attached around the tensors that go in and come out."""
    done: set[int] = set()
    result = None
    try:
        args, kwargs = _run_pre_hooks(module, args, kwargs)
        legacy = list(global_legacy_backward_hooks.values())
        full = list(global_backward_hooks.values())
        (full if module._is_full_backward_hook else legacy).extend(module._backward_hooks.values())
        pre = [*global_backward_pre_hooks.values(), *module._backward_pre_hooks.values()]
        gate = _BackwardGate(module, full, pre) if full or pre else None
        if gate is not None:
            args = gate.watch_inputs(args)
        result = (module._compiled_call_impl or module.forward)(*args, **kwargs)
        for key, hook, with_kwargs, always in _forward_hooks(module):
            if always:
                done.add(key)
            replaced = hook(module, args, kwargs, result) if with_kwargs else hook(module, args, result)
            if replaced is not None:
                result = replaced
        if gate is not None:
            result = gate.watch_outputs(result)
        if legacy:
            _hook_output_node(module, legacy, result)
        return result
    except Exception:
        _run_always_called(module, args, kwargs, result, done)
        raise


def _run_pre_hooks(
    module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    for key, hook in [*global_forward_pre_hooks.items(), *module._forward_pre_hooks.items()]:
        if key in module._forward_pre_hooks_with_kwargs:
            replaced = hook(module, args, kwargs)
            if replaced is None:
                continue
            if not (isinstance(replaced, tuple) and len(replaced) == 2):
                raise RuntimeError(
                    f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {replaced}."
                )
            args, kwargs = replaced
        else:
            replaced = hook(module, args)
            if replaced is not None:
                args = replaced if isinstance(replaced, tuple) else (replaced,)
    return args, kwargs


def _forward_hooks(module: Module) -> list[tuple[int, Hook, bool, bool]]:
    """(key, hook, with_kwargs, always_call) of the hooks of all modules, then of this one."""
    common = [
        (key, hook, key in global_forward_with_kwargs, key in global_forward_always_called)
        for key, hook in global_forward_hooks.items()
    ]
    own = [
        (key, hook, key in module._forward_hooks_with_kwargs, key in module._forward_hooks_always_called)
        for key, hook in module._forward_hooks.items()
    ]
    return common + own


def _run_always_called(
    module: Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any, done: set[int]
) -> None:
    for key, hook, with_kwargs, always in _forward_hooks(module):
        if not always or key in done:
            continue
        try:
            replaced = hook(module, args, kwargs, result) if with_kwargs else hook(module, args, result)
        except Exception as error:
            warnings.warn(
                "module forward hook with ``always_call=True`` raised an exception that was silenced as another error "
                f"was raised in forward: {error}",
                stacklevel=4,
            )
        else:
            result = result if replaced is None else replaced


def _hook_output_node(module: Module, hooks: list[Hook], result: Any) -> None:
    """The old backward hooks: they see the gradients of the last node only, whatever the module's inputs are."""
    output = result
    while not isinstance(output, torch.Tensor):
        values = output.values() if isinstance(output, dict) else output
        output = next(value for value in values if isinstance(value, (torch.Tensor, dict, tuple, list)))
    if output.grad_fn is not None:
        for hook in hooks:
            output.grad_fn.register_hook(BoundHook(hook, module))


class _GradientsIn(Function):
    """Identity on the inputs of a module; its backward hands their gradients to the gate."""

    @staticmethod
    def forward(ctx: Any, gate: _BackwardGate, *tensors: torch.Tensor) -> Any:
        return _pass_through(ctx, gate, tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return None, *ctx.gate.input_gradients(grads)


class _GradientsOut(Function):
    """Identity on the outputs of a module; its backward hands their gradients to the gate."""

    @staticmethod
    def forward(ctx: Any, gate: _BackwardGate, *tensors: torch.Tensor) -> Any:
        ctx.set_materialize_grads(False)
        return _pass_through(ctx, gate, tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return None, *ctx.gate.output_gradients(grads)


def _pass_through(ctx: Any, gate: _BackwardGate, tensors: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    ctx.gate = gate
    views = tuple(tensor.view_as(tensor) for tensor in tensors)
    ctx.mark_non_differentiable(
        *(view for view, tensor in zip(views, tensors, strict=True) if not tensor.requires_grad)
    )
    return views


class _BackwardGate:
    """Full backward hooks of one call: identity nodes before and after the module, which tell their gradients.

    The outputs' gradients pass first: the pre-hooks may replace them. When the inputs' gradients pass, both are known
    and the hooks run. If no input wants a gradient, they run at the outputs, with None for every input.
    """

    def __init__(self, module: Module, hooks: list[Hook], pre_hooks: list[Hook]) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_outputs: tuple[Any, ...] | None = None
        self.inputs: tuple[int, list[int] | None] = (0, None)
        self.outputs: tuple[int, list[int] | None] = (0, None)

    def watch_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        args, positions = self._watch(_GradientsIn, args)
        self.inputs = (len(args), positions)
        return args

    def watch_outputs(self, result: Any) -> Any:
        if not isinstance(result, (torch.Tensor, tuple)):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors but received "
                f"{type(result)}",
                stacklevel=5,
            )
        outputs = result if isinstance(result, tuple) else (result,)
        outputs, positions = self._watch(_GradientsOut, outputs)
        self.outputs = (len(outputs), positions)
        return outputs if isinstance(result, tuple) else outputs[0]

    def _watch(self, identity: type[Function], values: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[int] | None]:
        positions = [place for place, value in enumerate(values) if isinstance(value, torch.Tensor)]
        if not (torch.is_grad_enabled() and any(values[place].requires_grad for place in positions)):
            return values, None
        watched = identity.apply(self, *(values[place] for place in positions))
        replaced = list(values)
        for place, tensor in zip(positions, watched, strict=True):
            replaced[place] = tensor
        kind = type(values)
        return tuple(replaced) if kind is tuple else kind(*replaced), positions

    def output_gradients(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        count, positions = self.outputs
        known = _spread(grads, positions, count)
        for hook in self.pre_hooks:
            replaced = _as_tuple(hook(self.module, known))
            if replaced is None:
                continue
            if len(replaced) != count:
                raise RuntimeError(
                    "Backward pre hook returned an invalid number of grad_output, "
                    f"got {len(replaced)}, but expected {count}"
                )
            known = replaced
        self.grad_outputs = known
        if self.inputs[1] is None:
            self._run_without_inputs()
        return tuple(known[place] for place in positions or ())

    def _run_without_inputs(self) -> None:
        if self.hooks:
            warnings.warn(
                "Full backward hook is firing when gradients are computed with respect to module outputs since no "
                "inputs require gradients.",
                stacklevel=6,
            )
        nothing = (None,) * self.inputs[0]
        for hook in self.hooks:
            replaced = hook(self.module, nothing, self.grad_outputs)
            if replaced is not None and not (isinstance(replaced, tuple) and all(grad is None for grad in replaced)):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always return None or None for "
                    "all gradients."
                )
        self.grad_outputs = None

    def input_gradients(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        if self.grad_outputs is None:
            # The gradient came to the input without passing the output, as it may in a double backward.
            return grads
        count, positions = self.inputs
        known = _spread(grads, positions, count)
        for hook in self.hooks:
            replaced = _as_tuple(hook(self.module, known, self.grad_outputs))
            if replaced is None:
                continue
            if len(replaced) != count:
                raise RuntimeError(
                    f"Backward hook returned an invalid number of grad_input, got {len(replaced)}, but expected {count}"
                )
            known = replaced
        self.grad_outputs = None
        return tuple(known[place] for place in positions or ())


def _as_tuple(grads: Any) -> Any:
    return (grads,) if isinstance(grads, torch.Tensor) else grads


def _spread(values: tuple[Any, ...], positions: list[int] | None, count: int) -> tuple[Any, ...]:
    spread: list[Any] = [None] * count
    for place, value in zip(positions or itertools.count(), values, strict=False):
        spread[place] = value
    return tuple(spread)
