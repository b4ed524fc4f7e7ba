"""Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import flambeau as torch
from flambeau import nn


def kinds(modules) -> str:
    return " ".join(type(module).__name__ for module in modules)


def test_sequential():
    layers = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.GELU())
    assert kinds(layers[1:3]) == "Tanh Sigmoid" and type(layers[-1]) is nn.GELU
    del layers[1]
    assert kinds(layers) == "ReLU Sigmoid GELU" and list(layers._modules) == ["0", "1", "2"]
    layers.insert(-1, nn.ELU()).append(nn.CELU()).extend([nn.SELU()])
    assert kinds(layers) == "ReLU Sigmoid ELU GELU CELU SELU"
    assert type(layers.pop(0)) is nn.ReLU and kinds(layers.pop(slice(0, 3))) == "Sigmoid ELU GELU"
    layers[0] = nn.Tanh()
    assert kinds(layers + nn.Sequential(nn.ReLU())) == "Tanh SELU ReLU"
    assert kinds(2 * layers) == "Tanh SELU Tanh SELU"
    layers *= 2
    layers += nn.Sequential(nn.ReLU())
    assert kinds(layers) == "Tanh SELU Tanh SELU ReLU" and len(layers) == 5
    named = nn.Sequential(OrderedDict(first=nn.ReLU(), second=nn.Tanh()))
    assert list(named._modules) == ["first", "second"] and type(named[1]) is nn.Tanh
    assert list(named[:1]._modules) == ["first"]


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (lambda: nn.Sequential(nn.ReLU())[1], IndexError),
        (lambda: nn.Sequential() + 3, ValueError),
        (lambda: nn.Sequential() * 0, ValueError),
        (lambda: nn.Sequential() * "a", TypeError),
        (lambda: nn.Sequential().insert(1, nn.ReLU()), IndexError),
        (lambda: nn.ModuleList()[0], IndexError),
        (lambda: nn.ModuleList(3), TypeError),
        (lambda: nn.ModuleList()(1), NotImplementedError),
        (lambda: nn.ModuleDict(3), TypeError),
        (lambda: nn.ModuleDict([(1, 2, 3)]), ValueError),
        (lambda: nn.ParameterList(torch.ones(2)), TypeError),
        (lambda: nn.ParameterList()(1), RuntimeError),
        (lambda: nn.ParameterDict({3: torch.ones(1)}), TypeError),
    ],
)
def test_errors(act, kind):
    with pytest.raises(kind):
        act()


def test_module_list():
    modules = nn.ModuleList([nn.ReLU(), nn.Tanh()])
    modules.insert(1, nn.GELU())
    modules += [nn.ELU()]
    modules[0] = nn.CELU()
    assert kinds(modules) == "CELU GELU Tanh ELU" and kinds(modules[::2]) == "CELU Tanh"
    joined = modules + [nn.ReLU()]
    assert isinstance(joined, nn.ModuleList) and kinds(joined) == "CELU GELU Tanh ELU ReLU"
    del modules[1:3]
    assert kinds(modules) == "CELU ELU" and list(modules._modules) == ["0", "1"]
    assert type(modules.pop(-1)) is nn.ELU and len(modules) == 1


def test_module_dict():
    modules = nn.ModuleDict([("a", nn.ReLU())])
    modules.update({"b": nn.Tanh()})
    modules["c"] = nn.GELU()
    assert list(modules) == list(modules.keys()) == ["a", "b", "c"] and "b" in modules
    assert kinds(modules.values()) == "ReLU Tanh GELU" and type(modules.pop("a")) is nn.ReLU
    del modules["b"]
    assert dict(modules.items()).keys() == {"c"} and len(modules) == 1
    modules.clear()
    assert not len(modules)


def test_parameter_list():
    held = nn.ParameterList([torch.ones(2), nn.Parameter(torch.ones(1, 3))])
    held.append("text").extend([torch.zeros(1)])
    held[0] = torch.zeros(2)
    assert [name for name, _ in held.named_parameters()] == ["0", "1", "3"] and held[2] == "text"
    assert isinstance(held[0], nn.Parameter) and [len(part) for part in (held, held[1:3])] == [4, 2]
    assert repr(held[:3]) == (
        "ParameterList(\n    (0): Parameter containing: [torch.float32 of size 2]\n"
        "    (1): Parameter containing: [torch.float32 of size 1x3]\n    (2): Object of type: str\n)"
    )


def test_parameter_dict():
    held = nn.ParameterDict({"b": torch.ones(2), "a": torch.ones(1)})
    assert list(held) == ["a", "b"] and isinstance(held["a"], nn.Parameter)
    held["c"] = 3
    joined = held | nn.ParameterDict({"d": torch.zeros(1)})
    assert list(joined) == ["a", "b", "c", "d"] and joined["a"] is held["a"]
    assert list(reversed(held)) == ["c", "b", "a"] and held.get("x", 7) == 7 and held.setdefault("c", 4) == 3
    assert held.popitem() == ("c", 3) and held.pop("a").shape == (1,) and list(held.state_dict()) == ["b"]
    assert list(held.fromkeys(["u", "v"], 1).items()) == [("u", 1), ("v", 1)]
    held.clear()
    assert not len(held)
