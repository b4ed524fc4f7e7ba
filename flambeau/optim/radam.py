"""RAdam."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau._core.homes import absent
from flambeau.optim import _checks
from flambeau.optim.optimizer import Group, Optimizer, ParamsT


class RAdam(Optimizer):
    """RAdam: Adam that trusts the mean square only once it has seen enough gradients.

    With `rho_inf = 2 / (1 - b2) - 1` and `rho = rho_inf - 2 t b2^t / (1 - b2^t)`: while `rho <= 5`, a step of plain
    momentum, then Adam's times `sqrt((rho - 4)(rho - 2) rho_inf / ((rho_inf - 4)(rho_inf - 2) rho))`. Liu et al., "On
    the Variance of the Adaptive Learning Rate and Beyond", 2019.

    Args:
        params: parameters, or groups of parameters.
        lr: learning rate, a number >= 0 or a tensor of one element.
        betas: decay rates of mean and mean square, in [0, 1).
        eps: added to the denominator, >= 0.
        weight_decay: L2 penalty, >= 0.
        decoupled_weight_decay: shrink the parameter itself instead of adding to the gradient, as AdamW does.
        maximize: go up instead of down.
        foreach, capturable, differentiable: as in PyTorch; of these only `differentiable` changes anything here.

    Example::

        >>> import flambeau as torch
        >>> w = torch.tensor([2.0], requires_grad=True)
        >>> optimizer = torch.optim.RAdam([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w
        tensor([1.6000], requires_grad=True)
    """

    elementwise = True

    def __init__(
        self, params: ParamsT, lr: float | Any = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, decoupled_weight_decay: bool = False, *, foreach: bool | None = None,
        maximize: bool = False, capturable: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        _checks.learning_rate(lr)
        _checks.not_negative("epsilon value", eps)
        _checks.decay_rates(betas)
        _checks.not_negative("weight_decay value", weight_decay)
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            "foreach": foreach, "capturable": capturable, "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        })  # fmt: skip

    def init_state(self, state: Any, param: Any, group: Group) -> None:
        state["exp_avg"] = torch.zeros_like(param)
        state["exp_avg_sq"] = torch.zeros_like(param)

    def update(self, param: Any, grad: Any, state: Any, group: Group) -> None:
        t, (beta1, beta2) = state.number("step"), group["betas"]
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(grad, 1 - beta1)
        square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        step = mean / (1 - beta1**t) * group["lr"]
        correction2 = 1 - beta2**t
        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 * t * beta2**t / correction2
        if rho > 5.0:
            rectification = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
            step = step * ((rectification * correction2) ** 0.5 / (square.sqrt() + group["eps"]))
        param.sub_(step)

__getattr__ = absent("torch.optim.radam")
