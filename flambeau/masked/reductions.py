"""Reductions that leave elements out: `mask` is True where an element takes part, and broadcasts; of a MaskedTensor its
own mask has a say, too.

What is left out counts as the reduction's identity, so a slice without elements gives the identity. All functions take
`dim` (one or several, all by default), `keepdim` and `dtype`, in which the reduction is computed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flambeau import _api as torch
from flambeau._core import dtypes
from flambeau.masked.tensors import MaskedTensor

Dims = int | Sequence[int] | None


def _filled(input: Any, mask: Any, value: float, dtype: Any = None) -> Any:
    """`input`, in `dtype`, with `value` where the mask is False."""
    input, mask = _opened(input, mask)
    x = input if dtype is None else input.to(dtype)
    return x if mask is None else torch.where(_fitted(mask, x), x, value)


def _opened(input: Any, mask: Any) -> tuple[Any, Any]:
    """A tensor and a mask, of a masked tensor its data and what both masks let through."""
    if not isinstance(input, MaskedTensor):
        return input, mask
    own = input.get_mask()
    return input.get_data(), own if mask is None else own & _fitted(mask, input)


def _fitted(mask: Any, like: Any) -> Any:
    """The mask as booleans of the shape of `like`; ValueError for more dimensions than `like` has."""
    if mask.dim() > like.dim():
        raise ValueError("_input_mask expected broadcastable mask (got mask dimensionality higher than of the input)")
    return (mask if mask.shape == like.shape else mask.clone()).bool().expand(like.shape)


def _summable(input: Any, dtype: Any) -> Any:
    """The dtype that sums and products are computed in: int64 for integers."""
    return dtype or (input.dtype if input.is_floating_point() or input.is_complex() else torch.int64)


def _dims(input: Any, dim: Dims) -> tuple[int, ...]:
    if dim is None or dim == ():
        return tuple(range(input.dim()))
    return (dim,) if isinstance(dim, int) else tuple(dim)


# ---------------------------------------------------------------------------------------------- sums


def sum(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:  # noqa: A001
    """The sum of the elements that the mask lets through; integers are summed as int64.

    Example::

        >>> sum(torch.tensor([1, 2, 3]), mask=torch.tensor([True, False, True]))
        tensor(4)
    """
    return _filled(input, mask, 0, _summable(input, dtype)).sum(_dims(input, dim), keepdim=keepdim)


def prod(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The product of the elements that the mask lets through.

    Example::

        >>> prod(torch.tensor([2, 5, 3]), mask=torch.tensor([True, False, True]))
        tensor(6)
    """
    result = _filled(input, mask, 1, _summable(input, dtype))
    for d in sorted([d % max(input.dim(), 1) for d in _dims(input, dim)], reverse=True):
        result = result.prod(d, keepdim=keepdim)
    return result.clone() if result is input else result


def _count(input: Any, dim: Dims, keepdim: bool, mask: Any) -> Any:
    input, mask = _opened(input, mask)
    taken = torch.ones_like(input, dtype=torch.bool, requires_grad=False) if mask is None else _fitted(mask, input)
    return taken.sum(_dims(input, dim), keepdim=keepdim)


def mean(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The mean of the elements that the mask lets through; NaN where there are none. ValueError for integers.

    Example::

        >>> mean(torch.tensor([1., 2., 3.]), mask=torch.tensor([True, False, True]))
        tensor(2.)
    """
    d = input.dtype if dtype is None else dtype
    if not (d.is_floating_point or d.is_complex):
        raise ValueError(
            "mean(): Could not infer output dtype. Input dtype must be either a floating point or complex dtype. "
            f"Got: {d}"
        )
    total = sum(input, dim, keepdim=keepdim, dtype=d, mask=mask)
    return total / _count(input, dim, keepdim, mask)


def var(
    input: Any,
    dim: Dims = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Any:
    """The variance of the elements that the mask lets through: squares over their number less `correction` (1).

    Example::

        >>> var(torch.tensor([1., 9., 3.]), mask=torch.tensor([True, False, True]))
        tensor(2.)
    """
    if unbiased is not None and correction is not None:
        raise ValueError("Only one of unbiased and correction may be given")
    correction = float(unbiased) if unbiased is not None else 1.0 if correction is None else correction
    x = input if input.is_floating_point() or input.is_complex() else input.to(torch.get_default_dtype())
    x = x if dtype is None else x.to(dtype)
    count = _count(x, dim, True, mask)
    centred = _filled(x - sum(x, dim, keepdim=True, mask=mask) / count, mask, 0)
    squares = (centred * centred.conj()).real if x.is_complex() else centred * centred
    freedom = (_count(x, dim, keepdim, mask) - correction).clamp(min=0)
    return (squares.sum(_dims(input, dim), keepdim=keepdim) / freedom).to(x.dtype)


def std(
    input: Any,
    dim: Dims = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Any:
    """The square root of `var`.

    Example::

        >>> std(torch.tensor([1., 9., 3.]), mask=torch.tensor([True, False, True]))
        tensor(1.4142)
    """
    return var(input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype, mask=mask).sqrt()


def norm(
    input: Any,
    ord: float | None = 2.0,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,  # noqa: A002
) -> Any:
    """The `ord`-norm of the elements that the mask lets through.

    Example::

        >>> norm(torch.tensor([3., 9., 4.]), mask=torch.tensor([True, False, True]))
        tensor(5.)
    """
    order = 2.0 if ord is None else float(ord)
    x = _filled(input, mask, math.inf if order < 0 else 0.0, dtype)
    return torch.norm(x, order, _dims(input, dim) or None, keepdim)


# ---------------------------------------------------------------------------------------------- extrema


def amax(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The greatest of the elements that the mask lets through.

    Example::

        >>> amax(torch.tensor([1, 9, 3]), mask=torch.tensor([True, False, True]))
        tensor(3)
    """
    return _filled(input, mask, dtypes.extreme(dtype or input.dtype, False), dtype).amax(_dims(input, dim), keepdim)


def amin(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The least of the elements that the mask lets through.

    Example::

        >>> amin(torch.tensor([1, 0, 3]), mask=torch.tensor([True, False, True]))
        tensor(1)
    """
    return _filled(input, mask, dtypes.extreme(dtype or input.dtype, True), dtype).amin(_dims(input, dim), keepdim)


def argmax(input: Any, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The place of `amax` along `dim`, or in the flattened tensor, as a number of the dtype of `input`.

    Example::

        >>> argmax(torch.tensor([1, 9, 3]), mask=torch.tensor([True, False, True]))
        tensor(2)
    """
    d = dtype or input.dtype
    return _filled(input, mask, dtypes.extreme(d, False), d).argmax(dim, keepdim).to(d)


def argmin(input: Any, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The place of `amin` along `dim`, or in the flattened tensor, as a number of the dtype of `input`.

    Example::

        >>> argmin(torch.tensor([1, 0, 3]), mask=torch.tensor([True, False, True]))
        tensor(0)
    """
    d = dtype or input.dtype
    return _filled(input, mask, dtypes.extreme(d, True), d).argmin(dim, keepdim).to(d)


def median(input: Any, dim: int = -1, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The median along `dim` of the elements that the mask lets through; ValueError for integers, and for NaN that a
    mask goes with, since NaN marks what is left out.

    Example::

        >>> median(torch.tensor([1., 9., 3.]), mask=torch.tensor([True, False, True]))
        tensor(1.)
    """
    x = input if dtype is None else input.to(dtype)
    if not x.is_floating_point():
        raise ValueError(f"input tensor must be a floating point tensor, got {x.dtype}")
    if mask is None:
        return x.median(dim, keepdim).values
    if bool((x != x).any()):
        raise ValueError("masked median expects no NaN in the input")
    return _filled(x, mask, math.nan).nanmedian(dim, keepdim).values


# ---------------------------------------------------------------------------------------------- logarithms of sums


def logsumexp(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The logarithm of the sum of exponentials of the elements that the mask lets through.

    Example::

        >>> logsumexp(torch.tensor([0., 9., 0.]), mask=torch.tensor([True, False, True]))
        tensor(0.6931)
    """
    d = dtype or (input.dtype if input.is_floating_point() or input.is_complex() else torch.int64)
    limit = -math.inf if d.is_complex else dtypes.extreme(d, False)
    return torch.logsumexp(_filled(input, mask, limit, d), _dims(input, dim), keepdim).to(d)


def logaddexp(input: Any, other: Any, *, dtype: Any = None, input_mask: Any = None, other_mask: Any = None) -> Any:
    """log(exp(input) + exp(other)), elementwise, of what the masks let through.

    Example::

        >>> logaddexp(torch.zeros(2), torch.zeros(2), other_mask=torch.tensor([True, False]))
        tensor([0.6931, 0.0000])
    """
    d = dtype or input.dtype
    return torch.logaddexp(_filled(input, input_mask, -math.inf, d), _filled(other, other_mask, -math.inf, d))


def softmax(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """Softmax along `dim` of the elements that the mask lets through; 0 for the others, NaN where there are none.

    Example::

        >>> softmax(torch.tensor([1., 9., 1.]), 0, mask=torch.tensor([True, False, True]))
        tensor([0.5000, 0.0000, 0.5000])
    """
    return torch.softmax(_filled(input, mask, -math.inf, dtype or input.dtype), dim)


def softmin(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """Softmax of the negated elements.

    Example::

        >>> softmin(torch.tensor([1., 0., 1.]), 0, mask=torch.tensor([True, False, True]))
        tensor([0.5000, 0.0000, 0.5000])
    """
    return torch.softmax(-_filled(input, mask, math.inf, dtype or input.dtype), dim)


def log_softmax(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """The logarithm of `softmax`.

    Example::

        >>> log_softmax(torch.tensor([1., 9.]), 0, mask=torch.tensor([True, False]))
        tensor([0., -inf])
    """
    return torch.log_softmax(_filled(input, mask, -math.inf, dtype or input.dtype), dim)


# ---------------------------------------------------------------------------------------------- along a dimension


def cumsum(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """Running sums along `dim` of the elements that the mask lets through.

    Example::

        >>> cumsum(torch.tensor([1, 2, 3]), 0, mask=torch.tensor([True, False, True]))
        tensor([1, 1, 4])
    """
    return _filled(input, mask, 0, _summable(input, dtype)).cumsum(dim)


def cumprod(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """Running products along `dim` of the elements that the mask lets through.

    Example::

        >>> cumprod(torch.tensor([1, 2, 3]), 0, mask=torch.tensor([True, False, True]))
        tensor([1, 1, 3])
    """
    return _filled(input, mask, 1, _summable(input, dtype)).cumprod(dim)


def normalize(
    input: Any,
    ord: float,
    dim: int,
    *,
    eps: float = 1e-12,
    dtype: Any = None,
    mask: Any = None,  # noqa: A002
) -> Any:
    """The elements that the mask lets through over their `ord`-norm along `dim` (at least `eps`); 0 for the others.

    Example::

        >>> normalize(torch.tensor([3., 9., 4.]), 2., 0, mask=torch.tensor([True, False, True]))
        tensor([0.6000, 0.0000, 0.8000])
    """
    size = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return _filled(input, mask, 0, dtype) / size.clamp(min=eps)
