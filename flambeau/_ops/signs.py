"""Absolute values and signs."""

from __future__ import annotations

from typing import Any

from flambeau._core import errors
from flambeau._core.sites import user_site
from flambeau._ops.pointwise import choose, no_gradient
from flambeau._ops.registry import pointwise


@pointwise(
    out="exact",
    inplace=True,
    aliases=("absolute",),
    result="real",
    refuses=("bool",),
    gradient={"input": lambda g, input: g * input.sgn()},
)
def abs(k: Any, input: Any) -> Any:  # noqa: A001
    """The absolute value; of complex numbers the modulus, a real number. The gradient at 0 is 0.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([3 + 4j, -1]).abs(), torch.tensor([-2, 1]).abs()
        (tensor([5., 1.]), tensor([2, 1]))
    """
    return k.abs(input)


def _check_sign(metas: tuple) -> None:
    if metas[0].dtype.is_complex:
        raise NotImplementedError(
            errors.explain(
                "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use torch.sgn instead.",
                site=user_site(5),
            )
        )


@pointwise(out="exact", inplace=True, check=_check_sign, gradient={"input": lambda g: no_gradient(g)})
def sign(k: Any, input: Any) -> Any:
    """-1, 0 or 1, the sign of each element; NotImplementedError for complex tensors.

    Example::

        >>> import flambeau as torch
        >>> torch.sign(torch.tensor([0.5, 0., -3.]))
        tensor([ 1.,  0., -1.])
    """
    return k.sgn(input)


@pointwise(out="exact", inplace=True, gradient={"input": lambda g, input, out: _sgn_grad(g, input, out)})
def sgn(k: Any, input: Any) -> Any:
    """The sign; of complex numbers the number over its modulus, and 0 of 0.

    Example::

        >>> import flambeau as torch
        >>> torch.sgn(torch.tensor([3 + 4j, 0]))
        tensor([0.6000+0.8000j, 0.0000+0.0000j])
    """
    return k.sgn(input)


def _sgn_grad(g: Any, x: Any, out: Any) -> Any:
    if not x._meta.dtype.is_complex:
        return no_gradient(g)
    modulus = x.abs()
    return choose(modulus == 0, 0, (g - out * out * g.conj()) / (modulus * 2))


@pointwise(out="exact", result="bool", refuses=("complex",))
def signbit(k: Any, input: Any) -> Any:
    """Is the sign bit set? True for -0.0 too.

    Example::

        >>> import flambeau as torch
        >>> torch.signbit(torch.tensor([1., -0., -2.]))
        tensor([False,  True,  True])
    """
    return k.signbit(input) if k.is_float(input) else input < 0


@pointwise(
    numbers="later",
    inplace=True,
    result="float",
    refuses=("complex",),
    gradient={
        "input": lambda g, input, out: choose(input == 0, 0, g * out / input),
        "other": lambda g: no_gradient(g),
    },
)
def copysign(k: Any, input: Any, other: Any) -> Any:
    """The magnitude of `input` with the sign of `other`, that of -0.0 included.

    Example::

        >>> import flambeau as torch
        >>> torch.copysign(torch.tensor([1., -2.]), torch.tensor([-0., 3.]))
        tensor([-1.,  2.])
    """
    return k.copysign(input, other)


def _check_step(metas: tuple) -> None:
    found = [m.dtype for m in metas if hasattr(m, "dtype")]
    if found[0] is not found[-1]:
        raise RuntimeError(
            errors.explain(
                f"heaviside is not yet implemented for tensors with different dtypes: {found[0]} and {found[-1]}.",
                site=user_site(5),
            )
        )
    if found[0].is_complex:
        raise RuntimeError(errors.explain("heaviside is not yet implemented for complex tensors.", site=user_site(5)))


@pointwise(out="exact", numbers=False, inplace=True, check=_check_step)
def heaviside(k: Any, input: Any, values: Any) -> Any:
    """The unit step: 0 below zero, 1 above, `values` at zero. RuntimeError for different or complex dtypes.

    Example::

        >>> import flambeau as torch
        >>> torch.heaviside(torch.tensor([-1., 0., 2.]), torch.tensor([0.5]))
        tensor([0.0000, 0.5000, 1.0000])
    """
    return k.where(input == 0, values, k.where(input > 0, 1, 0))
