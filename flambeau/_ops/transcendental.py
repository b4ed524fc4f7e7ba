"""Pointwise operations: powers, exponentials, logarithms, trigonometric and hyperbolic functions."""

from __future__ import annotations

import math
from typing import Any

from flambeau._ops.pointwise import conj
from flambeau._ops.registry import composite, pointwise


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g / conj(out * 2)})
def sqrt(k: Any, input: Any) -> Any:
    """The square root."""
    return k.sqrt(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g * conj(out * out * out * -0.5)})
def rsqrt(k: Any, input: Any) -> Any:
    """1 over the square root."""
    return 1 / k.sqrt(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g * conj(-out * out)})
def reciprocal(k: Any, input: Any) -> Any:
    """1 over `input`."""
    return 1 / input


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g * conj(out * math.log(2))})
def exp2(k: Any, input: Any) -> Any:
    """2 to the power of `input`."""
    return k.exp2(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g * conj(out + 1)})
def expm1(k: Any, input: Any) -> Any:
    """exp(input) - 1, exact near 0."""
    return k.expm1(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g / conj(input * math.log(2))})
def log2(k: Any, input: Any) -> Any:
    """The logarithm of base 2."""
    return k.log2(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g / conj(input * math.log(10))})
def log10(k: Any, input: Any) -> Any:
    """The logarithm of base 10."""
    return k.log10(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g / conj(input + 1)})
def log1p(k: Any, input: Any) -> Any:
    """log(1 + input), exact near 0."""
    return k.log1p(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g * conj(input.cos())})
def sin(k: Any, input: Any) -> Any:
    """The sine (radians)."""
    return k.sin(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g * conj(-input.sin())})
def cos(k: Any, input: Any) -> Any:
    """The cosine (radians)."""
    return k.cos(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g * conj(out * out + 1)})
def tan(k: Any, input: Any) -> Any:
    """The tangent (radians)."""
    return k.tan(input)


@pointwise(inplace=True, result="float", aliases=('arcsin',), gradient={"input": lambda g, input: g * conj((-input * input + 1).rsqrt())})
def asin(k: Any, input: Any) -> Any:
    """The arc sine."""
    return k.asin(input)


@pointwise(inplace=True, result="float", aliases=('arccos',), gradient={"input": lambda g, input: g * conj(-((-input * input + 1).rsqrt()))})
def acos(k: Any, input: Any) -> Any:
    """The arc cosine."""
    return k.acos(input)


@pointwise(inplace=True, result="float", aliases=('arctan',), gradient={"input": lambda g, input: g / conj(input * input + 1)})
def atan(k: Any, input: Any) -> Any:
    """The arc tangent."""
    return k.atan(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g * conj(input.cosh())})
def sinh(k: Any, input: Any) -> Any:
    """The hyperbolic sine."""
    return k.sinh(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g * conj(input.sinh())})
def cosh(k: Any, input: Any) -> Any:
    """The hyperbolic cosine."""
    return k.cosh(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g * conj(1 - out * out)})
def tanh(k: Any, input: Any) -> Any:
    """The hyperbolic tangent."""
    return k.tanh(input)


@pointwise(inplace=True, result="float", aliases=('arcsinh',), gradient={"input": lambda g, input: g * conj((input * input + 1).rsqrt())})
def asinh(k: Any, input: Any) -> Any:
    """The inverse hyperbolic sine."""
    return k.asinh(input)


@pointwise(inplace=True, result="float", aliases=('arccosh',), gradient={"input": lambda g, input: g * conj((input - 1).rsqrt() * (input + 1).rsqrt())})
def acosh(k: Any, input: Any) -> Any:
    """The inverse hyperbolic cosine."""
    return k.acosh(input)


@pointwise(inplace=True, result="float", aliases=('arctanh',), gradient={"input": lambda g, input: g / conj(1 - input * input)})
def atanh(k: Any, input: Any) -> Any:
    """The inverse hyperbolic tangent."""
    return k.atanh(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g * conj((1 - out) * out)})
def sigmoid(k: Any, input: Any) -> Any:
    """The logistic function 1 / (1 + exp(-input))."""
    return k.sigmoid(input)




@pointwise(inplace=True, result="float", refuses=("complex",), aliases=("arctan2",), gradient={
    "input": lambda g, input, other: g * (other / (input * input + other * other)),
    "other": lambda g, input, other: g * (-input / (input * input + other * other)),
})
def atan2(k: Any, input: Any, other: Any) -> Any:
    """The angle of the point (other, input)."""
    return k.atan2(input, other)
