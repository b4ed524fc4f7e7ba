"""Parametrizations: a parameter that is computed, by a module, from one that is trained.

`register_parametrization(layer, "weight", module)` moves `layer.weight` to `layer.parametrizations.weight.original`;
from then on `layer.weight` is a property that computes `module(original)`. The layer's class becomes a subclass of its
own, which holds the property.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from flambeau import _api as torch

from ..modules.container import ModuleDict, ModuleList
from ..modules.module import Module
from ..parameter import Parameter

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

Tensor = torch.Tensor

# Computed tensors by (id of module, name) while a `cached` block runs.
_cache: dict[tuple[int, str], Tensor] = {}
_cached_blocks = 0


@contextmanager
def cached() -> Iterator[None]:
    """Within this block each parametrized tensor is computed once only, at its first use.

    Example:
        >>> import flambeau as torch
        >>> layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(2, 2))
        >>> with cached():
        ...     layer.weight is layer.weight
        True
    """
    global _cached_blocks
    _cached_blocks += 1
    try:
        yield
    finally:
        _cached_blocks -= 1
        if not _cached_blocks:
            _cache.clear()


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, applied one after the other, and what they start from: `original`, or
    `original0`, `original1`, ... where the first one's `right_inverse` returned several tensors.

    Args:
        modules: the parametrizations.
        original: the tensor before; the trained tensor(s) are its image under the `right_inverse` methods.
        unsafe: do not check that dtype and shape stay. Default: False.

    Raises:
        ValueError: (unless unsafe) a parametrization changes dtype or shape; a `right_inverse` returns no tensor(s).
    """

    original: Tensor
    unsafe: bool

    def __init__(self, modules: Sequence[Module], original: Tensor | Parameter, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        before = (original.dtype, original.shape)
        start = self._invert(original, partial=True)
        self.is_tensor = isinstance(start, Tensor)
        self.ntensors = 1 if self.is_tensor else len(start)
        if self.is_tensor:
            if start.dtype != original.dtype:
                raise ValueError(
                    "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                    f"original.dtype: {original.dtype}\nright_inverse(original).dtype: {start.dtype}"
                )
            # The parameter object stays, for the sake of optimizers that already hold it.
            with torch.no_grad():
                _set_values(original, start)
            _register(self, "original", original)
        else:
            for place, tensor in enumerate(start):
                if not isinstance(tensor, Tensor):
                    raise ValueError(
                        "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                        f"Got element {place} of the sequence with type {type(tensor).__name__}."
                    )
                if isinstance(original, Parameter):
                    tensor = Parameter(tensor.detach(), original.requires_grad)
                _register(self, f"original{place}", tensor.requires_grad_(original.requires_grad))
        if not unsafe:
            _check_kind(self(), before)

    def _invert(self, value: Any, partial: bool) -> Any:
        """`value` taken back through the modules, last one first."""
        with torch.no_grad():
            inverted = value
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    try:
                        inverted = module.right_inverse(inverted)
                    except NotImplementedError:
                        if not partial:
                            raise
                elif not partial:
                    raise RuntimeError(f"parametrization {type(module).__name__} does not implement right_inverse.")
        if not isinstance(inverted, Tensor) and not isinstance(inverted, Sequence):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(inverted).__name__}"
            )
        return inverted

    def right_inverse(self, value: Tensor) -> None:
        """Set the trained tensor(s) so that the parametrized tensor becomes `value`: what assigning to it does."""
        inverted = self._invert(value, partial=False)
        if self.is_tensor:
            inverted = (inverted,)
        if len(inverted) != self.ntensors:
            raise ValueError(
                f"'right_inverse' must return a sequence of tensors of length {self.ntensors}. "
                f"Got a sequence of length {len(inverted)}."
            )
        with torch.no_grad():
            for held, tensor in zip(self._originals(), inverted, strict=True):
                if not isinstance(tensor, Tensor):
                    raise ValueError(f"`right_inverse` should return a tensor. Got {type(tensor).__name__}")
                if tensor.dtype != held.dtype:
                    raise ValueError(
                        f"The tensor returned by `right_inverse` has dtype {tensor.dtype} while `original` has dtype "
                        f"{held.dtype}"
                    )
                _set_values(held, tensor)

    def _originals(self) -> list[Tensor]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{place}") for place in range(self.ntensors)]

    def forward(self) -> Tensor:
        first, *others = self
        value = first(*self._originals())
        for module in others:
            value = module(value)
        return value


def _check_kind(value: Any, before: tuple[Any, Any]) -> None:
    if not isinstance(value, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(value).__name__}.")
    for what, was, now in zip(("dtype", "shape"), before, (value.dtype, value.shape), strict=True):
        if was != now:
            raise ValueError(
                f"Registering a parametrization may not change the {what} of the tensor, unless `unsafe` flag is "
                f"enabled.\nunparametrized {what}: {was}\nparametrized {what}: {now}"
            )


def _set_values(held: Tensor, values: Tensor) -> None:
    """Let `held` have these values, whatever its shape was, in memory of its own layout."""
    if held.shape == values.shape:
        held.copy_(values)
    else:
        held.data = values.detach().clone()


def _register(module: Module, name: str, tensor: Tensor) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Compute the parameter or buffer `tensor_name` of `module` by `parametrization` from now on.

    Args:
        parametrization: maps the trained tensor to the one that is used. If it has a method `right_inverse`, that
            makes the trained tensor(s) from the present values, and assigning to the attribute works. A further
            registration is applied to the result of the ones before.
        unsafe: do not check that dtype and shape stay. Default: False.

    Returns:
        The module.

    Raises:
        ValueError: no such tensor; (unless unsafe) its dtype or shape would change.

    Example:
        >>> import flambeau as torch
        >>> class Symmetric(torch.nn.Module):
        ...     def forward(self, x):
        ...         return x.triu() + x.triu(1).T
        >>> layer = register_parametrization(torch.nn.Linear(3, 3), "weight", Symmetric())
        >>> bool((layer.weight == layer.weight.T).all())
        True
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        listed = module.parametrizations[tensor_name]
        if not unsafe:
            present = getattr(module, tensor_name)
            _check_kind(parametrization(present), (present.dtype, present.shape))
        listed.append(parametrization)
        listed.unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        listed = ParametrizationList([parametrization], original, unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _give_own_class(module)
            module.parametrizations = ModuleDict()
        setattr(type(module), tensor_name, _property(tensor_name))
        module.parametrizations[tensor_name] = listed
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
            f"'{tensor_name}'"
        )
    return module


def _property(tensor_name: str) -> property:
    def get(self: Module) -> Tensor:
        parametrization = self.parametrizations[tensor_name]
        if not _cached_blocks:
            return parametrization()
        key = (id(self), tensor_name)
        if key not in _cache:
            _cache[key] = parametrization()
        return _cache[key]

    def set_(self: Module, value: Tensor) -> None:
        self.parametrizations[tensor_name].right_inverse(value)

    return property(get, set_)


def _give_own_class(module: Module) -> None:
    kind = type(module)

    def copied(self: Module, memo: dict[int, Any]) -> Module:
        known = memo.get(id(self))
        if known is None:
            known = memo[id(self)] = self.__new__(type(self))
            known.__dict__ = deepcopy(self.__dict__, memo)
        return known

    def refuse(self: Module) -> Any:
        raise RuntimeError("Serialization of parametrized modules is only supported through state_dict().")

    members: dict[str, Any] = {"__getstate__": refuse}
    if not hasattr(kind, "__deepcopy__"):
        members["__deepcopy__"] = copied
    module.__class__ = type(f"Parametrized{kind.__name__}", (kind,), members)


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a tensor of the module, or the one named, is parametrized."""
    held = getattr(module, "parametrizations", None)
    if not isinstance(held, ModuleDict):
        return False
    return len(held) > 0 if tensor_name is None else tensor_name in held


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make `tensor_name` an ordinary parameter (or buffer) again.

    Args:
        leave_parametrized: with the values it has now; else with the trained tensor's. Default: True.

    Raises:
        ValueError: it is not parametrized; or leave_parametrized=False and there are several trained tensors.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    listed = module.parametrizations[tensor_name]
    if listed.is_tensor:
        tensor = listed.original
        if leave_parametrized:
            with torch.no_grad():
                _set_values(tensor, getattr(module, tensor_name))
    elif leave_parametrized:
        present = getattr(module, tensor_name)
        tensor = Parameter(present.detach()) if present.requires_grad else present
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a "
            "sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, tensor)
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """The module's class, or the one it had before it was parametrized."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Parametrize `to_module` as `from_module` is, sharing the trained tensors; all tensors, or the one named."""
    if is_parametrized(from_module):
        names = list(from_module.parametrizations) if tensor_name is None else [tensor_name]
        for name in names:
            source = from_module.parametrizations[name]
            if not hasattr(to_module, name):
                setattr(to_module, name, Parameter(getattr(from_module, name).detach()))
            for parametrization in source:
                register_parametrization(to_module, name, parametrization)
            target = to_module.parametrizations[name]
            originals = ["original"] if source.is_tensor else [f"original{i}" for i in range(source.ntensors)]
            for original in originals:
                setattr(target, original, getattr(source, original))
    return to_module
