"""The graph as users see it: what nodes are called, where they lead, what they save, and hooks on them."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau.autograd.graph import Node


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def names(node):
    """A walk as drawing programs do it."""
    if node is None:
        return []
    return [type(node).__name__] + [name for below, _ in node.next_functions for name in names(below)]


def test_each_kind_of_node_has_a_class_of_its_name():
    x = leaf(1.0, 2.0)
    product, other = (x * x).grad_fn, (x * 3).grad_fn
    assert type(product) is type(other) and isinstance(product, Node)
    assert (type(product).__name__, product.name()) == ("MulBackward0", "MulBackward0")
    assert str(product).startswith("<MulBackward0 object at 0x")
    end = product.next_functions[0][0]
    assert (type(end).__name__, end.name(), end.variable is x) == (
        "AccumulateGrad", "torch::autograd::AccumulateGrad", True)  # fmt: skip


def test_the_form_of_an_operation_is_in_the_name():
    x = leaf([1.0, 2.0])
    named = [t.grad_fn.name() for t in (x.sum(), x.sum(1), x**2, x**x, 2**x, 1 - x, x @ x.t(), x[0] @ x[0])]
    assert named == ["SumBackward0", "SumBackward1", "PowBackward0", "PowBackward1", "PowBackward2", "RsubBackward1",
                     "MmBackward0", "DotBackward0"]  # fmt: skip


def test_next_functions_list_tensors_in_pytorchs_order():
    x, plain = leaf(1.0, 2.0), torch.ones(2)
    end = x.sum().grad_fn.next_functions[0][0]
    assert (plain * x).grad_fn.next_functions == ((None, 0), (end, 0))
    assert torch.cat([plain, x]).grad_fn.next_functions == ((None, 0), (end, 0))
    assert torch.where(x > 0, x, 0.0).grad_fn.next_functions == ((end, 0), (None, 0))
    assert x.reshape(2, 1).grad_fn.next_functions == ((end, 0),)
    assert x.reshape(2, 1).split(1)[1].grad_fn.next_functions[0][1] == 0


def test_what_pytorch_has_as_one_operation_is_seen_as_one():
    x, target = leaf(1.0, 2.0), torch.zeros(2)
    loss = torch.nn.functional.mse_loss(x, target)
    assert names(loss.grad_fn) == ["MseLossBackward0", "AccumulateGrad"]
    loss.backward()
    assert x.grad.tolist() == [1.0, 2.0]


def test_a_linear_layer_shows_the_transposition_it_includes():
    layer = torch.nn.Linear(3, 2)
    node = layer(torch.ones(1, 3)).grad_fn
    assert names(node) == ["AddmmBackward0", "AccumulateGrad", "TBackward0", "AccumulateGrad"]
    transposed = node.next_functions[2][0]
    assert node.next_functions[2][0] is transposed
    assert transposed.next_functions[0][0].variable is layer.weight
    with pytest.raises(RuntimeError, match="register it on that operation's node"):
        transposed.register_hook(print)


def test_a_custom_functions_node_is_its_context():
    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx, factor, x):
            ctx.save_for_backward(x)
            ctx.factor = factor
            return x * factor

        @staticmethod
        def backward(ctx, g):
            return None, g * ctx.factor

    x = leaf(1.0, 2.0)
    node = Scale.apply(3, x).grad_fn
    assert (type(node).__name__, node.name(), node.factor) == ("ScaleBackward", "ScaleBackward", 3)
    assert node.saved_tensors[0] is x and [n.variable is x for n, _ in node.next_functions] == [True]
    assert type(Scale.apply(2, x).grad_fn) is type(node)
    with pytest.raises(AttributeError, match="'ScaleBackward' object has no attribute 'nothing'"):
        node.nothing  # noqa: B018


def test_saved_attributes():
    x = leaf(1.0, 2.0)
    power, exponential = x**3, x.exp()
    assert power.grad_fn._saved_self is x and power.grad_fn._saved_exponent == 3
    assert exponential.grad_fn._saved_result.tolist() == exponential.tolist()
    assert {"_saved_self", "_saved_exponent"} <= set(dir(power.grad_fn))
    assert (x * torch.ones(2)).grad_fn._saved_self is None
    power.sum().backward()
    with pytest.raises(RuntimeError, match="directly access saved tensors after they have already been freed"):
        power.grad_fn._saved_self  # noqa: B018


def test_node_hooks_see_what_next_functions_list():
    x, index = leaf([1.0, 2.0]), torch.tensor([[0]])
    y = x.gather(1, index)
    seen = []
    y.grad_fn.register_hook(lambda grads, received: seen.append((len(grads), len(received))))
    y.grad_fn.register_hook(lambda grads, received: tuple(g * 2 for g in grads))
    y.sum().backward()
    assert seen == [(1, 1)] and x.grad.tolist() == [[2.0, 0.0]]


def test_writing_in_place_keeps_the_history():
    x = leaf(1.0, 2.0)
    for change in (lambda y: y.copy_(torch.zeros(2)), lambda y: y.fill_(3.0), lambda y: y.zero_()):
        y = change(x.clone())
        assert type(y.grad_fn.next_functions[0][0]).__name__ == "CloneBackward0"
        assert torch.autograd.grad(y.sum(), x)[0].tolist() == [0.0, 0.0]
    y = torch.zeros(2)
    y[0] = x[1]
    assert names(y.grad_fn) == ["CopySlices", "SelectBackward0", "AccumulateGrad"]
