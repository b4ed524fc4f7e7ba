"""Names of PyTorch's that cannot be had."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau._core.unsupported import NAMES


@pytest.mark.parametrize("name", sorted(NAMES["torch.Tensor"]))
def test_an_attribute_that_tensors_lack(name):
    x = torch.ones(2)
    assert not hasattr(x, name) and not hasattr(torch.Tensor, name)
    with pytest.raises(NotImplementedError, match=f"torch.Tensor.{name} is not implemented: .*\n  hint: nearest is"):
        getattr(x, name)


def test_other_attributes_are_just_missing():
    with pytest.raises(AttributeError, match="'Tensor' object has no attribute 'no_such_name'"):
        torch.ones(2).no_such_name  # noqa: B018


def test_python_is_told_what_to_look_for_the_nearest_name_in():
    """The uncaught error then ends with: Did you mean: 'ReLU'?"""
    with pytest.raises(AttributeError, match="module 'torch.nn' has no attribute 'Relu'") as found:
        _ = torch.nn.Relu
    assert (found.value.name, found.value.obj) == ("Relu", torch.nn)


def test_looks_at_attributes_stay_quick():
    assert not any("__getattr__" in vars(c) or "__getattribute__" in vars(c) for c in torch.Tensor.__mro__[:-1])
