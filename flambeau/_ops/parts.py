"""Views of parts of a tensor: rows, slices, pieces, diagonals, sliding windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau._core import dtypes, errors
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, meta
from flambeau._ir.recording import TensorBase
from flambeau._ops.infer import wrap_dim
from flambeau._ops.join import cat, stack
from flambeau._ops.registry import composite
from flambeau._ops.registry import view as view_op
from flambeau._ops.strided import INTERNAL, part_backward

# ---------------------------------------------------------------------------------------------- one part


def select_layout(input: Meta, dim: int, index: int) -> Meta:
    """The layout of one index of a dimension, which disappears."""
    dim = wrap_dim(dim, input.ndim)
    if not input.ndim:
        raise IndexError(errors.explain("select() cannot be applied to a 0-dim tensor.", site=user_site(4)))
    shape, strides = input.shape, input.strides
    n, at = shape[dim], int(index)
    if not -n <= at < n:
        raise IndexError(
            errors.explain(
                f"select(): index {at} out of range for tensor of size {list(shape)} at dimension {dim}",
                site=user_site(4),
            )
        )
    offset = input.offset + (at + n if at < 0 else at) * strides[dim]
    return meta(input.dtype, tuple(shape)[:dim] + tuple(shape)[dim + 1 :], strides[:dim] + strides[dim + 1 :], offset)


@view_op(gradient={"input": lambda g, input_meta, dim, index: part_backward(select_layout, g, input_meta, dim, index)})
def select(input: Meta, dim: int, index: int) -> Meta:
    """One index of dimension `dim`, which disappears, as a view. IndexError if the index is out of range.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[1, 2], [3, 4]]).select(1, 0)
        tensor([1, 3])
    """
    return select_layout(input, dim, index)


def slice_layout(input: Meta, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Meta:
    """The layout of a Python slice of one dimension; bounds outside the dimension are clipped."""
    dim = wrap_dim(dim, input.ndim)
    if not input.ndim:
        raise RuntimeError(errors.explain("slice() cannot be applied to a 0-dim tensor.", site=user_site(4)))
    if step <= 0:
        raise RuntimeError(
            errors.explain(f"slice step must be positive, got {step}", hint="use .flip(dim)", site=user_site(4))
        )
    start, end, step = slice(start, end, step).indices(input.shape[dim])
    shape, strides = list(input.shape), list(input.strides)
    offset = input.offset + start * strides[dim]
    shape[dim] = max(0, (end - start + step - 1) // step)
    strides[dim] *= step
    return meta(input.dtype, shape, strides, offset)


@view_op(
    name="slice",
    gradient={
        "input": lambda g, input_meta, dim, start, end, step: part_backward(
            slice_layout, g, input_meta, dim, start, end, step
        )
    },
    **INTERNAL,
)
def slice_(input: Meta, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Meta:
    """`start:end:step` of dimension `dim`."""
    return slice_layout(input, dim, start, end, step)


@composite()
def narrow(input: Any, dim: int, start: int, length: int) -> Any:
    """`length` indices of dimension `dim` from `start` (negative: from the end), as a view.

    RuntimeError if they do not fit, IndexError if `start` is out of range.

    Example::

        >>> import flambeau as torch
        >>> torch.arange(5).narrow(0, 1, 3)
        tensor([1, 2, 3])
    """
    m = input._meta
    if not m.ndim:
        raise RuntimeError(errors.explain("narrow() cannot be applied to a 0-dim tensor.", site=user_site(3)))
    if isinstance(start, TensorBase) and (start.dim() or start.dtype.category != dtypes.INTEGER):
        raise RuntimeError(
            errors.explain(
                f"narrow(): start must be an 0-dim integral Tensor, got {start.dtype} {list(start.shape)}",
                site=user_site(3),
            )
        )
    dim, start, length = wrap_dim(dim, m.ndim), int(start), int(length)
    n = m.shape[dim]
    if length < 0:
        raise RuntimeError(errors.explain(f"narrow(): length must be non-negative, got {length}", site=user_site(3)))
    if not -n <= start <= n:
        raise IndexError(
            errors.explain(
                f"start out of range (expected to be in range of [{-n}, {n}], but got {start})", site=user_site(3)
            )
        )
    start = start + n if start < 0 else start
    if start + length > n:
        raise RuntimeError(
            errors.explain(f"start ({start}) + length ({length}) exceeds dimension size ({n}).", site=user_site(3))
        )
    return slice_(input, dim, start, start + length, 1)


def diagonal_layout(input: Meta, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Meta:
    """The layout of a diagonal of two dimensions; it becomes the last dimension."""
    a, b = wrap_dim(dim1, input.ndim), wrap_dim(dim2, input.ndim)
    if a == b:
        raise RuntimeError(errors.explain(f"diagonal dimensions cannot be identical {dim1}, {dim2}", site=user_site(4)))
    length = (
        min(input.shape[a], input.shape[b] - offset) if offset >= 0 else min(input.shape[a] + offset, input.shape[b])
    )
    start = offset * input.strides[b] if offset >= 0 else -offset * input.strides[a]
    rest = [i for i in range(input.ndim) if i not in (a, b)]
    shape = [input.shape[i] for i in rest] + [max(length, 0)]
    strides = [input.strides[i] for i in rest] + [input.strides[a] + input.strides[b]]
    return meta(input.dtype, shape, strides, input.offset + (start if length > 0 else 0))


@view_op(
    gradient={
        "input": lambda g, input_meta, offset, dim1, dim2: part_backward(
            diagonal_layout, g, input_meta, offset, dim1, dim2
        )
    }
)
def diagonal(input: Meta, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Meta:
    """The diagonal of two dimensions, as a view whose last dimension it is; `offset` > 0 lies above the main diagonal.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[1, 2], [3, 4]]).diagonal()
        tensor([1, 4])
    """
    return diagonal_layout(input, offset, dim1, dim2)


def unfold_layout(input: Meta, dimension: int, size: int, step: int) -> Meta:
    """The layout of windows of `size` along a dimension, `step` apart; the windows' own dimension comes last."""
    dim = wrap_dim(dimension, input.ndim)
    n = input.shape[dim] if input.ndim else 1
    if size < 0 or size > n:
        raise RuntimeError(
            errors.explain(f"maximum size for tensor at dimension {dim} is {n} but size is {size}", site=user_site(4))
        )
    if step <= 0:
        raise RuntimeError(errors.explain(f"step is {step} but must be > 0", site=user_site(4)))
    if not input.ndim:
        return meta(input.dtype, (size,), (1,), input.offset)
    shape, strides = list(input.shape), list(input.strides)
    stride = strides[dim]
    shape[dim] = (n - size) // step + 1
    strides[dim] = stride * step
    return meta(input.dtype, [*shape, size], [*strides, stride], input.offset)


@view_op(
    function=False,
    gradient={
        "input": lambda g, input_meta, dimension, size, step: part_backward(
            unfold_layout, g, input_meta, dimension, size, step
        )
    },
)
def unfold(input: Meta, dimension: int, size: int, step: int) -> Meta:
    """All windows of `size` indices along a dimension, `step` apart, as a view with one more (last) dimension.

    Example::

        >>> import flambeau as torch
        >>> torch.arange(5).unfold(0, 3, 1)
        tensor([[0, 1, 2],
                [1, 2, 3],
                [2, 3, 4]])
    """
    return unfold_layout(input, dimension, size, step)


# ---------------------------------------------------------------------------------------------- all the parts


def filled_in(gs: list[Any], like: list[Meta]) -> list[Any]:
    """The gradients of several outputs, zeros in the place of those that got none."""
    some = next(g for g in gs if g is not None)
    return [some.new_zeros(m.shape) if g is None else g for g, m in zip(gs, like, strict=True)]


def _pieces_backward(gs: list[Any], m: Meta, lengths: Sequence[int], dim: int) -> Any:
    return cat(filled_in(gs, pieces(m, lengths, dim)), dim)


def pieces(m: Meta, lengths: Sequence[int], dim: int) -> list[Meta]:
    """The layouts of consecutive pieces of a dimension."""
    found, start, stride = [], 0, m.strides[dim]
    before, after = tuple(m.shape)[:dim], tuple(m.shape)[dim + 1 :]
    for n in lengths:
        found.append(meta(m.dtype, (*before, n, *after), m.strides, m.offset + start * stride))
        start += n
    return found


@view_op(
    name="split",
    gradient={"input": lambda gs, input_meta, lengths, dim: _pieces_backward(gs, input_meta, lengths, dim)},
    **INTERNAL,
)
def split_(input: Meta, lengths: tuple[int, ...], dim: int) -> tuple[Meta, ...]:
    """Consecutive pieces of these lengths, which add up to the size of `dim` (counted from the front)."""
    return tuple(pieces(input, lengths, dim))


def equal_lengths(n: int, length: int) -> tuple[int, ...]:
    """`n` cut into pieces of `length`, the last of which may be shorter; at least one piece."""
    if n == 0 or length == 0:
        return (n,)
    return (length,) * (n // length) + ((n % length,) if n % length else ())


@composite(
    node_name=lambda x, size, *_, **named: "SplitBackward0" if type(size) is int else "SplitWithSizesBackward0",
    shows=("input",),
    aliases=("unsafe_split",),
)
def split(input: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Views of consecutive pieces of a dimension: all of one size (the last may be smaller), or of the sizes listed.

    RuntimeError for a size that is not positive, or a list that does not add up to the size of the dimension.

    Example::

        >>> import flambeau as torch
        >>> torch.arange(5).split(2)
        (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    if isinstance(split_size_or_sections, (tuple, list)):
        return split_with_sizes(input, split_size_or_sections, dim)
    m = input._meta
    if not m.ndim:
        raise RuntimeError(errors.explain("split expects at least a 1-dimensional tensor", site=user_site(3)))
    dim, size = wrap_dim(dim, m.ndim), int(split_size_or_sections)  # type: ignore[arg-type]
    n = m.shape[dim]
    if size < 0:
        raise RuntimeError(
            errors.explain(f"split expects split_size be non-negative, but got split_size={size}", site=user_site(3))
        )
    if size == 0 and n != 0:
        raise RuntimeError(
            errors.explain(
                f"split_size can only be 0 if dimension size is 0, but got dimension size of {n}", site=user_site(3)
            )
        )
    return split_(input, equal_lengths(n, size), dim)


@composite(node_name="SplitWithSizesBackward0", shows=("input",), aliases=("unsafe_split_with_sizes",))
def split_with_sizes(input: Any, split_sizes: Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Views of consecutive pieces of the sizes listed, which must add up to the size of the dimension.

    Example::

        >>> import flambeau as torch
        >>> torch.arange(5).split_with_sizes([2, 3])
        (tensor([0, 1]), tensor([2, 3, 4]))
    """
    m = input._meta
    if not m.ndim:
        raise RuntimeError(errors.explain("split expects at least a 1-dimensional tensor", site=user_site(3)))
    dim, lengths = wrap_dim(dim, m.ndim), tuple([int(n) for n in split_sizes])
    if sum(lengths) != m.shape[dim] or any(n < 0 for n in lengths):
        raise RuntimeError(
            errors.explain(
                f"split_with_sizes expects split_sizes to sum exactly to {m.shape[dim]} (input tensor's size at "
                f"dimension {dim}), "
                f"with no negative entries, but got split_sizes={list(lengths)}",
                site=user_site(3),
            )
        )
    return split_(input, lengths, dim)


@composite(aliases=("unsafe_chunk",))
def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """Views of at most `chunks` pieces of equal size; the last may be smaller, and fewer may come out.

    Example::

        >>> import flambeau as torch
        >>> torch.arange(5).chunk(3)
        (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    m = input._meta
    if not m.ndim:
        raise RuntimeError(errors.explain("chunk expects at least a 1-dimensional tensor", site=user_site(3)))
    if chunks <= 0:
        raise RuntimeError(
            errors.explain(f"chunk expects `chunks` to be greater than 0, got: {chunks}", site=user_site(3))
        )
    dim = wrap_dim(dim, m.ndim)
    n = m.shape[dim]
    lengths = (0,) * chunks if n == 0 else equal_lengths(n, (n + chunks - 1) // chunks)
    return split_(input, lengths, dim)


@composite()
def tensor_split(
    input: Any, indices_or_sections: Any = None, dim: int = 0, *, indices: Any = None, sections: Any = None
) -> tuple[Any, ...]:
    """Views of pieces: that many of nearly equal size (larger ones first), or cut at the indices given.

    Example::

        >>> import flambeau as torch
        >>> torch.arange(5).tensor_split(2), torch.arange(5).tensor_split((1, 3))
        ((tensor([0, 1, 2]), tensor([3, 4])), (tensor([0]), tensor([1, 2]), tensor([3, 4])))
    """
    m = input._meta
    given: Any = next((x for x in (indices_or_sections, indices, sections) if x is not None), None)
    if not m.ndim:
        raise RuntimeError(errors.explain("tensor_split expected at least a 1-dimensional tensor", site=user_site(3)))
    dim = wrap_dim(dim, m.ndim)
    n = m.shape[dim]
    if not isinstance(given, (int, tuple, list, TensorBase)):
        raise TypeError(
            errors.explain(
                f"tensor_split() expected a number of sections or a sequence of indices, got {type(given).__name__}",
                site=user_site(3),
            )
        )
    if isinstance(given, TensorBase):
        given = given.tolist()  # a tensor of indices, or of the number of sections
    if isinstance(given, int):
        if given <= 0:
            raise RuntimeError(
                errors.explain(f"number of sections must be larger than 0, got {given}", site=user_site(3))
            )
        return split_(input, tuple([n // given + (i < n % given) for i in range(given)]), dim)
    cuts = [0, *[int(i) for i in given], n]
    return tuple([slice_(input, dim, a, b, 1) for a, b in zip(cuts, cuts[1:], strict=False)])


def _named_split(input: Any, indices_or_sections: Any, dim: int, name: str, required: int) -> tuple[Any, ...]:
    m = input._meta
    if m.ndim < required:
        raise RuntimeError(
            errors.explain(
                f"torch.{name} requires a tensor with at least {required} dimension{'s' * (required > 1)}, but got a "
                f"tensor with "
                f"{m.ndim} dimensions!",
                site=user_site(4),
            )
        )
    if isinstance(indices_or_sections, int) and (indices_or_sections <= 0 or m.shape[dim] % indices_or_sections):
        raise RuntimeError(
            errors.explain(
                f"torch.{name} attempted to split along dimension {dim}, but the size of the dimension {m.shape[dim]} "
                f"is not divisible "
                f"by the split_size {indices_or_sections}!",
                hint="tensor_split allows unequal pieces",
                site=user_site(4),
            )
        )
    return tensor_split(input, indices_or_sections, dim)


@composite()
def hsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Views of pieces along dimension 1 (0 for 1-dim tensors), equal ones or cut at indices.

    Example::

        >>> import flambeau as torch
        >>> torch.arange(4).hsplit(2)
        (tensor([0, 1]), tensor([2, 3]))
    """
    return _named_split(input, indices_or_sections, 0 if input._meta.ndim == 1 else 1, "hsplit", 1)


@composite()
def vsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Views of pieces along dimension 0 of a tensor with at least 2 dimensions.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[1, 2], [3, 4]]).vsplit(2)
        (tensor([[1, 2]]), tensor([[3, 4]]))
    """
    return _named_split(input, indices_or_sections, 0, "vsplit", 2)


@composite()
def dsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Views of pieces along dimension 2 of a tensor with at least 3 dimensions.

    Example::

        >>> import flambeau as torch
        >>> [x.shape for x in torch.ones(1, 1, 4).dsplit([1])]
        [torch.Size([1, 1, 1]), torch.Size([1, 1, 3])]
    """
    return _named_split(input, indices_or_sections, 2, "dsplit", 3)


@view_op(gradient={"input": lambda gs, input_meta, dim: stack(filled_in(gs, slices_of(input_meta, dim)), dim)})
def unbind(input: Meta, dim: int = 0) -> tuple[Meta, ...]:
    """Views of every index of a dimension, which disappears.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[1, 2], [3, 4]]).unbind()
        (tensor([1, 2]), tensor([3, 4]))
    """
    if not input.ndim:
        raise IndexError(
            errors.explain("unbind(): Dimension specified as 0 but tensor has no dimensions", site=user_site(4))
        )
    return tuple(slices_of(input, dim))


def slices_of(m: Meta, dim: int) -> list[Meta]:
    """The layouts of every index of a dimension."""
    dim = wrap_dim(dim, m.ndim)
    shape, strides = tuple(m.shape)[:dim] + tuple(m.shape)[dim + 1 :], m.strides[:dim] + m.strides[dim + 1 :]
    return [meta(m.dtype, shape, strides, m.offset + i * m.strides[dim]) for i in range(m.shape[dim])]
