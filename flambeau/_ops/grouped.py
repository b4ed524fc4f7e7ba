"""Products of groups of matrices whose sizes differ, one after the other in one tensor."""

from __future__ import annotations

from typing import Any

from flambeau._ops.contract import matmul
from flambeau._ops.join import cat, stack
from flambeau._ops.registry import composite


@composite(namespace="nn.functional", method=False)
def grouped_mm(mat_a: Any, mat_b: Any, *, offs: Any = None, bias: Any = None, out_dtype: Any = None) -> Any:
    """The products of groups of matrices; `offs` tells where each group ends in a tensor of two dimensions.

    | `mat_a` | `mat_b` | split | result |
    |---|---|---|---|
    | (G, M, K) | (G, K, N) | nothing, `offs` is None | (G, M, N) |
    | (M, K) | (G, K, N) | rows of `mat_a` | (M, N) |
    | (G, M, K) | (K, N) | columns of `mat_b` | (M, N) |
    | (M, K) | (K, N) | what is summed over | (G, M, N) |

    RuntimeError for other dimensions, or if `offs` is missing or not wanted.

    Example::

        >>> import flambeau as torch
        >>> weights = torch.stack([torch.eye(2), 2 * torch.eye(2)])
        >>> torch.nn.functional.grouped_mm(torch.ones(3, 2), weights, offs=torch.tensor([1, 3], dtype=torch.int32))
        tensor([[1., 1.],
                [2., 2.],
                [2., 2.]])
    """
    dims = (mat_a.dim(), mat_b.dim())
    if not set(dims) <= {2, 3} or (offs is None) != (dims == (3, 3)):
        raise RuntimeError(
            f"grouped_mm expects matrices or stacks of them, and offs unless both are stacks; got shapes "
            f"{tuple(mat_a.shape)} and {tuple(mat_b.shape)}, offs {'missing' if offs is None else 'given'}"
        )
    if bias is not None:
        raise RuntimeError("grouped_mm: bias is not supported; add it to the result")
    if offs is None:
        result = matmul(mat_a, mat_b)
    else:
        result = _split_product(mat_a, mat_b, offs.tolist())
    return result if out_dtype is None else result.to(out_dtype)


def _split_product(a: Any, b: Any, ends: list[int]) -> Any:
    parts = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    if a.dim() == b.dim():
        return stack([matmul(a[:, part], b[part]) for part in parts])
    if a.dim() == 2:
        return cat([matmul(a[part], b[i]) for i, part in enumerate(parts)])
    return cat([matmul(a[i], b[:, part]) for i, part in enumerate(parts)], 1)
