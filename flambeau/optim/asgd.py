"""Averaged stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau._core.homes import absent
from flambeau.optim import _checks
from flambeau.optim.optimizer import Group, Optimizer, ParamsT


class ASGD(Optimizer):
    """Averaged stochastic gradient descent: SGD at a falling rate; `state[param]["ax"]` is the average of the
    parameters.

    At step t, `param *= 1 - lambd eta`, `param -= eta g`, `ax += mu (param - ax)`; then `eta = lr / (1 + lambd lr
    t)^alpha` and `mu = 1 / max(1, t - t0)` for the next one. Polyak & Juditsky, "Acceleration of Stochastic
    Approximation by Averaging", 1992.

    Args:
        params: parameters, or groups of parameters.
        lr: learning rate at the start, a number >= 0 or a tensor of one element.
        lambd: decay of parameters and rate.
        alpha: power with which the rate falls.
        t0: step at which averaging starts.
        weight_decay: L2 penalty, >= 0.
        maximize: go up instead of down.
        foreach, differentiable, capturable: as in PyTorch; of these only `differentiable` changes anything here.

    Example::

        >>> import flambeau as torch
        >>> w = torch.tensor([2.0], requires_grad=True)
        >>> optimizer = torch.optim.ASGD([w], lr=0.1, lambd=0.5)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w
        tensor([1.5000], requires_grad=True)
    """

    numbers = ("step", "eta", "mu")

    elementwise = True

    def __init__(
        self, params: ParamsT, lr: float | Any = 1e-2, lambd: float = 1e-4, alpha: float = 0.75, t0: float = 1e6,
        weight_decay: float = 0, foreach: bool | None = None, maximize: bool = False, differentiable: bool = False,
        capturable: bool = False,
    ) -> None:  # fmt: skip
        _checks.learning_rate(lr)
        _checks.not_negative("weight_decay value", weight_decay)
        super().__init__(params, {
            "lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize, "differentiable": differentiable, "capturable": capturable,
        })  # fmt: skip

    def init_state(self, state: Any, param: Any, group: Group) -> None:
        state.set_number("eta", float(group["lr"]))
        state.set_number("mu", 1.0)
        state["ax"] = torch.zeros_like(param)

    def update(self, param: Any, grad: Any, state: Any, group: Group) -> None:
        t, lr, lambd = state.number("step"), group["lr"], group["lambd"]
        eta, average = state.number("eta"), state["ax"]
        param.mul_(1 - lambd * eta)
        param.sub_(eta * grad)
        average.lerp_(param, state.number("mu"))
        state.set_number("eta", float(lr / (1 + lambd * lr * t) ** group["alpha"]))
        state.set_number("mu", 1 / max(1, t - group["t0"]))

__getattr__ = absent("torch.optim.asgd")
