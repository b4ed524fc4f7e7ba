"""A compiled function does what the function does, whatever is changed between its calls.

Every test runs a function and its compiled twin side by side, and changes the state of both in the same way. That a
call was replayed at all, where it can be, is counted.
"""

from __future__ import annotations

import itertools
import random as python_random
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flambeau as torch
from flambeau._replay.replay import Replay

nn, F = torch.nn, torch.nn.functional


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> list[Replay]:
    """The replays that ran, in order."""
    ran: list[Replay] = []
    run = Replay.run

    def counted(self: Replay, tensors: tuple) -> Any:
        result = run(self, tensors)
        ran.append(self)
        return result

    monkeypatch.setattr(Replay, "run", counted)
    return ran


def values(thing: Any) -> Any:
    """Tensors in a structure as NumPy arrays."""
    if isinstance(thing, torch.Tensor):
        return thing.detach().clone().numpy()
    if isinstance(thing, (list, tuple)):
        return [values(item) for item in thing]
    if isinstance(thing, dict):
        return {name: values(item) for name, item in thing.items()}
    return thing


def alike(a: Any, b: Any, atol: float = 1e-6) -> None:
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        largest = max(1.0, abs(a).max()) if a.size else 1.0
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=atol * float(largest))
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            alike(x, y, atol)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        alike(list(a.values()), list(b.values()), atol)
    else:
        assert a == b


class Twins:
    """Two copies of a function with its state, of which one is compiled."""

    def __init__(self, make: Callable[[], Any], **options: Any) -> None:
        """`make()` returns a function, or a function and its state."""
        made = [make(), make()]
        self.states = [m[1] if isinstance(m, tuple) else None for m in made]
        functions = [m[0] if isinstance(m, tuple) else m for m in made]
        self.plain, self.compiled = functions[0], torch.compile(functions[1], **options)

    def change(self, change: Callable[[Any], None]) -> None:
        for state in self.states:
            change(state)

    def call(self, *args: Any, times: int = 2, **kwargs: Any) -> Any:
        """Call both with arguments of their own; what the compiled one returned last."""
        for _ in range(times):
            expected = values(self.plain(*[copied(a) for a in args], **kwargs))
            result = self.compiled(*[copied(a) for a in args], **kwargs)
            alike(expected, values(result))
        return result


def copied(thing: Any) -> Any:
    return thing.detach().clone().requires_grad_(thing.requires_grad) if isinstance(thing, torch.Tensor) else thing


x = torch.linspace(-1, 1, 6).reshape(2, 3)


# ------------------------------------------------------------------------------------------------ Python's state

SCALE = 2.0
SHIFTS = [1.0, 2.0]
OPTIONS = {"power": 2, "flag": False}


def helper(t: Any, by: float = 3.0) -> Any:
    return t * by


def with_globals(t: Any) -> Any:
    t = helper(t) * SCALE
    for shift in SHIFTS:
        t = t + shift
    return t ** OPTIONS["power"] if not OPTIONS["flag"] else -t


@pytest.mark.parametrize(
    "change",
    [
        lambda g: g.setitem(globals(), "SCALE", 5.0),
        lambda g: g.setitem(globals(), "SCALE", 2),  # equal, and yet another number
        lambda g: g.setitem(globals(), "SHIFTS", [1.0, 2.0, 3.0]),
        lambda g: SHIFTS.append(0.5),
        lambda g: SHIFTS.__setitem__(0, -1.0),
        lambda g: SHIFTS.reverse(),
        lambda g: g.setitem(OPTIONS, "power", 3),
        lambda g: g.setitem(OPTIONS, "flag", True),
        lambda g: g.setitem(globals(), "helper", lambda t: t - 1),
        lambda g: g.setattr(helper, "__defaults__", (0.5,)),
        lambda g: g.setattr(helper, "__code__", (lambda t, by=1.0: t / 2).__code__),
    ],
)
def test_globals(change: Callable, replays: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "SHIFTS", [1.0, 2.0])
    compiled = torch.compile(with_globals)
    for _ in range(3):
        alike(values(with_globals(x)), values(compiled(x)))
    assert len(replays) == 2
    change(monkeypatch)
    for _ in range(3):
        alike(values(with_globals(x)), values(compiled(x)))
    assert len(replays) == 4  # the call after the change was watched, those after it replayed


def test_a_global_that_hides_a_builtin(monkeypatch: pytest.MonkeyPatch) -> None:
    def function(t: Any) -> Any:
        return t * len(SHIFTS)

    compiled = torch.compile(function)
    compiled(x), compiled(x)
    monkeypatch.setitem(globals(), "len", lambda _: 10)
    alike(values(compiled(x)), values(x * 10))


def test_closure_cells(replays: list) -> None:
    def make() -> Any:
        factor, tensors = 2.0, [torch.ones(3)]

        def change(to: float) -> None:
            nonlocal factor
            factor = to

        return lambda t: t * factor + tensors[0], types.SimpleNamespace(change=change, tensors=tensors)

    twins = Twins(make)
    twins.call(x)
    assert len(replays) == 1
    twins.change(lambda s: s.change(7.0))
    twins.call(x)
    twins.change(lambda s: s.tensors.__setitem__(0, torch.full((3,), 4.0)))
    twins.call(x)
    twins.change(lambda s: s.tensors[0].add_(1))  # the same tensor with other numbers needs no other replay
    before = len(replays)
    twins.call(x)
    assert len(replays) == before + 2


def test_a_library_function_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = torch.compile(lambda t: torch.relu(t))
    compiled(x), compiled(x)
    monkeypatch.setattr(torch, "relu", torch.neg)
    alike(values(compiled(x)), values(-x))


def test_a_method_of_tensors_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = torch.compile(lambda t: t.relu())
    compiled(x), compiled(x)
    monkeypatch.setattr(torch.Tensor, "relu", lambda self: self * SCALE)
    for _ in range(2):
        alike(values(compiled(x)), values(x * SCALE))
    monkeypatch.setitem(globals(), "SCALE", 9.0)
    alike(values(compiled(x)), values(x * 9))


def test_attributes_that_a_module_makes_up(monkeypatch: pytest.MonkeyPatch) -> None:
    made = types.ModuleType("made")
    made.numbers = [1.0]  # type: ignore[attr-defined]
    exec("def __getattr__(name): return numbers[0]", made.__dict__)
    monkeypatch.setitem(globals(), "made", made)
    compiled = torch.compile(lambda t: t * made.factor)
    for number in (1.0, 2.0, 2.0, 3.0):
        made.numbers[0] = number
        alike(values(compiled(x)), values(x * number))


def test_a_counter_is_counted() -> None:
    class Counter:
        n = 0

    def function(t: Any) -> Any:
        Counter.n += 1
        return t * Counter.n

    compiled = torch.compile(function)
    alike([values(compiled(x)) for _ in range(12)], [values(x * n) for n in range(1, 13)])


def test_a_counter_in_an_enclosing_function_or_a_dict(replays: list) -> None:
    def make() -> Any:
        n, counts = 0, {"n": 0}

        def in_a_variable(t: Any) -> Any:
            nonlocal n
            n += 1
            return t * n

        def in_a_dict(t: Any) -> Any:
            counts["n"] += 1
            return t * counts["n"]

        return in_a_variable, in_a_dict

    for function in make():
        compiled = torch.compile(function)
        alike([values(compiled(x)) for _ in range(12)], [values(x * n) for n in range(1, 13)])
    assert not replays


def with_keyword(t: Any, *, by: float = 2.0) -> Any:
    return t * by


def test_defaults_of_keywords() -> None:
    compiled = torch.compile(lambda t: with_keyword(t))
    for by in (2.0, 2.0, 3.0, 3.0):
        with_keyword.__kwdefaults__["by"] = by
        alike(values(compiled(x)), values(x * by))
    with_keyword.__kwdefaults__ = {"by": 5.0}
    alike(values(compiled(x)), values(x * 5))


def test_a_list_that_grows() -> None:
    seen: list[Any] = []

    def function(t: Any) -> Any:
        seen.append(t * 2)
        return t + len(seen)

    compiled = torch.compile(function)
    for n in range(1, 5):
        alike(values(compiled(x)), values(x + n))
    assert len(seen) == 4
    alike(values(seen[3]), values(x * 2))


def test_python_random_and_time_are_asked_every_time() -> None:
    python_random.seed(0)
    compiled = torch.compile(lambda t: t * python_random.random())
    assert len({compiled(x)[0, 0].item() for _ in range(6)}) == 6


def test_decisions_on_numbers() -> None:
    compiled = torch.compile(lambda t: t * 2 if t.sum() > 0 else t - 1)
    for t in (x + 1, x - 1, x + 1, x - 1):
        alike(values(compiled(t)), values(t * 2 if t.sum() > 0 else t - 1))


def test_numbers_that_are_read() -> None:
    weight = torch.ones(1)
    compiled = torch.compile(lambda t: t * weight.item())
    for factor in (1.0, 2.0, 3.0):
        weight.fill_(factor)
        alike(values(compiled(x)), values(x * factor))


def test_printing(capsys: pytest.CaptureFixture) -> None:
    def function(t: Any) -> Any:
        print("called")
        return t * 2

    compiled = torch.compile(function)
    for _ in range(3):
        compiled(x)
    assert capsys.readouterr().out == "called\n" * 3


def test_settings() -> None:
    twins = Twins(lambda: lambda t: torch.ones(2).sum() + t.double())
    twins.call(x)
    try:
        torch.set_default_dtype(torch.float64)
        assert Twins(lambda: lambda t: torch.ones(2)).call(x).dtype is torch.float64
        twins.call(x)
        compiled = torch.compile(lambda t: torch.ones(2) * 1)
        assert compiled(x).dtype is torch.float64
        torch.set_default_dtype(torch.float32)
        assert compiled(x).dtype is torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


# ------------------------------------------------------------------------------------------------ modules


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 2)
        self.layers = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(2, eps=0.1))
        self.scale, self.names = 1.5, ["relu"]
        self.register_buffer("offset", torch.zeros(2))

    def forward(self, t: Any) -> Any:
        t = self.first(t)
        t = t.relu() if self.names[0] == "relu" else t.tanh()
        return self.layers(self.second(t) * self.scale) + self.offset


def eval_net() -> Any:
    net = Net().eval()
    return net, net


def test_a_module_is_replayed(replays: list) -> None:
    with torch.no_grad():
        Twins(eval_net).call(x, times=4)
    assert len(replays) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda net: setattr(net, "scale", 3.0),
        lambda net: setattr(net, "scale", 1),
        lambda net: net.names.__setitem__(0, "tanh"),
        lambda net: net.train(),
        lambda net: net.layers[1].train(),
        lambda net: setattr(net.first, "weight", nn.Parameter(torch.ones(4, 3))),
        lambda net: setattr(net, "first", nn.Linear(3, 4, bias=False).requires_grad_(False).apply(constant)),
        lambda net: net.register_forward_hook(lambda module, args, out: out * 2),
        lambda net: net.first.register_forward_pre_hook(lambda module, args: (args[0] * 2,)),
        lambda net: setattr(net, "forward", lambda t: t * 0),
        lambda net: setattr(net.second, "forward", lambda t: t[:, :2]),
        lambda net: net.load_state_dict({k: v + 1 for k, v in net.state_dict().items()}),
        lambda net: setattr(net.first.weight, "data", torch.zeros(4, 3)),
        lambda net: net.offset.add_(1),
        lambda net: setattr(net, "offset", torch.full((2,), 5.0)),
        lambda net: net.layers.append(nn.Tanh()),
        lambda net: net.layers.__setitem__(0, nn.Sigmoid()),
        lambda net: net.layers._modules.move_to_end("0"),
        lambda net: net.requires_grad_(False),
        lambda net: net.double().float(),
        lambda net: setattr(net.layers[1], "eps", 0.5),
        lambda net: setattr(net.layers[1], "running_var", None) or setattr(net.layers[1], "running_mean", None),
    ],
)
def test_modules(change: Callable) -> None:
    if change.__code__.co_names[-1:] == ("move_to_end",):
        change = lambda net: net.layers._modules.update(  # noqa: E731
            {k: net.layers._modules.pop(k) for k in list(net.layers._modules)[::-1]}
        )
    with torch.no_grad():
        twins = Twins(eval_net)
        twins.call(x)
        twins.change(change)
        for seed in range(3):
            torch.manual_seed(seed)
            expected = values(twins.plain(x))
            torch.manual_seed(seed)
            alike(expected, values(twins.compiled(x)))
        alike(values(list(twins.states[0].buffers())), values(list(twins.states[1].buffers())))


def constant(module: Any) -> None:
    for parameter in module.parameters():
        nn.init.constant_(parameter, 0.25)


def test_a_class_gets_another_method(monkeypatch: pytest.MonkeyPatch, replays: list) -> None:
    with torch.no_grad():
        twins = Twins(eval_net)
        twins.call(x)
        monkeypatch.setattr(Net, "forward", lambda self, t: self.second(self.first(t)))
        twins.call(x)
        assert len(replays) == 2


def test_a_library_class_gets_another_method(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.no_grad():
        twins = Twins(eval_net)
        twins.call(x)
        monkeypatch.setattr(nn.Linear, "forward", lambda self, t: t.sum(1, keepdim=True) + self.bias)
        twins.call(x)


def test_hooks_for_all_modules() -> None:
    def make() -> Any:
        net = Net().eval()
        return lambda t: net(t)  # a compiled module is one more module to these hooks, as with PyTorch

    with torch.no_grad():
        twins = Twins(make)
        twins.call(x)
        handle = nn.modules.module.register_module_forward_hook(lambda module, args, out: out + 1)
        try:
            twins.call(x)
        finally:
            handle.remove()
        twins.call(x)


def test_batch_norm_counts_and_averages(replays: list) -> None:
    def make() -> Any:
        net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        net.load_state_dict({k: torch.full_like(v, 0.5) if v.dtype.is_floating_point else v
                             for k, v in net.state_dict().items()})  # fmt: skip
        return net, net

    twins = Twins(make)
    for step in range(4):
        twins.call(x + step, times=1)
    assert len(replays) == 3
    for a, b in zip(twins.states[0].buffers(), twins.states[1].buffers(), strict=True):
        alike(values(a), values(b))
    assert twins.states[1][1].num_batches_tracked.item() == 4


# ------------------------------------------------------------------------------------------------ tensors


def test_shapes_dtypes_and_strides(replays: list) -> None:
    twins = Twins(lambda: lambda t: (t * 2 + 1).sum(-1))
    inputs = [x, x.t(), x.double(), x[:, :2], x[None], torch.zeros(0, 3), x[1], torch.arange(4)]
    for t in inputs:
        twins.plain(t)
        for _ in range(2):
            alike(values(twins.plain(t)), values(twins.compiled(t)))
    assert len(replays) == len(inputs)


def test_batches_of_one_tensor_share_a_replay(replays: list) -> None:
    data = torch.arange(40.0).reshape(10, 4)
    function = lambda t: (t * 3).sum(0) + t[0, 1:].sum()  # noqa: E731
    compiled = torch.compile(function)
    for i in range(0, 10, 2):
        alike(values(function(data[i : i + 2])), values(compiled(data[i : i + 2])))
    assert len(replays) == 4


def test_inputs_written_in_place(replays: list) -> None:
    def function(t: Any, u: Any) -> Any:
        t.mul_(2).add_(u)
        u[0] = 7
        return t.sum()

    compiled = torch.compile(function)
    pairs = [(x.clone(), x[:1].clone()), (x.clone(), x[:1].clone())]
    for _ in range(4):
        alike(values(function(*pairs[0])), values(compiled(*pairs[1])))
        alike(values(pairs[0]), values(pairs[1]))
    assert len(replays) == 3 and pairs[1][0]._version == pairs[0][0]._version


def test_what_somebody_else_holds_is_not_written_over() -> None:
    def function(t: Any) -> Any:
        return t.add_(1)

    compiled, t, held = torch.compile(function), torch.zeros(1000), []
    for _ in range(4):
        held.append(t + 0)
        held.append(t.clone())
        compiled(t)
        held.append(t.numpy()[:1].copy())
    assert [h[0].item() for h in held] == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4]


def test_results_stay_what_they_are() -> None:
    compiled = torch.compile(lambda t: (t * 2, t + 1))
    results = [compiled(torch.full((500,), float(i))) for i in range(6)]
    assert [(a[3].item(), b[4].item()) for a, b in results] == [(2 * i, i + 1) for i in range(6)]


def test_aliasing_inputs(replays: list) -> None:
    def function(t: Any, u: Any) -> Any:
        t.add_(1)
        return t * u

    compiled = torch.compile(function)
    for alias in (False, True, False, True):
        pairs = []
        for _ in range(2):
            t = torch.arange(4.0)
            pairs.append((t, t if alias else t.clone()))
        alike(values(function(*pairs[0])), values(compiled(*pairs[1])))
        alike(values(pairs[0]), values(pairs[1]))
    for _ in range(2):
        t, u = torch.arange(4.0), torch.arange(4.0)
        alike(values(function(t, t[:])), values(compiled(u, u[:])))
        alike(values(function(t[1:], t[:3])), values(compiled(u[1:], u[:3])))
    assert len(replays) == 4


def test_a_global_tensor_is_given_as_an_argument() -> None:
    def make() -> Any:
        own = torch.arange(3.0)

        def function(t: Any) -> Any:
            own.add_(1)
            return t * own

        return function, own

    twins = Twins(make)
    twins.call(x)
    for state, function in zip(twins.states, (twins.plain, twins.compiled), strict=True):
        state.fill_(2)
        alike(values(function(state)), values(torch.full((3,), 9.0)))
    alike(values(twins.states[0]), values(twins.states[1]))


def test_memory_shared_with_numpy() -> None:
    array = np.ones(4, np.float32)
    t = torch.from_numpy(array)
    compiled = torch.compile(lambda t: (t * 2, t.clone()))
    for i in range(4):
        array[:] = i
        doubled, clone = compiled(t)
        array[:] = 100
        assert doubled.tolist() == [2.0 * i] * 4 and clone.tolist() == [i] * 4

    def add(t: Any) -> Any:
        return t.add_(1)

    written = torch.compile(add)
    array[:] = 0
    for i in range(3):
        written(t)
        assert array.tolist() == [i + 1] * 4


def test_views_and_inputs_as_results() -> None:
    compiled = torch.compile(lambda t: (t, t.view(-1), t[0], t.t(), [t * 1, {"a": t, "n": 3, "s": None}]))
    for _ in range(3):
        t = x.clone()
        same, flat, row, turned, (fresh, named) = compiled(t)
        assert same is t and named["a"] is t and named["n"] == 3 and named["s"] is None
        flat[0] = 50
        assert t[0, 0].item() == row[0].item() == turned[0, 0].item() == 50 and fresh[0, 0].item() == -1


def test_views_of_a_view_as_results(replays: list) -> None:
    base = torch.zeros(6)
    compiled = torch.compile(lambda t: (t[1:], t.reshape(-1)))
    for i in range(3):
        part, flat = compiled(base.view(2, 3))
        part.add_(1)
        flat[0] = i
        assert base.tolist() == [i, 0, 0, i + 1, i + 1, i + 1] and part._base is base
    assert len(replays) == 2


def test_what_is_written_and_then_saved(replays: list) -> None:
    for make in (lambda: torch.arange(6.0), lambda: torch.arange(8.0)[1:7]):
        found = []
        for compile in (lambda f: f, torch.compile):
            weight = torch.ones(6, requires_grad=True)
            function = compile(lambda t, w: (t.add_(1)[2:], (t * w).sum()))
            for _ in range(3):
                _, loss = function(make(), weight)
                loss.backward()
            found.append(values(weight.grad))
        alike(*found)
    assert len(replays) == 4


def test_views_of_what_has_gradients_are_not_replayed(replays: list) -> None:
    base = torch.arange(6.0, requires_grad=True) * 1
    compiled = torch.compile(lambda t: t.mul_(2)[1:])
    for i in range(3):
        part = compiled(base.view(2, 3))
        assert part.tolist() == [[3 * 2.0 ** (i + 1), 4 * 2.0 ** (i + 1), 5 * 2.0 ** (i + 1)]]
    assert part.requires_grad and not replays


@pytest.mark.parametrize("packing", ["hooks", "checkpoint"])
def test_hooks_on_saved_tensors(packing: str, replays: list) -> None:
    weight = torch.ones(3, requires_grad=True)

    def function(t: Any) -> Any:
        if packing == "checkpoint":
            return torch.utils.checkpoint.checkpoint(lambda u: (u * weight).tanh(), t, use_reentrant=False).sum()
        with torch.autograd.graph.saved_tensors_hooks(lambda u: u.clone(), lambda u: u):
            return (t * weight).sum()

    compiled = torch.compile(function)
    for i in range(3):
        found = []
        for run in (function, compiled):
            weight.grad = None
            run(torch.full((3,), float(i))).backward()
            found.append(values(weight.grad))
        alike(*found)
    assert not replays


def test_structures_as_arguments(replays: list) -> None:
    def function(pair: Any, named: Any, *rest: Any, factor: float = 1.0) -> Any:
        return pair[0] * named["a"] + sum(rest) * factor

    compiled = torch.compile(function)
    for arguments, options in [
        (([x, 1], {"a": x}), {}), (([x, 2], {"a": x}), {}), (([x], {"a": 3}), {}), (([x], {"a": x, "b": 2}, x, x), {}),
        (((x,), {"a": x}, 1.0), {"factor": 2.0}), (((x,), {"a": x}, 1.0), {"factor": 3.0}),
    ]:  # fmt: skip
        for _ in range(2):
            alike(values(function(*arguments, **options)), values(compiled(*arguments, **options)))
    assert len(replays) == 6


def test_index_out_of_range_names_the_line() -> None:
    table = torch.arange(4.0)
    compiled = torch.compile(lambda i: table[i] * 2)
    for _ in range(2):
        assert compiled(torch.tensor([1, 3])).tolist() == [2.0, 6.0]
        with pytest.raises(IndexError, match="test_never_stale"):
            compiled(torch.tensor([1, 4])).tolist()


# ------------------------------------------------------------------------------------------------ random numbers


def test_the_same_stream_of_random_numbers(replays: list) -> None:
    def function(t: Any) -> Any:
        return F.dropout(t, 0.4) + torch.randn(3) * torch.rand(2, 1), torch.rand(2)

    compiled = torch.compile(function)
    drawn = []
    for f in (function, compiled):
        torch.manual_seed(5)
        rounds = [(values(f(x)), torch.rand(3).tolist(), values(f(x + 1))) for _ in range(3)]
        drawn.append((rounds, torch.get_rng_state().tolist()))
    alike(drawn[0][0], drawn[1][0])
    assert drawn[0][1] == drawn[1][1]
    assert len(replays) == 5


def test_a_failing_replay_gives_random_numbers_back() -> None:
    table = torch.arange(4.0)

    def function(i: Any) -> Any:
        return table[i] * torch.rand(2)

    compiled, states = torch.compile(function), []
    for f in (function, compiled):
        torch.manual_seed(5)
        for index in ([1, 2], [0, 1], [0, 9]):
            try:
                f(torch.tensor(index)).tolist()
            except IndexError:
                pass
        states.append(torch.rand(1).item())
    assert states[0] == states[1]


# ------------------------------------------------------------------------------------------------ gradients


def test_grad_mode_and_requires_grad(replays: list) -> None:
    w = torch.ones(3, requires_grad=True)
    compiled = torch.compile(lambda t: (t * w).sum())
    for _ in range(2):
        assert compiled(x).requires_grad
        with torch.no_grad():
            assert not compiled(x).requires_grad
        with torch.inference_mode():
            assert not compiled(x).requires_grad
        w.requires_grad_(False)
        assert not compiled(x).requires_grad
        assert compiled(x.clone().requires_grad_()).requires_grad
        w.requires_grad_(True)
    assert len(replays) >= 4


def test_gradients(replays: list) -> None:
    def make() -> Any:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
        return (lambda t: (net(t), (t * 2).sum())), net

    twins = Twins(make)
    for step in range(4):
        gradients = []
        for net, function in zip(twins.states, (twins.plain, twins.compiled), strict=True):
            t = (x + step).requires_grad_()
            out, other = function(t)
            loss = out.square().sum() if step % 2 else out.sum() + other
            loss.backward()
            gradients.append(values([t.grad, *[p.grad for p in net.parameters()]]))
        alike(*gradients)
    assert len(replays) == 3


def test_a_leaf_that_one_result_does_not_need_gets_no_gradient() -> None:
    a, b = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    compiled = torch.compile(lambda t: ((t * a).sum(), (t * b).sum()))
    for _ in range(3):
        a.grad = b.grad = None
        compiled(x)[0].backward()
        assert a.grad is not None and b.grad is None


def test_gradients_of_gradients(replays: list) -> None:
    function = lambda t: (t**3).sum() + (t.exp() * t).sum()  # noqa: E731
    compiled = torch.compile(function)
    for step in range(3):
        found = []
        for f in (function, compiled):
            t = (x + step).requires_grad_()
            (first,) = torch.autograd.grad(f(t), t, create_graph=True)
            (second,) = torch.autograd.grad(first.square().sum(), t)
            found.append(values([first, second]))
        alike(*found)
    assert len(replays) == 2


def test_a_second_pass_and_a_changed_tensor() -> None:
    w = torch.ones(3, requires_grad=True)
    compiled = torch.compile(lambda t: (t * w * w).exp().sum())
    for _ in range(3):
        t = x.clone()
        out = compiled(t)
        out.backward(retain_graph=True)
        out.backward()
        with pytest.raises(RuntimeError, match="second time"):
            out.backward()
        out = compiled(t)
        t.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            out.backward()
        out = compiled(t)
        with torch.no_grad():
            w.mul_(1.0)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            out.backward()


def test_hooks_of_leaves_run() -> None:
    w, seen = torch.ones(3, requires_grad=True), []
    compiled = torch.compile(lambda t: (t * w).sum())
    compiled(x), compiled(x)
    handle = w.register_hook(lambda g: seen.append(1))
    compiled(x).backward()
    handle.remove()
    assert seen == [1]

    def backward(t: Any) -> None:
        (t * w).sum().backward()

    inside = torch.compile(backward)
    for _ in range(2):
        w.grad = None
        inside(x)
    w.register_hook(lambda g: g * 10)
    w.grad = None
    inside(x)
    alike(values(w.grad), values(x.sum(0) * 10))


def test_gradients_accumulate(replays: list) -> None:
    w = torch.ones(3, requires_grad=True)

    def backward(t: Any) -> None:
        (t * w).sum().backward()

    compiled = torch.compile(backward)
    for n in range(1, 6):
        compiled(x + 1)
        alike(values(w.grad), values((x + 1).sum(0) * n))
    assert len(replays) == 3  # the first call made the gradient, the second one added to it
    w.grad = None
    compiled(x)
    held = w.grad
    alike(values(held), values(x.sum(0)))


# ------------------------------------------------------------------------------------------------ training


def trainer(make_optimizer: Callable, zero_last: bool = False) -> Callable:
    def make() -> Any:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 1))
        optimizer = make_optimizer(net.parameters())

        def step(t: Any, target: Any) -> Any:
            if not zero_last:
                optimizer.zero_grad()
            loss = F.mse_loss(net(t), target)
            loss.backward()
            optimizer.step()
            if zero_last:
                optimizer.zero_grad()
            return loss

        return step, (net, optimizer)

    return make


def same_training(twins: Twins, steps: int, change: Callable | None = None) -> None:
    for step in range(steps):
        losses = []
        for function in (twins.plain, twins.compiled):
            torch.manual_seed(step)
            losses.append(values(function(x + step / 10, x[:, :1] * step)))
        alike(*losses)
        alike(*[values([p for p in net.parameters()]) for net, _ in twins.states])
        alike(*[values([p.grad for p in net.parameters()]) for net, _ in twins.states])
        if change is not None and step == steps // 2:
            twins.change(change)
    alike(*[values([dict(state) for state in optimizer.state.values()]) for _, optimizer in twins.states])


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, 0.1),
    "momentum": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": lambda p: torch.optim.Adam(p, 0.01),
    "amsgrad": lambda p: torch.optim.Adam(p, 0.01, amsgrad=True),
    "AdamW": lambda p: torch.optim.AdamW(p, 0.01),
    "NAdam": lambda p: torch.optim.NAdam(p, 0.01),
    "RAdam": lambda p: torch.optim.RAdam(p, 0.01),
    "RMSprop": lambda p: torch.optim.RMSprop(p, 0.01),
    "Adagrad": lambda p: torch.optim.Adagrad(p, 0.01),
    "Adamax": lambda p: torch.optim.Adamax(p, 0.01),
    "Adadelta": lambda p: torch.optim.Adadelta(p),
    "Rprop": lambda p: torch.optim.Rprop(p),
    "ASGD": lambda p: torch.optim.ASGD(p),
    "Adafactor": lambda p: torch.optim.Adafactor(p),
    "LBFGS-like closure": lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.1, maximize=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_steps(name: str, replays: list) -> None:
    same_training(Twins(trainer(OPTIMIZERS[name])), 8)
    assert len(replays) >= 3 or name == "Adafactor"


def test_gradients_forgotten_last(replays: list) -> None:
    same_training(Twins(trainer(OPTIMIZERS["Adam"], zero_last=True)), 6)
    assert len(replays) == 4


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s[1].param_groups[0].update(lr=0.5),
        lambda s: s[1].param_groups[0].update(lr=1),
        lambda s: s[1].param_groups[0].update(weight_decay=0.1),
        lambda s: s[1].param_groups[0].update(betas=(0.5, 0.6)),
        lambda s: s[1].param_groups[0].update(maximize=True),
        lambda s: s[1].load_state_dict(s[1].state_dict()),
        lambda s: s[1].state[s[0][0].weight]["step"].add_(5),
        lambda s: s[1].state[s[0][0].weight]["exp_avg"].zero_(),
        lambda s: s[1].state[s[0][0].weight].update(exp_avg=torch.ones(8, 3)),
        lambda s: s[1].state.clear(),
        lambda s: s[1].register_step_post_hook(lambda o, a, k: s[0][0].bias.data.zero_()),
        lambda s: s[0][0].weight.requires_grad_(False),
        lambda s: s[0][0].weight.data.mul_(2),
        lambda s: s[0][0].bias.register_hook(lambda g: g * 3),
        lambda s: s[1].add_param_group({"params": [torch.ones(1, requires_grad=True)]}),
        lambda s: s[1].param_groups[0]["params"].pop(),
        lambda s: s[0].eval(),
        lambda s: setattr(s[1], "step", lambda: None),
        lambda s: [setattr(p, "grad", None) for p in s[0].parameters()],
    ],
)
def test_training_while_the_optimizer_is_changed(change: Callable, replays: list) -> None:
    same_training(Twins(trainer(OPTIMIZERS["Adam"])), 9, change)
    assert len(replays) >= 2


def test_a_scheduler_beside_a_compiled_step(replays: list) -> None:
    twins = Twins(trainer(OPTIMIZERS["Adam"]))
    schedulers = [torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5) for _, optimizer in twins.states]
    for step in range(8):
        losses = []
        for function, scheduler in zip((twins.plain, twins.compiled), schedulers, strict=True):
            torch.manual_seed(step)
            losses.append(values(function(x, x[:, :1])))
            scheduler.step()
        alike(*losses)
    assert len(replays) >= 5


def test_the_usual_loop_around_a_compiled_model(replays: list) -> None:
    def make() -> Any:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 1))
        return net, (net, torch.optim.Adam(net.parameters(), 0.01))

    twins = Twins(make)
    for step in range(5):
        for (_, optimizer), function in zip(twins.states, (twins.plain, twins.compiled), strict=True):
            optimizer.zero_grad()
            F.mse_loss(function(x + step), x[:, :1]).backward()
            optimizer.step()
        alike(*[values(list(net.parameters())) for net, _ in twins.states])
    assert len(replays) == 4


# ------------------------------------------------------------------------------------------------ anything at all

CHANGES: dict[str, Callable[[Any], None]] = {
    "scale": lambda s: setattr(s.net, "scale", s.net.scale + 0.5),
    "whole scale": lambda s: setattr(s.net, "scale", int(s.net.scale) + 1),
    "train": lambda s: s.net.train(not s.net.training),
    "weights in place": lambda s: s.net.first.weight.data.mul_(1.1),
    "another parameter": lambda s: setattr(s.net.first, "bias", nn.Parameter(torch.full((4,), float(len(s.extra))))),
    "longer list": lambda s: s.extra.append(0.25),
    "another item": lambda s: s.extra.__setitem__(0, s.extra[0] + 1),
    "names": lambda s: s.net.names.__setitem__(0, "tanh" if s.net.names[0] == "relu" else "relu"),
    "options": lambda s: s.options.update(deep=not s.options["deep"]),
    "hook": lambda s: s.toggle_hook(),
    "frozen": lambda s: s.net.second.weight.requires_grad_(not s.net.second.weight.requires_grad),
    "buffer": lambda s: s.net.offset.add_(1),
}
INPUTS = {
    "x": lambda: x, "wider": lambda: torch.cat([x, x]), "turned": lambda: x.t().contiguous().t(),
    "needs gradient": lambda: x.clone().requires_grad_(),
}  # fmt: skip


class State:
    def __init__(self) -> None:
        self.net, self.extra, self.options, self._handle = Net(), [1.0], {"deep": True}, None

    def toggle_hook(self) -> None:
        if self._handle is None:
            self._handle = self.net.register_forward_hook(lambda module, args, out: out * 2)
        else:
            self._handle.remove()
            self._handle = None


def anything() -> Any:
    state = State()
    net, extra, options = state.net, state.extra, state.options

    def function(t: Any, factor: Any) -> Any:
        t = net(t) * factor
        for number in extra:
            t = t + number * torch.rand(2)
        return (t.tanh() if options["deep"] else t).sum(0)

    return function, state


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([None, *CHANGES]), st.sampled_from(list(INPUTS)), st.booleans(),
                  st.sampled_from([1.0, 2, True])),
        min_size=3, max_size=10,
    )
)  # fmt: skip
def test_any_changes(course: list) -> None:
    twins = Twins(anything)
    for number, (change, name, grad, factor) in enumerate(course):
        if change is not None:
            twins.change(CHANGES[change])
        found = []
        for function, state in zip((twins.plain, twins.compiled), twins.states, strict=True):
            torch.manual_seed(number)
            with torch.set_grad_enabled(grad):
                t = INPUTS[name]()
                out = function(t, factor)
                if out.requires_grad:
                    out.sum().backward()
            found.append(values([out, list(state.net.buffers()), [p.grad for p in state.net.parameters()], t.grad,
                                 torch.rand(1)]))  # fmt: skip
        alike(*found, atol=1e-4)  # sums in another order


def test_who_looked_at_memory_and_does_no_more_does_not_keep_it_from_being_replayed(replays: list) -> None:
    def half(t: Any) -> Any:
        t.mul_(0.5)

    compiled, t = torch.compile(half), torch.full((4,), 32.0)
    compiled(t)
    for count in range(1, 4):
        t.numpy()
        compiled(t)
        assert len(replays) == count and len({*replays}) == 1
    held = t.numpy()
    compiled(t)
    assert len(replays) == 3 and held.tolist() == t.tolist() == [1] * 4


FILES = ("replay.py", "recording.py", "outcome.py", "steps.py", "plans.py", "plan.py")


class Training:
    """A compiled step that writes to tensors in place, to gradients, and to the state of an optimizer."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.turns = turns = torch.zeros(1)
        self.params = params = [nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(5, 4))]
        optimizer = torch.optim.Adam(params, lr=0.1)
        x = torch.randn(3, 2)

        @torch.compile
        def step() -> Any:
            turns.add_(1)
            optimizer.zero_grad()
            loss = F.mse_loss(params[1] @ (params[0] @ x), torch.ones(5, 2))
            loss.backward()
            optimizer.step()
            return loss

        self.step = step
        for _ in range(4):
            step()

    def state(self) -> list[Any]:
        return values([self.turns, *self.params, *[p.grad for p in self.params]])


def test_an_interrupt_at_any_line_leaves_no_step_half_done(replays: list, interrupt: Any) -> None:
    one, whole = Training(), Training()
    for number in itertools.count():
        turns, served = one.turns.item(), len(replays)
        interrupted = interrupt(number, FILES).during(one.step)
        if one.turns.item() == turns:
            one.step()
        whole.step()
        assert len(replays) >= served + 2 - interrupted
        for found, wanted in zip(one.state(), whole.state(), strict=True):
            np.testing.assert_array_equal(found, wanted)
        if not interrupted:
            break
    assert number > 100
