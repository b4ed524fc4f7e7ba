"""Sparse tensors in coordinate form (COO): the gradients of embeddings, and what optimizers do with them.

A sparse tensor is a pair of dense ones: `indices` [sparse dimensions, entries] and `values` [entries, *dense
dimensions]. Entries at the same place add up; `coalesce` merges and sorts them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flambeau._core import dtypes
from flambeau._core import formats as _formats
from flambeau._core.device import cpu, device
from flambeau._core.size import Size
from flambeau._ir.recording import TensorBase
from flambeau._ops.join import cat, stack
from flambeau._tensor import creation, interop, printing


class SparseTensor:
    """A tensor of which only some entries are kept; the others are zero. Made by `torch.sparse_coo_tensor`.

    Example::

        >>> import flambeau as torch
        >>> torch.sparse_coo_tensor([[0, 2]], [3., 4.], (3,)).to_dense()
        tensor([3., 0., 4.])
    """

    is_sparse, is_cuda, is_leaf, requires_grad, grad_fn, grad = True, False, True, False, None, None
    layout = _formats.sparse_coo

    def __init__(self, indices: Any, values: Any, shape: Sequence[int], coalesced: bool = False) -> None:
        self._index, self._value, self._shape, self._coalesced = indices, values, Size(shape), coalesced

    @property
    def shape(self) -> Size:
        """The shape of the whole tensor."""
        return self._shape

    def size(self, dim: int | None = None) -> Any:
        """The shape, or one of its sizes."""
        return self._shape if dim is None else self._shape[dim]

    def dim(self) -> int:
        """The number of dimensions."""
        return len(self._shape)

    def numel(self) -> int:
        """The number of elements, zeros included."""
        return self._shape.numel()

    @property
    def dtype(self) -> dtypes.dtype:
        """The dtype of the values."""
        return self._value.dtype

    @property
    def device(self) -> device:
        """Where the numbers live."""
        return cpu

    def sparse_dim(self) -> int:
        """The number of dimensions that indices address."""
        return self._index.shape[0]

    def dense_dim(self) -> int:
        """The number of dimensions of each value."""
        return self._value.dim() - 1

    def _nnz(self) -> int:
        return self._index.shape[1]

    def _indices(self) -> Any:
        return self._index

    def _values(self) -> Any:
        return self._value

    def indices(self) -> Any:
        """The places of the entries, int64 [sparse dimensions, entries]; RuntimeError unless coalesced."""
        self._require_coalesced("indices")
        return self._index

    def values(self) -> Any:
        """The values of the entries [entries, *dense dimensions]; RuntimeError unless coalesced."""
        self._require_coalesced("values")
        return self._value

    def _require_coalesced(self, what: str) -> None:
        if not self._coalesced:
            raise RuntimeError(f"Cannot get {what} on an uncoalesced tensor, please call .coalesce() first")

    def is_coalesced(self) -> bool:
        """Does every place occur once, in order?"""
        return self._coalesced

    def _flat_places(self) -> Any:
        """One number for each entry: its place in the row-major order of the sparse dimensions."""
        flat = self._index.new_zeros((self._nnz(),))
        for d in range(self.sparse_dim()):
            flat = flat * self._shape[d] + self._index[d]
        return flat

    def coalesce(self) -> SparseTensor:
        """The same tensor with one entry a place, in order; equal places are added up."""
        if self._coalesced:
            return self
        flat, inverse = self._flat_places().unique(return_inverse=True)
        summed = self._value.new_zeros((flat.numel(), *self._value.shape[1:])).index_add(0, inverse, self._value)
        places = []
        for n in reversed(self._shape[: self.sparse_dim()]):
            places.append(flat % n)
            flat = flat // n
        return SparseTensor(stack(places[::-1]), summed, self._shape, True)

    def to_dense(self) -> Any:
        """The dense tensor, zeros written out."""
        count = math.prod(self._shape[: self.sparse_dim()])
        dense = self._value.new_zeros((count, *self._value.shape[1:])).index_add(0, self._flat_places(), self._value)
        return dense.reshape(tuple(self._shape))

    def detach(self) -> SparseTensor:
        """The same entries without history."""
        return SparseTensor(self._index, self._value.detach(), self._shape, self._coalesced)

    def clone(self) -> SparseTensor:
        """A copy."""
        return SparseTensor(self._index.clone(), self._value.clone(), self._shape, self._coalesced)

    def to(self, *args: Any, **kwargs: Any) -> SparseTensor:
        """The tensor with values of another dtype."""
        return SparseTensor(self._index, self._value.to(*args, **kwargs), self._shape, self._coalesced)

    def __add__(self, other: Any) -> Any:
        if isinstance(other, SparseTensor):
            return SparseTensor(cat([self._index, other._index], 1), cat([self._value, other._value], 0), self._shape)
        return self.to_dense() + other

    __radd__ = __add__

    def __mul__(self, factor: float) -> SparseTensor:
        if isinstance(factor, (TensorBase, SparseTensor)) and factor.dim():
            raise NotImplementedError("multiplying a sparse tensor by a tensor: use to_dense() first")
        return SparseTensor(self._index, self._value * factor, self._shape, self._coalesced)

    __rmul__ = __mul__

    def __neg__(self) -> SparseTensor:
        return self * -1

    def zero_(self) -> SparseTensor:
        """Drop all entries."""
        self._index, self._value, self._coalesced = self._index[:, :0], self._value[:0], True
        return self

    def requires_grad_(self, requires_grad: bool = True) -> SparseTensor:
        """Sparse tensors are results of gradients; they carry none themselves."""
        if requires_grad:
            raise NotImplementedError("gradients of sparse tensors are not supported; use .to_dense()")
        return self

    def __repr__(self) -> str:
        return printing.format_sparse_tensor(
            interop.array(self._index),
            interop.array(self._value),
            size=tuple(self._shape),
            dtype_name=self.dtype.name,
            default_dtype=dtypes.get_default_dtype().name,
        )


def sparse_coo_tensor(
    indices: Any,
    values: Any,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
    is_coalesced: bool | None = None,
) -> SparseTensor:
    """A sparse tensor with `values` at `indices` [sparse dimensions, entries]; without `size`, as large as the indices
    need.

    RuntimeError for indices outside `size`.

    Example::

        >>> import flambeau as torch
        >>> torch.sparse_coo_tensor([[0, 1]], [1., 2.]).shape
        torch.Size([2])
    """
    indices, values = creation.as_tensor(indices).long(), creation.as_tensor(values, dtype)
    indices = indices.reshape(1, -1) if indices.dim() == 1 else indices
    if indices.dim() != 2:
        raise RuntimeError(f"indices must be sparse_dim x nnz, but got: {list(indices.shape)}")
    if size is None:
        largest = (indices.max(1).values + 1).tolist() if indices.numel() else [0] * indices.shape[0]
        size = (*largest, *values.shape[1:])
    for d in range(indices.shape[0]):
        if indices.shape[1] and not 0 <= int(indices[d].min()) <= int(indices[d].max()) < size[d]:
            raise RuntimeError(
                f"size is inconsistent with indices: for dim {d}, size is {size[d]} but found index "
                f"{int(indices[d].max())}"
            )
    return SparseTensor(indices, values.detach(), tuple(size), bool(is_coalesced)).requires_grad_(requires_grad)


def sparse_rows(values: Any, indices: Any, shape: Any) -> SparseTensor:
    """The sparse gradient of an embedding: `values` in the rows that `indices` [1, entries] name (a method of
    `values`)."""
    return SparseTensor(indices, values.detach(), tuple(shape))
