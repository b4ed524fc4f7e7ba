"""Contractions: products of matrices and vectors.

One operation does the work, `matmul`; everything else (mm, bmm, linear, einsum, ...) is written in terms of it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops import _expand
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
        raise RuntimeError(
            errors.explain(
                f"expected m1 and m2 to have the same dtype, but got: {errors.TYPE_NAMES[a.dtype.name]} != "
                f"{errors.TYPE_NAMES[b.dtype.name]}",
                hint=f"convert one of them, e.g. the first with {errors.conversion(b.dtype.name)}",
                site=user_site(4),
            )
        )
    inner_a, inner_b = a.shape[-1], b.shape[-2 if b.ndim > 1 else 0]
    if inner_a != inner_b:
        raise RuntimeError(_mismatch(a, b, inner_a, inner_b))
    batch = broadcast_shapes((a.shape[:-2], b.shape[:-2]), "matmul")
    rows = (a.shape[-2],) if a.ndim > 1 else ()
    columns = (b.shape[-1],) if b.ndim > 1 else ()
    return contiguous(a.dtype, (*batch, *rows, *columns))


def _mismatch(a: Meta, b: Meta, inner_a: int, inner_b: int) -> str:
    if a.ndim == 1 and b.ndim == 1:
        fact = (
            f"inconsistent tensor size, expected tensor [{inner_a}] and src [{inner_b}] to have the same number of "
            f"elements, "
            f"but got {inner_a} and {inner_b} elements respectively"
        )
    elif a.ndim == 2 and b.ndim == 1:
        fact = f"size mismatch, got input ({a.shape[0]}), mat ({a.shape[0]}x{a.shape[1]}), vec ({b.shape[0]})"
    else:
        left = f"{a.numel // max(inner_a, 1)}x{inner_a}"
        right = f"{inner_b}x{b.shape[-1] if b.ndim > 1 else 1}"
        fact = f"mat1 and mat2 shapes cannot be multiplied ({left} and {right})"
    return errors.explain(
        f"{fact}; the tensors have shapes {list(a.shape)} and {list(b.shape)}",
        hint=f"the last size of the first ({inner_a}) must equal the first matrix size of the second ({inner_b})",
        site=user_site(5),
    )


def _product_name(left: Meta, right: Meta) -> str:
    """The node's name: PyTorch has an operation for each pair of ranks."""
    kinds = {(2, 2): "Mm", (2, 1): "Mv", (1, 1): "Dot", (1, 2): "Mm"}
    return kinds.get((left.ndim, right.ndim), "Bmm") + "Backward0"


@library(
    node_name=_product_name,
    expand=_expand.matmul,
    category="contract",
    infer=infer_matmul,
    gradient={
        "input": lambda g, other, input_meta: _grad_left(g, other, input_meta),
        "other": lambda g, input, other_meta: _grad_right(g, input, other_meta),
    },
    snapshots=lambda a, b: ("other",) if a.ndim <= 2 < b.ndim else (),  # there PyTorch multiplies a transposed copy
)
def matmul(input: Any, other: Any) -> Any:
    """The matrix product, batched over leading dimensions (which broadcast); 1-d operands are rows on the left, columns
    on the right.

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


def _rows(x: Any) -> Any:
    """A batch of matrices as one matrix of all their rows."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _grad_left(g: Any, b: Any, a: Meta) -> Any:
    b = b.conj() if b.dtype.is_complex else b
    if b.dim() == 1:
        return g.unsqueeze(-1) * b if a.ndim > 1 else g * b
    if a.ndim == 1:
        g = g.unsqueeze(-2)
        return sum_to_size((g @ b.transpose(-1, -2)).squeeze(-2), a.shape)
    if b.dim() == 2 and a.ndim > 2:
        return (_rows(g) @ b.transpose(0, 1)).reshape(a.shape)
    return sum_to_size(g @ b.transpose(-1, -2), a.shape)


def _grad_right(g: Any, a: Any, b: Meta) -> Any:
    a = a.conj() if a.dtype.is_complex else a
    if a.dim() == 1:
        if b.ndim == 1:
            return g * a
        return sum_to_size(a.unsqueeze(-1) * g.unsqueeze(-2), b.shape)
    if b.ndim == 1:
        return (g.reshape(1, -1) @ _rows(a)).reshape(b.shape)
    if b.ndim == 2 and a.dim() > 2:
        return _rows(a).transpose(0, 1) @ _rows(g)
    return sum_to_size(a.transpose(-1, -2) @ g, b.shape)


def _require(op: str, ranks: tuple[int, ...], *tensors: Any) -> None:
    """RuntimeError unless the tensors have these numbers of dimensions."""
    if tuple([t.dim() for t in tensors]) != ranks:
        wanted = " and ".join(f"{r}D" for r in ranks)
        raise RuntimeError(
            errors.explain(
                f"{op}: expected {wanted} tensors, got shapes {' and '.join(str(list(t.shape)) for t in tensors)}",
                site=user_site(4),
            )
        )


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


@composite()
def bmm(input: Any, mat2: Any) -> Any:
    """The products of two batches of matrices, [B, n, m] and [B, m, p].

    Example::

        >>> import flambeau as torch
        >>> torch.bmm(torch.ones(2, 1, 3), torch.ones(2, 3, 1)).shape
        torch.Size([2, 1, 1])
    """
    _require("bmm", (3, 3), input, mat2)
    first, second = input._meta.shape, mat2._meta.shape
    if first[0] != second[0]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{first[0]}, {first[2]}] but got: "
            f"[{second[0]}, {second[1]}]."
        )
    return matmul(input, mat2)


@composite()
def mv(input: Any, vec: Any) -> Any:
    """The product of a matrix and a vector.

    Example::

        >>> import flambeau as torch
        >>> torch.mv(torch.eye(2), torch.tensor([1., 2.]))
        tensor([1., 2.])
    """
    _require("mv", (2, 1), input, vec)
    return matmul(input, vec)


@composite()
def dot(input: Any, tensor: Any) -> Any:
    """The sum of products of two vectors, without conjugation; RuntimeError for anything but 1-d tensors.

    Example::

        >>> import flambeau as torch
        >>> torch.dot(torch.tensor([1., 2.]), torch.tensor([3., 4.]))
        tensor(11.)
    """
    if input.dim() != 1 or tensor.dim() != 1:
        raise RuntimeError(
            errors.explain(
                f"1D tensors expected, but got {input.dim()}D and {tensor.dim()}D tensors",
                hint="use torch.matmul for matrices",
                site=user_site(3),
            )
        )
    return matmul(input, tensor)


@composite(node_name="VdotBackward0", shows=("input", "other"))
def vdot(input: Any, other: Any) -> Any:
    """The sum of products of the conjugate of `input` with `other`.

    Example::

        >>> import flambeau as torch
        >>> torch.vdot(torch.tensor([1., 2.]), torch.tensor([3., 4.]))
        tensor(11.)
    """
    _require("vdot", (1, 1), input, other)
    return matmul(input.conj(), other)


@composite()
def inner(input: Any, other: Any) -> Any:
    """Sums of products over the last dimensions of both.

    Example::

        >>> import flambeau as torch
        >>> torch.inner(torch.tensor([1., 2.]), torch.tensor([3., 4.]))
        tensor(11.)
    """
    if input.dim() == 0 or other.dim() == 0:
        return input * other
    if input.shape[-1] != other.shape[-1]:
        raise RuntimeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(input.shape)} and {list(other.shape)}"
        )
    flat = input.reshape(-1, input.shape[-1]) @ other.reshape(-1, other.shape[-1]).transpose(0, 1)
    return flat.reshape((*input.shape[:-1], *other.shape[:-1]))


@composite(out="castable", aliases=("ger",))
def outer(input: Any, vec2: Any) -> Any:
    """All products of the elements of two vectors, [n, m].

    Example::

        >>> import flambeau as torch
        >>> torch.outer(torch.tensor([1, 2]), torch.tensor([3, 4]))
        tensor([[3, 4],
                [6, 8]])
    """
    _require("outer", (1, 1), input, vec2)
    return input.unsqueeze(1) * vec2


# ---------------------------------------------------------------------------------------------- products added to
# something


def _added(input: Any, product: Any, beta: Any, alpha: Any) -> Any:
    """`beta * input + alpha * product`; with beta 0 the input is ignored, NaN included. Integers take integers."""
    if not (product.dtype.is_floating_point or product.dtype.is_complex):
        alpha, beta = int(alpha), int(beta)
    scaled = product if alpha == 1 else product * alpha
    if beta == 0:
        return scaled if scaled.dtype is input.dtype else scaled.to(input.dtype)
    return (input if beta == 1 else input * beta) + scaled


@composite(
    legacy=("beta", "alpha"), overlap="same", node_name="AddmmBackward0", shows=("input", "mat1", "mat2"), inplace=True
)
def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """`beta * input + alpha * mat1 @ mat2`.

    Example::

        >>> import flambeau as torch
        >>> torch.addmm(torch.ones(1), torch.eye(2), torch.eye(2))
        tensor([[2., 1.],
                [1., 2.]])
    """
    return _added(input, mm(mat1, mat2), beta, alpha)


@composite(
    legacy=("beta", "alpha"), overlap="same", node_name="AddmvBackward0", shows=("input", "mat", "vec"), inplace=True
)
def addmv(input: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """`beta * input + alpha * mat @ vec`.

    Example::

        >>> import flambeau as torch
        >>> torch.addmv(torch.ones(2), torch.eye(2), torch.ones(2))
        tensor([2., 2.])
    """
    return _added(input, mv(mat, vec), beta, alpha)


@composite(
    legacy=("beta", "alpha"),
    out="castable",
    overlap="same",
    node_name="AddrBackward0",
    shows=("input", "vec1", "vec2"),
    inplace=True,
)
def addr(input: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """`beta * input + alpha * outer(vec1, vec2)`; of booleans, with "and" for times and "or" for plus.

    Example::

        >>> import flambeau as torch
        >>> torch.addr(torch.zeros(2, 2), torch.ones(2), torch.ones(2))
        tensor([[1., 1.],
                [1., 1.]])
    """
    if all([t._meta.dtype is dtypes.bool_ for t in (input, vec1, vec2)]):
        return (input & bool(beta)) | (outer(vec1, vec2) & bool(alpha))
    return _added(input, outer(vec1, vec2), beta, alpha)


@composite(
    legacy=("beta", "alpha"),
    overlap="same",
    node_name="AddbmmBackward0",
    shows=("input", "batch1", "batch2"),
    inplace=True,
)
def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """`beta * input + alpha * sum over the batch of batch1 @ batch2`.

    Example::

        >>> import flambeau as torch
        >>> torch.addbmm(torch.zeros(1, 1), torch.ones(2, 1, 3), torch.ones(2, 3, 1))
        tensor([[6.]])
    """
    return _added(input, bmm(batch1, batch2).sum(0, dtype=input.dtype), beta, alpha)


@composite(
    legacy=("beta", "alpha"),
    overlap="same",
    node_name="BaddbmmBackward0",
    shows=("input", "batch1", "batch2"),
    inplace=True,
)
def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """`beta * input + alpha * batch1 @ batch2`.

    Example::

        >>> import flambeau as torch
        >>> torch.baddbmm(torch.zeros(1), torch.ones(2, 1, 3), torch.ones(2, 3, 1)).reshape(-1)
        tensor([3., 3.])
    """
    return _added(input, bmm(batch1, batch2), beta, alpha)


@composite(method=False)
def chain_matmul(*matrices: Any) -> Any:
    """The product of several matrices (deprecated in PyTorch: linalg.multi_dot).

    Example::

        >>> import flambeau as torch
        >>> torch.chain_matmul(torch.eye(2), torch.eye(2), torch.ones(2, 1))
        tensor([[1.],
                [1.]])
    """
    product = matrices[0]
    for m in matrices[1:]:
        product = mm(product, m)
    return product


@composite(method=False)
def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Sums of products over pairs of dimensions: the last `dims` of `a` with the first of `b`, or two lists of
    dimensions.

    Example::

        >>> import flambeau as torch
        >>> torch.tensordot(torch.ones(2, 3), torch.ones(3, 4), 1).shape
        torch.Size([2, 4])
    """
    if isinstance(dims, int):
        if dims < 0 or dims > min(a.dim(), b.dim()):
            raise RuntimeError(f"tensordot expects dims >= 0 and at most the number of dimensions, but got dims={dims}")
        left, right = list(range(a.dim() - dims, a.dim())), list(range(dims))
    else:
        pair = dims.tolist() if hasattr(dims, "tolist") else dims
        left, right = [[d] if isinstance(d, int) else list(d) for d in pair]
    left, right = [d % a.dim() for d in left], [d % b.dim() for d in right]
    for i, j in zip(left, right, strict=True):
        if a.shape[i] == 1 or b.shape[j] == 1:  # a size of 1 stretches: the other side can be summed first
            a = a.sum(i, keepdim=True) if b.shape[j] == 1 else a
            b = b.sum(j, keepdim=True) if a.shape[i] == 1 else b
        if a.shape[i] != b.shape[j]:
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {a.shape[i]} in dim {i} and second has size "
                f"{b.shape[j]} in dim {j}"
            )
    rest_a = [d for d in range(a.dim()) if d not in left]
    rest_b = [d for d in range(b.dim()) if d not in right]
    size = 1
    for i in left:
        size *= a.shape[i]
    flat_a = a.permute([*rest_a, *left]).reshape((-1, size) if size else (_numel(a, rest_a), 0))
    flat_b = b.permute([*right, *rest_b]).reshape((size, -1) if size else (0, _numel(b, rest_b)))
    return (flat_a @ flat_b).reshape((*[a.shape[d] for d in rest_a], *[b.shape[d] for d in rest_b]))


def _numel(t: Any, dims: list[int]) -> int:
    count = 1
    for d in dims:
        count *= t.shape[d]
    return count
