"""Module: the base of every layer and model: a tree of named parameters, buffers and child modules that is called."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from flambeau import _api as torch
from flambeau._core.errors import explain
from flambeau._core.keywords import CheckedKeywords, unexpected

from ..parameter import Buffer, Parameter
from ._convert import Conversion
from ._hooks import (
    HookRegistration,
    RemovableHandle,
    call_with_hooks,
    global_backward_hooks,
    global_backward_pre_hooks,
    global_buffer_registration_hooks,
    global_forward_hooks,
    global_forward_pre_hooks,
    global_legacy_backward_hooks,
    global_module_registration_hooks,
    global_parameter_registration_hooks,
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from ._state import ModuleState
from ._state import _IncompatibleKeys as _IncompatibleKeys
from ._trail import add_module_note

if TYPE_CHECKING:
    from typing import Self

__all__ = [
    "Module",
    "RemovableHandle",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

Tensor = torch.Tensor

_HOOK_DICTIONARIES = (
    "_backward_pre_hooks",
    "_backward_hooks",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)

CALL_INIT_FIRST = "\n  hint: call super().__init__() first, before the first assignment in __init__"


def _child_hint(value: Any) -> str:
    """What to give in place of something that is no child of a module."""
    if isinstance(value, type):
        return f"a child is an instance: {value.__name__}()"
    if isinstance(value, (list, tuple)):
        return "unpack the list: nn.Sequential(*layers), or keep it in an nn.ModuleList(layers)"
    if isinstance(value, dict):
        return "nn.Sequential takes names in an OrderedDict; an nn.ModuleDict holds any dict of modules"
    return "a child is a module: nn.ReLU() in place of torch.relu"


class Registered:
    """A parameter or buffer that all modules of a class have, as a class attribute. Python finds it at once; without,
    it makes an AttributeError before it asks `__getattr__`, which takes five times as long."""

    def __init__(self, registry: str = "_parameters") -> None:
        self.registry = registry

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, module: Any, kind: type) -> Any:
        if module is None:
            raise AttributeError(f"type object '{kind.__name__}' has no attribute '{self.name}'")
        try:
            return module.__dict__[self.registry][self.name]
        except KeyError:
            raise AttributeError(self.name) from None  # it may be in another, or not be registered yet


class Module(CheckedKeywords, ModuleState, HookRegistration, Conversion):
    """Base class of layers and models.

    A subclass creates its parameters and children in `__init__`, after `super().__init__()`, by assigning them as
    attributes, and computes in `forward`. Calling the module runs `forward` and the registered hooks. An exception that
    leaves the outermost call carries a note that names the module where it arose.

    Attributes:
        training: True after `train()` (and at first), False after `eval()`.

    Example:
        >>> import flambeau as torch
        >>> class Net(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.fc = torch.nn.Linear(3, 2)
        ...     def forward(self, x):
        ...         return self.fc(x).relu()
        >>> net = Net()
        >>> net(torch.ones(5, 3)).shape
        torch.Size([5, 2])
        >>> [name for name, _ in net.named_parameters()]
        ['fc.weight', 'fc.bias']
    """

    call_super_init: bool = False
    dump_patches: bool = False
    training: bool
    compile: Callable[..., None]  # `flambeau.compiling` gives it
    _compiled_call_impl: Callable[..., Any] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init:
            if kwargs:
                raise unexpected(f"{type(self).__name__}.__init__", next(iter(kwargs)), ())
            if args:
                raise TypeError(
                    f"{type(self).__name__}.__init__() takes 1 positional argument but {len(args) + 1} were given"
                )
        # Straight into the dictionary: __setattr__ needs what is made here.
        own = self.__dict__
        own["training"] = True
        own["_parameters"] = {}
        own["_buffers"] = {}
        own["_non_persistent_buffers_set"] = set()
        own["_is_full_backward_hook"] = None
        for name in _HOOK_DICTIONARIES:
            own[name] = OrderedDict()
        own["_modules"] = {}
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes. Every subclass overrides it; call the module itself, so that hooks run."""
        hint = "define forward(self, ...), indented as __init__ is; a ModuleList or ModuleDict only holds modules"
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function\n  hint: {hint}'
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if (
                self._forward_hooks
                or self._forward_pre_hooks
                or self._backward_hooks
                or self._backward_pre_hooks
                or global_forward_hooks
                or global_forward_pre_hooks
                or global_backward_hooks
                or global_backward_pre_hooks
                or global_legacy_backward_hooks
            ):
                return call_with_hooks(self, args, kwargs)
            return (self._compiled_call_impl or self.forward)(*args, **kwargs)
        except Exception as error:
            add_module_note(error, _CALL)
            raise

    # Registration

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is part of the module's state but is not trained, such as a running mean.

        Args:
            name: the attribute to reach it by; neither empty nor with a dot.
            tensor: the buffer, or None for one that is not there (yet).
            persistent: whether `state_dict` holds it. Default: True.

        Raises:
            AttributeError: before `Module.__init__`. KeyError: the name is unfit or taken. TypeError: no tensor.
        """
        self._check_name("_buffers", "buffer", name)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{_typename(tensor)}' object to buffer '{name}' (torch Tensor or None required)"
            )
        if global_buffer_registration_hooks:
            tensor = _run_registration_hooks(global_buffer_registration_hooks, self, name, tensor)
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter; assigning a Parameter as an attribute does the same.

        Raises:
            AttributeError: before `Module.__init__`. KeyError: the name is unfit or taken. TypeError: `param` is
            neither a Parameter nor None. ValueError: `param` is the result of a computation.
        """
        self._check_name("_parameters", "parameter", name)
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{_typename(param)}' object to parameter '{name}' "
                    "(torch.nn.Parameter or None required)"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created "
                    f"explicitly. To express '{name}' as a function of another Tensor, compute the value in the "
                    "forward() method."
                )
            if global_parameter_registration_hooks:
                param = _run_registration_hooks(global_parameter_registration_hooks, self, name, param)
        self._parameters[name] = param

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child module; assigning a Module as an attribute does the same.

        Raises:
            TypeError: `module` is neither a Module nor None. KeyError: the name is unfit or taken.
        """
        if module is not None and not isinstance(module, Module):
            raise TypeError(explain(f"{_typename(module)} is not a Module subclass", hint=_child_hint(module)))
        self._check_name("_modules", "module", name)
        if global_module_registration_hooks:
            module = _run_registration_hooks(global_module_registration_hooks, self, name, module)
        self._modules[name] = module

    def register_module(self, name: str, module: Module | None) -> None:
        """The same as `add_module`."""
        self.add_module(name, module)

    def _check_name(self, registry: str, kind: str, name: object) -> None:
        if registry not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call{CALL_INIT_FIRST}")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {_typename(name)}")
        if "." in name:
            got = f", got: {name}" if kind == "module" else ""
            raise KeyError(f'{kind} name can\'t contain "."{got}')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if name not in self.__dict__[registry] and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists")

    # Attributes: parameters, buffers and children live in dictionaries of their own.

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        if "_modules" in own:
            found = own["_parameters"]
            if name in found:
                return found[name]
            found = own["_modules"]
            if name in found:
                return found[name]
            found = own["_buffers"]
            if name in found:
                return found[name]
        kind = type(self).__name__
        if name in ("_parameters", "_buffers", "_modules") and name not in own:
            hint = f"{kind}.__init__ must call super().__init__() first"
            raise AttributeError(f"{kind} is used before Module.__init__() was called\n  hint: {hint}")
        raise AttributeError(f"'{kind}' object has no attribute '{name}'", name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        parameters = own.get("_parameters")
        if isinstance(value, Tensor) and isinstance(value, Parameter):
            if parameters is None:
                raise AttributeError(f"cannot assign parameters before Module.__init__() call{CALL_INIT_FIRST}")
            _forget(name, own, own["_buffers"], own["_modules"])
            own["_non_persistent_buffers_set"].discard(name)
            self.register_parameter(name, value)
        elif parameters is None:
            if isinstance(value, Module):
                raise AttributeError(f"cannot assign module before Module.__init__() call{CALL_INIT_FIRST}")
            super().__setattr__(name, value)
        elif name in parameters:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_typename(value)}' as parameter '{name}' (torch.nn.Parameter or None expected)"
                )
            self.register_parameter(name, None)
        elif isinstance(value, Module):
            _forget(name, own, own["_buffers"])
            own["_non_persistent_buffers_set"].discard(name)
            self._set_module(name, value)
        elif name in own["_modules"]:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_typename(value)}' as child module '{name}' (torch.nn.Module or None expected)"
                )
            self._set_module(name, None)
        elif name in own["_buffers"] or (isinstance(value, Tensor) and isinstance(value, Buffer)):
            self._set_buffer(name, value)
        else:
            super().__setattr__(name, value)

    def _set_module(self, name: str, module: Module | None) -> None:
        if global_module_registration_hooks:
            module = _run_registration_hooks(global_module_registration_hooks, self, name, module)
        self._modules[name] = module

    def _set_buffer(self, name: str, value: Any) -> None:
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(
                f"cannot assign '{_typename(value)}' as buffer '{name}' "
                "(torch.nn.Buffer, torch.Tensor or None expected)"
            )
        marked: Any = value if isinstance(value, Buffer) else None
        persistent = marked.persistent if marked is not None else name not in self._non_persistent_buffers_set
        if persistent:
            self.register_buffer(name, value)
        else:
            self.register_buffer(name, value, persistent=False)

    def __delattr__(self, name: str) -> None:
        if name in self._parameters:
            del self._parameters[name]
        elif name in self._buffers:
            del self._buffers[name]
            self._non_persistent_buffers_set.discard(name)
        elif name in self._modules:
            del self._modules[name]
        else:
            super().__delattr__(name)

    def __dir__(self) -> list[str]:
        names = [*dir(type(self)), *self.__dict__, *self._parameters, *self._modules, *self._buffers]
        return sorted(name for name in names if not name[0].isdigit())

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_compiled_call_impl"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # Modules that were pickled by older versions lack some of these.
        for name in _HOOK_DICTIONARIES:
            self.__dict__.setdefault(name, OrderedDict())
        self.__dict__.setdefault("_non_persistent_buffers_set", set())
        self.__dict__.setdefault("_is_full_backward_hook", None)

    # Looking up by dotted name

    def get_submodule(self, target: str) -> Module:
        """The descendant with the dotted name `target`; this module itself for "".

        Raises:
            AttributeError: there is none, or it is not a module.
        """
        module = self
        for name in target.split(".") if target else ():
            module = _member(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Replace (or add) the descendant with the dotted name `target`.

        Args:
            strict: refuse to add one that was not there. Default: False.

        Raises:
            ValueError: no name, or `module` is no Module. AttributeError: its parent is missing, or the attribute is
            not a module, or (strict) is missing.
        """
        if not target:
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict or hasattr(parent, name):
            if not isinstance(_member(parent, name), Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with the dotted name `target`; AttributeError if there is none."""
        path, _, name = target.rpartition(".")
        parameter = _member(self.get_submodule(path), name)
        if not isinstance(parameter, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return parameter

    def get_buffer(self, target: str) -> Tensor:
        """The buffer with the dotted name `target`; AttributeError if there is none."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        buffer = _member(module, name)
        if name not in module._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return buffer

    # Walking the tree

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all its descendants with their dotted names, parents first.

        Args:
            memo: modules to leave out; those yielded are added. Default: none.
            prefix: put before each name. Default: "".
            remove_duplicate: yield a shared module once only. Default: True.
        """
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                path = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, path, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all its descendants, each once (or as often as it occurs)."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The children with their names, each once."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The children, each once."""
        for _, module in self.named_children():
            yield module

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their dotted names.

        Args:
            prefix: put before each name. Default: "".
            recurse: with those of all descendants. Default: True.
            remove_duplicate: yield a shared parameter once only. Default: True.
        """
        return self._named_members(lambda module: module._parameters.items(), prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, as one hands them to an optimizer."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their dotted names; arguments as in `named_parameters`."""
        return self._named_members(lambda module: module._buffers.items(), prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def _named_members(
        self,
        get_members_fn: Callable[[Module], Any],
        prefix: str = "",
        recurse: bool = True,
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, Any]]:
        seen: set[Any] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, member in get_members_fn(module):
                if member is None or member in seen:
                    continue
                if remove_duplicate:
                    seen.add(member)
                yield (f"{path}.{name}" if path else name), member

    def apply(self, fn: Callable[[Module], None]) -> Self:
        """Call `fn` on every descendant, children first, then on this module, which is returned.

        Example:
            >>> import flambeau as torch
            >>> def zero(module):
            ...     if isinstance(module, torch.nn.Linear):
            ...         torch.nn.init.zeros_(module.weight)
            >>> torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False)).apply(zero)[0].weight.item()
            0.0
        """
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # Modes and gradients

    def train(self, mode: bool = True) -> Self:
        """Set training mode here and below; it matters to layers such as dropout and batch normalisation."""
        if not isinstance(mode, bool):
            raise ValueError(f"training mode is expected to be boolean, got {mode!r}: train() or train(True), eval()")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """Set evaluation mode: `train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Turn the gradients of all parameters on or off, to freeze a part of a model."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or (set_to_none=False) fill them with zeros."""
        if getattr(self, "_is_replica", False):
            message = "Calling .zero_grad() from a module created with nn.DataParallel() has no effect."
            warnings.warn(message, stacklevel=2)
        for parameter in self.parameters():
            grad = parameter.grad
            if grad is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                grad.detach_() if grad.grad_fn is not None else grad.requires_grad_(False)
                grad.zero_()

    # Printing

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What `repr` shows between the parentheses, in one or several lines. Subclasses override it."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        extra_lines = extra.split("\n") if extra else []
        child_lines = [f"({name}): {indent(repr(module))}" for name, module in self._modules.items()]
        if not child_lines and len(extra_lines) <= 1:
            return f"{self._get_name()}({extra})"
        return enclose(self._get_name(), extra_lines + child_lines)


_CALL = Module.__call__.__code__


def indent(text: str) -> str:
    """All lines but the first moved two columns to the right; blank lines become empty."""
    first, *rest = text.split("\n")
    return "\n".join([first, *("  " + line if line.strip() else "" for line in rest)])


def enclose(name: str, lines: list[str]) -> str:
    """`name(` and one indented line for each of `lines`, then `)`."""
    return f"{name}(\n  " + "\n  ".join(lines) + "\n)"


def _typename(value: object) -> str:
    """The name by which error messages call the type of `value`."""
    if isinstance(value, Tensor):
        return value.type()
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _member(module: Module, name: str) -> Any:
    if not hasattr(module, name):
        raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
    return getattr(module, name)


def _forget(name: str, *registries: dict[str, Any]) -> None:
    for registry in registries:
        registry.pop(name, None)


def _run_registration_hooks(hooks: Any, module: Module, name: str, value: Any) -> Any:
    for hook in hooks.values():
        replaced = hook(module, name, value)
        value = value if replaced is None else replaced
    return value
