"""The same elements in other places: flipped, rolled, rotated, repeated, padded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core import errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous, preserved
from flambeau._ir.recording import TensorBase
from flambeau._ops import _expand_places
from flambeau._ops._spatial import image_layout
from flambeau._ops.convert import copy_of
from flambeau._ops.infer import wrap_dim, wrap_dims
from flambeau._ops.registry import composite, library
from flambeau._ops.strided import INTERNAL, owner
from flambeau._ops.view import expand_, reshape, sizes_or, transpose

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


# ---------------------------------------------------------------------------------------------- flip, roll, rotate


@library(
    expand=_expand_places.flip,
    category="rearrange",
    name="flip",
    infer=lambda input, dims: preserved(input),
    gradient={"input": lambda g, dims: flip_(g, dims)},
    **INTERNAL,
)
def flip_(input: Any, dims: tuple[int, ...]) -> Any:
    """The order of `dims` (counted from the front) reversed."""
    return np.flip(input, dims)


@composite()
def flip(input: Any, *args: Any, dims: Any = None) -> Any:
    """The order of the elements reversed along `dims`, in a new tensor. RuntimeError for a dimension named twice.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[1, 2], [3, 4]]).flip(0, 1)
        tensor([[4, 3],
                [2, 1]])
    """
    given = sizes_or(args, dims)
    return flip_(input, wrap_dims(given, input._meta.ndim) if given else ())


@composite()
def fliplr(input: Any) -> Any:
    """Columns in reverse order (dimension 1); RuntimeError for fewer than 2 dimensions.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[1, 2], [3, 4]]).fliplr()
        tensor([[2, 1],
                [4, 3]])
    """
    if input._meta.ndim < 2:
        raise RuntimeError(errors.explain(f"Input must be >= 2-d, got {input._meta.ndim}-d.", site=user_site(3)))
    return flip_(input, (1,))


@composite()
def flipud(input: Any) -> Any:
    """Rows in reverse order (dimension 0); RuntimeError for a 0-dim tensor.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1, 2, 3]).flipud()
        tensor([3, 2, 1])
    """
    if input._meta.ndim < 1:
        raise RuntimeError(errors.explain("Input must be >= 1-d, got 0-d.", site=user_site(3)))
    return flip_(input, (0,))


@library(
    expand=_expand_places.roll,
    category="rearrange",
    name="roll",
    infer=lambda input, shifts, dims: contiguous(input.dtype, input.shape),
    gradient={"input": lambda g, shifts, dims: roll_(g, tuple([-s for s in shifts]), dims)},
    **INTERNAL,
)
def roll_(input: Any, shifts: tuple[int, ...], dims: tuple[int, ...] | None) -> Any:
    """Elements moved on by `shifts` along `dims` (None: as if flat)."""
    return np.roll(input, shifts[0]) if dims is None else np.roll(input, shifts, dims)


@composite()
def roll(input: Any, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Any:
    """Elements moved on by `shifts` along `dims`; those that leave at the end come back in front. Without `dims` as if
    flat.

    Example::

        >>> import flambeau as torch
        >>> torch.arange(4).roll(1)
        tensor([3, 0, 1, 2])
    """
    moves = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    axes = None if dims is None else (dims,) if isinstance(dims, int) else tuple(dims)
    if not moves:
        raise RuntimeError(errors.explain("`shifts` required", site=user_site(3)))
    if not axes and len(moves) == 1:
        return roll_(input, moves, None)
    if axes is None or len(axes) != len(moves):
        raise RuntimeError(
            errors.explain(
                f"shifts and dimensions must align. shifts: {len(moves)}, dims:{len(axes or ())}", site=user_site(3)
            )
        )
    return roll_(input, moves, tuple([wrap_dim(d, input._meta.ndim) for d in axes]))


@composite(node_name="Rot90Backward0", shows=("input",))
def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
    """The plane of two dimensions turned by `k` times 90 degrees, from the first towards the second.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[1, 2], [3, 4]]).rot90()
        tensor([[2, 4],
                [1, 3]])
    """
    ndim = input._meta.ndim
    if len(dims) != 2 or ndim < 2:
        raise RuntimeError(
            errors.explain(
                f"expected total rotation dims == 2 and total dims >= 2, but got dims = {list(dims)} and total dims = "
                f"{ndim}",
                site=user_site(3),
            )
        )
    a, b = (wrap_dim(d, ndim) for d in dims)
    if a == b:
        raise RuntimeError(
            errors.explain(f"expected rotation dims to be different, but got {list(dims)}", site=user_site(3))
        )
    turns = k % 4
    if turns == 0:
        return copy_of(input, False)
    if turns == 2:
        return flip_(input, (a, b))
    return owner(transpose(flip_(input, (b,)), a, b)) if turns == 1 else flip_(transpose(input, a, b), (b,))


# ---------------------------------------------------------------------------------------------- repeat


@composite(node_name="RepeatBackward0", shows=("input",), function=False)
def repeat(input: Any, *args: Any, repeats: Any = None) -> Any:
    """The tensor set side by side this many times along each dimension, in a new tensor; more repeats add dimensions in
    front.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1, 2]).repeat(2, 2)
        tensor([[1, 2, 1, 2],
                [1, 2, 1, 2]])
    """
    times, m = sizes_or(args, repeats), input._meta
    lead = len(times) - m.ndim
    if lead < 0:
        raise RuntimeError(
            errors.explain(
                "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor: "
                f"got {list(times)} for shape {list(m.shape)}",
                hint="torch.tile repeats the last dimensions",
                site=user_site(3),
            )
        )
    if any(n < 0 for n in times):
        raise RuntimeError(
            errors.explain(f"Trying to create tensor with negative dimension: repeats {list(times)}", site=user_site(3))
        )
    shape = (1,) * lead + tuple(m.shape)
    apart = [n for s in shape for n in (1, s)]
    expanded = [n for s, t in zip(shape, times, strict=True) for n in (t, s)]
    result = copy_of(expand_(reshape(input, apart), tuple(expanded)), False)
    return owner(reshape(result, [s * t for s, t in zip(shape, times, strict=True)]))


@composite(node_name="RepeatBackward0", shows=("input",))
def tile(input: Any, *args: Any, dims: Any = None) -> Any:
    """The tensor set side by side this many times along its last dimensions, as NumPy's `tile` does.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[1], [2]]).tile(3)
        tensor([[1, 1, 1],
                [2, 2, 2]])
    """
    times = sizes_or(args, dims)
    return repeat(input, (1,) * (input._meta.ndim - len(times)) + times)


@library(category="index", fallible=True, name="repeat_interleave", **INTERNAL)
def interleaved_positions(repeats: Any) -> Any:
    """0 as often as repeats[0] says, 1 as often as repeats[1] says, and so on."""
    if repeats.size and repeats.min() < 0:
        raise RuntimeError(f"repeats can not be negative, got {repeats.min()}")
    return np.repeat(np.arange(len(repeats)), repeats)


@composite()
def repeat_interleave(
    input: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Any:
    """Each index of dimension `dim` repeated in place: all the same number of times, or as often as an integer tensor
    says.

    Without `dim` as if flat. With one argument, a tensor of counts: the indices 0, 1, 2... each that many times.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1, 2]).repeat_interleave(2), torch.repeat_interleave(torch.tensor([1, 2]))
        (tensor([1, 1, 2, 2]), tensor([0, 1, 1]))
    """
    if repeats is None:
        return interleaved_positions(input)
    if dim is None:
        input, dim = reshape(input, -1), 0
    elif not input._meta.ndim:
        input = reshape(input, 1)
    dim, shape = wrap_dim(dim, input._meta.ndim), tuple(input._meta.shape)
    if isinstance(repeats, TensorBase) and repeats._meta.numel == 1:
        repeats = int(repeats.item())
    if isinstance(repeats, int):
        if repeats < 0:
            raise RuntimeError(errors.explain(f"Repeats must be non-negative, got {repeats}", site=user_site(3)))
        repeated = expand_(input.unsqueeze(dim + 1), (*shape[: dim + 1], repeats, *shape[dim + 1 :]))
        return owner(reshape(copy_of(repeated, False), (*shape[:dim], shape[dim] * repeats, *shape[dim + 1 :])))
    if repeats._meta.ndim != 1 or repeats._meta.numel != shape[dim]:
        raise RuntimeError(
            errors.explain(
                f"repeats must have the same size as input along dim, but got repeats {list(repeats.shape)} and "
                f"size {shape[dim]} of dimension {dim}",
                site=user_site(3),
            )
        )
    return input.index_select(dim, interleaved_positions(repeats))


# ---------------------------------------------------------------------------------------------- padding with a constant


def padded_shape(m: Meta, pad: Sequence[int]) -> tuple[int, ...]:
    """The shape after padding; `pad` lists (before, after) from the last dimension on. RuntimeError if nothing is
    left."""
    if len(pad) % 2 or len(pad) > 2 * m.ndim:
        raise RuntimeError(
            errors.explain(
                f"Length of pad must be even and at most twice the number of dimensions of the input: got pad "
                f"{list(pad)} for shape "
                f"{list(m.shape)}",
                site=user_site(4),
            )
        )
    shape = list(m.shape)
    for i in range(len(pad) // 2):
        d = m.ndim - 1 - i
        shape[d] += pad[2 * i] + pad[2 * i + 1]
        if shape[d] < 0:
            raise RuntimeError(
                errors.explain(
                    f"The input size {m.shape[d]}, plus negative padding {pad[2 * i]} and {pad[2 * i + 1]} resulted "
                    f"in a negative output "
                    f"size, which is invalid. Check dimension {d} of your input.",
                    site=user_site(4),
                )
            )
    return tuple(shape)


@library(
    expand=_expand_places.padded,
    category="rearrange",
    name="constant_pad_nd",
    infer=lambda input, pad, value: image_layout(input.dtype, padded_shape(input, pad), input),
    gradient={"input": lambda g, pad: padded_with(g, tuple([-n for n in pad]), 0)},
    **INTERNAL,
)
def padded_with(input: Any, pad: tuple[int, ...], value: Any) -> Any:
    """`input` with a frame of one number; negative padding cuts off."""
    shape, source, target = list(input.shape), [slice(None)] * input.ndim, [slice(None)] * input.ndim
    for i in range(len(pad) // 2):
        d, before, after = input.ndim - 1 - i, pad[2 * i], pad[2 * i + 1]
        source[d] = slice(max(0, -before), input.shape[d] - max(0, -after))
        shape[d] += before + after
        target[d] = slice(max(0, before), shape[d] - max(0, after))
    result = np.full(shape, np.asarray(value).astype(input.dtype), input.dtype)
    result[tuple(target)] = input[tuple(source)]
    return result


@composite(method=False)
def constant_pad_nd(input: Any, pad: Sequence[int], value: float = 0) -> Any:
    """`input` framed with a number. `pad` lists how many before and after, from the last dimension on; negative ones
    cut off.

    RuntimeError for an odd or too long `pad`, or if a size becomes negative.

    Example::

        >>> import flambeau as torch
        >>> torch.constant_pad_nd(torch.tensor([1, 2]), (1, 2))
        tensor([0, 1, 2, 0, 0])
    """
    return padded_with(input, tuple([int(n) for n in pad]), value)
