"""Roots, exponentials, logarithms, trigonometric and hyperbolic functions. Integers give the default floating-point
dtype."""

from __future__ import annotations

import math
from typing import Any

from flambeau._ops.pointwise import choose, conj
from flambeau._ops.registry import pointwise

# ---------------------------------------------------------------------------------------------- roots


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g / conj(out * 2)})
def sqrt(k: Any, input: Any) -> Any:
    """The square root; NaN of negative real numbers.

    Example::

        >>> import flambeau as torch
        >>> torch.sqrt(torch.tensor([4., 2.]))
        tensor([2.0000, 1.4142])
    """
    return k.sqrt(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g * conj(out * out * out * -0.5)})
def rsqrt(k: Any, input: Any) -> Any:
    """1 over the square root.

    Example::

        >>> import flambeau as torch
        >>> torch.rsqrt(torch.tensor([4., 0.25]))
        tensor([0.5000, 2.0000])
    """
    return 1 / k.sqrt(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: -g * conj(out * out)})
def reciprocal(k: Any, input: Any) -> Any:
    """1 over each element.

    Example::

        >>> import flambeau as torch
        >>> torch.reciprocal(torch.tensor([2, 5]))
        tensor([0.5000, 0.2000])
    """
    return 1 / input


# ---------------------------------------------------------------------------------------------- exponentials


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g * conj(out)})
def exp(k: Any, input: Any) -> Any:
    """e to the power of each element.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([0., 1.]).exp()
        tensor([1.0000, 2.7183])
    """
    return k.exp(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g * conj(out * math.log(2))})
def exp2(k: Any, input: Any) -> Any:
    """2 to the power of each element.

    Example::

        >>> import flambeau as torch
        >>> torch.exp2(torch.tensor([0., 3.]))
        tensor([1., 8.])
    """
    return k.exp2(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g * conj(out + 1)})
def expm1(k: Any, input: Any) -> Any:
    """exp(input) - 1, exact near 0 too.

    Example::

        >>> import flambeau as torch
        >>> torch.expm1(torch.tensor([1e-10, 1.]))
        tensor([1.0000e-10, 1.7183e+00])
    """
    return k.expm1(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: sigmoid_grad(g, out)})
def sigmoid(k: Any, input: Any) -> Any:
    """The logistic function 1 / (1 + exp(-input)).

    Example::

        >>> import flambeau as torch
        >>> torch.sigmoid(torch.tensor([0., 2.]))
        tensor([0.5000, 0.8808])
    """
    return k.sigmoid(input)


@pointwise(
    method=False,
    function=False,
    node_name="SigmoidBackwardBackward0",
    gradient={
        "g": lambda g0, y: sigmoid_grad(g0, y),
        "y": lambda g0, g, y: g0 * conj(g) * conj(1 - y * 2),
    },
)
def sigmoid_grad(k: Any, g: Any, y: Any) -> Any:
    """The gradient of the logistic function, from its value: g * conj(y * (1 - y))."""
    return g * k.conj((1 - y) * y)


# ---------------------------------------------------------------------------------------------- logarithms


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g / conj(input)})
def log(k: Any, input: Any) -> Any:
    """The natural logarithm; -inf of 0, NaN of negative real numbers.

    Example::

        >>> import flambeau as torch
        >>> torch.log(torch.tensor([1., 2.]))
        tensor([0.0000, 0.6931])
    """
    return k.log(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g / conj(input * math.log(2))})
def log2(k: Any, input: Any) -> Any:
    """The logarithm to base 2.

    Example::

        >>> import flambeau as torch
        >>> torch.log2(torch.tensor([8., 0.5]))
        tensor([ 3., -1.])
    """
    return k.log2(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g / conj(input * math.log(10))})
def log10(k: Any, input: Any) -> Any:
    """The logarithm to base 10.

    Example::

        >>> import flambeau as torch
        >>> torch.log10(torch.tensor([1., 100.]))
        tensor([0., 2.])
    """
    return k.log10(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g / conj(input + 1)})
def log1p(k: Any, input: Any) -> Any:
    """log(1 + input), exact near 0 too.

    Example::

        >>> import flambeau as torch
        >>> torch.log1p(torch.tensor([1e-10, 1.]))
        tensor([1.0000e-10, 6.9315e-01])
    """
    return k.log1p(input)


@pointwise(
    numbers=False,
    refuses=("bool", "integer"),
    gradient={
        "input": lambda g, input, other: g / conj((other - input).exp() + 1),
        "other": lambda g, input, other: g / conj((input - other).exp() + 1),
    },
)
def logaddexp(k: Any, input: Any, other: Any) -> Any:
    """log(exp(input) + exp(other)), without overflow.

    Example::

        >>> import flambeau as torch
        >>> torch.logaddexp(torch.tensor([100., 0.]), torch.tensor([100., 0.]))
        tensor([100.6931,   0.6931])
    """
    return k.logaddexp(input, other)


@pointwise(
    numbers=False,
    refuses=("bool", "integer"),
    gradient={
        "input": lambda g, input, other: g / conj((other - input).exp2() + 1),
        "other": lambda g, input, other: g / conj((input - other).exp2() + 1),
    },
)
def logaddexp2(k: Any, input: Any, other: Any) -> Any:
    """log2(2 ** input + 2 ** other), without overflow.

    Example::

        >>> import flambeau as torch
        >>> torch.logaddexp2(torch.tensor([1000., 0.]), torch.tensor([1000., 1.]))
        tensor([1001.0000,    1.5850])
    """
    if k.is_complex(input):
        return k.logaddexp(input * math.log(2), other * math.log(2)) / math.log(2)
    return k.logaddexp2(input, other)


def lifted(x: Any, like: Any) -> Any:
    """A number as a tensor, so that it has methods."""
    return x if hasattr(x, "_meta") else like.new_full((), x)


@pointwise(
    inplace=True,
    result="float",
    refuses=("complex",),
    gradient={
        "input": lambda g, input, other: choose((input == 0) & (other <= 0), 0, g * lifted(other, g).log()),
        "other": lambda g, input, other: g * input / other,
    },
)
def xlogy(k: Any, input: Any, other: Any) -> Any:
    """`input * log(other)`, which is 0 where `input` is 0, and NaN where `other` is NaN.

    Example::

        >>> import flambeau as torch
        >>> torch.xlogy(torch.tensor([0., 2.]), torch.tensor([0., 3.]))
        tensor([0.0000, 2.1972])
    """
    return k.where(other != other, other, k.where(input == 0, 0, input * k.log(other)))


@pointwise(
    inplace=True,
    result="float",
    refuses=("complex",),
    gradient={"input": lambda g, input, eps: _logit_grad(g, input, eps)},
)
def logit(k: Any, input: Any, eps: Any = None) -> Any:
    """log(input / (1 - input)), the inverse of the logistic function; `eps` first keeps `input` within [eps, 1 - eps].

    Example::

        >>> import flambeau as torch
        >>> torch.logit(torch.tensor([0.5, 0.9]))
        tensor([0.0000, 2.1972])
    """
    if eps is not None:
        input = k.minimum(k.maximum(input, eps), 1 - eps)
    return k.log(input / (1 - input))


def _logit_grad(g: Any, x: Any, eps: Any) -> Any:
    low = 0.0 if eps is None else eps
    return choose((x >= low) & (x <= 1 - low), g / (x * (1 - x)), math.nan if eps is None else 0.0)


# ---------------------------------------------------------------------------------------------- trigonometric


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g * conj(input.cos())})
def sin(k: Any, input: Any) -> Any:
    """The sine of an angle in radians.

    Example::

        >>> import flambeau as torch
        >>> torch.sin(torch.tensor([0., 1.]))
        tensor([0.0000, 0.8415])
    """
    return k.sin(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: -g * conj(input.sin())})
def cos(k: Any, input: Any) -> Any:
    """The cosine of an angle in radians.

    Example::

        >>> import flambeau as torch
        >>> torch.cos(torch.tensor([0., 1.]))
        tensor([1.0000, 0.5403])
    """
    return k.cos(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g * conj(out * out + 1)})
def tan(k: Any, input: Any) -> Any:
    """The tangent of an angle in radians.

    Example::

        >>> import flambeau as torch
        >>> torch.tan(torch.tensor([0., 1.]))
        tensor([0.0000, 1.5574])
    """
    return k.tan(input)


@pointwise(
    inplace=True,
    result="float",
    aliases=("arcsin",),
    gradient={"input": lambda g, input: g * conj((1 - input * input).rsqrt())},
)
def asin(k: Any, input: Any) -> Any:
    """The angle (radians) whose sine is `input`.

    Example::

        >>> import flambeau as torch
        >>> torch.asin(torch.tensor([0.5, 1.]))
        tensor([0.5236, 1.5708])
    """
    return k.asin(input)


@pointwise(
    inplace=True,
    result="float",
    aliases=("arccos",),
    gradient={"input": lambda g, input: -g * conj((1 - input * input).rsqrt())},
)
def acos(k: Any, input: Any) -> Any:
    """The angle (radians) whose cosine is `input`.

    Example::

        >>> import flambeau as torch
        >>> torch.acos(torch.tensor([0.5, 1.]))
        tensor([1.0472, 0.0000])
    """
    return k.acos(input)


@pointwise(
    inplace=True, result="float", aliases=("arctan",), gradient={"input": lambda g, input: g / conj(input * input + 1)}
)
def atan(k: Any, input: Any) -> Any:
    """The angle (radians) whose tangent is `input`.

    Example::

        >>> import flambeau as torch
        >>> torch.atan(torch.tensor([0., 1.]))
        tensor([0.0000, 0.7854])
    """
    return k.atan(input)


@pointwise(
    numbers=False,
    inplace=True,
    result="float",
    refuses=("complex",),
    aliases=("arctan2",),
    gradient={
        "input": lambda g, input, other: g * (other / (input * input + other * other)),
        "other": lambda g, input, other: -g * (input / (input * input + other * other)),
    },
)
def atan2(k: Any, input: Any, other: Any) -> Any:
    """The angle (radians, between -pi and pi) of the point with the coordinates x = `other`, y = `input`.

    Example::

        >>> import flambeau as torch
        >>> torch.atan2(torch.tensor([1., -1.]), torch.tensor([1., -1.]))
        tensor([ 0.7854, -2.3562])
    """
    return k.atan2(input, other)


@pointwise(inplace=True, result="float", refuses=("complex",), gradient={"input": lambda g: g * (math.pi / 180)})
def deg2rad(k: Any, input: Any) -> Any:
    """Degrees as radians.

    Example::

        >>> import flambeau as torch
        >>> torch.deg2rad(torch.tensor([180., 90.]))
        tensor([3.1416, 1.5708])
    """
    return input * (math.pi / 180)


@pointwise(inplace=True, result="float", refuses=("complex",), gradient={"input": lambda g: g * (180 / math.pi)})
def rad2deg(k: Any, input: Any) -> Any:
    """Radians as degrees.

    Example::

        >>> import flambeau as torch
        >>> torch.rad2deg(torch.tensor([3.1415926, 1.5707963]))
        tensor([180.,  90.])
    """
    return input * (180 / math.pi)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: _sinc_grad(g, input)})
def sinc(k: Any, input: Any) -> Any:
    """sin(pi * input) / (pi * input), which is 1 at 0.

    Example::

        >>> import flambeau as torch
        >>> torch.sinc(torch.tensor([0., 0.5]))
        tensor([1.0000, 0.6366])
    """
    turned = input * math.pi
    return k.where(input == 0, 1, k.sin(turned) / turned)


def _sinc_grad(g: Any, x: Any) -> Any:
    turned = x * math.pi
    return choose(x == 0, 0, g * conj((turned * turned.cos() - turned.sin()) / (turned * x)))


# ---------------------------------------------------------------------------------------------- hyperbolic


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g * conj(input.cosh())})
def sinh(k: Any, input: Any) -> Any:
    """The hyperbolic sine.

    Example::

        >>> import flambeau as torch
        >>> torch.sinh(torch.tensor([0., 1.]))
        tensor([0.0000, 1.1752])
    """
    return k.sinh(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g * conj(input.sinh())})
def cosh(k: Any, input: Any) -> Any:
    """The hyperbolic cosine.

    Example::

        >>> import flambeau as torch
        >>> torch.cosh(torch.tensor([0., 1.]))
        tensor([1.0000, 1.5431])
    """
    return k.cosh(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: tanh_grad(g, out)})
def tanh(k: Any, input: Any) -> Any:
    """The hyperbolic tangent.

    Example::

        >>> import flambeau as torch
        >>> torch.tanh(torch.tensor([0., 1.]))
        tensor([0.0000, 0.7616])
    """
    return k.tanh(input)


@pointwise(
    method=False,
    function=False,
    node_name="TanhBackwardBackward0",
    gradient={
        "g": lambda g0, y: tanh_grad(g0, y),
        "y": lambda g0, g, y: g0 * conj(g) * conj(y * -2),
    },
)
def tanh_grad(k: Any, g: Any, y: Any) -> Any:
    """The gradient of the hyperbolic tangent, from its value: g * conj(1 - y * y)."""
    return g * k.conj(1 - y * y)


@pointwise(
    inplace=True,
    result="float",
    aliases=("arcsinh",),
    gradient={"input": lambda g, input: g * conj((input * input + 1).rsqrt())},
)
def asinh(k: Any, input: Any) -> Any:
    """The inverse of the hyperbolic sine.

    Example::

        >>> import flambeau as torch
        >>> torch.asinh(torch.tensor([0., 1.]))
        tensor([0.0000, 0.8814])
    """
    return k.asinh(input)


@pointwise(
    inplace=True,
    result="float",
    aliases=("arccosh",),
    gradient={"input": lambda g, input: g * conj((input - 1).rsqrt() * (input + 1).rsqrt())},
)
def acosh(k: Any, input: Any) -> Any:
    """The inverse of the hyperbolic cosine; NaN of real numbers below 1.

    Example::

        >>> import flambeau as torch
        >>> torch.acosh(torch.tensor([1., 2.]))
        tensor([0.0000, 1.3170])
    """
    return k.acosh(input)


@pointwise(
    inplace=True, result="float", aliases=("arctanh",), gradient={"input": lambda g, input: g / conj(1 - input * input)}
)
def atanh(k: Any, input: Any) -> Any:
    """The inverse of the hyperbolic tangent; NaN of real numbers outside [-1, 1].

    Example::

        >>> import flambeau as torch
        >>> torch.atanh(torch.tensor([0., 0.5]))
        tensor([0.0000, 0.5493])
    """
    return k.atanh(input)
