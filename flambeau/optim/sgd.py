"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from typing import Any

from flambeau._core.homes import absent
from flambeau.optim import _checks
from flambeau.optim.optimizer import Group, Optimizer, ParamsT


class SGD(Optimizer):
    """Stochastic gradient descent.

    With momentum m, dampening d and the gradient g: `v = m v + (1 - d) g`, `param -= lr v`; the first `v` is `g`. With
    `nesterov`, `param -= lr (g + m v)`. Sutskever et al., "On the importance of initialization and momentum in deep
    learning", ICML 2013 (there the velocity is scaled by the rate, here it is not).

    Args:
        params: parameters, or groups of parameters.
        lr: learning rate, a number >= 0 or a tensor of one element.
        momentum: how much of the velocity stays, >= 0.
        dampening: how much less of the gradient goes into the velocity.
        weight_decay: L2 penalty, >= 0.
        nesterov: look ahead; needs a momentum and no dampening.
        maximize: go up instead of down.
        foreach, differentiable, fused: as in PyTorch; of these only `differentiable`, which lets gradients flow through
            the step, changes anything here.

    Example::

        >>> import flambeau as torch
        >>> w = torch.tensor([2.0], requires_grad=True)
        >>> optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.9)
        >>> for _ in range(2):
        ...     optimizer.zero_grad()
        ...     (w * w).sum().backward()
        ...     optimizer.step()
        >>> w
        tensor([0.9200], requires_grad=True)
    """

    numbers = ()
    accepts_sparse = True
    complex_as_real = False

    elementwise = True

    def __init__(
        self, params: ParamsT, lr: float | Any = 1e-3, momentum: float = 0, dampening: float = 0,
        weight_decay: float | Any = 0, nesterov: bool = False, *, maximize: bool = False, foreach: bool | None = None,
        differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        _checks.learning_rate(lr)
        _checks.not_negative("momentum value", momentum)
        _checks.not_negative("weight_decay value", weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError(
                "Nesterov momentum requires a momentum and zero dampening, "
                f"got momentum={momentum} and dampening={dampening}"
            )
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov,
            "maximize": maximize, "foreach": foreach, "differentiable": differentiable, "fused": fused,
        })  # fmt: skip
        _checks.implementation(fused=fused, foreach=foreach, differentiable=differentiable)

    def update(self, param: Any, grad: Any, state: Any, group: Group) -> None:
        momentum = group["momentum"]
        if momentum != 0:
            velocity = state.get("momentum_buffer")
            if velocity is None:
                velocity = state["momentum_buffer"] = grad.detach().clone()
            else:
                velocity.mul_(momentum).add_(grad, alpha=1 - group["dampening"])
            grad = grad + momentum * velocity if group["nesterov"] else velocity
        param.sub_(group["lr"] * grad)

    def update_rows(self, param: Any, grad: Any, state: Any, group: Group) -> None:
        if group["momentum"] == 0:
            return super().update_rows(param, grad, state, group)
        # Velocity moves rows that have no gradient this time, so this is no matter of a few rows.
        grad = grad.to_dense()
        self.update(param, -grad if group["maximize"] else grad, state, group)

__getattr__ = absent("torch.optim.sgd")
