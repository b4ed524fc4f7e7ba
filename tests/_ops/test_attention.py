"""Scaled dot product attention: where its results lie."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau._core.config import config

F = torch.nn.functional


@pytest.mark.parametrize("mode", ["always", "never"])
@pytest.mark.parametrize("causal", [False, True])
def test_heads_cut_out_of_one_product_stay_side_by_side(mode, causal, monkeypatch):
    """The strides are PyTorch's."""
    monkeypatch.setattr(config, "compile", mode)
    rng = np.random.default_rng(0)
    packed = torch.tensor(rng.standard_normal((2, 8, 3 * 4 * 16)).astype(np.float32), requires_grad=True)
    factor = torch.tensor(rng.standard_normal((2, 4, 8, 16)).astype(np.float32))
    q, k, v = (t.view(2, 8, 4, 16).transpose(1, 2) for t in packed.split(64, 2))
    out = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    assert out.stride() == (512, 16, 64, 1)
    assert out.transpose(1, 2).is_contiguous()
    (out * factor).sum().backward()

    leaves = [t.detach().contiguous().double().requires_grad_(True) for t in (q, k, v)]
    wanted = F.scaled_dot_product_attention(*leaves, is_causal=causal)
    assert wanted.is_contiguous()
    (wanted * factor).sum().backward()
    np.testing.assert_allclose(out.detach().numpy(), wanted.detach().numpy(), 1e-5, 1e-5)
    gradient = torch.cat([t.grad.transpose(1, 2).reshape(2, 8, 64) for t in leaves], 2)
    np.testing.assert_allclose(packed.grad.numpy(), gradient.numpy(), 1e-5, 1e-5)
