"""`flex_attention` beside PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")
torch_flex = pytest.importorskip("torch.nn.attention.flex_attention")
pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

MODS = {
    "none": lambda t: None,
    "relative": lambda t: lambda s, b, h, i, j: s + (i - j) * 0.1,
    "alibi": lambda t: lambda s, b, h, i, j: s + t.tensor([0.5, 0.25])[h] * (j - i),
    "soft cap": lambda t: lambda s, b, h, i, j: 2 * t.tanh(s / 2),
}
MASKS = {
    "causal": lambda b, h, i, j: i >= j,
    "window": lambda b, h, i, j: (i - j).abs() <= 2,
    "by head": lambda b, h, i, j: (h == 0) | (i > j),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("mod", MODS)
def test_the_same_result(mod, mask):
    arrays = [np.random.default_rng(i).normal(size=(2, 2, 7, 4)).astype(np.float32) for i in range(3)]
    results = []
    for t, flex in ((flambeau, flambeau.nn.attention.flex_attention), (torch, torch_flex)):
        block_mask = flex.create_block_mask(MASKS[mask], 2, 2, 7, 7, device="cpu", BLOCK_SIZE=4)
        q, k, v = map(t.from_numpy, arrays)
        out, lse = flex.flex_attention(q, k, v, MODS[mod](t), block_mask, return_lse=True)
        results.append((out.numpy(), lse.numpy(), block_mask.to_dense().numpy(), block_mask.sparsity()))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
