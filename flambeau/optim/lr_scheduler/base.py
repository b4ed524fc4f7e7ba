"""The base of all schedulers."""

from __future__ import annotations

import contextlib
import types
import warnings
from collections.abc import Iterator
from typing import Any

from flambeau import _api as torch
from flambeau._core.errors import explain
from flambeau._core.keywords import CheckedKeywords
from flambeau.optim.optimizer import Optimizer

EPOCH_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. Please use "
    "`scheduler.step()` to step the scheduler."
)


class LRScheduler(CheckedKeywords):
    """Sets the learning rate of every group once an epoch; `get_lr` of a subclass says to what.

    Args:
        optimizer: whose `param_groups[i]["lr"]` to set. The rate they start with is kept as `"initial_lr"`.
        last_epoch: the epoch that was the last one, to go on from there; -1 for a new start.

    Raises:
        TypeError: if `optimizer` is no optimizer.
        KeyError: if training goes on (`last_epoch` >= 0) without an `"initial_lr"` in the groups.

    Example::

        >>> import flambeau as torch
        >>> class Halving(torch.optim.lr_scheduler.LRScheduler):
        ...     def get_lr(self):
        ...         return [lr * 0.5**self.last_epoch for lr in self.base_lrs]
        >>> optimizer = torch.optim.SGD([torch.zeros(2, requires_grad=True)], lr=0.8)
        >>> scheduler = Halving(optimizer)
        >>> optimizer.step(); scheduler.step(); scheduler.get_last_lr()
        [0.4]
    """

    # State that lasts for a call: `get_lr` is called by `step`, and by the first one.
    _get_lr_called_within_step = False
    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = checked(optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    explain(
                        f"param 'initial_lr' is not specified in param_groups[{i}] when resuming scheduler with "
                        "last_epoch >= 0",
                        hint="load the optimizer's state before, or start anew with last_epoch=-1",
                    )
                )
        self.base_lrs = values_of(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        optimizer._opt_called = False  # its step sets it; `step` below looks
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_lr(self) -> list[Any]:
        """The rates for `self.last_epoch`, one a group; for schedulers to define, and for `step` to call."""
        raise NotImplementedError(f"{type(self).__name__} has no get_lr: it returns a list with the rate of each group")

    def get_last_lr(self) -> list[Any]:
        """The rates set last, one a group."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Go to the next epoch, after `optimizer.step()`; going to the one given as `epoch` is deprecated."""
        if self._step_count == 1 and not self.optimizer._opt_called:
            self._warn_of_order()
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH_WARNING, UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        with self._within_step():
            if epoch is None:
                self.last_epoch += 1
                rates = self.get_lr()
            else:
                self.last_epoch = epoch
                rates = self._get_closed_form_lr() if hasattr(self, "_get_closed_form_lr") else self.get_lr()
        self._set(rates)

    def _set(self, rates: list[Any]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            put(group, "lr", rate)
        self._last_lr = values_of(self.optimizer, "lr")

    @contextlib.contextmanager
    def _within_step(self) -> Iterator[None]:
        self._get_lr_called_within_step = True
        try:
            yield
        finally:
            self._get_lr_called_within_step = False

    def _warn_if_called_alone(self) -> None:
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )

    def _warn_of_order(self) -> None:
        if not hasattr(self.optimizer.step, "__wrapped__"):
            message = (
                "Seems like `optimizer.step()` has been overridden after learning rate scheduler initialization. "
                "Please, make sure to call `optimizer.step()` before `lr_scheduler.step()`."
            )
        else:
            message = (
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. Call them in the opposite order: "
                "`optimizer.step()` before `lr_scheduler.step()`. Otherwise the first value of the learning rate "
                "schedule is skipped."
            )
        warnings.warn(message, UserWarning, stacklevel=3)

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimizer."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned. Load the optimizer's state after it: making a scheduler sets rates."""
        self.__dict__.update(state_dict)


class _LRScheduler(LRScheduler):
    """The name that older programs derive from."""


# ---- helpers ----


def checked(optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
    return optimizer


def copied(value: Any) -> Any:
    """A rate of its own: tensors are written in place."""
    return value.clone() if torch.is_tensor(value) else value


def values_of(optimizer: Optimizer, key: str) -> list[Any]:
    return [copied(group[key]) for group in optimizer.param_groups]


def put(group: dict[str, Any], key: str, value: Any) -> None:
    """Set an option of a group; if it is a tensor, in place."""
    if isinstance(group[key], torch.Tensor):
        group[key].fill_(value.squeeze() if torch.is_tensor(value) else value)
    else:
        group[key] = value


def one_each(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """`value` for each group: a list as long as the groups, or one value for all."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        value = [value] * groups
    elif len(value) != groups:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. {name} has {len(value)} values, "
            f"param_groups has {groups}."
        )
    return [copied(v) for v in value]


def attributes_of(function: Any) -> dict[str, Any] | None:
    """What can be saved of a callable: the attributes of an object, nothing of a plain function."""
    return None if isinstance(function, types.FunctionType) else function.__dict__.copy()


# ---- momentum that moves against the rate (CyclicLR, OneCycleLR) ----


def momentum_key(optimizer: Optimizer) -> str:
    """The option that is the optimizer's momentum: "momentum", or the first of "betas"."""
    for key in ("betas", "momentum"):
        if key in optimizer.defaults:
            return key
    raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")


def set_momentum(group: dict[str, Any], use_beta1: bool, value: Any) -> None:
    if use_beta1:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value


def start_momentum(optimizer: Optimizer, base: list[Any], highest: list[Any], use_beta1: bool) -> None:
    """Put each group's bounds into the group, and its momentum to the upper one."""
    for group, low, high in zip(optimizer.param_groups, base, highest, strict=True):
        set_momentum(group, use_beta1, high)
        group["max_momentum"], group["base_momentum"] = high, low
