"""Spectral normalisation by a forward pre-hook: the weight divided by its largest singular value (Miyato et al., 2018).

`nn.utils.parametrizations.spectral_norm` does the same as a parametrization and is to be preferred.
"""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau._core.homes import absent
from flambeau.nn import functional as F

from ..modules.conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ..modules.module import Module
from ..parameter import Parameter, is_lazy

__all__ = ["SpectralNorm", "remove_spectral_norm", "spectral_norm"]

Tensor = torch.Tensor


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """`weight` with `dim` as rows and all other dimensions as columns."""
    if dim != 0:
        weight = weight.permute(dim, *(d for d in range(weight.dim()) if d != dim))
    return weight.reshape(weight.size(0), -1)


def power_iteration(matrix: Tensor, u: Tensor, v: Tensor, times: int, eps: float) -> None:
    """Turn u and v, in place, towards the singular vectors of the largest singular value."""
    with torch.no_grad():
        for _ in range(times):
            v.copy_(F.normalize(torch.mv(matrix.t(), u), dim=0, eps=eps))
            u.copy_(F.normalize(torch.mv(matrix, v), dim=0, eps=eps))


def default_dim(module: Module) -> int:
    """Where output channels are: dimension 1 in transposed convolutions, else 0."""
    return 1 if isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)) else 0


class SpectralNorm:
    """The hook: computes the weight from `name`_orig before each forward, after power iterations in training."""

    _version = 1

    def __init__(self, name: str = "weight", n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.name = name
        self.dim = dim
        self.n_power_iterations = n_power_iterations
        self.eps = eps

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """The normalised weight."""
        weight = getattr(module, self.name + "_orig")
        u, v = getattr(module, self.name + "_u"), getattr(module, self.name + "_v")
        matrix = as_matrix(weight, self.dim)
        if do_power_iteration:
            power_iteration(matrix, u, v, self.n_power_iterations, self.eps)
            # The backward of this forward needs these values, though the next forward changes them.
            u, v = u.clone(), v.clone()
        return weight / torch.dot(u, torch.mv(matrix, v))

    def apply(self, module: Module) -> None:
        """Replace the parameter and register the hooks."""
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm) and hook.name == self.name:
                raise RuntimeError(f"Cannot register two spectral_norm hooks on the same parameter {self.name}")
        weight = module._parameters[self.name]
        if weight is None:
            raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{self.name}` is None")
        if is_lazy(weight):
            raise ValueError(
                "The module passed to `SpectralNorm` can't have uninitialized parameters. Make sure to run the dummy "
                "forward before applying spectral normalization"
            )
        with torch.no_grad():
            start = [
                F.normalize(weight.new_empty(size).normal_(0, 1), dim=0, eps=self.eps)
                for size in as_matrix(weight, self.dim).shape
            ]
        delattr(module, self.name)
        module.register_parameter(self.name + "_orig", weight)
        # A plain attribute, so that the module is complete before its first forward.
        setattr(module, self.name, weight.data)
        for suffix, vector in zip("uv", start, strict=True):
            module.register_buffer(f"{self.name}_{suffix}", vector)
        module.register_forward_pre_hook(self)
        module._register_state_dict_hook(_VersionHook(self))

    def remove(self, module: Module) -> None:
        """Make the present weight an ordinary parameter again."""
        with torch.no_grad():
            weight = self.compute_weight(module, do_power_iteration=False)
        for suffix in ("", "_u", "_v", "_orig"):
            delattr(module, self.name + suffix)
        module.register_parameter(self.name, Parameter(weight.detach()))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, do_power_iteration=module.training))


class _VersionHook:
    """Notes the hook's version in the metadata of a state_dict."""

    def __init__(self, norm: SpectralNorm) -> None:
        self.norm = norm

    def __call__(self, module: Module, state_dict: Any, prefix: str, local_metadata: dict[str, Any]) -> None:
        versions = local_metadata.setdefault("spectral_norm", {})
        versions[f"{self.norm.name}.version"] = self.norm._version


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Replace the parameter `name` by `name`_orig, of which each forward computes the normalised weight.

    Args:
        n_power_iterations: for each forward in training; positive (else ValueError). Default: 1.
        eps: keeps normalised vectors finite. Default: 1e-12.
        dim: the dimension of outputs. Default: 1 for transposed convolutions, else 0.

    Returns:
        The module.

    Example:
        >>> import flambeau as torch
        >>> layer = spectral_norm(torch.nn.Linear(20, 40))
        >>> layer.weight_u.shape
        torch.Size([40])
    """
    SpectralNorm(name, n_power_iterations, default_dim(module) if dim is None else dim, eps).apply(module)
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Undo `spectral_norm`; ValueError if there is none."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            break
    else:
        raise ValueError(f"spectral_norm of '{name}' not found in {module}")
    for key, state_hook in module._state_dict_hooks.items():
        if isinstance(state_hook, _VersionHook) and state_hook.norm.name == name:
            del module._state_dict_hooks[key]
            break
    return module

__getattr__ = absent("torch.nn.utils.spectral_norm")
