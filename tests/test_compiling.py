"""`torch.compile`: the forms it is written in, and what it says when it cannot replay."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau._replay.replay import Replay

nn = torch.nn
x = torch.linspace(-1, 1, 6).reshape(2, 3)


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> list[Replay]:
    """The replays that ran, in order."""
    ran: list[Replay] = []
    run = Replay.run
    monkeypatch.setattr(Replay, "run", lambda self, tensors: ran.append(self) or run(self, tensors))
    return ran


class Times(nn.Module):
    def forward(self, t: Any, n: float) -> Any:
        return t * n


def test_forms(replays: list) -> None:
    @torch.compile
    def bare(t: Any) -> Any:
        """Documentation."""
        return t * 2

    @torch.compile(fullgraph=True, dynamic=True, mode="reduce-overhead", backend="inductor", name="with arguments")
    def with_arguments(t: Any) -> Any:
        return bare(t) + 1

    class Scaled:
        by = 3.0

        @torch.compile
        def method(self, t: Any) -> Any:
            return t * self.by

    scaled = Scaled()
    for _ in range(2):
        assert bare(x).tolist() == (x * 2).tolist()
        assert with_arguments(x).tolist() == (x * 2 + 1).tolist()
        assert scaled.method(x).tolist() == (x * 3).tolist()
        assert torch.compile(torch.relu)(x).tolist() == torch.relu(x).tolist()
    assert bare.__name__ == "bare" and bare.__doc__ == "Documentation."
    assert len(replays) == 3
    scaled.by = 4.0
    assert scaled.method(x).tolist() == (x * 4).tolist()
    function = lambda t: t  # noqa: E731
    assert torch.compile(function, disable=True) is function


def test_wrong_arguments() -> None:
    with pytest.raises(RuntimeError, match="Unrecognized mode=fast"):
        torch.compile(lambda t: t, mode="fast")
    with pytest.raises(RuntimeError, match="Either mode or options can be specified"):
        torch.compile(lambda t: t, mode="default", options={"max_autotune": True})
    with pytest.raises(ValueError, match="recompile_limit must be at least 1, got 0"):
        torch.compile(lambda t: t, recompile_limit=0)
    with pytest.raises(TypeError, match="expects a function or a module, got Tensor"):
        torch.compile(x)


def test_a_module_stays_a_module(replays: list) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    compiled = torch.compile(net)
    assert isinstance(compiled, nn.Module) and compiled._orig_mod is net and compiled.forward is not None
    assert list(compiled.state_dict()) == ["_orig_mod.0.weight", "_orig_mod.0.bias"]
    assert len(list(compiled.parameters())) == 2 and not compiled.eval().training and not net.training
    with torch.no_grad():
        for _ in range(2):
            np.testing.assert_allclose(compiled(x), net(x), rtol=1e-6)
        for again in (copy.deepcopy(compiled), pickle.loads(pickle.dumps(compiled))):
            first, second = again(x).detach(), again(x).detach()
            np.testing.assert_allclose(first, net(x).detach(), rtol=1e-6)
            assert first.tolist() == second.tolist()
    assert len(replays) == 3
    handle = compiled.register_forward_hook(lambda module, args, out: out + 1)
    np.testing.assert_allclose(compiled(x).detach(), (net(x) + 1).detach(), rtol=1e-6)
    handle.remove()


def test_compiled_functions_call_each_other() -> None:
    factor = [2.0]
    inner = torch.compile(lambda t: t * factor[0])
    outer = torch.compile(lambda t: inner(t) + 1)
    for number in (2.0, 2.0, 3.0, 3.0):
        factor[0] = number
        assert outer(x).tolist() == (x * number + 1).tolist()


def setting_a_global(t: Any) -> Any:
    global LAST
    LAST = t
    return t * 2


class Kept:
    tensor: Any = None


REFUSED = {
    "a tensor's numbers are read": lambda t: t * t.sum().item(),
    r"print\(\) is called": lambda t: print(end="") or t,
    r"_?warnings.warn\(\) is called": lambda t: warnings.warn("note", stacklevel=1) or t * 2,
    "'.data_ptr' is used": lambda t: t * (t.data_ptr() > 0),
    "a global variable is set": setting_a_global,
    r"setattr\(\) is called": lambda t: setattr(Kept, "tensor", t * 2) or t,
    r"'.__dict__' is used": lambda t: t * len(Kept.__dict__),
    r"manual_seed\(\) is called|'.manual_seed' is used": lambda t: torch.manual_seed(0) and t * 2,
}


@pytest.mark.parametrize("reason", REFUSED)
def test_fullgraph_names_line_and_reason(reason: str) -> None:
    function = REFUSED[reason]
    with pytest.raises(RuntimeError, match=rf"cannot be replayed: .*test_compiling\.py:\d+: .*({reason})"):
        torch.compile(function, fullgraph=True)(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.compile(function)(x)


def test_exceptions_pass_through() -> None:
    def function(t: Any) -> Any:
        y = t * 2
        if t.shape[0] == 2:
            raise ValueError("two rows")
        return y

    compiled = torch.compile(function)
    for _ in range(3):
        with pytest.raises(ValueError, match="two rows"):
            compiled(x)
        assert compiled(x[:1]).tolist() == (x[:1] * 2).tolist()
    assert (x * 2)[0, 0].item() == -2  # the window goes on


def test_a_warning_when_there_are_too_many_situations(replays: list) -> None:
    compiled = torch.compile(lambda t, n: t * n)
    with pytest.warns(UserWarning, match="more than 8 different ways") as caught:
        for n in range(20):
            assert compiled(x, float(n) + 0.25).tolist() == (x * (n + 0.25)).tolist()
    assert len(caught) == 1 and not replays
    compiled(x, 1.25)
    assert len(replays) == 1


@pytest.mark.parametrize("of", [lambda f: torch.compile(f, recompile_limit=2), torch.compile(recompile_limit=2)])
def test_the_number_of_situations_may_be_said(of: Any, replays: list) -> None:
    for compiled in (of(lambda t, n: t * n), of(Times())):
        with pytest.warns(UserWarning, match="more than 2 different ways"):
            for n in range(4):
                compiled(x, n + 0.25)
        for n in range(4):
            compiled(x, n + 0.25)
    assert len(replays) == 4


def test_nothing_is_replayed_where_nothing_is_compiled(replays: list, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = torch.compile(lambda t: t * 2)
    compiled(x), compiled(x)
    assert len(replays) == 1
    monkeypatch.setattr(torch._core.config.config, "compile", "never")
    assert compiled(x).tolist() == (x * 2).tolist()
    assert len(replays) == 1


def test_a_module_compiled_in_place(replays: list) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    expected = net(x).detach()
    net.compile(mode="default")
    assert list(net.state_dict()) == ["0.weight", "0.bias"] and type(net) is nn.Sequential
    for _ in range(3):
        np.testing.assert_allclose(net(x).detach(), expected, rtol=1e-6)
    assert len(replays) == 2
    seen = []
    handle = net.register_forward_hook(lambda module, args, result: seen.append(result))
    net(x).sum().backward()
    assert len(seen) == 1
    handle.remove()
    assert net[0].weight.grad is not None
    del replays[:]
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(nn.Sequential(net[0], net[1])))):
        with torch.no_grad():
            again[0].weight.zero_()
        np.testing.assert_allclose(again(x).detach(), again[0].bias.relu().expand(2, 2).detach(), rtol=1e-6)
    assert not replays
    outer = torch.compile(nn.Sequential(net))
    for _ in range(3):
        np.testing.assert_allclose(outer(x).detach(), expected, rtol=1e-6)
    with pytest.raises(RuntimeError, match="Unrecognized mode=fast"):
        net.compile(mode="fast")
