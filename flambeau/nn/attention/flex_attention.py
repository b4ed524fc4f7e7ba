"""Attention whose scores a function of one's own changes or leaves out (`torch.nn.attention.flex_attention`).

Such a function gets the places of a score as four index tensors (batch, head, query, key), for all scores at once: of
shapes (B, 1, 1, 1), (1, H, 1, 1), (1, 1, Q, 1) and (1, 1, 1, K), so that comparisons, arithmetic and lookups in tables,
such as `lengths[b]`, give what belongs to each. PyTorch calls it for each place by `vmap`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from flambeau import _api as torch
from flambeau._core import errors
from flambeau._core.homes import absent
from flambeau._core.sites import user_site

__all__ = [
    "AuxOutput", "AuxRequest", "BlockMask", "and_masks", "create_block_mask", "create_mask", "flex_attention",
    "noop_mask", "or_masks",
]  # fmt: skip


_DEFAULT_SPARSE_BLOCK_SIZE = 128


class AuxRequest(NamedTuple):
    """What `flex_attention` should give beside its result: the logarithm of each query's sum of exponentials, and its
    largest score."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """What was asked for by an `AuxRequest`; None for the rest."""

    lse: Any = None
    max_scores: Any = None


def noop_mask(batch: Any, head: Any, token_q: Any, token_kv: Any) -> Any:
    """The mask that leaves nothing out.

    Example::

        >>> create_mask(noop_mask, 1, 1, 1, 2).tolist()
        [[[[True, True]]]]
    """
    return batch.new_ones((), dtype=torch.bool)


def and_masks(*mask_mods: Callable) -> Callable:
    """The mask of what all of these leave in. RuntimeError for what cannot be called.

    Example::

        >>> window = and_masks(lambda b, h, q, k: q >= k, lambda b, h, q, k: q - k < 2)
        >>> create_mask(window, 1, 1, 3, 3).int()[0, 0]
        tensor([[1, 0, 0],
                [1, 1, 0],
                [0, 1, 1]], dtype=torch.int32)
    """
    return _combined(mask_mods, lambda a, b: a & b)


def or_masks(*mask_mods: Callable) -> Callable:
    """The mask of what any of these leaves in. RuntimeError for what cannot be called.

    Example::

        >>> both = or_masks(lambda b, h, q, k: q >= k, lambda b, h, q, k: k < 2)
        >>> create_mask(both, 1, 1, 2, 3).int()[0, 0]
        tensor([[1, 1, 0],
                [1, 1, 0]], dtype=torch.int32)
    """
    return _combined(mask_mods, lambda a, b: a | b)


def _combined(mask_mods: tuple[Callable, ...], combine: Callable) -> Callable:
    if not all(callable(mask) for mask in mask_mods):
        raise RuntimeError(f"All inputs should be callable mask_mods: {mask_mods}")

    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        first, *others = [mask(b, h, q_idx, kv_idx) for mask in mask_mods]
        for other in others:
            first = combine(first, other)
        return first

    return mask_mod


def create_mask(mod_fn: Callable, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None) -> Any:  # noqa: N803
    """What a function leaves in, as a tensor of bools of shape (B, H, Q_LEN, KV_LEN); None for B or H is 1. It is a
    function of four indices, which says what to leave in, or of a score and four indices, which makes -inf of what it
    leaves out.

    Example::

        >>> create_mask(lambda b, h, q, k: q >= k, None, None, 2, 2)[0, 0]
        tensor([[ True, False],
                [ True,  True]])
    """
    shape = (B or 1, H or 1, Q_LEN, KV_LEN)
    places = _places(shape, device)
    if _is_of_scores(mod_fn):
        left = ~torch.isneginf(mod_fn(torch.zeros(shape, device=device), *places))
    else:
        left = mod_fn(*places)
    return left.expand(shape)


def _places(shape: tuple[int, ...], device: Any) -> list[Any]:
    """The indices of each dimension, along it."""
    return [
        torch.arange(n, device=device).reshape([n if i == dim else 1 for i in range(4)]) for dim, n in enumerate(shape)
    ]


def _is_of_scores(mod_fn: Callable) -> bool:
    code = getattr(mod_fn, "__code__", None)
    if code is None:
        return False
    bound = hasattr(mod_fn, "__self__")
    return code.co_argcount - bound - len(mod_fn.__defaults__ or ()) == 5


class BlockMask:
    """What a mask leaves in, in blocks of `BLOCK_SIZE` (queries, keys); made by `create_block_mask`.

    `kv_num_blocks` has the number of blocks that are not empty, for each block of queries.
    """

    def __init__(self, mask_mod: Callable, shape: tuple[int, ...], block_size: tuple[int, int], blocks: Any) -> None:
        self.mask_mod, self.shape, self.BLOCK_SIZE = mask_mod, shape, block_size
        self.seq_lengths = shape[-2:]
        self._blocks = blocks
        self.kv_num_blocks = blocks.sum(-1, dtype=torch.int32)

    def numel(self) -> int:
        """The number of scores."""
        return math.prod(self.shape)

    def to_dense(self) -> Any:
        """Which blocks are not empty: ones and zeros, of shape (B, H, blocks of queries, blocks of keys)."""
        return self._blocks.to(torch.int32)

    def sparsity(self) -> float:
        """How many percent of the scores are in empty blocks; below 0 if the last blocks hang over much."""
        held = int(self._blocks.sum()) * math.prod(self.BLOCK_SIZE)
        return 100 * (1 - held / self.numel())

    def to(self, device: Any) -> BlockMask:
        """The mask on a device."""
        return BlockMask(self.mask_mod, self.shape, self.BLOCK_SIZE, self._blocks.to(device))

    def __repr__(self) -> str:
        return f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%)"


def create_block_mask(
    mask_mod: Callable,
    B: int | None,  # noqa: N803
    H: int | None,  # noqa: N803
    Q_LEN: int,  # noqa: N803
    KV_LEN: int,  # noqa: N803
    device: Any = None,
    BLOCK_SIZE: int | tuple[int, int] = _DEFAULT_SPARSE_BLOCK_SIZE,  # noqa: N803
    **options: Any,
) -> BlockMask:
    """The mask that a function of four indices says, for `flex_attention`; None for B or H is 1, which goes with any.

    Example::

        >>> create_block_mask(lambda b, h, q, k: q >= k, None, None, 256, 256)
        BlockMask(shape=(1, 1, 256, 256), sparsity=25.00%)
    """
    size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
    mask = create_mask(mask_mod, B, H, Q_LEN, KV_LEN, device)
    rows, columns = -(-Q_LEN // size[0]), -(-KV_LEN // size[1])
    padded = torch.zeros(*mask.shape[:2], rows * size[0], columns * size[1], dtype=torch.bool)
    padded[..., :Q_LEN, :KV_LEN] = mask
    blocks = padded.reshape(*mask.shape[:2], rows, size[0], columns, size[1]).any(-1).any(-2)
    return BlockMask(mask_mod, tuple(mask.shape), size, blocks)


def flex_attention(
    query: Any,
    key: Any,
    value: Any,
    score_mod: Callable | None = None,
    block_mask: BlockMask | None = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    kernel_options: Any = None,
    *,
    return_aux: AuxRequest | None = None,
) -> Any:
    """Attention: softmax of the scores, query · key times `scale` (1 / sqrt(E) by default), times the values.

    `query` has the shape (B, Hq, L, E), `key` (B, H, S, E), `value` (B, H, S, Ev), the result (B, Hq, L, Ev); Hq is H
    or, with `enable_gqa`, a multiple. `score_mod(score, b, h, q, k)` gives the scores to use, `block_mask` says which
    take part; a query that none is left for gives 0.

    With `return_aux` or `return_lse` a pair: the result, and what was asked for.

    Raises:
        NotImplementedError: for tensors of another number of dimensions.
        ValueError: for shapes that do not go together.

    Example::

        >>> q = torch.ones(1, 1, 2, 4)
        >>> v = torch.tensor([[[[1.0], [3.0]]]])
        >>> flex_attention(q, q, v, score_mod=lambda s, b, h, i, j: torch.where(i >= j, s, -torch.inf)).flatten()
        tensor([1., 2.])
    """
    _check(query, key, value, block_mask, enable_gqa)
    if query.shape[1] != key.shape[1]:
        times = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(times, 1), value.repeat_interleave(times, 1)
    scores = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    places = _places(tuple(scores.shape), query.device)
    if score_mod is not None:
        scores = score_mod(scores, *places)
    if block_mask is not None:
        scores = torch.where(block_mask.mask_mod(*places), scores, -math.inf)
    lse = scores.logsumexp(-1)
    weights = (scores - lse.masked_fill(lse == -math.inf, 0).unsqueeze(-1)).exp()
    out = weights.to(value.dtype) @ value
    if return_aux is not None:
        aux = AuxOutput(lse if return_aux.lse else None, scores.amax(-1) if return_aux.max_scores else None)
        return out, aux
    return (out, lse) if return_lse else out


def _check(query: Any, key: Any, value: Any, block_mask: BlockMask | None, enable_gqa: bool) -> None:
    shapes = [tuple(t.shape) for t in (query, key, value)]
    if any(len(shape) != 4 for shape in shapes):
        raise NotImplementedError(f"flex_attention: query, key, and value must be 4D tensors, got {shapes}")
    (b, hq, l, e), (_, h, s, ek), (_, hv, sv, _) = shapes  # noqa: E741
    if e != ek or h != hv or s != sv:
        raise ValueError(
            errors.explain(
                f"flex_attention: expected query (B, Hq, L, E), key (B, H, S, E) and value (B, H, S, Ev), got {shapes}",
                site=user_site(3),
            )
        )
    if hq != h and not (enable_gqa and hq % h == 0):
        hint = "enable_gqa=True lets several heads of the query share one" if hq % h == 0 else ""
        fact = f"flex_attention: expected query and key to have as many heads, got {hq} and {h}"
        raise ValueError(errors.explain(fact, hint=hint, site=user_site(3)))
    if block_mask is not None and tuple(block_mask.seq_lengths) != (l, s):
        raise ValueError(
            errors.explain(
                f"flex_attention: block_mask was created for shape {block_mask.shape}, got {l} queries and {s} keys",
                hint=f"create_block_mask(mask_mod, B, H, {l}, {s})",
                site=user_site(3),
            )
        )


__getattr__ = absent("torch.nn.attention.flex_attention")
