"""Scaled dot product attention (Vaswani et al. 2017) and its gradients, without the matrix of scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

from flambeau._backends.cpu import attention_backward, attention_forward
from flambeau._backends.cpu.attention_blocks import ROWS, WIDTHS
from flambeau._backends.cpu.casts import FLOATS, MEMORY
from flambeau._backends.cpu.kernel import Address, Launch, Step, Word, double_bits
from flambeau._backends.cpu.products import tile_of
from flambeau._backends.cpu.strided import Dense, at_operand, dims_of, dims_words, grain, permuted
from flambeau._backends.cpu.target import Target
from flambeau._ir.meta import Meta


def lower_attention(target: Target, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]) -> Step | None:
    """q [*B, L, E], k [*B, S, E], v [*B, S, Ev], perhaps a mask that broadcasts to [*B, L, S] -> softmax(q k^T scale +
    mask) v [*B, L, Ev] and the logarithms of the softmax's sums [*B, L], both of the inputs' dtype.

    params = (is_causal, scale, mask, inside): the mask is None, "bool" (true takes part) or "float" (added); with
    `inside` the first result lies [..., L, heads, Ev]. A row without any position gives zeros and -inf.
    """
    causal, scale, mask, inside = params
    q, k, v, *masks = inputs
    out = _seen(outputs[0], inside)
    if not _supported(q, k, v, masks, mask):
        return None
    if not out.numel:
        return Step(()) if not outputs[1].numel else None
    queries, keys = q.shape[-2], k.shape[-2]
    batch = q.shape[:-2]
    mask_strides = _mask_strides(masks, q.ndim)
    dims = dims_of(batch, *[m.strides[:-2] for m in (q, k, v, out)], mask_strides[:-2])
    blocks = -(-queries // ROWS)
    count = len(inputs)
    words = attention_forward.FIELDS.words(
        q_at=at_operand(0, q), k_at=at_operand(1, k), v_at=at_operand(2, v), mask_at=_mask_at(3, masks),
        out_at=Address(count), sums_at=Address(count + 1), scale=double_bits(scale), queries=queries, keys=keys,
        width=q.shape[-1], value_width=v.shape[-1], blocks=blocks, **dims_words(dims),
        **_strides("q", q), **_strides("k", k), **_strides("v", v), out_row=out.strides[-2],
        mask_row=mask_strides[-2], mask_column=mask_strides[-1],
    )  # fmt: skip
    kernel = attention_forward.forward_kernel(
        MEMORY[q.dtype.name], tile_of(target, min(queries, ROWS)), causal, mask, _most(q, v)
    )
    tasks = math.prod(batch) * blocks
    flops = 2 * math.prod(batch) * queries * keys * (q.shape[-1] + v.shape[-1]) // (2 if causal else 1)
    moved = sum([m.nbytes for m in (*inputs[:3], *outputs)])
    return Step((Launch(kernel, "forward", words, tasks, grain(tasks, flops, 1 << 18)),), 0, moved, flops)


def lower_attention_backward(
    target: Target, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]
) -> Step | None:
    """g [*B, L, Ev], q, k, v, out, logarithms of sums, perhaps a mask -> the gradients of q, k and v. params are those
    of `lower_attention`; `inside` is about all results."""
    causal, scale, mask, inside = params
    g, q, k, v, out, sums, *masks = inputs
    if not _supported(q, k, v, masks, mask):
        return None
    if not all(m.numel for m in outputs):
        return Step(()) if not any(m.numel for m in outputs) else None
    queries, keys = q.shape[-2], k.shape[-2]
    batch = math.prod(q.shape[:-2])
    dense = Dense(target)
    sums_at = dense.read(5, sums)
    deltas = dense.reserve(sums.numel * sums.dtype.itemsize)
    mask_strides = _mask_strides(masks, q.ndim)
    dq, dk, dv = (_seen(m, inside) for m in outputs)
    dims = dims_of(q.shape[:-2], *[m.strides[:-2] for m in (g, q, k, v, out, dq, dk, dv)], mask_strides[:-2])
    count = len(inputs)
    words = attention_backward.FIELDS.words(
        g_at=at_operand(0, g), q_at=at_operand(1, q), k_at=at_operand(2, k), v_at=at_operand(3, v),
        out_at=at_operand(4, out), sums_at=sums_at, mask_at=_mask_at(6, masks), dq_at=Address(count),
        dk_at=Address(count + 1), dv_at=Address(count + 2), deltas_at=deltas, scale=double_bits(scale),
        queries=queries, keys=keys, width=q.shape[-1], value_width=v.shape[-1], **dims_words(dims),
        **_strides("g", g), **_strides("q", q), **_strides("k", k), **_strides("v", v), **_strides("out", out),
        dq_row=dq.strides[-2], dk_row=dk.strides[-2], dv_row=dv.strides[-2],
        mask_row=mask_strides[-2], mask_column=mask_strides[-1],
    )  # fmt: skip
    tile = tile_of(target, min(max(queries, 2), ROWS))
    kernel = attention_backward.backward_kernel(MEMORY[q.dtype.name], tile, causal, mask, _most(q, v))
    flops = 2 * batch * queries * keys * (3 * q.shape[-1] + 2 * v.shape[-1]) // (2 if causal else 1)
    launch = Launch(kernel, "backward", words, batch, grain(batch, flops, 1 << 18))
    moved = sum([m.nbytes for m in (*inputs[:6], *outputs)])
    return Step((*dense.launches, launch), dense.scratch, moved, flops) if dense.supported else None


def _seen(m: Meta, inside: bool) -> Meta:
    """A result [..., heads, positions, width], which with `inside` lies [..., positions, heads, width]."""
    return permuted(m, [*range(m.ndim - 3), m.ndim - 2, m.ndim - 3, m.ndim - 1]) if inside else m


def _supported(q: Meta, k: Meta, v: Meta, masks: Sequence[Meta], kind: str | None) -> bool:
    if q.dtype.name not in FLOATS or k.dtype is not q.dtype or v.dtype is not q.dtype or q.shape[-1] == 0:
        return False
    wanted = {"bool": "bool", "float": q.dtype.name}.get(kind or "")
    if [m.dtype.name for m in masks] != ([wanted] if kind else []):
        return False
    return _width(q, v) <= WIDTHS[-1]


def _width(q: Meta, v: Meta) -> int:
    """Bytes of the widest of queries, keys and values."""
    return max(q.shape[-1], v.shape[-1]) * q.dtype.itemsize


def _most(q: Meta, v: Meta) -> int:
    """The widest that the kernel for these bears."""
    return next(most for most in WIDTHS if _width(q, v) <= most)


def _strides(name: str, m: Meta) -> dict[str, Word]:
    return {f"{name}_row": m.strides[-2], f"{name}_column": m.strides[-1]}


def _mask_strides(masks: Sequence[Meta], ndim: int) -> tuple[int, ...]:
    """The strides of a mask, with 0 where it is broadcast."""
    if not masks:
        return (0,) * ndim
    (m,) = masks
    own = [0 if n == 1 else s for n, s in zip(m.shape, m.strides, strict=True)]
    return (*[0] * (ndim - m.ndim), *own)


def _mask_at(number: int, masks: Sequence[Meta]) -> Word:
    return at_operand(number, masks[0]) if masks else 0
