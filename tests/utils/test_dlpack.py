"""Capsules carry memory from one library to another."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch


def test_both_see_the_same_memory():
    x = torch.arange(6.0).view(2, 3)
    y = torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(x.t()))
    y.mul_(2)
    assert y.shape == (3, 2) and x.tolist() == [[0, 2, 4], [6, 8, 10]]
    assert torch.utils.dlpack.from_dlpack(np.arange(3)).tolist() == [0, 1, 2]


def test_a_capsule_is_taken_once():
    capsule = torch.utils.dlpack.to_dlpack(torch.ones(1))
    torch.utils.dlpack.from_dlpack(capsule)
    for wrong in (capsule, 3):
        with pytest.raises(RuntimeError, match="received an invalid capsule"):
            torch.utils.dlpack.from_dlpack(wrong)
