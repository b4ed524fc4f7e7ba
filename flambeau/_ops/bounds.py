"""Bounds: clamp, the larger and smaller of pairs, replacing what is not a number."""

from __future__ import annotations

from typing import Any

from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ops.pointwise import choose
from flambeau._ops.registry import composite, pointwise

np = lazy_module("numpy")


@pointwise(
    refuses=("complex",),
    gradient={
        "input": lambda g, input, other: g * _share(input > other, input == other),
        "other": lambda g, input, other: g * _share(other > input, input == other),
    },
)
def maximum(k: Any, input: Any, other: Any) -> Any:
    """The larger of each pair; NaN wins. The gradient of equals is shared.

    Example::

        >>> import flambeau as torch
        >>> torch.maximum(torch.tensor([1., 2.]), torch.tensor([3., 2.]))
        tensor([3., 2.])
    """
    return k.maximum(input, other)


@pointwise(
    refuses=("complex",),
    gradient={
        "input": lambda g, input, other: g * _share(input < other, input == other),
        "other": lambda g, input, other: g * _share(other < input, input == other),
    },
)
def minimum(k: Any, input: Any, other: Any) -> Any:
    """The smaller of each pair; NaN wins. The gradient of equals is shared.

    Example::

        >>> import flambeau as torch
        >>> torch.minimum(torch.tensor([1., 2.]), torch.tensor([3., 2.]))
        tensor([1., 2.])
    """
    return k.minimum(input, other)


@pointwise(
    refuses=("complex",),
    gradient={
        "input": lambda g, input, other: g * _share((input > other) | other.isnan(), input == other),
        "other": lambda g, input, other: g * _share((other > input) | input.isnan(), input == other),
    },
)
def fmax(k: Any, input: Any, other: Any) -> Any:
    """The larger of each pair; NaN loses. The gradient of equals is shared.

    Example::

        >>> import flambeau as torch
        >>> torch.fmax(torch.tensor([1., 2.]), torch.tensor([3., 2.]))
        tensor([3., 2.])
    """
    return k.fmax(input, other)


@pointwise(
    refuses=("complex",),
    gradient={
        "input": lambda g, input, other: g * _share((input < other) | other.isnan(), input == other),
        "other": lambda g, input, other: g * _share((other < input) | input.isnan(), input == other),
    },
)
def fmin(k: Any, input: Any, other: Any) -> Any:
    """The smaller of each pair; NaN loses. The gradient of equals is shared.

    Example::

        >>> import flambeau as torch
        >>> torch.fmin(torch.tensor([1., 2.]), torch.tensor([3., 2.]))
        tensor([1., 2.])
    """
    return k.fmin(input, other)


def _share(wins: Any, ties: Any) -> Any:
    """1 where it wins, a half where both are equal."""
    return wins + ties * 0.5


def _check_bounds(*args: Any, **kwargs: Any) -> None:
    """RuntimeError for a clamp without bounds."""
    if all(bound is None for bound in (*args[1:], *kwargs.values())):
        raise RuntimeError(
            errors.explain("torch.clamp: At least one of 'min' or 'max' must not be None", site=user_site(4))
        )


@pointwise(
    inplace=True,
    refuses=("complex",),
    operands=("input", "min", "max"),
    aliases=("clip",),
    guard=_check_bounds,
    gradient={
        "input": lambda g, input, min, max: g * _inside(input, min, max),
        "min": lambda g, input, min, max: g * ((input < min) if max is None else (input < min) & (min < max)),
        "max": lambda g, input, min, max: g * ((input > max) if min is None else (input > max) | (max < min)),
    },
)
def clamp(k: Any, input: Any, min: Any = None, max: Any = None) -> Any:  # noqa: A002
    """`input` kept between `min` and `max` (numbers or tensors; either may be left out); NaN stays.

    Example::

        >>> import flambeau as torch
        >>> torch.clamp(torch.tensor([-1., 0.5, 2.]), 0, 1)
        tensor([0.0000, 0.5000, 1.0000])
    """
    if min is not None:
        input = k.maximum(input, min)
    return input if max is None else k.minimum(input, max)


def _inside(x: Any, low: Any, high: Any) -> Any:
    if low is None or high is None:
        return x <= high if low is None else x >= low
    return (x >= low) & (x <= high)


@composite(inplace=True)
def clamp_min(input: Any, min: Any) -> Any:  # noqa: A002
    """`input`, but at least `min`.

    Example::

        >>> import flambeau as torch
        >>> torch.clamp_min(torch.tensor([-1., 2.]), 0)
        tensor([0., 2.])
    """
    return clamp(input, min)


@composite(inplace=True)
def clamp_max(input: Any, max: Any) -> Any:  # noqa: A002
    """`input`, but at most `max`.

    Example::

        >>> import flambeau as torch
        >>> torch.clamp_max(torch.tensor([-1., 2.]), 0)
        tensor([-1.,  0.])
    """
    return clamp(input, None, max)


@composite(inplace=True)
def nan_to_num(input: Any, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Any:
    """NaN replaced by `nan` (0), infinities by `posinf` and `neginf` (the largest finite numbers).

    Example::

        >>> import flambeau as torch
        >>> torch.nan_to_num(torch.tensor([float("nan"), 1.]), 5)
        tensor([5., 1.])
    """
    if not input.dtype.differentiable:
        return input.clone()
    if input.dtype.is_complex:
        return nan_to_num(input.real, nan, posinf, neginf) + nan_to_num(input.imag, nan, posinf, neginf) * 1j
    largest = float(np.finfo(input.dtype.numpy).max) if input.dtype is not dtypes.bfloat16 else 3.3895313892515355e38
    finite = choose(input.isnan(), 0.0 if nan is None else nan, input)
    finite = choose(input == float("inf"), largest if posinf is None else posinf, finite)
    return choose(input == float("-inf"), -largest if neginf is None else neginf, finite)
