"""Hooks on tensors, leaves and nodes; places in the graph; custom functions inside vmap."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau.autograd import graph


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


@pytest.mark.parametrize("found, error, message", [
    (3, TypeError, "expected Variable, but hook returned 'int'"),
    (torch.ones(3), RuntimeError, "hook '<lambda>' has changed the size of value"),
    (torch.ones(2, dtype=torch.float64), RuntimeError, "was torch.FloatTensor got torch.DoubleTensor"),
])  # fmt: skip
def test_a_tensors_hook_returns_a_gradient_of_the_same_kind(found, error, message):
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: found)
    with pytest.raises(error, match=message):
        (x * 2).sum().backward()


@pytest.mark.parametrize("found, error, message", [
    (torch.ones(2), TypeError, "expected tuple, but hook returned 'Tensor'"),
    ((torch.ones(2),), RuntimeError, r"incorrect number of values \(got 1, but expected 2\)"),
])  # fmt: skip
def test_a_nodes_hook_returns_a_gradient_for_each_input(found, error, message):
    y = leaf(1.0, 2.0) * 2
    y.grad_fn.register_hook(lambda grads, received: found)
    with pytest.raises(error, match=message):
        y.sum().backward()


def test_hooks_on_the_end_of_the_graph():
    x = leaf(1.0, 2.0)
    end = (x * 2).grad_fn.next_functions[0][0]
    calls = []
    end.register_prehook(lambda received: calls.append(("before", received[0].tolist(), x.grad is None)))
    end.register_hook(lambda grads, received: calls.append(("after", grads, received[0].tolist(), x.grad.tolist())))
    (x * 3).sum().backward()
    assert calls == [("before", [3.0, 3.0], True), ("after", (), [3.0, 3.0], [3.0, 3.0])]


def test_retained_gradients_add_up_and_follow_changes_in_place():
    x = leaf(1.0, 2.0)
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    assert y.retains_grad
    loss = (y * y).sum()
    loss.backward(retain_graph=True)
    assert y.grad.tolist() == [12.0, 24.0]
    loss.backward()
    assert y.grad.tolist() == [24.0, 48.0] and x.grad.tolist() == [144.0, 288.0]


def test_a_hook_on_several_gradients_knows_which_the_pass_reaches():
    x, y, z = leaf(1.0), leaf(2.0), leaf(3.0)
    calls = []
    handle = graph.register_multi_grad_hook((x, y, z), lambda gs: calls.append([g and g.item() for g in gs]))
    (x * y).sum().backward()
    (x * y * z).sum().backward()
    torch.autograd.grad((x * z).sum(), [z])
    handle.remove()
    (x * y * z).sum().backward()
    assert calls == [[2.0, 1.0, None], [6.0, 3.0, 2.0], [None, None, 1.0]]


def test_places_in_the_graph_stand_for_tensors():
    x = leaf(1.0, 2.0)
    y = x * 3
    place = graph.get_gradient_edge(y)
    loss = (y * y).sum()
    assert torch.autograd.grad(loss, place, retain_graph=True)[0].tolist() == [6.0, 12.0]
    assert torch.autograd.grad(loss, [place, x], retain_graph=True)[1].tolist() == [18.0, 36.0]
    other = graph.get_gradient_edge(leaf(5.0) * 2)
    assert torch.autograd.grad(loss, other, materialize_grads=True)[0].tolist() == [0.0]
    torch.autograd.backward(graph.get_gradient_edge(x * 2), torch.ones(2))
    assert x.grad.tolist() == [2.0, 2.0]


def test_what_grad_refuses():
    x, z = leaf(1.0), leaf(2.0)
    y = (x * 2).sum()
    with pytest.raises(RuntimeError, match="The differentiated Tensor at index 1 appears to not have been used"):
        torch.autograd.grad(y, [x, z], retain_graph=True)
    with pytest.raises(ValueError, match="Expected allow_unused to be True or not passed when materialize_grads=True"):
        torch.autograd.grad(y, [x, z], allow_unused=False, materialize_grads=True)
    with pytest.raises(RuntimeError, match=r"`inputs` argument to `grad\(\)` cannot be empty"):
        torch.autograd.grad(y, [])


# ---------------------------------------------------------------------------------------------- custom functions


class Power(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x, n):
        return x**n, n

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])
        ctx.n = inputs[1]

    @staticmethod
    def backward(ctx, g, none):
        (x,) = ctx.saved_tensors
        return g * ctx.n * x ** (ctx.n - 1), None


class Product(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(a, b):
        return a * b

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        return g * b, (g * a).sum()


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(x, factor):
        return x * factor

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.factor = inputs[1]

    @staticmethod
    def backward(ctx, g):
        return g * ctx.factor, None

    @staticmethod
    def vmap(info, in_dims, x, factor):
        assert (info.batch_size, info.randomness, in_dims) == (3, "error", (0, None))
        return Scaled.apply(x, factor), 0


def test_outputs_that_are_no_tensors_have_no_gradient():
    x = leaf(1.0, 2.0)
    y, n = Power.apply(x, 3)
    assert n == 3
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 12.0]


def test_a_function_with_a_generated_rule_in_vmap():
    x = torch.arange(3.0)
    assert torch.vmap(lambda t: Power.apply(t, 2)[0])(x).tolist() == [0.0, 1.0, 4.0]
    assert torch.vmap(torch.func.grad(lambda t: Power.apply(t, 3)[0]))(x).tolist() == [0.0, 3.0, 12.0]
    twice = torch.vmap(torch.vmap(torch.func.grad(torch.func.grad(lambda t: Power.apply(t, 3)[0]))))
    assert twice(x.reshape(1, 3)).tolist() == [[0.0, 6.0, 12.0]]


def test_what_is_the_same_for_the_whole_batch_gets_the_sum():
    rows, shared = torch.arange(6.0).reshape(3, 2), leaf(2.0)
    scale = shared.squeeze()
    torch.vmap(Product.apply, in_dims=(0, None))(rows, scale).sum().backward()
    assert shared.grad.tolist() == [15.0]


def test_a_function_with_its_own_rule_in_vmap():
    x = torch.arange(3.0, requires_grad=True)
    y = torch.vmap(Scaled.apply, in_dims=(0, None))(x, 4.0)
    y.sum().backward()
    assert y.tolist() == [0.0, 4.0, 8.0] and x.grad.tolist() == [4.0, 4.0, 4.0]


def test_a_function_without_a_rule_is_refused_in_vmap():
    class Plain(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

    with pytest.raises(RuntimeError, match="You tried to vmap over Plain, but it does not have vmap support"):
        torch.vmap(Plain.apply)(torch.ones(2))


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, returned):
        ctx.mark_dirty(x)
        x.mul_(2)
        return x if returned else x * 1

    @staticmethod
    def backward(ctx, g):
        return g * 2, None


def test_inputs_changed_in_place_are_checked():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad has been used in an in-place operation"):
        Doubled.apply(x, True)
    with pytest.raises(RuntimeError, match="Some elements marked as dirty during the forward method were not returned"):
        Doubled.apply(x * 1, False)


def test_a_view_changed_in_place_by_a_function_changes_its_bases_history():
    x = leaf(1.0, 2.0)
    y = x * 1
    Doubled.apply(y[:1], True)
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 1.0]


def test_a_functions_gradient_is_a_tensor():
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return 3

    with pytest.raises(RuntimeError, match=r"expected Variable or None \(got int\)"):
        Wrong.apply(leaf(1.0)).sum().backward()


def test_gradcheck_warns_of_low_precision():
    with pytest.warns(UserWarning, match="Input #0 requires gradient and is not a double precision"):
        torch.autograd.gradcheck(torch.sin, leaf(1.0), raise_exception=False)
