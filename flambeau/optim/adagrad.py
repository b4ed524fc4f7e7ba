"""Adagrad."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau._core.homes import absent
from flambeau.optim import _checks
from flambeau.optim.optimizer import Group, Optimizer, ParamsT


class Adagrad(Optimizer):
    """Adagrad: steps divided by the root of the sum of all squared gradients so far.

    `s += g^2`, `param -= lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)`. Duchi, Hazan & Singer, "Adaptive Subgradient
    Methods for Online Learning and Stochastic Optimization", JMLR 2011. Of a sparse gradient only the rows present are
    updated.

    Args:
        params: parameters, or groups of parameters.
        lr: learning rate, a number >= 0 or a tensor of one element.
        lr_decay: how fast the rate falls with the number of steps, >= 0.
        weight_decay: L2 penalty, >= 0; not for sparse gradients.
        initial_accumulator_value: where the sum starts, >= 0.
        eps: added to the denominator, >= 0.
        maximize: go up instead of down.
        foreach, differentiable, fused: as in PyTorch; of these only `differentiable` changes anything here.

    Example::

        >>> import flambeau as torch
        >>> w = torch.tensor([2.0], requires_grad=True)
        >>> optimizer = torch.optim.Adagrad([w], lr=0.5, initial_accumulator_value=9.0)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w
        tensor([1.6000], requires_grad=True)
    """

    accepts_sparse = True

    elementwise = True

    def __init__(
        self, params: ParamsT, lr: float | Any = 1e-2, lr_decay: float = 0, weight_decay: float = 0,
        initial_accumulator_value: float = 0, eps: float = 1e-10, foreach: bool | None = None, *,
        maximize: bool = False, differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        _checks.learning_rate(lr)
        _checks.not_negative("lr_decay value", lr_decay)
        _checks.not_negative("weight_decay value", weight_decay)
        _checks.not_negative("initial_accumulator_value value", initial_accumulator_value)
        _checks.not_negative("epsilon value", eps)
        super().__init__(params, {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "fused": fused,
        })  # fmt: skip
        _checks.implementation(fused=fused, foreach=foreach, differentiable=differentiable)
        for group in self.param_groups:
            for param in group["params"]:
                self._start(self.state[param], param, group)

    def init_state(self, state: Any, param: Any, group: Group) -> None:
        start = group["initial_accumulator_value"]
        state["sum"] = torch.full_like(param, complex(start, start) if param.is_complex() else start)

    def share_memory(self) -> None:
        """Put the sums into shared memory."""
        for group in self.param_groups:
            for param in group["params"]:
                self.state[param]["sum"].share_memory_()

    def update(self, param: Any, grad: Any, state: Any, group: Group) -> None:
        total = state["sum"]
        total.addcmul_(grad, grad)
        lr = group["lr"] / (1 + (state.number("step") - 1) * group["lr_decay"])
        param.sub_(lr * grad / (total.sqrt() + group["eps"]))

__getattr__ = absent("torch.optim.adagrad")
