"""Muon."""

from __future__ import annotations

import math
from typing import Any

from flambeau import _api as torch
from flambeau.optim import _checks
from flambeau.optim.optimizer import Group, Optimizer, ParamsT


class Muon(Optimizer):
    """Muon: momentum whose matrix is made orthogonal, so that all directions move alike.

    `b = m b + (1 - m) g`; the step is `orthogonalize(g + m (b - g))`, or of `b` without `nesterov`, times a rate for
    the shape. For the matrices of hidden layers; other parameters go to another optimizer, such as AdamW. Jordan et
    al., "Muon: An optimizer for hidden layers in neural networks", 2024; "match_rms_adamw": Liu et al., "Muon is
    Scalable for LLM Training", 2025.

    Args:
        params: real matrices, or groups of them.
        lr: learning rate, >= 0.
        weight_decay: factor of decoupled weight decay, >= 0.
        momentum: how much of the mean gradient stays, >= 0.
        nesterov: look ahead.
        ns_coefficients: the polynomial `a x + b x^3 + c x^5` that drives singular values to about 1.
        eps: smallest norm by which a gradient is divided.
        ns_steps: how often the polynomial is applied, < 100.
        adjust_lr_fn: rate for an m x n matrix, "original" (or None): `lr sqrt(max(1, m / n))`; "match_rms_adamw":
            `0.2 lr sqrt(max(m, n))`.

    Example::

        >>> import flambeau as torch
        >>> w = torch.zeros(2, 2, requires_grad=True)
        >>> optimizer = torch.optim.Muon([w], lr=0.1)
        >>> (w * torch.tensor([[3.0, 0.0], [0.0, 0.001]])).sum().backward()
        >>> optimizer.step()
        >>> bool(w[0, 0] < -0.05), bool(abs(w[0, 1]) < 1e-6)
        (True, True)
    """

    numbers = ()

    def __init__(
        self, params: ParamsT, lr: float = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95,
        nesterov: bool = True, ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7, ns_steps: int = 5, adjust_lr_fn: str | None = None,
    ) -> None:  # fmt: skip
        _checks.one_element("lr", lr)
        _checks.check(0.0 <= lr, f"Learning rate should be >= 0 but is: {lr}", "a number >= 0")
        _checks.check(0.0 <= momentum, f"momentum should be >= 0 but is: {momentum}", "a number >= 0")
        _checks.check(0.0 <= weight_decay, f"weight decay should be >= 0 but is: {weight_decay}", "a number >= 0")
        _checks.check(
            adjust_lr_fn in (None, "original", "match_rms_adamw"),
            f"Adjust learning rate function {adjust_lr_fn} is not supported",
            '"original" or "match_rms_adamw"',
        )
        super().__init__(params, {
            "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov,
            "ns_coefficients": ns_coefficients, "eps": eps, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn,
        })  # fmt: skip
        for group in self.param_groups:
            for param in group["params"]:
                _checks.check(
                    param.dim() == 2,
                    f"Muon only supports 2D parameters whereas we found a parameter with size: {param.size()}",
                    "matrices; give biases and the like to AdamW",
                )

    def init_state(self, state: Any, param: Any, group: Group) -> None:
        if param.is_complex():
            raise RuntimeError("Muon does not support complex parameters")
        state["momentum_buffer"] = torch.zeros_like(param)

    def decay(self, param: Any, grad: Any, group: Group) -> Any:
        param.mul_(1 - group["lr"] * group["weight_decay"])
        return grad

    def update(self, param: Any, grad: Any, state: Any, group: Group) -> None:
        momentum, mean = group["momentum"], state["momentum_buffer"]
        mean.lerp_(grad, 1 - momentum)
        direction = grad.lerp(mean, momentum) if group["nesterov"] else mean
        step = orthogonalize(direction, group["ns_coefficients"], group["ns_steps"], group["eps"])
        param.sub_(group["lr"] * shape_factor(param.shape, group["adjust_lr_fn"]) * step)


def orthogonalize(matrix: Any, coefficients: tuple[float, float, float], steps: int, eps: float) -> Any:
    """About `U V^T` of the singular value decomposition `U S V^T`, by Newton-Schulz iteration in bfloat16.

    The polynomial is steep at 0 rather than exact at 1: the result's singular values lie between about 0.7 and 1.2.
    """
    if steps >= 100:
        raise ValueError(f"Number of steps must be less than 100 for computational efficiency, got {steps}")
    if len(coefficients) != 3:
        raise ValueError(f"Coefficients must be a tuple of exactly 3 values, got {len(coefficients)}")
    a, b, c = coefficients
    x = matrix.bfloat16()
    if tall := matrix.size(0) > matrix.size(1):
        x = x.T
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).to(matrix.dtype)


def shape_factor(shape: Any, adjust_lr_fn: str | None) -> float:
    """By how much the rate of a matrix differs for its shape."""
    m, n = shape
    return 0.2 * math.sqrt(max(m, n)) if adjust_lr_fn == "match_rms_adamw" else math.sqrt(max(1, m / n))
