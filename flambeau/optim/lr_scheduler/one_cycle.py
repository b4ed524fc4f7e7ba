"""One rise and one fall of the rate."""

from __future__ import annotations

from typing import Any, NamedTuple

from flambeau.optim.lr_scheduler.base import (
    LRScheduler,
    checked,
    momentum_key,
    one_each,
    set_momentum,
    start_momentum,
)
from flambeau.optim.lr_scheduler.cosine import cosine
from flambeau.optim.optimizer import Optimizer


class OneCycleLR(LRScheduler):
    """From a low rate up to `max_lr`, then down to one far below; to be stepped after every batch.

    Smith & Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates", 2017. The
    first rate is `max_lr / div_factor`, the last one that over `final_div_factor`.

    Args:
        optimizer: whose rates to set.
        max_lr: the highest rate, or a list, one a group.
        total_steps: batches in all; or give the next two.
        epochs: epochs in all.
        steps_per_epoch: batches in an epoch.
        pct_start: the part of the batches that is the rise, a float in [0, 1].
        anneal_strategy: "cos" or "linear".
        cycle_momentum: move the momentum (or the first of the betas) against the rate.
        base_momentum: its lower bound, or a list.
        max_momentum: its upper bound, or a list.
        div_factor, final_div_factor: see above.
        three_phase: fall to the first rate as long as the rise was, then to the last.
        last_epoch: the batch that was the last one; -1 for a new start.

    Raises:
        ValueError: without a number of batches, on stepping beyond it, and for options out of range.

    Example::

        >>> import flambeau as torch
        >>> optimizer = torch.optim.SGD([torch.zeros(2, requires_grad=True)], lr=0.1, momentum=0.9)
        >>> scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=5, pct_start=0.6,
        ...                                                 anneal_strategy="linear", div_factor=4.0)
        >>> rates = []
        >>> for batch in range(4):
        ...     rates += scheduler.get_last_lr()
        ...     optimizer.step(); scheduler.step()
        >>> [round(lr, 3) for lr in rates]
        [0.25, 0.625, 1.0, 0.5]
    """

    def __init__(
        self, optimizer: Optimizer, max_lr: float | list[float], total_steps: int | None = None,
        epochs: int | None = None, steps_per_epoch: int | None = None, pct_start: float = 0.3,
        anneal_strategy: str = "cos", cycle_momentum: bool = True, base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95, div_factor: float = 25.0, final_div_factor: float = 1e4,
        three_phase: bool = False, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        checked(optimizer)
        self.total_steps = _count_steps(total_steps, epochs, steps_per_epoch)
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        self._anneal_func_type = anneal_strategy

        max_lrs = one_each("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, max_lrs, strict=True):
                group["initial_lr"] = lr / div_factor
                group["max_lr"] = lr
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.use_beta1 = momentum_key(optimizer) == "betas"
            highest = one_each("max_momentum", optimizer, max_momentum)
            base = one_each("base_momentum", optimizer, base_momentum)
            if last_epoch == -1:
                start_momentum(optimizer, base, highest, self.use_beta1)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        self._warn_if_called_alone()
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"Tried to step {self.last_epoch} times. The specified number of total steps is {self.total_steps}"
            )
        start = 0.0
        for phase in self._schedule_phases:
            if self.last_epoch <= phase["end_step"]:
                break
            start = phase["end_step"]
        else:
            start = self._schedule_phases[-2]["end_step"]
        done = (self.last_epoch - start) / (phase["end_step"] - start)
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                momentum = self._anneal(group[phase["start_momentum"]], group[phase["end_momentum"]], done)
                set_momentum(group, self.use_beta1, momentum)
        return [
            self._anneal(group[phase["start_lr"]], group[phase["end_lr"]], done)
            for group in self.optimizer.param_groups
        ]

    def _anneal(self, start: Any, end: Any, done: float) -> Any:
        return cosine(start, end, done) if self._anneal_func_type == "cos" else start + (end - start) * done


class _Phase(NamedTuple):
    """Up to `end_step`, rate and momentum go from and to what the group holds under these names."""

    end_step: float
    start_lr: str
    end_lr: str
    start_momentum: str
    end_momentum: str


def _phases(total: int, rise: float, three: bool) -> list[dict[str, Any]]:
    """The phases as dicts, which is how they are saved."""
    top = float(rise * total) - 1
    phases = [_Phase(top, "initial_lr", "max_lr", "max_momentum", "base_momentum")]
    if three:
        phases += [
            _Phase(float(2 * rise * total) - 2, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
            _Phase(total - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum"),
        ]
    else:
        phases.append(_Phase(total - 1, "max_lr", "min_lr", "base_momentum", "max_momentum"))
    return [phase._asdict() for phase in phases]


def _count_steps(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    if total_steps is None and (epochs is None or steps_per_epoch is None):
        raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
    given = (
        {"total_steps": total_steps}
        if total_steps is not None
        else {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    )
    product = 1
    for name, value in given.items():
        if not isinstance(value, int) or value <= 0:
            raise ValueError(f"Expected positive integer {name}, but got {value}")
        product *= value
    return product
