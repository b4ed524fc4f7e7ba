"""Resizing images: nearest neighbours, linear, cubic and Lanczos interpolation, antialiased or not, and area means."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core import errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops import _expand_windows
from flambeau._ops._separable import Taps, apply, apply_to_bytes
from flambeau._ops._spatial import BYTE, Sizes, check_dtype, image_layout, widened
from flambeau._ops.arguments import check_tensor
from flambeau._ops.pool_adaptive import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from flambeau._ops.registry import composite, library
from flambeau._ops.strided import INTERNAL

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

Scales = tuple[float | None, ...]

# mode -> (number of spatial dimensions, or 0 for any; kind of taps)
_MODES = {
    "nearest": (0, "nearest"),
    "nearest-exact": (0, "nearest-exact"),
    "area": (0, "area"),
    "linear": (1, "linear"),
    "bilinear": (2, "linear"),
    "trilinear": (3, "linear"),
    "bicubic": (2, "cubic"),
    "lanczos": (2, "lanczos"),
}


# ---------------------------------------------------------------------------------------------- taps


def _step(n: int, out: int, align: bool, scale: float | None) -> float:
    """Input elements from one output to the next."""
    if align:
        return (n - 1) / (out - 1) if out > 1 else 0.0
    return 1.0 / scale if scale is not None and scale > 0 else n / out


@functools.lru_cache(maxsize=256)
def _taps(kind: str, n: int, out: int, align: bool, scale: float | None, double: bool) -> Taps:
    """The taps of one dimension from `n` to `out` elements."""
    real: Any = np.float64 if double else np.float32
    i: Any = np.arange(out, dtype=real)
    step = real(_step(n, out, align, scale))
    if kind in ("nearest", "nearest-exact"):
        source = i * step if kind == "nearest" else (i + real(0.5)) * step
        return Taps(np.minimum(np.floor(source).astype(np.intp), n - 1)[:, None], None, n)
    if kind.startswith("smooth"):
        return _smooth_taps(kind.removeprefix("smooth "), n, out, float(step))
    source = i * step if align else (i + real(0.5)) * step - real(0.5)
    if kind == "linear":
        source = np.maximum(source, 0)
    base = np.floor(source)
    t = (source - base).astype(np.float64)
    if kind == "linear":
        offsets, weight = np.arange(2), np.stack([1 - t, t], 1)
    else:
        offsets, weight = np.arange(-1, 3), cubic_weights(t)
    return Taps(np.clip(base.astype(np.intp)[:, None] + offsets, 0, n - 1), weight, n)


def cubic_weights(t: Any) -> Any:
    """Weights of the four neighbours of a point at `t` in [0, 1) behind the second.

    Source: R. Keys, Cubic convolution interpolation for digital image processing, 1981, with a = -0.75.
    """
    return np.stack([_cubic(np.abs(t - offset), -0.75) for offset in (-1, 0, 1, 2)], -1)


def _cubic(x: Any, a: float) -> Any:
    """Keys' kernel at the distance `x`."""
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _lanczos(x: Any) -> Any:
    """sinc(x) sinc(x / 3) within 3 of the centre."""
    return np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


# kind -> (half width in input elements at scale 1, kernel of the distance)
_FILTERS: dict[str, tuple[float, Callable[[Any], Any]]] = {
    "linear": (1.0, lambda x: np.maximum(1 - x, 0.0)),
    "cubic": (2.0, lambda x: _cubic(x, -0.5)),
    "lanczos": (3.0, _lanczos),
}


def _smooth_taps(kind: str, n: int, out: int, step: float) -> Taps:
    """Antialiased taps: when shrinking, the kernel is as much wider as the output is coarser (as Pillow does)."""
    half, kernel = _FILTERS[kind]
    widening = max(step, 1.0)
    centre = step * (np.arange(out) + 0.5)
    first = np.maximum((centre - half * widening + 0.5).astype(np.intp), 0)
    end = np.minimum((centre + half * widening + 0.5).astype(np.intp), n)
    index = first[:, None] + np.arange(int((end - first).max(initial=1)))
    weight = np.where(index < end[:, None], kernel(np.abs(index - centre[:, None] + 0.5) / widening), 0.0)
    return Taps(np.minimum(index, end[:, None] - 1), weight / weight.sum(1, keepdims=True), n)


def _all_taps(shape: Sequence[int], size: Sizes, kind: str, align: bool, scales: Scales, double: bool) -> list[Taps]:
    return [
        _taps(kind, n, out, align, scale, double)
        for n, out, scale in zip(shape[-len(size) :], size, scales, strict=True)
    ]


# -------------------------------------------------------------------------------- the operation and its transpose


def _infer(m: Meta, size: Sizes, kind: str, align: bool, scales: Scales) -> Meta:
    check_dtype(m.dtype, "interpolate", *BYTE)
    spatial = tuple(m.shape[2:])
    if min(size) <= 0 or 0 in spatial:
        raise RuntimeError(
            errors.explain(
                f"Input and output sizes should be greater than 0, but got input {spatial} and output {size}",
                site=user_site(3),
            )
        )
    if 0 in m.shape[1:]:
        raise RuntimeError(f"Non-empty {m.ndim}D data tensor expected but got a tensor with sizes {list(m.shape)}")
    return image_layout(m.dtype, (*m.shape[:2], *size), m)


def _steps(x: Any, shape: Sequence[int], size: Sizes, align: bool, scales: Scales) -> list[float]:
    """Input elements from one output to the next in each dimension, in the precision of positions."""
    real: Any = np.float64 if x.dtype.itemsize == 8 else np.float32
    space = zip(shape[-len(size) :], size, scales, strict=True)
    return [float(real(_step(n, out, align, scale))) for n, out, scale in space]


# The nodes' names, as PyTorch has an operation for each way and number of dimensions.
_NODE_STEMS = {
    "nearest": ["UpsampleNearest"] * 3,
    "nearest-exact": ["UpsampleNearestExact"] * 3,
    "linear": ["UpsampleLinear", "UpsampleBilinear", "UpsampleTrilinear"],
    "cubic": ["", "UpsampleBicubic", ""],
}


@library(
    node_name=lambda m, size, kind, *_: f"{_NODE_STEMS[kind][len(size) - 1]}{len(size)}DBackward0",
    expand=lambda c, x, size, kind, align, scales: _expand_windows.resample(
        c, x, size, kind, align, _steps(x, x.shape, size, align, scales)
    ),
    category="window",
    **INTERNAL,
    infer=_infer,
    gradient={
        "input": lambda g, input_meta, size, kind, align, scales: resample_backward(
            g, tuple(input_meta.shape), size, kind, align, scales
        )
    },
)
def resample(input: Any, size: Sizes, kind: str, align: bool, scales: Scales) -> Any:
    """`input` (N, C, *space) interpolated to the spatial sizes `size`."""
    double = input.dtype.itemsize == 8 or (input.dtype == np.uint8 and kind[:7] != "nearest")
    taps = _all_taps(input.shape, size, kind, align, scales, double)
    if taps[0].weight is None:
        return apply(input, taps)
    return apply_to_bytes(input, taps) if input.dtype == np.uint8 else apply(widened(input), taps)


@library(
    expand=lambda c, g, shape, size, kind, align, scales: _expand_windows.resample_backward(
        c, g, shape, size, kind, align, _steps(g, shape, size, align, scales)
    ),
    category="window",
    **INTERNAL,
    infer=lambda g, shape, size, kind, align, scales: contiguous(g.dtype, shape),
    gradient={"grad": lambda g, size, kind, align, scales: resample(g, size, kind, align, scales)},
)
def resample_backward(grad: Any, shape: Sizes, size: Sizes, kind: str, align: bool, scales: Scales) -> Any:
    """The transpose of `resample`, to an input of the given shape."""
    taps = _all_taps(shape, size, kind, align, scales, grad.dtype.itemsize == 8)
    return apply(widened(grad), [t.transposed() for t in taps])


# ---------------------------------------------------------------------------------------------- the public functions


def _sizes(input: Any, size: Any, scale_factor: Any) -> tuple[Sizes, Scales]:
    """The output's spatial sizes, and the scale of each dimension if scales were given."""
    n = input.dim() - 2
    spatial = list(input.shape[2:])
    if (size is None) == (scale_factor is None):
        raise ValueError(
            "either size or scale_factor should be defined"
            if size is None
            else "only one of size or scale_factor should be defined"
        )
    given = size if scale_factor is None else scale_factor
    name = "output size of" if scale_factor is None else "scale_factor of shape"
    numbers = tuple(given) if isinstance(given, (tuple, list)) else (given,) * n
    if len(numbers) != n:
        raise ValueError(
            errors.explain(
                f"Input and {name.split()[0]} must have the same number of spatial dimensions, but got input with "
                f"spatial dimensions of "
                f"{spatial} and {name} {given}.",
                hint="input is (N, C, d1, d2, ..., dK), the sizes are (o1, ..., oK)",
                site=user_site(3),
            )
        )
    if scale_factor is None:
        return tuple([int(o) for o in numbers]), (None,) * n
    scales = tuple([float(s) for s in numbers])
    return tuple([math.floor(extent * s) for extent, s in zip(spatial, scales, strict=True)]), scales


def _kind(input: Any, mode: str, align_corners: bool | None, antialias: bool) -> str:
    """The kind of taps that `mode` asks for; the user's errors."""
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | "
                "trilinear"
            )
    if antialias and (mode not in ("bilinear", "bicubic", "lanczos") or input.dim() != 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a 4-D tensor as input"
        )
    if mode not in _MODES or not 3 <= input.dim() <= 5:
        raise NotImplementedError(
            errors.explain(
                f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {input.dim()}D) for the modes: "
                f"nearest | linear | bilinear | "
                f"bicubic | trilinear | lanczos | area | nearest-exact (got {mode})",
                site=user_site(3),
            )
        )
    n, kind = _MODES[mode]
    if n and n != input.dim() - 2:
        raise NotImplementedError(f"Got {input.dim()}D input, but {mode} mode needs {n + 2}D input")
    if mode == "lanczos" and (align_corners or not antialias):
        raise ValueError(
            "Lanczos mode does not support align_corners=True"
            if align_corners
            else "Lanczos mode requires antialias=True"
        )
    return f"smooth {kind}" if antialias else kind


@composite(namespace="nn.functional", method=False)
def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """`input` (N, C, *space) resized to the spatial sizes `size` or by `scale_factor` (one number or one a dimension).

    Modes: 'nearest', 'nearest-exact', 'area' (means of even bins) for 1 to 3 spatial dimensions; 'linear' for 1,
    'bilinear', 'bicubic' and 'lanczos' (with `antialias` only) for 2, 'trilinear' for 3. `align_corners` puts the
    corner elements, instead of their outer edges, at the same place. `recompute_scale_factor` uses the ratio of the
    sizes instead of the given scale. `antialias` widens the kernel when shrinking. ValueError or NotImplementedError
    for combinations that have no meaning.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.interpolate(torch.tensor([[[1., 2.]]]), scale_factor=2)
        tensor([[[1., 1., 2., 2.]]])
        >>> torch.nn.functional.interpolate(torch.tensor([[[0., 4.]]]), size=5, mode="linear", align_corners=True)
        tensor([[[0., 1., 2., 3., 4.]]])
    """
    check_tensor(input, "interpolate")
    kind = _kind(input, mode, align_corners, antialias)
    out, scales = _sizes(input, size, scale_factor)
    if recompute_scale_factor and size is not None:
        raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
    if kind == "area":
        return (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[input.dim() - 3](input, out)
    if recompute_scale_factor:
        scales = (None,) * len(out)
    return resample(input, out, kind, bool(align_corners), scales)


@composite(namespace="nn.functional", method=False)
def upsample(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Any:
    """The former name of `interpolate`.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.interpolate(torch.ones(1, 1, 2), scale_factor=2).shape
        torch.Size([1, 1, 4])
    """
    warnings.warn("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=3)
    return interpolate(input, size, scale_factor, mode, align_corners)


@composite(namespace="nn.functional", method=False)
def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """The former name of `interpolate(..., mode="nearest")`."""
    warnings.warn(
        "`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=3
    )
    return interpolate(input, size, scale_factor, "nearest")


@composite(namespace="nn.functional", method=False)
def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """The former name of `interpolate(..., mode="bilinear", align_corners=True)`."""
    warnings.warn(
        "`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=3
    )
    return interpolate(input, size, scale_factor, "bilinear", True)
