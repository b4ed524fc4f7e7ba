"""Pointwise operations: rounding, signs, bounds, choices, logic and tests."""

from __future__ import annotations

from typing import Any

from flambeau._ops.pointwise import conj, choose
from flambeau._ops.registry import composite, pointwise


@pointwise(inplace=True, refuses=("complex",), gradient={"input": lambda g: g * 0})
def floor(k: Any, input: Any) -> Any:
    """Rounded down."""
    return k.floor(input)


@pointwise(inplace=True, refuses=("complex",), gradient={"input": lambda g: g * 0})
def ceil(k: Any, input: Any) -> Any:
    """Rounded up."""
    return k.ceil(input)


@pointwise(inplace=True, refuses=("complex",), aliases=("fix",), gradient={"input": lambda g: g * 0})
def trunc(k: Any, input: Any) -> Any:
    """Rounded towards zero."""
    return k.trunc(input)


@pointwise(inplace=True, refuses=("complex",), gradient={"input": lambda g: g * 0})
def sign(k: Any, input: Any) -> Any:
    """-1, 0 or 1."""
    return k.sign(input)


@pointwise(inplace=True, refuses=("complex",), gradient={"input": lambda g: g})
def frac(k: Any, input: Any) -> Any:
    """The part behind the point, with the sign of `input`."""
    return input - k.trunc(input)


@pointwise(inplace=True, gradient={"input": lambda g, input, out: _sgn_grad(g, input, out)})
def sgn(k: Any, input: Any) -> Any:
    """The sign; of complex numbers the number over its modulus."""
    return k.sgn(input)


@pointwise(result="bool")
def isnan(k: Any, input: Any) -> Any:
    """Is it NaN?"""
    return k.isnan(input)


@pointwise(result="bool")
def isinf(k: Any, input: Any) -> Any:
    """Is it infinite?"""
    return k.isinf(input)


@pointwise(result="bool")
def isfinite(k: Any, input: Any) -> Any:
    """Is it finite?"""
    return k.isfinite(input)


@pointwise(inplace=True, result="bool")
def logical_not(k: Any, input: Any) -> Any:
    """Is it zero?"""
    return input == 0


@pointwise(inplace=True, result="bool")
def logical_and(k: Any, input: Any, other: Any) -> Any:
    """Logical and of what is not zero."""
    return (input != 0) & (other != 0)


@pointwise(inplace=True, result="bool")
def logical_or(k: Any, input: Any, other: Any) -> Any:
    """Logical or of what is not zero."""
    return (input != 0) | (other != 0)


@pointwise(inplace=True, result="bool")
def logical_xor(k: Any, input: Any, other: Any) -> Any:
    """Logical xor of what is not zero."""
    return (input != 0) ^ (other != 0)


@pointwise(refuses=("complex",), gradient={
    "input": lambda g, input, other: g * _share(input > other, input == other),
    "other": lambda g, input, other: g * _share(other > input, input == other),
})
def maximum(k: Any, input: Any, other: Any) -> Any:
    """The larger of each pair; NaN wins."""
    return k.maximum(input, other)


@pointwise(refuses=("complex",), gradient={
    "input": lambda g, input, other: g * _share(input < other, input == other),
    "other": lambda g, input, other: g * _share(other < input, input == other),
})
def minimum(k: Any, input: Any, other: Any) -> Any:
    """The smaller of each pair; NaN wins."""
    return k.minimum(input, other)


def _share(wins: Any, ties: Any) -> Any:
    """1 where it wins, a half where both are equal."""
    return wins + ties * 0.5


def _sgn_grad(g: Any, x: Any, out: Any) -> Any:
    if not x.dtype.is_complex:
        return g * 0
    modulus = x.abs()
    return ((g - out * out * g.conj()) / (modulus * 2)).masked_fill(modulus == 0, 0)


@pointwise(inplace=True, refuses=("complex",), operands=("input", "min", "max"), aliases=("clip",), gradient={
    "input": lambda g, input, min, max: g * _inside(input, min, max),
    "min": lambda g, input, min, max: g * ((input < min) if max is None else (input < min) & (min < max)),
    "max": lambda g, input, min, max: g * ((input > max) if min is None else (input > max) | (max < min)),
})
def clamp(k: Any, input: Any, min: Any = None, max: Any = None) -> Any:
    """`input` kept between `min` and `max` (numbers or tensors; either may be None)."""
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if min is not None:
        input = k.maximum(input, min)
    return input if max is None else k.minimum(input, max)


def _inside(x: Any, low: Any, high: Any) -> Any:
    if low is None or high is None:
        return x <= high if low is None else x >= low
    return (x >= low) & (x <= high)


@composite(inplace=True)
def clamp_min(input: Any, min: Any) -> Any:
    """`input`, but at least `min`."""
    return clamp(input, min)


@composite(inplace=True)
def clamp_max(input: Any, max: Any) -> Any:
    """`input`, but at most `max`."""
    return clamp(input, None, max)








