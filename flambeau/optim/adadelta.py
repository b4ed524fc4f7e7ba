"""Adadelta."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau._core.homes import absent
from flambeau.optim import _checks
from flambeau.optim.optimizer import Group, Optimizer, ParamsT


class Adadelta(Optimizer):
    """Adadelta: the step is the gradient in units of earlier steps, so that hardly a learning rate is needed.

    `v = rho v + (1 - rho) g^2`, `d = g sqrt(u + eps) / sqrt(v + eps)`, `u = rho u + (1 - rho) d^2`, `param -= lr d`.
    Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012.

    Args:
        params: parameters, or groups of parameters.
        lr: factor of the step, a number >= 0 or a tensor of one element.
        rho: decay rate of the two averages, in [0, 1].
        eps: added under the roots, >= 0.
        weight_decay: L2 penalty, >= 0.
        maximize: go up instead of down.
        foreach, capturable, differentiable: as in PyTorch; of these only `differentiable` changes anything here.

    Example::

        >>> import flambeau as torch
        >>> w = torch.tensor([2.0], requires_grad=True)
        >>> optimizer = torch.optim.Adadelta([w], eps=0.01)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w
        tensor([1.6848], requires_grad=True)
    """

    elementwise = True

    def __init__(
        self, params: ParamsT, lr: float | Any = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0,
        foreach: bool | None = None, *, capturable: bool = False, maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        _checks.learning_rate(lr)
        _checks.check(0.0 <= rho <= 1.0, f"Invalid rho value: {rho}", "a number in [0, 1]")
        _checks.not_negative("epsilon value", eps)
        _checks.not_negative("weight_decay value", weight_decay)
        super().__init__(params, {
            "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            "capturable": capturable, "foreach": foreach, "differentiable": differentiable,
        })  # fmt: skip

    def init_state(self, state: Any, param: Any, group: Group) -> None:
        state["square_avg"] = torch.zeros_like(param)
        state["acc_delta"] = torch.zeros_like(param)

    def update(self, param: Any, grad: Any, state: Any, group: Group) -> None:
        rho, eps = group["rho"], group["eps"]
        square, square_delta = state["square_avg"], state["acc_delta"]
        square.mul_(rho).addcmul_(grad, grad, value=1 - rho)
        delta = (square_delta + eps).sqrt() / (square + eps).sqrt() * grad
        square_delta.mul_(rho).addcmul_(delta, delta, value=1 - rho)
        param.sub_(group["lr"] * delta)

__getattr__ = absent("torch.optim.adadelta")
