"""Places in sorted sequences, and coordinates of flat indices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous
from flambeau._ir.recording import TensorBase
from flambeau._ops.registry import composite, library
from flambeau._ops.strided import INTERNAL

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


def _infer_places(sorted_sequence: Meta, input: Meta, right: bool, out_int32: bool, sorter: Any) -> Meta:
    return contiguous(dtypes.int32 if out_int32 else dtypes.int64, input.shape)


@library(category="sort", name="searchsorted", infer=_infer_places, **INTERNAL)
def places(sorted_sequence: Any, input: Any, right: bool, out_int32: bool, sorter: Any) -> Any:
    """Where values would go in sorted sequences, which lie in the last dimension."""
    if sorter is not None:
        sorted_sequence = np.take_along_axis(sorted_sequence, sorter, -1)
    if sorted_sequence.dtype.kind == "V":  # bfloat16
        sorted_sequence, input = sorted_sequence.astype(np.float32), input.astype(np.float32)
    side: Any = "right" if right else "left"
    if not input.size:
        return np.empty(input.shape, np.int64)
    if sorted_sequence.ndim == 1:
        return np.searchsorted(sorted_sequence, input, side)
    rows, values = sorted_sequence.reshape(-1, sorted_sequence.shape[-1]), input.reshape(-1, input.shape[-1])
    found = [np.searchsorted(row, v, side) for row, v in zip(rows, values, strict=True)]
    return np.array(found, np.int64).reshape(input.shape)


def _as_values(like: Any, value: Any) -> Any:
    """A number to be searched for as a 0-dim tensor that can be compared with the sequence."""
    return value if isinstance(value, TensorBase) else like.new_tensor(value, dtype=dtypes.of_scalar(value))


@composite(method=False)
def searchsorted(
    sorted_sequence: Any,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    """For every value of `input` the place in the sorted sequence before which it would go (after equal ones with
    `right`).

    The sequence lies in the last dimension; unless it has only one, the other dimensions must be those of `input`.
    `sorter` holds the indices that sort it. The result is int64, or int32 with `out_int32`. RuntimeError if shapes do
    not fit.

    Example::

        >>> import flambeau as torch
        >>> torch.searchsorted(torch.tensor([1, 3, 5]), torch.tensor([3, 6]))
        tensor([1, 3])
    """
    values = _as_values(sorted_sequence, input)
    s, v = sorted_sequence._meta, values._meta
    if side not in (None, "left", "right"):
        raise RuntimeError(
            errors.explain(
                f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}", site=user_site(3)
            )
        )
    if side == "left" and right:
        raise RuntimeError(
            errors.explain(
                "torch.searchsorted(): side and right can't be set to opposites, got side of left while right was True",
                site=user_site(3),
            )
        )
    if s.ndim == 0:
        raise RuntimeError(
            errors.explain("torch.searchsorted(): sorted_sequence must have at least one dimension", site=user_site(3))
        )
    if s.ndim > 1 and tuple(s.shape)[:-1] != tuple(v.shape)[:-1]:
        raise RuntimeError(
            errors.explain(
                "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of "
                "boundaries tensor and "
                f"input value tensor must match, but we got boundaries tensor {list(s.shape)} and input value tensor "
                f"{list(v.shape)}",
                site=user_site(3),
            )
        )
    if sorter is not None and sorter._meta.shape != s.shape:
        raise RuntimeError(
            errors.explain(
                f"torch.searchsorted(): boundary and sorter must have the same size, but got {list(s.shape)} and "
                f"{list(sorter.shape)}",
                site=user_site(3),
            )
        )
    return places(sorted_sequence, values, right or side == "right", out_int32, sorter)


@composite(method=False)
def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """For every value the number of the bucket it falls into, between increasing `boundaries` (one dimension).

    Bucket i holds boundaries[i-1] < value <= boundaries[i]; with `right` boundaries[i-1] <= value < boundaries[i].

    Example::

        >>> import flambeau as torch
        >>> torch.bucketize(torch.tensor([1, 4, 9]), torch.tensor([3, 6]))
        tensor([0, 1, 2])
    """
    if boundaries._meta.ndim != 1:
        raise RuntimeError(
            errors.explain(
                f"boundaries tensor must be 1 dimension, but got dim({boundaries._meta.ndim})", site=user_site(3)
            )
        )
    return places(boundaries, _as_values(boundaries, input), right, out_int32, None)


@composite(method=False)
def unravel_index(indices: Any, shape: int | Sequence[int]) -> tuple[Any, ...]:
    """The coordinates, a tensor for each dimension of `shape`, of flat (row-major) indices.

    ValueError for a shape with negative sizes, or an index too large for it.

    Example::

        >>> import flambeau as torch
        >>> torch.unravel_index(torch.tensor([5, 3]), (2, 3))
        (tensor([1, 1]), tensor([2, 0]))
    """
    if indices._meta.dtype.category != dtypes.INTEGER:
        raise TypeError(
            errors.explain(
                f"unravel_index(): expected an integer tensor for `indices`, got {indices._meta.dtype}",
                site=user_site(3),
            )
        )
    dims = (shape,) if isinstance(shape, int) else tuple([int(n) for n in shape])
    if any(n < 0 for n in dims):
        raise ValueError(errors.explain(f"'shape' cannot have negative values, but got {dims}", site=user_site(3)))
    indices = indices.long()
    return tuple([(indices // math.prod(dims[i + 1 :])) % n if n else indices for i, n in enumerate(dims)])
