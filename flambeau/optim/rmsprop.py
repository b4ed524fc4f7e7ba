"""RMSprop."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau._core.homes import absent
from flambeau.optim import _checks
from flambeau.optim.optimizer import Group, Optimizer, ParamsT


class RMSprop(Optimizer):
    """RMSprop: the gradient divided by the root of its recent mean square.

    `v = alpha v + (1 - alpha) g^2`, `step = g / (sqrt(v) + eps)`; with `centered`, `v` less the square of the mean
    gradient (its variance) under the root; with momentum m, `b = m b + step` is the step. Hinton, lecture 6e of "Neural
    Networks for Machine Learning", 2012; centered: Graves, "Generating Sequences With Recurrent Neural Networks", 2013.

    Args:
        params: parameters, or groups of parameters.
        lr: learning rate, a number >= 0 or a tensor of one element.
        alpha: decay rate of the averages, >= 0.
        eps: added to the denominator, >= 0.
        weight_decay: L2 penalty, >= 0.
        momentum: how much of the last step stays, >= 0.
        centered: divide by the standard deviation instead of the root mean square.
        maximize: go up instead of down.
        capturable, foreach, differentiable: as in PyTorch; of these only `differentiable` changes anything here.

    Example::

        >>> import flambeau as torch
        >>> w = torch.tensor([2.0], requires_grad=True)
        >>> optimizer = torch.optim.RMSprop([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w
        tensor([1.], requires_grad=True)
    """

    elementwise = True

    def __init__(
        self, params: ParamsT, lr: float | Any = 1e-2, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0,
        momentum: float = 0, centered: bool = False, capturable: bool = False, foreach: bool | None = None,
        maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        _checks.learning_rate(lr)
        _checks.not_negative("epsilon value", eps)
        _checks.not_negative("momentum value", momentum)
        _checks.not_negative("weight_decay value", weight_decay)
        _checks.not_negative("alpha value", alpha)
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered,
            "weight_decay": weight_decay, "capturable": capturable, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable,
        })  # fmt: skip

    def init_state(self, state: Any, param: Any, group: Group) -> None:
        state["square_avg"] = torch.zeros_like(param)
        if group["momentum"] > 0:
            state["momentum_buffer"] = torch.zeros_like(param)
        if group["centered"]:
            state["grad_avg"] = torch.zeros_like(param)

    def update(self, param: Any, grad: Any, state: Any, group: Group) -> None:
        alpha, momentum = group["alpha"], group["momentum"]
        square = state["square_avg"]
        square.mul_(alpha).addcmul_(grad, grad, value=1 - alpha)
        if group["centered"]:
            mean = state["grad_avg"]
            mean.lerp_(grad, 1 - alpha)
            square = square - mean * mean
        scale = square.sqrt() + group["eps"]
        if momentum > 0:
            step = state["momentum_buffer"].mul_(momentum).add_(grad / scale)
            param.sub_(group["lr"] * step)
        else:
            param.sub_(group["lr"] * grad / scale)

__getattr__ = absent("torch.optim.rmsprop")
