"""Modules of PyTorch's whose names stand in another module."""

from __future__ import annotations

import pytest

import flambeau
from flambeau._core.homes import HOMES, elsewhere
from flambeau._core.unsupported import UnsupportedName


@pytest.mark.parametrize("module", sorted(HOMES))
def test_every_name_is_in_its_home_or_refused(module):
    made = elsewhere(module)
    assert dir(made) == made.__all__ and made is elsewhere(module) and made.__spec__.name == module
    for name in made.__all__:
        try:
            assert getattr(made, name) is getattr(made, name)
        except UnsupportedName as error:
            assert "nearest is" in str(error)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = made.no_such_name


@pytest.mark.parametrize("module", sorted(HOMES))
def test_modules_are_attributes_of_those_above(module):
    found = flambeau
    if module == "torch.nn.parallel.data_parallel":  # PyTorch's function of that name is refused
        return
    for part in module.split(".")[1:]:
        found = getattr(found, part)
    hidden = ("torch.multiprocessing.spawn", "torch.distributed.rendezvous", "torch.cuda.amp")  # functions; the home
    assert found is elsewhere(module) or module in hidden
