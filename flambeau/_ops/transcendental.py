"""Powers, exponentials, logarithms, trigonometric and hyperbolic functions."""

from __future__ import annotations

import math
from typing import Any

from flambeau._core.dtypes import get_default_dtype
from flambeau._ops.pointwise import choose, conj
from flambeau._ops.registry import composite, pointwise


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g / conj(out * 2)})
def sqrt(k: Any, input: Any) -> Any:
    """The square root; NaN below zero.

    Example::

        >>> import flambeau as torch
        >>> torch.sqrt(torch.tensor([4.]))
        tensor([2.])
    """
    return k.sqrt(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g * conj(out * out * out * -0.5)})
def rsqrt(k: Any, input: Any) -> Any:
    """1 over the square root.

    Example::

        >>> import flambeau as torch
        >>> torch.rsqrt(torch.tensor([4.]))
        tensor([0.5000])
    """
    return 1 / k.sqrt(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g * conj(-out * out)})
def reciprocal(k: Any, input: Any) -> Any:
    """1 over `input`.

    Example::

        >>> import flambeau as torch
        >>> torch.reciprocal(torch.tensor([4.]))
        tensor([0.2500])
    """
    return 1 / input


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g * conj(out)})
def exp(k: Any, input: Any) -> Any:
    """The exponential.

    Example::

        >>> import flambeau as torch
        >>> torch.exp(torch.tensor([1.]))
        tensor([2.7183])
    """
    return k.exp(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g * conj(out * math.log(2))})
def exp2(k: Any, input: Any) -> Any:
    """2 to the power of `input`.

    Example::

        >>> import flambeau as torch
        >>> torch.exp2(torch.tensor([3.]))
        tensor([8.])
    """
    return k.exp2(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g * conj(out + 1)})
def expm1(k: Any, input: Any) -> Any:
    """exp(input) - 1, exact near 0.

    Example::

        >>> import flambeau as torch
        >>> torch.expm1(torch.tensor([1.]))
        tensor([1.7183])
    """
    return k.expm1(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g / conj(input)})
def log(k: Any, input: Any) -> Any:
    """The natural logarithm; NaN below zero.

    Example::

        >>> import flambeau as torch
        >>> torch.log(torch.tensor([1.]))
        tensor([0.])
    """
    return k.log(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g / conj(input * math.log(2))})
def log2(k: Any, input: Any) -> Any:
    """The logarithm of base 2.

    Example::

        >>> import flambeau as torch
        >>> torch.log2(torch.tensor([8.]))
        tensor([3.])
    """
    return k.log2(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g / conj(input * math.log(10))})
def log10(k: Any, input: Any) -> Any:
    """The logarithm of base 10.

    Example::

        >>> import flambeau as torch
        >>> torch.log10(torch.tensor([50.]))
        tensor([1.6990])
    """
    return k.log10(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g / conj(input + 1)})
def log1p(k: Any, input: Any) -> Any:
    """log(1 + input), exact near 0.

    Example::

        >>> import flambeau as torch
        >>> torch.log1p(torch.tensor([1.]))
        tensor([0.6931])
    """
    return k.log1p(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g * conj(input.cos())})
def sin(k: Any, input: Any) -> Any:
    """The sine (radians).

    Example::

        >>> import flambeau as torch
        >>> torch.sin(torch.tensor([0.]))
        tensor([0.])
    """
    return k.sin(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g * conj(-input.sin())})
def cos(k: Any, input: Any) -> Any:
    """The cosine (radians).

    Example::

        >>> import flambeau as torch
        >>> torch.cos(torch.tensor([0.]))
        tensor([1.])
    """
    return k.cos(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g * conj(out * out + 1)})
def tan(k: Any, input: Any) -> Any:
    """The tangent (radians).

    Example::

        >>> import flambeau as torch
        >>> torch.tan(torch.tensor([0.]))
        tensor([0.])
    """
    return k.tan(input)


@pointwise(
    inplace=True,
    result="float",
    aliases=("arcsin",),
    gradient={"input": lambda g, input: g * conj((-input * input + 1).rsqrt())},
)
def asin(k: Any, input: Any) -> Any:
    """The arc sine (radians).

    Example::

        >>> import flambeau as torch
        >>> torch.asin(torch.tensor([1.]))
        tensor([1.5708])
    """
    return k.asin(input)


@pointwise(
    inplace=True,
    result="float",
    aliases=("arccos",),
    gradient={"input": lambda g, input: g * conj(-((-input * input + 1).rsqrt()))},
)
def acos(k: Any, input: Any) -> Any:
    """The arc cosine (radians).

    Example::

        >>> import flambeau as torch
        >>> torch.acos(torch.tensor([1.]))
        tensor([0.])
    """
    return k.acos(input)


@pointwise(
    inplace=True, result="float", aliases=("arctan",), gradient={"input": lambda g, input: g / conj(input * input + 1)}
)
def atan(k: Any, input: Any) -> Any:
    """The arc tangent (radians).

    Example::

        >>> import flambeau as torch
        >>> torch.atan(torch.tensor([1.]))
        tensor([0.7854])
    """
    return k.atan(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g * conj(input.cosh())})
def sinh(k: Any, input: Any) -> Any:
    """The hyperbolic sine.

    Example::

        >>> import flambeau as torch
        >>> torch.sinh(torch.tensor([0.]))
        tensor([0.])
    """
    return k.sinh(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g * conj(input.sinh())})
def cosh(k: Any, input: Any) -> Any:
    """The hyperbolic cosine.

    Example::

        >>> import flambeau as torch
        >>> torch.cosh(torch.tensor([0.]))
        tensor([1.])
    """
    return k.cosh(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g * conj(1 - out * out)})
def tanh(k: Any, input: Any) -> Any:
    """The hyperbolic tangent.

    Example::

        >>> import flambeau as torch
        >>> torch.tanh(torch.tensor([0.]))
        tensor([0.])
    """
    return k.tanh(input)


@pointwise(
    inplace=True,
    result="float",
    aliases=("arcsinh",),
    gradient={"input": lambda g, input: g * conj((input * input + 1).rsqrt())},
)
def asinh(k: Any, input: Any) -> Any:
    """The inverse hyperbolic sine.

    Example::

        >>> import flambeau as torch
        >>> torch.asinh(torch.tensor([0.]))
        tensor([0.])
    """
    return k.asinh(input)


@pointwise(
    inplace=True,
    result="float",
    aliases=("arccosh",),
    gradient={"input": lambda g, input: g * conj((input - 1).rsqrt() * (input + 1).rsqrt())},
)
def acosh(k: Any, input: Any) -> Any:
    """The inverse hyperbolic cosine.

    Example::

        >>> import flambeau as torch
        >>> torch.acosh(torch.tensor([1.]))
        tensor([0.])
    """
    return k.acosh(input)


@pointwise(
    inplace=True, result="float", aliases=("arctanh",), gradient={"input": lambda g, input: g / conj(1 - input * input)}
)
def atanh(k: Any, input: Any) -> Any:
    """The inverse hyperbolic tangent.

    Example::

        >>> import flambeau as torch
        >>> torch.atanh(torch.tensor([0.]))
        tensor([0.])
    """
    return k.atanh(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g * conj((1 - out) * out)})
def sigmoid(k: Any, input: Any) -> Any:
    """The logistic function 1 / (1 + exp(-input)).

    Example::

        >>> import flambeau as torch
        >>> torch.sigmoid(torch.tensor([0.]))
        tensor([0.5000])
    """
    return k.sigmoid(input)


@pointwise(
    inplace=True,
    result="float",
    refuses=("complex",),
    aliases=("arctan2",),
    gradient={
        "input": lambda g, input, other: (
            g * (other / (input * input + other * other)).masked_fill((input == 0) & (other == 0), 0)
        ),
        "other": lambda g, input, other: (
            g * (-input / (input * input + other * other)).masked_fill((input == 0) & (other == 0), 0)
        ),
    },
)
def atan2(k: Any, input: Any, other: Any) -> Any:
    """The angle of the point (other, input), in radians.

    Example::

        >>> import flambeau as torch
        >>> torch.atan2(torch.tensor([1.]), torch.tensor([1.]))
        tensor([0.7854])
    """
    return k.atan2(input, other)


@pointwise(
    refuses=("bool", "integer"),
    gradient={
        "input": lambda g, input, out: g * conj((input - out).exp()),
        "other": lambda g, other, out: g * conj((other - out).exp()),
    },
)
def logaddexp(k: Any, input: Any, other: Any) -> Any:
    """log(exp(input) + exp(other)), without overflow.

    Example::

        >>> import flambeau as torch
        >>> torch.logaddexp(torch.tensor([0.]), torch.tensor([0.]))
        tensor([0.6931])
    """
    return k.logaddexp(input, other)


@pointwise(
    refuses=("bool", "integer", "complex"),
    gradient={
        "input": lambda g, input, out: g * (input - out).exp2(),
        "other": lambda g, other, out: g * (other - out).exp2(),
    },
)
def logaddexp2(k: Any, input: Any, other: Any) -> Any:
    """log2(2 ** input + 2 ** other), without overflow.

    Example::

        >>> import flambeau as torch
        >>> torch.logaddexp2(torch.tensor([0.]), torch.tensor([0.]))
        tensor([1.])
    """
    return k.logaddexp2(input, other)


@pointwise(
    inplace=True,
    result="float",
    refuses=("complex",),
    gradient={
        "input": lambda g, input, other: g * choose((as_tensor(input, g) == 0) & (other <= 0), 0.0, _log_of(other, g)),
        "other": lambda g, input, other: g * input / other,
    },
)
def xlogy(k: Any, input: Any, other: Any) -> Any:
    """`input * log(other)`, 0 where `input` is 0.

    Example::

        >>> import flambeau as torch
        >>> torch.xlogy(torch.tensor([0., 2.]), torch.tensor([0., 1.]))
        tensor([0., 0.])
    """
    return k.where((input == 0) & (other == other), input * 0, input * k.log(other))


def as_tensor(x: Any, like: Any) -> Any:
    """A number as a 0-dim tensor."""
    return x if hasattr(x, "_meta") else like.new_full((), x)


def _log_of(x: Any, like: Any) -> Any:
    return as_tensor(x, like).log()


@composite(inplace=True)
def sinc(input: Any) -> Any:
    """sin(pi x) / (pi x), 1 at 0.

    Example::

        >>> import flambeau as torch
        >>> torch.sinc(torch.tensor([0.]))
        tensor([1.])
    """
    angle = input * math.pi
    zero = input == 0
    return (angle.sin() / angle.masked_fill(zero, 1.0)).masked_fill(zero, 1.0)


@composite(inplace=True)
def logit(input: Any, eps: float | None = None) -> Any:
    """log(x / (1 - x)), the inverse of the sigmoid; with `eps` the input is first kept in [eps, 1 - eps].

    Example::

        >>> import flambeau as torch
        >>> torch.logit(torch.tensor([0.5]))
        tensor([0.])
    """
    x = input if input.dtype.differentiable else input.to(get_default_dtype())
    x = x if eps is None else x.clamp(eps, 1 - eps)
    return (x / (1 - x)).log()
