"""Two tensors change places."""

from __future__ import annotations

import weakref

import pytest

import flambeau as torch
from flambeau.utils import swap_tensors


def test_everything_goes_with_the_object():
    a, b = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.zeros(3))
    a.note = "mine"
    (2 * a).sum().backward()
    swap_tensors(a, b)
    assert (a.tolist(), b.tolist()) == ([0.0] * 3, [1.0] * 2)
    assert a.grad is None and b.grad.tolist() == [2.0, 2.0] and not hasattr(a, "note") and b.note == "mine"
    (3 * b).sum().backward()
    assert b.grad.tolist() == [5.0, 5.0] and a.grad is None


def test_a_gradient_reaches_whoever_is_the_leaf_now():
    leaf, other = torch.ones(2, requires_grad=True), torch.zeros(1)
    result = (leaf * 2).sum()
    swap_tensors(leaf, other)
    result.backward()
    assert leaf.grad is None and other.grad.tolist() == [2.0, 2.0]


def test_weak_references_would_mean_the_other():
    a, b = torch.ones(2), torch.zeros(2)
    reference = weakref.ref(b)
    with pytest.raises(RuntimeError, match="Cannot swap t2 because it has weakref associated with it"):
        swap_tensors(a, b)
    assert reference() is b and b.tolist() == [0.0, 0.0]
