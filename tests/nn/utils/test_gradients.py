"""Clipping gradients, and parameters as one vector."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.nn import utils


def with_gradients(*grads) -> list:
    parameters = [torch.zeros(len(grad), requires_grad=True) for grad in grads]
    for parameter, grad in zip(parameters, grads, strict=True):
        parameter.grad = torch.tensor(grad)
    return [*parameters, torch.zeros(1, requires_grad=True)]


@pytest.mark.parametrize(
    ("norm_type", "norm"), [(2.0, 13.0), (1.0, 19.0), (float("inf"), 12.0), (3, (27 + 64 + 1728) ** (1 / 3))]
)
def test_clip_grad_norm(norm_type, norm):
    parameters = with_gradients([3.0, 4.0], [12.0])
    assert utils.clip_grad_norm_(parameters, 2.0, norm_type).item() == pytest.approx(norm, rel=1e-6)
    assert parameters[0].grad.tolist() == pytest.approx([3 * 2 / norm, 4 * 2 / norm], rel=1e-5)
    assert parameters[2].grad is None
    before = parameters[1].grad.tolist()
    utils.clip_grad_norm_(parameters, 100.0, norm_type)
    assert parameters[1].grad.tolist() == before


def test_clip_grad_norm_of_odd_inputs():
    single = with_gradients([3.0, 4.0])[0]
    assert utils.clip_grad_norm_(single, 1.0).item() == pytest.approx(5.0)
    assert utils.clip_grad_norm_([], 1.0).item() == 0.0
    single.grad = torch.tensor([float("nan"), 1.0])
    with pytest.raises(RuntimeError, match="is non-finite, so it cannot be clipped"):
        utils.clip_grad_norm_(single, 1.0, error_if_nonfinite=True)
    with pytest.warns(UserWarning, match="empty generator"):
        utils.clip_grad_norm_((p for p in ()), 1.0)
    with pytest.warns(FutureWarning, match="deprecated"):
        utils.clip_grad_norm(single, 1.0)


def test_clip_grad_value():
    parameters = with_gradients([3.0, -4.0, 0.1])
    utils.clip_grad_value_(parameters, 0.5)
    assert parameters[0].grad.tolist() == pytest.approx([0.5, -0.5, 0.1])


def test_vector_of_parameters():
    layer = nn.Linear(3, 2)
    vector = utils.parameters_to_vector(layer.parameters())
    assert vector.tolist() == [*layer.weight.reshape(-1).tolist(), *layer.bias.tolist()]
    replacement = torch.arange(8.0)
    utils.vector_to_parameters(replacement, layer.parameters())
    assert layer.weight.tolist() == [[0, 1, 2], [3, 4, 5]] and layer.bias.tolist() == [6, 7]
    replacement[0] = 9.0
    assert layer.weight[0, 0].item() == 9.0 and isinstance(layer.weight, nn.Parameter)
    with pytest.raises(TypeError, match="expected torch.Tensor"):
        utils.vector_to_parameters([1.0], layer.parameters())
