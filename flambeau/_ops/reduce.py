"""Reductions: sums, means, extrema, norms over dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes
from flambeau._core.dtypes import dtype
from flambeau._core.lazy import lazy_module
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops.infer import wrap_dims
from flambeau._ops.registry import library

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

Dims = int | Sequence[int] | None


def reduced_shape(m: Meta, dim: Dims, keepdim: bool) -> tuple[int, ...]:
    """The shape after reducing over `dim`."""
    dims = wrap_dims(dim, m.ndim)
    if keepdim:
        return tuple([1 if i in dims else n for i, n in enumerate(m.shape)])
    return tuple([n for i, n in enumerate(m.shape) if i not in dims])


def axes(x: np.ndarray, dim: Dims) -> tuple[int, ...]:
    """The axes NumPy reduces over."""
    return wrap_dims(dim, x.ndim)


def accumulated(x: np.ndarray) -> np.ndarray:
    """Half precision is summed in float32."""
    return x.astype(np.float32) if x.dtype.itemsize == 2 and x.dtype.kind in "fV" else x


def spread(g: Any, m: Meta, dim: Dims, keepdim: bool) -> Any:
    """A reduced tensor given back the shape it was reduced from, by repetition."""
    if not keepdim and m.ndim:
        for d in sorted(wrap_dims(dim, m.ndim)):
            g = g.unsqueeze(d)
    return g.expand(m.shape)


def sum_dtype(m: Meta, d: dtype | None) -> dtype:
    return d or (m.dtype if m.dtype.category >= dtypes.FLOAT else dtypes.int64)


@library(
    category="reduce", infer=lambda m, dim=None, keepdim=False, dtype=None: contiguous(sum_dtype(m, dtype), reduced_shape(m, dim, keepdim)),
    gradient={"input": lambda g, input_meta, dim, keepdim: spread(g, input_meta, dim, keepdim)},
)
def sum(input: Any, dim: Dims = None, keepdim: bool = False, dtype: dtype | None = None) -> Any:  # noqa: A001
    """The sum over `dim` (all by default). Integers are summed as int64; float32 sums are pairwise.

    Example::

        >>> import flambeau as torch
        >>> torch.ones(2, 3).sum(1)
        tensor([3., 3.])
    """
    x = accumulated(input)
    if dtype is not None:
        x = x.astype(dtype.numpy)
    elif x.dtype.kind in "biu":
        x = x.astype(np.int64)
    return x.sum(axis=axes(x, dim), keepdims=keepdim)


def sum_to_size(g: Any, shape: Sequence[int]) -> Any:
    """`g` summed over the dimensions that broadcasting `shape` to its shape had added or stretched."""
    lead = g.dim() - len(shape)
    stretched = [i for i in range(lead, g.dim()) if shape[i - lead] == 1 and g.shape[i] != 1]
    dims = [*range(lead), *stretched]
    return sum(g, dims, True).reshape(tuple(shape)) if dims else g
