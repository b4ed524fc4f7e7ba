"""Mappings whose keys are tensors that they do not keep alive."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau.utils.weak import TensorWeakRef, WeakTensorKeyDictionary


def test_keys_go_by_identity_and_leave():
    a, b = torch.ones(2), torch.ones(2)
    kept = WeakTensorKeyDictionary({a: 1})
    kept[b] = 2
    assert (kept[a], kept[b], len(kept), a in kept, torch.ones(2) in kept, 3 in kept) == (1, 2, 2, True, False, False)
    assert [x is y for x, y in zip(kept, (a, b), strict=True)] == [True, True]
    kept[a] = 3
    assert kept.pop(a) == 3 and kept.setdefault(a, 4) == 4 and kept.get(torch.ones(2), 5) == 5
    other = kept | {a: 6}
    assert (other[a], kept[a], sorted(other.values())) == (6, 4, [2, 6])
    del b
    assert len(kept) == len(other) == len(kept.keyrefs()) == 1
    with pytest.raises(KeyError):
        del kept[torch.ones(2)]


def test_a_reference_to_a_tensor():
    x = torch.ones(1)
    reference = TensorWeakRef(x)
    assert reference() is x
    del x
    assert reference() is None
    with pytest.raises(AssertionError, match="expected torch.Tensor, got int"):
        TensorWeakRef(1)
