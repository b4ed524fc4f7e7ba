"""Optimizer state to and from the form in which it is saved, which is PyTorch's."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from flambeau import _api as torch
from flambeau._core.errors import explain
from flambeau.optim._state import ParameterState


def pack(state: dict[Any, Any], groups: list[dict[str, Any]]) -> dict[str, Any]:
    """State and groups with parameters replaced by their number, counted through all groups."""
    index: dict[int, int] = {}
    packed, start = [], 0
    for group in groups:
        for i, param in enumerate(group["params"], start):
            index.setdefault(id(param), i)
        start += len(group["params"])
        options = {name: value for name, value in group.items() if name != "params"}
        packed.append({**options, "params": [index[id(p)] for p in group["params"]]})
    entries = {
        index[id(key)] if torch.is_tensor(key) else key: value.snapshot()
        if isinstance(value, ParameterState)
        else value
        for key, value in state.items()
        if value or not isinstance(value, ParameterState)  # SGD without momentum remembers nothing
    }
    return {"state": entries, "param_groups": packed}


def unpack(
    state_dict: dict[str, Any], groups: list[dict[str, Any]], numbers: tuple[str, ...] = ()
) -> tuple[Any, list[dict[str, Any]]]:
    """The state by parameter and the new groups, for an optimizer that has `groups` and keeps `numbers` in Python."""
    if "param_groups" not in state_dict:
        raise KeyError(
            f"the state dict of an optimizer has the key 'param_groups', this one has {list(state_dict)[:8]}"
        )
    saved = copy.deepcopy(state_dict["param_groups"])
    sizes, saved_sizes = [[len(g["params"]) for g in gs] for gs in (groups, saved)]
    if len(sizes) != len(saved_sizes):
        raise ValueError(
            explain(
                "loaded state dict has a different number of parameter groups",
                hint=f"it has {len(saved_sizes)}, the optimizer has {len(sizes)}",
            )
        )
    if sizes != saved_sizes:
        raise ValueError(
            explain(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group",
                hint=f"sizes are {saved_sizes} in the state dict, {sizes} in the optimizer",
            )
        )
    params = {
        i: p for old, new in zip(saved, groups, strict=True) for i, p in zip(old["params"], new["params"], strict=True)
    }
    state: defaultdict[Any, Any] = defaultdict(ParameterState)
    for key, value in state_dict["state"].items():
        if key in params:
            state[params[key]] = entry = ParameterState(_fit(params[key], value))
            for name in numbers:
                if name in entry:
                    entry.hide(name)
        else:
            state[key] = value
    for old, new in zip(saved, groups, strict=True):
        old["params"] = new["params"]
        if "param_names" in new:
            old.setdefault("param_names", new["param_names"])
    return state, saved


def _fit(param: Any, value: Any, key: Any = None) -> Any:
    """`value` with every tensor in the dtype (if `param` is of floating point) and on the device of `param`.

    The step count stays in float32, which has no room for errors where bfloat16 would stop at 256.
    """
    if torch.is_tensor(value):
        if key == "step":
            return value.clone()
        dtype = param.dtype if param.is_floating_point() else value.dtype
        return value.to(device=param.device, dtype=dtype, copy=True)
    if isinstance(value, dict):
        return {k: _fit(param, v, k) for k, v in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return type(value)(_fit(param, v) for v in value)  # type: ignore[call-arg]
    return value
