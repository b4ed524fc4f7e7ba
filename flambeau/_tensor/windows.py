"""Window functions for the analysis of signals: `torch.hann_window` and its family.

A periodic window of n points is the symmetric one of n + 1 points without its last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from flambeau._core import dtypes
from flambeau._ops.bessel import torch_i0
from flambeau._tensor.creation import arange, finish, ones


def _window(
    formula: Callable[[Any, int], Any],
    length: int,
    periodic: bool,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """`formula(positions, last position)`, computed in float64; a window of one point is 1."""
    d = dtypes.get_default_dtype() if dtype is None else dtype
    if length < 0:
        raise RuntimeError(f"window_length must be non-negative, but it is {length}")
    if d.category != dtypes.FLOAT:
        raise RuntimeError(f"window functions expect floating point dtypes, got: {d}")
    if length <= 1:
        return finish(ones(length, dtype=d), requires_grad, device)
    positions = arange(length, dtype=dtypes.float64)
    return finish(formula(positions, length if periodic else length - 1).to(d), requires_grad, device)


def _cosines(coefficients: Sequence[float]) -> Callable[[Any, int], Any]:
    """a0 - a1 cos(t) + a2 cos(2 t) over one period."""

    def formula(k: Any, last: int) -> Any:
        return sum((-1) ** i * a * (k * (2 * math.pi * i / last)).cos() for i, a in enumerate(coefficients))

    return formula


def hann_window(window_length: int, periodic: bool = True, **kwargs: Any) -> Any:
    """Half a cosine period lifted to [0, 1], [window_length]; keywords as of `torch.zeros` (floating-point dtypes
    only).

    Example::

        >>> import flambeau as torch
        >>> torch.hann_window(4)
        tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return _window(_cosines((0.5, 0.5)), window_length, periodic, **kwargs)


def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, **kwargs: Any
) -> Any:
    """alpha - beta cos(t), [window_length]; keywords as of `torch.zeros` (floating-point dtypes only).

    Example::

        >>> import flambeau as torch
        >>> torch.hamming_window(4)
        tensor([0.0800, 0.5400, 1.0000, 0.5400])
    """
    return _window(_cosines((alpha, beta)), window_length, periodic, **kwargs)


def blackman_window(window_length: int, periodic: bool = True, **kwargs: Any) -> Any:
    """0.42 - 0.5 cos(t) + 0.08 cos(2 t), [window_length]; keywords as of `torch.zeros` (floating-point dtypes only).

    Example::

        >>> import flambeau as torch
        >>> torch.blackman_window(4).abs().round(decimals=4)
        tensor([0.0000, 0.3400, 1.0000, 0.3400])
    """
    return _window(_cosines((0.42, 0.5, 0.08)), window_length, periodic, **kwargs)


def bartlett_window(window_length: int, periodic: bool = True, **kwargs: Any) -> Any:
    """A triangle, [window_length]; keywords as of `torch.zeros` (floating-point dtypes only).

    Example::

        >>> import flambeau as torch
        >>> torch.bartlett_window(4)
        tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return _window(lambda k, last: 1 - (k * (2 / last) - 1).abs(), window_length, periodic, **kwargs)


def kaiser_window(window_length: int, periodic: bool = True, beta: float = 12.0, **kwargs: Any) -> Any:
    """I0(beta sqrt(1 - t^2)) / I0(beta) for t from -1 to 1 (Kaiser 1974); keywords as of `torch.zeros` (floating-point
    dtypes only).

    Example::

        >>> import flambeau as torch
        >>> torch.kaiser_window(3, periodic=False, beta=0.)
        tensor([1., 1., 1.])
    """

    def formula(k: Any, last: int) -> Any:
        t = k * (2 / last) - 1
        return torch_i0((1 - t * t).clamp(min=0).sqrt() * beta) / torch_i0(t.new_tensor(float(beta)))

    return _window(formula, window_length, periodic, **kwargs)


FUNCTIONS = (hann_window, hamming_window, blackman_window, bartlett_window, kaiser_window)
