"""NAdam."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau._core.homes import absent
from flambeau.optim import _checks
from flambeau.optim.optimizer import Group, Optimizer, ParamsT


class NAdam(Optimizer):
    """NAdam: Adam with Nesterov's momentum, on a schedule.

    With `mu_t = b1 (1 - 0.96^(t momentum_decay) / 2)` and `M_t` the product of all `mu` up to t, the mean gradient of
    Adam is replaced by `mu_(t+1) m / (1 - M_(t+1)) + (1 - mu_t) g / (1 - M_t)`. Dozat, "Incorporating Nesterov Momentum
    into Adam", 2016.

    Args:
        params: parameters, or groups of parameters.
        lr: learning rate, a number >= 0 or a tensor of one element.
        betas: decay rates of mean and mean square, in [0, 1).
        eps: added to the denominator, >= 0.
        weight_decay: L2 penalty, >= 0.
        momentum_decay: how fast the momentum grows, >= 0.
        decoupled_weight_decay: shrink the parameter itself instead of adding to the gradient, as AdamW does.
        maximize: go up instead of down.
        foreach, capturable, differentiable: as in PyTorch; of these only `differentiable` changes anything here.

    Example::

        >>> import flambeau as torch
        >>> w = torch.tensor([2.0], requires_grad=True)
        >>> optimizer = torch.optim.NAdam([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w
        tensor([1.8944], requires_grad=True)
    """

    numbers = ("step", "mu_product")

    elementwise = True

    def __init__(
        self, params: ParamsT, lr: float | Any = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, momentum_decay: float = 4e-3, decoupled_weight_decay: bool = False, *,
        foreach: bool | None = None, maximize: bool = False, capturable: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        _checks.learning_rate(lr)
        _checks.not_negative("epsilon value", eps)
        _checks.decay_rates(betas)
        _checks.not_negative("weight_decay value", weight_decay)
        _checks.not_negative("momentum_decay value", momentum_decay)
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize, "foreach": foreach,
            "capturable": capturable, "differentiable": differentiable,
        })  # fmt: skip

    def init_state(self, state: Any, param: Any, group: Group) -> None:
        state.set_number("mu_product", 1.0)
        state["exp_avg"] = torch.zeros_like(param)
        state["exp_avg_sq"] = torch.zeros_like(param)

    def update(self, param: Any, grad: Any, state: Any, group: Group) -> None:
        t, (beta1, beta2), decay = state.number("step"), group["betas"], group["momentum_decay"]
        mu, mu_next = (beta1 * (1 - 0.5 * 0.96 ** (step * decay)) for step in (t, t + 1))
        state.set_number("mu_product", state.number("mu_product") * mu)
        product = state.number("mu_product")
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(grad, 1 - beta1)
        square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        direction = (1 - mu) / (1 - product) * grad + mu_next / (1 - product * mu_next) * mean
        scale = (square / (1 - beta2**t)).sqrt() + group["eps"]
        param.sub_(group["lr"] * direction / scale)

__getattr__ = absent("torch.optim.nadam")
