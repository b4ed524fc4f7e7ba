"""Names of PyTorch's that cannot be had."""

from __future__ import annotations

import traceback

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


def test_a_misspelt_name_is_answered_with_the_nearest():
    for module, name, meant in ((torch.nn, "Relu", "ReLU"), (torch.utils, "dat", "data")):
        with pytest.raises(AttributeError) as found:
            getattr(module, name)
        assert f"Did you mean: '{meant}'?" in "".join(traceback.format_exception_only(found.value))


def test_looks_at_attributes_stay_quick():
    assert not any("__getattr__" in vars(c) or "__getattribute__" in vars(c) for c in torch.Tensor.__mro__[:-1])
