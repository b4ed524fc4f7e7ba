"""Complex numbers: conjugates, angles, and numbers made from modulus and angle. The parts are views, in
`reinterpret`."""

from __future__ import annotations

import math
from typing import Any

from flambeau._core import dtypes, errors
from flambeau._core.dtypes import dtype
from flambeau._core.sites import user_site
from flambeau._ops.pointwise import choose, no_gradient
from flambeau._ops.registry import composite, pointwise
from flambeau._ops.strided import INTERNAL


@pointwise(name="conj_physical", node_name="ConjBackward0", gradient={"input": lambda g: g.conj()}, **INTERNAL)
def conjugated(k: Any, input: Any) -> Any:
    """The complex conjugate."""
    return k.conj(input)


@composite(out="exact", overlap="same", inplace=True)
def conj_physical(input: Any) -> Any:
    """The complex conjugate, computed at once; a real tensor is itself.

    Example::

        >>> import flambeau as torch
        >>> torch.conj_physical(torch.tensor([1 + 2j]))
        tensor([1.-2.j])
    """
    return conjugated(input) if input._meta.dtype.is_complex else input


@composite()
def conj(input: Any) -> Any:
    """The complex conjugate, computed at once; a real tensor is itself.

    Example::

        >>> import flambeau as torch
        >>> torch.conj(torch.tensor([1 + 2j]))
        tensor([1.-2.j])
    """
    return conj_physical(input)


@composite()
def resolve_conj(input: Any) -> Any:
    """`input` itself: conjugation is never pending.

    Example::

        >>> import flambeau as torch
        >>> torch.resolve_conj(torch.tensor([1 + 2j]).conj())
        tensor([1.-2.j])
    """
    return input


@composite()
def resolve_neg(input: Any) -> Any:
    """`input` itself: negation is never pending.

    Example::

        >>> import flambeau as torch
        >>> torch.resolve_neg(torch.tensor([1 + 2j]).imag)
        tensor([2.])
    """
    return input


def _real_of(promoted: dtype) -> dtype:
    """The dtype of an angle."""
    return promoted.to_real() if promoted.category >= dtypes.FLOAT else dtypes.get_default_dtype()


@pointwise(result=_real_of, gradient={"input": lambda g, input: _angle_grad(g, input)})
def angle(k: Any, input: Any) -> Any:
    """The angle of each element in radians; of real numbers 0 or pi (negative), and NaN of NaN.

    Example::

        >>> import flambeau as torch
        >>> torch.angle(torch.tensor([1 + 1j, -2]))
        tensor([0.7854, 3.1416])
    """
    if k.is_complex(input):
        return k.atan2(k.imag(input), k.real(input))
    return k.where(input >= 0, 0.0, k.where(input < 0, math.pi, input))


def _angle_grad(g: Any, x: Any) -> Any:
    if not x._meta.dtype.is_complex:
        return no_gradient(g)
    return choose(x == 0, 0, g * 1j / x.conj())


def _check_parts(metas: tuple) -> None:
    found = [m.dtype for m in metas]
    if found[0] is not found[1] or found[0].category != dtypes.FLOAT:
        names = [errors.TYPE_NAMES[d.name] for d in found]
        raise RuntimeError(
            errors.explain(
                f"Expected both inputs to be Half, Float or Double tensors but got {names[0]} and {names[1]}",
                site=user_site(5),
            )
        )


@pointwise(
    out="exact",
    numbers=False,
    result=lambda d: d.to_complex(),
    check=_check_parts,
    method=False,
    gradient={
        "abs": lambda g, angle: g.real * angle.cos() + g.imag * angle.sin(),
        "angle": lambda g, abs, angle: abs * (g.imag * angle.cos() - g.real * angle.sin()),
    },
    snapshots=("abs", "angle"),
    saves=("out",),
)
def polar(k: Any, abs: Any, angle: Any) -> Any:
    """The complex numbers with modulus `abs` and angle `angle` (radians), real tensors of one dtype.

    Example::

        >>> import flambeau as torch
        >>> torch.polar(torch.tensor([2.]), torch.tensor([torch.pi / 2]))
        tensor([-8.7423e-08+2.j])
    """
    return k.complex(abs * k.cos(angle), abs * k.sin(angle))
