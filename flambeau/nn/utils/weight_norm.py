"""Weight normalisation by a forward pre-hook: weight = g v / |v| (Salimans and Kingma, 2016).

`nn.utils.parametrizations.weight_norm` does the same as a parametrization and is to be preferred.
"""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau import linalg

from ..modules.module import Module
from ..parameter import Parameter, is_lazy

__all__ = ["WeightNorm", "remove_weight_norm", "weight_norm"]

Tensor = torch.Tensor


def norm_except_dim(v: Tensor, dim: int) -> Tensor:
    """The 2-norm over all dimensions but `dim`, with their sizes 1; over all of them for dim -1, a scalar."""
    if dim == -1:
        return linalg.vector_norm(v)
    others = tuple(d for d in range(v.dim()) if d != dim % v.dim())
    return linalg.vector_norm(v, dim=others, keepdim=True) if others else v.abs()


def normalised_weight(v: Tensor, g: Tensor, dim: int) -> Tensor:
    """g v / |v|, the norm taken over all dimensions but `dim`."""
    return v * (g / norm_except_dim(v, dim))


class WeightNorm:
    """The hook: computes the weight from `name`_g and `name`_v before each forward."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = -1 if dim is None else dim

    def compute_weight(self, module: Module) -> Tensor:
        """The weight for the present g and v."""
        return normalised_weight(getattr(module, self.name + "_v"), getattr(module, self.name + "_g"), self.dim)

    def apply(self, module: Module) -> None:
        """Split the parameter and register the hook."""
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm) and hook.name == self.name:
                raise RuntimeError(f"Cannot register two weight_norm hooks on the same parameter {self.name}")
        weight = getattr(module, self.name)
        if is_lazy(weight):
            raise ValueError(
                "The module passed to `WeightNorm` can't have uninitialized parameters. Make sure to run the dummy "
                "forward before applying weight normalization"
            )
        del module._parameters[self.name]
        module.register_parameter(self.name + "_g", Parameter(norm_except_dim(weight, self.dim).data))
        module.register_parameter(self.name + "_v", Parameter(weight.data))
        setattr(module, self.name, self.compute_weight(module))
        module.register_forward_pre_hook(self)

    def remove(self, module: Module) -> None:
        """Make the present weight an ordinary parameter again."""
        weight = self.compute_weight(module)
        delattr(module, self.name)
        del module._parameters[self.name + "_g"]
        del module._parameters[self.name + "_v"]
        setattr(module, self.name, Parameter(weight.data))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Replace the parameter `name` by its length `name`_g and direction `name`_v.

    Args:
        dim: the dimension whose slices have a length each; None: one length for the whole. Default: 0.

    Returns:
        The module.

    Example:
        >>> import flambeau as torch
        >>> layer = weight_norm(torch.nn.Linear(20, 40))
        >>> layer.weight_g.shape, layer.weight_v.shape
        (torch.Size([40, 1]), torch.Size([40, 20]))
    """
    WeightNorm(name, dim).apply(module)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Undo `weight_norm`; ValueError if there is none."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, WeightNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"weight_norm of '{name}' not found in {module}")
