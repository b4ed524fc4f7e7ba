"""Attention with functions of the scores' places, and masks of causal attention."""

from __future__ import annotations

import math

import pytest

import flambeau as torch
from flambeau.nn.attention.bias import CausalBias, CausalVariant, causal_lower_right, causal_upper_left
from flambeau.nn.attention.flex_attention import AuxRequest, create_block_mask, create_mask, flex_attention

attention = torch.nn.functional.scaled_dot_product_attention


def tensors(heads=2, queries=5, keys=5):
    torch.manual_seed(0)
    return torch.randn(3, 2, queries, 4), torch.randn(3, heads, keys, 4), torch.randn(3, heads, keys, 6)


def causal(b, h, q, k):
    return q >= k


def test_plain_and_causal():
    q, k, v = tensors()
    torch.testing.assert_close(flex_attention(q, k, v), attention(q, k, v))
    masked = flex_attention(q, k, v, block_mask=create_block_mask(causal, None, None, 5, 5))
    torch.testing.assert_close(masked, attention(q, k, v, is_causal=True))
    changed = flex_attention(q, k, v, lambda s, b, h, i, j: torch.where(i >= j, s, -math.inf), scale=0.3)
    torch.testing.assert_close(changed, attention(q, k, v, is_causal=True, scale=0.3))


def test_tables_of_batches_and_heads():
    q, k, v = tensors()
    slopes, lengths = torch.tensor([0.5, 2.0]), torch.tensor([5, 2, 0])
    mask = create_block_mask(lambda b, h, i, j: j < lengths[b], 3, None, 5, 5)
    found, lse = flex_attention(q, k, v, lambda s, b, h, i, j: s + slopes[h] * (j - i), mask, return_lse=True)
    places = torch.arange(5.0)
    bias = slopes[:, None, None] * (places - places[:, None])
    allowed = (places < lengths[:, None])[:, None, None, :]
    torch.testing.assert_close(found[:2], attention(q, k, v, torch.where(allowed, bias, -math.inf))[:2])
    assert not found[2].any() and (lse[2] == -math.inf).all()


def test_gradients_and_what_else_was_asked_for():
    q, k, v = (t.requires_grad_() for t in tensors())
    out, aux = flex_attention(q, k, v, return_aux=AuxRequest(lse=True, max_scores=True))
    scores = q @ k.mT / 2
    torch.testing.assert_close(aux.lse, scores.logsumexp(-1))
    torch.testing.assert_close(aux.max_scores, scores.amax(-1))
    out.sum().backward()
    found, q.grad = q.grad, None
    attention(q, k, v).sum().backward()
    torch.testing.assert_close(found, q.grad)


def test_heads_that_share_keys():
    q, k, v = tensors(heads=1)
    torch.testing.assert_close(flex_attention(q, k, v, enable_gqa=True), attention(q, k, v, enable_gqa=True))
    with pytest.raises(ValueError, match=r"as many heads, got 2 and 1\n.*\n  hint: enable_gqa=True"):
        flex_attention(q, k, v)


def test_shapes_that_do_not_fit():
    q, k, v = tensors()
    with pytest.raises(ValueError, match=r"hint: create_block_mask\(mask_mod, B, H, 5, 5\)"):
        flex_attention(q, k, v, block_mask=create_block_mask(causal, None, None, 6, 5))
    with pytest.raises(ValueError, match="expected query .B, Hq, L, E."):
        flex_attention(q, k[..., :2], v)
    with pytest.raises(NotImplementedError, match="must be 4D"):
        flex_attention(q[0], k, v)


def test_blocks():
    mask = create_block_mask(causal, None, None, 300, 300)
    assert mask.to_dense().tolist() == [[[[1, 0, 0], [1, 1, 0], [1, 1, 1]]]] and mask.numel() == 90000
    assert mask.sparsity() == pytest.approx(-9.2266667) and mask.kv_num_blocks.tolist() == [[[1, 2, 3]]]
    by_score = create_mask(lambda s, b, h, q, k: torch.where(q >= k, s, -math.inf), 2, 3, 4, 4)
    assert by_score.shape == (2, 3, 4, 4) and torch.equal(by_score, create_mask(causal, 2, 3, 4, 4))


def test_masks_of_causal_attention():
    q, k, v = tensors(queries=3, keys=5)
    torch.testing.assert_close(attention(q, k, v, causal_upper_left(3, 5)), attention(q, k, v, is_causal=True))
    lower = causal_lower_right(3, 5)
    assert type(lower) is CausalBias and lower.variant is CausalVariant.LOWER_RIGHT and lower.seq_len_kv == 5
    mask = torch.ones(3, 5, dtype=torch.bool).tril(2)
    torch.testing.assert_close(attention(q, k, v, lower), attention(q, k, v, mask))
    with pytest.warns(UserWarning, match="will produce NaNs"):
        causal_lower_right(5, 3)
    with pytest.raises(AssertionError, match="only support 2D"):
        causal_upper_left(3)
