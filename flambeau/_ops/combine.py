"""Every combination of elements: grids, products, block matrices."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir.meta import contiguous
from flambeau._ops.convert import cast
from flambeau._ops.join import cat, joined_dtype, stack, tensors_of
from flambeau._ops.rearrange import constant_pad_nd
from flambeau._ops.registry import composite, library
from flambeau._ops.strided import INTERNAL
from flambeau._ops.view import expand_, reshape, unpacked

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


@composite(method=False)
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Any, ...]:
    """Coordinates of a grid: vectors, each expanded along the dimensions of the others, as views.

    `indexing` "ij" (the default) numbers dimensions in the order of the vectors, "xy" exchanges the first two.

    Example::

        >>> import flambeau as torch
        >>> torch.meshgrid(torch.tensor([1, 2]), torch.tensor([3, 4]), indexing="ij")
        (tensor([[1, 1],
                [2, 2]]), tensor([[3, 4],
                [3, 4]]))
    """
    vectors = tensors_of(unpacked(tensors), "meshgrid")
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(
            errors.explain(
                f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}', site=user_site(3)
            )
        )
    for v in vectors:
        if v._meta.ndim > 1:
            raise RuntimeError(
                errors.explain(
                    f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {list(v.shape)}",
                    site=user_site(3),
                )
            )
        if v._meta.dtype is not vectors[0]._meta.dtype:
            raise RuntimeError(
                errors.explain(
                    f"torch.meshgrid expects all tensors to have the same dtype, got {vectors[0].dtype} and {v.dtype}",
                    site=user_site(3),
                )
            )
    swap = indexing == "xy" and len(vectors) > 1
    if swap:
        vectors = (vectors[1], vectors[0], *vectors[2:])
    shape = tuple([v._meta.numel for v in vectors])
    ones = (1,) * len(shape)
    grids = [expand_(reshape(v, (*ones[:i], shape[i], *ones[i + 1 :])), shape) for i, v in enumerate(vectors)]
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


@composite(method=False)
def cartesian_prod(*tensors: Any) -> Any:
    """Every combination of an element of each vector, a row each; a single vector stays as it is.

    Example::

        >>> import flambeau as torch
        >>> torch.cartesian_prod(torch.tensor([1, 2]), torch.tensor([8, 9]))
        tensor([[1, 8],
                [1, 9],
                [2, 8],
                [2, 9]])
    """
    vectors = unpacked(tensors)
    for v in vectors:
        if v._meta.ndim != 1:
            raise RuntimeError(errors.explain(f"Expect a 1D vector, but got shape {list(v.shape)}", site=user_site(3)))
    if len(vectors) == 1:
        return vectors[0]
    return stack([reshape(g, -1) for g in meshgrid(*vectors, indexing="ij")], 1)


@library(
    category="fill",
    infer=lambda n, r, repeated: contiguous(dtypes.int64, (math.comb(n + r - 1 if repeated and n else n, r), r)),
    **INTERNAL,
)
def combination_indices(n: int, r: int, repeated: bool) -> Any:
    """The increasing (or, if `repeated`, non-decreasing) r-tuples of the numbers below n."""
    tuples = (itertools.combinations_with_replacement if repeated else itertools.combinations)(range(n), r)
    return np.fromiter(itertools.chain.from_iterable(tuples), np.int64).reshape(-1, r)


@composite()
def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """Every choice of `r` elements of a vector, in order, a row each; `with_replacement` allows an element several
    times.

    Example::

        >>> import flambeau as torch
        >>> torch.combinations(torch.tensor([1, 2, 3]))
        tensor([[1, 2],
                [1, 3],
                [2, 3]])
    """
    if input._meta.ndim != 1:
        raise RuntimeError(errors.explain(f"Expect a 1D vector, but got shape {list(input.shape)}", site=user_site(3)))
    if r < 0:
        raise RuntimeError(errors.explain(f"Expect a non-negative number, but got {r}", site=user_site(3)))
    if r == 0:
        return input.new_empty((0,))
    return input.take(combination_indices(input._meta.numel, r, bool(with_replacement)))


@composite(method=False)
def block_diag(*tensors: Any) -> Any:
    """The matrix with the given ones along its diagonal and zeros elsewhere; vectors count as rows, dtypes promote.

    Example::

        >>> import flambeau as torch
        >>> torch.block_diag(torch.tensor([[1, 2]]), torch.tensor(3))
        tensor([[1, 2, 0],
                [0, 0, 3]])
    """
    found = unpacked(tensors)
    for i, t in enumerate(found):
        if t._meta.ndim > 2:
            raise RuntimeError(
                errors.explain(
                    f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {t._meta.ndim} "
                    f"dimensions",
                    site=user_site(3),
                )
            )
    matrices = [reshape(t, (1, t._meta.numel)) if t._meta.ndim < 2 else t for t in found]
    d = joined_dtype([t._meta for t in found])
    width, left, rows = sum([t._meta.shape[1] for t in matrices]), 0, []
    for t in matrices:
        right = width - left - t._meta.shape[1]
        rows.append(constant_pad_nd(t if t._meta.dtype is d else cast(t, d), (left, right)))
        left += t._meta.shape[1]
    return cat(rows, 0)
