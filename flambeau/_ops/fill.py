"""Tensors made from nothing: constants, ranges, identity. `_tensor.creation` gives them PyTorch's signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau._core.dtypes import FLOAT8, dtype
from flambeau._core.lazy import lazy_module
from flambeau._ir.meta import contiguous
from flambeau._ir.recording import TensorBase
from flambeau._ops import _expand
from flambeau._ops.convert import to_float8
from flambeau._ops.registry import composite, library

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


@library(
    expand=_expand.filled,
    category="fill",
    method=False,
    function=False,
    infer=lambda shape, value, dtype: contiguous(dtype, shape),
)
def filled(shape: tuple[int, ...], value: Any, dtype: dtype) -> Any:
    """`shape` full of one number."""
    if dtype.category <= 1 and isinstance(value, float):
        value = int(value)
    if dtype in FLOAT8:
        return np.full(shape, to_float8(np.asarray(value), dtype))
    return np.full(shape, value, dtype.numpy)


@library(
    expand=_expand.stepped,
    category="fill",
    method=False,
    function=False,
    infer=lambda start, step, count, dtype: contiguous(dtype, (count,)),
)
def stepped(start: Any, step: Any, count: int, dtype: dtype) -> Any:
    """`start + i * step` for i below `count`; PyTorch computes in the result's precision, integers exactly. Of floats,
    `start` and `step` may be float64 0-dim tensors."""
    if dtype.category <= 1:
        return np.asarray(int(start) + np.arange(count, dtype=np.int64) * int(step))
    return np.float64(start) + np.arange(count, dtype=np.float64) * np.float64(step)


@library(
    expand=_expand.spaced,
    category="fill",
    method=False,
    function=False,
    infer=lambda start, end, steps, dtype: contiguous(dtype, (steps,)),
)
def spaced(start: Any, end: Any, steps: int, dtype: dtype) -> Any:
    """`steps` numbers from `start` to `end` (numbers, or float64 0-dim tensors), the second half counted back from the
    end, as PyTorch does for symmetry."""
    if steps == 1:
        return np.full(1, start, dtype.numpy)
    if dtype.category <= 1:
        wide: Any = np.float64
    else:
        wide = np.complex128 if dtype.is_complex else np.float32 if dtype.itemsize <= 4 else np.float64
    start, end = wide(start), wide(end)
    step = (end - start) / wide(max(steps - 1, 1))
    i = np.arange(steps)
    result = np.where(i < steps // 2, start + step * i.astype(wide), end - step * (steps - 1 - i).astype(wide))
    return np.trunc(result) if dtype.category <= 1 else result


INSENSITIVE: dict[str, Any] = {
    "expand": _expand.insensitive,
    "category": "fill",
    "method": False,
    "function": False,
    "infer": lambda value, source: value,
    "gradient": {"value": lambda g: g, "source": lambda g, source_meta: g.new_zeros(source_meta.shape)},
}


@library(node_name="BernoulliBackward0", **INSENSITIVE)
def insensitive(value: Any, source: Any) -> Any:
    """`value`, which was made with the help of `source` but has no slope in it: its gradient is zero."""
    return value


@library(node_name="FillBackward0", shows=("source",), **INSENSITIVE)
def in_place_of(value: Any, source: Any) -> Any:
    """`value`, which was written over `source`: its gradient is zero."""
    return value


@library(
    expand=_expand.identity,
    category="fill",
    method=False,
    function=False,
    infer=lambda n, m, dtype: contiguous(dtype, (n, m)),
)
def identity(n: int, m: int, dtype: dtype) -> Any:
    """Ones on the diagonal of an n x m matrix."""
    return np.eye(n, m, dtype=dtype.numpy)


@composite(method=False)
def fill(input: Any, value: Any) -> Any:
    """A tensor of the shape and dtype of `input`, full of a number or of a 0-dim tensor.

    Example::

        >>> import flambeau as torch
        >>> torch.fill(torch.zeros(2), 3)
        tensor([3., 3.])
    """
    if isinstance(value, TensorBase):
        if value._meta.ndim:
            raise RuntimeError(
                f"fill only supports 0-dimension value tensor but got tensor with {value._meta.ndim} dimensions."
            )
        made = value.to(input.dtype).expand(input.shape).clone()
    else:
        made = input.new_full(tuple(input.shape), value)
    return insensitive(made, input) if input.dtype.differentiable else made
