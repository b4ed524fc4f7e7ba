"""The larger and the smaller of two, and keeping elements within bounds."""

from __future__ import annotations

from typing import Any

from flambeau._core import errors
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta
from flambeau._ops.arguments import check_tensor
from flambeau._ops.pointwise import choose
from flambeau._ops.registry import composite, pointwise


def _winners(g: Any, loses: Any, ties: Any) -> Any:
    """`g` where an operand was chosen, half of it where both were."""
    return choose(loses, 0, choose(ties, g * 0.5, g))


@pointwise(
    numbers=False,
    refuses=("complex",),
    gradient={
        "input": lambda g, input, other: _winners(g, input < other, input == other),
        "other": lambda g, input, other: _winners(g, input > other, input == other),
    },
)
def maximum(k: Any, input: Any, other: Any) -> Any:
    """The larger of each pair; NaN if one is NaN. The gradient of equal elements is halved between them.

    Example::

        >>> import flambeau as torch
        >>> torch.maximum(torch.tensor([1., 5.]), torch.tensor([2., 3.]))
        tensor([2., 5.])
    """
    return k.maximum(input, other)


@pointwise(
    numbers=False,
    refuses=("complex",),
    gradient={
        "input": lambda g, input, other: _winners(g, input > other, input == other),
        "other": lambda g, input, other: _winners(g, input < other, input == other),
    },
)
def minimum(k: Any, input: Any, other: Any) -> Any:
    """The smaller of each pair; NaN if one is NaN. The gradient of equal elements is halved between them.

    Example::

        >>> import flambeau as torch
        >>> torch.minimum(torch.tensor([1., 5.]), torch.tensor([2., 3.]))
        tensor([1., 3.])
    """
    return k.minimum(input, other)


@pointwise(
    numbers=False,
    refuses=("complex",),
    gradient={
        "input": lambda g, input, other: choose((input >= other) | other.isnan(), g, 0),
        "other": lambda g, input, other: choose((input >= other) | other.isnan(), 0, g),
    },
)
def fmax(k: Any, input: Any, other: Any) -> Any:
    """The larger of each pair; where one is NaN, the other.

    Example::

        >>> import flambeau as torch
        >>> torch.fmax(torch.tensor([1., float("nan")]), torch.tensor([2., 3.]))
        tensor([2., 3.])
    """
    return k.fmax(input, other)


@pointwise(
    numbers=False,
    refuses=("complex",),
    gradient={
        "input": lambda g, input, other: choose((input <= other) | other.isnan(), g, 0),
        "other": lambda g, input, other: choose((input <= other) | other.isnan(), 0, g),
    },
)
def fmin(k: Any, input: Any, other: Any) -> Any:
    """The smaller of each pair; where one is NaN, the other.

    Example::

        >>> import flambeau as torch
        >>> torch.fmin(torch.tensor([1., float("nan")]), torch.tensor([2., 3.]))
        tensor([1., 3.])
    """
    return k.fmin(input, other)


def _check_bounds(metas: tuple) -> None:
    """RuntimeError without any bound."""
    if all(m is type(None) for m in metas[1:]):
        raise RuntimeError(
            errors.explain("torch.clamp: At least one of 'min' or 'max' must not be None", site=user_site(5))
        )
    if metas[0].dtype.is_complex:
        raise NotImplementedError(errors.explain("clamp is not supported for complex types", site=user_site(5)))


def _bounds(*bounds: Any) -> tuple[str, ...]:
    """The bounds that the node shows: all if one is a tensor."""
    return ("min", "max") if any([type(b) is Meta for b in bounds]) else ()


@pointwise(
    node_name=lambda input, *bounds: f"ClampBackward{0 if _bounds(*bounds) else 1}",
    shows=lambda input, *bounds: ("input", *_bounds(*bounds)),
    inplace=True,
    refuses=("complex",),
    operands=("input", "min", "max"),
    aliases=("clip",),
    check=_check_bounds,
    gradient={
        "input": lambda g, input, min, max: choose(_inside(input, min, max), g, 0),
        "min": lambda g, input, min, max: choose((input < min) if max is None else (input < min) & (min < max), g, 0),
        "max": lambda g, input, min, max: choose((input > max) if min is None else (input > max) | (max < min), g, 0),
    },
)
def clamp(k: Any, input: Any, min: Any = None, max: Any = None) -> Any:
    """`input` kept between `min` and `max` (numbers or tensors that broadcast; one may be None). Where `min` exceeds
    `max`, `max`.

    RuntimeError without any bound.

    Example::

        >>> import flambeau as torch
        >>> torch.clamp(torch.tensor([-2., 0.5, 7.]), 0, 1)
        tensor([0.0000, 0.5000, 1.0000])
    """
    if min is not None:
        input = k.maximum(input, min)
    return input if max is None else k.minimum(input, max)


def _inside(x: Any, low: Any, high: Any) -> Any:
    if low is None or high is None:
        return x <= high if low is None else x >= low
    return (x >= low) & (x <= high)


@composite(
    out="castable",
    overlap="same",
    node_name=lambda input, min: f"ClampMinBackward{1 if hasattr(min, 'shape') else 0}",
    shows=("input", "min"),
    inplace=True,
)
def clamp_min(input: Any, min: Any) -> Any:
    """`input`, but at least `min` (a number or a tensor).

    Example::

        >>> import flambeau as torch
        >>> torch.clamp_min(torch.tensor([-2., 3.]), 0)
        tensor([0., 3.])
    """
    check_tensor(input, "clamp_min")
    return clamp(input, min)


@composite(
    out="castable",
    overlap="same",
    node_name=lambda input, max: f"ClampMaxBackward{1 if hasattr(max, 'shape') else 0}",
    shows=("input", "max"),
    inplace=True,
)
def clamp_max(input: Any, max: Any) -> Any:
    """`input`, but at most `max` (a number or a tensor).

    Example::

        >>> import flambeau as torch
        >>> torch.clamp_max(torch.tensor([-2., 3.]), 0)
        tensor([-2.,  0.])
    """
    check_tensor(input, "clamp_max")
    return clamp(input, None, max)
