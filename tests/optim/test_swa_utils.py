"""Averages of models."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau.optim import swa_utils


def model():
    return torch.nn.Sequential(torch.nn.Linear(1, 2, bias=False), torch.nn.BatchNorm1d(2))


def set_to(net, value):
    with torch.no_grad():
        for tensor in (*net.parameters(), net[1].running_mean):
            tensor.fill_(value)


def averaged_over(values, **kwargs):
    net = model()
    averaged = swa_utils.AveragedModel(net, **kwargs)
    for value in values:
        set_to(net, value)
        averaged.update_parameters(net)
    assert averaged.n_averaged.item() == len(values)
    return averaged.module[0].weight[0].item(), averaged.module[1].running_mean[0].item()


@pytest.mark.parametrize("kwargs, weight, buffer", [
    ({}, 3.0, 6.0),
    ({"use_buffers": True}, 3.0, 3.0),
    ({"multi_avg_fn": swa_utils.get_swa_multi_avg_fn()}, 3.0, 6.0),
    ({"avg_fn": swa_utils.get_ema_avg_fn(0.5)}, 3.75, 6.0),
    ({"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.5)}, 3.75, 6.0),
    ({"avg_fn": lambda old, new, count: new * 0 + count}, 2.0, 6.0),
])  # fmt: skip
def test_averages(kwargs, weight, buffer):
    assert averaged_over([1.0, 2.0, 6.0], **kwargs) == pytest.approx((weight, buffer))


def test_an_averaged_model_is_a_module():
    net = model()
    averaged = swa_utils.AveragedModel(net)
    assert set(averaged.state_dict()) == {"n_averaged", *(f"module.{name}" for name in net.state_dict())}
    x = torch.randn(4, 1)
    assert torch.equal(averaged.eval()(x), net.eval()(x))
    with pytest.raises(AssertionError, match="Only one"):
        swa_utils.AveragedModel(net, avg_fn=max, multi_avg_fn=max)
    with pytest.raises(ValueError, match="Invalid decay value 1.5"):
        swa_utils.get_ema_avg_fn(1.5)


def test_update_bn():
    net = torch.nn.Sequential(torch.nn.BatchNorm1d(1, momentum=0.3)).eval()
    batches = [torch.tensor([[1.0], [3.0]]), (torch.tensor([[5.0], [9.0]]), "label")]
    swa_utils.update_bn(batches, net)
    assert net[0].running_mean.tolist() == [4.5]  # the mean of the batches' means
    assert net[0].running_var.tolist() == [5.0]
    assert net[0].momentum == 0.3 and not net.training
