"""Window functions (`torch.signal.windows`): [M] numbers, symmetric, or with sym=False the first M of a symmetric
window of M + 1, which repeats without a seam.

All take `dtype` (float32 or float64, by default the default dtype), `layout`, `device` and `requires_grad`.
ValueError for a negative M or another dtype. Computed in float64. After Harris 1978, "On the use of windows for
harmonic analysis with the discrete Fourier transform".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from flambeau import _api as torch
from flambeau._core.homes import absent

__all__ = [
    "bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine", "general_hamming", "hamming", "hann",
    "kaiser", "nuttall",
]  # fmt: skip


def _window(
    formula: Callable[[Any, int], Any],
    M: int,  # noqa: N803
    sym: bool,
    dtype: Any = None,
    layout: Any = torch.strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """`formula(positions, last position)` in `dtype`."""
    d = torch.get_default_dtype() if dtype is None else dtype
    if M < 0:
        raise ValueError(f"a window must have a non-negative length, but M={M}")
    if layout is not torch.strided:
        raise ValueError(f"windows are strided tensors, got: {layout}")
    if d not in (torch.float32, torch.float64):
        raise ValueError(f"windows have float32 or float64 dtypes, got: {d}")
    if M == 0:
        return torch.empty(0, dtype=d, device=device, requires_grad=requires_grad)
    positions = torch.arange(M, dtype=torch.float64, device=device)
    return formula(positions, M - 1 if sym or M == 1 else M).to(d).requires_grad_(requires_grad)


def general_cosine(M: int, *, a: Iterable[float], sym: bool = True, **options: Any) -> Any:  # noqa: N803
    """a0 - a1 cos(t) + a2 cos(2 t) - ... for t from 0 to 2 pi; TypeError unless `a` is a sequence, ValueError for an
    empty one.

    Example::

        >>> general_cosine(3, a=[0.5, 0.5])
        tensor([0., 1., 0.])
    """
    if not isinstance(a, Iterable):
        raise TypeError("Coefficients must be a list/tuple")
    weights = list(a)
    if not weights:
        raise ValueError("Coefficients cannot be empty")

    def formula(k: Any, last: int) -> Any:
        total = torch.zeros_like(k)
        for i, weight in enumerate(weights):
            total = total + (-1) ** i * weight * (k * (2 * math.pi * i / max(last, 1))).cos()
        return total if last else torch.ones_like(k)

    return _window(formula, M, sym, **options)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, **options: Any) -> Any:  # noqa: N803
    """alpha - (1 - alpha) cos(t).

    Example::

        >>> general_hamming(3, alpha=0.5)
        tensor([0., 1., 0.])
    """
    return general_cosine(M, a=[alpha, 1 - alpha], sym=sym, **options)


def hamming(M: int, *, sym: bool = True, **options: Any) -> Any:  # noqa: N803
    """0.54 - 0.46 cos(t).

    Example::

        >>> hamming(3)
        tensor([0.0800, 1.0000, 0.0800])
    """
    return general_hamming(M, sym=sym, **options)


def hann(M: int, *, sym: bool = True, **options: Any) -> Any:  # noqa: N803
    """0.5 - 0.5 cos(t).

    Example::

        >>> hann(4, sym=False)
        tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return general_hamming(M, alpha=0.5, sym=sym, **options)


def blackman(M: int, *, sym: bool = True, **options: Any) -> Any:  # noqa: N803
    """0.42 - 0.5 cos(t) + 0.08 cos(2 t).

    Example::

        >>> blackman(3).abs().round(decimals=4)
        tensor([0., 1., 0.])
    """
    return general_cosine(M, a=[0.42, 0.5, 0.08], sym=sym, **options)


def nuttall(M: int, *, sym: bool = True, **options: Any) -> Any:  # noqa: N803
    """The four-term cosine window with minimal side lobes (Nuttall 1981).

    Example::

        >>> nuttall(3)
        tensor([3.6280e-04, 1.0000e+00, 3.6280e-04])
    """
    return general_cosine(M, a=[0.3635819, 0.4891775, 0.1365995, 0.0106411], sym=sym, **options)


def bartlett(M: int, *, sym: bool = True, **options: Any) -> Any:  # noqa: N803
    """A triangle from 0 to 1 and back.

    Example::

        >>> bartlett(3)
        tensor([0., 1., 0.])
    """

    def formula(k: Any, last: int) -> Any:
        return 1 - (k * (2 / last) - 1).abs() if last else torch.ones_like(k)

    return _window(formula, M, sym, **options)


def cosine(M: int, *, sym: bool = True, **options: Any) -> Any:  # noqa: N803
    """sin(pi (k + 1/2) / n), half a period.

    Example::

        >>> cosine(2)
        tensor([0.7071, 0.7071])
    """
    return _window(lambda k, last: ((k + 0.5) * (math.pi / (last + 1))).sin(), M, sym, **options)


def exponential(
    M: int,
    *,
    center: float | None = None,
    tau: float = 1.0,
    sym: bool = True,
    **options: Any,  # noqa: N803
) -> Any:
    """exp(-|k - center| / tau), around the middle unless `center` is given, which a symmetric window cannot have.
    ValueError for tau <= 0.

    Example::

        >>> exponential(3)
        tensor([0.3679, 1.0000, 0.3679])
    """
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")

    def formula(k: Any, last: int) -> Any:
        return (-(k - (last / 2 if center is None else center)).abs() / tau).exp()

    return _window(formula, M, sym, **options)


def gaussian(M: int, *, std: float = 1.0, sym: bool = True, **options: Any) -> Any:  # noqa: N803
    """exp(-((k - middle) / std)^2 / 2); ValueError for std <= 0.

    Example::

        >>> gaussian(3)
        tensor([0.6065, 1.0000, 0.6065])
    """
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    return _window(lambda k, last: (-0.5 * ((k - last / 2) / std) ** 2).exp(), M, sym, **options)


def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, **options: Any) -> Any:  # noqa: N803
    """I0(beta sqrt(1 - t^2)) / I0(beta) for t from -1 to 1 (Kaiser 1974); ValueError for a negative beta.

    Example::

        >>> kaiser(3, beta=0.)
        tensor([1., 1., 1.])
    """
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")

    def formula(k: Any, last: int) -> Any:
        t = k * (2 / last) - 1 if last else torch.zeros_like(k)
        return torch.i0((1 - t * t).clamp(min=0).sqrt() * beta) / torch.i0(torch.full_like(t, beta))

    return _window(formula, M, sym, **options)

__getattr__ = absent("torch.signal.windows")
