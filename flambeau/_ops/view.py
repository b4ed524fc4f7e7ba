"""Views with other shapes: the same elements in other dimensions."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from flambeau._core import errors
from flambeau._core.dtypes import dtype as dtype_class
from flambeau._core.sites import user_site
from flambeau._core.size import RaggedSize, Size
from flambeau._ir import recording
from flambeau._ir.meta import Meta, contiguous_strides, meta
from flambeau._ops.infer import all_ints, broadcast_shapes, wrap_dim, wrap_dims
from flambeau._ops.registry import composite
from flambeau._ops.registry import view as view_op
from flambeau._ops.reinterpret import view_dtype
from flambeau._ops.strided import INTERNAL, owner


def sizes(args: tuple) -> tuple[int, ...]:
    """Sizes given one by one or as one sequence: `view(2, 3)` and `view((2, 3))`."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = tuple(args[0])
    return args if all_ints(args) else tuple([n if type(n) is int else _size(n, i) for i, n in enumerate(args)])


def _size(n: Any, place: int) -> int:
    """A size that is no plain int: NumPy's integers, tensors of one; TypeError for a float."""
    if isinstance(n, RaggedSize):
        return n  # type: ignore[return-value]
    try:
        return operator.index(n)
    except TypeError:
        raise TypeError(
            errors.explain(
                f"sizes must be integers, but the one at place {place} is {_shown(n)}",
                hint="a // b divides integers without making floats" if isinstance(n, float) else "",
                site=user_site(3),
            )
        ) from None


def _shown(n: Any) -> str:
    return f"the {type(n).__name__} {n!r}" if isinstance(n, (float, str)) else f"of type {type(n).__name__}"


def sizes_or(args: tuple, keyword: Any) -> tuple[int, ...]:
    """Sizes given by position or, instead, by keyword."""
    return sizes(args if keyword is None else (keyword,))


# ---------------------------------------------------------------------------------------------- view and reshape


@view_op(name="view", gradient={"input": lambda g, input_meta: reshape(g, input_meta.shape)}, **INTERNAL)
def view_(input: Meta, shape: tuple[int, ...]) -> Meta:
    """`input` with another shape over the same memory; RuntimeError where strides do not allow that."""
    shape = infer_size(shape, input)
    strides = view_strides(input, shape)
    if strides is None:
        raise RuntimeError(
            errors.explain(
                f"view size {list(shape)} is not compatible with input tensor's size {list(input.shape)} and stride "
                f"{list(input.strides)} "
                "(at least one dimension spans across two contiguous subspaces).",
                hint="Use .reshape(...) instead.",
                site=user_site(4),
            )
        )
    return meta(input.dtype, shape, strides, input.offset)


def infer_size(shape: tuple[int, ...], m: Meta) -> tuple[int, ...]:
    """`shape` with its -1 worked out; RuntimeError if it does not hold as many elements."""
    known = 1
    for n in shape:
        known *= 1 if n == -1 else n
    unknown = shape.count(-1)
    bad = unknown > 1 or any(n < -1 for n in shape)
    if not bad and unknown:
        if known == 0 or m.numel % known:
            bad = True
        else:
            shape = tuple([m.numel // known if n == -1 else n for n in shape])
            known = m.numel
    if bad or known != m.numel:
        raise RuntimeError(_no_shape(shape, m, known))
    return shape


def _no_shape(shape: tuple[int, ...], m: Meta, known: int) -> str:
    """Why `m` cannot get `shape`, whose sizes other than -1 make `known` elements."""
    fact = f"shape '{list(shape)}' is invalid for input of size {m.numel} (shape {list(m.shape)})"
    if shape.count(-1) > 1:
        fact = f"only one dimension can be inferred, by -1, but {fact}"
        hint = "write out all sizes but one"
    elif any(n < -1 for n in shape):
        hint = "a size is not negative; -1, once, stands for the size that is left"
    elif -1 in shape:
        hint = f"{m.numel} elements do not divide by the other sizes, which make {known}"
    else:
        hint = f"the sizes make {known} elements"
    return errors.explain(fact, hint=hint, site=user_site(6))


def view_strides(m: Meta, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Strides that show `m` as `shape` without a copy, or None. Runs of dimensions that lie densely are split and
    merged."""
    if shape == m.shape:
        return m.strides
    if m.is_contiguous or m.numel == 0:
        return contiguous_strides(shape)
    strides = [0] * len(shape)
    to = len(shape) - 1
    chunk, dense_to = 1, 1  # elements of the old chunk, elements of new dimensions matched to it
    base_stride = m.strides[-1] if m.ndim else 1
    for i in range(m.ndim - 1, -1, -1):
        chunk *= m.shape[i]
        if i == 0 or (m.shape[i - 1] != 1 and m.strides[i - 1] != chunk * base_stride):
            while to >= 0 and (dense_to < chunk or shape[to] == 1):
                strides[to] = dense_to * base_stride
                dense_to *= shape[to]
                to -= 1
            if dense_to != chunk:
                return None
            if i > 0:
                base_stride, chunk, dense_to = m.strides[i - 1], 1, 1
    return tuple(strides) if to < 0 else None


@composite(function=False, name="view")
def view(input: Any, *shape: Any, size: Any = None, dtype: Any = None) -> Any:
    """The same memory seen as another shape (one size may be -1) or, given a dtype, as other elements.

    RuntimeError if the strides do not allow the shape (use `reshape`), or if it has another number of elements. With a
    dtype of another width the last dimension shrinks or grows, and no gradients flow.

    Example::

        >>> import flambeau as torch
        >>> torch.arange(6).view(2, -1)
        tensor([[0, 1, 2],
                [3, 4, 5]])
    """
    if len(shape) == 1 and isinstance(shape[0], dtype_class):
        dtype = shape[0]
    return view_(input, sizes_or(shape, size)) if dtype is None else view_dtype(input.detach(), dtype)


@composite()
def reshape(input: Any, *args: Any, shape: Any = None) -> Any:
    """`input` in another shape, a view where possible and a copy otherwise; one size may be -1.

    Example::

        >>> import flambeau as torch
        >>> torch.arange(6).reshape(2, -1).shape
        torch.Size([2, 3])
    """
    return _reshaped(input, sizes_or(args, shape))


def _reshaped(input: Any, wanted: tuple[int, ...]) -> Any:
    if _is_view(input._meta, wanted):
        return view_(input, wanted)
    copy = input.contiguous()
    result = owner(view_(copy, wanted))
    if recording.grad_enabled():
        recording.present(result, "UnsafeViewBackward0", [copy])
    return result


@lru_cache(maxsize=4096)
def _is_view(m: Meta, shape: tuple[int, ...]) -> bool:
    """Does `reshape` need no copy? RuntimeError for another number of elements. What has no layout in memory of its own
    sees to that itself."""
    if type(m) is not Meta:
        return True
    return view_strides(m, infer_size(shape, m)) is not None


@composite(function=False)
def view_as(input: Any, other: Any) -> Any:
    """`input` viewed with the shape of `other`.

    Example::

        >>> import flambeau as torch
        >>> torch.arange(4).view_as(torch.ones(2, 2))
        tensor([[0, 1],
                [2, 3]])
    """
    return view_(input, other._meta.shape)


@composite(function=False)
def reshape_as(input: Any, other: Any) -> Any:
    """`input` reshaped to the shape of `other`.

    Example::

        >>> import flambeau as torch
        >>> torch.arange(4).reshape_as(torch.ones(2, 2)).shape
        torch.Size([2, 2])
    """
    return reshape(input, other._meta.shape)


@composite()
def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Dimensions `start_dim` to `end_dim`, both included, merged into one; a 0-dim tensor gets one dimension.

    Example::

        >>> import flambeau as torch
        >>> torch.ones(2, 3, 4).flatten(1).shape
        torch.Size([2, 12])
    """
    m = input._meta
    first, last = wrap_dim(start_dim, m.ndim), wrap_dim(end_dim, m.ndim)
    if first > last:
        raise RuntimeError(
            errors.explain(
                f"flatten() has invalid args: start_dim ({start_dim}) cannot come after end_dim ({end_dim})",
                site=user_site(3),
            )
        )
    if m.ndim == 0:
        return reshape(input, 1)
    if first == last:
        return input
    merged = 1
    for n in m.shape[first : last + 1]:
        merged *= n
    return _reshaped(input, (*m.shape[:first], merged, *m.shape[last + 1 :]))


@composite()
def ravel(input: Any) -> Any:
    """The elements in one dimension, in row-major order; a view where possible.

    Example::

        >>> import flambeau as torch
        >>> torch.ones(2, 3).ravel().shape
        torch.Size([6])
    """
    return view_(input.contiguous(), (-1,) if input._meta.numel else (0,))


@composite()
def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Any:
    """Dimension `dim` split into several of the given sizes, one of which may be -1.

    RuntimeError if their product is not the size of the dimension.

    Example::

        >>> import flambeau as torch
        >>> torch.ones(2, 6).unflatten(1, (3, -1)).shape
        torch.Size([2, 3, 2])
    """
    m = input._meta
    dim = wrap_dim(dim, m.ndim)
    parts = list(sizes)
    known, unknown = 1, parts.count(-1)
    for n in parts:
        known *= 1 if n == -1 else n
    if not parts:
        raise RuntimeError("unflatten: sizes must be non-empty")
    if unknown == 1 and known and m.shape[dim] % known == 0:
        parts[parts.index(-1)] = m.shape[dim] // known
    elif unknown or known != m.shape[dim]:
        raise RuntimeError(
            errors.explain(
                f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {dim} ({m.shape[dim]}) "
                f"in the input tensor",
                site=user_site(3),
            )
        )
    return view_(input, (*m.shape[:dim], *parts, *m.shape[dim + 1 :]))


# ---------------------------------------------------------------------------------------------- expand


@view_op(name="expand", gradient={"input": lambda g: g}, **INTERNAL)
def expand_(input: Meta, shape: tuple[int, ...]) -> Meta:
    """Dimensions of size 1 repeated without a copy (stride 0); -1 keeps a size."""
    lead = len(shape) - input.ndim
    if lead < 0:
        raise RuntimeError(
            errors.explain(
                f"expand(torch.{input.dtype.name}{list(input.shape)}, size={list(shape)}): the number of sizes "
                f"provided ({len(shape)}) "
                f"must be greater or equal to the number of dimensions in the tensor ({input.ndim})",
                site=user_site(4),
            )
        )
    result, strides = list(shape), [0] * len(shape)
    for i, n in enumerate(shape):
        own = input.shape[i - lead] if i >= lead else 1
        if n == -1 and i >= lead:
            result[i] = own
        elif n != own and own != 1 or n < 0:
            raise RuntimeError(
                errors.explain(
                    f"The expanded size of the tensor ({n}) must match the existing size ({own}) at non-singleton "
                    f"dimension {i}.  "
                    f"Target sizes: {list(shape)}.  Tensor sizes: {list(input.shape)}",
                    site=user_site(4),
                )
            )
        if result[i] == own:
            strides[i] = input.strides[i - lead] if i >= lead else 0
    return meta(input.dtype, result, strides, input.offset)


@composite(function=False)
def expand(input: Any, *args: Any, size: Any = None, implicit: bool = False) -> Any:
    """Dimensions of size 1 repeated to larger sizes, and new ones added in front, without a copy; -1 keeps a size.

    RuntimeError if a size differs from one that is not 1.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[1], [2]]).expand(-1, 3)
        tensor([[1, 1, 1],
                [2, 2, 2]])
    """
    return expand_(input, sizes_or(args, size))


@composite(function=False)
def expand_as(input: Any, other: Any) -> Any:
    """`input` expanded to the shape of `other`.

    Example::

        >>> import flambeau as torch
        >>> torch.ones(3).expand_as(torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """
    return expand_(input, other._meta.shape)


@composite()
def broadcast_to(input: Any, size: Sequence[int]) -> Any:
    """`input` broadcast to the shape `size`, without a copy.

    Example::

        >>> import flambeau as torch
        >>> torch.broadcast_to(torch.tensor([1, 2]), (2, 2))
        tensor([[1, 2],
                [1, 2]])
    """
    return expand_(input, sizes((size,)))


@composite(method=False)
def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """The tensors, each expanded to the shape they all broadcast to; RuntimeError if there is none.

    Example::

        >>> import flambeau as torch
        >>> a, b = torch.broadcast_tensors(torch.ones(3, 1), torch.ones(2))
        >>> a.shape == b.shape == (3, 2)
        True
    """
    tensors = unpacked(tensors)
    shape = broadcast_shapes([t._meta.shape for t in tensors])
    return tuple([expand_(t, shape) for t in tensors])


@composite(method=False, name="broadcast_shapes")
def common_shape(*shapes: int | Sequence[int]) -> Size:
    """The shape that tensors of these shapes broadcast to; RuntimeError if there is none. A number is one size.

    Example::

        >>> import flambeau as torch
        >>> torch.broadcast_shapes((3, 1), (4,), 1)
        torch.Size([3, 4])
    """
    given = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    if any(n < 0 for s in given for n in s):
        raise RuntimeError(
            errors.explain(f"Trying to create tensor with negative dimension: shapes {list(given)}", site=user_site(3))
        )
    return Size(broadcast_shapes(given))


def unpacked(tensors: tuple) -> tuple:
    """Tensors given one by one or as one list."""
    return tuple(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors


# ---------------------------------------------------------------------------------------------- the order of dimensions


def permuted(m: Meta, order: Sequence[int]) -> Meta:
    """The layout with its dimensions in another order."""
    return meta(m.dtype, [m.shape[i] for i in order], [m.strides[i] for i in order], m.offset)


@view_op(gradient={"input": lambda g, dim0, dim1: transpose(g, dim0, dim1)}, aliases=("swapdims",))
def transpose(input: Meta, dim0: int, dim1: int) -> Meta:
    """Two dimensions exchanged, without a copy.

    Example::

        >>> import flambeau as torch
        >>> torch.ones(2, 3).transpose(0, 1).shape
        torch.Size([3, 2])
    """
    a, b = wrap_dim(dim0, input.ndim), wrap_dim(dim1, input.ndim)
    if a == b:
        return input
    order = list(range(input.ndim))
    order[a], order[b] = b, a
    return permuted(input, order)


@composite()
def swapaxes(input: Any, axis0: int, axis1: int) -> Any:
    """Two dimensions exchanged: NumPy's name for `transpose`.

    Example::

        >>> import flambeau as torch
        >>> torch.ones(2, 3).swapaxes(0, 1).shape
        torch.Size([3, 2])
    """
    return transpose(input, axis0, axis1)


@view_op(gradient={"input": lambda g: t(g)})
def t(input: Meta) -> Meta:
    """The transpose of a matrix; tensors of fewer dimensions stay as they are. RuntimeError for more than 2 dimensions.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[1, 2], [3, 4]]).t()
        tensor([[1, 3],
                [2, 4]])
    """
    if input.ndim > 2:
        raise RuntimeError(
            errors.explain(
                f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D",
                hint="use .mT or .transpose(dim0, dim1)",
                site=user_site(4),
            )
        )
    return permuted(input, (1, 0)) if input.ndim == 2 else input


@view_op(name="permute", gradient={"input": lambda g, dims: permute_(g, inverse_order(dims))}, **INTERNAL)
def permute_(input: Meta, dims: tuple[int, ...]) -> Meta:
    """The dimensions in the order `dims`."""
    if len(dims) != input.ndim:
        raise RuntimeError(
            errors.explain(
                "permute(): number of dimensions in the tensor input does not match the length of the desired "
                "ordering of dimensions "
                f"i.e. input.dim() = {input.ndim} is not equal to len(dims) = {len(dims)}",
                site=user_site(4),
            )
        )
    order = [wrap_dim(d, input.ndim) for d in dims]
    if len(set(order)) != len(order):
        raise RuntimeError(
            errors.explain(f"permute(): duplicate dims are not allowed, got {list(dims)}", site=user_site(4))
        )
    return permuted(input, order)


def inverse_order(dims: Sequence[int]) -> tuple[int, ...]:
    """The order that undoes `dims`."""
    order = [d % len(dims) for d in dims]
    return tuple(sorted(range(len(order)), key=order.__getitem__))


@composite()
def permute(input: Any, *args: Any, dims: Any = None) -> Any:
    """The dimensions in another order, without a copy; RuntimeError unless each is named once.

    Example::

        >>> import flambeau as torch
        >>> torch.ones(2, 3, 4).permute(2, 0, 1).shape
        torch.Size([4, 2, 3])
    """
    return permute_(input, sizes_or(args, dims))


@composite(aliases=("moveaxis",))
def movedim(input: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """The dimensions `source` moved to the places `destination`; the others keep their order.

    Example::

        >>> import flambeau as torch
        >>> torch.ones(2, 3, 4).movedim(0, -1).shape
        torch.Size([3, 4, 2])
    """
    ndim = input._meta.ndim
    source = (source,) if isinstance(source, int) else tuple(source)
    destination = (destination,) if isinstance(destination, int) else tuple(destination)
    if len(source) != len(destination):
        raise RuntimeError(
            errors.explain(
                "movedim: Invalid source or destination dims: source "
                f"({list(source)} dims) should contain the same number of dims as destination ({list(destination)} "
                f"dims)",
                site=user_site(3),
            )
        )
    if not source:
        return permute_(input, tuple(range(ndim)))
    wrapped = wrap_dims(source, ndim), wrap_dims(destination, ndim)
    if ndim == 0:
        return input
    moving = dict(zip(wrapped[1], wrapped[0], strict=True))
    staying = iter([d for d in range(ndim) if d not in wrapped[0]])
    return permute_(input, tuple([moving[d] if d in moving else next(staying) for d in range(ndim)]))


@composite()
def adjoint(input: Any) -> Any:
    """The conjugate transpose of the last two dimensions; RuntimeError for fewer than two.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[1 + 2j, 3j]]).adjoint()
        tensor([[1.-2.j],
                [0.-3.j]])
    """
    return _conj(_matrices_transposed(input, "adjoint()"))


def _matrices_transposed(input: Any, name: str) -> Any:
    ndim = input._meta.ndim
    if ndim == 1:
        raise RuntimeError(
            errors.explain(
                f"tensor.{name} is only supported on matrices or batches of matrices. Got 1-D tensor.",
                site=user_site(3),
            )
        )
    return transpose(input, -2, -1) if ndim else input


def _conj(input: Any) -> Any:
    return input.conj() if input._meta.dtype.is_complex else input


def reversed_dims(input: Any) -> Any:
    """The dimensions in reverse order: `x.T`."""
    ndim = input._meta.ndim
    if ndim not in (0, 2):
        warnings.warn(
            f"x.T of a tensor with {ndim} dimensions is deprecated; use x.mT for batches of matrices or "
            "x.permute(*range(x.ndim - 1, -1, -1)) to reverse all dimensions",
            UserWarning,
            stacklevel=3,
        )
    return permute_(input, tuple(range(ndim - 1, -1, -1)))


def matrices_transposed(input: Any) -> Any:
    """The last two dimensions exchanged: `x.mT`."""
    return _matrices_transposed(input, "mT")


def hermitian(input: Any) -> Any:
    """The conjugate transpose of a matrix: `x.H`."""
    ndim = input._meta.ndim
    if ndim not in (0, 2):
        raise RuntimeError(
            errors.explain(
                f"tensor.H is only supported on matrices (2-D tensors). Got {ndim}-D tensor.",
                hint="use .mH for batches of matrices",
                site=user_site(3),
            )
        )
    return _conj(transpose(input, 0, 1)) if ndim else input


def matrices_hermitian(input: Any) -> Any:
    """The conjugate transpose of the last two dimensions: `x.mH`."""
    return _conj(_matrices_transposed(input, "mH"))


# ---------------------------------------------------------------------------------------------- dimensions of size 1


@view_op(
    node_name=lambda input, dim=None: f"SqueezeBackward{0 if dim is None else 1 if type(dim) is int else 2}",
    gradient={"input": lambda g, input_meta: reshape(g, input_meta.shape)},
)
def squeeze(input: Meta, dim: int | Sequence[int] | None = None) -> Meta:
    """Dimensions of size 1 dropped: all, or those in `dim` that have size 1.

    Example::

        >>> import flambeau as torch
        >>> torch.ones(1, 2, 1).squeeze().shape, torch.ones(1, 2, 1).squeeze(0).shape
        (torch.Size([2]), torch.Size([2, 1]))
    """
    if dim is None:
        dropped: Any = range(input.ndim)
    else:
        dropped = () if not isinstance(dim, int) and not len(dim) else wrap_dims(dim, input.ndim)
    kept = [i for i, n in enumerate(input.shape) if n != 1 or i not in dropped]
    return permuted(input, kept)


@view_op(gradient={"input": lambda g, dim: squeeze(g, dim)})
def unsqueeze(input: Meta, dim: int) -> Meta:
    """A new dimension of size 1 at place `dim`, between -(ndim + 1) and ndim.

    Example::

        >>> import flambeau as torch
        >>> torch.ones(2, 3).unsqueeze(-1).shape
        torch.Size([2, 3, 1])
    """
    at = wrap_dim(dim, input.ndim + 1)
    shape, strides = input.shape, input.strides
    stride = shape[at] * strides[at] if at < input.ndim else 1
    return meta(
        input.dtype, (*tuple(shape)[:at], 1, *tuple(shape)[at:]), (*strides[:at], stride, *strides[at:]), input.offset
    )
