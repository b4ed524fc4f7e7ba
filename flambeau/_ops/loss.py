"""Losses: how far predictions are from targets (`nn.functional`)."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops.pointwise import choose
from flambeau._ops.reduce import accumulated
from flambeau._ops.registry import composite, library
from flambeau._ops.softmax import log_softmax_rows

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


def functional(**options: Any) -> Any:
    """Declares a composite of nn.functional."""
    return composite(method=False, namespace="nn.functional", **options)


def reduced(loss: Any, reduction: str, size_average: bool | None = None, reduce: bool | None = None) -> Any:
    """The loss averaged, summed or as it is; ValueError for another word."""
    if size_average is not None or reduce is not None:  # PyTorch's names before 1.0
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(f"{reduction} is not a valid value for reduction: expected 'none', 'mean' or 'sum'")


def _warn_if_broadcast(name: str, input: Any, target: Any) -> None:
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) in {name}. "
            "This will likely lead to incorrect results due to broadcasting. Please ensure they have the same size, "
            f"e.g. target.reshape({list(input.shape)}).", UserWarning, stacklevel=4,
        )


# ---------------------------------------------------------------------------------------------- regression


@functional()
def mse_loss(
    input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean", weight: Any = None
) -> Any:
    """The squared error, averaged by default.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.mse_loss(torch.tensor([1., 2.]), torch.tensor([1., 4.]))
        tensor(2.)
    """
    _warn_if_broadcast("mse_loss", input, target)
    error = input - target
    return _weighted(error * error, weight, reduction, size_average, reduce)


def _weighted(loss: Any, weight: Any, reduction: str, size_average: bool | None, reduce: bool | None) -> Any:
    if weight is None:
        return reduced(loss, reduction, size_average, reduce)
    loss = loss * weight
    return loss.sum() / weight.expand(loss.shape).sum() if reduction == "mean" else reduced(loss, reduction, size_average, reduce)


@functional()
def l1_loss(
    input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean", weight: Any = None
) -> Any:
    """The absolute error, averaged by default.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.l1_loss(torch.tensor([1., 2.]), torch.tensor([1., 4.]))
        tensor(1.)
    """
    _warn_if_broadcast("l1_loss", input, target)
    return _weighted((input - target).abs(), weight, reduction, size_average, reduce)


@functional()
def smooth_l1_loss(
    input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean", beta: float = 1.0
) -> Any:
    """Squared below `beta`, absolute above (Girshick 2015).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.smooth_l1_loss(torch.tensor([0., 3.]), torch.zeros(2))
        tensor(1.2500)
    """
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    _warn_if_broadcast("smooth_l1_loss", input, target)
    if beta == 0:
        return reduced((input - target).abs(), reduction, size_average, reduce)
    error = (input - target).abs()
    return reduced(choose(error < beta, 0.5 * error * error / beta, error - 0.5 * beta), reduction, size_average, reduce)


@functional()
def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    """Half the square below `delta`, linear above (Huber 1964).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.huber_loss(torch.tensor([0., 3.]), torch.zeros(2))
        tensor(1.2500)
    """
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    _warn_if_broadcast("huber_loss", input, target)
    error = (input - target).abs()
    loss = choose(error < delta, 0.5 * error * error, delta * (error - 0.5 * delta))
    return _weighted(loss, weight, reduction, None, None)
