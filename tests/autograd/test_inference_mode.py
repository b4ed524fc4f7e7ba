"""Tensors made in `inference_mode`: known as such, not saved for backward, not changed outside."""

from __future__ import annotations

import threading

import pytest

import flambeau as torch


def made():
    with torch.inference_mode():
        return torch.ones(3)


def test_what_is_made_inside_is_marked():
    usual, leaf = torch.ones(3), torch.ones(3, requires_grad=True)
    with torch.inference_mode():
        a = torch.ones(3)
        inside = [a, a * 2, a[:2], a.sum(), usual * 2, usual.clone(), leaf * 2, torch.tensor([1.0]), a.sort().values]
        outside = [usual[:2], leaf[:2], usual.detach(), usual.contiguous()]
        with torch.inference_mode(False):
            outside += [torch.ones(3), a * 2]
        usual.add_(1)
    assert all(t.is_inference() for t in [*inside, a[:1], a.detach()])
    assert not any(t.is_inference() for t in [*outside, usual, a * 2, a.clone(), torch.stack([a, a])])
    assert usual._version == 1
    with pytest.raises(RuntimeError, match="Inference tensors do not track version counter"):
        _ = a._version


@pytest.mark.parametrize(
    "compute",
    [
        lambda g, a: g * a,
        lambda g, a: a @ g,
        lambda g, a: torch.nn.functional.linear(a, g),
        lambda g, a: torch.nn.functional.mse_loss(g, a),
    ],
)
def test_they_are_not_saved_for_backward(compute):
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        compute(torch.ones(3, requires_grad=True), made())
    with torch.no_grad():
        compute(torch.ones(3, requires_grad=True), made())


def test_a_custom_function_does_not_save_them():
    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(y)
            return x * y

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0], None

    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        Product.apply(torch.ones(3, requires_grad=True), made())
    assert Product.apply(torch.ones(3), made()).tolist() == [1.0, 1.0, 1.0]


def test_where_backward_does_not_need_them_they_take_part():
    g = torch.ones(3, requires_grad=True)
    (g + made()).sum().backward()
    assert g.grad.tolist() == [1.0, 1.0, 1.0]
    (g * made().clone()).sum().backward()


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.add_(1),
        lambda a: a[:1].add_(1),
        lambda a: a.__setitem__(0, 1.0),
        lambda a: torch.add(torch.ones(3), 1, out=a),
        lambda a: a.unsqueeze_(0),
        lambda a: a.resize_(5),
        lambda a: a.normal_(),
        lambda a: a.copy_(torch.ones(3)),
    ],
)
def test_they_are_changed_inside_only(change):
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor outside InferenceMode is not allowed"):
        change(made())
    with torch.no_grad(), pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
        change(made())
    with torch.inference_mode():
        change(made())


def test_detached_they_may_be_changed():
    a = made()
    a.detach().add_(1)
    a.data.add_(1)
    assert a.tolist() == [3.0, 3.0, 3.0]


def test_the_mode_is_of_its_thread():
    found = []
    with torch.inference_mode():
        thread = threading.Thread(target=lambda: found.append(torch.ones(1).is_inference()))
        thread.start()
        thread.join()
    assert found == [False]


def test_compiled_functions_mark_what_they_return():
    double = torch.compile(lambda x: x * 2)
    for _ in range(3):
        with torch.inference_mode():
            assert double(torch.ones(3)).is_inference()
        assert not double(torch.ones(3)).is_inference()
