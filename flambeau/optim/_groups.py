"""Parameter groups: from what users pass to lists of tensors, with the checks on the way."""

from __future__ import annotations

import warnings
from typing import Any

from flambeau import _api as torch
from flambeau._core.errors import explain


def groups_from(params: Any, optimizer: str) -> list[dict[str, Any]]:
    """The groups in the first argument of an optimizer: as they are, or one group of everything."""
    hint = f"pass the parameters of a module: {optimizer}(model.parameters(), ...)"
    wanted = "params argument given to the optimizer should be an iterable of Tensors or dicts, but got"
    if torch.is_tensor(params):
        raise TypeError(explain(f"{wanted} {type_name(params)}", hint="a single tensor goes into a list: [tensor]"))
    if callable(getattr(params, "parameters", None)):
        raise TypeError(explain(f"{wanted} the module {type(params).__name__}", hint=hint))
    if params is None:
        raise TypeError(explain(f"{wanted} None", hint=hint))
    groups = list(params)
    if not groups:
        hint += "; a generator is empty once it was consumed, and so is a module whose layers are in a plain list"
        raise ValueError(explain("optimizer got an empty parameter list", hint=hint))
    return groups if isinstance(groups[0], dict) else [{"params": groups}]


def list_params(group: dict[str, Any]) -> None:
    """Make `group["params"]` a list of tensors, and `group["param_names"]` that of their names, if any."""
    if "params" not in group:
        raise KeyError(f"a parameter group holds its parameters under 'params', got the keys {list(group)}")
    params = group["params"]
    if isinstance(params, set):
        raise TypeError(
            explain(
                "optimizer parameters need to be organized in ordered collections, but a set has no order",
                hint="use a list: saved state finds its parameter by position",
            )
        )
    params = [params] if torch.is_tensor(params) else list(params)
    names = [p[0] for p in params if isinstance(p, tuple)]
    if names and len(names) != len(params):
        raise ValueError("all optimizer params should be with/without names. Some param names are missing")
    group["params"] = [p[1] for p in params] if names else params
    if names:
        group["param_names"] = names


def check_param(param: Any, results_too: bool) -> None:
    """A parameter is a tensor; unless `results_too`, one that keeps its gradient."""
    if not torch.is_tensor(param):
        fact = f"optimizer can only optimize Tensors, but one of the params is {type_name(param)}"
        raise TypeError(explain(fact, hint="of a module, pass module.parameters()"))
    if not (results_too or param.is_leaf or param.retains_grad):
        hint = "it is the result of an operation, so it keeps no gradient; use x.detach().requires_grad_()"
        raise ValueError(explain("can't optimize a non-leaf Tensor", hint=hint))


def check_against_others(group: dict[str, Any], others: list[dict[str, Any]]) -> None:
    """No parameter is in two groups, and either all groups have names or none."""
    params = set(group["params"])
    if len(params) != len(group["params"]):
        warnings.warn(
            "optimizer contains a parameter group with duplicate parameters; in future, this will cause an error",
            stacklevel=4,
        )
    for i, other in enumerate(others):
        if ("param_names" in group) != ("param_names" in other):
            which = "with names" if "param_names" in group else "without names"
            raise ValueError(
                "all optimizer param groups should be with/without names. "
                f"cannot add param group {which} to the optimizer"
            )
        if not params.isdisjoint(other["params"]):
            shape = next(tuple(p.shape) for p in other["params"] if p in params)
            hint = f"a parameter of shape {shape} is in group {i} already"
            raise ValueError(explain("some parameters appear in more than one parameter group", hint=hint))


def type_name(value: Any) -> str:
    return "torch.Tensor" if torch.is_tensor(value) else type(value).__name__
