"""Bessel functions of the orders 0 and 1, and Airy's (`torch.special`; M. Abramowitz, I. Stegun, chapters 9 and 10)."""

from __future__ import annotations

from typing import Any

from flambeau._ops.pointwise import choose
from flambeau._ops.registry import composite
from flambeau._ops.special import special


@special(node_name="I0Backward0", gradient={"input": lambda g, input: g * i1(input)})
def i0(k: Any, input: Any) -> Any:
    """The modified Bessel function of the first kind, order 0.

    Example::

        >>> import flambeau as torch
        >>> torch.special.i0(torch.tensor([0., 1.]))
        tensor([1.0000, 1.2661])
    """
    return k.bessel_i0(input)


@composite(out="castable", overlap="same", name="i0", inplace=True)
def torch_i0(input: Any) -> Any:
    """The modified Bessel function of the first kind, order 0, as :func:`special.i0`.

    Example::

        >>> import flambeau as torch
        >>> torch.i0(torch.tensor([0., 1.]))
        tensor([1.0000, 1.2661])
    """
    return i0(input)


@special(gradient={"input": lambda g, input, out: g * (i1e(input) - input.sgn() * out)})
def i0e(k: Any, input: Any) -> Any:
    """exp(-|input|) i0(input), which does not overflow.

    Example::

        >>> import flambeau as torch
        >>> torch.special.i0e(torch.tensor([0., 1.]))
        tensor([1.0000, 0.4658])
    """
    return k.bessel_i0e(input)


@special(gradient={"input": lambda g, input, out: g * (i0(input) - _over(out, input))})
def i1(k: Any, input: Any) -> Any:
    """The modified Bessel function of the first kind, order 1.

    Example::

        >>> import flambeau as torch
        >>> torch.special.i1(torch.tensor([0., 1.]))
        tensor([0.0000, 0.5652])
    """
    return k.bessel_i1(input)


@special(gradient={"input": lambda g, input, out: g * (i0e(input) - out * input.sgn() - _over(out, input))})
def i1e(k: Any, input: Any) -> Any:
    """exp(-|input|) i1(input), which does not overflow.

    Example::

        >>> import flambeau as torch
        >>> torch.special.i1e(torch.tensor([0., 1.]))
        tensor([0.0000, 0.2079])
    """
    return k.bessel_i1e(input)


def _over(value: Any, x: Any) -> Any:
    """A function of order 1 over x, which is a half at 0."""
    return choose(x == 0, 0.5, value / x.masked_fill(x == 0, 1))


@special(gradient={"input": lambda g, input: g * modified_bessel_i1(input)})
def modified_bessel_i0(k: Any, input: Any) -> Any:
    """The modified Bessel function of the first kind, order 0.

    Example::

        >>> import flambeau as torch
        >>> torch.special.modified_bessel_i0(torch.tensor([0., 1.]))
        tensor([1.0000, 1.2661])
    """
    return k.bessel_i0(input)


@special(gradient={"input": lambda g, input, out: g * (modified_bessel_i0(input) - _over(out, input))})
def modified_bessel_i1(k: Any, input: Any) -> Any:
    """The modified Bessel function of the first kind, order 1.

    Example::

        >>> import flambeau as torch
        >>> torch.special.modified_bessel_i1(torch.tensor([0., 1.]))
        tensor([0.0000, 0.5652])
    """
    return k.bessel_i1(input)


@special(gradient={"input": lambda g, input: -g * modified_bessel_k1(input)})
def modified_bessel_k0(k: Any, input: Any) -> Any:
    """The modified Bessel function of the second kind, order 0, for positive elements (NaN of negative ones).

    Example::

        >>> import flambeau as torch
        >>> torch.special.modified_bessel_k0(torch.tensor([1., 2.]))
        tensor([0.4210, 0.1139])
    """
    return k.bessel_k0(input)


@special(gradient={"input": lambda g, input, out: -g * (modified_bessel_k0(input) + out / input)})
def modified_bessel_k1(k: Any, input: Any) -> Any:
    """The modified Bessel function of the second kind, order 1, for positive elements (NaN of negative ones).

    Example::

        >>> import flambeau as torch
        >>> torch.special.modified_bessel_k1(torch.tensor([1., 2.]))
        tensor([0.6019, 0.1399])
    """
    return k.bessel_k1(input)


@special(gradient={"x": lambda g, x, out: g * (out - scaled_modified_bessel_k1(x))})
def scaled_modified_bessel_k0(k: Any, x: Any) -> Any:
    """exp(x) modified_bessel_k0(x), which does not underflow.

    Example::

        >>> import flambeau as torch
        >>> torch.special.scaled_modified_bessel_k0(torch.tensor([1., 100.]))
        tensor([1.1445, 0.1252])
    """
    return k.bessel_k0e(x)


@special(gradient={"x": lambda g, x, out: g * (out - out / x - scaled_modified_bessel_k0(x))})
def scaled_modified_bessel_k1(k: Any, x: Any) -> Any:
    """exp(x) modified_bessel_k1(x), which does not underflow.

    Example::

        >>> import flambeau as torch
        >>> torch.special.scaled_modified_bessel_k1(torch.tensor([1., 100.]))
        tensor([1.6362, 0.1258])
    """
    return k.bessel_k1e(x)


@special(gradient={"input": lambda g, input: -g * bessel_j1(input)})
def bessel_j0(k: Any, input: Any) -> Any:
    """The Bessel function of the first kind, order 0.

    Example::

        >>> import flambeau as torch
        >>> torch.special.bessel_j0(torch.tensor([0., 1.]))
        tensor([1.0000, 0.7652])
    """
    return k.bessel_j0(input)


@special(gradient={"input": lambda g, input, out: g * (bessel_j0(input) - _over(out, input))})
def bessel_j1(k: Any, input: Any) -> Any:
    """The Bessel function of the first kind, order 1.

    Example::

        >>> import flambeau as torch
        >>> torch.special.bessel_j1(torch.tensor([0., 1.]))
        tensor([0.0000, 0.4401])
    """
    return k.bessel_j1(input)


@special(gradient={"input": lambda g, input: -g * bessel_y1(input)})
def bessel_y0(k: Any, input: Any) -> Any:
    """The Bessel function of the second kind, order 0, for positive elements (NaN of negative ones).

    Example::

        >>> import flambeau as torch
        >>> torch.special.bessel_y0(torch.tensor([1., 2.]))
        tensor([0.0883, 0.5104])
    """
    return k.bessel_y0(input)


@special(gradient={"input": lambda g, input, out: g * (bessel_y0(input) - out / input)})
def bessel_y1(k: Any, input: Any) -> Any:
    """The Bessel function of the second kind, order 1, for positive elements (NaN of negative ones).

    Example::

        >>> import flambeau as torch
        >>> torch.special.bessel_y1(torch.tensor([1., 2.]))
        tensor([-0.7812, -0.1070])
    """
    return k.bessel_y1(input)


@special(gradient={"x": lambda g, x, out: g * choose(x == 0, 0.0, (x.cos() - out) / x)})
def spherical_bessel_j0(k: Any, x: Any) -> Any:
    """sin(x) / x, the spherical Bessel function of the first kind, order 0.

    Example::

        >>> import flambeau as torch
        >>> torch.special.spherical_bessel_j0(torch.tensor([0., 1.]))
        tensor([1.0000, 0.8415])
    """
    return k.where(x == 0, 1.0, k.where(k.isinf(x), 0.0, k.sin(x) / x))


@special()
def airy_ai(k: Any, x: Any) -> Any:
    """Airy's function Ai, which oscillates on the left and vanishes quickly on the right. It has no gradient.

    Example::

        >>> import flambeau as torch
        >>> torch.special.airy_ai(torch.tensor([-1., 0., 1.]))
        tensor([0.5356, 0.3550, 0.1353])
    """
    return k.airy_ai(x)
