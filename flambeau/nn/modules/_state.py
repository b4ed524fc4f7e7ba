"""`state_dict` and `load_state_dict`: the flat dictionary of a module's parameters and persistent buffers.

The keys, the `_metadata` with each module's `_version`, and the messages are PyTorch's, so that checkpoints of either
serve the other.
"""

from __future__ import annotations

import os
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from flambeau import _api as torch
from flambeau._core.errors import explain

from ..parameter import Parameter, is_lazy
from ._hooks import BoundHook, Hook, Hooks, RemovableHandle, _register

if TYPE_CHECKING:
    from .module import Module

EXTRA_STATE = "_extra_state"


class _KeyLists(NamedTuple):
    missing_keys: list[str]
    unexpected_keys: list[str]


class _IncompatibleKeys(_KeyLists):
    """What `load_state_dict` returns: the keys that were missing and those that had no place."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()


class ModuleState:
    """The methods of Module that save and load its state."""

    _version: int = 1
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, torch.Tensor | None]
    _modules: dict[str, Any]  # modules or None; the annotations of a class must be readable from its subclasses
    _non_persistent_buffers_set: set[str]
    _state_dict_hooks: Hooks
    _state_dict_pre_hooks: Hooks
    _load_state_dict_pre_hooks: Hooks
    _load_state_dict_post_hooks: Hooks

    def get_extra_state(self) -> Any:
        """Override to add something picklable to `state_dict`, together with `set_extra_state`."""
        raise RuntimeError(f"{type(self).__name__} has no extra state: override get_extra_state() to give it one.")

    def set_extra_state(self, state: Any) -> None:
        """Override to take back, from `load_state_dict`, what `get_extra_state` returned."""
        raise RuntimeError(f"{type(self).__name__} has no extra state: override set_extra_state() to give it one.")

    def state_dict(
        self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """The parameters and persistent buffers of this module and its children, by their dotted names.

        Args:
            destination: a dictionary to fill; default: a new OrderedDict with a `_metadata` attribute.
            prefix: put before each name. Default: "".
            keep_vars: give the parameters themselves, not detached from autograd. Default: False.

        Returns:
            The dictionary; its tensors share memory with the module's.

        Example:
            >>> import flambeau as torch
            >>> list(torch.nn.Linear(2, 3).state_dict())
            ['weight', 'bias']
        """
        if args:
            warnings.warn(
                "Positional args are being deprecated, use kwargs instead: state_dict(destination=..., prefix=..., "
                "keep_vars=...).",
                FutureWarning,
                stacklevel=2,
            )
            positional = dict(zip(("destination", "prefix", "keep_vars"), args, strict=False))
            destination = positional.get("destination", destination)
            prefix = positional.get("prefix", prefix)
            keep_vars = positional.get("keep_vars", keep_vars)
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in self._state_dict_hooks.values():
            replaced = hook(self, destination, prefix, metadata)
            if replaced is not None:
                if getattr(hook, "_from_public_api", False):
                    raise RuntimeError("state_dict post-hook must return None")
                destination = replaced
        return destination

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """Put this module's own tensors into `destination`, without its children's. Subclasses may override it."""
        for name, tensor in self._own_state().items():
            destination[prefix + name] = tensor if keep_vars or is_lazy(tensor) else tensor.detach()
        if _overrides(self, "get_extra_state"):
            destination[prefix + EXTRA_STATE] = self.get_extra_state()

    def _own_state(self) -> dict[str, torch.Tensor]:
        state: dict[str, torch.Tensor] = {}
        for name, parameter in self._parameters.items():
            if parameter is not None:
                state[name] = parameter
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers_set:
                state[name] = buffer
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Copy the tensors of `state_dict` into the parameters and buffers of the same names.

        Args:
            state_dict: what `state_dict()` of such a module returned.
            strict: refuse missing and superfluous keys. Default: True.
            assign: take the tensors themselves instead of copying them (keeping `requires_grad`). Default: False.

        Returns:
            `missing_keys` and `unexpected_keys`, for `strict=False`.

        Raises:
            TypeError: `state_dict` is no mapping.
            RuntimeError: listing every key that is missing, superfluous (if strict) or of another shape.
        """
        if not isinstance(state_dict, Mapping):
            hint = (
                "load the file first: load_state_dict(torch.load(path))"
                if isinstance(state_dict, (str, os.PathLike))
                else "of a module, pass its state: load_state_dict(other.state_dict())"
                if callable(getattr(state_dict, "state_dict", None))
                else ""
            )
            raise TypeError(explain(f"Expected state_dict to be dict-like, got {type(state_dict)}.", hint=hint))
        report = _LoadReport(state_dict, assign)
        copied: Any = OrderedDict(state_dict)
        if report.metadata is not None:
            copied._metadata = report.metadata
        _load_module(self, copied, "", report)  # type: ignore[arg-type]
        report.check(type(self).__name__, strict)
        return _IncompatibleKeys(report.missing, report.unexpected)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load this module's own tensors, without its children's. Subclasses override it to read older versions, which
        `local_metadata["version"]` tells; `state_dict` is a copy that they may change."""
        for hook in self._load_state_dict_pre_hooks.values():
            hook(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        own = self._own_state()
        assign = local_metadata.get("assign_to_params_buffers", False)
        for name, held in own.items():
            key = prefix + name
            if key in state_dict:
                error = _load_tensor(self, name, key, held, state_dict[key], assign)
                if error is not None:
                    error_msgs.append(error)
            elif strict:
                missing_keys.append(key)
        extra_key = prefix + EXTRA_STATE
        if _overrides(self, "set_extra_state"):
            if extra_key in state_dict:
                self.set_extra_state(state_dict[extra_key])
            elif strict:
                missing_keys.append(extra_key)
        elif strict and extra_key in state_dict:
            unexpected_keys.append(extra_key)
        if strict:
            for key in state_dict:
                if key.startswith(prefix) and key != extra_key:
                    first, dot, _ = key[len(prefix) :].partition(".")
                    if first not in (self._modules if dot else own):
                        unexpected_keys.append(key)

    def register_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before `state_dict` collects this module's tensors."""
        return _register(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after; it may change the dictionary in place."""
        hook._from_public_api = True  # type: ignore[attr-defined]
        return _register(self._state_dict_hooks, hook)

    def _register_state_dict_hook(self, hook: Hook) -> RemovableHandle:
        """As `register_state_dict_post_hook`; on the root module such a hook may also return another dictionary."""
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError(
                "Cannot register the same function as the state dict post hook that was previously registered via "
                "register_state_dict_post_hook"
            )
        return _register(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)`
        before this module's tensors are loaded."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(self, hook: Hook, with_module: bool = False) -> RemovableHandle:
        return _register(
            self._load_state_dict_pre_hooks,
            BoundHook(hook, self if with_module else None),  # type: ignore[arg-type]
        )

    def register_load_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after loading; it may change the two lists in place."""
        return _register(self._load_state_dict_post_hooks, hook)


def _overrides(module: ModuleState, method: str) -> bool:
    return getattr(type(module), method) is not getattr(ModuleState, method)


class _LoadReport:
    """What one `load_state_dict` gathers over all modules."""

    def __init__(self, state_dict: Mapping[str, Any], assign: bool) -> None:
        self.metadata: dict[str, Any] | None = getattr(state_dict, "_metadata", None)
        self.inner = next((key for key, value in state_dict.items() if isinstance(value, Mapping)), None)
        self.assign = assign
        self.missing: list[str] = []
        self.unexpected: list[str] = []
        self.errors: list[str] = []

    def metadata_of(self, prefix: str) -> dict[str, Any]:
        local = {} if self.metadata is None else self.metadata.get(prefix[:-1], {})
        if self.assign:
            local["assign_to_params_buffers"] = True
        return local

    def check(self, owner: str, strict: bool) -> None:
        errors = list(self.errors)
        if strict:
            for kind, keys in (("Unexpected", self.unexpected), ("Missing", self.missing)):
                if keys:
                    named = ", ".join(f'"{key}"' for key in keys)
                    errors.insert(0, f"{kind} key(s) in state_dict: {named}. ")
        if errors:
            listed = "\n\t".join(errors)
            hint = self._hint() if strict else ""
            raise RuntimeError(explain(f"Error(s) in loading state_dict for {owner}:\n\t{listed}", hint=hint))

    def _hint(self) -> str:
        """What to do where the state is in a checkpoint beside other things, or where its names are the model's behind
        a common prefix, as a wrapper gives them, or without one."""
        if self.inner is not None and self.missing:
            return f"this is a checkpoint that holds a state: load_state_dict(checkpoint[{self.inner!r}])"
        for key in self.missing:
            for found in self.unexpected:
                if found.endswith("." + key):
                    prefix = found.removesuffix(key)
                    return f"take the prefix off: {{k.removeprefix({prefix!r}): v for k, v in state.items()}}"
        prefixes = {key.removesuffix(key.rpartition(".")[2]) for key in self.missing}
        if len(prefixes) == 1 and {key.rpartition(".")[2] for key in self.missing} == set(self.unexpected):
            return f"put the prefix in front: {{{prefixes.pop()!r} + k: v for k, v in state.items()}}"
        return ""


def _load_module(module: Module, state_dict: dict[str, Any], prefix: str, report: _LoadReport) -> None:
    module._load_from_state_dict(
        state_dict, prefix, report.metadata_of(prefix), True, report.missing, report.unexpected, report.errors
    )
    for name, child in module._modules.items():
        if child is not None:
            child_prefix = f"{prefix}{name}."
            child_state = {key: value for key, value in state_dict.items() if key.startswith(child_prefix)}
            _load_module(child, child_state, child_prefix, report)
    keys = _IncompatibleKeys(report.missing, report.unexpected)
    for hook in module._load_state_dict_post_hooks.values():
        if hook(module, keys) is not None:
            raise AssertionError(
                "Hooks registered with ``register_load_state_dict_post_hook`` are not expected to return new values, "
                "if incompatible_keys need to be modified, it should be done inplace."
            )


def _load_tensor(module: ModuleState, name: str, key: str, held: torch.Tensor, given: Any, assign: bool) -> str | None:
    """Load one tensor; the message of what hindered it, if something did."""
    if not isinstance(given, torch.Tensor):
        return (
            f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object from checkpoint '
            f"but received {type(given)}"
        )
    if not is_lazy(held):
        if held.dim() == 0 and tuple(given.shape) == (1,):
            given = given[0]  # scalars were saved with one dimension by very old versions
        if given.shape != held.shape:
            return (
                f"size mismatch for {key}: copying a param with shape {given.shape} from checkpoint, "
                f"the shape in current model is {held.shape}."
            )
    if held.is_meta and not given.is_meta and not assign:
        warnings.warn(
            f"for {key}: copying from a non-meta parameter in the checkpoint to a meta parameter in the current model, "
            "which is a no-op. (Did you mean to pass `assign=True` to assign items in the state dictionary to their "
            "corresponding key in the module instead of copying them in place?)",
            stacklevel=2,
        )
    try:
        with torch.no_grad():
            if assign:
                if isinstance(held, Parameter):
                    if isinstance(given, Parameter):
                        given.requires_grad_(held.requires_grad)
                    else:
                        given = Parameter(given, requires_grad=held.requires_grad)
                setattr(module, name, given)
            else:
                held.copy_(given)
    except Exception as error:
        return (
            f'While copying the parameter named "{key}", whose dimensions in the model are {held.size()} and whose '
            f"dimensions in the checkpoint are {given.size()}, an exception occurred : {error.args}."
        )
    return None
