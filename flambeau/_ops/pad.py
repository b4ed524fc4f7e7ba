"""Padding: with a constant, by reflection, by repeating the border, or around in a circle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core import errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir.meta import contiguous
from flambeau._ops import _expand_places
from flambeau._ops._separable import Taps, apply
from flambeau._ops._spatial import Sizes, image_layout, widened
from flambeau._ops.arguments import check_tensor
from flambeau._ops.rearrange import constant_pad_nd
from flambeau._ops.registry import composite, library
from flambeau._ops.strided import INTERNAL

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


def _pairs(padding: Sizes, ndim: int) -> list[tuple[int, int]]:
    """(front, behind) of every dimension, in order; `padding` starts with the last dimension."""
    given = list(zip(padding[::2], padding[1::2], strict=True))
    return [(0, 0)] * (ndim - len(given)) + given[::-1]


def _padded_shape(shape: Sequence[int], padding: Sizes) -> tuple[int, ...]:
    return tuple([n + a + b for n, (a, b) in zip(shape, _pairs(padding, len(shape)), strict=True)])


_MODES = ("reflect", "replicate", "circular")


def _positions(mode: str, n: int, front: int, behind: int) -> np.ndarray:
    """Which of `n` elements stands at each padded position."""
    at = np.arange(-front, n + behind)
    if mode == "reflect":
        at = np.abs(at)
        return np.minimum(at, 2 * (n - 1) - at)
    if mode == "replicate":
        return at.clip(0, n - 1)
    first, count = max(-front, 0), n - max(-front, 0) - max(-behind, 0)  # what negative padding leaves goes in circles
    return first + (at - first) % count


def _taps(mode: str, shape: Sequence[int], padding: Sizes) -> list[Taps]:
    spatial = len(padding) // 2
    pairs = _pairs(padding, len(shape))[-spatial:]
    return [
        Taps(_positions(mode, n, a, b)[:, None], None, n) for n, (a, b) in zip(shape[-spatial:], pairs, strict=True)
    ]


def _rims(mode: str, shape: Sequence[int], padding: Sizes) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """For each padded dimension, the innermost first: (position in the rim, position it repeats)."""
    for dim, (n, (front, behind)) in reversed(list(enumerate(zip(shape, _pairs(padding, len(shape)), strict=True)))):
        if front or behind:
            at = _positions(mode, n, front, behind) + front
            yield dim, [(i, int(at[i])) for i in (*range(front), *range(front + n, front + n + behind))]


def _inside(shape: Sequence[int], padding: Sizes) -> tuple[slice, ...]:
    return tuple([slice(a, a + n) for n, (a, _) in zip(shape, _pairs(padding, len(shape)), strict=True)])


def _extended(x: np.ndarray, padding: Sizes, mode: str) -> np.ndarray:
    """Padding without cutting: copy the whole, then the rim line by line."""
    out = np.empty(_padded_shape(x.shape, padding), x.dtype)
    out[_inside(x.shape, padding)] = x
    for dim, rim in _rims(mode, x.shape, padding):
        lines = np.moveaxis(out, dim, 0)
        for to, source in rim:
            lines[to] = lines[source]
    return out


def _folded_back(g: np.ndarray, shape: Sequence[int], padding: Sizes, mode: str) -> np.ndarray:
    """The transpose of `_extended`: add each line of the rim to the line it repeated, the outermost dimension first."""
    g = g.copy()
    for dim, rim in reversed(list(_rims(mode, shape, padding))):
        lines = np.moveaxis(g, dim, 0)
        for to, source in rim:
            lines[source] += lines[to]
    return g[_inside(shape, padding)]


_PAD_NAMES = {"reflect": "ReflectionPad", "replicate": "ReplicationPad", "circular": "CircularPad"}  # of nodes


@library(
    node_name=lambda m, padding, mode: f"{_PAD_NAMES[mode]}{len(padding) // 2}DBackward0",
    expand=_expand_places.repeated_pad,
    category="view",
    **INTERNAL,
    infer=lambda m, padding, mode: image_layout(m.dtype, _padded_shape(m.shape, padding), m),
    gradient={
        "input": lambda g, input_meta, padding, mode: repeated_pad_backward(g, tuple(input_meta.shape), padding, mode)
    },
    saves=lambda m, padding, mode: ("input",) if mode != "circular" else (),
)
def repeated_pad(input: Any, padding: Sizes, mode: str) -> Any:
    """`input` padded with its own elements."""
    if min(padding) >= 0:
        return _extended(input, padding, mode)
    return apply(input, _taps(mode, input.shape, padding))


@library(
    expand=_expand_places.repeated_pad_backward,
    category="view",
    **INTERNAL,
    infer=lambda m, shape, padding, mode: contiguous(m.dtype, shape),
    gradient={"grad": lambda g, padding, mode: repeated_pad(g, padding, mode)},
)
def repeated_pad_backward(grad: Any, shape: Sizes, padding: Sizes, mode: str) -> Any:
    """The transpose of `repeated_pad`: every element collects what flows to its copies."""
    if min(padding) >= 0:
        return _folded_back(widened(grad), shape, padding, mode)
    return apply(widened(grad), [taps.transposed() for taps in _taps(mode, shape, padding)])


def _check_repeated(input: Any, padding: Sizes, mode: str) -> None:
    shape = list(input.shape)
    spatial = len(padding) // 2
    if not 1 <= spatial <= 3 or input.dim() not in (spatial + 1, spatial + 2):
        raise NotImplementedError(
            errors.explain(
                f"Padding size {len(padding)} is not supported for {input.dim()}D input tensor.",
                hint=f"'{mode}' pads the last 1, 2 or 3 dimensions of (N, C, ...) or (C, ...); 'constant' pads any",
                site=user_site(3),
            )
        )
    for i, (a, b) in enumerate(_pairs(padding, len(shape))):
        n = shape[i]
        if mode == "reflect" and max(a, b) >= n > 0 and (a or b):
            raise RuntimeError(
                errors.explain(
                    f"Padding size should be less than the corresponding input dimension, but got: padding ({a}, "
                    f"{b}) at dimension {i} "
                    f"of input {shape}",
                    site=user_site(3),
                )
            )
        if mode == "circular" and max(a, b) > n:
            raise RuntimeError(
                errors.explain(
                    f"Padding value causes wrapping around more than once: ({a}, {b}) at dimension {i} of input "
                    f"{shape}",
                    site=user_site(3),
                )
            )
        if n + a + b < 1 and (a or b):
            raise RuntimeError(
                errors.explain(
                    f"padding ({a}, {b}) leaves nothing of dimension {i} of input {shape}", site=user_site(3)
                )
            )
    if 0 in shape[-spatial - 1 :]:
        raise RuntimeError(
            f"Expected a tensor with non-zero dimensions beside the batch for padding '{mode}', but got: {shape}"
        )


@composite(namespace="nn.functional", method=False)
def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """`input` with something around it.

    `pad` lists (front, behind) pairs starting with the last dimension. Modes: 'constant' (`value`, 0 by default; any
    dimensions, negative numbers cut off), 'reflect' (mirrored at the border element), 'replicate' (the border element
    again), 'circular'; the latter three for the last 1, 2 or 3 dimensions of (N, C, ...) or (C, ...).
    NotImplementedError for other modes and dimensions.

    Example::

        >>> import flambeau as torch
        >>> x = torch.tensor([[1., 2., 3.]])
        >>> torch.nn.functional.pad(x, (1, 1)), torch.nn.functional.pad(x, (2, 1), mode="reflect")
        (tensor([[0., 1., 2., 3., 0.]]), tensor([[3., 2., 1., 2., 3., 2.]]))
    """
    check_tensor(input, "pad")
    padding = tuple([int(p) for p in pad])
    if len(padding) % 2:
        raise RuntimeError(f"Padding length must be divisible by 2, got {len(padding)} numbers")
    if mode == "constant":
        return constant_pad_nd(input, padding, 0 if value is None else value)
    if mode not in _MODES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}; known are constant, reflect, replicate, circular")
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    _check_repeated(input, padding, mode)
    return repeated_pad(input, padding, mode)
