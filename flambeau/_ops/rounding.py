"""Rounding to integers or decimals. Integers are rounded already."""

from __future__ import annotations

from typing import Any

from flambeau._ops.pointwise import FLOATS_ONLY, no_gradient
from flambeau._ops.registry import pointwise

NOT_ORDERED = ("bool", "complex")


@pointwise(out="exact", inplace=True, refuses=NOT_ORDERED, gradient={"input": lambda g: no_gradient(g)})
def floor(k: Any, input: Any) -> Any:
    """The largest integer not above each element, in the input's dtype.

    Example::

        >>> import flambeau as torch
        >>> torch.floor(torch.tensor([1.5, -1.5]))
        tensor([ 1., -2.])
    """
    return k.floor(input) if k.is_float(input) else input


@pointwise(out="exact", inplace=True, refuses=NOT_ORDERED, gradient={"input": lambda g: no_gradient(g)})
def ceil(k: Any, input: Any) -> Any:
    """The smallest integer not below each element, in the input's dtype.

    Example::

        >>> import flambeau as torch
        >>> torch.ceil(torch.tensor([1.5, -1.5]))
        tensor([ 2., -1.])
    """
    return k.ceil(input) if k.is_float(input) else input


@pointwise(
    out="exact", inplace=True, refuses=NOT_ORDERED, aliases=("fix",), gradient={"input": lambda g: no_gradient(g)}
)
def trunc(k: Any, input: Any) -> Any:
    """Each element without its fraction, in the input's dtype.

    Example::

        >>> import flambeau as torch
        >>> torch.trunc(torch.tensor([1.5, -1.5]))
        tensor([ 1., -1.])
    """
    return k.trunc(input) if k.is_float(input) else input


@pointwise(out="exact", inplace=True, refuses=FLOATS_ONLY, gradient={"input": lambda g: g})
def frac(k: Any, input: Any) -> Any:
    """The part behind the point, with the sign of the element.

    Example::

        >>> import flambeau as torch
        >>> torch.frac(torch.tensor([1.5, -1.25]))
        tensor([ 0.5000, -0.2500])
    """
    return input - k.trunc(input)


@pointwise(out="exact", inplace=True, refuses=NOT_ORDERED, gradient={"input": lambda g: no_gradient(g)})
def round(k: Any, input: Any, *, decimals: Any = 0) -> Any:  # noqa: A001
    """Each element rounded to `decimals` digits behind the point (before it if negative), halves to the even neighbour.

    Example::

        >>> import flambeau as torch
        >>> torch.round(torch.tensor([0.5, 1.5, 2.5]))
        tensor([0., 2., 2.])
        >>> torch.round(torch.tensor([1234.567]), decimals=-2)
        tensor([1200.])
    """
    if not k.is_float(input):
        return input
    if decimals == 0:
        return k.round(input)
    shift = 10.0 ** (decimals if decimals > 0 else -decimals)
    return k.round(input * shift) / shift if decimals > 0 else k.round(input / shift) * shift
