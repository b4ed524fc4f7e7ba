"""Contractions: products of matrices and vectors.

One operation does the work, `matmul`; everything else (mm, bmm, linear, einsum, ...) is written in terms of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau._core import errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops.infer import broadcast_shapes
from flambeau._ops.reduce import sum_to_size
from flambeau._ops.registry import composite, library

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


def infer_matmul(a: Meta, b: Meta) -> Meta:
    """The meta of `a @ b`; RuntimeError naming both shapes where they do not fit."""
    if not isinstance(a, Meta) or not isinstance(b, Meta):
        wrong = b if isinstance(a, Meta) else a
        raise TypeError(f"matmul(): both arguments must be Tensor, got {type(wrong).__name__}")
    if a.ndim == 0 or b.ndim == 0:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {a.ndim}D and {b.ndim}D")
    if a.dtype is not b.dtype:
        raise RuntimeError(errors.explain(
            f"expected m1 and m2 to have the same dtype, but got: {errors.TYPE_NAMES[a.dtype.name]} != "
            f"{errors.TYPE_NAMES[b.dtype.name]}", hint="convert one of them, e.g. x.float()", site=user_site(4),
        ))
    inner_a, inner_b = a.shape[-1], b.shape[-2 if b.ndim > 1 else 0]
    if inner_a != inner_b:
        raise RuntimeError(_mismatch(a, b, inner_a, inner_b))
    batch = broadcast_shapes((a.shape[:-2], b.shape[:-2]), "matmul")
    rows = (a.shape[-2],) if a.ndim > 1 else ()
    columns = (b.shape[-1],) if b.ndim > 1 else ()
    return contiguous(a.dtype, (*batch, *rows, *columns))


def _mismatch(a: Meta, b: Meta, inner_a: int, inner_b: int) -> str:
    if a.ndim == 1 and b.ndim == 1:
        fact = (f"inconsistent tensor size, expected tensor [{inner_a}] and src [{inner_b}] to have the same number of elements, "
                f"but got {inner_a} and {inner_b} elements respectively")
    elif a.ndim == 2 and b.ndim == 1:
        fact = f"size mismatch, got input ({a.shape[0]}), mat ({a.shape[0]}x{a.shape[1]}), vec ({b.shape[0]})"
    else:
        left = f"{a.numel // max(inner_a, 1)}x{inner_a}"
        right = f"{inner_b}x{b.shape[-1] if b.ndim > 1 else 1}"
        fact = f"mat1 and mat2 shapes cannot be multiplied ({left} and {right})"
    return errors.explain(
        f"{fact}; the tensors have shapes {list(a.shape)} and {list(b.shape)}",
        hint=f"the last size of the first ({inner_a}) must equal the first matrix size of the second ({inner_b})", site=user_site(5),
    )


@library(
    category="contract", infer=infer_matmul,
    gradient={
        "input": lambda g, other, input_meta: _grad_left(g, other, input_meta),
        "other": lambda g, input, other_meta: _grad_right(g, input, other_meta),
    },
)
def matmul(input: Any, other: Any) -> Any:
    """The matrix product, batched over leading dimensions (which broadcast); 1-d operands are rows on the left, columns on the right.

    RuntimeError for sizes that do not fit or different dtypes. Half precision is computed in float32.

    Example::

        >>> import flambeau as torch
        >>> torch.ones(2, 3) @ torch.ones(3, 4)
        tensor([[3., 3., 3., 3.],
                [3., 3., 3., 3.]])
    """
    if input.dtype.itemsize == 2 and input.dtype.kind in "fV":
        return np.matmul(input.astype(np.float32), other.astype(np.float32))
    return np.matmul(input, other)


def _grad_left(g: Any, b: Any, a: Meta) -> Any:
    b = b.conj() if b.dtype.is_complex else b
    if b.dim() == 1:
        return g.unsqueeze(-1) * b if a.ndim > 1 else g * b
    if a.ndim == 1:
        g = g.unsqueeze(-2)
        return sum_to_size((g @ b.transpose(-1, -2)).squeeze(-2), a.shape)
    if b.dim() == 2 and a.ndim > 2:
        return (g.reshape(-1, g.shape[-1]) @ b.transpose(0, 1)).reshape(a.shape)
    return sum_to_size(g @ b.transpose(-1, -2), a.shape)


def _grad_right(g: Any, a: Any, b: Meta) -> Any:
    a = a.conj() if a.dtype.is_complex else a
    if a.dim() == 1:
        if b.ndim == 1:
            return g * a
        return sum_to_size(a.unsqueeze(-1) * g.unsqueeze(-2), b.shape)
    if b.ndim == 1:
        return (g.reshape(1, -1) @ a.reshape(-1, a.shape[-1])).reshape(b.shape)
    if b.ndim == 2 and a.dim() > 2:
        return a.reshape(-1, a.shape[-1]).transpose(0, 1) @ g.reshape(-1, g.shape[-1])
    return sum_to_size(a.transpose(-1, -2) @ g, b.shape)


def _require(op: str, ranks: tuple[int, ...], *tensors: Any) -> None:
    """RuntimeError unless the tensors have these numbers of dimensions."""
    if tuple([t.dim() for t in tensors]) != ranks:
        wanted = " and ".join(f"{r}D" for r in ranks)
        raise RuntimeError(errors.explain(
            f"{op}: expected {wanted} tensors, got shapes {' and '.join(str(list(t.shape)) for t in tensors)}", site=user_site(4)
        ))


@composite()
def mm(input: Any, mat2: Any) -> Any:
    """The product of two matrices.

    Example::

        >>> import flambeau as torch
        >>> torch.mm(torch.eye(2), torch.ones(2, 1))
        tensor([[1.],
                [1.]])
    """
    _require("mm", (2, 2), input, mat2)
    return matmul(input, mat2)
