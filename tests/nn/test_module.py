"""Module: registration, attributes, walking, conversion, calling. Messages and orders are PyTorch's."""

from __future__ import annotations

import copy
import pickle

import pytest

import flambeau as torch
from flambeau import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Sequential(nn.Linear(3, 4), nn.ReLU())])
        self.head = nn.Linear(4, 2)
        self.register_buffer("scale", torch.ones(1))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.head(x) * self.scale


NAMES = ["layers.0.0.weight", "layers.0.0.bias", "head.weight", "head.bias"]


def test_members_by_name():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [name for name, _ in net.named_parameters("p", recurse=False)] == []
    assert [name for name, _ in net.head.named_parameters("p")] == ["p.weight", "p.bias"]
    assert [name for name, _ in net.named_buffers()] == ["scale", "scratch"]
    assert [name for name, _ in net.named_children()] == ["layers", "head"]
    assert [name for name, _ in net.named_modules()] == ["", "layers", "layers.0", "layers.0.0", "layers.0.1", "head"]
    assert net.get_submodule("layers.0.0") is net.layers[0][0]
    assert net.get_parameter("head.bias") is net.head.bias
    assert net.get_buffer("scale") is net.scale
    assert {"layers", "head", "scale", "training"} <= set(dir(net))


def test_shared_members_come_once_or_always():
    layer = nn.Linear(2, 2)
    twice = nn.Sequential(layer, layer)
    assert len(list(twice.parameters())) == 2
    assert [name for name, _ in twice.named_parameters(remove_duplicate=False)] == [
        "0.weight",
        "0.bias",
        "1.weight",
        "1.bias",
    ]
    assert [name for name, _ in twice.named_modules(remove_duplicate=False)] == ["", "0", "1"]
    assert len(list(twice.children())) == 1
    assert len(twice.state_dict()) == 4


def test_assigning_moves_between_registries():
    module = nn.Module()
    module.x = torch.ones(2)
    assert not list(module.parameters()) and "x" in vars(module)
    module.x = nn.Parameter(torch.ones(2))
    assert "x" in module._parameters and "x" not in vars(module)
    module.x = None
    assert module.x is None and list(module._parameters) == ["x"]
    module.b = nn.Buffer(torch.ones(1), persistent=False)
    assert list(module._buffers) == ["b"] and not module.state_dict()
    module.b = torch.zeros(3)
    assert module.b.shape == (3,) and not module.state_dict()
    module.b = nn.ReLU()
    assert list(module._modules) == ["b"] and not module._buffers
    del module.b
    with pytest.raises(AttributeError, match="'Module' object has no attribute 'b'"):
        module.b  # noqa: B018


@pytest.mark.parametrize(
    ("act", "kind", "message"),
    [
        (lambda m: m.register_buffer("a.b", None), KeyError, "buffer name can"),
        (lambda m: m.register_buffer("", None), KeyError, "empty string"),
        (lambda m: m.register_buffer("training", None), KeyError, "attribute 'training' already exists"),
        (lambda m: m.register_buffer("x", 3), TypeError, "cannot assign 'int' object to buffer 'x'"),
        (lambda m: m.register_parameter(3, None), TypeError, "parameter name should be a string. Got int"),
        (lambda m: m.register_parameter("x", torch.ones(1)), TypeError, "torch.nn.Parameter or None required"),
        (lambda m: m.add_module("x", 3), TypeError, "int is not a Module subclass"),
        (lambda m: m.add_module("a.b", None), KeyError, "module name can"),
        (lambda m: setattr(m, "weight", torch.ones(1)), TypeError, "cannot assign 'torch.FloatTensor' as parameter"),
        (lambda m: setattr(nn.Sequential(m), "0", 3), TypeError, "cannot assign 'int' as child module '0'"),
        (lambda m: setattr(nn.BatchNorm1d(1), "running_mean", 3), TypeError, "cannot assign 'int' as buffer"),
        (lambda m: m.get_submodule("a.b"), AttributeError, "Linear has no attribute `a`"),
        (lambda m: m.get_submodule("weight"), AttributeError, "`weight` is not an nn.Module"),
        (lambda m: m.get_parameter("in_features"), AttributeError, "`in_features` is not an nn.Parameter"),
        (lambda m: m.get_buffer("weight"), AttributeError, "`weight` is not a buffer"),
        (lambda m: m.set_submodule("", m), ValueError, "without a target name"),
        (lambda m: m.set_submodule("x", m, strict=True), AttributeError, "Linear has no attribute `x`"),
        (lambda m: m.train(3), ValueError, "training mode is expected to be boolean"),
        (lambda m: m.to(torch.int32), TypeError, "only accepts floating point or complex dtypes"),
        (lambda m: m.to("cpu", "cpu"), TypeError, "invalid combination of arguments"),
        (lambda m: nn.Module(3), TypeError, r"takes 1 positional argument but 2 were given"),
        (lambda m: nn.Module(a=3), TypeError, "unexpected keyword argument 'a'"),
        (lambda m: nn.Module()(3), NotImplementedError, 'is missing the required "forward" function'),
    ],
)
def test_errors(act, kind, message):
    with pytest.raises(kind, match=message):
        act(nn.Linear(2, 3))


def test_assignment_before_init():
    class Hasty(nn.Module):
        def __init__(self, value):
            self.x = value

    with pytest.raises(AttributeError, match=r"cannot assign module before Module.__init__\(\) call"):
        Hasty(nn.ReLU())
    with pytest.raises(AttributeError, match=r"cannot assign parameters before Module.__init__\(\) call"):
        Hasty(nn.Parameter(torch.ones(1)))
    assert Hasty(3).x == 3


def test_call_super_init():
    class Other:
        def __init__(self, x):
            self.x = x

    class Both(nn.Module, Other):
        call_super_init = True

        def __init__(self, x):
            super().__init__(x=x)

    assert Both(7).x == 7


def test_conversion_keeps_parameters_and_their_gradients():
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    net(torch.ones(3, 2)).sum().backward()
    weight = net[0].weight
    assert net.double() is net
    assert net[0].weight is weight and weight.dtype == weight.grad.dtype == torch.float64
    assert net[1].running_mean.dtype == torch.float64 and net[1].num_batches_tracked.dtype == torch.int64
    for convert in (
        lambda: net.to(torch.float32),
        lambda: net.to("cpu", torch.float16),
        lambda: net.to(torch.ones(1, dtype=torch.float64)),
        lambda: net.to(device="cpu", dtype=torch.float32, non_blocking=True),
        lambda: net.half(),
        lambda: net.bfloat16(),
        lambda: net.type(torch.float64),
        lambda: net.float(),
        lambda: net.cpu(),
    ):
        convert()
    assert net[0].weight is weight and weight.dtype == torch.float32 and weight.requires_grad
    assert net.to_empty(device="cpu")[0].weight.shape == (2, 2)


def test_modes_and_gradients():
    net = Net()
    assert net.eval() is net and not any(module.training for module in net.modules())
    assert net.train().layers[0].training
    net(torch.ones(1, 3)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert net.head.weight.grad.abs().sum().item() == 0
    net.zero_grad()
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not any(parameter.requires_grad for parameter in net.requires_grad_(False).parameters())
    order = []
    net.apply(lambda module: order.append(type(module).__name__))
    assert order == ["Linear", "ReLU", "Sequential", "ModuleList", "Linear", "Net"]


def test_set_submodule():
    net = Net()
    net.set_submodule("layers.0.1", nn.Tanh())
    net.set_submodule("layers.0.2", nn.GELU())
    assert [type(module).__name__ for module in net.layers[0]] == ["Linear", "Tanh", "GELU"]
    with pytest.raises(AttributeError, match="`weight` is not an nn.Module"):
        net.set_submodule("head.weight", nn.Tanh())


def test_copies_and_pickles_are_equal_and_apart():
    net = Net()
    x = torch.ones(2, 3)
    expected = net(x).tolist()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(nn.Sequential(*net.layers[0], net.head)))):
        assert twin(x).tolist() == expected
        assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in twin.parameters())
    twin = copy.deepcopy(net)
    with torch.no_grad():
        twin.head.weight.zero_()
    assert net(x).tolist() == expected


def test_error_says_which_module():
    net = Net()
    for _ in range(2):
        with pytest.raises(RuntimeError) as caught:
            net(torch.ones(2, 5))
        assert caught.value.__notes__ == ["In module net.layers.0.0: Linear(in_features=3, out_features=4, bias=True)"]
        net.layers[0].register_forward_hook(lambda *_: None)
    with pytest.raises(RuntimeError) as caught:
        nn.Linear(2, 2)(torch.ones(3, 3))
    assert caught.value.__notes__ == ["In module Linear: Linear(in_features=2, out_features=2, bias=True)"]


def test_repr_nests():
    assert (
        repr(nn.Sequential(nn.Linear(1, 2, bias=False), nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Sequential()])))
        == """Sequential(
  (0): Linear(in_features=1, out_features=2, bias=False)
  (1): ModuleList(
    (0-1): 2 x ReLU()
    (2): Sequential()
  )
)"""
    )


def test_lazy_modules_become_ordinary_ones():
    net = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d(), nn.LazyLinear(2, bias=False))
    assert repr(net[0].weight) == "<UninitializedParameter>" and net[0].has_uninitialized_params()
    with pytest.raises(RuntimeError, match="Can't access the shape of an uninitialized parameter"):
        net[0].weight.shape  # noqa: B018
    copy.deepcopy(net)(torch.ones(4, 7))
    net(torch.ones(4, 5))
    assert [type(module).__name__ for module in net] == ["Linear", "BatchNorm1d", "Linear"]
    assert type(net[0].weight) is nn.Parameter and net[0].weight.shape == (3, 5)
    fresh = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d(), nn.LazyLinear(2, bias=False))
    fresh.load_state_dict(net.state_dict())
    x = torch.arange(10.0).view(2, 5)
    assert fresh(x).tolist() == net(x).tolist()


def test_parameter_of_a_tensor_subclass_keeps_its_class():
    class Tagged(torch.Tensor):
        def detach(self):
            plain = torch.Tensor.__new__(Tagged)
            plain.data = torch.Tensor.detach(self)
            return plain

    tagged = torch.Tensor.__new__(Tagged)
    tagged.data = torch.ones(2)
    parameter = nn.Parameter(tagged)
    assert type(parameter) is Tagged and isinstance(parameter, nn.Parameter) and parameter.requires_grad
    assert not isinstance(torch.ones(1), nn.Parameter)
    with pytest.raises(RuntimeError, match="[Oo]nly Tensors of floating point"):
        nn.Parameter(torch.tensor([1]))
