"""Products of matrices that are kept in few bits, with scales that make them the numbers they stand for."""

from __future__ import annotations

from enum import IntEnum
from math import prod
from typing import Any

from flambeau._core import dtypes
from flambeau._core.errors import explain
from flambeau._ops.contract import matmul
from flambeau._ops.convert import cast
from flambeau._ops.grouped import grouped_mm
from flambeau._ops.registry import composite


class ScalingType(IntEnum):
    """What one scale is for: the whole matrix, or a row of the first matrix and a column of the second.

    The kinds for blocks are named, but not computed.
    """

    TensorWise = 0
    RowWise = 1
    BlockWise1x16 = 2
    BlockWise1x32 = 3
    BlockWise1x128 = 4
    BlockWise128x128 = 5


class SwizzleType(IntEnum):
    """In which order scales of blocks stand in memory."""

    NO_SWIZZLE = 0
    SWIZZLE_32_4_4 = 1


@composite(namespace="nn.functional", method=False)
def scaled_mm(
    mat_a: Any,
    mat_b: Any,
    scale_a: Any,
    scale_recipe_a: Any,
    scale_b: Any,
    scale_recipe_b: Any,
    swizzle_a: Any = None,
    swizzle_b: Any = None,
    bias: Any = None,
    output_dtype: Any = dtypes.bfloat16,
    contraction_dim: Any = (),
    use_fast_accum: bool = False,
) -> Any:
    """`(mat_a * scale_a) @ (mat_b * scale_b) + bias` of matrices (M, K) and (K, N), which may be floats of 8 bits.

    Products are summed in float32 and given in `output_dtype`, bfloat16 unless another is named. `scale_recipe_a` and
    `scale_recipe_b` say what the scales, float32, are for: `ScalingType.TensorWise` (one element) or `RowWise` (M, or N
    elements). ValueError if there are others; NotImplementedError for scales of blocks.

    Example::

        >>> import flambeau as torch, flambeau.nn.functional as F
        >>> a = torch.tensor([[1., 2.]]).to(torch.float8_e4m3fn)
        >>> one = F.ScalingType.TensorWise
        >>> F.scaled_mm(a, a.t(), torch.tensor(2.), one, torch.tensor(0.5), one)
        tensor([[5.]], dtype=torch.bfloat16)
    """
    if mat_a.dim() != 2 or mat_b.dim() != 2 or mat_a.shape[1] != mat_b.shape[0]:
        raise ValueError(f"scaled_mm expects matrices (M, K) and (K, N), got {tuple(mat_a.shape)} and "
                         f"{tuple(mat_b.shape)}")  # fmt: skip
    a = _unscaled(mat_a, scale_a, scale_recipe_a, 0, "scaled_mm")
    b = _unscaled(mat_b, scale_b, scale_recipe_b, 1, "scaled_mm")
    product = matmul(a, b)
    if bias is not None:
        product = product + bias
    return cast(product, output_dtype or dtypes.bfloat16)


@composite(namespace="nn.functional", method=False)
def scaled_grouped_mm(
    mat_a: Any,
    mat_b: Any,
    scale_a: Any,
    scale_recipe_a: Any,
    scale_b: Any,
    scale_recipe_b: Any,
    swizzle_a: Any = None,
    swizzle_b: Any = None,
    bias: Any = None,
    offs: Any = None,
    output_dtype: Any = dtypes.bfloat16,
    contraction_dim: Any = (),
    use_fast_accum: bool = False,
) -> Any:
    """`grouped_mm` of matrices with scales, as in `scaled_mm`: one for each row of `mat_a` and each column of `mat_b`,
    in each group where a tensor holds a stack of them.

    Example::

        >>> import flambeau as torch, flambeau.nn.functional as F
        >>> a, b = (torch.ones(n, 2, 2).to(torch.float8_e4m3fn) for n in (1, 1))
        >>> each = F.ScalingType.RowWise
        >>> F.scaled_grouped_mm(a, b, torch.tensor([[1., 2.]]), each, torch.tensor([[1., 3.]]), each)
        tensor([[[ 2.,  6.],
                 [ 4., 12.]]], dtype=torch.bfloat16)
    """
    if mat_a.dim() == mat_b.dim() == 2:
        fact = "scaled_grouped_mm of two tensors that are both split along what is summed over"
        raise NotImplementedError(explain(fact, hint="grouped_mm of the matrices times their scales, in float32"))
    a = _unscaled(mat_a, scale_a, scale_recipe_a, 0, "scaled_grouped_mm")
    b = _unscaled(mat_b, scale_b, scale_recipe_b, 1, "scaled_grouped_mm")
    return grouped_mm(a, b, offs=offs, bias=bias, out_dtype=output_dtype or dtypes.bfloat16)


def _unscaled(matrix: Any, scale: Any, recipe: Any, dim: int, op: str) -> Any:
    """The numbers that a matrix, or a stack of them, and its scales stand for; `dim` is the matrix's own that rows of
    scales go along."""
    (scale,) = scale if isinstance(scale, list | tuple) else (scale,)
    (recipe,) = recipe if isinstance(recipe, list | tuple) else (recipe,)
    if recipe not in (ScalingType.TensorWise, ScalingType.RowWise):
        fact = f"{op} with the scales {recipe!r}"
        raise NotImplementedError(explain(fact, hint="ScalingType.TensorWise or RowWise, or matmul of what the "
                                          "blocks stand for"))  # fmt: skip
    shape = [*matrix.shape[:-2], 1, 1]
    if recipe == ScalingType.RowWise:
        shape[dim - 2] = matrix.shape[dim - 2]
    else:
        shape = [1, 1]
    wanted = prod(shape)
    if scale.numel() != wanted:
        raise ValueError(f"{op} expects {wanted} scales of kind {ScalingType(recipe).name} for a tensor of shape "
                         f"{tuple(matrix.shape)}, got {scale.numel()}")  # fmt: skip
    return cast(matrix, dtypes.float32) * cast(scale, dtypes.float32).reshape(shape)
