"""Hooks on saved tensors, and the graph as users see it."""

from __future__ import annotations

import weakref

import pytest

import flambeau as torch
from flambeau.autograd import graph


def test_every_kind_of_saved_tensor_is_packed():
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x * x
            ctx.save_for_backward(x, y)
            ctx.mark_non_differentiable(y)
            return x * y

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return g * (y + 2 * x * x)

    packed = []

    def pack(t):
        packed.append(t.tolist())
        return t * 2

    x = torch.tensor([2.0], requires_grad=True)
    with graph.saved_tensors_hooks(pack, lambda t: t / 2):
        y = x.exp() * 3  # saves its output
        z = x * x  # saves its inputs
        w = Cube.apply(x)
        (y + z + w).sum().backward()
    assert x.grad.item() == pytest.approx(3 * 7.3890561 + 4 + 12)
    assert packed.count([2.0]) == 3 and [4.0] in packed


def test_the_innermost_hooks_count_and_none_are_left():
    x = torch.ones(1, requires_grad=True)
    calls = []
    with graph.saved_tensors_hooks(lambda t: calls.append("outer") or t, lambda t: t):
        with graph.saved_tensors_hooks(lambda t: calls.append("inner") or t, lambda t: t):
            (x * x).backward()
        (x * x).backward()
    (x * x).backward()
    assert calls == ["inner", "inner", "outer", "outer"]


def test_a_hook_must_return_a_tensor():
    x = torch.ones(1, requires_grad=True)
    with graph.saved_tensors_hooks(lambda t: 0, lambda kept: kept):
        y = x * x
    with pytest.raises(TypeError, match="expected to be a Tensor, got int"):
        y.backward()


def test_a_pack_hook_leaves_its_tensor_alone():
    x = torch.ones(1, requires_grad=True)
    with graph.saved_tensors_hooks(lambda t: t.detach().mul_(2), lambda kept: kept):
        with pytest.raises(RuntimeError, match="A saved tensor pack hook is modifying its input in place"):
            x.exp()


def test_mutation_of_saved_tensors():
    x = torch.tensor([3.0], requires_grad=True)
    with graph.allow_mutation_on_saved_tensors():
        y = x * 2
        z = y * y
        e = y.exp()
        y.zero_()
        e.mul_(0)
        z.backward()
    assert x.grad.item() == 24.0


def test_hooks_on_several_gradients():
    a, b = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    seen = []
    graph.register_multi_grad_hook((a, b), lambda grads: seen.append([g.item() for g in grads]))
    first = graph.register_multi_grad_hook((a, b), lambda grad: seen.append(grad.item()), mode="any")
    (a * 2 + b * 3).backward()
    first.remove()
    (a * 2 + b * 3).backward()
    assert sorted(map(str, seen)) in (["2.0", "[2.0, 3.0]", "[2.0, 3.0]"], ["3.0", "[2.0, 3.0]", "[2.0, 3.0]"])


def test_what_an_operation_saves_may_not_change_though_its_gradient_does_not_read_it():
    x = torch.ones(1, 1, 4, 4, requires_grad=True) * 1
    y = torch.nn.functional.max_pool2d(x, 2)  # a composite
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace.*MulBackward0, is at version 1; expected version 0"):
        y.sum().backward()
    source, index = torch.ones(2, requires_grad=True) * 1, torch.tensor([0, 1])
    z = torch.zeros(2).index_add(0, index, source)  # of the operation itself, for one of its gradients
    source.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()
    base, plain = torch.zeros(2, requires_grad=True), torch.ones(2)
    z = base.index_add(0, index, plain)
    plain.add_(1)
    z.sum().backward()
    assert base.grad.tolist() == [1.0, 1.0]


def test_a_change_counts_though_the_tensor_is_gone():
    def pooled():
        x = torch.ones(1, 1, 4, 4, requires_grad=True) * 1
        y = torch.nn.functional.avg_pool2d(x, 2)
        x.add_(1)
        return y

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        pooled().sum().backward()


def test_a_saved_result_may_not_change():
    matrix = torch.tensor([[2.0, 0.0], [0.0, 3.0]], requires_grad=True)
    d = torch.linalg.det(matrix)
    graph.increment_version(d)
    with pytest.raises(RuntimeError, match="LinalgDetBackward0, is at version 1"):
        d.backward()


def test_what_is_not_read_is_not_kept():
    x = torch.ones(1, 1, 4, 4, requires_grad=True) * 1
    storage = weakref.ref(x._storage)
    y = torch.nn.functional.avg_pool2d(x, 2)
    del x
    assert storage() is None and y.requires_grad


def test_hooks_take_the_place_of_the_check():
    x = torch.ones(1, 1, 4, 4, requires_grad=True)
    with graph.allow_mutation_on_saved_tensors():
        h = x * 1
        y = torch.nn.functional.max_pool2d(h, 2)
        h.add_(1)
        y.sum().backward()
    assert x.grad.sum().item() == 4


def test_compiled_functions_notice_a_change_within():
    @torch.compile
    def pooled(x):
        h = x * 1
        y = torch.nn.functional.avg_pool2d(h, 2)
        h.add_(1)
        return y

    x = torch.ones(1, 1, 4, 4, requires_grad=True)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            pooled(x).sum().backward()
