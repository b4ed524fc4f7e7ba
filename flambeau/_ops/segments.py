"""Reductions of stretches of a dimension (`torch.segment_reduce`) and of bits (`torch.hash_tensor`)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes
from flambeau._core.lazy import lazy_module
from flambeau._ir.meta import contiguous
from flambeau._ops.infer import wrap_dim
from flambeau._ops.rearrange import repeat_interleave
from flambeau._ops.reduce import Dims, axes, reduced_shape
from flambeau._ops.registry import composite, library

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

# What a segment without elements gives.
IDENTITIES = {"sum": 0.0, "prod": 1.0, "mean": math.nan, "max": -math.inf, "min": math.inf}
SCATTERS = {"sum": "sum", "mean": "sum", "prod": "prod", "max": "amax", "min": "amin"}


@composite(method=False)
def segment_reduce(
    data: Any,
    reduce: str,
    *,
    lengths: Any = None,
    indices: Any = None,
    offsets: Any = None,
    axis: int = 0,
    unsafe: bool = False,
    initial: float | None = None,
) -> Any:
    """ "sum", "mean", "max", "min" or "prod" over neighbouring stretches of dimension `axis`.

    `lengths` [*data.shape[:axis], segments] says how long they are; or `offsets` [..., segments + 1] where they begin.
    `initial` takes part in every segment. RuntimeError unless the segments cover the dimension (not checked with
    `unsafe`).

    Example::

        >>> import flambeau as torch
        >>> torch.segment_reduce(torch.tensor([1., 2., 3.]), "sum", lengths=torch.tensor([2, 1]))
        tensor([3., 3.])
    """
    if reduce not in IDENTITIES:
        raise RuntimeError(f"segment_reduce: unsupported reduction {reduce!r}, expected one of {list(IDENTITIES)}")
    axis = wrap_dim(axis, data.dim())
    if lengths is None:
        if offsets is None:
            raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined.")
        lengths = offsets[..., 1:] - offsets[..., :-1]
    lengths = lengths.long()
    outer, size = tuple(data.shape[:axis]), data.shape[axis]
    if not unsafe and bool(((lengths.sum(-1) != size) | (lengths < 0).any(-1)).any()):
        raise RuntimeError(f"segment_reduce(): all rows of lengths must add up to the size {size} of dimension {axis}")
    rows = math.prod(outer)
    flat = data.reshape(rows * size, *data.shape[axis + 1 :])
    segments = lengths.shape[-1]
    counts = lengths.reshape(-1)
    owner = repeat_interleave(counts.new_ones(counts.shape).cumsum(0) - 1, counts)
    start = IDENTITIES["sum" if reduce == "mean" else reduce] if initial is None else float(initial)
    result = flat.new_full((rows * segments, *flat.shape[1:]), start)
    index = owner.reshape(-1, *[1] * (flat.dim() - 1)).expand(flat.shape)
    result = result.scatter_reduce(0, index, flat, SCATTERS[reduce])
    if reduce == "mean":
        sizes = counts.reshape(-1, *[1] * (flat.dim() - 1)).to(result.dtype)
        result = result / sizes if initial is None else (result / sizes).masked_fill(sizes == 0, start)
    return result.reshape(*outer, segments, *data.shape[axis + 1 :])


@library(
    category="reduce",
    infer=lambda m, dim=(), keepdim=False, mode=0: contiguous(dtypes.uint64, _hash_shape(m, dim, keepdim)),
)
def hash_tensor(input: Any, dim: Dims = (), *, keepdim: bool = False, mode: int = 0) -> Any:
    """The exclusive or of the elements' bits over `dim` (all by default), uint64: floats as float64, integers as int64.

    RuntimeError for modes other than 0, IndexError for a dimension without elements.

    Example::

        >>> import flambeau as torch
        >>> torch.hash_tensor(torch.tensor([1, 2, 3]))
        tensor(0, dtype=torch.uint64)
    """
    if mode != 0:
        raise RuntimeError(f"hash_tensor: only mode 0 is supported, got {mode}")
    wide = np.float64 if input.dtype.kind in "fV" else np.int64
    combine: Any = np.bitwise_xor.reduce
    return combine(input.astype(wide).view(np.uint64), axis=axes(input, dim), keepdims=keepdim)


def _hash_shape(m: Any, dim: Dims, keepdim: bool) -> tuple[int, ...]:
    for d in () if dim is None or dim == () or m.numel else ((dim,) if isinstance(dim, int) else dim):
        if m.shape[wrap_dim(d, m.ndim)] == 0:
            raise IndexError(f"hash_tensor: Expected reduction dim {d} to have non-zero size.")
    return reduced_shape(m, dim, keepdim)
