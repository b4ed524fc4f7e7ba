"""The most general view, any shape and strides over a storage, and the operations that undo and overwrite one.

Every view of a part of a tensor (a row, a slice, a diagonal, sliding windows) is some strided window. Its gradient is
always the same: zeros with the window's gradient laid into them, which is `embed`; `overwritten` puts other numbers
there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core import errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous, meta, overlaps, preserved
from flambeau._ops import _expand_places
from flambeau._ops.registry import composite, library
from flambeau._ops.registry import view as view_op

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

INTERNAL: dict[str, Any] = {"namespace": "internal", "method": False, "function": False}


@view_op(
    name="as_strided",
    gradient={
        "input": lambda g, input_meta, size, stride, storage_offset: as_strided_backward(
            g, input_meta, size, stride, storage_offset
        )
    },
    **INTERNAL,
)
def as_strided_(input: Meta, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Meta:
    """`as_strided` for layouts that are known to lie inside the storage."""
    return meta(input.dtype, size, stride, input.offset if storage_offset is None else storage_offset)


@composite()
def as_strided(input: Any, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Any:
    """A view of the storage of `input` with any shape, strides (in elements) and offset (default: the offset of
    `input`).

    RuntimeError for negative strides or a layout that reaches beyond the storage.

    Example::

        >>> import flambeau as torch
        >>> torch.arange(4).as_strided((2, 2), (1, 2))
        tensor([[0, 2],
                [1, 3]])
    """
    size, stride = tuple([int(n) for n in size]), tuple([int(s) for s in stride])
    offset = input._meta.offset if storage_offset is None else int(storage_offset)
    if len(size) != len(stride):
        raise RuntimeError(errors.explain("mismatch in length of strides and shape", site=user_site(3)))
    if any(s < 0 for s in stride):
        raise RuntimeError(
            errors.explain(
                f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}",
                site=user_site(3),
            )
        )
    if offset < 0 or any(n < 0 for n in size):
        raise RuntimeError(
            errors.explain(
                f"as_strided: sizes and offset must not be negative, got sizes {list(size)} and storage offset "
                f"{offset}",
                site=user_site(3),
            )
        )
    itemsize, available = input._meta.dtype.itemsize, input._storage.nbytes
    needed = meta(input._meta.dtype, size, stride, offset).extent * itemsize
    if needed > available:
        raise RuntimeError(
            errors.explain(
                f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize "
                f"{itemsize} requiring "
                f"a storage size of {needed} are out of bounds for storage of size {available}",
                site=user_site(3),
            )
        )
    return as_strided_(input, size, stride, offset)


def owner(result: Any) -> Any:
    """A view of a fresh tensor that nobody else holds: it owns the memory, so to the user it is no view."""
    if result._base is not None:
        result._base = result._base_node = None
    return result


def as_strided_backward(g: Any, m: Meta, size: Sequence[int], stride: Sequence[int], storage_offset: int | None) -> Any:
    """The gradient of `as_strided`: what flows to each element of the storage, seen through the layout of the input.

    Where the input itself shows one element several times (as an expanded tensor does) the gradient is shared out
    evenly.
    """
    offset = m.offset if storage_offset is None else storage_offset
    extent = max(m.extent, meta(m.dtype, size, stride, offset).extent)
    result = as_strided_(embed(g, (extent,), tuple(stride), offset), m.shape, m.strides, m.offset)
    if overlaps(m.shape, m.strides):
        shown = embed(g.new_ones(m.shape), (extent,), m.strides, m.offset)
        result = result / as_strided_(shown, m.shape, m.strides, m.offset)
    return result


def window(flat: np.ndarray, shape: Sequence[int], strides: Sequence[int], offset: int) -> np.ndarray:
    """A strided window into a flat array."""
    if 0 in shape:
        return np.empty(tuple(shape), flat.dtype)
    return np.lib.stride_tricks.as_strided(flat[offset:], tuple(shape), [s * flat.itemsize for s in strides])


@library(
    node_name="DiagEmbedBackward0",
    expand=_expand_places.embed,
    category="index",
    infer=lambda input, shape, strides, offset: contiguous(input.dtype, shape),
    gradient={"input": lambda g, input_meta, strides, offset: take_window(g, input_meta.shape, strides, offset)},
    **INTERNAL,
)
def embed(input: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> Any:
    """Zeros of `shape` with `input` laid into the window of these strides; what meets at one place adds up."""
    if not overlaps(input.shape, strides):
        result = np.zeros(shape, input.dtype)
        window(result.reshape(-1), input.shape, strides, offset)[...] = input
        return result
    wide = input.astype(np.float32) if input.dtype.itemsize == 2 and input.dtype.kind in "fV" else input
    result = np.zeros(shape, wide.dtype)
    positions = window(np.arange(result.size), input.shape, strides, offset)
    np.add.at(result.reshape(-1), positions.reshape(-1), wide.reshape(-1))
    return result


@library(
    expand=_expand_places.overwritten,
    category="index",
    infer=lambda input, src, strides, offset: preserved(input),
    gradient={
        "input": lambda g, src_meta, strides, offset: overwritten(g, g.new_zeros(src_meta.shape), strides, offset),
        "src": lambda g, src_meta, strides, offset: take_window(g, src_meta.shape, strides, offset),
    },
    **INTERNAL,
)
def overwritten(input: Any, src: Any, strides: tuple[int, ...], offset: int) -> Any:
    """A copy of `input` that holds `src` where a row-major one has the window of these strides."""
    result = np.array(input, order="C")
    window(result.reshape(-1), src.shape, strides, offset)[...] = src.astype(result.dtype, copy=False)
    return result


def take_window(g: Any, shape: Sequence[int], strides: Sequence[int], offset: int) -> Any:
    """The window of a tensor taken as row-major: what `embed` laid in."""
    g = g.contiguous()
    return as_strided_(g, tuple(shape), tuple(strides), g._meta.offset + offset)


def part_of(body: Callable[..., Meta], shape: Sequence[int], like: Meta, *args: Any) -> Meta:
    """The layout a view's body gives for a row-major tensor of `shape`."""
    return body(contiguous(like.dtype, shape), *args)


def part_backward(body: Callable[..., Meta], g: Any, m: Meta, *args: Any) -> Any:
    """The gradient of a view that shows a part of its input."""
    part = part_of(body, m.shape, m, *args)
    return embed(g, m.shape, part.strides, part.offset)
