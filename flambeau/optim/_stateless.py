"""An optimizer made to work on other parameters for a while."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from flambeau import _api as torch
from flambeau.optim._state import ParameterState
from flambeau.optim.optimizer import Group, Optimizer


@contextlib.contextmanager
def swap_in_optimizer_params_and_state(
    optimizer: Optimizer, swapin_parameters: dict[str, Any], swapin_optim_state: dict[str, Any]
) -> Iterator[None]:
    """Within the block, `optimizer` has the given parameters, options and state; then its own again.

    Args:
        optimizer: has taken a step.
        swapin_parameters: tensors in the order of the optimizer's parameters.
        swapin_optim_state: in the form of `optimizer.state_dict()`. Its tensors are changed in place; nothing else of
            it is.

    Raises:
        RuntimeError: if the state does not fit the optimizer.
    """
    tensors, groups = list(swapin_parameters.values()), optimizer.param_groups
    state: Any = swapin_optim_state.get("state")
    new_groups: Any = swapin_optim_state.get("param_groups")
    _check(optimizer, state, new_groups, len(tensors))
    own_state, own_groups = optimizer.state, [dict(group) for group in groups]
    params = {i: tensors.pop(0) for group in new_groups for i in group["params"]}
    try:
        optimizer.state = defaultdict(ParameterState)
        for i, entry in state.items():
            optimizer.state[params[i]] = ParameterState(entry)
        for group, new in zip(groups, new_groups, strict=True):
            group.update(new, params=[params[i] for i in new["params"]])
        yield
    finally:
        optimizer.state = own_state
        for group, own in zip(groups, own_groups, strict=True):
            group.clear()
            group.update(own)


def _check(optimizer: Optimizer, state: Any, groups: Any, count: int) -> None:
    def require(condition: Any, what: str) -> None:
        if not condition:
            raise RuntimeError(f"swap_in_optimizer_params_and_state requires {what}")

    def fits(new: Any, own: Group) -> bool:
        return isinstance(new, dict) and set(new) == set(own) and len(new["params"]) == len(own["params"])

    require(optimizer.state, "initialized optimizer state.")
    require(
        isinstance(state, dict) and not any(isinstance(key, torch.Tensor) for key in state),
        "optimizer.state_dict()-style state keyed by packed parameter ids.",
    )
    own = optimizer.param_groups
    require(
        isinstance(groups, list) and len(groups) == len(own), "a list of as many param groups as the optimizer has."
    )
    require(
        all(map(fits, groups, own)), "param groups with the options and the number of parameters of the optimizer's."
    )
    ids = {i for group in groups for i in group["params"]}
    require(len(ids) == count, f"as many parameters as the state has: got {count} and {len(ids)}.")
    require(set(state) <= ids, f"state of parameters in the groups only; got extra keys {sorted(set(state) - ids)}.")
