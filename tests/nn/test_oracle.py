"""PyTorch's own module database: the same names, repr and starting values as PyTorch for each constructor in it."""

from __future__ import annotations

import inspect

import pytest

import flambeau
from flambeau import nn

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]


def module_infos() -> list:
    from torch.testing._internal.common_modules import module_db

    return module_db


def here(value):
    """A constructor's argument, taken from PyTorch."""
    if isinstance(value, torch.Tensor):
        return flambeau.from_numpy(value.numpy())
    return flambeau.float32 if value is torch.float32 else value


@pytest.mark.parametrize("info", module_infos(), ids=lambda info: info.module_cls.__name__)
def test_construction(info):
    twin_class = getattr(nn, info.module_cls.__name__)
    for sample in info.module_inputs_func(info, device="cpu", dtype=torch.float32, requires_grad=False, training=True):
        given = sample.constructor_input
        values = [*given.args, *given.kwargs.values()]
        if any(isinstance(value, torch.nn.Module) or inspect.isfunction(value) for value in values):
            continue
        torch.manual_seed(3)
        module = info.module_cls(*given.args, **given.kwargs)
        flambeau.manual_seed(3)
        twin = twin_class(*map(here, given.args), **{name: here(value) for name, value in given.kwargs.items()})
        assert repr(twin) == repr(module)
        state, twin_state = module.state_dict(), twin.state_dict()
        assert list(twin_state) == list(state) and dict(twin_state._metadata) == dict(state._metadata)
        if "Lazy" not in info.module_cls.__name__:
            for name, tensor in state.items():
                torch.testing.assert_close(torch.from_numpy(twin_state[name].numpy()), tensor, rtol=1e-6, atol=1e-6)
