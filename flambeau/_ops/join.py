"""Joining tensors: side by side, one above another, into a new dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.dtypes import dtype
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous
from flambeau._ir.recording import TensorBase
from flambeau._ops import _expand_places
from flambeau._ops._spatial import image_layout
from flambeau._ops.infer import wrap_dim
from flambeau._ops.operands import Operand
from flambeau._ops.registry import composite, library
from flambeau._ops.strided import INTERNAL
from flambeau._ops.view import reshape, unpacked

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


def joined_dtype(metas: Sequence[Meta]) -> dtype:
    """The dtype of tensors joined: promoted, 0-dim tensors counting less."""
    first = metas[0].dtype
    if all(m.dtype is first for m in metas):
        return first
    return dtypes.result_type_of([(m.dtype, m.ndim) for m in metas])


def tensors_of(tensors: Any, name: str, empty: type[Exception] = ValueError) -> tuple:
    """A list of tensors as a tuple; TypeError for anything else, `empty` for none."""
    if isinstance(tensors, TensorBase) or not hasattr(tensors, "__iter__"):
        raise TypeError(
            errors.explain(
                f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not {type(tensors).__name__}",
                hint=f"put them into one list: torch.{name}([a, b])",
                site=user_site(4),
            )
        )
    found = tuple(tensors)
    for i, t in enumerate(found):
        if not isinstance(t, (TensorBase, Operand)):
            raise TypeError(
                errors.explain(
                    f"expected Tensor as element {i} in argument 0, but got {type(t).__name__}", site=user_site(4)
                )
            )
    if not found:
        raise empty(errors.explain(f"torch.{name}(): expected a non-empty list of Tensors", site=user_site(4)))
    return found


# ---------------------------------------------------------------------------------------------- cat


def is_legacy_empty(m: Meta) -> bool:
    """A tensor of shape (0,), which `cat` skips whatever the others' shapes."""
    return m.ndim == 1 and m.shape[0] == 0


def infer_cat(metas: Sequence[Meta], dim: int) -> Meta:
    """The layout of tensors joined along `dim`; RuntimeError if the other sizes differ."""
    d = joined_dtype(metas)
    for i, m in enumerate(metas):
        if not m.ndim:
            raise RuntimeError(
                errors.explain(
                    f"zero-dimensional tensor (at position {i}) cannot be concatenated",
                    hint="use torch.stack",
                    site=user_site(4),
                )
            )
    real = [(i, m) for i, m in enumerate(metas) if not is_legacy_empty(m)]
    if not real:
        return contiguous(d, (0,))
    first = real[0][1]
    dim = wrap_dim(dim, first.ndim)
    total = 0
    for i, m in real:
        if m.ndim != first.ndim:
            raise RuntimeError(
                errors.explain(
                    f"Tensors must have same number of dimensions: got {first.ndim} and {m.ndim} "
                    f"(shapes {list(first.shape)} and {list(m.shape)})",
                    site=user_site(4),
                )
            )
        for axis, (a, b) in enumerate(zip(first.shape, m.shape, strict=True)):
            if a != b and axis != dim:
                raise RuntimeError(
                    errors.explain(
                        f"Sizes of tensors must match except in dimension {dim}. Expected size {a} but got size {b} "
                        f"for tensor number "
                        f"{i} in the list (shapes {list(first.shape)} and {list(m.shape)}).",
                        site=user_site(4),
                    )
                )
        total += m.shape[dim]
    return image_layout(d, (*tuple(first.shape)[:dim], total, *tuple(first.shape)[dim + 1 :]), first)


def _cat_backward(g: Any, metas: Sequence[Meta], dim: int) -> tuple:
    """The pieces of the gradient; nothing, as a vector without elements, for tensors that were skipped."""
    pieces: list[Any] = []
    start = 0
    for m in metas:
        if is_legacy_empty(m):
            pieces.append(g.new_zeros(0))
            continue
        n = m.shape[dim]
        pieces.append(g.narrow(dim, start, n))
        start += n
    return tuple(pieces)


@library(
    expand=_expand_places.cat,
    category="join",
    name="cat",
    infer=infer_cat,
    gradient={"tensors": lambda g, tensors_meta, dim: _cat_backward(g, tensors_meta, dim)},
    **INTERNAL,
)
def cat_(tensors: tuple, dim: int) -> Any:
    """`tensors`, a tuple, joined along a dimension."""
    kept = [t for t in tensors if t.shape != (0,)] or [tensors[0]]
    return np.concatenate(kept, axis=dim) if len({t.dtype for t in kept}) == 1 else _concatenate_mixed(kept, dim)


def _concatenate_mixed(arrays: list[np.ndarray], dim: int) -> np.ndarray:
    d = joined_dtype([contiguous(dtypes.from_numpy(a.dtype), a.shape) for a in arrays])
    return np.concatenate([a.astype(d.numpy) for a in arrays], axis=dim)


@composite(out="joined", overlap="none", method=False, aliases=("concat", "concatenate"))
def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors joined along an existing dimension; dtypes promote. Empty 1-dim tensors are skipped.

    RuntimeError if the other sizes differ.

    Example::

        >>> import flambeau as torch
        >>> torch.cat([torch.tensor([1, 2]), torch.tensor([3.5])])
        tensor([1.0000, 2.0000, 3.5000])
    """
    return cat_(tensors_of(tensors, "cat"), int(dim))


# ---------------------------------------------------------------------------------------------- stack


def infer_stack(metas: Sequence[Meta], dim: int) -> Meta:
    """The layout of tensors stacked; RuntimeError unless all have one shape."""
    first = metas[0].shape
    for i, m in enumerate(metas):
        if m.shape != first:
            raise RuntimeError(
                errors.explain(
                    f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 and "
                    f"{list(m.shape)} at entry {i}",
                    site=user_site(4),
                )
            )
    dim = wrap_dim(dim, len(first) + 1)
    return contiguous(joined_dtype(metas), (*tuple(first)[:dim], len(metas), *tuple(first)[dim:]))


@library(
    expand=_expand_places.stack,
    category="join",
    name="stack",
    infer=infer_stack,
    gradient={"tensors": lambda g, dim: g.unbind(dim)},
    **INTERNAL,
)
def stack_(tensors: tuple, dim: int) -> Any:
    """`tensors`, a tuple, stacked in a new dimension."""
    axis = dim % (tensors[0].ndim + 1)
    expanded = [np.expand_dims(t, axis) for t in tensors]
    return (
        np.concatenate(expanded, axis=axis)
        if len({t.dtype for t in tensors}) == 1
        else _concatenate_mixed(expanded, axis)
    )


@composite(out="joined", overlap="none", method=False)
def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors of one shape joined in a new dimension; dtypes promote. RuntimeError if the shapes differ.

    Example::

        >>> import flambeau as torch
        >>> torch.stack([torch.tensor([1, 2]), torch.tensor([3, 4])], dim=1)
        tensor([[1, 3],
                [2, 4]])
    """
    return stack_(tensors_of(tensors, "stack", RuntimeError), int(dim))


# ---------------------------------------------------------------------------------------------- with more dimensions
# first


def _each(function: Any, tensors: tuple) -> Any:
    """A function of one tensor applied to several: one result, or a tuple of them."""
    if len(tensors) == 1 and isinstance(tensors[0], TensorBase):
        return function(tensors[0])
    return tuple([function(t) for t in unpacked(tensors)])


def _to_1d(t: Any) -> Any:
    return reshape(t, 1) if not t._meta.ndim else t


def _to_2d(t: Any) -> Any:
    return t if t._meta.ndim > 1 else _to_1d(t).unsqueeze(0)


def _to_3d(t: Any) -> Any:
    if t._meta.ndim > 2:
        return t
    return t.unsqueeze(-1) if t._meta.ndim == 2 else _to_2d(t).unsqueeze(-1)


@composite(method=False)
def atleast_1d(*tensors: Any) -> Any:
    """The tensor or tensors with at least one dimension.

    Example::

        >>> import flambeau as torch
        >>> torch.atleast_1d(torch.tensor(5))
        tensor([5])
    """
    return _each(_to_1d, tensors)


@composite(method=False)
def atleast_2d(*tensors: Any) -> Any:
    """The tensor or tensors with at least two dimensions: vectors become rows.

    Example::

        >>> import flambeau as torch
        >>> torch.atleast_2d(torch.tensor([1, 2]))
        tensor([[1, 2]])
    """
    return _each(_to_2d, tensors)


@composite(method=False)
def atleast_3d(*tensors: Any) -> Any:
    """The tensor or tensors with at least three dimensions: (n,) becomes (1, n, 1), (n, m) becomes (n, m, 1).

    Example::

        >>> import flambeau as torch
        >>> torch.atleast_3d(torch.tensor([1, 2])).shape
        torch.Size([1, 2, 1])
    """
    return _each(_to_3d, tensors)


@composite(out="joined", overlap="none", method=False)
def hstack(tensors: Sequence[Any]) -> Any:
    """Tensors joined side by side: along dimension 1, or 0 for vectors.

    Example::

        >>> import flambeau as torch
        >>> torch.hstack((torch.tensor([1, 2]), torch.tensor([3])))
        tensor([1, 2, 3])
    """
    found = tuple([_to_1d(t) for t in tensors_of(tensors, "hstack", RuntimeError)])
    return cat(found, 0 if found[0]._meta.ndim == 1 else 1)


@composite(out="joined", overlap="none", method=False, aliases=("row_stack",))
def vstack(tensors: Sequence[Any]) -> Any:
    """Tensors joined one above another: along dimension 0, vectors as rows.

    Example::

        >>> import flambeau as torch
        >>> torch.vstack((torch.tensor([1, 2]), torch.tensor([3, 4])))
        tensor([[1, 2],
                [3, 4]])
    """
    return cat([_to_2d(t) for t in tensors_of(tensors, "vstack", RuntimeError)], 0)


@composite(out="joined", overlap="none", method=False)
def dstack(tensors: Sequence[Any]) -> Any:
    """Tensors joined in depth: along dimension 2, with at least three dimensions.

    Example::

        >>> import flambeau as torch
        >>> torch.dstack((torch.tensor([1, 2]), torch.tensor([3, 4])))
        tensor([[[1, 3],
                 [2, 4]]])
    """
    return cat([_to_3d(t) for t in tensors_of(tensors, "dstack", RuntimeError)], 2)


@composite(out="joined", overlap="none", method=False)
def column_stack(tensors: Sequence[Any]) -> Any:
    """Vectors as columns, and matrices, joined side by side.

    Example::

        >>> import flambeau as torch
        >>> torch.column_stack((torch.tensor([1, 2]), torch.tensor([3, 4])))
        tensor([[1, 3],
                [2, 4]])
    """
    found = tensors_of(tensors, "column_stack", RuntimeError)
    return hstack([reshape(t, t._meta.numel, 1) if t._meta.ndim <= 1 else t for t in found])
