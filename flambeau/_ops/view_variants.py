"""What is derived from views: in-place forms, which change a tensor's own layout, `*_copy` functions, and `*_scatter`
functions, which give a copy of the tensor with another part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau._core import errors
from flambeau._core.dtypes import dtype
from flambeau._core.sites import user_site
from flambeau._ir import recording
from flambeau._ir.meta import contiguous
from flambeau._ir.program import note_changes
from flambeau._ops import parts, reinterpret, strided, view
from flambeau._ops.convert import copy_of
from flambeau._ops.registry import composite
from flambeau._ops.strided import overwritten, part_of

# ---------------------------------------------------------------------------------------------- in place


def _inplace(function: Callable, name: str) -> None:
    """Declare the method `name`, which gives a tensor the layout (and the history) of a view of itself."""

    def method(input: Any, *args: Any, **kwargs: Any) -> Any:
        recording.check_writable(input)
        result = function(input, *args, **kwargs)
        if result._node is not None:
            input._node, input._index = result._node, result._index
        input._meta = result._meta
        note_changes(input._storage, 1, user_site(2))
        return input

    method.__doc__ = f"Like `{name[:-1]}`, but the tensor itself changes its shape and strides."
    method.__module__ = __name__
    composite(name=name, function=name == "as_strided_")(method)


for _f, _n in (
    (view.squeeze, "squeeze_"),
    (view.unsqueeze, "unsqueeze_"),
    (view.t, "t_"),
    (view.transpose, "transpose_"),
    (view.transpose, "swapdims_"),
    (view.swapaxes, "swapaxes_"),
    (strided.as_strided, "as_strided_"),
):
    _inplace(_f, _n)


# ---------------------------------------------------------------------------------------------- copies


def _copying(function: Callable, name: str, is_method: bool = False) -> None:
    """Declare `name`: what a view shows, in memory of its own."""

    def copied(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        return tuple([copy_of(r, False) for r in result]) if isinstance(result, tuple) else copy_of(result, False)

    copied.__doc__ = f"Like `{name[:-5]}`, but the result has memory of its own."
    copied.__module__ = __name__
    composite(name=name, method=is_method)(copied)


def _whole(input: Any) -> Any:
    return input


def _viewed(input: Any, *shape: Any, **named: Any) -> Any:
    other_elements = "dtype" in named or isinstance(shape[0], dtype)
    return view.view(input, *shape, **named) if other_elements else view.reshape(input, *shape)


def _detached(input: Any) -> Any:
    return input.detach()


for _f, _n in (
    (_whole, "alias_copy"),
    (strided.as_strided, "as_strided_copy"),
    (_detached, "detach_copy"),
    (parts.diagonal, "diagonal_copy"),
    (view.expand, "expand_copy"),
    (view.permute, "permute_copy"),
    (parts.select, "select_copy"),
    (parts.slice_, "slice_copy"),
    (parts.split, "split_copy"),
    (parts.split_with_sizes, "split_with_sizes_copy"),
    (view.squeeze, "squeeze_copy"),
    (view.t, "t_copy"),
    (view.transpose, "transpose_copy"),
    (parts.unbind, "unbind_copy"),
    (parts.unfold, "unfold_copy"),
    (view.unsqueeze, "unsqueeze_copy"),
    (_viewed, "view_copy"),
    (reinterpret.view_as_real, "view_as_real_copy"),
    (reinterpret.view_as_complex, "view_as_complex_copy"),
):
    _copying(_f, _n)
_copying(parts.narrow, "narrow_copy", is_method=True)


# ---------------------------------------------------------------------------------------------- scatter


def _with_part(input: Any, src: Any, name: str, body: Callable, *args: Any) -> Any:
    """A copy of `input` whose part, the one the view's `body` shows, holds `src`."""
    part = part_of(body, input._meta.shape, input._meta, *args)
    if src._meta.shape != part.shape:
        raise RuntimeError(
            errors.explain(
                f"{name}: expected src to have a size equal to the part of self. src size = {list(src.shape)}, part "
                f"size = {list(part.shape)}",
                site=user_site(4),
            )
        )
    return overwritten(input, src, part.strides, part.offset)


@composite(node_name="SelectScatterBackward0", shows=("input", "src"))
def select_scatter(input: Any, src: Any, dim: int, index: int) -> Any:
    """A copy of `input` whose index `index` of dimension `dim` holds `src`.

    Example::

        >>> import flambeau as torch
        >>> torch.zeros(2, 2).select_scatter(torch.ones(2), 0, 1)
        tensor([[0., 0.],
                [1., 1.]])
    """
    return _with_part(input, src, "select_scatter", parts.select_layout, dim, index)


@composite(node_name="SliceScatterBackward0", shows=("input", "src"))
def slice_scatter(
    input: Any, src: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Any:
    """A copy of `input` whose slice `start:end:step` of dimension `dim` holds `src`.

    Example::

        >>> import flambeau as torch
        >>> torch.zeros(4).slice_scatter(torch.ones(2), 0, 1, 3)
        tensor([0., 1., 1., 0.])
    """
    return _with_part(input, src, "slice_scatter", parts.slice_layout, dim, start, end, step)


@composite(node_name="DiagonalScatterBackward0", shows=("input", "src"))
def diagonal_scatter(input: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """A copy of `input` whose diagonal of two dimensions holds `src`.

    Example::

        >>> import flambeau as torch
        >>> torch.zeros(2, 2).diagonal_scatter(torch.ones(2))
        tensor([[1., 0.],
                [0., 1.]])
    """
    return _with_part(input, src, "diagonal_scatter", parts.diagonal_layout, offset, dim1, dim2)


@composite()
def slice_inverse(
    input: Any, src: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Any:
    """The tensor of the shape of `src` in the memory of `input`, of which `input` is that slice.

    Example::

        >>> import flambeau as torch
        >>> whole = torch.arange(4.)
        >>> whole[1:3].slice_inverse(whole, 0, 1, 3)
        tensor([0., 1., 2., 3.])
    """
    return input.as_strided(src.shape, src.stride(), src.storage_offset())


@composite()
def as_strided_scatter(
    input: Any,
    src: Any,
    size: Sequence[int],
    stride: Sequence[int],
    storage_offset: int | None = None,
) -> Any:
    """A copy of `input`, its whole storage included, where `as_strided` with these arguments shows `src`.

    Example::

        >>> import flambeau as torch
        >>> torch.zeros(4).as_strided_scatter(torch.ones(2), (2,), (2,))
        tensor([1., 0., 1., 0.])
    """
    m = input._meta
    part = strided.as_strided(input.detach(), size, stride, storage_offset)._meta
    if src._meta.shape != part.shape:
        raise RuntimeError(
            errors.explain(
                f"expected src to have a size equal to the slice of self. src size = {list(src.shape)}, slice size = "
                f"{list(part.shape)}",
                site=user_site(3),
            )
        )
    if strided.overlaps(m.shape, m.strides):
        input, m = input.contiguous(), contiguous(m.dtype, m.shape)
    everything = strided.as_strided_(input, (input._storage.nbytes // m.dtype.itemsize,), (1,), 0)
    whole = overwritten(everything, src, part.strides, part.offset)
    return strided.owner(strided.as_strided_(whole, m.shape, m.strides, m.offset))


# ---------------------------------------------------------------------------------------------- attributes


# Views that are attributes of a tensor: x.T, x.real...
ATTRIBUTES: dict[str, Callable] = {
    "T": view.reversed_dims,
    "mT": view.matrices_transposed,
    "H": view.hermitian,
    "mH": view.matrices_hermitian,
    "real": reinterpret.real,
    "imag": reinterpret.imag,
}
