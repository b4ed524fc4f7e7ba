"""Reductions: sums, products, means, variances, norms, all/any, counts. Extrema are in `extrema`, ordering in
`sort`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.dtypes import dtype
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops import _expand
from flambeau._ops.infer import wrap_dim, wrap_dims
from flambeau._ops.join import cat
from flambeau._ops.registry import composite, library, with_option

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

Dims = int | Sequence[int] | None


def reduced_shape(m: Meta, dim: Dims, keepdim: bool) -> tuple[int, ...]:
    """The shape after reducing over `dim`."""
    dims = wrap_dims(dim, m.ndim)
    if keepdim:
        return tuple([1 if i in dims else n for i, n in enumerate(m.shape)])
    return tuple([n for i, n in enumerate(m.shape) if i not in dims])


def axes(x: np.ndarray, dim: Dims) -> tuple[int, ...]:
    """The axes NumPy reduces over."""
    return wrap_dims(dim, x.ndim)


def accumulated(x: np.ndarray) -> np.ndarray:
    """The array in the precision it is accumulated in: halves become float32."""
    return x.astype(np.float32) if is_half(x) else x


def is_half(x: np.ndarray) -> bool:
    """float16 or bfloat16 (which NumPy shows as kind V)?"""
    return x.dtype.itemsize == 2 and x.dtype.kind in "fV"


def spread(g: Any, m: Meta, dim: Dims, keepdim: bool) -> Any:
    """A reduced tensor given back the shape it was reduced from, by repetition."""
    return restored(g, m, dim, keepdim).expand(m.shape)


def restored(g: Any, m: Meta, dim: Dims, keepdim: bool) -> Any:
    """A reduced tensor with its reduced dimensions back as size 1."""
    if not keepdim and m.ndim:
        for d in sorted(wrap_dims(dim, m.ndim)):
            g = g.unsqueeze(d)
    return g


def numel_over(m: Meta, dim: Dims) -> int:
    """How many elements each result is made of."""
    count = 1
    for d in wrap_dims(dim, m.ndim):
        count *= m.shape[d]
    return count


def require_float(op: str, d: dtype) -> None:
    """RuntimeError for integers, as `mean` and its kin raise it."""
    if d.category < dtypes.FLOAT:
        raise RuntimeError(
            errors.explain(
                f"{op}(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. "
                f"Got: {errors.TYPE_NAMES[d.name]}",
                hint="convert first, e.g. x.float()",
                site=user_site(5),
            )
        )


# ---------------------------------------------------------------------------------------------- sums and products


def sum_dtype(m: Meta, d: dtype | None) -> dtype:
    return d or (m.dtype if m.dtype.category >= dtypes.FLOAT else dtypes.int64)


def in_dtype(x: np.ndarray, d: dtype | None) -> np.ndarray:
    """The operand of a sum or product: converted to `d`, integers to int64, halves to float32."""
    if d is not None and x.dtype != d.numpy:
        x = x.astype(d.numpy)
    elif d is None and x.dtype.kind in "biu":
        x = x.astype(np.int64)
    return accumulated(x)


@library(
    node_name=with_option("Sum", 1),
    out="computed",
    expand=_expand.total,
    category="reduce",
    infer=lambda m, dim=None, keepdim=False, dtype=None: contiguous(
        sum_dtype(m, dtype), reduced_shape(m, dim, keepdim)
    ),
    gradient={"input": lambda g, input_meta, dim, keepdim: spread(g, input_meta, dim, keepdim)},
)
def sum(input: Any, dim: Dims = None, keepdim: bool = False, dtype: dtype | None = None) -> Any:  # noqa: A001
    """The sum over `dim` (all by default). Integers are summed as int64; floats pairwise.

    Example::

        >>> import flambeau as torch
        >>> torch.ones(2, 3).sum(1)
        tensor([3., 3.])
    """
    add: Any = np.add  # its overloads know no `keepdims` that is a variable
    return add.reduce(in_dtype(input, dtype), axis=axes(input, dim), keepdims=keepdim)


@library(
    out="computed",
    expand=_expand.nansum,
    category="reduce",
    infer=lambda m, dim=None, keepdim=False, dtype=None: contiguous(
        sum_dtype(m, dtype), reduced_shape(m, dim, keepdim)
    ),
    gradient={
        "input": lambda g, input, dim, keepdim: spread(g, input._meta, dim, keepdim) * input.isnan().logical_not()
    },
)
def nansum(input: Any, dim: Dims = None, keepdim: bool = False, dtype: dtype | None = None) -> Any:
    """The sum over `dim`, NaN counted as zero.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1., float("nan")]).nansum()
        tensor(1.)
    """
    x = in_dtype(input, dtype)
    return (np.where(np.isnan(x), 0, x) if x.dtype.kind in "fc" else x).sum(axis=axes(x, dim), keepdims=keepdim)


@library(
    node_name=with_option("Prod", 1),
    expand=_expand.product,
    category="reduce",
    method=False,
    function=False,
    infer=lambda m, dim, keepdim, dtype: contiguous(sum_dtype(m, dtype), reduced_shape(m, dim, keepdim)),
    gradient={"input": lambda g, input, out, dim, keepdim: _prod_grad(g, input, out, dim, keepdim)},
)
def product(input: Any, dim: Dims, keepdim: bool, dtype: dtype | None) -> Any:
    """The product over `dim`."""
    return in_dtype(input, dtype).prod(axis=axes(input, dim), keepdims=keepdim)


def _prod_grad(g: Any, x: Any, out: Any, dim: Dims, keepdim: bool) -> Any:
    """The product of all the others; by exclusive products from both sides, so that zeros do no harm."""
    if dim is None:
        flat = x.reshape(-1)
        return _prod_grad(g, flat, out, 0, False).reshape(x.shape)
    d = wrap_dim(dim, x.dim()) if isinstance(dim, int) else dim[0]
    if x.dim() == 0:
        return g
    ones = x.narrow(d, 0, 1) * 0 + 1 if x.shape[d] else x
    n = x.shape[d]
    if n == 0:
        return x * 0
    left = cat([ones, x.narrow(d, 0, n - 1)], d).cumprod(d)
    right = cat([ones, x.flip(d).narrow(d, 0, n - 1)], d).cumprod(d).flip(d)
    others = left * right
    return restored(g, x._meta, d, keepdim) * (others.conj() if others.dtype.is_complex else others)


@composite(out="computed")
def prod(input: Any, dim: int | None = None, keepdim: bool = False, *, dtype: dtype | None = None) -> Any:
    """The product over `dim` (all by default); integers as int64.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([2., 3.]).prod()
        tensor(6.)
    """
    return product(input, dim, keepdim, dtype)


# ---------------------------------------------------------------------------------------------- means


@library(
    node_name=with_option("Mean", 1),
    expand=_expand.average,
    category="reduce",
    method=False,
    function=False,
    infer=lambda m, dim, keepdim, dtype: _infer_mean(m, dim, keepdim, dtype),
    gradient={
        "input": lambda g, input_meta, dim, keepdim: spread(g / numel_over(input_meta, dim), input_meta, dim, keepdim)
    },
)
def average(input: Any, dim: Dims, keepdim: bool, dtype: dtype | None) -> Any:
    """The mean over `dim`."""
    x = in_dtype(input, dtype)
    return x.sum(axis=axes(x, dim), keepdims=keepdim) / x.dtype.type(_count(x, dim))


def _count(x: np.ndarray, dim: Dims) -> int:
    count = 1
    for d in axes(x, dim):
        count *= x.shape[d]
    return count


@composite(out="computed")
def mean(input: Any, dim: Dims = None, keepdim: bool = False, *, dtype: dtype | None = None) -> Any:
    """The mean over `dim` (all by default); RuntimeError for integers unless `dtype` says what to compute in.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[1., 2.], [3., 5.]]).mean(0)
        tensor([2.0000, 3.5000])
    """
    return average(input, dim, keepdim, dtype)


@composite(out="computed")
def nanmean(input: Any, dim: Dims = None, keepdim: bool = False, *, dtype: dtype | None = None) -> Any:
    """The mean over `dim` of what is not NaN.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1., float("nan"), 3.]).nanmean()
        tensor(2.)
    """
    require_float("nanmean", dtype or input.dtype)
    return nansum(input, dim, keepdim, dtype) / input.isnan().logical_not().sum(dim, keepdim)


def _infer_mean(m: Meta, dim: Dims, keepdim: bool, d: dtype | None) -> Meta:
    require_float("mean", d or m.dtype)
    return contiguous(d or m.dtype, reduced_shape(m, dim, keepdim))


# ---------------------------------------------------------------------------------------------- variances


@library(
    expand=_expand.variance,
    category="reduce",
    method=False,
    function=False,
    node_name="VarBackward0",
    infer=lambda m, dim, correction, keepdim: contiguous(m.dtype.to_real(), reduced_shape(m, dim, keepdim)),
    gradient={"input": lambda g, input, dim, correction, keepdim: _var_grad(g, input, dim, correction, keepdim)},
)
def variance(input: Any, dim: Dims, correction: float, keepdim: bool) -> Any:
    """The sum of squared distances from the mean, in two passes, over max(0, n - correction)."""
    x = accumulated(input)
    n = _count(x, dim)
    centred = x - x.mean(axis=axes(x, dim), keepdims=True) if n else x
    squares = (centred.real**2 + centred.imag**2) if x.dtype.kind == "c" else centred * centred
    return squares.sum(axis=axes(x, dim), keepdims=keepdim) / squares.dtype.type(max(0, n - correction))


def _var_grad(g: Any, x: Any, dim: Dims, correction: float, keepdim: bool) -> Any:
    divisor = max(0, numel_over(x._meta, dim) - correction)
    centred = x - average(x, dim, True, None) if x.dim() else x * 0
    return spread(g, x._meta, dim, keepdim) * centred * (2 / divisor if divisor else float("nan"))


def _correction(unbiased: bool | None, correction: float | None) -> float:
    if unbiased is not None and correction is not None:
        raise TypeError("give either 'unbiased' or 'correction', not both")
    return 1 if correction is None and unbiased in (None, True) else (correction or 0)


def _spread_arguments(dim: Any, unbiased: bool | None) -> tuple[Dims, bool | None]:
    """PyTorch's `var(unbiased)`: a bool in the place of `dim`."""
    return (None, dim) if isinstance(dim, bool) else (dim, unbiased)


def _require_var(op: str, d: dtype) -> None:
    if d.category < dtypes.FLOAT:
        raise RuntimeError(
            f"{op}(): only support floating point and complex dtypes, got {d}; convert first, e.g. x.float()"
        )


@composite(out="castable")
def var(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None
) -> Any:
    """The variance over `dim` (all by default), divided by n - `correction` (1 by default).

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1., 2., 3.]).var()
        tensor(1.)
    """
    _require_var("std and var", input.dtype)
    dim, unbiased = _spread_arguments(dim, unbiased)
    return variance(input, dim, _correction(unbiased, correction), keepdim)


@composite(out="castable", node_name="StdBackward0", shows=("input",))
def std(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None
) -> Any:
    """The standard deviation over `dim`: the square root of `var`.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1., 2., 3.]).std()
        tensor(1.)
    """
    return root_with_zero_gradient(var(input, dim, unbiased, keepdim, correction=correction))


@library(
    expand=lambda c, x: c.map("sqrt", _expand.wide(x)),
    category="pointwise",
    method=False,
    function=False,
    node_name="StdBackward0",
    infer=lambda m: contiguous(m.dtype, m.shape),
    gradient={"input": lambda g, out: (g / (out * 2)).masked_fill(out == 0, 0)},
)
def root_with_zero_gradient(input: Any) -> Any:
    """The square root, whose gradient at 0 is taken to be 0: the standard deviation of equal numbers."""
    return np.sqrt(accumulated(input))


@composite(node_name="VarMeanBackward0", shows=("input",), method=False)
def var_mean(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None
) -> Any:
    """The variance and the mean.

    Example::

        >>> import flambeau as torch
        >>> torch.var_mean(torch.tensor([1., 2., 3.]))
        (tensor(1.), tensor(2.))
    """
    dims, _ = _spread_arguments(dim, unbiased)
    return var(input, dim, unbiased, keepdim, correction=correction), mean(input, dims, keepdim)


@composite(node_name="StdMeanBackward0", shows=("input",), method=False)
def std_mean(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None
) -> Any:
    """The standard deviation and the mean.

    Example::

        >>> import flambeau as torch
        >>> torch.std_mean(torch.tensor([1., 2., 3.]))
        (tensor(1.), tensor(2.))
    """
    dims, _ = _spread_arguments(dim, unbiased)
    return std(input, dim, unbiased, keepdim, correction=correction), mean(input, dims, keepdim)


# ---------------------------------------------------------------------------------------------- logic and counts


def _logic_dtype(m: Meta) -> dtype:
    return dtypes.uint8 if m.dtype is dtypes.uint8 else dtypes.bool_


def _truth(x: np.ndarray) -> np.ndarray:
    return x if x.dtype.kind == "b" else x != 0


@library(
    expand=_expand.truth("all"),
    category="reduce",
    infer=lambda m, dim=None, keepdim=False: contiguous(_logic_dtype(m), reduced_shape(m, dim, keepdim)),
)
def all(input: Any, dim: Dims = None, keepdim: bool = False) -> Any:  # noqa: A001
    """Are all elements over `dim` (all by default) true?

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([True, False]).all()
        tensor(False)
    """
    return _truth(input).all(axis=axes(input, dim), keepdims=keepdim)


@library(
    expand=_expand.truth("any"),
    category="reduce",
    infer=lambda m, dim=None, keepdim=False: contiguous(_logic_dtype(m), reduced_shape(m, dim, keepdim)),
)
def any(input: Any, dim: Dims = None, keepdim: bool = False) -> Any:  # noqa: A001
    """Is an element over `dim` (all by default) true?

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([True, False]).any()
        tensor(True)
    """
    return _truth(input).any(axis=axes(input, dim), keepdims=keepdim)


@library(
    expand=_expand.count_nonzero,
    category="reduce",
    infer=lambda m, dim=None: contiguous(dtypes.int64, reduced_shape(m, dim, False)),
)
def count_nonzero(input: Any, dim: Dims = None) -> Any:
    """How many elements over `dim` (all by default) are not zero.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([0, 1, 2]).count_nonzero()
        tensor(2)
    """
    return _truth(input).sum(axis=axes(input, dim), dtype=np.int64)


# ---------------------------------------------------------------------------------------------- sums in disguise


def sum_to_size(g: Any, shape: Sequence[int]) -> Any:
    """`g` summed over the dimensions that broadcasting `shape` to its shape had added or stretched."""
    if g._meta.shape == shape:
        return g
    lead = g.dim() - len(shape)
    stretched = [i for i in range(lead, g.dim()) if shape[i - lead] == 1 and g.shape[i] != 1]
    if lead or stretched:
        g = sum(g, (*range(lead), *stretched), bool(stretched))
    return g if g._meta.shape == shape else g.reshape(tuple(shape))


@composite(name="sum_to_size", function=False)
def sum_to_size_method(input: Any, *size: Any) -> Any:
    """`input` summed down to a shape that broadcasts to its own.

    Example::

        >>> import flambeau as torch
        >>> torch.ones(2, 3).sum_to_size(1, 3)
        tensor([[2., 2., 2.]])
    """
    shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    lead = input.dim() - len(shape)
    if lead < 0 or [n for n, own in zip(shape, input.shape[lead:], strict=True) if n not in (1, own)]:
        raise RuntimeError(f"size {{{list(input.shape)}}} is not expandable to size {{{list(shape)}}}.")
    return sum_to_size(input, shape) if shape else sum(input)


@library(
    expand=_expand.log_sum_exp,
    category="reduce",
    method=False,
    function=False,
    node_name="LogsumexpBackward0",
    infer=lambda m, dim, keepdim: contiguous(
        m.dtype if m.dtype.category >= dtypes.FLOAT else dtypes.get_default_dtype(), reduced_shape(m, dim, keepdim)
    ),
    gradient={
        "input": lambda g, input, out, dim, keepdim: (
            restored(g, input._meta, dim, keepdim) * (input - restored(out, input._meta, dim, keepdim)).exp().conj()
        )
    },
)
def log_sum_exp(input: Any, dim: Dims, keepdim: bool) -> Any:
    """log(sum(exp(input))), shifted by the maximum so that nothing overflows."""
    x = accumulated(input if input.dtype.kind in "fcV" else input.astype(np.float64))
    ax = axes(x, dim)
    if x.size == 0:
        return np.log(np.exp(x).sum(axis=ax, keepdims=keepdim))
    top = (x.real if x.dtype.kind == "c" else x).max(axis=ax, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    result = np.log(np.exp(x - top).sum(axis=ax, keepdims=True)) + top
    return result if keepdim else result.reshape([n for i, n in enumerate(x.shape) if i not in ax])


@composite(out="castable")
def logsumexp(input: Any, dim: Dims, keepdim: bool = False) -> Any:
    """log(sum(exp(input))) over `dim`, without overflow.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1000., 1000.]).logsumexp(0)
        tensor(1000.6932)
    """
    return log_sum_exp(input, dim, keepdim)
