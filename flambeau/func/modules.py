"""Modules as functions of their parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau import _api as torch
from flambeau import nn
from flambeau.nn.modules.batchnorm import _BatchNorm
from flambeau.nn.utils.stateless import functional_call as functional_call


def stack_module_state(models: Sequence[nn.Module]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(parameters, buffers) of modules of one kind, stacked along a new dimension 0, by name: what `vmap` with
    `functional_call` runs them all at once with. The parameters are leaves of their own.

    RuntimeError for no modules, for different kinds, and for a mixture of training and evaluation mode.

    Example::

        >>> parameters, buffers = stack_module_state([nn.Linear(1, 2), nn.Linear(1, 2)])
        >>> parameters["weight"].shape
        torch.Size([2, 2, 1])
    """
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({m.training for m in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if len({type(m) for m in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    kinds: list[Callable] = [nn.Module.named_parameters, nn.Module.named_buffers]
    parameters, buffers = [_stacked([dict(named(m)) for m in models]) for named in kinds]
    return parameters, buffers


def _stacked(states: list[dict[str, Any]]) -> dict[str, Any]:
    made = {}
    for name, first in states[0].items():
        made[name] = torch.stack([s[name].detach() for s in states]).requires_grad_(first.requires_grad)
    return made


def replace_all_batch_norm_modules_(root: nn.Module) -> nn.Module:
    """Let every batch norm below `root` do without running statistics, in place, as `vmap` needs it.

    Example::

        >>> replace_all_batch_norm_modules_(nn.Sequential(nn.BatchNorm1d(2)))[0].track_running_stats
        False
    """
    for module in root.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root


def functionalize(func: Callable, *, remove: str = "mutations") -> Callable:
    """`func` itself: what it changes in place is recorded as new values anyway, so there are no mutations to remove.

    Example::

        >>> functionalize(lambda x: x.clone().add_(1))(torch.zeros(1))
        tensor([1.])
    """
    return func
