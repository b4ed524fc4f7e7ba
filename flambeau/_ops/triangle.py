"""Diagonals and triangles of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core import device, dtypes, errors
from flambeau._core.dtypes import dtype as dtype_class
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous, contiguous_strides
from flambeau._ops import _expand
from flambeau._ops.infer import wrap_dim
from flambeau._ops.registry import composite, library
from flambeau._ops.strided import INTERNAL, embed
from flambeau._ops.view import reshape

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


# ---------------------------------------------------------------------------------------------- triangles


def _infer_triangle(input: Meta, diagonal: int = 0) -> Meta:
    if input.ndim < 2:
        raise RuntimeError(
            errors.explain(
                f"input tensor must have at least 2 dimensions, got shape {list(input.shape)}", site=user_site(4)
            )
        )
    return contiguous(input.dtype, input.shape)


@library(
    expand=_expand.tril,
    category="rearrange",
    inplace=True,
    writes_shared="silently",
    infer=_infer_triangle,
    gradient={"input": lambda g, diagonal: tril(g, diagonal)},
)
def tril(input: Any, diagonal: int = 0) -> Any:
    """The lower triangle of matrices, the rest zero; `diagonal` > 0 keeps that many diagonals above the main one too.

    Example::

        >>> import flambeau as torch
        >>> torch.ones(2, 2).tril()
        tensor([[1., 0.],
                [1., 1.]])
    """
    return np.where(np.tri(input.shape[-2], input.shape[-1], diagonal, bool), input, input.dtype.type(0))


@library(
    expand=_expand.triu,
    category="rearrange",
    inplace=True,
    writes_shared="silently",
    infer=_infer_triangle,
    gradient={"input": lambda g, diagonal: triu(g, diagonal)},
)
def triu(input: Any, diagonal: int = 0) -> Any:
    """The upper triangle of matrices, the rest zero; `diagonal` > 0 drops that many diagonals from the main one on.

    Example::

        >>> import flambeau as torch
        >>> torch.ones(2, 2).triu()
        tensor([[1., 1.],
                [0., 1.]])
    """
    return np.where(np.tri(input.shape[-2], input.shape[-1], diagonal - 1, bool), input.dtype.type(0), input)


def _lower_count(row: int, col: int, offset: int) -> int:
    """How many places of a matrix lie on or below a diagonal."""
    first = max(0, -offset)  # the first row that has any
    widths_full = max(0, row - max(first, col - 1 - offset))  # rows that are full
    growing = max(0, row - first - widths_full)
    start = first + offset + 1
    return growing * start + growing * (growing - 1) // 2 + widths_full * col if row > first else 0


@library(
    category="fill",
    infer=lambda row, col, offset, lower, dtype: contiguous(
        dtype, (2, _lower_count(row, col, offset) if lower else row * col - _lower_count(row, col, offset - 1))
    ),
    **INTERNAL,
)
def triangle_indices(row: int, col: int, offset: int, lower: bool, dtype: dtype_class) -> Any:
    """The coordinates of a triangle, rows first."""
    inside = np.tri(row, col, k=offset if lower else offset - 1, dtype=bool)
    return np.stack(np.nonzero(inside if lower else ~inside))


def _indices(name: str, row: int, col: int, offset: int, lower: bool, dtype: dtype_class | None, where: Any) -> Any:
    device.resolve(where)
    if row < 0 or col < 0:
        raise RuntimeError(
            errors.explain(f"{name}: row and col must be non-negative, got {row} and {col}", site=user_site(4))
        )
    return triangle_indices(row, col, offset, lower, dtype or dtypes.int64)


@composite(method=False)
def tril_indices(
    row: int,
    col: int,
    offset: int = 0,
    *,
    dtype: dtype_class | None = None,
    device: Any = None,
    layout: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """The coordinates of the lower triangle of a matrix of this size: row numbers and column numbers, shape (2, n),
    int64.

    Example::

        >>> import flambeau as torch
        >>> torch.tril_indices(2, 2)
        tensor([[0, 1, 1],
                [0, 0, 1]])
    """
    return _indices("tril_indices", row, col, offset, True, dtype, device)


@composite(method=False)
def triu_indices(
    row: int,
    col: int,
    offset: int = 0,
    *,
    dtype: dtype_class | None = None,
    device: Any = None,
    layout: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """The coordinates of the upper triangle of a matrix of this size: row numbers and column numbers, shape (2, n),
    int64.

    Example::

        >>> import flambeau as torch
        >>> torch.triu_indices(2, 2)
        tensor([[0, 0, 1],
                [0, 1, 1]])
    """
    return _indices("triu_indices", row, col, offset, False, dtype, device)


# ---------------------------------------------------------------------------------------------- diagonals


def _diagonal_strides(shape: Sequence[int], a: int, b: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    strides = contiguous_strides(shape)
    return tuple([s for i, s in enumerate(strides) if i not in (a, b)] + [strides[a] + strides[b]]), strides


@composite()
def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices, in the dimensions `dim1` and `dim2` of the result, whose diagonals are the last dimension of `input`.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1, 2]).diag_embed()
        tensor([[1, 0],
                [0, 2]])
    """
    m = input._meta
    a, b = wrap_dim(dim1, m.ndim + 1), wrap_dim(dim2, m.ndim + 1)
    if a == b:
        raise RuntimeError(errors.explain(f"diagonal dimensions cannot be identical {dim1}, {dim2}", site=user_site(3)))
    side = (m.shape[-1] if m.ndim else 1) + abs(offset)
    rest = iter(tuple(m.shape)[:-1])
    shape = tuple([side if i in (a, b) else next(rest) for i in range(m.ndim + 1)])
    strides, steps = _diagonal_strides(shape, a, b)
    return embed(input, shape, strides, offset * steps[b] if offset >= 0 else -offset * steps[a])


@composite(
    node_name=lambda x, *_, **named: "DiagonalBackward0_copy" if x.dim() == 2 else "DiagEmbedBackward0",
    shows=("input",),
)
def diag(input: Any, diagonal: int = 0) -> Any:
    """The matrix with a vector on its diagonal, or the diagonal of a matrix in a new tensor; RuntimeError for other
    dimensions.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1, 2]).diag(), torch.tensor([[1, 2], [3, 4]]).diag()
        (tensor([[1, 0],
                [0, 2]]), tensor([1, 4]))
    """
    ndim = input._meta.ndim
    if ndim not in (1, 2):
        raise RuntimeError(
            errors.explain(
                f"diag(): Supports 1D or 2D tensors. Got {ndim}D",
                hint="diagonal and diag_embed work on batches",
                site=user_site(3),
            )
        )
    return diag_embed(input, diagonal) if ndim == 1 else input.diagonal(diagonal).clone()


@composite()
def diagflat(input: Any, offset: int = 0) -> Any:
    """The matrix whose diagonal holds all elements in row-major order.

    Example::

        >>> import flambeau as torch
        >>> torch.diagflat(torch.tensor([1, 2]), 1)
        tensor([[0, 1, 0],
                [0, 0, 2],
                [0, 0, 0]])
    """
    return diag_embed(reshape(input, -1), offset)


@composite(function=False, name="fill_diagonal_")
def fill_diagonal_(input: Any, fill_value: float, wrap: bool = False) -> Any:
    """Write a number on the main diagonal, in place; with `wrap` the diagonal starts anew below a square in tall
    matrices.

    Example::

        >>> import flambeau as torch
        >>> torch.zeros(2, 2).fill_diagonal_(5)
        tensor([[5., 0.],
                [0., 5.]])
    """
    m = input._meta
    if m.ndim < 2 or m.ndim > 2 and len(set(m.shape)) > 1:
        raise RuntimeError(
            errors.explain(
                "fill_diagonal_: dimensions must be at least 2, and of equal length if there are more, "
                f"got {list(m.shape)}",
                site=user_site(3),
            )
        )
    size, step = min(m.shape), sum(m.strides)
    take = input.as_strided((size,), (step,))
    take.fill_(fill_value)
    if wrap and m.ndim == 2 and m.shape[0] > m.shape[1] + 1:
        rows, columns = m.shape
        for top in range(columns + 1, rows, columns + 1):
            below = min(rows - top, columns)
            input.as_strided((below,), (step,), m.offset + top * m.strides[0]).fill_(fill_value)
    return input
