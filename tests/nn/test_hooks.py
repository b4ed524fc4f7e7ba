"""Hooks of modules: order, what they get, what they may replace. The orders were checked with PyTorch."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.nn.modules import module as module_file


def linear() -> nn.Linear:
    layer = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0]]))
    return layer


def test_forward_hooks_run_in_order_and_replace():
    log = []
    layer = linear()
    layer.register_forward_pre_hook(lambda m, args: log.append("pre") or args[0] * 2)
    layer.register_forward_pre_hook(
        lambda m, args, kwargs: log.append(("first", sorted(kwargs))), prepend=True, with_kwargs=True
    )
    layer.register_forward_hook(lambda m, args, out: log.append(("post", out.item())))
    handle = layer.register_forward_hook(lambda m, args, kwargs, out: out + 1, prepend=True, with_kwargs=True)
    assert layer(torch.ones(1, 2)).item() == 7
    assert log == [("first", []), "pre", ("post", 7.0)]
    handle.remove()
    assert layer(torch.ones(1, 2)).item() == 6
    with layer.register_forward_hook(lambda *_: torch.zeros(1)):
        assert layer(torch.ones(1, 2)).item() == 0
    assert layer(torch.ones(1, 2)).item() == 6


def test_forward_pre_hook_with_kwargs_must_return_a_pair():
    layer = linear()
    layer.register_forward_pre_hook(lambda m, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match="forward pre-hook must return None or a tuple"):
        layer(torch.ones(1, 2))


def test_always_call():
    class Broken(nn.Module):
        def forward(self, x):
            raise ValueError("broken")

    log = []
    module = Broken()
    module.register_forward_hook(lambda m, args, out: log.append(out), always_call=True)
    module.register_forward_hook(lambda m, args, out: log.append("never"))
    with pytest.raises(ValueError, match="broken"):
        module(1)
    assert log == [None]


def test_full_backward_hooks():
    log = []
    layer = linear()
    layer.register_full_backward_pre_hook(lambda m, grads: log.append(grads[0].tolist()) or (grads[0] * 3,))

    def add_seven(m, grads_in, grads_out):
        log.append((grads_in[0].tolist(), grads_out[0].tolist()))
        return (grads_in[0] + 7,)

    layer.register_full_backward_hook(add_seven)
    x = torch.ones(1, 2, requires_grad=True)
    layer(x).sum().backward()
    assert log == [[[1.0]], ([[3.0, 6.0]], [[3.0]])]
    assert x.grad.tolist() == [[10.0, 13.0]] and layer.weight.grad.tolist() == [[3.0, 3.0]]


def test_full_backward_hook_sees_none_where_there_is_no_tensor():
    class Several(nn.Module):
        def forward(self, a, b, note):
            return a * b, note

    log = []
    module = Several()
    module.register_full_backward_hook(lambda m, grads_in, grads_out: log.append((grads_in, grads_out)))
    a = torch.ones(2, requires_grad=True)
    module(a, torch.ones(2), "note")[0].sum().backward()
    (grads_in, grads_out) = log[0]
    assert grads_in[0].tolist() == [1, 1] and grads_in[1].tolist() == [0, 0] and grads_in[2] is None
    assert grads_out[0].tolist() == [1, 1] and grads_out[1] is None


def test_full_backward_hook_without_inputs_that_want_gradients():
    log = []
    layer = linear()
    layer.register_full_backward_hook(lambda m, grads_in, grads_out: log.append((grads_in, grads_out[0].item())))
    with pytest.warns(UserWarning, match="no inputs require gradients"):
        layer(torch.ones(1, 2)).sum().backward()
    assert log == [((None,), 1.0)]


def test_two_kinds_of_backward_hooks_do_not_mix():
    layer, log = linear(), []
    layer.register_backward_hook(lambda m, grads_in, grads_out: log.append(grads_out[0].item()))
    layer(torch.ones(1, 2)).sum().backward()
    assert log == [1.0]
    with pytest.raises(RuntimeError, match="Cannot use both regular backward hooks and full backward hooks"):
        layer.register_full_backward_hook(lambda *_: None)


def test_hooks_of_all_modules():
    log = []

    def note(name):
        return lambda m, *_: log.append((name, type(m).__name__))

    handles = [
        module_file.register_module_forward_pre_hook(note("pre")),
        module_file.register_module_forward_hook(note("post")),
        module_file.register_module_full_backward_hook(note("backward")),
        module_file.register_module_parameter_registration_hook(lambda m, name, p: log.append(name)),
    ]
    try:
        nn.Sequential(nn.Linear(1, 1, bias=False))(torch.ones(1, 1, requires_grad=True)).sum().backward()
    finally:
        for handle in handles:
            handle.remove()
    assert log == [
        "weight",
        ("pre", "Sequential"),
        ("pre", "Linear"),
        ("post", "Linear"),
        ("post", "Sequential"),
        ("backward", "Linear"),
        ("backward", "Sequential"),
    ]
    nn.Linear(1, 1)(torch.ones(1, 1))
    assert len(log) == 7
