"""AdamW: Adam whose weight decay is apart from the gradient."""

from __future__ import annotations

from typing import Any

from flambeau._core.homes import absent
from flambeau.optim.adam import Adam
from flambeau.optim.optimizer import ParamsT


class AdamW(Adam):
    """Adam with decoupled weight decay: `param *= 1 - lr * weight_decay` before each step.

    Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2017. Arguments are those of `Adam`, with a
    `weight_decay` of 0.01 by default.

    Example::

        >>> import flambeau as torch
        >>> w = torch.tensor([2.0], requires_grad=True)
        >>> optimizer = torch.optim.AdamW([w], lr=0.1, weight_decay=0.5)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w
        tensor([1.8000], requires_grad=True)
    """

    def __init__(
        self, params: ParamsT, lr: float | Any = 1e-3, betas: tuple[float | Any, float | Any] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 1e-2, amsgrad: bool = False, *, maximize: bool = False,
        foreach: bool | None = None, capturable: bool = False, differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize, capturable=capturable,
            differentiable=differentiable, fused=fused, decoupled_weight_decay=True,
        )  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:  # whatever wrote the checkpoint
            group["decoupled_weight_decay"] = True

__getattr__ = absent("torch.optim.adamw")
