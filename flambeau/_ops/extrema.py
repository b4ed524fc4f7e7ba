"""Extrema over dimensions: max, min, their positions, ranges. NaN wins everywhere, and the first of equals is the one
named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes
from flambeau._core.lazy import lazy_module
from flambeau._ir.meta import Meta, contiguous
from flambeau._ir.recording import TensorBase
from flambeau._ops import _expand
from flambeau._ops.arguments import check_tensor
from flambeau._ops.infer import wrap_dim, wrap_dims
from flambeau._ops.reduce import Dims, accumulated, axes, reduced_shape, restored
from flambeau._ops.registry import composite, library
from flambeau._ops.results import named, values_and_indices

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

aminmax_result = named("aminmax", "min", "max")


max_result, min_result = values_and_indices("max"), values_and_indices("min")


def _no_complex(op: str, m: Meta) -> None:
    if m.dtype.is_complex:
        raise RuntimeError(f"{op}: does not support complex input, complex numbers have no order")


def _nonempty(op: str, m: Meta, dim: Dims) -> None:
    """IndexError where a dimension without elements has no extremum."""
    for d in wrap_dims(dim, m.ndim):
        if m.shape[d] == 0:
            if dim is None:
                raise RuntimeError(
                    f"{op}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction "
                    f"dim with the "
                    "'dim' argument."
                )
            raise IndexError(f"{op}(): Expected reduction dim {d} to have non-zero size.")


def _infer_extremum(op: str, m: Meta, dim: Dims = None, keepdim: bool = False) -> Meta:
    _no_complex(op, m)
    _nonempty(op, m, dim)
    return contiguous(m.dtype, reduced_shape(m, dim, keepdim))


def _even_grad(g: Any, x: Any, out: Any, dim: Dims, keepdim: bool) -> Any:
    """The gradient shared evenly among all that equal the extremum."""
    out = restored(out, x._meta, dim, keepdim)
    mask = (x == out) | (x.isnan() & out.isnan()) if x.dtype.differentiable else x == out
    count = mask.sum(wrap_dims(dim, x.dim()), True) if x.dim() else mask.sum()
    return restored(g, x._meta, dim, keepdim) * mask / count


@library(
    expand=_expand.extremum("max"),
    category="reduce",
    infer=lambda m, dim=None, keepdim=False: _infer_extremum("amax", m, dim, keepdim),
    gradient={"input": lambda g, input, out, dim, keepdim: _even_grad(g, input, out, dim, keepdim)},
)
def amax(input: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """The maximum over `dim` (all by default); the gradient is shared among equals.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[1., 5.], [3., 2.]]).amax(1)
        tensor([5., 3.])
    """
    return accumulated(input).max(axis=axes(input, dim), keepdims=keepdim)


@library(
    expand=_expand.extremum("min"),
    category="reduce",
    infer=lambda m, dim=None, keepdim=False: _infer_extremum("amin", m, dim, keepdim),
    gradient={"input": lambda g, input, out, dim, keepdim: _even_grad(g, input, out, dim, keepdim)},
)
def amin(input: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """The minimum over `dim` (all by default); the gradient is shared among equals.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[1., 5.], [3., 2.]]).amin(1)
        tensor([1., 2.])
    """
    return accumulated(input).min(axis=axes(input, dim), keepdims=keepdim)


@composite(node_name="AminmaxBackward0", shows=("input",))
def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """The minimum and the maximum over `dim` (all by default).

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1., 5., 3.]).aminmax().max
        tensor(5.)
    """
    return aminmax_result(amin(input, dim, keepdim), amax(input, dim, keepdim))


# ---------------------------------------------------------------------------------------------- positions


def _infer_position(op: str, m: Meta, dim: int | None = None, keepdim: bool = False) -> Meta:
    _no_complex(op, m)
    _nonempty(op, m, dim)
    return contiguous(dtypes.int64, reduced_shape(m, dim, keepdim))


def _position(x: np.ndarray, dim: int | None, keepdim: bool, find: Any) -> np.ndarray:
    x = accumulated(x)
    if dim is None:
        found = np.asarray(find(x.reshape(-1)))
        return found.reshape([1] * x.ndim) if keepdim else found
    if x.ndim == 0:
        return np.zeros((), np.int64)
    found = find(x, axis=dim)
    return np.expand_dims(found, dim) if keepdim else found


@library(
    expand=_expand.position("argmax"),
    category="reduce",
    infer=lambda m, dim=None, keepdim=False: _infer_position("argmax", m, dim, keepdim),
)
def argmax(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The position of the maximum along `dim`, or in the flattened tensor; the first of equals.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[1, 5], [3, 2]]).argmax(1)
        tensor([1, 0])
    """
    return _position(input, dim, keepdim, np.argmax)


@library(
    expand=_expand.position("argmin"),
    category="reduce",
    infer=lambda m, dim=None, keepdim=False: _infer_position("argmin", m, dim, keepdim),
)
def argmin(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The position of the minimum along `dim`, or in the flattened tensor; the first of equals.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[1, 5], [3, 2]]).argmin(1)
        tensor([0, 1])
    """
    return _position(input, dim, keepdim, np.argmin)


def scatter_grad(g: Any, m: Meta, dim: int, keepdim: bool, indices: Any) -> Any:
    """The gradient of picking one element along `dim`: it goes to where the element came from."""
    if m.ndim == 0:
        return g
    d = wrap_dim(dim, m.ndim)
    if not keepdim:
        g, indices = g.unsqueeze(d), indices.unsqueeze(d)
    return g.new_zeros(m.shape).scatter(d, indices, g)


def _infer_along(op: str, m: Meta, dim: int, keepdim: bool) -> tuple[Meta, Meta]:
    value = _infer_extremum(op, m, wrap_dim(dim, m.ndim), keepdim)
    return value, contiguous(dtypes.int64, value.shape)


def _along(x: np.ndarray, dim: int, keepdim: bool, find: Any) -> tuple[np.ndarray, np.ndarray]:
    if x.ndim == 0:
        return x.copy(), np.zeros((), np.int64)
    positions = np.expand_dims(find(accumulated(x), axis=dim), dim)
    values = np.take_along_axis(x, positions, dim)
    if not keepdim:
        positions, values = positions.squeeze(dim), values.squeeze(dim)
    return values, positions


@library(
    expand=_expand.extremum_and_position("max"),
    category="reduce",
    method=False,
    function=False,
    node_name="MaxBackward0",
    result_type=max_result,
    nondifferentiable=(1,),
    infer=lambda m, dim, keepdim: _infer_along("max", m, dim, keepdim),
    gradient={"input": lambda g0, out1, input_meta, dim, keepdim: scatter_grad(g0, input_meta, dim, keepdim, out1)},
)
def max_along(input: Any, dim: int, keepdim: bool) -> Any:
    """The maximum along one dimension and its position."""
    return _along(input, dim, keepdim, np.argmax)


@library(
    expand=_expand.extremum_and_position("min"),
    category="reduce",
    method=False,
    function=False,
    node_name="MinBackward0",
    result_type=min_result,
    nondifferentiable=(1,),
    infer=lambda m, dim, keepdim: _infer_along("min", m, dim, keepdim),
    gradient={"input": lambda g0, out1, input_meta, dim, keepdim: scatter_grad(g0, input_meta, dim, keepdim, out1)},
)
def min_along(input: Any, dim: int, keepdim: bool) -> Any:
    """The minimum along one dimension and its position."""
    return _along(input, dim, keepdim, np.argmin)


@library(
    expand=_expand.extremum("max"),
    category="reduce",
    method=False,
    function=False,
    node_name="MaxBackward1",
    infer=lambda m: _infer_extremum("max", m),
    gradient={"input": lambda g, input, out: _even_grad(g, input, out, None, False)},
)
def max_of_all(input: Any) -> Any:
    """The maximum of all elements."""
    return accumulated(input).max()


@library(
    expand=_expand.extremum("min"),
    category="reduce",
    method=False,
    function=False,
    node_name="MinBackward1",
    infer=lambda m: _infer_extremum("min", m),
    gradient={"input": lambda g, input, out: _even_grad(g, input, out, None, False)},
)
def min_of_all(input: Any) -> Any:
    """The minimum of all elements."""
    return accumulated(input).min()


@composite(out="castable", overlap="same")
def max(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:  # noqa: A001
    """`max(input)`: the largest element; `max(input, dim)`: (values, indices) along a dimension; `max(input, other)`:
    the larger of each pair.

    Example::

        >>> import flambeau as torch
        >>> torch.max(torch.tensor([[1., 5.], [3., 2.]]), 1).indices
        tensor([1, 0])
    """
    check_tensor(input, "max")
    other = dim if isinstance(dim, TensorBase) else other
    if other is not None:
        return input.maximum(other)
    return max_of_all(input) if dim is None else max_along(input, dim, keepdim)


@composite(out="castable", overlap="same")
def min(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:  # noqa: A001
    """`min(input)`: the smallest element; `min(input, dim)`: (values, indices) along a dimension; `min(input, other)`:
    the smaller of each pair.

    Example::

        >>> import flambeau as torch
        >>> torch.min(torch.tensor([4., 2.]))
        tensor(2.)
    """
    check_tensor(input, "min")
    other = dim if isinstance(dim, TensorBase) else other
    if other is not None:
        return input.minimum(other)
    return min_of_all(input) if dim is None else min_along(input, dim, keepdim)
