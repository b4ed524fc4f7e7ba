"""The choice of a kernel for attention is checked, and changes nothing."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau.nn.attention import SDPBackend, sdpa_kernel


def test_a_choice_changes_nothing():
    q = torch.randn(2, 3, 4)
    free = torch.nn.functional.scaled_dot_product_attention(q, q, q)
    for backends in (SDPBackend.MATH, [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):
        with sdpa_kernel(backends, set_priority=True):
            assert torch.nn.functional.scaled_dot_product_attention(q, q, q).tolist() == free.tolist()
    with pytest.raises(AssertionError, match="must be an instance of SDPBackend.*got int"), sdpa_kernel(3):
        pass


@pytest.mark.parametrize("layout", [torch.jagged, torch.strided], ids=str)
def test_parts_of_different_lengths(layout):
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    parts = [torch.randn(n, 8, requires_grad=True) for n in (3, 1, 4)]
    nested = torch.nested.as_nested_tensor(parts, layout=layout)
    found = layer(nested)
    for part, own in zip(parts, found.unbind(), strict=True):
        torch.testing.assert_close(own, layer(part.unsqueeze(0))[0], atol=1e-5, rtol=1e-5)
    found.values().sum().backward()
    assert all(p.grad.shape == p.shape for p in parts)
    weights = layer.self_attn(nested, nested, nested)[1]
    assert weights.shape == (3, 4, 4) and weights[1, 0].tolist() == [1, 0, 0, 0] and weights[1, 1:].sum() == 0
    with pytest.raises(AssertionError, match="key_padding_mask"):
        layer.self_attn(nested, nested, nested, key_padding_mask=torch.zeros(3, 4))
