"""The choice of a kernel for attention is checked, and changes nothing."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau.nn.attention import SDPBackend, sdpa_kernel


@pytest.mark.usefixtures("usual_window")
def test_without_weights_there_is_no_matrix_of_scores():
    layer = torch.nn.MultiheadAttention(16, 2, batch_first=True)
    x = torch.randn(1, 200, 16)
    later = torch.ones(200, 200, dtype=torch.bool).triu(1)
    padding = torch.arange(200).expand(1, -1) >= 150
    for options in ({}, {"attn_mask": later}, {"attn_mask": later, "is_causal": True}, {"key_padding_mask": padding}):
        with torch.no_grad():
            found = layer(x, x, x, need_weights=False, **options)
            wanted = layer(x, x, x, **options)
        assert found[1] is None and wanted[1].shape == (1, 200, 200)
        torch.testing.assert_close(found[0], wanted[0], atol=1e-5, rtol=1e-5)
        text = torch.explain(lambda options=options: layer(x, x, x, need_weights=False, **options)[0].sum().backward())
        kernels = [line.split() for line in text.splitlines()[3:-1]]
        assert {"attention", "attention_backward"} <= {line[-1] for line in kernels}
        written = [float(line[1]) for line in kernels if "add" not in line]  # KB; masks are added up before
        assert max(written) < 2 * 200 * 200 * 4 / 1000


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32], ids=str)
def test_a_row_that_sees_nothing_gives_zeros_with_dropout_too(dtype):
    q = torch.randn(1, 2, 3, 4, requires_grad=True)
    mask = torch.ones(3, 3, dtype=torch.bool)
    mask[1] = False
    if dtype is not torch.bool:
        mask = torch.zeros(3, 3).masked_fill(~mask, float("-inf"))
    for p in (0.0, 0.3):
        out = torch.nn.functional.scaled_dot_product_attention(q, q, q, mask, p)
        (grad,) = torch.autograd.grad(out.sum(), q)
        assert out[..., 1, :].tolist() == [[[0.0] * 4] * 2] and bool(grad.isfinite().all())


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
