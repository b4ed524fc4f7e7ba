"""Programs written for TorchScript run as Python."""

from __future__ import annotations

import pytest

import flambeau as torch


def test_decorated_code_runs():
    @torch.jit.script
    def positive(x, y: int):
        if bool(x.sum() > y):
            return x * 2
        return -x

    @torch.jit.ignore
    def ignored(x):
        return x

    class Net(torch.nn.Module):
        @torch.jit.export
        def forward(self, x):
            return ignored(x) + torch.jit.annotate(int, 1)

    assert positive(torch.ones(2), 1).tolist() == [2.0, 2.0]
    net = torch.jit.freeze(torch.jit.script(Net()).eval())
    traced = torch.jit.trace(net, torch.zeros(2))
    assert traced(torch.ones(2)).tolist() == [2.0, 2.0]
    assert torch.jit.wait(torch.jit.fork(positive, torch.ones(1), 5)).tolist() == [-1.0]
    assert not torch.jit.is_scripting() and torch.jit.isinstance([1], list[int])


def test_what_needs_a_second_representation_is_refused():
    with pytest.raises(NotImplementedError, match="there is no TorchScript"):
        torch.jit.save  # noqa: B018
    with pytest.raises(TypeError, match="expects a function"):
        torch.jit.script(3)


def test_marks_are_where_pytorch_keeps_them():
    def f(x):
        return x + 1

    assert torch.jit.export(f) is f and f._torchscript_modifier.startswith("export")
    assert torch.jit.ignore(f) is f and f._torchscript_modifier.startswith("ignore")
    assert torch.jit.ignore()(f) is f and torch.jit.ignore(drop=False)(f) is f
    assert torch.jit.ignore(drop=True)(f) is f and f._torchscript_modifier.startswith("unused")
    getter = property(lambda self: 1)
    assert torch.jit.unused(getter) is getter and getter.fget._torchscript_modifier.startswith("unused")
    assert torch.jit.script_if_tracing(f)(1) == 2
    assert torch.jit.Final[int] and torch.jit.Attribute(3, int).value == 3
    for mark in (torch.jit.export, torch.jit.unused, torch.jit.script_if_tracing):
        with pytest.raises(TypeError, match="expects a function, got int"):
            mark(3)
    with pytest.raises(RuntimeError, match="must be a bool or a function"):
        torch.jit.ignore("x")
    with pytest.raises(RuntimeError, match="interface must be applied to a class"):
        torch.jit.interface(f)
