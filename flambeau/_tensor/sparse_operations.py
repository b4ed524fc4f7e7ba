"""What operations mean for sparse operands, and the methods that convert between layouts.

Every rule is a composition of dense operations on indices and values, so that gradients flow to the values. Functions
that keep zero zero act on the values alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from flambeau._core import formats as _formats
from flambeau._ops.join import cat as cat_dense
from flambeau._ops.join import stack
from flambeau._ops.rearrange import repeat_interleave
from flambeau._ops.registry import OPS
from flambeau._ops.search import searchsorted
from flambeau._tensor.sparse import RULES, Sparse, SparseTensor, places_of
from flambeau._tensor.sparse_compressed import BLOCKED, TRANSPOSED, compressed

ZERO_PRESERVING = (
    "abs", "angle", "asin", "asinh", "atan", "atanh", "ceil", "conj_physical", "deg2rad", "erf", "erfinv", "expm1",
    "floor", "frac", "isinf", "isnan", "isneginf", "isposinf", "log1p", "nan_to_num", "neg", "positive", "rad2deg",
    "relu", "round", "sgn", "sign", "signbit", "sin", "sinh", "sqrt", "tan", "tanh", "trunc",
)  # fmt: skip


def rule(*names: str) -> Callable[[Callable], Callable]:
    """Declares what the operations `names` mean for sparse operands."""

    def declare(function: Callable) -> Callable:
        RULES.update(dict.fromkeys(names, function))
        return function

    return declare


def _on_values(name: str) -> None:
    def apply(input: Any, *rest: Any) -> Any:
        merged = input.coalesce() if isinstance(input, SparseTensor) else input
        return merged.with_values(OPS[name].function(merged._value, *rest))

    rule(name)(apply)


for _name in ZERO_PRESERVING:
    _on_values(_name)


# ---------------------------------------------------------------------------------------------- arithmetic


def _is_number(x: Any) -> bool:
    return not isinstance(x, Sparse) and (not hasattr(x, "dim") or x.dim() == 0)


def _like(result: SparseTensor, *operands: Any) -> Any:
    """A result in the layout that the sparse operands share."""
    layouts = {x.layout for x in operands if isinstance(x, Sparse)}
    layout = layouts.pop() if len(layouts) == 1 else _formats.sparse_coo
    return result if layout is _formats.sparse_coo or layout in BLOCKED else compressed(result, layout)


@rule("add")
def add(input: Any, other: Any, alpha: Any = 1) -> Any:
    """Sparse and sparse give sparse, dense and sparse dense."""
    if not (isinstance(input, Sparse) and isinstance(other, Sparse)):
        if _is_number(input) or _is_number(other):
            raise RuntimeError("add(sparse, number) would fill every zero; use .to_dense() first")
        a, b = [x.to_dense() if isinstance(x, Sparse) else x for x in (input, other)]
        return OPS["add"].function(a, b, alpha)
    if input.shape != other.shape:
        raise RuntimeError(f"add: sparse tensors of different sizes, {tuple(input.shape)} and {tuple(other.shape)}")
    a, b = input.to_sparse_coo(), other.to_sparse_coo()
    values = b._value if alpha == 1 else b._value * alpha
    joined = SparseTensor(cat_dense([a._places, b._places], 1), cat_dense([a._value, values], 0), a.shape)
    return _like(joined, input, other)


@rule("sub")
def sub(input: Any, other: Any, alpha: Any = 1) -> Any:
    """`input - alpha * other`."""
    return add(input, other, -alpha)


@rule("mul")
def mul(input: Any, other: Any) -> Any:
    """A sparse tensor times a number, a dense tensor that broadcasts to it, or a sparse one."""
    a, b = (input, other) if isinstance(input, Sparse) else (other, input)
    if _is_number(b):
        return a.with_values(a._value * b)
    if not isinstance(b, Sparse):
        return _with_dense(OPS["mul"].function, a, b)
    if a.shape != b.shape:
        raise RuntimeError(f"mul: sparse tensors of different sizes, {tuple(a.shape)} and {tuple(b.shape)}")
    x, y = a.to_sparse_coo().coalesce(), b.to_sparse_coo().coalesce()
    if not x._nnz() or not y._nnz():
        return _like(SparseTensor(x._places[:, :0], (x._value[:0] * y._value[:0]), x.shape, True), a, b)
    theirs = y.flat_places()
    place = searchsorted(theirs, x.flat_places()).clamp(max=y._nnz() - 1)
    both = theirs[place] == x.flat_places()
    return _like(SparseTensor(x._places[:, both], x._value[both] * y._value[place[both]], x.shape, True), a, b)


@rule("true_divide")
def true_divide(input: Any, other: Any) -> Any:
    """A sparse tensor over a number or a dense tensor."""
    if isinstance(other, Sparse):
        raise RuntimeError("division by a sparse tensor would divide by its zeros; use .to_dense() first")
    if _is_number(other):
        return input.with_values(input._value / other)
    return _with_dense(OPS["true_divide"].function, input, other)


@rule("pow")
def pow(input: Any, exponent: Any) -> Any:  # noqa: A001
    """A positive power of every element."""
    if isinstance(exponent, Sparse) or not exponent > 0:
        raise RuntimeError(f"a sparse tensor can be raised to positive powers only, got {exponent}")
    merged = input.coalesce() if isinstance(input, SparseTensor) else input
    return merged.with_values(merged._value**exponent)


def _with_dense(function: Callable, a: Sparse, dense: Any) -> Any:
    """`function` of a sparse tensor and of what a dense one has in the same places."""
    x = a.to_sparse_coo().coalesce()
    spread = dense.expand(tuple(x.shape))
    count = math.prod(x.shape[: x.sparse_dim()])
    picked = spread.reshape((count, *x._value.shape[1:])).index_select(0, x.flat_places())
    return _like(x.with_values(function(x._value, picked)), a)


# ---------------------------------------------------------------------------------------------- products


@rule("matmul")
def matmul(input: Any, other: Any) -> Any:
    """A sparse matrix times a dense matrix or vector gives a dense one; two sparse ones a sparse one."""
    if isinstance(input, Sparse) and isinstance(other, Sparse):
        return _like(_sparse_product(input.to_sparse_coo(), other.to_sparse_coo()), input, other)
    if isinstance(other, Sparse):
        flipped = input if input.dim() == 1 else input.transpose(-2, -1)
        found = matmul(other.t(), flipped)
        return found if input.dim() == 1 else found.transpose(0, 1)
    a = input.to_sparse_coo()
    if a.sparse_dim() != 2 or a.dense_dim() or other.dim() not in (1, 2):
        raise RuntimeError(f"matmul: expected a sparse matrix and a dense matrix or vector, got {tuple(a.shape)} and "
                           f"{tuple(other.shape)}")  # fmt: skip
    if a.shape[1] != other.shape[0]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({a.shape[0]}x{a.shape[1]} and "
            f"{'x'.join(map(str, other.shape))})"
        )
    weights = a._value if other.dim() == 1 else a._value.unsqueeze(1)
    terms = weights * other.index_select(0, a._places[1])
    return terms.new_zeros((a.shape[0], *other.shape[1:])).index_add(0, a._places[0], terms)


def _sparse_product(a: SparseTensor, b: SparseTensor) -> SparseTensor:
    """Every entry of `a` meets the row of `b` that its column names (Gustavson 1978)."""
    if a.shape[1] != b.shape[0]:
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({a.shape[0]}x{a.shape[1]} and "
                           f"{b.shape[0]}x{b.shape[1]})")  # fmt: skip
    right = compressed(b, _formats.sparse_csr)
    starts = right._compressed
    column = a._places[1]
    lengths = starts[column + 1] - starts[column]
    entry = repeat_interleave(lengths.new_ones(lengths.shape).cumsum(0) - 1, lengths)
    before = lengths.cumsum(0) - lengths
    theirs = starts[column][entry] + (entry.new_ones(entry.shape).cumsum(0) - 1 - before[entry])
    index = stack([a._places[0][entry], right._plain[theirs]])
    return SparseTensor(index, a._value[entry] * right._value[theirs], (a.shape[0], b.shape[1])).coalesce()


# ---------------------------------------------------------------------------------------------- reductions, parts


@rule("sum")
def total(input: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """The sum of all entries, dense; over some dimensions as `torch.sparse.sum` gives it."""
    values = input._value if dtype is None else input._value.to(dtype)
    return values.sum() if dim is None else sum_over(input.with_values(values), dim, keepdim)


@rule("p_norm")
def p_norm(input: Any, ord: float, dim: Any, keepdim: bool) -> Any:  # noqa: A002
    """The norm of all entries as one vector."""
    if dim is not None:
        raise RuntimeError("norms over some dimensions of a sparse tensor: use .to_dense() first")
    merged = input.coalesce() if isinstance(input, SparseTensor) else input
    return OPS["p_norm"].function(merged._value, ord, None, False)


def sum_over(input: Sparse, dim: Any, keepdim: bool = False) -> Any:
    """The sum over dimensions: sparse, unless no sparse dimension is left."""
    x = input.to_sparse_coo()
    dims = sorted({d % x.dim() for d in ((dim,) if isinstance(dim, int) else dim)})
    count = x.sparse_dim()
    inner = [d - count + 1 for d in dims if d >= count]
    values = x._value.sum(inner, keepdim) if inner else x._value
    kept = [d for d in range(count) if d not in dims]
    if not kept and not keepdim:
        return values.sum(0)
    shape = [1 if d in dims else n for d, n in enumerate(x.shape) if keepdim or d not in dims]
    rows = [x._places[d] * int(d not in dims) for d in range(count) if keepdim or d not in dims]
    return SparseTensor(stack(rows), values, shape).coalesce()


@rule("index_select")
def index_select(input: Any, dim: int, index: Any) -> Any:
    """The slices of a dimension that `index` names."""
    x = input.to_sparse_coo()
    dim = dim % x.dim()
    shape = [index.shape[0] if d == dim else n for d, n in enumerate(x.shape)]
    if dim >= x.sparse_dim():
        return SparseTensor(x._places, x._value.index_select(dim - x.sparse_dim() + 1, index), shape, x._coalesced)
    match = x._places[dim].unsqueeze(0) == index.unsqueeze(1)
    position, entry = match.nonzero(as_tuple=True)
    places = x._places[:, entry]
    rows = [position if d == dim else places[d] for d in range(x.sparse_dim())]
    return SparseTensor(stack(rows), x._value[entry], shape)


@rule("cat")
def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Sparse tensors one after the other."""
    parts = [t.to_sparse_coo() for t in tensors]
    first = parts[0]
    dim, count = dim % first.dim(), first.sparse_dim()
    shape = [sum(p.shape[d] for p in parts) if d == dim else n for d, n in enumerate(first.shape)]
    if dim >= count:
        raise NotImplementedError("cat along a dense dimension of sparse tensors: use .to_dense() first")
    offsets, places = 0, []
    for p in parts:
        places.append(stack([p._places[d] + offsets if d == dim else p._places[d] for d in range(count)]))
        offsets += p.shape[dim]
    return SparseTensor(cat_dense(places, 1), cat_dense([p._value for p in parts], 0), shape)


def softmax_rows(input: Any, dim: int, logarithm: bool) -> SparseTensor:
    """Softmax along a sparse dimension of the entries that are there; the others count as minus infinity."""
    x = input.to_sparse_coo().coalesce()
    dim = dim % x.dim()
    if dim >= x.sparse_dim():
        along = OPS["log_softmax" if logarithm else "softmax"].function
        return x.with_values(along(x._value, dim - x.sparse_dim() + 1))
    others = SparseTensor(x._places, x._value, [1 if d == dim else n for d, n in enumerate(x.shape)])
    others._places = stack([x._places[d] * int(d != dim) for d in range(x.sparse_dim())])
    _, group = others.flat_places().unique(return_inverse=True)
    count = int(group.max()) + 1 if group.numel() else 0
    index = group.reshape(-1, *[1] * x.dense_dim()).expand(x._value.shape)
    start = x._value.new_full((count, *x._value.shape[1:]), -math.inf)
    peak = start.scatter_reduce(0, index, x._value.detach(), "amax")[group]
    shifted = x._value - peak
    terms = shifted.exp()
    totals = terms.new_zeros((count, *terms.shape[1:])).index_add(0, group, terms)[group]
    return x.with_values(shifted - totals.log() if logarithm else terms / totals)


# ---------------------------------------------------------------------------------------------- methods


def to_sparse(
    self: Any, sparse_dim: Any = None, *, layout: Any = None, blocksize: Any = None, dense_dim: int | None = None
) -> Any:
    """The tensor in a sparse layout, by default coordinates: entries are what is not zero (of slices of the last
    dimensions, if `sparse_dim` is less than their number).

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([0., 5.]).to_sparse().values()
        tensor([5.])
    """
    if isinstance(sparse_dim, _formats.layout):
        sparse_dim, layout = None, sparse_dim
    x = self.to_sparse_coo() if isinstance(self, Sparse) else _coordinates(self, sparse_dim)
    if layout in (None, _formats.sparse_coo):
        return x
    if layout not in TRANSPOSED:
        raise RuntimeError(f"to_sparse expected a sparse layout, got {layout}")
    return compressed(x, layout, blocksize)


def _coordinates(t: Any, sparse_dim: int | None) -> SparseTensor:
    count = t.dim() if sparse_dim is None else sparse_dim
    if not 0 <= count <= t.dim():
        raise RuntimeError(f"sparse_dim must lie in [0, {t.dim()}], got {count}")
    flat = t.reshape((math.prod(t.shape[:count]), *t.shape[count:]))
    used = flat.detach() != 0
    kept = used.reshape(flat.shape[0], -1).any(1).nonzero().reshape(-1)
    return SparseTensor(places_of(kept, t.shape[:count]), flat.index_select(0, kept), t.shape, True)


def _to_layout(layout: Any, name: str, blocked: bool) -> Callable:
    if blocked:

        def convert(self: Any, blocksize: Sequence[int], dense_dim: int | None = None) -> Any:
            return to_sparse(self, layout=layout, blocksize=tuple(blocksize))
    else:

        def convert(self: Any, dense_dim: int | None = None) -> Any:  # type: ignore[misc]
            return to_sparse(self, layout=layout)

    convert.__name__ = convert.__qualname__ = name
    convert.__doc__ = f"The matrix in the layout {layout}{', of blocks of a size' if blocked else ''}."
    return convert


def sparse_mask(self: Any, mask: Any) -> SparseTensor:
    """What the tensor has in the places of the sparse tensor `mask`."""
    m = mask.to_sparse_coo().coalesce()
    if isinstance(self, Sparse):
        return mul(self.to_sparse_coo(), m.with_values(m._value.detach().new_ones(m._value.shape)))
    count = math.prod(m.shape[: m.sparse_dim()])
    picked = self.reshape((count, *m._value.shape[1:])).index_select(0, m.flat_places())
    return SparseTensor(m._places, picked, m.shape, True)


def to_dense(self: Any, dtype: Any = None, *, masked_grad: bool | None = None) -> Any:
    """The tensor itself (in `dtype`): it is dense."""
    return self if dtype is None else self.to(dtype)


def _only_sparse(name: str) -> Callable:
    def refuse(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"{name} expected a sparse tensor layout but got torch.strided; call .to_sparse() first")

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = f"`{name}` of sparse tensors; RuntimeError, since this one is dense."
    return refuse


TO_LAYOUTS: dict[str, Callable] = {
    "to_sparse": to_sparse,
    "to_sparse_csr": _to_layout(_formats.sparse_csr, "to_sparse_csr", False),
    "to_sparse_csc": _to_layout(_formats.sparse_csc, "to_sparse_csc", False),
    "to_sparse_bsr": _to_layout(_formats.sparse_bsr, "to_sparse_bsr", True),
    "to_sparse_bsc": _to_layout(_formats.sparse_bsc, "to_sparse_bsc", True),
    "sparse_mask": sparse_mask,
}
OF_SPARSE_ONLY = (
    "ccol_indices", "coalesce", "col_indices", "crow_indices", "indices", "is_coalesced", "row_indices",
    "sparse_resize_", "sparse_resize_and_clear_", "values",
)  # fmt: skip
METHODS: dict[str, Callable] = {
    **TO_LAYOUTS,
    "to_sparse_coo": lambda self: to_sparse(self),
    "to_dense": to_dense,
    "dense_dim": lambda self: self.dim(),
    "sparse_dim": lambda self: 0,
    **{name: _only_sparse(name) for name in OF_SPARSE_ONLY},
}
for _name, _method in TO_LAYOUTS.items():
    setattr(Sparse, _name, _method)


# ---------------------------------------------------------------------------------------------- functions of torch


def resize_as_sparse_(input: Any, the_template: Any) -> Any:
    """Give a sparse tensor the shape of another, dropping its entries, in place."""
    return input.sparse_resize_and_clear_(the_template.shape, the_template.sparse_dim(), the_template.dense_dim())


def smm(input: Any, mat: Any) -> Any:
    """The product of a sparse and a dense matrix, as a sparse one."""
    return to_sparse(matmul(input, mat))


def sspaddmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """`beta * input + alpha * (mat1 @ mat2)` for sparse `input` and `mat1`, as a sparse matrix."""
    return add(mul(input, beta), mul(smm(mat1, mat2), alpha)).coalesce()


def saddmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """`beta * input + alpha * (mat1 @ mat2)` for a sparse `mat1`, dense."""
    return OPS["add"].function(input * beta, matmul(mat1, mat2) * alpha)


def hspmm(mat1: Any, mat2: Any) -> Any:
    """The product of a sparse and a dense matrix, with one sparse dimension of rows."""
    return to_sparse(matmul(mat1, mat2), 1)


def spmm(input: Any, mat2: Any) -> Any:
    """The product of a sparse matrix with a matrix or vector."""
    return OPS["matmul"].function(input, mat2)


def _indices_copy(name: str) -> Callable:
    def copied(input: Any) -> Any:
        return getattr(input, name)().clone()

    copied.__name__ = copied.__qualname__ = name + "_copy"
    copied.__doc__ = f"A copy of `input.{name}()` of a sparse tensor."
    return copied


FUNCTIONS: dict[str, Callable] = {
    "resize_as_sparse_": resize_as_sparse_,
    "smm": smm,
    "sspaddmm": sspaddmm,
    "saddmm": saddmm,
    "hspmm": hspmm,
    "hsmm": hspmm,
    "spmm": spmm,
    "dsmm": spmm,
    **{
        name + "_copy": _indices_copy(name)
        for name in ("ccol_indices", "col_indices", "crow_indices", "indices", "row_indices", "values")
    },
}
METHODS.update({name: FUNCTIONS[name] for name in ("resize_as_sparse_", "smm", "sspaddmm")})
