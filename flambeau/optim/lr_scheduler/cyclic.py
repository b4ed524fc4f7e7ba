"""Rates that go up and down between two bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flambeau.optim.lr_scheduler.base import (
    LRScheduler,
    attributes_of,
    checked,
    momentum_key,
    one_each,
    put,
    set_momentum,
    start_momentum,
)
from flambeau.optim.optimizer import Optimizer


class CyclicLR(LRScheduler):
    """From `base_lr` up to `max_lr` and back, in straight lines; to be stepped after every batch.

    Smith, "Cyclical Learning Rates for Training Neural Networks", 2015.

    Args:
        optimizer: whose rates to set.
        base_lr: the lower bound, or a list, one a group.
        max_lr: the upper bound, or a list, one a group.
        step_size_up: batches on the way up.
        step_size_down: batches on the way down (default: as many).
        mode: "triangular" (all cycles alike), "triangular2" (each half as high as the one before), "exp_range" (the
            height at batch t is multiplied by `gamma**t`).
        gamma: see "exp_range".
        scale_fn: a function for the height instead of `mode`, of the number of the cycle (from 1) or of the batch.
        scale_mode: "cycle" or "iterations": of which of the two.
        cycle_momentum: move the momentum (or the first of the betas) against the rate.
        base_momentum: its lower bound, or a list.
        max_momentum: its upper bound, or a list.
        last_epoch: the batch that was the last one; -1 for a new start.

    Example::

        >>> import flambeau as torch
        >>> optimizer = torch.optim.SGD([torch.zeros(2, requires_grad=True)], lr=0.1, momentum=0.9)
        >>> scheduler = torch.optim.lr_scheduler.CyclicLR(optimizer, base_lr=0.25, max_lr=1.25, step_size_up=2)
        >>> rates = []
        >>> for batch in range(5):
        ...     rates += scheduler.get_last_lr()
        ...     optimizer.step(); scheduler.step()
        >>> rates
        [0.25, 0.75, 1.25, 0.75, 0.25]
    """

    def __init__(
        self, optimizer: Optimizer, base_lr: float | list[float], max_lr: float | list[float], step_size_up: int = 2000,
        step_size_down: int | None = None, mode: str = "triangular", gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None, scale_mode: str = "cycle", cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8, max_momentum: float | list[float] = 0.9, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        base_lrs = one_each("base_lr", checked(optimizer), base_lr)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, base_lrs, strict=True):
                put(group, "lr", lr)
        self.max_lrs = one_each("max_lr", optimizer, max_lr)

        up = float(step_size_up)
        down = up if step_size_down is None else float(step_size_down)
        self.total_size = up + down
        self.step_ratio = up / self.total_size
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError(
                "mode is invalid and scale_fn is None: mode is 'triangular', 'triangular2' or 'exp_range', "
                f"got {mode!r}"
            )
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        self.scale_mode = scale_mode if scale_fn is not None else "iterations" if mode == "exp_range" else "cycle"

        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.use_beta1 = momentum_key(optimizer) == "betas"
            self.base_momentums = one_each("base_momentum", optimizer, base_momentum)
            self.max_momentums = one_each("max_momentum", optimizer, max_momentum)
            if last_epoch == -1:
                start_momentum(optimizer, self.base_momentums, self.max_momentums, self.use_beta1)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The height of the cycle, for the number of the cycle or of the batch."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular":
            return 1.0
        return 1 / 2.0 ** (x - 1) if self.mode == "triangular2" else self.gamma**x

    def get_lr(self) -> list[Any]:
        self._warn_if_called_alone()
        done = self.last_epoch / self.total_size
        cycle = math.floor(1 + done)
        x = 1.0 + done - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            bounds = zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True)
            for group, low, high in bounds:
                set_momentum(group, self.use_beta1, high - (high - low) * height * scale)
        return [low + (high - low) * height * scale for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        function = self._scale_fn_custom
        return {**super().state_dict(), "_scale_fn_custom": None if function is None else attributes_of(function)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        function, attributes = self._scale_fn_custom, state_dict["_scale_fn_custom"]
        super().load_state_dict({**state_dict, "_scale_fn_custom": function})
        if attributes is not None:
            function.__dict__.update(attributes)
