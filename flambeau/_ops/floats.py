"""Operations on the parts of floating-point numbers: sign bits, neighbours, exponents, lengths."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes
from flambeau._core.lazy import lazy_module
from flambeau._ir.meta import contiguous
from flambeau._ops.pointwise import no_gradient
from flambeau._ops.reduce import accumulated
from flambeau._ops.registry import composite, library, pointwise
from flambeau._ops.results import named

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

frexp_result = named("frexp", "mantissa", "exponent")


@pointwise(result="bool", refuses=("complex",))
def signbit(k: Any, input: Any) -> Any:
    """Is the sign bit set? (It is for -0.)

    Example::

        >>> import flambeau as torch
        >>> torch.signbit(torch.tensor([-0., 1.]))
        tensor([ True, False])
    """
    return k.signbit(input) if k.is_float(input) else input < 0


@pointwise(
    inplace=True,
    result="float",
    refuses=("complex",),
    gradient={
        "input": lambda g, input, out: g * (input.sgn() * out.sgn()),
        "other": lambda g: no_gradient(g),
    },
)
def copysign(k: Any, input: Any, other: Any) -> Any:
    """The size of `input` with the sign of `other`.

    Example::

        >>> import flambeau as torch
        >>> torch.copysign(torch.tensor([1., 2.]), torch.tensor([-1., 1.]))
        tensor([-1.,  2.])
    """
    return k.copysign(input, other)


@pointwise(inplace=True, refuses=("bool", "integer", "complex"))
def nextafter(k: Any, input: Any, other: Any) -> Any:
    """The next representable number from `input` towards `other`.

    Example::

        >>> import flambeau as torch
        >>> torch.nextafter(torch.tensor([1.]), torch.tensor([2.])) > 1
        tensor([True])
    """
    return k.nextafter(input, other)


@pointwise(
    inplace=True,
    refuses=("bool", "integer", "complex"),
    gradient={
        "input": lambda g, input, out: g * (input / out).masked_fill(out == 0, 0),
        "other": lambda g, other, out: g * (other / out).masked_fill(out == 0, 0),
    },
)
def hypot(k: Any, input: Any, other: Any) -> Any:
    """The length of the hypotenuse, without overflow.

    Example::

        >>> import flambeau as torch
        >>> torch.hypot(torch.tensor([3.]), torch.tensor([4.]))
        tensor([5.])
    """
    return k.hypot(input, other)


@composite(inplace=True)
def ldexp(input: Any, other: Any) -> Any:
    """`input * 2 ** other`.

    Example::

        >>> import flambeau as torch
        >>> torch.ldexp(torch.tensor([1.]), torch.tensor([3]))
        tensor([8.])
    """
    return input * 2.0**other


@library(
    category="pointwise",
    method=False,
    function=False,
    infer=lambda m: (contiguous(m.dtype, m.shape), contiguous(dtypes.int32, m.shape)),
    result_type=frexp_result,
    gradient={"input": lambda g0, out1: g0 * 2.0**-out1},
)
def mantissa_and_exponent(input: Any) -> Any:
    """(mantissa in [0.5, 1), exponent)."""
    return tuple(np.frexp(accumulated(input)))


@composite()
def frexp(input: Any) -> Any:
    """(mantissa, exponent) with input = mantissa * 2 ** exponent and 0.5 <= |mantissa| < 1.

    Example::

        >>> import flambeau as torch
        >>> torch.frexp(torch.tensor([8.])).exponent
        tensor([4], dtype=torch.int32)
    """
    if not input.dtype.is_floating_point:
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    return mantissa_and_exponent(input)


@composite(inplace=True)
def deg2rad(input: Any) -> Any:
    """Degrees to radians.

    Example::

        >>> import flambeau as torch
        >>> torch.deg2rad(torch.tensor([180.]))
        tensor([3.1416])
    """
    return input * (math.pi / 180)


@composite(inplace=True)
def rad2deg(input: Any) -> Any:
    """Radians to degrees.

    Example::

        >>> import flambeau as torch
        >>> torch.rad2deg(torch.tensor([0.]))
        tensor([0.])
    """
    return input * (180 / math.pi)


@pointwise(inplace=True, refuses=("complex",))
def heaviside(k: Any, input: Any, values: Any) -> Any:
    """0 below zero, 1 above, `values` at zero.

    Example::

        >>> import flambeau as torch
        >>> torch.heaviside(torch.tensor([-1., 0., 2.]), torch.tensor([0.5]))
        tensor([0.0000, 0.5000, 1.0000])
    """
    return k.where(input == 0, values, input > 0)
