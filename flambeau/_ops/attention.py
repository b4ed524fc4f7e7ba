"""Attention (`nn.functional`): scaled dot products and the multi-head form (Vaswani et al. 2017)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir import recording
from flambeau._ir.meta import Meta, contiguous, meta, strides_in_order
from flambeau._ops import _expand
from flambeau._ops.dropout import dropout
from flambeau._ops.infer import broadcast_shapes
from flambeau._ops.join import cat
from flambeau._ops.linear import linear
from flambeau._ops.registry import composite, library
from flambeau._ops.softmax import softmax_rows

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


WIDEST = 4096  # bytes of a query, key or value: for wider ones there is no kernel, and scores are few beside them


def _saved(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, *_: Any, **named: Any
) -> tuple[str, ...]:
    """PyTorch's fused kernel saves all it has seen; without it, there are scaled copies of query and key."""
    fused = query.dim() == key.dim() == value.dim() == 4 and _is_plain(query, key, value, attn_mask, dropout_p)
    return ("query", "key", "value", "out") if fused else ("value",)


@composite(method=False, namespace="nn.functional", saves=_saved)
def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """softmax(query key^T / sqrt(width) + mask) value: query [..., L, E], key [..., S, E], value [..., S, Ev]; result
    [..., L, Ev].

    `attn_mask` is bool (True takes part) or added to the scores; `is_causal` lets position i see positions up to i;
    with `enable_gqa` key and value heads are repeated to match the query's. The matrix of scores [..., L, S] is never
    in memory, but for dropout, a mask that needs a gradient, and heads wider than 4096 bytes.

    Example::

        >>> import flambeau as torch
        >>> q = torch.ones(1, 2, 4)
        >>> torch.nn.functional.scaled_dot_product_attention(q, q, q).shape
        torch.Size([1, 2, 4])
    """
    if is_causal and attn_mask is not None:
        raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if query.dtype in dtypes.HALVES:  # scores and weights need the precision
        single = [query.float(), key.float(), value.float(), attn_mask, dropout_p, is_causal, scale, enable_gqa]
        return scaled_dot_product_attention(*single).to(query.dtype)
    if enable_gqa and key.shape[-3] != query.shape[-3]:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    scale = 1 / math.sqrt(query._meta.shape[-1]) if scale is None else float(scale)
    if _is_plain(query, key, value, attn_mask, dropout_p):
        return attended(query, key, value, attn_mask, is_causal, scale)[0]
    key = recording.original(key, ())
    weights = _weighted((query * scale) @ key.transpose(-2, -1), attn_mask, is_causal)
    return dropout(weights, dropout_p, dropout_p > 0) @ value


def _is_plain(query: Any, key: Any, value: Any, mask: Any, dropout_p: float) -> bool:
    """Can `attended` do it? Without dropout, batches alike, no gradient for the mask, heads that are not too wide."""
    q, k, v = query._meta, key._meta, value._meta
    if dropout_p > 0 or q.ndim < 2 or not q.ndim == k.ndim == v.ndim or q.shape[:-2] != k.shape[:-2]:
        return False
    if max(q.shape[-1], v.shape[-1]) * q.dtype.itemsize > WIDEST:
        return False
    if q.dtype.name not in ("float32", "float64") or not q.dtype is k.dtype is v.dtype or 0 in q.shape + k.shape:
        return False
    if k.shape[:-2] != v.shape[:-2] or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2] or not v.shape[-1]:
        return False
    if mask is None:
        return True
    return mask.dtype in (dtypes.bool_, q.dtype) and not mask.requires_grad and mask.dim() <= q.ndim


def _infer_attended(q: Meta, k: Meta, v: Meta, mask: Any, is_causal: bool, scale: float) -> tuple[Meta, Meta]:
    if isinstance(mask, Meta):
        broadcast_shapes((mask.shape, (*q.shape[:-1], k.shape[-2])), "scaled_dot_product_attention")
    out = _laid_out(q.dtype, (*q.shape[:-1], v.shape[-1]), _expand.heads_inside(q))
    return out, contiguous(q.dtype, q.shape[:-1])


def _infer_attended_grad(g: Meta, q: Meta, k: Meta, v: Meta, *_: Any) -> tuple[Meta, ...]:
    inside = _expand.heads_inside(q, k, v)
    return tuple([_laid_out(m.dtype, m.shape, inside) for m in (q, k, v)])


def _laid_out(d: dtypes.dtype, shape: tuple[int, ...], inside: bool) -> Meta:
    """A dense result; if `inside`, with heads inside of positions."""
    if not inside:
        return contiguous(d, shape)
    order = [*range(len(shape) - 3), len(shape) - 2, len(shape) - 3, len(shape) - 1]
    return meta(d, shape, strides_in_order(shape, order))


@library(
    snapshots=("query", "key", "value", "out"),
    category="attention",
    method=False,
    function=False,
    node_name="ScaledDotProductFlashAttentionForCpuBackward0",
    infer=_infer_attended,
    nondifferentiable=(1,),
    expand=_expand.attended,
    gradient={
        ("query", "key", "value"): lambda g0, query, key, value, mask, is_causal, scale, out0, out1: _attended_grad(
            g0, query, key, value, out0, out1, mask, is_causal, scale
        )
    },
)
def attended(query: Any, key: Any, value: Any, mask: Any, is_causal: bool, scale: float) -> Any:
    """(softmax(query key^T scale + mask) value, the logarithm of each row's sum of exponentials). Rows without any
    position give zeros and -inf."""
    weights, top, total = _weights(query, key, mask, is_causal, scale)
    with np.errstate(divide="ignore"):
        return weights @ value, (top + np.log(total))[..., 0]


def _weights(query: Any, key: Any, mask: Any, is_causal: bool, scale: float) -> tuple[Any, Any, Any]:
    """(softmax of the scores, their maximum, their sum of exponentials)."""
    scores = (query * query.dtype.type(scale)) @ np.swapaxes(key, -1, -2)
    if is_causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=np.bool_), scores, -np.inf)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    top = scores.max(-1, keepdims=True)
    top = np.where(top == -np.inf, 0, top).astype(scores.dtype)
    e = np.exp(scores - top)
    total = e.sum(-1, keepdims=True)
    return e / np.where(total == 0, 1, total), top, total


def _attended_grad(
    g: Any, query: Any, key: Any, value: Any, out: Any, sums: Any, mask: Any, is_causal: bool, scale: float
) -> tuple[Any, Any, Any]:
    """The gradients of query, key and value; written out where they are to be differentiated again."""
    if not recording.grad_enabled():
        return attended_grad(g, query, key, value, out, sums, mask, is_causal, scale)
    weights = _weighted((query * scale) @ key.transpose(-2, -1), mask, is_causal)
    wanted = g @ value.transpose(-2, -1)
    scored = weights * (wanted - (wanted * weights).sum(-1, True)) * scale
    return scored @ key, scored.transpose(-2, -1) @ query, weights.transpose(-2, -1) @ g


def _weighted(scores: Any, mask: Any, is_causal: bool) -> Any:
    """The softmax of masked scores. A row without any position gives zeros, not NaN, and takes no gradient."""
    if mask is None:
        return softmax_rows(_masked(scores, None, is_causal), -1)
    none = ~(mask if mask.dtype is dtypes.bool_ else mask != float("-inf")).any(-1, True)
    return softmax_rows(_masked(scores, mask, is_causal).masked_fill(none, 0), -1).masked_fill(none, 0)


def _masked(scores: Any, mask: Any, is_causal: bool) -> Any:
    """Scores with -inf where a position takes no part."""
    if is_causal:
        mask = scores.new_ones(scores.shape[-2:], dtype=dtypes.bool_).tril()
    if mask is None:
        return scores
    return scores.masked_fill(~mask, float("-inf")) if mask.dtype is dtypes.bool_ else scores + mask


@library(
    category="attention",
    method=False,
    function=False,
    infer=_infer_attended_grad,
    expand=_expand.attended_grad,
)
def attended_grad(
    grad: Any, query: Any, key: Any, value: Any, out: Any, sums: Any, mask: Any, is_causal: bool, scale: float
) -> Any:
    """The gradients of query, key and value."""
    weights, _, _ = _weights(query, key, mask, is_causal, scale)
    delta = (grad * out).sum(-1, keepdims=True)
    scored = weights * (grad @ np.swapaxes(value, -1, -2) - delta) * grad.dtype.type(scale)
    return scored @ key, np.swapaxes(scored, -1, -2) @ query, np.swapaxes(weights, -1, -2) @ grad


def additive(mask: Any, dtype: Any) -> Any:
    """A mask to be added to scores: bool masks (True is left out) become 0 and -inf."""
    if mask is None or mask.dtype is not dtypes.bool_:
        return mask
    return mask.new_zeros(mask.shape, dtype=dtype).masked_fill(mask, float("-inf"))


def in_projection(
    query: Any, key: Any, value: Any, weight: Any, separate: tuple[Any, Any, Any] | None, bias: Any
) -> tuple[Any, Any, Any]:
    """Query, key and value through their linear maps, which lie below each other in one weight or come separately."""
    width = query.shape[-1]
    if separate is None:
        if query is key and key is value:
            projected = linear(query, weight, bias)
            return tuple(projected.split(width, -1))
        weights = weight.split(width, 0)
    else:
        weights = separate
    biases = (None, None, None) if bias is None else bias.split(weights[0].shape[0], 0)
    return tuple([linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)])


def _check_embeddings(query: Any, key: Any, value: Any, width: int, separate: bool) -> None:
    """AssertionError or RuntimeError unless query, key and value [length, batch, embedding] fit together."""
    shapes = f"query {list(query.shape)}, key {list(key.shape)}, value {list(value.shape)}"
    if query.shape[2] != width:
        fact = f"was expecting embedding dimension of {width}, but got {query.shape[2]}: {shapes}"
        raise AssertionError(errors.explain(fact, hint="the last dimension is the embedding", site=user_site()))
    if key.shape[:2] != value.shape[:2] or not separate and key.shape != value.shape:
        fact = f"key shape {list(key.shape)} does not match value shape {list(value.shape)}"
        raise AssertionError(errors.explain(fact, hint="there is one value for each key", site=user_site()))
    if query.shape[1] != key.shape[1]:
        fact = f"query and key have the batch sizes {query.shape[1]} and {key.shape[1]}: {shapes}"
        hint = "without batch_first=True the order is (length, batch, embedding)"
        raise RuntimeError(errors.explain(fact, hint=hint, site=user_site()))


def _check_masks(mask: Any, padding: Any, length: int, keys: int, batch: int) -> None:
    """RuntimeError for a mask of attention, AssertionError for one of padding, of another shape."""
    if mask is not None and mask.dim() == 2 and tuple(mask.shape) != (length, keys):
        fact = f"The shape of the 2D attn_mask is {list(mask.shape)}, but should be {[length, keys]}"
        raise RuntimeError(
            errors.explain(fact, hint="it has a row for each query, a column for each key", site=user_site())
        )
    if padding is not None and tuple(padding.shape) != (batch, keys):
        fact = f"Expected key_padding_mask of shape {[batch, keys]}, but got {list(padding.shape)}"
        raise AssertionError(errors.explain(fact, hint="it has a row for each sequence of the batch", site=user_site()))


@composite(method=False, namespace="nn.functional")
def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> Any:
    """Attention by several heads over slices of the width: query [L, N, E], key and value [S, N, E] (or without N).

    Returns (result [L, N, E], weights [N, L, S] averaged over heads, [N, heads, L, S] otherwise, or None).

    Example::

        >>> import flambeau as torch
        >>> layer = torch.nn.MultiheadAttention(4, 2)
        >>> layer(torch.ones(3, 1, 4), torch.ones(3, 1, 4), torch.ones(3, 1, 4))[0].shape
        torch.Size([3, 1, 4])
    """
    batched = query.dim() == 3
    if not batched:
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    length, batch, width = query.shape
    _check_embeddings(query, key, value, embed_dim_to_check, use_separate_proj_weight)
    _check_masks(attn_mask, key_padding_mask, length, key.shape[0], batch)
    if width % num_heads:
        raise AssertionError(f"embed_dim {width} not divisible by num_heads {num_heads}")
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
    is_causal = is_causal and key_padding_mask is None and not need_weights
    if is_causal:  # the mask says the same
        attn_mask = None
    separate = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else None
    query, key, value = in_projection(query, key, value, in_proj_weight, separate, in_proj_bias)
    attn_mask, key_padding_mask = additive(attn_mask, query.dtype), additive(key_padding_mask, query.dtype)
    if bias_k is not None:
        key, value = cat([key, bias_k.expand(1, batch, -1)], 0), cat([value, bias_v.expand(1, batch, -1)], 0)
        attn_mask, key_padding_mask = one_wider(attn_mask), one_wider(key_padding_mask)
    heads = [split_heads(t, num_heads) for t in (query, key, value)]
    query, key, value = heads[0], heads[1] if static_k is None else static_k, heads[2] if static_v is None else static_v
    if add_zero_attn:
        zeros = key.new_zeros((key.shape[0], 1, key.shape[2]))
        key, value = cat([key, zeros], 1), cat([value, zeros], 1)
        attn_mask, key_padding_mask = one_wider(attn_mask), one_wider(key_padding_mask)
    mask = combined_mask(attn_mask, key_padding_mask, batch, num_heads, key.shape[1])
    if not need_weights:
        if mask is not None:
            mask = mask.unsqueeze(0) if mask.shape[0] == 1 else mask.unflatten(0, (batch, num_heads))
        heads = [t.unflatten(0, (batch, num_heads)) for t in (query, key, value)]
        mixed = scaled_dot_product_attention(*heads, mask, dropout_p if training else 0.0, is_causal)
        mixed = mixed.permute(2, 0, 1, 3).reshape(length * batch, width)
        result = linear(mixed, out_proj_weight, out_proj_bias).reshape(length, batch, -1)
        return (result if batched else result.squeeze(1)), None
    scores = (query * math.sqrt(1 / query.shape[-1])) @ key.transpose(-2, -1)
    weights = softmax_rows(scores if mask is None else scores + mask, -1)
    weights = dropout(weights, dropout_p, training and dropout_p > 0)
    mixed = (weights @ value).transpose(0, 1).reshape(length * batch, width)
    result = linear(mixed, out_proj_weight, out_proj_bias).reshape(length, batch, -1)
    shown = weights.reshape(batch, num_heads, length, key.shape[1])
    shown = shown.mean(1) if average_attn_weights else shown
    shown = shown if batched else shown.squeeze(0)
    return (result if batched else result.squeeze(1)), shown


def split_heads(t: Any, heads: int) -> Any:
    """[L, N, E] as [N * heads, L, E / heads]."""
    length, batch, width = t.shape
    return t.reshape(length, batch * heads, width // heads).transpose(0, 1)


def one_wider(mask: Any) -> Any:
    """A mask with one more position, which takes part."""
    return None if mask is None else cat([mask, mask.new_zeros((*mask.shape[:-1], 1))], -1)


def combined_mask(attn_mask: Any, padding: Any, batch: int, heads: int, positions: int) -> Any:
    """The mask over [N * heads, L, S] from one over positions and one over padded keys [N, S]."""
    if attn_mask is not None and attn_mask.dim() == 2:
        attn_mask = attn_mask.unsqueeze(0)
    if padding is None:
        return attn_mask
    padding = padding.reshape(batch, 1, 1, positions).expand(-1, heads, -1, -1).reshape(batch * heads, 1, positions)
    return padding if attn_mask is None else attn_mask + padding
