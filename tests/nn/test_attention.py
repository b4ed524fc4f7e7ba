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
