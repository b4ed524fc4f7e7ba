"""Sparse tensors in coordinate form (COO), and what they share with the compressed forms.

A sparse tensor is a few dense ones: where its entries are, and `values`. Whatever is computed with it is computed from
the values by operations, so gradients flow to them; the gradient of a sparse leaf is sparse in the same places.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from flambeau._core import dtypes
from flambeau._core import formats as _formats
from flambeau._core.size import Size
from flambeau._ops.join import stack
from flambeau._tensor import creation, interop, printing
from flambeau._tensor.valued import Valued

# name of an operation -> what it does to sparse operands; filled by `sparse_operations`
RULES: dict[str, Callable[..., Any]] = {}


class Sparse(Valued):
    """What sparse tensors of all layouts have: a shape, values, a place in the graph. What a tensor can do with its
    memory they cannot: they have none in one piece."""

    layout: Any = _formats.strided
    _shape: Size

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

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self._shape)

    def numel(self) -> int:
        """The number of elements, zeros included."""
        return self._shape.numel()

    def values(self) -> Any:
        """The values of the entries."""
        return self._value

    def _values(self) -> Any:
        return self._value

    def as_root(self, weight: Any) -> tuple[Any, Any]:
        """The values, and what a sparse gradient in the same places, or a dense one, has there."""
        if isinstance(weight, Sparse):
            return self._value, weight._value
        if weight is None or weight.shape == self._value.shape:
            return self._value, weight
        return self._value, weight.sparse_mask(self.detach())._value

    def to_dense(self, dtype: Any = None, *, masked_grad: bool | None = None) -> Any:
        """The dense tensor, zeros written out."""
        raise NotImplementedError

    def to_sparse_coo(self) -> SparseTensor:
        """The same tensor in coordinate form."""
        raise NotImplementedError

    def operate(self, op: Any, args: tuple) -> Any:
        """What an operation means for sparse operands; NotImplementedError where that is not written down."""
        rule = RULES.get(op.name)
        if rule is None:
            raise NotImplementedError(
                f"{op.name}() of a tensor of layout {self.layout} is not implemented; use .to_dense() first"
            )
        return rule(*op.complete(args))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"a tensor of layout {type(self).layout} has no {name!r}; use .to_dense() first")

    def _repr(self, **places: Any) -> str:
        arrays = {name: interop.array(t) for name, t in places.items()}
        return printing.format_sparse_tensor(
            arrays,
            interop.array(self._value),
            size=tuple(self._shape),
            dtype_name=self.dtype.name,
            default_dtype=dtypes.get_default_dtype().name,
            layout=self.layout.name,
            requires_grad=self.requires_grad and self.is_leaf,
            grad_fn=None if self.grad_fn is None else self.grad_fn.name(),
        )


class SparseTensor(Sparse):
    """A tensor in coordinate form: `indices` [sparse dimensions, entries] and `values` [entries, *dense dimensions].
    Entries at the same place add up; `coalesce` merges and sorts them. Made by `torch.sparse_coo_tensor`.

    Example::

        >>> import flambeau as torch
        >>> torch.sparse_coo_tensor([[0, 2]], [3., 4.], (3,)).to_dense()
        tensor([3., 0., 4.])
    """

    is_sparse = True
    layout = _formats.sparse_coo

    def __init__(self, indices: Any, values: Any, shape: Sequence[int], coalesced: bool = False) -> None:
        self._places, self._value, self._shape, self._coalesced = indices, values, Size(shape), coalesced

    def with_values(self, values: Any) -> SparseTensor:
        """Other values at the same places."""
        return SparseTensor(self._places, values, self._shape, self._coalesced)

    def sparse_dim(self) -> int:
        """The number of dimensions that indices address."""
        return self._places.shape[0]

    def dense_dim(self) -> int:
        """The number of dimensions of each value."""
        return self._value.dim() - 1

    def _nnz(self) -> int:
        return self._places.shape[1]

    def _indices(self) -> Any:
        return self._places

    def indices(self) -> Any:
        """The places of the entries, int64 [sparse dimensions, entries]; RuntimeError unless coalesced."""
        self._require_coalesced("indices")
        return self._places

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

    def flat_places(self) -> Any:
        """One number for each entry: its place in the row-major order of the sparse dimensions."""
        flat = self._places.new_zeros((self._nnz(),))
        for d in range(self.sparse_dim()):
            flat = flat * self._shape[d] + self._places[d]
        return flat

    def coalesce(self) -> SparseTensor:
        """The same tensor with one entry a place, in order; equal places are added up."""
        if self._coalesced:
            return self
        flat, inverse = self.flat_places().unique(return_inverse=True)
        summed = self._value.new_zeros((flat.numel(), *self._value.shape[1:])).index_add(0, inverse, self._value)
        return SparseTensor(places_of(flat, self._shape[: self.sparse_dim()]), summed, self._shape, True)

    def to_dense(self, dtype: Any = None, *, masked_grad: bool | None = None) -> Any:
        """The dense tensor, zeros written out."""
        count = math.prod(self._shape[: self.sparse_dim()])
        dense = self._value.new_zeros((count, *self._value.shape[1:])).index_add(0, self.flat_places(), self._value)
        dense = dense.reshape(tuple(self._shape))
        return dense if dtype is None else dense.to(dtype)

    def to_sparse_coo(self) -> SparseTensor:
        """The tensor itself."""
        return self

    def transpose(self, dim0: int, dim1: int) -> SparseTensor:
        """The tensor with two of its sparse dimensions exchanged."""
        order = list(range(self.dim()))
        order[dim0], order[dim1] = order[dim1], order[dim0]
        return self.permute(order)

    def t(self) -> SparseTensor:
        """The transposed matrix."""
        return self.transpose(0, 1) if self.dim() == 2 else self

    def permute(self, *dims: Any) -> SparseTensor:
        """The tensor with its dimensions in another order; sparse and dense ones each stay among themselves."""
        order = [d % self.dim() for d in (dims[0] if len(dims) == 1 else dims)]
        count = self.sparse_dim()
        if any((d < count) != (i < count) for i, d in enumerate(order)):
            raise RuntimeError("sparse and dense dimensions cannot be exchanged; use .to_dense() first")
        index = stack([self._places[d] for d in order[:count]]) if count else self._places
        value = self._value.permute(0, *[d - count + 1 for d in order[count:]])
        return SparseTensor(index, value, [self._shape[d] for d in order])

    def sparse_resize_(self, size: Sequence[int], sparse_dim: int, dense_dim: int) -> SparseTensor:
        """Give the tensor a larger shape in place, entries staying where they are; RuntimeError for a smaller one."""
        if (sparse_dim, dense_dim) != (self.sparse_dim(), self.dense_dim()) and self._nnz():
            raise RuntimeError("changing the number of sparse or dense dimensions of a tensor with entries is refused")
        if self._nnz() and any(n < m for n, m in zip(size, self._shape, strict=True)):
            raise RuntimeError(f"shrinking a tensor with entries is refused: {tuple(self._shape)} to {tuple(size)}")
        if not self._nnz():
            return self.sparse_resize_and_clear_(size, sparse_dim, dense_dim)
        self._shape = Size(size)
        return self

    def sparse_resize_and_clear_(self, size: Sequence[int], sparse_dim: int, dense_dim: int) -> SparseTensor:
        """Drop all entries and give the tensor another shape, in place."""
        self._places = self._places.new_zeros((sparse_dim, 0))
        self._value = self._value.detach().new_zeros((0, *tuple(size)[sparse_dim : sparse_dim + dense_dim]))
        self._shape, self._coalesced = Size(size), True
        return self

    def zero_(self) -> SparseTensor:
        """Drop all entries."""
        self._places, self._value, self._coalesced = self._places[:, :0], self._value.detach()[:0], True
        return self

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return self._repr(indices=self._places)


def places_of(flat: Any, shape: Sequence[int]) -> Any:
    """Indices [dimensions, entries] of numbers in row-major order."""
    places = []
    for n in reversed(shape):
        places.append(flat % n)
        flat = flat // n
    return stack(places[::-1]) if places else flat.new_zeros((0, *flat.shape))


def sparse_coo_tensor(
    indices: Any,
    values: Any = None,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
    is_coalesced: bool | None = None,
) -> SparseTensor:
    """A sparse tensor with `values` at `indices` [sparse dimensions, entries]; without `size`, as large as the indices
    need. `sparse_coo_tensor(size)` alone has no entries. Gradients flow to `values`.

    RuntimeError for indices outside `size`.

    Example::

        >>> import flambeau as torch
        >>> torch.sparse_coo_tensor([[0, 1]], [1., 2.]).shape
        torch.Size([2])
    """
    if values is None:
        size = tuple(indices)
        indices, values = creation.zeros((len(size), 0), dtype=dtypes.int64), creation.zeros(0, dtype=dtype)
    indices, values = creation.as_tensor(indices).long(), creation.as_tensor(values, dtype)
    indices = indices.reshape(1, -1) if indices.dim() == 1 else indices
    if indices.dim() != 2:
        raise RuntimeError(f"indices must be sparse_dim x nnz, but got: {list(indices.shape)}")
    if size is None:
        largest = (indices.max(1).values + 1).tolist() if indices.numel() else [0] * indices.shape[0]
        size = (*largest, *values.shape[1:])
    values = values.expand((indices.shape[1],)) if values.dim() == 0 else values
    for d in range(indices.shape[0]):
        if indices.shape[1] and not 0 <= int(indices[d].min()) <= int(indices[d].max()) < size[d]:
            raise RuntimeError(
                f"size is inconsistent with indices: for dim {d}, size is {size[d]} but found index "
                f"{int(indices[d].max())}"
            )
    return SparseTensor(indices, owned(values, requires_grad), tuple(size), bool(is_coalesced))


def owned(values: Any, requires_grad: bool) -> Any:
    """The values of a new sparse tensor: a leaf's own, or connected to those given."""
    if requires_grad:
        return values.detach().requires_grad_()
    return values.expand(values.shape) if values.requires_grad else values


def sparse_rows(values: Any, indices: Any, shape: Any) -> SparseTensor:
    """The sparse gradient of an embedding: `values` in the rows that `indices` [1, entries] name (a method of
    `values`)."""
    return SparseTensor(indices, values.detach(), tuple(shape))
