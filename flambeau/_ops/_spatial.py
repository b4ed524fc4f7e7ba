"""What operations on images share: sizes given once or a dimension, checks, the layout of results, widened halves."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING, Any

from flambeau._core import errors
from flambeau._core.dtypes import BOOL, INTEGER, dtype, int64, uint8
from flambeau._core.formats import channels_last, channels_last_3d
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous, dense_order, meta, strides_in_order
from flambeau._ops.convert import laid_out
from flambeau._ops.infer import all_ints

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

Sizes = tuple[int, ...]


def per_dim(value: Any, n: int, name: str, op: str) -> Sizes:
    """`value`, an int or a sequence of one or `n` ints, as `n` ints."""
    if isinstance(value, (tuple, list)):
        if len(value) == n:
            if type(value) is tuple and all_ints(value):
                return value
            return tuple([as_size(v, name, op) for v in value])
        if len(value) == 1:
            return (as_size(value[0], name, op),) * n
        raise RuntimeError(
            errors.explain(
                f"expected {name} to be a single integer value or a list of {n} values to match the dimensions of "
                f"{op}, "
                f"but got {name}={list(value)}",
                site=user_site(3),
            )
        )
    return (as_size(value, name, op),) * n


def as_size(value: Any, name: str, op: str) -> int:
    """A whole number, or a TypeError."""
    try:
        return index(value)
    except TypeError:
        kind = type(value).__name__
        message = f"{op}(): argument '{name}' must be tuple of ints, not {kind}"
        raise TypeError(errors.explain(message, site=user_site(4))) from None


def check_images(m: Meta, n: int, op: str) -> None:
    """RuntimeError unless `m` is (channels, *space) or (batch, channels, *space) with `n` spatial dimensions."""
    if m.ndim not in (n + 1, n + 2):
        raise RuntimeError(
            errors.explain(
                f"{op}: Expected {n + 1}D or {n + 2}D (batch mode) tensor with optional 0 dim batch size for input, "
                f"but got:"
                f"{list(m.shape)}",
                hint="add a dimension with .unsqueeze(0)" if m.ndim == n else "",
                site=user_site(3),
            )
        )
    if 0 in m.shape[-n - 1 :]:
        raise RuntimeError(
            errors.explain(
                f"{op}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes "
                f"{list(m.shape)}",
                site=user_site(3),
            )
        )


def check_dtype(d: dtype, op: str, *integers: dtype) -> None:
    """NotImplementedError unless `d` is floating-point or one of `integers`."""
    if d.category in (BOOL, INTEGER) and d not in integers or d.is_complex:
        raise errors.not_implemented(op, d)


LONG = (int64,)
BYTE = (uint8,)


def image_layout(d: dtype, shape: Sequence[int], *sources: Meta) -> Meta:
    """Row-major, or channels innermost if a source is laid out so."""
    for m in sources:
        if 4 <= m.ndim <= 5 and not m.is_contiguous:
            order = [0, *range(2, m.ndim), 1]
            if dense_order(m) == order:
                return meta(d, shape, strides_in_order(shape, order))
    return contiguous(d, shape)


def in_format_of(t: Any, like: Any) -> Any:
    """A fresh row-major tensor, or a copy with channels innermost if those of `like` are."""
    innermost = not image_layout(t.dtype, t.shape, like._meta).is_contiguous
    return laid_out(t, channels_last if t.dim() == 4 else channels_last_3d) if innermost else t


def widened(x: np.ndarray) -> np.ndarray:
    """Half precision as float32, in which sums are kept; everything else as it is."""
    return x.astype(np.float32) if x.dtype.itemsize == 2 and x.dtype.kind in "fV" else x


def conjugate(x: Any) -> Any:
    """The conjugate of a complex tensor; a real one itself."""
    return x.conj() if x._meta.dtype.is_complex else x
