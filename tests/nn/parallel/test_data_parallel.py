"""DataParallel on one device."""

from __future__ import annotations

import pytest

import flambeau as torch


@pytest.mark.parametrize("options", [{}, {"device_ids": []}, {"device_ids": [0, 1], "output_device": 0, "dim": 0}])
def test_it_calls_its_module(options):
    linear = torch.nn.Linear(2, 1)
    model = torch.nn.DataParallel(linear, **options)
    x = torch.ones(3, 2)
    assert model.module is linear and model.device_ids == []
    assert list(model.state_dict()) == ["module.weight", "module.bias"]
    assert model(x).tolist() == linear(x).tolist()
    model(input=x).sum().backward()
    assert linear.weight.grad.tolist() == [[3.0, 3.0]]
    assert torch.nn.parallel.DataParallel is torch.nn.DataParallel
