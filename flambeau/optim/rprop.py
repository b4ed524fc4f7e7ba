"""Rprop."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau._core.homes import absent
from flambeau.optim import _checks
from flambeau.optim.optimizer import Group, Optimizer, ParamsT


class Rprop(Optimizer):
    """Resilient backpropagation: each element has a step of its own; of the gradient only the sign counts.

    Where the gradient keeps its sign, the step grows by `etas[1]`; where it changes, the step shrinks by `etas[0]` and
    the element waits. Riedmiller & Braun, "A Direct Adaptive Method for Faster Backpropagation Learning: The RPROP
    Algorithm", 1993. For full batches: the sign of a noisy gradient says little.

    Args:
        params: parameters, or groups of parameters.
        lr: the first step, a number >= 0 or a tensor of one element.
        etas: factors that shrink and grow a step, `0 < etas[0] < 1 < etas[1]`.
        step_sizes: the smallest and the largest step.
        maximize: go up instead of down.
        capturable, foreach, differentiable: as in PyTorch; of these only `differentiable` changes anything here.

    Example::

        >>> import flambeau as torch
        >>> w = torch.tensor([2.0, -3.0], requires_grad=True)
        >>> optimizer = torch.optim.Rprop([w], lr=0.1)
        >>> for _ in range(2):
        ...     optimizer.zero_grad()
        ...     (w * w).sum().backward()
        ...     optimizer.step()
        >>> w
        tensor([ 1.7800, -2.7800], requires_grad=True)
    """

    elementwise = True

    def __init__(
        self, params: ParamsT, lr: float | Any = 1e-2, etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50), *, capturable: bool = False, foreach: bool | None = None,
        maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        _checks.learning_rate(lr)
        _checks.check(
            0.0 < etas[0] < 1.0 < etas[1], f"Invalid eta values: {etas[0]}, {etas[1]}", "0 < etas[0] < 1 < etas[1]"
        )
        super().__init__(params, {
            "lr": lr, "etas": etas, "step_sizes": step_sizes, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "capturable": capturable,
        })  # fmt: skip

    def init_state(self, state: Any, param: Any, group: Group) -> None:
        lr = float(group["lr"])
        state["prev"] = torch.zeros_like(param)
        state["step_size"] = torch.full_like(param, complex(lr, lr) if param.is_complex() else lr)

    def update(self, param: Any, grad: Any, state: Any, group: Group) -> None:
        shrink, grow = group["etas"]
        previous, size = state["prev"], state["step_size"]
        agreement = grad * previous
        turned = agreement < 0
        factor = torch.ones_like(size).masked_fill(agreement > 0, grow).masked_fill(turned, shrink)
        size.copy_((size * factor).clamp(*group["step_sizes"]))
        grad = grad.masked_fill(turned, 0)
        param.sub_(grad.sign() * size)
        previous.copy_(grad)

__getattr__ = absent("torch.optim.rprop")
