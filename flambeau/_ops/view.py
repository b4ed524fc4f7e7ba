"""Views: other shapes and strides over the same memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau._core import errors
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous_strides, is_contiguous, meta
from flambeau._ops.infer import wrap_dim
from flambeau._ops.registry import composite, view


def sizes(args: tuple) -> tuple[int, ...]:
    """Sizes given one by one or as one sequence: `view(2, 3)` and `view((2, 3))`."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = tuple(args[0])
    return tuple([int(n) for n in args])


@view(method=False, gradient={"input": lambda g, input_meta, shape, strides, offset: as_strided_backward(g, input_meta, shape, strides, offset)})
def as_strided(input: Meta, shape: Sequence[int], strides: Sequence[int], offset: int | None = None) -> Meta:
    """A view of the storage of `input` with any shape, strides (in elements) and offset.

    Example::

        >>> import flambeau as torch
        >>> torch.arange(4).as_strided((2, 2), (1, 2))
        tensor([[0, 2],
                [1, 3]])
    """
    return meta(input.dtype, shape, strides, input.offset if offset is None else offset)


def as_strided_backward(g: Any, m: Meta, shape: Sequence[int], strides: Sequence[int], offset: int | None) -> Any:
    """The gradient of `as_strided`: add up, in a storage like the input's, what flows to each element."""
    start = m.offset if offset is None else offset
    positions = g.new_tensor(_positions(shape, strides, start), dtype=_long())
    flat = g.new_zeros((max(m.extent, int(positions.max()) + 1 if g.numel() else 0),))
    flat = flat.index_add(0, positions.reshape(-1), g.reshape(-1))
    return flat.as_strided(m.shape, m.strides, m.offset)


def _positions(shape: Sequence[int], strides: Sequence[int], start: int) -> list:
    if not shape:
        return start  # type: ignore[return-value]
    return [_positions(shape[1:], strides[1:], start + i * strides[0]) for i in range(shape[0])]


def _long() -> Any:
    from flambeau._core.dtypes import int64

    return int64


@view(method=False, name="view", function=False, gradient={"input": lambda g, input_meta: g.reshape(input_meta.shape)})
def view_(input: Meta, shape: tuple[int, ...]) -> Meta:
    """`input` with another shape over the same memory; RuntimeError where strides do not allow that."""
    shape = infer_size(shape, input)
    strides = view_strides(input, shape)
    if strides is None:
        raise RuntimeError(errors.explain(
            f"view size {list(shape)} is not compatible with input tensor's size {list(input.shape)} and stride {list(input.strides)} "
            "(at least one dimension spans across two contiguous subspaces).",
            hint="Use .reshape(...) instead.", site=user_site(4),
        ))
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
        raise RuntimeError(errors.explain(
            f"shape '{list(shape)}' is invalid for input of size {m.numel} (shape {list(m.shape)})", site=user_site(5)
        ))
    return shape


def view_strides(m: Meta, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Strides that show `m` as `shape` without a copy, or None. Runs of dimensions that lie densely are split and merged."""
    if m.is_contiguous:
        return contiguous_strides(shape)
    if m.numel == 0:
        return m.strides if shape == m.shape else contiguous_strides(shape)
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


@composite()
def reshape(input: Any, *shape: Any) -> Any:
    """`input` in another shape, a view where possible and a copy otherwise; one size may be -1.

    Example::

        >>> import flambeau as torch
        >>> torch.arange(6).reshape(2, -1).shape
        torch.Size([2, 3])
    """
    shape = infer_size(sizes(shape), input._meta)
    if view_strides(input._meta, shape) is None:
        input = input.contiguous()
    return view_(input, shape)


@view(gradient={"input": lambda g, dim0, dim1: transpose(g, dim0, dim1)}, aliases=("swapaxes", "swapdims"))
def transpose(input: Meta, dim0: int, dim1: int) -> Meta:
    """Two dimensions exchanged.

    Example::

        >>> import flambeau as torch
        >>> torch.ones(2, 3).transpose(0, 1).shape
        torch.Size([3, 2])
    """
    a, b = wrap_dim(dim0, input.ndim), wrap_dim(dim1, input.ndim)
    if input.ndim == 0:
        return input
    order = list(range(input.ndim))
    order[a], order[b] = b, a
    return permuted(input, order)


def permuted(m: Meta, order: Sequence[int]) -> Meta:
    return meta(m.dtype, [m.shape[i] for i in order], [m.strides[i] for i in order], m.offset)


@view(method=False, name="expand", function=False, gradient={"input": lambda g: g})
def expand_(input: Meta, shape: tuple[int, ...]) -> Meta:
    """Dimensions of size 1 repeated without a copy (stride 0); -1 keeps a size."""
    lead = len(shape) - input.ndim
    result, strides = list(shape), [0] * len(shape)
    for i, n in enumerate(shape):
        own = input.shape[i - lead] if i >= lead else 1
        if n == -1 and i >= lead:
            result[i] = own
        elif n != own and own != 1 or n < 0 or lead < 0:
            raise RuntimeError(errors.explain(
                f"The expanded size of the tensor ({n}) must match the existing size ({own}) at non-singleton dimension {i}.  "
                f"Target sizes: {list(shape)}.  Tensor sizes: {list(input.shape)}", site=user_site(4),
            ))
        if i >= lead and result[i] == own:
            strides[i] = input.strides[i - lead]
    return meta(input.dtype, result, strides, input.offset)


def still_contiguous(m: Meta) -> bool:
    return is_contiguous(m.shape, m.strides)
