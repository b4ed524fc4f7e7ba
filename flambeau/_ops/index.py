"""Indexing with integer tensors: `x[i, j]`, and reading or writing whole slices picked along a dimension."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous, preserved
from flambeau._ir.recording import TensorBase
from flambeau._ops import _expand_places
from flambeau._ops.convert import cast
from flambeau._ops.infer import broadcast_shapes, wrap_dim
from flambeau._ops.masked import fitting_number, nonzero_positions
from flambeau._ops.positions import add_rows, checked, widened
from flambeau._ops.registry import composite, library, with_tensor
from flambeau._ops.strided import INTERNAL, owner
from flambeau._ops.view import expand_, reshape

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

Indices = Sequence[Any]  # a tensor or None (all of it) for each leading dimension


# ---------------------------------------------------------------------------------------------- several dimensions at
# once


def expanded_indices(m: Meta, indices: Indices) -> tuple[Any, ...]:
    """Index tensors as int64, masks replaced by the indices where they are true; IndexError for what does not fit."""
    found: list[Any] = []
    for position, index in enumerate(indices):
        if index is None:
            found.append(None)
            continue
        d = index._meta.dtype
        if d is dtypes.bool_ or d is dtypes.uint8:
            if d is dtypes.uint8:
                warnings.warn(
                    "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead.",
                    UserWarning,
                    stacklevel=4,
                )
            _check_mask_shape(m, index._meta, len(found), position)
            found.extend(nonzero_positions(index).unbind(1))
        elif d.category == dtypes.INTEGER:
            found.append(index if d is dtypes.int64 else cast(index, dtypes.int64))
        else:
            raise IndexError(
                errors.explain(
                    f"tensors used as indices must be long, int, byte or bool tensors, got {d}", site=user_site(4)
                )
            )
    if len(found) > m.ndim:
        raise IndexError(
            errors.explain(f"too many indices for tensor of dimension {m.ndim} (got {len(found)})", site=user_site(4))
        )
    return tuple(found)


def _check_mask_shape(m: Meta, mask: Meta, dim: int, position: int) -> None:
    for i, n in enumerate(mask.shape):
        if dim + i >= m.ndim or m.shape[dim + i] != n:
            raise IndexError(
                errors.explain(
                    f"The shape of the mask {list(mask.shape)} at index {i} does not match the shape of the indexed "
                    f"tensor "
                    f"{list(m.shape)} at index {dim + i}",
                    site=user_site(5),
                )
            )


def indexed_dims(indices: Indices) -> list[int]:
    return [i for i, x in enumerate(indices) if x is not None]


def lead_of(dims: list[int]) -> int:
    """Where the dimensions of the indices go: to the place of adjacent indexed dimensions, otherwise to the front."""
    return dims[0] if dims and dims[-1] - dims[0] + 1 == len(dims) else 0


def indexed_shape(shape: Sequence[int], indices: Indices) -> tuple[int, ...]:
    """The shape of `x[indices]`; IndexError if the indices do not broadcast."""
    dims = indexed_dims(indices)
    shapes = [indices[d].shape for d in dims]
    try:
        common = broadcast_shapes(shapes)
    except RuntimeError:
        listed = ", ".join(str(list(s)) for s in shapes)
        raise IndexError(
            errors.explain(
                f"shape mismatch: indexing tensors could not be broadcast together with shapes {listed}",
                site=user_site(4),
            )
        ) from None
    lead = lead_of(dims)
    rest = [n for d, n in enumerate(shape) if d not in dims]
    return (*rest[:lead], *common, *rest[lead:])


def _reads(x: np.ndarray, indices: Indices) -> bool:
    """Is any element indexed? If not no index counts as out of range, but for one into a dimension without elements."""
    if 0 not in indexed_shape(x.shape, indices):
        return True
    dims = indexed_dims(indices)
    return all([indices[d].size for d in dims]) and 0 in [x.shape[d] for d in dims]


def _numpy_index(x: np.ndarray, indices: Indices) -> tuple[Any, ...]:
    return tuple(
        [slice(None) if i is None else checked(i, x.shape[d], d, negative=True) for d, i in enumerate(indices)]
    )


@library(
    expand=_expand_places.index_at,
    category="index",
    name="index",
    fallible=True,
    infer=lambda input, indices: contiguous(input.dtype, indexed_shape(input.shape, indices)),
    gradient={"input": lambda g, input_meta, indices: put_at(g.new_zeros(input_meta.shape), indices, g, True)},
    **INTERNAL,
)
def index_at(input: Any, indices: tuple) -> Any:
    """The elements at index tensors, one (or None) a dimension, placed by NumPy's rule."""
    if not _reads(input, indices):
        return np.empty(indexed_shape(input.shape, indices), input.dtype)
    return input[_numpy_index(input, indices)]


def _infer_put(input: Meta, indices: Indices, values: Meta, accumulate: bool) -> Meta:
    shape = indexed_shape(input.shape, indices)
    if not fits(values.shape, shape):
        raise RuntimeError(
            errors.explain(
                f"shape mismatch: value tensor of shape {list(values.shape)} cannot be broadcast to indexing result "
                f"of shape {list(shape)}",
                site=user_site(4),
            )
        )
    if values.dtype is not input.dtype:
        raise RuntimeError(
            errors.explain(
                "Index put requires the source and destination dtypes match, got "
                f"{errors.TYPE_NAMES[input.dtype.name]} for the destination and "
                f"{errors.TYPE_NAMES[values.dtype.name]} for the source.",
                hint="convert the values with .to(x.dtype)",
                site=user_site(4),
            )
        )
    return preserved(input)


def fits(shape: Sequence[int], into: Sequence[int]) -> bool:
    """Does `shape` broadcast to `into`? Extra leading dimensions must be 1."""
    extra = len(shape) - len(into)
    if extra > 0 and any(n != 1 for n in shape[:extra]):
        return False
    own = shape[max(extra, 0) :]
    return all(a in (1, b) for a, b in zip(reversed(own), reversed(into), strict=False))


@library(
    expand=_expand_places.put_at,
    category="index",
    name="index_put",
    shows=("input", "values"),
    fallible=True,
    infer=_infer_put,
    gradient={
        "input": lambda g, indices, accumulate, values_meta: (
            g if accumulate else put_at(g, indices, g.new_zeros(()), False)
        ),
        "values": lambda g, indices: index_at(g, indices),
    },
    **INTERNAL,
)
def put_at(input: Any, indices: tuple, values: Any, accumulate: bool) -> Any:
    """`input` with `values` written to, or added at, `input[indices]`."""
    result = widened(input)
    if not _reads(input, indices):
        return result
    where = _numpy_index(input, indices)
    if not accumulate:
        result[where] = values.astype(result.dtype, copy=False)
        return result
    dims = indexed_dims(indices)
    arrays = np.broadcast_arrays(*[where[d] for d in dims])
    rest = [d for d in range(input.ndim) if d not in dims]
    if not result.size:
        return result
    rows = np.zeros(arrays[0].shape, np.int64)
    for d, a in zip(dims, arrays, strict=True):
        rows = rows * input.shape[d] + a
    lead = lead_of(dims)
    wanted = indexed_shape(input.shape, indices)
    spread = np.broadcast_to(values.reshape(values.shape[max(0, values.ndim - len(wanted)) :]), wanted)
    spread = np.moveaxis(spread, range(lead, lead + rows.ndim), range(rows.ndim))
    target = np.ascontiguousarray(result.transpose(dims + rest))
    inner = target.shape[len(dims) :]
    add_rows(target.reshape(-1, *inner), rows.reshape(-1), spread.reshape(-1, *inner).astype(target.dtype, copy=False))
    return target.transpose(np.argsort(dims + rest))


@composite(inplace=True, writes_shared=True, saves=("indices",))
def index_put(input: Any, indices: Indices, values: Any, accumulate: bool = False) -> Any:
    """`input` with `values` (which broadcast) written at `input[indices]`, or added there with `accumulate`.

    `indices` is a tuple of integer or boolean tensors. IndexError for an index out of range, RuntimeError for other
    dtypes.

    Example::

        >>> import flambeau as torch
        >>> torch.zeros(3).index_put((torch.tensor([0, 0]),), torch.tensor([1., 2.]), accumulate=True)
        tensor([3., 0., 0.])
    """
    return put_at(input, expanded_indices(input._meta, indices), values, bool(accumulate))


# ---------------------------------------------------------------------------------------------- slices along one
# dimension


def _check_vector(index: Meta, name: str) -> None:
    if index.ndim > 1:
        raise IndexError(
            errors.explain(
                f"{name}(): Index is supposed to be a vector, got {index.ndim} dimensions", site=user_site(4)
            )
        )
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(
            errors.explain(f"{name}(): Expected dtype int32/int64 for index, got {index.dtype}", site=user_site(4))
        )


def _infer_index_select(input: Meta, dim: int, index: Meta) -> Meta:
    _check_vector(index, "index_select")
    dim = wrap_dim(dim, input.ndim)
    if not input.ndim:
        return input
    shape = list(input.shape)
    shape[dim] = index.numel
    return contiguous(input.dtype, shape)


@library(
    overlap="none",
    expand=_expand_places.index_select,
    category="index",
    fallible=True,
    infer=_infer_index_select,
    gradient={"input": lambda g, input_meta, dim, index: g.new_zeros(input_meta.shape).index_add(dim, index, g)},
)
def index_select(input: Any, dim: int, index: Any) -> Any:
    """The slices of dimension `dim` that the vector `index` (int32 or int64) names, in a new tensor.

    IndexError for an index out of range; negative ones are.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[1, 2], [3, 4], [5, 6]]).index_select(0, torch.tensor([2, 0]))
        tensor([[5, 6],
                [1, 2]])
    """
    dim = wrap_dim(dim, input.ndim)
    index = checked(index.reshape(-1), input.shape[dim] if input.ndim else 1, dim)
    return input if not input.ndim else np.take(input, index, axis=dim)


def _infer_source(name: str, input: Meta, dim: int, index: Meta, source: Meta) -> Meta:
    """The checks that `index_add` and `index_copy` share."""
    _check_vector(index, name)
    dim = wrap_dim(dim, input.ndim)
    if source.dtype is not input.dtype:
        raise RuntimeError(
            errors.explain(
                f"{name}(): self and source expected to have the same dtype, but got (self) "
                f"{errors.TYPE_NAMES[input.dtype.name]} and "
                f"(source) {errors.TYPE_NAMES[source.dtype.name]}",
                site=user_site(4),
            )
        )
    own = list(input.shape) if input.ndim else [1]
    given = list(source.shape) if source.ndim else [1]
    own[dim] = index.numel
    if own != given:
        raise RuntimeError(
            errors.explain(
                f"{name}(): Number of indices and the source's shape must fit: expected a source of shape {own} for "
                f"{index.numel} indices "
                f"of dimension {dim}, got {list(source.shape)}",
                site=user_site(4),
            )
        )
    return contiguous(input.dtype, input.shape)


def _first(x: np.ndarray, dim: int) -> np.ndarray:
    """`x` with dimension `dim` in front (0-dim arrays get one)."""
    return np.moveaxis(x.reshape(x.shape or (1,)), dim, 0)


@library(
    overlap="same",
    expand=_expand_places.index_add,
    category="index",
    fallible=True,
    inplace=True,
    gradient={
        "input": lambda g: g,
        "source": lambda g, dim, index, alpha, source_meta: (
            reshape(g.index_select(dim, index), source_meta.shape) * alpha
        ),
    },
    infer=lambda input, dim, index, source, alpha=1: _infer_source("index_add", input, dim, index, source),
    saves={"source": ("source",)},
)
def index_add(input: Any, dim: int, index: Any, source: Any, alpha: float = 1) -> Any:
    """`input` with `alpha * source` added to the slices of dimension `dim` that the vector `index` names.

    IndexError for an index out of range; RuntimeError if shapes or dtypes do not fit.

    Example::

        >>> import flambeau as torch
        >>> torch.zeros(2).index_add(0, torch.tensor([1, 1]), torch.tensor([1., 2.]))
        tensor([0., 3.])
    """
    dim = wrap_dim(dim, input.ndim)
    result = widened(_first(input, dim))
    index = checked(index.reshape(-1), result.shape[0], dim)
    values = _first(source, dim).astype(result.dtype, copy=False)
    add_rows(result, index, values if isinstance(alpha, int) and alpha == 1 else values * result.dtype.type(alpha))
    return np.moveaxis(result, 0, dim).reshape(input.shape)


@library(
    overlap="same",
    expand=_expand_places.index_copy,
    category="index",
    fallible=True,
    inplace=True,
    gradient={
        "input": lambda g, dim, index: g.index_fill(dim, index, 0),
        "source": lambda g, dim, index, source_meta: reshape(g.index_select(dim, index), source_meta.shape),
    },
    infer=lambda input, dim, index, source: _infer_source("index_copy", input, dim, index, source),
    saves={"source": ("source",)},
)
def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """`input` with the slices of dimension `dim` that the vector `index` names replaced by those of `source`.

    Example::

        >>> import flambeau as torch
        >>> torch.zeros(3).index_copy(0, torch.tensor([2, 0]), torch.tensor([1., 2.]))
        tensor([2., 0., 1.])
    """
    dim = wrap_dim(dim, input.ndim)
    result = np.array(_first(input, dim), order="C")
    result[checked(index.reshape(-1), result.shape[0], dim)] = _first(source, dim)
    return np.moveaxis(result, 0, dim).reshape(input.shape)


def _infer_fill(input: Meta, dim: int, index: Meta, value: Any) -> Meta:
    _check_vector(index, "index_fill_")
    wrap_dim(dim, input.ndim)
    return preserved(input)


@library(
    node_name=with_tensor("IndexFill", 3),
    expand=_expand_places.index_fill,
    category="index",
    fallible=True,
    name="index_fill",
    infer=_infer_fill,
    gradient={
        "input": lambda g, dim, index: filled_along(g, dim, index, 0),
        "value": lambda g, dim, index: g.index_select(dim, index.unique()).sum(),
    },
    **INTERNAL,
)
def filled_along(input: Any, dim: int, index: Any, value: Any) -> Any:
    """`input` with slices of a dimension filled with a number."""
    dim = wrap_dim(dim, input.ndim)
    result = np.array(_first(input, dim), order="C")
    result[checked(index.reshape(-1), result.shape[0], dim, negative=True)] = value
    return np.moveaxis(result, 0, dim).reshape(input.shape)


@composite(inplace=True, writes_shared=True)
def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """`input` with the slices of dimension `dim` that the vector `index` names filled with a number or a 0-dim tensor.

    Example::

        >>> import flambeau as torch
        >>> torch.zeros(3).index_fill(0, torch.tensor([0, 2]), 7)
        tensor([7., 0., 7.])
    """
    if isinstance(value, TensorBase):
        if value._meta.ndim:
            raise RuntimeError(
                errors.explain(
                    f"Only supports 0-dimension value tensor, but got tensor with {value._meta.ndim} dimension(s).",
                    site=user_site(3),
                )
            )
        value = value.to(input._meta.dtype)
    else:
        value = fitting_number(value, input._meta.dtype)
    return filled_along(input, dim, index, value)


@composite(overlap="same", inplace=True)
def index_reduce(input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True) -> Any:
    """`input` with slices of `source` combined into the slices of dimension `dim` that the vector `index` names.

    `reduce` is "prod", "mean", "amax" or "amin"; without `include_self` the old slices do not count.

    Example::

        >>> import flambeau as torch
        >>> torch.ones(2).index_reduce(0, torch.tensor([0, 0]), torch.tensor([3., 5.]), "prod")
        tensor([15.,  1.])
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            errors.explain(
                f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}.",
                site=user_site(3),
            )
        )
    m = _infer_source("index_reduce", input._meta, dim, index._meta, source._meta)
    dim = wrap_dim(dim, m.ndim)
    own, given = (input, source) if m.ndim else (input.unsqueeze(0), reshape(source, -1))
    shape = [1] * own._meta.ndim
    shape[dim] = index._meta.numel
    spread = expand_(reshape(index.long(), shape), given._meta.shape)
    reduced = own.scatter_reduce(dim, spread, given, reduce, include_self=include_self)
    return reduced if m.ndim else owner(reshape(reduced, m.shape))


# ---------------------------------------------------------------------------------------------- flat indices


@library(
    overlap="none",
    expand=_expand_places.take,
    category="index",
    fallible=True,
    infer=lambda input, index: contiguous(input.dtype, index.shape),
    gradient={"input": lambda g, input_meta, index: g.new_zeros(input_meta.shape).put(index, g, True)},
    saves=("input",),
)
def take(input: Any, index: Any) -> Any:
    """The elements at flat (row-major) indices, in the shape of `index`. IndexError for an index out of range.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[1, 2], [3, 4]]).take(torch.tensor([0, 3]))
        tensor([1, 4])
    """
    return input.reshape(-1)[checked(index, input.size, 0, negative=True)]


def _infer_flat_put(input: Meta, index: Meta, source: Meta, accumulate: bool = False) -> Meta:
    if source.dtype is not input.dtype or index.numel != source.numel:
        raise RuntimeError(
            errors.explain(
                "put_(): Expected self and source to have the same dtype and index and source the same number of "
                "elements, got "
                f"{input.dtype} and {source.dtype}, {index.numel} and {source.numel} elements",
                site=user_site(4),
            )
        )
    return preserved(input)


@library(
    expand=_expand_places.put,
    category="index",
    fallible=True,
    inplace=True,
    infer=_infer_flat_put,
    gradient={
        "input": lambda g, index, accumulate, source_meta: g if accumulate else g.put(index, g.new_zeros(index.shape)),
        "source": lambda g, index, source_meta: reshape(g.take(index), source_meta.shape),
    },
    saves={"source": ("source",)},
)
def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """`input` with `source` written at flat (row-major) indices, or added there with `accumulate`.

    Example::

        >>> import flambeau as torch
        >>> torch.zeros(2, 2).put(torch.tensor([1, 2]), torch.tensor([9., 8.]))
        tensor([[0., 9.],
                [8., 0.]])
    """
    result = widened(input)
    flat, where = result.reshape(-1), checked(index.reshape(-1), input.size, 0, negative=True)
    if accumulate:
        np.add.at(flat, where, source.reshape(-1).astype(flat.dtype, copy=False))
    else:
        flat[where] = source.reshape(-1)
    return result


@composite(overlap="none")
def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """The elements that `indices`, from an argsort or argmax along `dim`, points at; the other dimensions broadcast.

    Negative indices count from the end. Without `dim` both are taken as flat.

    Example::

        >>> import flambeau as torch
        >>> x = torch.tensor([[3, 1, 2]])
        >>> torch.take_along_dim(x, torch.tensor([[1, 2, 0]]), 1)
        tensor([[1, 2, 3]])
    """
    if dim is None:
        return reshape(input, -1).gather(0, reshape(indices, -1))
    if input._meta.ndim != indices._meta.ndim:
        raise RuntimeError(
            errors.explain(
                f"torch.take_along_dim(): input and indices should have the same number of dimensions, but got "
                f"{input._meta.ndim} "
                f"dimensions for input, and {indices._meta.ndim} dimensions for indices",
                site=user_site(3),
            )
        )
    dim = wrap_dim(dim, input._meta.ndim)
    ours, theirs = list(input._meta.shape), list(indices._meta.shape)
    n, k = ours[dim], theirs[dim]
    indices = indices + (indices < 0) * n  # negative ones count from the end
    ours[dim] = theirs[dim] = 1
    common = list(broadcast_shapes([ours, theirs], "take_along_dim"))
    return expand_(input, (*common[:dim], n, *common[dim + 1 :])).gather(
        dim, expand_(indices, (*common[:dim], k, *common[dim + 1 :]))
    )
