"""Sparse tensors (`torch.sparse`): products, sums, softmax. Making and converting them is in `torch` and `Tensor`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau import _api as torch
from flambeau._core.homes import absent
from flambeau._tensor import sparse_operations
from flambeau._tensor.sparse import Sparse, SparseTensor

__all__ = [
    "addmm", "as_sparse_gradcheck", "check_sparse_tensor_invariants", "log_softmax", "mm", "sampled_addmm", "softmax",
    "spdiags", "sum",
]  # fmt: skip

REDUCTIONS = ("sum", "mean", "amax", "amin")


def mm(mat1: Any, mat2: Any, reduce: str = "sum") -> Any:
    """The product of a sparse matrix with a dense one (dense) or another sparse one (sparse); gradients for both.

    `reduce` says how the terms of an element are combined: "sum", "mean" of those present, "amax" or "amin"; the latter
    three want a CSR matrix and a dense one.

    Example::

        >>> a = torch.tensor([[0., 2.], [0., 0.]]).to_sparse()
        >>> mm(a, torch.tensor([[1.], [3.]]))
        tensor([[6.],
                [0.]])
    """
    if reduce == "sum":
        return torch.mm(mat1, mat2)
    if reduce not in REDUCTIONS:
        raise RuntimeError(f"torch.sparse.mm: reduce must be one of {REDUCTIONS}, got {reduce!r}")
    if getattr(mat1, "layout", None) is not torch.sparse_csr or isinstance(mat2, Sparse):
        raise RuntimeError(f"torch.sparse.mm with reduce={reduce!r} expects a CSR matrix and a dense one")
    a = mat1.to_sparse_coo()
    rows, columns = a.indices()
    terms = a.values().unsqueeze(1) * mat2.index_select(0, columns)
    kind = {"mean": "mean"}.get(reduce, reduce)
    start = terms.new_zeros((a.shape[0], mat2.shape[1]))
    return start.scatter_reduce(0, rows.unsqueeze(1).expand(terms.shape), terms, kind, include_self=False)


def addmm(mat: Any, mat1: Any, mat2: Any, *, beta: float = 1.0, alpha: float = 1.0) -> Any:
    """`beta * mat + alpha * (mat1 @ mat2)` for a sparse `mat1`.

    Example::

        >>> a = torch.tensor([[2.]]).to_sparse()
        >>> addmm(torch.ones(1, 1), a, torch.ones(1, 1))
        tensor([[3.]])
    """
    return mat * beta + torch.mm(mat1, mat2) * alpha


def sampled_addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1.0, alpha: float = 1.0) -> Any:
    """`beta * input + alpha * (mat1 @ mat2)` in the places of the CSR matrix `input` alone: only those products are
    computed.

    Example::

        >>> places = torch.tensor([[0., 1.]]).to_sparse_csr()
        >>> sampled_addmm(places, torch.tensor([[2.]]), torch.tensor([[3., 4.]])).values()
        tensor([9.])
    """
    rows, columns = input.to_sparse_coo().indices()
    products = (mat1.index_select(0, rows) * mat2.transpose(0, 1).index_select(0, columns)).sum(1)
    return input.with_values(input.values() * beta + products * alpha)


def sum(input: Any, dim: int | Sequence[int] | None = None, dtype: Any = None) -> Any:  # noqa: A001
    """The sum of all entries (dense), or over `dim`: sparse, unless no sparse dimension is left.

    Example::

        >>> sum(torch.tensor([[1., 0.], [2., 3.]]).to_sparse(), 0).to_dense()
        tensor([3., 3.])
    """
    return sparse_operations.total(input, dim, False, dtype)


def softmax(input: Any, dim: int, *, dtype: Any = None) -> SparseTensor:
    """Softmax along `dim` of the entries that are there; all others count as minus infinity and stay out.

    Example::

        >>> softmax(torch.tensor([[1., 0., 1.]]).to_sparse(), 1).values()
        tensor([0.5000, 0.5000])
    """
    return sparse_operations.softmax_rows(input if dtype is None else input.to(dtype), dim, False)


def log_softmax(input: Any, dim: int, *, dtype: Any = None) -> SparseTensor:
    """The logarithm of `softmax`.

    Example::

        >>> log_softmax(torch.tensor([[1., 0., 1.]]).to_sparse(), 1).values()
        tensor([-0.6931, -0.6931])
    """
    return sparse_operations.softmax_rows(input if dtype is None else input.to(dtype), dim, True)


def spdiags(diagonals: Any, offsets: Any, shape: Sequence[int], layout: Any = None) -> Any:
    """A sparse matrix with rows of `diagonals` on the diagonals `offsets` (0 the main one, above it positive): element
    j of a row stands in column j.

    Example::

        >>> spdiags(torch.tensor([[1., 2.]]), torch.tensor([0]), (2, 2)).to_dense()
        tensor([[1., 0.],
                [0., 2.]])
    """
    lines = diagonals if diagonals.dim() == 2 else diagonals.unsqueeze(0)
    steps = offsets.reshape(-1, 1)
    if len(set(steps.reshape(-1).tolist())) < steps.shape[0]:
        raise RuntimeError("Offset tensor contains duplicate values")
    columns = torch.arange(lines.shape[1]).expand(lines.shape)
    rows = columns - steps
    inside = (rows >= 0) & (rows < shape[0]) & (columns < shape[1])
    index = torch.stack([rows[inside], columns[inside]])
    made = torch.sparse_coo_tensor(index, lines[inside], tuple(shape)).coalesce()
    return made if layout in (None, torch.sparse_coo) else made.to_sparse(layout=layout)


class check_sparse_tensor_invariants:  # noqa: N801 (PyTorch's name)
    """A switch, context manager and decorator. Indices are always checked here, so it has nothing to change.

    Example::

        >>> with check_sparse_tensor_invariants():
        ...     check_sparse_tensor_invariants.is_enabled()
        True
    """

    def __init__(self, enable: bool = True) -> None:
        self.enabled = enable

    @staticmethod
    def is_enabled() -> bool:
        """Are indices checked when a sparse tensor is made? Always."""
        return True

    @staticmethod
    def enable() -> None:
        """Check indices, which is done anyway."""

    @staticmethod
    def disable() -> None:
        """Checks stay on: they cost little beside making the tensor."""

    def __enter__(self) -> check_sparse_tensor_invariants:
        return self

    def __exit__(self, *exception: Any) -> None:
        pass

    def __call__(self, function: Any) -> Any:
        return function


def as_sparse_gradcheck(gradcheck: Any) -> Any:
    """`gradcheck` for functions of sparse tensors: each sparse input is given by its values.

    Example::

        >>> check = as_sparse_gradcheck(torch.autograd.gradcheck)
        >>> a = torch.eye(2, dtype=torch.float64).to_sparse().requires_grad_()
        >>> check(lambda s: torch.sparse.sum(s), (a,))
        True
    """

    def check(function: Any, inputs: Any, **options: Any) -> bool:
        given = inputs if isinstance(inputs, (tuple, list)) else (inputs,)
        values = [x._value.detach().requires_grad_(x.requires_grad) if isinstance(x, Sparse) else x for x in given]

        def of_values(*args: Any) -> Any:
            made = [x.with_values(a) if isinstance(x, Sparse) else a for x, a in zip(given, args, strict=True)]
            found = function(*made)
            return found._value if isinstance(found, Sparse) else found

        return gradcheck(of_values, tuple(values), **options)

    return check


__getattr__ = absent("torch.sparse")
