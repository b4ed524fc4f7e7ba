"""Weights that are computed: weight and spectral normalisation, parametrizations, pruning, fusion, functional_call."""

from __future__ import annotations

import copy
import pickle

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.nn import utils
from flambeau.nn.utils import parametrizations, parametrize, prune


def close(a, b, atol=1e-5) -> bool:
    return torch.allclose(a, b, atol=atol)


@pytest.mark.parametrize(("dim", "shape"), [(0, (4, 1, 1)), (1, (1, 3, 1)), (None, ())])
def test_weight_norm_as_hook_and_as_parametrization(dim, shape):
    layer = nn.Conv1d(3, 4, 2)
    weight = layer.weight.detach().clone()
    x = torch.randn(1, 3, 5)
    expected = layer(x)
    twin = parametrizations.weight_norm(copy.deepcopy(layer), dim=dim)
    utils.weight_norm(layer, dim=dim)
    assert list(layer.state_dict()) == ["bias", "weight_g", "weight_v"] and layer.weight_g.shape == shape
    assert close(layer(x), expected) and close(twin(x), expected)
    with torch.no_grad():
        layer.weight_g.mul_(2)
    layer(x).sum().backward()
    assert close(layer.weight, 2 * weight) and layer.weight_v.grad is not None
    twin.load_state_dict(layer.state_dict())
    assert close(twin.weight, 2 * weight)
    utils.remove_weight_norm(layer)
    assert list(layer.state_dict()) == ["bias", "weight"] and close(layer.weight, 2 * weight)
    with pytest.raises(ValueError, match="weight_norm of 'weight' not found"):
        utils.remove_weight_norm(layer)


@pytest.mark.parametrize("normalise", [utils.spectral_norm, parametrizations.spectral_norm])
@pytest.mark.parametrize("make", [lambda: nn.Linear(5, 4), lambda: nn.ConvTranspose1d(5, 4, 2)])
def test_spectral_norm_makes_the_largest_singular_value_one(normalise, make):
    layer = make()
    rows = layer.weight.detach().clone() if layer.weight.dim() == 2 else layer.weight.detach().transpose(0, 1)
    sigma = torch.linalg.matrix_norm(rows.reshape(4, -1), 2)
    normalise(layer, n_power_iterations=50)
    x = torch.ones(1, 5) if rows.dim() == 2 else torch.ones(1, 5, 3)
    layer(x).sum().backward()
    layer.eval()
    layer(x)
    now = layer.weight.detach() if rows.dim() == 2 else layer.weight.detach().transpose(0, 1)
    assert close(now, rows / sigma, 1e-3)


def test_spectral_norm_hook_keeps_pytorchs_state():
    layer = utils.spectral_norm(nn.Linear(3, 4))
    state = layer.state_dict()
    assert list(state) == ["bias", "weight_orig", "weight_u", "weight_v"]
    assert state._metadata[""] == {"version": 1, "spectral_norm": {"weight.version": 1}}
    utils.remove_spectral_norm(layer)
    assert list(layer.state_dict()) == ["bias", "weight"] and not layer._forward_pre_hooks


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3)])
@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley", "householder"])
def test_orthogonal(shape, orthogonal_map):
    layer = parametrizations.orthogonal(nn.Linear(*shape), orthogonal_map=orthogonal_map)
    layer(torch.ones(1, shape[0])).sum().backward()
    with torch.no_grad():
        layer.parametrizations.weight.original.add_(torch.randn(layer.weight.shape).tril(-1) * 0.1)
    weight = layer.weight if shape[1] >= shape[0] else layer.weight.T
    assert close(weight.T @ weight, torch.eye(min(shape)))
    assert layer.parametrizations.weight.original.grad is not None
    q = torch.linalg.qr(torch.randn(max(shape), min(shape)))[0]
    layer.weight = q if shape[1] >= shape[0] else q.T
    assert close(layer.weight, q if shape[1] >= shape[0] else q.T, 1e-4)


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).transpose(0, 1)

    def right_inverse(self, x):
        return x.triu()


class Double(nn.Module):
    def forward(self, x):
        return 2 * x


def test_parametrizations_are_chained_and_removed():
    layer = nn.Linear(3, 3)
    trained = layer.weight
    parametrize.register_parametrization(layer, "weight", Symmetric())
    parametrize.register_parametrization(layer, "weight", Double())
    assert type(layer).__name__ == "ParametrizedLinear" and parametrize.is_parametrized(layer, "weight")
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    assert [name for name, _ in layer.named_parameters()] == ["bias", "parametrizations.weight.original"]
    assert layer.parametrizations.weight.original is trained
    weight = layer.weight
    assert close(weight, weight.T)
    with parametrize.cached():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight
    assert close(copy.deepcopy(layer).weight, weight)
    with pytest.raises(RuntimeError, match="only supported through state_dict"):
        pickle.dumps(layer)
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and layer.weight is trained and close(layer.weight, weight)


def test_assigning_to_a_parametrized_tensor():
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Symmetric())
    layer.weight = torch.tensor([[1.0, 2.0], [2.0, 3.0]])
    assert layer.weight.tolist() == [[1, 2], [2, 3]]
    assert layer.parametrizations.weight.original.tolist() == [[1, 2], [0, 3]]
    parametrize.register_parametrization(layer, "weight", Double())
    with pytest.raises(RuntimeError, match="Double does not implement right_inverse"):
        layer.weight = torch.ones(2, 2)


def test_parametrization_must_keep_the_shape():
    class First(nn.Module):
        def forward(self, x):
            return x[:1]

    layer = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="may not change the shape"):
        parametrize.register_parametrization(layer, "weight", First())
    with pytest.raises(ValueError, match="does not have a parameter"):
        parametrize.register_parametrization(layer, "nothing", First())
    assert type(layer) is nn.Linear and layer.weight.shape == (2, 2)


def test_pruning_adds_up():
    layer = nn.Linear(6, 5)
    smallest = layer.weight.abs().reshape(-1).argsort()[:9].tolist()
    prune.l1_unstructured(layer, "weight", amount=0.3)
    assert sorted((layer.weight == 0).reshape(-1).nonzero().reshape(-1).tolist()) == sorted(smallest)
    prune.random_unstructured(layer, "weight", amount=3)
    assert int((layer.weight == 0).sum()) == 12
    prune.ln_structured(layer, "weight", amount=1, n=2, dim=0)
    assert int(((layer.weight == 0).sum(1) == 6).sum()) == 1
    assert list(layer.state_dict()) == ["bias", "weight_orig", "weight_mask"] and prune.is_pruned(layer)
    layer(torch.ones(1, 6)).sum().backward()
    assert float((layer.weight_orig.grad * (1 - layer.weight_mask)).abs().sum()) == 0
    weight = layer.weight.tolist()
    prune.remove(layer, "weight")
    assert isinstance(layer.weight, nn.Parameter) and layer.weight.tolist() == weight and not prune.is_pruned(layer)


def test_global_pruning_takes_the_smallest_of_all():
    net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    with torch.no_grad():
        net[0].weight.copy_(torch.arange(1.0, 13.0).view(3, 4))
        net[1].weight.copy_(torch.full((2, 3), 4.5))
    prune.global_unstructured([(net[0], "weight"), (net[1], "weight")], prune.L1Unstructured, amount=5)
    assert int((net[0].weight == 0).sum()) == 4 and int((net[1].weight == 0).sum()) == 1
    with pytest.raises(ValueError, match="amount=7 should be smaller"):
        prune.l1_unstructured(nn.Linear(3, 2), "weight", 7)


@pytest.mark.parametrize("conv", [nn.Conv2d(3, 4, 2), nn.Conv2d(3, 4, 2, bias=False), nn.ConvTranspose2d(3, 4, 2)])
def test_fused_convolution_computes_both(conv):
    norm = nn.BatchNorm2d(4)
    norm(torch.randn(8, 4, 2, 2) * 2 + 1)
    with torch.no_grad():
        norm.weight.uniform_()
        norm.bias.uniform_()
    fused = utils.fuse_conv_bn_eval(conv.eval(), norm.eval(), transpose=isinstance(conv, nn.ConvTranspose2d))
    x = torch.randn(2, 3, 5, 5)
    assert close(fused(x), norm(conv(x)), 1e-4)
    with pytest.raises(AssertionError, match="Fusion only for eval"):
        utils.fuse_conv_bn_eval(conv, norm.train())


def test_fused_linear_computes_both():
    linear, norm = nn.Linear(3, 4).eval(), nn.BatchNorm1d(4)
    norm(torch.randn(8, 4) * 2 + 1)
    x = torch.randn(2, 3)
    assert close(utils.fuse_linear_bn_eval(linear, norm.eval())(x), norm(linear(x)))


def test_functional_call():
    tied = nn.Linear(2, 2, bias=False)
    net = nn.Sequential(tied, nn.BatchNorm1d(2), tied)
    before = tied.weight.tolist()
    weight = torch.eye(2).mul(3).requires_grad_()
    given = {"0.weight": weight, "1.running_mean": torch.zeros(2)}
    call = utils.stateless.functional_call
    call(net, given, torch.randn(4, 2)).sum().backward()
    assert weight.grad is not None and tied.weight.tolist() == before and tied.weight.grad is None
    assert net[1].running_mean.tolist() == [0, 0] and given["1.running_mean"].abs().sum().item() > 0
    with pytest.raises(RuntimeError, match="Missing key"):
        call(net, given, torch.ones(4, 2), strict=True)
    with pytest.raises(ValueError, match="got multiple values for keys"):
        call(net, {"0.weight": weight, "2.weight": weight + 1}, torch.ones(4, 2))


def test_skip_init_leaves_the_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(1).item()
    torch.manual_seed(0)
    assert utils.skip_init(nn.Linear, 3, 2).weight.shape == (2, 3) and torch.rand(1).item() == expected
    with pytest.raises(RuntimeError, match="must support a 'device' arg"):
        utils.skip_init(nn.ReLU)


def test_convolution_gradients_as_functions():
    x, weight = torch.randn(1, 2, 4, 4, requires_grad=True), torch.randn(3, 2, 2, 2, requires_grad=True)
    output = nn.functional.conv2d(x, weight, stride=2, padding=1)
    grad = torch.randn(output.shape)
    output.backward(grad)
    assert close(nn.grad.conv2d_input(x.shape, weight, grad, stride=2, padding=1), x.grad)
    assert close(nn.grad.conv2d_weight(x, weight.shape, grad, stride=2, padding=1), weight.grad)
