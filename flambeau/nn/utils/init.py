"""Making a module whose first parameter values do not matter."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau._core.lazy import lazy_module

from ..modules.module import Module

inspect = lazy_module("inspect")


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Module:
    """`module_cls(*args, **kwargs)` with parameter values to be overwritten; the generator stays as it was.

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
    state = torch.get_rng_state()
    module = module_cls(*args, **kwargs)
    torch.set_rng_state(state)
    return module
