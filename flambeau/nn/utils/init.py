"""Making a module without drawing its parameters."""

from __future__ import annotations

from typing import Any

from flambeau._core.lazy import lazy_module

from ..modules.module import Module

inspect = lazy_module("inspect")


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Module:
    """`module_cls(*args, **kwargs)` with arbitrary parameter values, drawn by nobody.

    Raises:
        RuntimeError: no Module class, or one whose constructor takes no `device`.

    Example:
        >>> import flambeau as torch
        >>> skip_init(torch.nn.Linear, 5, 1).weight.shape
        torch.Size([1, 5])
    """
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    device = kwargs.pop("device", "cpu")
    return module_cls(*args, device="meta", **kwargs).to_empty(device=device)
