"""Adam."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau._core.homes import absent
from flambeau.optim import _checks
from flambeau.optim.optimizer import Group, Optimizer, ParamsT


class Adam(Optimizer):
    """Adam: steps scaled by running averages of the gradient and of its square.

    `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`, `param -= lr m' / (sqrt(v') + eps)` with the averages corrected
    for their start at zero, `m' = m / (1 - b1^t)`, `v' = v / (1 - b2^t)`. Kingma & Ba, "Adam: A Method for Stochastic
    Optimization", 2014; `amsgrad`: Reddi et al., "On the Convergence of Adam and Beyond", 2018.

    Args:
        params: parameters, or groups of parameters.
        lr: learning rate, a number >= 0 or a tensor of one element.
        betas: decay rates of the two averages, in [0, 1).
        eps: added to the denominator, >= 0.
        weight_decay: L2 penalty, >= 0.
        amsgrad: divide by the largest `v` so far.
        maximize: go up instead of down.
        decoupled_weight_decay: shrink the parameter itself instead of adding to the gradient, as AdamW does.
        foreach, capturable, differentiable, fused: as in PyTorch; of these only `differentiable` changes anything here.

    Example::

        >>> import flambeau as torch
        >>> w = torch.tensor([2.0, -1.0], requires_grad=True)
        >>> optimizer = torch.optim.Adam([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w
        tensor([ 1.9000, -0.9000], requires_grad=True)
    """

    _for_sparse = "please consider SparseAdam instead"
    elementwise = True

    def __init__(
        self, params: ParamsT, lr: float | Any = 1e-3, betas: tuple[float | Any, float | Any] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0, amsgrad: bool = False, *, foreach: bool | None = None,
        maximize: bool = False, capturable: bool = False, differentiable: bool = False, fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:  # fmt: skip
        if torch.is_tensor(lr) and foreach and not capturable:
            raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
        _checks.learning_rate(lr)
        _checks.not_negative("epsilon value", eps)
        _checks.decay_rates(betas)
        _checks.not_negative("weight_decay value", weight_decay)
        super().__init__(params, {
            "lr": lr, "betas": _both_alike(betas, foreach and not capturable), "eps": eps, "weight_decay": weight_decay,
            "amsgrad": amsgrad, "maximize": maximize, "foreach": foreach, "capturable": capturable,
            "differentiable": differentiable, "fused": fused, "decoupled_weight_decay": decoupled_weight_decay,
        })  # fmt: skip
        _checks.implementation(fused=fused, foreach=foreach, differentiable=differentiable)

    def init_state(self, state: Any, param: Any, group: Group) -> None:
        state["exp_avg"] = torch.zeros_like(param)
        state["exp_avg_sq"] = torch.zeros_like(param)
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = torch.zeros_like(param)

    def update(self, param: Any, grad: Any, state: Any, group: Group) -> None:
        t, (beta1, beta2) = state.number("step"), group["betas"]
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(grad, 1 - beta1)
        square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        if group["amsgrad"]:
            largest = state["max_exp_avg_sq"]
            square = largest.copy_(torch.maximum(largest.clone(), square))  # backward needs what `copy_` writes over
        scale = square.sqrt() / (1 - beta2**t) ** 0.5 + group["eps"]
        param.sub_(group["lr"] / (1 - beta1**t) * mean / scale)


def _both_alike(betas: tuple, no_tensors: Any) -> tuple:
    """Two numbers, or two 0-dim tensors."""
    tensors = [torch.is_tensor(beta) for beta in betas]
    if tensors[0] != tensors[1] or not (tensors[0] or all(isinstance(beta, float) for beta in betas)):
        raise ValueError("betas must be either both floats or both Tensors")
    for i, beta in enumerate(betas):
        if tensors[i] and no_tensors:
            raise ValueError(f"betas[{i}] as a Tensor is not supported for capturable=False and foreach=True")
        _checks.one_element(f"betas[{i}]", beta)
    return tuple(beta.squeeze() if tensors[i] else beta for i, beta in enumerate(betas))

__getattr__ = absent("torch.optim.adam")
