"""Adamax."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau._core.homes import absent
from flambeau.optim import _checks
from flambeau.optim.optimizer import Group, Optimizer, ParamsT


class Adamax(Optimizer):
    """Adamax: Adam with the largest recent gradient in place of the root of the mean square.

    `m = b1 m + (1 - b1) g`, `u = max(b2 u, |g| + eps)`, `param -= lr / (1 - b1^t) m / u`. Kingma & Ba, "Adam: A Method
    for Stochastic Optimization", 2014, section 7.1.

    Args:
        params: parameters, or groups of parameters.
        lr: learning rate, a number >= 0 or a tensor of one element.
        betas: decay rates of mean and maximum, in [0, 1).
        eps: added to the size of the gradient, >= 0.
        weight_decay: L2 penalty, >= 0.
        maximize: go up instead of down.
        foreach, differentiable, capturable: as in PyTorch; of these only `differentiable` changes anything here.

    Example::

        >>> import flambeau as torch
        >>> w = torch.tensor([2.0], requires_grad=True)
        >>> optimizer = torch.optim.Adamax([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w
        tensor([1.9000], requires_grad=True)
    """

    elementwise = True

    def __init__(
        self, params: ParamsT, lr: float | Any = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, foreach: bool | None = None, *, maximize: bool = False, differentiable: bool = False,
        capturable: bool = False,
    ) -> None:  # fmt: skip
        _checks.learning_rate(lr)
        _checks.not_negative("epsilon value", eps)
        _checks.decay_rates(betas)
        _checks.not_negative("weight_decay value", weight_decay)
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize, "differentiable": differentiable, "capturable": capturable,
        })  # fmt: skip

    def init_state(self, state: Any, param: Any, group: Group) -> None:
        state["exp_avg"] = torch.zeros_like(param)
        state["exp_inf"] = torch.zeros_like(param)

    def update(self, param: Any, grad: Any, state: Any, group: Group) -> None:
        t, (beta1, beta2) = state.number("step"), group["betas"]
        mean, largest = state["exp_avg"], state["exp_inf"]
        mean.lerp_(grad, 1 - beta1)
        largest.copy_(torch.maximum(beta2 * largest, grad.abs() + group["eps"]))
        param.sub_(group["lr"] / (1 - beta1**t) * mean / largest)

__getattr__ = absent("torch.optim.adamax")
