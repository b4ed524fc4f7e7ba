"""Modules that learn the shapes of their parameters from their first input."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch

from ..parameter import is_lazy


class LazyModuleMixin:
    """Put before a layer's class, it defers the layer's parameters until the first call.

    The subclass creates UninitializedParameters in `__init__` and gives them their shape in
    `initialize_parameters(*args)`, which gets what the first call gets. After that call the module's class becomes
    `cls_to_become`. Loading a state_dict fixes the shapes as well.
    """

    cls_to_become: type | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        register = self._register_load_state_dict_pre_hook  # type: ignore[attr-defined]
        self._load_hook = register(self._lazy_load_hook)
        pre_register = self.register_forward_pre_hook  # type: ignore[attr-defined]
        self._initialize_hook = pre_register(self._infer_parameters, with_kwargs=True)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Materialize the parameters for these inputs of forward."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer has no shape yet."""
        return any(is_lazy(tensor) for tensor in self._own_tensors().values())

    def _own_tensors(self) -> dict[str, Any]:
        return {**self._parameters, **self._buffers}  # type: ignore[attr-defined]

    def _lazy_load_hook(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        for name, tensor in self._own_tensors().items():
            given = state_dict.get(prefix + name)
            if given is not None and is_lazy(tensor) and not is_lazy(given):
                with torch.no_grad():
                    tensor.materialize(given.shape)

    def _infer_parameters(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> None:
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(f"module {module._get_name()} has not been fully initialized")
        module._initialize_hook.remove()
        module._load_hook.remove()
        del module._initialize_hook, module._load_hook
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become
