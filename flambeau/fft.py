"""Fourier transforms (`torch.fft`): every operation of the namespace in the op table, and the frequencies that belong
to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau import _api
from flambeau._api import operations
from flambeau._tensor import creation as _creation

globals().update(operations("fft"))


def fftfreq(n: int, d: float = 1.0, **kwargs: Any) -> Any:
    """The frequencies [0, 1, ..., (n - 1) // 2, -(n // 2), ..., -1] / (d * n) of the elements of `fft`; `d` is the step
    between samples.

    Keywords as of `torch.zeros` (dtype, device, requires_grad).

    Example::

        >>> import flambeau as torch
        >>> torch.fft.fftfreq(4)
        tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    positive, negative = _api.arange((n + 1) // 2), _api.arange(-(n // 2), 0)
    return _frequencies(_api.cat([positive, negative]), n, d, **kwargs)


def rfftfreq(n: int, d: float = 1.0, **kwargs: Any) -> Any:
    """The frequencies [0, 1, ..., n // 2] / (d * n) of the elements of `rfft`; `d` is the step between samples.

    Keywords as of `torch.zeros` (dtype, device, requires_grad).

    Example::

        >>> import flambeau as torch
        >>> torch.fft.rfftfreq(4)
        tensor([0.0000, 0.2500, 0.5000])
    """
    return _frequencies(_api.arange(n // 2 + 1), n, d, **kwargs)


def _frequencies(
    steps: Any,
    n: int,
    d: float,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    dtype = _creation.chosen_dtype("fftfreq", dtype, out, _api.get_default_dtype())
    return _creation.finish(steps.to(dtype) * (1.0 / (n * d)), requires_grad, device, out, "fftfreq")


__all__ = [
    name for name in globals() if name[0] != "_" and name not in ("annotations", "TYPE_CHECKING", "Any", "operations")
]

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...
