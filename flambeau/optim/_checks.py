"""Checks of hyperparameters: PyTorch's exceptions, with the value that came and what was expected."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau._core.errors import explain


def check(condition: Any, message: str, expected: str) -> None:
    """Raise a ValueError unless `condition`."""
    if not condition:
        raise ValueError(explain(message, hint=f"expected {expected}"))


def not_negative(what: str, value: Any) -> None:
    if isinstance(value, str):
        raise TypeError(explain(f"Invalid {what}: the text {value!r}", hint=f"expected a number: float({value!r})"))
    check(0.0 <= value, f"Invalid {what}: {value}", "a number >= 0")


def learning_rate(lr: Any) -> None:
    one_element("lr", lr)
    not_negative("learning rate", lr)


def one_element(what: str, value: Any) -> None:
    if torch.is_tensor(value) and value.numel() != 1:
        raise ValueError(
            explain(
                f"Tensor {what} must be 1-element, got shape {tuple(value.shape)}",
                hint="for a rate of its own for each parameter, use parameter groups",
            )
        )


def decay_rates(betas: Any) -> None:
    if not isinstance(betas, (tuple, list)):
        raise TypeError(f"betas are two numbers, such as (0.9, 0.999), got {betas!r}")
    for i in (0, 1):
        check(0.0 <= betas[i] < 1.0, f"Invalid beta parameter at index {i}: {betas[i]}", "a number in [0, 1)")


def implementation(*, fused: bool | None, foreach: bool | None, differentiable: bool) -> None:
    """In PyTorch `foreach` and `fused` choose implementations; here one does it all, but contradictions are errors."""
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
