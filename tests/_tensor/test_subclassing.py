"""Subclasses of Tensor: their class survives operations, their `__torch_function__` sees them."""

import copy
import pickle

import numpy as np
import pytest

import flambeau as torch
from flambeau.nn import functional as F


class Plain(torch.Tensor):
    pass


class Logged(torch.Tensor):
    calls: list = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.calls.append(func.__name__)
        return super().__torch_function__(func, types, args, kwargs or {})


class Tagged(torch.Tensor):
    """Hands its tag on to what is computed from it."""

    @staticmethod
    def __new__(cls, data, tag=None):
        made = torch.as_tensor(data).as_subclass(cls)
        made.tag = tag
        return made

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        result = super().__torch_function__(func, types, args, kwargs or {})
        tags = [a.tag for a in args if isinstance(a, cls) and getattr(a, "tag", None)]
        if isinstance(result, cls) and tags:
            result.tag = tags[0]
        return result


def plain(*shape):
    return torch.arange(float(np.prod(shape))).reshape(shape).as_subclass(Plain)


CALLS = {
    "operator": lambda x: x + 1,
    "reflected": lambda x: 2 - x,
    "with a tensor": lambda x: torch.ones(2, 2) * x,
    "function": lambda x: torch.exp(x),
    "keywords": lambda x: torch.sum(x, dim=0),
    "view": lambda x: x.T,
    "index": lambda x: x[0],
    "attribute": lambda x: x.mT,
    "factory": lambda x: torch.zeros_like(x),
    "new": lambda x: x.new_ones(3),
    "list": lambda x: torch.cat([torch.zeros(2, 2), x]),
    "several": lambda x: x.split(1),
    "named results": lambda x: x.max(0),
    "iteration": lambda x: tuple(x),
    "loss": lambda x: F.mse_loss(x, torch.zeros(2, 2)),
    "draw": lambda x: torch.rand_like(x),
    "conversion": lambda x: x.double(),
    "detach": lambda x: x.detach(),
    "data": lambda x: x.data,
    "module": lambda x: torch.nn.Linear(2, 2)(x),
    "einsum": lambda x: torch.einsum("ij,jk->ik", x, x),
    "comparison": lambda x: x == 1,
    "out": lambda x: torch.add(torch.ones(2, 2), 1, out=x),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_class_survives(name):
    made = CALLS[name](plain(2, 2))
    several = made if isinstance(made, tuple) else (made,)
    assert several and all(type(t) is Plain for t in several)
    reference = CALLS[name](plain(2, 2).as_subclass(torch.Tensor)) if name not in ("draw", "module") else made
    for t, r in zip(several, reference if isinstance(reference, tuple) else (reference,), strict=True):
        np.testing.assert_array_equal(t.detach().numpy(), r.detach().numpy())


def test_what_is_no_tensor_stays_what_it_is():
    x = plain(2, 2)
    assert x.shape == (2, 2) and type(x.sum().item()) is float and type(x.numpy()) is np.ndarray
    assert type(torch.tensor(x.tolist())) is torch.Tensor


def test_in_place_changes_the_tensor_itself():
    x = plain(2)
    y = x
    y += 1
    assert y is x and y.tolist() == [1, 2]
    assert x.mul_(2) is x and x.tolist() == [2, 4]
    x[0] = 7
    assert x.tolist() == [7, 4]


def test_memory_is_shared():
    base = torch.zeros(2)
    base.as_subclass(Plain).add_(1)
    plain_view = base.as_subclass(Plain)[0]
    plain_view.fill_(5)
    assert base.tolist() == [5, 1]


def test_gradients_flow():
    leaf = torch.ones(2, requires_grad=True)
    (leaf.as_subclass(Plain) * 3).sum().backward()
    assert leaf.grad.tolist() == [3, 3]
    x = plain(2).requires_grad_()
    (x * x).sum().backward()
    assert type(x.grad) is torch.Tensor and x.grad.tolist() == [0, 2]


def test_a_leaf_as_another_class_is_no_leaf():
    leaf = torch.ones(2, requires_grad=True)
    assert not leaf.as_subclass(Plain).is_leaf and leaf.is_leaf


def test_what_torch_function_is_told():
    x = torch.ones(2, 2).as_subclass(Logged)
    Logged.calls.clear()
    x + 1, 1 - x, x[0], x.shape, x / 2, -x, x @ x, x**2, x.size(), repr(x), F.relu(x), torch.nn.Linear(2, 2)(x)
    assert Logged.calls == [
        "add", "__rsub__", "__getitem__", "__get__", "div", "neg", "matmul", "pow", "size", "__repr__", "relu", "linear"
    ]  # fmt: skip


def test_internals_are_not_told():
    x = torch.ones(4, 3).as_subclass(Logged)
    Logged.calls.clear()
    F.cross_entropy(x, torch.zeros(4, dtype=torch.long)), torch.nn.functional.layer_norm(x, (3,))
    assert Logged.calls == ["cross_entropy", "layer_norm"]


def test_attributes_by_torch_function():
    x = Tagged([1.0, 2.0], tag="metres")
    assert (x * 2).sum().tag == "metres" and x[0].tag == "metres"


def test_a_method_of_the_class_itself_wins():
    class Mixin:
        def sum(self):
            return "mixed in"

    class Own(Mixin, torch.Tensor):
        @property
        def shape(self):
            return "own"

    x = torch.ones(2).as_subclass(Own)
    assert x.sum() == "mixed in" and x.shape == "own" and type(x.mean()) is Own


def test_subclasses_of_subclasses():
    class Further(Plain):
        pass

    x, y = torch.ones(2).as_subclass(Further), torch.ones(2).as_subclass(Plain)
    assert type(x + 1) is Further and type(x + y) is Further and type(y + x) is Further


def test_classes_that_do_not_know_each_other():
    class Other(torch.Tensor):
        pass

    with pytest.raises(TypeError, match="Multiple dispatch failed|unsupported operand"):
        torch.add(plain(2), torch.ones(2).as_subclass(Other))


def test_a_class_may_refuse_to_take_over():
    class Quiet(torch.Tensor):
        __torch_function__ = torch._C._disabled_torch_function_impl

    x = torch.ones(2).as_subclass(Quiet)
    assert type(x + 1) is torch.Tensor and type(torch.exp(x)) is torch.Tensor


def test_a_foreign_operand_has_its_say():
    class Foreign:
        def __radd__(self, other):
            return "foreign"

    assert plain(2) + Foreign() == "foreign"
    with pytest.raises(TypeError):
        plain(2) + "a"


def test_parameters_of_a_subclass():
    module = torch.nn.Linear(2, 2)
    module.weight = torch.nn.Parameter(plain(2, 2))
    assert type(module.weight) is Plain and isinstance(module.weight, torch.nn.Parameter)
    assert dict(module.named_parameters())["weight"] is module.weight
    module(torch.ones(1, 2)).sum().backward()
    before = module.weight.tolist()
    torch.optim.SGD(module.parameters(), lr=1.0).step()
    assert type(module.weight) is Plain and module.weight.tolist() != before


def test_copies_keep_class_and_attributes():
    x = Tagged([1.0, 2.0], tag="metres")
    for made in (copy.deepcopy(x), copy.copy(x), pickle.loads(pickle.dumps(x))):
        assert type(made) is Tagged and made.tag == "metres" and made.tolist() == [1, 2]


def test_made_by_make_subclass():
    data = torch.zeros(2)
    x = torch.Tensor._make_subclass(Plain, data, True)
    assert type(x) is Plain and x.requires_grad and x.is_leaf
    with torch.no_grad():
        x.add_(1)
    assert data.tolist() == [1, 1]
