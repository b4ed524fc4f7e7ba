"""Rounding and signs."""

from __future__ import annotations

from typing import Any

from flambeau._core import dtypes
from flambeau._ops.pointwise import no_gradient
from flambeau._ops.registry import composite, pointwise


@pointwise(inplace=True, refuses=("bool", "complex"), gradient={"input": lambda g: no_gradient(g)})
def floor(k: Any, input: Any) -> Any:
    """Rounded down. Integers stay as they are.

    Example::

        >>> import flambeau as torch
        >>> torch.floor(torch.tensor([1.5, -1.5]))
        tensor([ 1., -2.])
    """
    return k.floor(input) if k.is_float(input) else input


@pointwise(inplace=True, refuses=("bool", "complex"), gradient={"input": lambda g: no_gradient(g)})
def ceil(k: Any, input: Any) -> Any:
    """Rounded up. Integers stay as they are.

    Example::

        >>> import flambeau as torch
        >>> torch.ceil(torch.tensor([1.5, -1.5]))
        tensor([ 2., -1.])
    """
    return k.ceil(input) if k.is_float(input) else input


@pointwise(inplace=True, refuses=("bool", "complex"), aliases=("fix",), gradient={"input": lambda g: no_gradient(g)})
def trunc(k: Any, input: Any) -> Any:
    """Rounded towards zero. Integers stay as they are.

    Example::

        >>> import flambeau as torch
        >>> torch.trunc(torch.tensor([1.5, -1.5]))
        tensor([ 1., -1.])
    """
    return k.trunc(input) if k.is_float(input) else input


@pointwise(
    inplace=True,
    method=False,
    function=False,
    node_name="RoundBackward0",
    refuses=("bool", "complex"),
    gradient={"input": lambda g: no_gradient(g)},
)
def nearest_even(k: Any, input: Any) -> Any:
    """The nearest integer, halves to the even one."""
    return k.round(input) if k.is_float(input) else input


@composite(inplace=True)
def round(input: Any, *, decimals: int = 0) -> Any:  # noqa: A001
    """Rounded to `decimals` places, halves to the even neighbour.

    Example::

        >>> import flambeau as torch
        >>> torch.round(torch.tensor([0.5, 1.5, 2.4]))
        tensor([0., 2., 2.])
    """
    if decimals == 0 or input.dtype.category <= dtypes.INTEGER:
        return nearest_even(input)
    scale = 10.0 ** abs(decimals)
    return nearest_even(input * scale) / scale if decimals > 0 else nearest_even(input / scale) * scale


@pointwise(inplace=True, refuses=("bool", "integer", "complex"), gradient={"input": lambda g: g})
def frac(k: Any, input: Any) -> Any:
    """The part behind the point, with the sign of `input`.

    Example::

        >>> import flambeau as torch
        >>> torch.frac(torch.tensor([1.5, -1.5]))
        tensor([ 0.5000, -0.5000])
    """
    return input - k.trunc(input)


@pointwise(inplace=True, refuses=("complex",), gradient={"input": lambda g: no_gradient(g)})
def sign(k: Any, input: Any) -> Any:
    """-1, 0 or 1.

    Example::

        >>> import flambeau as torch
        >>> torch.sign(torch.tensor([2., 0., -3.]))
        tensor([ 1.,  0., -1.])
    """
    return input if k.is_bool(input) else k.sign(input)


@pointwise(inplace=True, gradient={"input": lambda g, input, out: _sgn_grad(g, input, out)})
def sgn(k: Any, input: Any) -> Any:
    """The sign; of complex numbers the number over its modulus.

    Example::

        >>> import flambeau as torch
        >>> torch.sgn(torch.tensor([3 + 4j]))
        tensor([0.6000+0.8000j])
    """
    return input if k.is_bool(input) else k.sgn(input)


def _sgn_grad(g: Any, x: Any, out: Any) -> Any:
    if not x.dtype.is_complex:
        return no_gradient(g)
    modulus = x.abs()
    return ((g - out * out * g.conj()) / (modulus * 2)).masked_fill(modulus == 0, 0)


@pointwise(inplace=True, aliases=("absolute",), result="real", gradient={"input": lambda g, input: g * input.sgn()})
def abs(k: Any, input: Any) -> Any:
    """The absolute value; of complex numbers the modulus, a real number.

    Example::

        >>> import flambeau as torch
        >>> torch.abs(torch.tensor([-1., 2.]))
        tensor([1., 2.])
    """
    return input if k.is_bool(input) else k.abs(input)
