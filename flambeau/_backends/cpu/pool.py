"""Pooling over sliding windows and its gradients, as steps of a plan.

Shapes: images ((N,) C, *space) with one to three spatial dimensions, any strides; float32 and float64. Gradients and
codes (positions of maxima within their windows, uint8 or int32) are row-major.
"""

from __future__ import annotations

import math

from flambeau._backends.cpu.kernel import Address, Launch, Step
from flambeau._backends.cpu.pool_backward import backward_launch
from flambeau._backends.cpu.pool_forward import forward_launch
from flambeau._backends.cpu.pool_geometry import strides_of, windows_of
from flambeau._backends.cpu.target import Target
from flambeau._ir.meta import Meta

ELEMENTS = {"float32": "float", "float64": "double"}
CODES = {"uint8": "max8", "int32": "max32"}


def lower_max_pool(target: Target, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]) -> Step | None:
    """Maxima and codes. params: kernel, stride, padding, dilation, ceil_mode (which the output's size tells)."""
    kernel, stride, padding, dilation, _ = params
    (x,), (y, code) = inputs, outputs
    if not _supported(x, y) or not code.is_contiguous:
        return None
    windows = windows_of(x, y, kernel, stride, padding, dilation)
    at, to, codes = _places(x, y, code)
    n = len(kernel)
    launch = forward_launch(target, CODES[code.dtype.name], ELEMENTS[x.dtype.name], windows, at, strides_of(x, n), to,
                            strides_of(y, n), codes)  # fmt: skip
    return _step(launch, math.prod(kernel) * y.numel, x, y, code)


def lower_max_pool_place(target: Target, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]
                         ) -> Step | None:  # fmt: skip
    """The gradient of `lower_max_pool`. params: the input's shape, kernel, stride, padding, dilation, ceil_mode;
    inputs: the maxima's gradient, codes; output: the input's gradient."""
    _, kernel, stride, padding, dilation, _ = params
    (g, code), (x,) = inputs, outputs
    if not _supported(g, x) or not code.is_contiguous or not x.is_contiguous:
        return None
    windows = windows_of(x, g, kernel, stride, padding, dilation)
    at, codes, to = _places(g, code, x)
    launch = backward_launch(target, CODES[code.dtype.name], ELEMENTS[x.dtype.name], windows, to, at,
                             strides_of(g, len(kernel)), codes)  # fmt: skip
    return _step(launch, g.numel, g, code, x)


def lower_avg_pool(target: Target, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]) -> Step | None:
    """Averages. params: kernel, stride, padding, ceil_mode, include_pad, divisor."""
    kernel, stride, padding, _, include_pad, divisor = params
    (x,), (y,) = inputs, outputs
    if not _supported(x, y):
        return None
    n = len(kernel)
    windows = windows_of(x, y, kernel, stride, padding, (1,) * n)
    at, to = _places(x, y)
    launch = forward_launch(target, "average", ELEMENTS[x.dtype.name], windows, at, strides_of(x, n), to,
                            strides_of(y, n), 0, include_pad, divisor or 0)  # fmt: skip
    return _step(launch, math.prod(kernel) * y.numel, x, y)


def lower_avg_pool_backward(target: Target, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]
                            ) -> Step | None:  # fmt: skip
    """The gradient of `lower_avg_pool`. params: the input's shape, kernel, stride, padding, ceil_mode, include_pad,
    divisor; input: the averages' gradient; output: the input's."""
    _, kernel, stride, padding, _, include_pad, divisor = params
    (g,), (x,) = inputs, outputs
    if not _supported(g, x) or not x.is_contiguous:
        return None
    n = len(kernel)
    at, to = _places(g, x)
    windows = windows_of(x, g, kernel, stride, padding, (1,) * n)
    launch = backward_launch(target, "average", ELEMENTS[x.dtype.name], windows, to, at, strides_of(g, n), 0,
                             include_pad, divisor or 0)  # fmt: skip
    return _step(launch, math.prod(kernel) * g.numel, g, x)


def _supported(*metas: Meta) -> bool:
    dtype = metas[0].dtype.name
    return dtype in ELEMENTS and all(m.dtype.name == dtype and m.numel for m in metas)


def _places(*metas: Meta) -> list[Address]:
    return [Address(i, m.offset * m.dtype.itemsize) for i, m in enumerate(metas)]


def _step(launch: Launch | None, operations: int, *metas: Meta) -> Step | None:
    return None if launch is None else Step((launch,), 0, sum(m.nbytes for m in metas), operations)
