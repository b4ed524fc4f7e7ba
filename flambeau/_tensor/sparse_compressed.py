"""Compressed sparse tensors: CSR, CSC, and with blocks for entries BSR, BSC.

In CSR the entries lie row by row: `crow_indices` [rows + 1] says where each row begins, `col_indices` [entries] in
which column each entry stands. In CSC the columns are compressed; in BSR and BSC every entry is a block [block rows,
block columns] and the indices count blocks. Conversions go through coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau._core import formats as _formats
from flambeau._core.size import Size
from flambeau._ops.convert import cast
from flambeau._ops.join import cat, stack
from flambeau._ops.rearrange import repeat_interleave
from flambeau._tensor import creation
from flambeau._tensor.sparse import Sparse, SparseTensor, owned

BY_ROWS = (_formats.sparse_csr, _formats.sparse_bsr)
BLOCKED = (_formats.sparse_bsr, _formats.sparse_bsc)


class CompressedTensor(Sparse):
    """A matrix whose entries lie row by row (`sparse_csr`, `sparse_bsr`) or column by column (`sparse_csc`,
    `sparse_bsc`). Made by `torch.sparse_csr_tensor` and its kin, or by `Tensor.to_sparse_csr`.

    Example::

        >>> import flambeau as torch
        >>> torch.sparse_csr_tensor([0, 1, 2], [1, 0], [3., 4.]).to_dense()
        tensor([[0., 3.],
                [4., 0.]])
    """

    layout: Any

    def __init__(self, compressed: Any, plain: Any, values: Any, shape: Sequence[int], layout: Any) -> None:
        self._compressed, self._plain, self._value, self._shape = compressed, plain, values, Size(shape)
        self.layout = layout
        self.is_sparse_csr = layout is _formats.sparse_csr

    def with_values(self, values: Any) -> CompressedTensor:
        """Other values at the same places."""
        return CompressedTensor(self._compressed, self._plain, values, self._shape, self.layout)

    def _nnz(self) -> int:
        return self._plain.shape[-1]

    def sparse_dim(self) -> int:
        """The number of dimensions that indices address: 2."""
        return 2

    def dense_dim(self) -> int:
        """The number of dimensions of each entry, blocks aside."""
        return self._value.dim() - (3 if self.layout in BLOCKED else 1)

    def _indices_of(self, name: str, layouts: tuple, indices: Any) -> Any:
        if self.layout not in layouts:
            wanted = " or ".join(str(known) for known in layouts)
            raise RuntimeError(f"{name} expected a tensor of layout {wanted}, but got {self.layout}")
        return indices

    def crow_indices(self) -> Any:
        """Where each row begins among the entries [rows + 1]; RuntimeError unless rows are compressed."""
        return self._indices_of("crow_indices", BY_ROWS, self._compressed)

    def col_indices(self) -> Any:
        """The column of each entry [entries]; RuntimeError unless rows are compressed."""
        return self._indices_of("col_indices", BY_ROWS, self._plain)

    def ccol_indices(self) -> Any:
        """Where each column begins among the entries [columns + 1]; RuntimeError unless columns are compressed."""
        return self._indices_of("ccol_indices", BY_COLUMNS, self._compressed)

    def row_indices(self) -> Any:
        """The row of each entry [entries]; RuntimeError unless columns are compressed."""
        return self._indices_of("row_indices", BY_COLUMNS, self._plain)

    def to_sparse_coo(self) -> SparseTensor:
        """The same tensor in coordinate form, coalesced."""
        lengths = self._compressed[1:] - self._compressed[:-1]
        outer = repeat_interleave(lengths.new_ones(lengths.shape).cumsum(0) - 1, lengths)
        pair = [outer, self._plain] if self.layout in BY_ROWS else [self._plain, outer]
        rows, columns = [cast(p, creation.dtypes.int64) for p in pair]
        values = self._value
        if self.layout in BLOCKED:
            height, width = values.shape[1:3]
            down = rows.new_ones((height,)).cumsum(0).unsqueeze(1) - 1
            right = rows.new_ones((width,)).cumsum(0) - 1
            rows = (rows.reshape(-1, 1, 1) * height + down).expand(values.shape[:3]).reshape(-1)
            columns = (columns.reshape(-1, 1, 1) * width + right).expand(values.shape[:3]).reshape(-1)
            values = values.reshape(-1, *values.shape[3:])
        ordered = self.layout is _formats.sparse_csr
        found = SparseTensor(stack([rows, columns]), values, self._shape, ordered)
        return found if ordered else found.coalesce()

    def to_dense(self, dtype: Any = None, *, masked_grad: bool | None = None) -> Any:
        """The dense matrix, zeros written out."""
        return self.to_sparse_coo().to_dense(dtype)

    def transpose(self, dim0: int, dim1: int) -> CompressedTensor:
        """The transposed matrix, whose rows are this one's columns: the other layout, with the same entries."""
        if {dim0 % 2, dim1 % 2} != {0, 1}:
            return self
        values = self._value.transpose(1, 2) if self.layout in BLOCKED else self._value
        return CompressedTensor(self._compressed, self._plain, values, self._shape[::-1], TRANSPOSED[self.layout])

    def t(self) -> CompressedTensor:
        """The transposed matrix."""
        return self.transpose(0, 1)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        names = ("crow_indices", "col_indices") if self.layout in BY_ROWS else ("ccol_indices", "row_indices")
        return self._repr(**dict(zip(names, (self._compressed, self._plain), strict=True)))


BY_COLUMNS = (_formats.sparse_csc, _formats.sparse_bsc)
TRANSPOSED = {
    _formats.sparse_csr: _formats.sparse_csc,
    _formats.sparse_csc: _formats.sparse_csr,
    _formats.sparse_bsr: _formats.sparse_bsc,
    _formats.sparse_bsc: _formats.sparse_bsr,
}


def compressed(tensor: SparseTensor, layout: Any, blocksize: Sequence[int] | None = None) -> CompressedTensor:
    """A matrix in coordinate form, compressed; blocks that hold any entry are kept whole."""
    if tensor.sparse_dim() != 2:
        raise RuntimeError(f"{layout} needs 2 sparse dimensions, got {tensor.sparse_dim()}: batches are not supported")
    tensor = tensor.coalesce()
    places, values, (height, width) = tensor._places, tensor._value, tensor.shape[:2]
    if layout in BLOCKED:
        if blocksize is None:
            raise RuntimeError(f"a conversion to {layout} needs a blocksize")
        places, values = _blocks(tensor, blocksize)
        height, width = height // blocksize[0], width // blocksize[1]
    outer, inner, count = (places[0], places[1], height) if layout in BY_ROWS else (places[1], places[0], width)
    order = (outer * max(width, height) + inner).argsort()
    counts = outer.new_zeros((count,)).index_add(0, outer, outer.new_ones(outer.shape))
    starts = cat([counts.new_zeros((1,)), counts.cumsum(0)])
    return CompressedTensor(starts, inner[order], values[order], tensor.shape, layout)


def _blocks(tensor: SparseTensor, blocksize: Sequence[int]) -> tuple[Any, Any]:
    """(places of blocks [2, blocks], blocks [blocks, block rows, block columns])."""
    down, right = blocksize
    height, width = tensor.shape[:2]
    if height % down or width % right:
        raise RuntimeError(f"blocks of {down} x {right} do not divide a matrix of {height} x {width}")
    rows, columns = tensor._places[0], tensor._places[1]
    per_row = width // right
    flat, owner = (rows // down * per_row + columns // right).unique(return_inverse=True)
    inside = owner * (down * right) + rows % down * right + columns % right
    blocks = tensor._value.new_zeros((flat.shape[0] * down * right, *tensor._value.shape[1:]))
    blocks = blocks.index_add(0, inside, tensor._value)
    places = stack([flat // per_row, flat % per_row])
    return places, blocks.reshape(flat.shape[0], down, right, *tensor._value.shape[1:])


def sparse_compressed_tensor(
    compressed_indices: Any,
    plain_indices: Any,
    values: Any,
    size: Any = None,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> CompressedTensor:
    """A compressed sparse matrix of the given `layout`; without `size`, as large as the indices need. Gradients flow to
    `values`.

    RuntimeError for indices that do not fit together or lie outside `size`.

    Example::

        >>> import flambeau as torch
        >>> torch.sparse_compressed_tensor([0, 1], [1], [5.], layout=torch.sparse_csr).shape
        torch.Size([1, 2])
    """
    if layout not in TRANSPOSED:
        raise RuntimeError(f"expected a compressed sparse layout such as torch.sparse_csr, got {layout}")
    starts, plain = creation.as_tensor(compressed_indices), creation.as_tensor(plain_indices)
    values = creation.as_tensor(values, dtype)
    if starts.dim() != 1 or plain.dim() != 1:
        raise RuntimeError("batches of compressed matrices are not supported: indices must have 1 dimension")
    block = tuple(values.shape[1:3]) if layout in BLOCKED else (1, 1)
    along = (int(plain.max()) + 1 if plain.numel() else 0, starts.shape[0] - 1)
    if size is None:
        rows, columns = along[::-1] if layout in BY_ROWS else along
        size = (rows * block[0], columns * block[1])
    wanted = [size[0] // block[0], size[1] // block[1]]
    outer, inner = wanted if layout in BY_ROWS else wanted[::-1]
    if starts.shape[0] != outer + 1 or int(starts[0]) != 0 or int(starts[-1]) != plain.shape[0]:
        raise RuntimeError(
            f"compressed indices of {outer + 1} numbers from 0 to {plain.shape[0]} expected for size {tuple(size)}, "
            f"got {starts.shape[0]} from {int(starts[0])} to {int(starts[-1])}"
        )
    if plain.numel() and not 0 <= int(plain.min()) <= int(plain.max()) < inner:
        raise RuntimeError(f"plain indices must lie in [0, {inner}), got {int(plain.min())} to {int(plain.max())}")
    if values.shape[0] != plain.shape[0]:
        raise RuntimeError(f"{plain.shape[0]} indices do not go with {values.shape[0]} values")
    return CompressedTensor(starts, plain, owned(values, requires_grad), tuple(size), layout)


def _maker(layout: Any, name: str, compressed_name: str, plain_name: str) -> Any:
    def make(*args: Any, **kwargs: Any) -> CompressedTensor:
        renamed = {compressed_name: "compressed_indices", plain_name: "plain_indices"}
        given = {renamed.get(key, key): value for key, value in kwargs.items()}
        return sparse_compressed_tensor(*args, **{**given, "layout": layout})

    make.__name__ = make.__qualname__ = name
    make.__doc__ = (
        f"`sparse_compressed_tensor({compressed_name}, {plain_name}, values, size)` of layout {layout}; keywords as "
        "there."
    )
    return make


sparse_csr_tensor = _maker(_formats.sparse_csr, "sparse_csr_tensor", "crow_indices", "col_indices")
sparse_csc_tensor = _maker(_formats.sparse_csc, "sparse_csc_tensor", "ccol_indices", "row_indices")
sparse_bsr_tensor = _maker(_formats.sparse_bsr, "sparse_bsr_tensor", "crow_indices", "col_indices")
sparse_bsc_tensor = _maker(_formats.sparse_bsc, "sparse_bsc_tensor", "ccol_indices", "row_indices")
