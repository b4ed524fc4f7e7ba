"""Copies and conversions: clone, contiguous, casts between dtypes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau._core.dtypes import dtype
from flambeau._core.lazy import lazy_module
from flambeau._ir.meta import contiguous as contiguous_meta
from flambeau._ir.meta import preserved
from flambeau._ops import _expand
from flambeau._ops.registry import composite, library
from flambeau._ops.strided import owner

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


@library(
    node_name="ToCopyBackward0",
    expand=_expand.cast,
    category="pointwise",
    method=False,
    infer=preserved,
    gradient={"input": lambda g, input_meta: cast(g, input_meta.dtype)},
)
def cast(input: Any, dtype: dtype) -> Any:
    """`input` with elements converted to `dtype`; complex to real keeps the real part.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1.7, -1.7]).to(torch.int64)
        tensor([ 1, -1])
    """
    if input.dtype.kind == "c" and not dtype.is_complex:
        input = input.real
    if dtype.name == "bool":
        return input != 0
    if not dtype.differentiable and input.dtype.kind not in "biuc":
        # out-of-range and NaN have no defined result; going through int64 makes small integers wrap as PyTorch's do
        return input.astype(np.int64).astype(dtype.numpy) if dtype.itemsize < 8 else input.astype(dtype.numpy)
    return input.astype(dtype.numpy)


@library(
    node_name="CloneBackward0",
    expand=_expand.copy,
    category="pointwise",
    method=False,
    infer=lambda m, dense: preserved(m) if dense else contiguous_meta(m.dtype, m.shape),
    gradient={"input": lambda g: g},
)
def copy_of(input: Any, dense: bool) -> Any:
    """A copy in fresh memory; `dense` keeps a dense order of dimensions, otherwise the copy is row-major."""
    return input.copy()


@composite()
def clone(input: Any, *, memory_format: Any = None) -> Any:
    """A copy of `input` in memory of its own, through which gradients flow.

    Example::

        >>> import flambeau as torch
        >>> x = torch.zeros(2)
        >>> x.clone().add_(1), x
        (tensor([1., 1.]), tensor([0., 0.]))
    """
    if memory_format is None or memory_format.name == "preserve_format":
        return copy_of(input, True)
    if memory_format.name == "contiguous_format":
        return copy_of(input, False)
    return laid_out(input, memory_format)


def laid_out(input: Any, memory_format: Any) -> Any:
    """A copy whose channels (dimension 1) lie innermost."""
    order = memory_format.order(input.dim())
    inverse = sorted(range(len(order)), key=order.__getitem__)
    return owner(copy_of(input.permute(order), False).permute(inverse))


@composite(function=False)
def contiguous(input: Any, memory_format: Any = None) -> Any:
    """`input` itself if its elements lie in the order of `memory_format` (row-major by default), else a copy that does.

    Example::

        >>> import flambeau as torch
        >>> torch.ones(2, 3).t().contiguous().stride()
        (2, 1)
    """
    if memory_format is None or memory_format.name in ("contiguous_format", "preserve_format"):
        return input if input._meta.is_contiguous else copy_of(input, False)
    return input if input.is_contiguous(memory_format=memory_format) else laid_out(input, memory_format)
