"""Choosing elements by a boolean mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous
from flambeau._ir.recording import TensorBase
from flambeau._ops.infer import broadcast_shapes
from flambeau._ops.registry import composite, library, pointwise, with_tensor
from flambeau._ops.strided import INTERNAL

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


def check_mask(mask: Any, name: str) -> None:
    """RuntimeError unless `mask` is a boolean tensor."""
    if mask._meta.dtype is not dtypes.bool_:
        raise RuntimeError(
            errors.explain(
                f"{name}: expected BoolTensor for mask, got {mask._meta.dtype}",
                hint="make one by comparing, e.g. x > 0, or by .bool()",
                site=user_site(4),
            )
        )


# ---------------------------------------------------------------------------------------------- fill


@pointwise(
    node_name=with_tensor("MaskedFill", 2),
    name="masked_fill",
    operands=("input",),
    gradient={
        "input": lambda g, mask: filled_where(g, mask, 0),
        "value": lambda g, mask: filled_where(g, mask.logical_not(), 0),
    },
    **INTERNAL,
)
def filled_where(k: Any, input: Any, mask: Any, value: Any) -> Any:
    """`value` where `mask` is true, elsewhere `input`, whose dtype the result has."""
    return k.where(mask, value, input)


@composite(inplace=True, writes_shared=True)
def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """`input` with `value`, a number or a 0-dim tensor, wherever the boolean `mask` is true; the mask broadcasts.

    RuntimeError for a mask of another dtype, or a value of a higher kind than the tensor's dtype (complex into real).

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1., 2., 3.]).masked_fill(torch.tensor([True, False, True]), 0)
        tensor([0., 2., 0.])
    """
    check_mask(mask, "masked_fill")
    d = input._meta.dtype
    if isinstance(value, TensorBase):
        if value._meta.ndim:
            raise RuntimeError(
                errors.explain(
                    "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                    f"{value._meta.ndim} dimension(s).",
                    hint="torch.where(mask, value, x) takes any shape",
                    site=user_site(3),
                )
            )
        if value._meta.dtype.is_complex and not d.is_complex:
            fitting_number(value.item(), d)
        if value._meta.dtype is not d:
            value = value.to(d)
    else:
        value = fitting_number(value, d)
    return filled_where(input, mask, value)


def fitting_number(value: Any, d: dtypes.dtype) -> Any:
    """A Python number as one that fits a dtype: truncated for integers; RuntimeError for complex into real, or out of
    range."""
    if isinstance(value, complex) and not d.is_complex and value.imag:
        raise RuntimeError(
            errors.explain(f"value cannot be converted to type {d.name} without overflow", site=user_site(4))
        )
    if isinstance(value, complex) and not d.is_complex:
        value = value.real
    if d is dtypes.bool_:
        return bool(value)
    if d.category == dtypes.INTEGER:
        bits = 8 * d.itemsize
        # unsigned dtypes take negative numbers of their width, which wrap around
        low, high = -(1 << bits - 1) if d.is_signed else -(1 << bits), (1 << bits - d.is_signed) - 1
        if value != value or not low <= value <= high:
            raise RuntimeError(
                errors.explain(
                    f"value cannot be converted to type {d.name} without overflow: {value}", site=user_site(4)
                )
            )
        value = int(value)
        return value if value >= 0 or d.is_signed else value % (1 << bits)
    return value


# ---------------------------------------------------------------------------------------------- select and scatter


@library(
    category="index",
    name="masked_select",
    gradient={
        "input": lambda g, mask, input_meta: scattered_where(
            g.new_zeros(broadcast_shapes([input_meta.shape, mask.shape])), mask, g
        )
    },
    **INTERNAL,
)
def selected_where(input: Any, mask: Any) -> Any:
    """The elements of `input` where `mask` is true, in row-major order."""
    input, mask = np.broadcast_arrays(input, mask)
    return input.reshape(-1)[np.flatnonzero(mask)]  # a mask as index takes ten times as long


@composite(overlap="none", saves=("input",))
def masked_select(input: Any, mask: Any) -> Any:
    """The elements where the boolean `mask` is true, in row-major order, in one dimension; both broadcast.

    Example::

        >>> import flambeau as torch
        >>> x = torch.tensor([1, 2, 3])
        >>> x.masked_select(x > 1)
        tensor([2, 3])
    """
    check_mask(mask, "masked_select")
    broadcast_shapes([input._meta.shape, mask._meta.shape], "masked_select")
    return selected_where(input, mask)


def _infer_scattered(input: Meta, mask: Meta, source: Meta) -> Meta:
    return contiguous(input.dtype, broadcast_shapes([input.shape, mask.shape], "masked_scatter"))


def _source_gradient(g: Any, mask: Any, source: Meta) -> Any:
    """What was taken from the source gets its gradient; the rest of the source gets zeros."""
    taken = selected_where(g, mask)
    return taken.new_zeros(source.numel).slice_scatter(taken, 0, 0, taken.numel()).reshape(source.shape)


@library(
    category="index",
    fallible=True,
    name="masked_scatter",
    infer=_infer_scattered,
    gradient={
        "input": lambda g, mask: filled_where(g, mask, 0),
        "source": lambda g, mask, source_meta: _source_gradient(g, mask, source_meta),
    },
    **INTERNAL,
)
def scattered_where(input: Any, mask: Any, source: Any) -> Any:
    """`input` with elements of `source`, in order, where `mask` is true."""
    mask, input = np.broadcast_arrays(mask, input)
    result, count = input.copy("C"), int(np.count_nonzero(mask))
    if count > source.size:
        raise RuntimeError(
            f"masked_scatter: expected self and source to have same dtypes and the source to have at least as many "
            f"elements as the "
            f"mask is true: {count} are needed, the source has {source.size}"
        )
    result.reshape(-1)[np.flatnonzero(mask)] = source.reshape(-1)[:count]
    return result


@composite(inplace=True)
def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """`input` with the elements of `source`, one after another, where the boolean `mask` is true.

    RuntimeError for different dtypes or too few elements in `source`.

    Example::

        >>> import flambeau as torch
        >>> torch.zeros(3).masked_scatter(torch.tensor([True, False, True]), torch.tensor([5., 6.]))
        tensor([5., 0., 6.])
    """
    check_mask(mask, "masked_scatter_")
    if source._meta.dtype is not input._meta.dtype:
        raise RuntimeError(
            errors.explain(
                "masked_scatter: expected self and source to have same dtypes but got "
                f"{input._meta.dtype} and {source._meta.dtype}",
                site=user_site(3),
            )
        )
    return scattered_where(input, mask, source)


# ---------------------------------------------------------------------------------------------- where something is
# nonzero


@library(category="index", name="nonzero", **INTERNAL)
def nonzero_positions(input: Any) -> Any:
    """The index tuples of nonzero elements, a row each."""
    return np.argwhere(input != 0) if input.ndim else np.zeros((int(bool(input != 0)), 0), np.int64)


@composite()
def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The indices of all elements that are not zero, int64: a row an element, or with `as_tuple` a tensor a dimension.

    The tuple can be used as an index. This looks at the values, so everything recorded runs.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[0, 5], [6, 0]]).nonzero()
        tensor([[0, 1],
                [1, 0]])
    """
    if as_tuple:
        return nonzero_positions(input.unsqueeze(0) if not input._meta.ndim else input).unbind(1)
    return nonzero_positions(input)


@composite()
def argwhere(input: Any) -> Any:
    """The indices of all elements that are not zero, a row an element.

    Example::

        >>> import flambeau as torch
        >>> torch.argwhere(torch.tensor([0, 7, 8]))
        tensor([[1],
                [2]])
    """
    return nonzero_positions(input)


@library(
    category="index",
    name="nonzero_static",
    infer=lambda input, size, fill_value=-1: contiguous(dtypes.int64, (size, input.ndim)),
)
def nonzero_static(input: Any, size: int, fill_value: int = -1) -> Any:
    """The first `size` rows of `nonzero`; missing ones hold `fill_value`.

    Example::

        >>> import flambeau as torch
        >>> torch.nonzero_static(torch.tensor([0, 7]), size=2)
        tensor([[ 1],
                [-1]])
    """
    found = np.argwhere(input != 0)[:size] if input.ndim else np.zeros((0, 0), np.int64)
    result = np.full((size, input.ndim), fill_value, np.int64)
    result[: len(found)] = found
    return result
