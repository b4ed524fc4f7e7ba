"""Orthogonal polynomials (`torch.special`; M. Abramowitz, I. Stegun, chapter 22): their values, without gradients."""

from __future__ import annotations

from typing import Any

from flambeau._ops.special import special


@special()
def chebyshev_polynomial_t(k: Any, x: Any, n: Any) -> Any:
    """Chebyshev's polynomial of the first kind, T_n(cos t) = cos(n t).

    Example::

        >>> import flambeau as torch
        >>> torch.special.chebyshev_polynomial_t(torch.tensor([0.5, 0.25]), torch.tensor([2, 3]))
        tensor([-0.5000, -0.6875])
    """
    return k.polynomial("chebyshev_t", x, n)


@special()
def chebyshev_polynomial_u(k: Any, x: Any, n: Any) -> Any:
    """Chebyshev's polynomial of the second kind, U_n(cos t) = sin((n + 1) t) / sin(t).

    Example::

        >>> import flambeau as torch
        >>> torch.special.chebyshev_polynomial_u(torch.tensor([0.5, 0.25]), torch.tensor([2, 3]))
        tensor([ 0.0000, -0.8750])
    """
    return k.polynomial("chebyshev_u", x, n)


@special()
def chebyshev_polynomial_v(k: Any, x: Any, n: Any) -> Any:
    """Chebyshev's polynomial of the third kind, V_n(cos t) = cos((n + 1/2) t) / cos(t / 2).

    Example::

        >>> import flambeau as torch
        >>> torch.special.chebyshev_polynomial_v(torch.tensor([0.5, 0.25]), torch.tensor([2, 3]))
        tensor([-1.0000, -0.1250])
    """
    return k.polynomial("chebyshev_v", x, n)


@special()
def chebyshev_polynomial_w(k: Any, x: Any, n: Any) -> Any:
    """Chebyshev's polynomial of the fourth kind, W_n(cos t) = sin((n + 1/2) t) / sin(t / 2).

    Example::

        >>> import flambeau as torch
        >>> torch.special.chebyshev_polynomial_w(torch.tensor([0.5, 0.25]), torch.tensor([2, 3]))
        tensor([ 1.0000, -1.6250])
    """
    return k.polynomial("chebyshev_w", x, n)


@special()
def shifted_chebyshev_polynomial_t(k: Any, x: Any, n: Any) -> Any:
    """Chebyshev's polynomial of the first kind for the interval [0, 1]: T_n(2 x - 1).

    Example::

        >>> import flambeau as torch
        >>> torch.special.shifted_chebyshev_polynomial_t(torch.tensor([0.5, 0.25]), torch.tensor([2, 3]))
        tensor([-1.,  1.])
    """
    return k.polynomial("chebyshev_t", 2 * x - 1, n)


@special()
def shifted_chebyshev_polynomial_u(k: Any, x: Any, n: Any) -> Any:
    """Chebyshev's polynomial of the second kind for the interval [0, 1]: U_n(2 x - 1).

    Example::

        >>> import flambeau as torch
        >>> torch.special.shifted_chebyshev_polynomial_u(torch.tensor([0.5, 0.25]), torch.tensor([2, 3]))
        tensor([-1.,  1.])
    """
    return k.polynomial("chebyshev_u", 2 * x - 1, n)


@special()
def shifted_chebyshev_polynomial_v(k: Any, x: Any, n: Any) -> Any:
    """Chebyshev's polynomial of the third kind for the interval [0, 1]: V_n(2 x - 1).

    Example::

        >>> import flambeau as torch
        >>> torch.special.shifted_chebyshev_polynomial_v(torch.tensor([0.5, 0.25]), torch.tensor([2, 3]))
        tensor([-1.,  1.])
    """
    return k.polynomial("chebyshev_v", 2 * x - 1, n)


@special()
def shifted_chebyshev_polynomial_w(k: Any, x: Any, n: Any) -> Any:
    """Chebyshev's polynomial of the fourth kind for the interval [0, 1]: W_n(2 x - 1).

    Example::

        >>> import flambeau as torch
        >>> torch.special.shifted_chebyshev_polynomial_w(torch.tensor([0.5, 0.25]), torch.tensor([2, 3]))
        tensor([-1.,  1.])
    """
    return k.polynomial("chebyshev_w", 2 * x - 1, n)


@special()
def hermite_polynomial_h(k: Any, x: Any, n: Any) -> Any:
    """The physicists' Hermite polynomial H_n, orthogonal under exp(-x^2).

    Example::

        >>> import flambeau as torch
        >>> torch.special.hermite_polynomial_h(torch.tensor([0.5, 0.25]), torch.tensor([2, 3]))
        tensor([-1.0000, -2.8750])
    """
    return k.polynomial("hermite_h", x, n)


@special()
def hermite_polynomial_he(k: Any, x: Any, n: Any) -> Any:
    """The probabilists' Hermite polynomial He_n, orthogonal under exp(-x^2 / 2).

    Example::

        >>> import flambeau as torch
        >>> torch.special.hermite_polynomial_he(torch.tensor([0.5, 0.25]), torch.tensor([2, 3]))
        tensor([-0.7500, -0.7344])
    """
    return k.polynomial("hermite_he", x, n)


@special()
def laguerre_polynomial_l(k: Any, x: Any, n: Any) -> Any:
    """Laguerre's polynomial L_n, orthogonal under exp(-x) on [0, inf).

    Example::

        >>> import flambeau as torch
        >>> torch.special.laguerre_polynomial_l(torch.tensor([0.5, 0.25]), torch.tensor([2, 3]))
        tensor([0.1250, 0.3411])
    """
    return k.polynomial("laguerre_l", x, n)


@special()
def legendre_polynomial_p(k: Any, x: Any, n: Any) -> Any:
    """Legendre's polynomial P_n, orthogonal on [-1, 1].

    Example::

        >>> import flambeau as torch
        >>> torch.special.legendre_polynomial_p(torch.tensor([0.5, 0.25]), torch.tensor([2, 3]))
        tensor([-0.1250, -0.3359])
    """
    return k.polynomial("legendre_p", x, n)
