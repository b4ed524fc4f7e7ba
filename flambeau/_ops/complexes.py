"""Pointwise operations on complex numbers: conjugates, angles, polar form."""

from __future__ import annotations

from typing import Any

from flambeau._core import dtypes
from flambeau._ops.registry import composite, pointwise


@pointwise(inplace=True, gradient={"input": lambda g: conj_physical(g)})
def conj_physical(k: Any, input: Any) -> Any:
    """The complex conjugate, computed at once.

    Example::

        >>> import flambeau as torch
        >>> torch.conj_physical(torch.tensor([1 + 2j]))
        tensor([1.-2.j])
    """
    return k.conj(input)


@composite()
def conj(input: Any) -> Any:
    """The complex conjugate; a real tensor is itself.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1 + 2j]).conj()
        tensor([1.-2.j])
    """
    return conj_physical(input) if input.dtype.is_complex else input


@composite()
def resolve_conj(input: Any) -> Any:
    """`input` itself: conjugation is never pending here.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1.]).resolve_conj()
        tensor([1.])
    """
    return input


@composite()
def resolve_neg(input: Any) -> Any:
    """`input` itself: negation is never pending here.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1.]).resolve_neg()
        tensor([1.])
    """
    return input


def _angle_dtype(d: dtypes.dtype) -> dtypes.dtype:
    return d.to_real() if d.category >= dtypes.FLOAT else dtypes.get_default_dtype()


@pointwise(result=_angle_dtype, gradient={"input": lambda g, input: _angle_grad(g, input)})
def angle(k: Any, input: Any) -> Any:
    """The angle of a complex number (radians); of real ones 0 or pi.

    Example::

        >>> import flambeau as torch
        >>> torch.angle(torch.tensor([1j]))
        tensor([1.5708])
    """
    return k.angle(input)


def _angle_grad(g: Any, x: Any) -> Any:
    if not x.dtype.is_complex:
        return g.new_zeros(g.shape)
    squared = x.real * x.real + x.imag * x.imag
    return ((g / squared) * (x * 1j)).masked_fill(squared == 0, 0)


@composite(method=False)
def polar(abs: Any, angle: Any) -> Any:  # noqa: A002
    """Complex numbers from modulus and angle (radians).

    Example::

        >>> import flambeau as torch
        >>> torch.polar(torch.tensor([1.]), torch.tensor([0.]))
        tensor([1.+0.j])
    """
    if abs.dtype is not angle.dtype or abs.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(
            f"Expected both inputs to be Float or Double tensors of one dtype but got {abs.dtype} and {angle.dtype}"
        )
    return abs * (angle.cos() + angle.sin() * 1j)
