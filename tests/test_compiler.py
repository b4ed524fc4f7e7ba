"""`torch.compiler`: what it changes about calls of compiled functions."""

from __future__ import annotations

import gc
import operator
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau._replay.replay import Replay
from flambeau._replay.steering import substitutes, trusted

C = torch.compiler
x = torch.ones(2)


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> list[Replay]:
    """The replays that ran, in order."""
    ran: list[Replay] = []
    run = Replay.run
    monkeypatch.setattr(Replay, "run", lambda self, tensors: ran.append(self) or run(self, tensors))
    return ran


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    C.set_stance("default")
    substitutes.clear()


# ---------------------------------------------------------------------------------------------- disable


def test_disabled_functions_run_at_every_call(replays: list) -> None:
    asked = []

    @C.disable
    def counted(x: Any) -> Any:
        asked.append(C.is_compiling())
        return x + len(asked)

    compiled = torch.compile(lambda x: counted(x) * 2)
    assert [compiled(x)[0].item() for _ in range(3)] == [4.0, 6.0, 8.0]
    assert asked == [False] * 3 and not replays and counted.__name__ == "counted"


def test_a_disabled_function_that_is_not_called_does_not_matter(replays: list) -> None:
    logged = C.disable(print)
    compiled = torch.compile(lambda x, log: logged(x) if log else x * 2)
    compiled(x, False)
    compiled(x, False)
    assert len(replays) == 1


def test_forms_of_disable() -> None:
    def function(x: Any) -> Any:
        return C.is_compiling()

    forms = [C.disable(function), C.disable()(function), C.disable(recursive=False, reason="so")(function)]
    assert [torch.compile(f)(x) for f in forms] == [False] * 3
    assert torch.compile(function)(x) is True and C.disable(torch.compile(function))(x) is False
    with pytest.raises(RuntimeError, match=r"function is called, which torch.compiler.disable leaves to Python \(so\)"):
        torch.compile(lambda x: forms[2](x), fullgraph=True)(x)
    with pytest.raises(AssertionError, match="fn must be callable"):
        C.disable(3)


def test_disabled_modules_and_methods() -> None:
    class Asking(torch.nn.Linear):
        def forward(self, input: Any) -> Any:
            return C.is_compiling()

    class Left(Asking):
        forward = C.disable(Asking.forward)

    whole = C.disable(Asking(1, 1))
    assert list(whole.state_dict()) == ["_orig_mod.weight", "_orig_mod.bias"] and whole.in_features == 1
    assert [torch.compile(m)(x) for m in (Asking(1, 1), Left(1, 1))] == [True, False]
    assert torch.compile(lambda x: whole(x))(x) is False
    assert C.disable(torch.compile(Asking(1, 1)))(x) is False
    assert C.disable(Asking) is Asking and torch.compile(Asking(1, 1))(x) is False

    class Callable:
        def __call__(self, x: Any) -> Any:
            return C.is_compiling()

    assert C.disable(Callable) is Callable and torch.compile(lambda x: Callable()(x))(x) is False


def test_disabled_functions_are_not_kept() -> None:
    C.disable(lambda x: x)
    gc.collect()
    before = len(trusted)
    held = C.disable(lambda x: x)
    assert len(trusted) == before + 1
    del held
    gc.collect()
    assert len(trusted) == before


# ---------------------------------------------------------------------------------------------- asking


def test_is_compiling(replays: list) -> None:
    def asked(x: Any) -> Any:
        return x * 2 if C.is_compiling() else x

    compiled = torch.compile(asked)
    assert [compiled(x).tolist() for _ in range(2)] == [[2.0, 2.0]] * 2 and len(replays) == 1
    looks = torch.compile(lambda x: (x.sum().item(), C.is_compiling()))
    assert [looks(x)[1] for _ in range(12)] == [True] * 12
    assert (C.is_compiling(), C.is_dynamo_compiling(), C.is_exporting()) == (False, False, False)
    with pytest.raises(ZeroDivisionError):
        torch.compile(lambda x: 1 / 0)(x)
    assert not C.is_compiling()
    seen: list[bool] = []

    def elsewhere(x: Any) -> Any:
        thread = threading.Thread(target=lambda: seen.append(C.is_compiling()))
        thread.start()
        thread.join()
        return x

    torch.compile(elsewhere)(x)
    assert seen == [False]


def test_backends() -> None:
    assert C.list_backends() == [C.get_default_backend()] == ["inductor"]
    with pytest.raises(NotImplementedError, match="guards are never left out"):
        C.skip_all_guards_unsafe  # noqa: B018


# ---------------------------------------------------------------------------------------------- trust


def test_allowed_functions_are_not_looked_into(replays: list) -> None:
    table = {(1, 2): 3.0}

    def scaled(x: Any) -> Any:
        return x * table[1, 2]

    refused = torch.compile(lambda x: scaled(x), fullgraph=True)
    with pytest.raises(RuntimeError, match="a dict is used"):
        refused(x)
    assert C.allow_in_graph(scaled) is scaled
    compiled = torch.compile(lambda x: scaled(x), fullgraph=True)
    assert [compiled(x).tolist() for _ in range(2)] == [[3.0, 3.0]] * 2 and len(replays) == 1
    assert C.allow_in_graph([scaled, (scaled,)]) == [scaled, [scaled]]
    with pytest.raises(AssertionError, match="allow_in_graph expects a callable"):
        C.allow_in_graph(3)


def test_constant_results(replays: list) -> None:
    asked = []

    @C.assume_constant_result
    def factor() -> int:
        asked.append(1)
        return len(asked)

    compiled = torch.compile(lambda x: x * factor())
    assert [compiled(x)[0].item() for _ in range(3)] == [1.0] * 3 and len(replays) == 2


def test_substitutes(replays: list) -> None:
    def function(x: Any) -> Any:
        return x + len(format(3))

    refused = torch.compile(function, fullgraph=True)
    with pytest.raises(RuntimeError, match=r"format\(\) is called"):
        refused(x)

    @C.substitute_in_graph(format)
    def in_python(value: Any, format_spec: str = "", /) -> str:
        return "3"

    compiled = torch.compile(function, fullgraph=True)
    assert [compiled(x)[0].item() for _ in range(2)] == [2.0] * 2 and len(replays) == 1
    assert in_python(12) == "12"

    @C.substitute_in_graph(repr)
    def recursive(obj: Any, /) -> str:
        return repr(obj) if obj else "0"

    assert torch.compile(lambda x: x + len(repr(0)), fullgraph=True)(x)[0].item() == 2.0
    assert torch.compile(lambda x: x + len(in_python(12)), fullgraph=True)(x)[0].item() == 3.0
    with pytest.raises(ValueError, match="Duplicate polyfilled object"):
        C.substitute_in_graph(format)(lambda value, format_spec="", /: "")


def test_substitutes_that_do_not_fit() -> None:
    with pytest.raises(TypeError, match="expects a function but got <class 'int'>"):
        C.substitute_in_graph(3)
    with pytest.raises(TypeError, match="expects a function but got <class 'int'>"):
        C.substitute_in_graph(operator.indexOf)(3)
    with pytest.raises(TypeError, match="Signature mismatch between"):
        C.substitute_in_graph(operator.indexOf)(lambda a: 3)
    C.substitute_in_graph(operator.indexOf, skip_signature_check=True)(lambda a: 3)
    C.substitute_in_graph(operator.countOf)(lambda *args: 3)


# ---------------------------------------------------------------------------------------------- the stance


@pytest.fixture
def doubled() -> Any:
    return torch.compile(lambda x: x * (2 if C.is_compiling() else 3))


def test_force_eager(doubled: Any, replays: list) -> None:
    doubled(x)
    with C.set_stance("force_eager"):
        assert doubled(x).tolist() == [3.0, 3.0]
    assert doubled(x).tolist() == [2.0, 2.0] and len(replays) == 1

    @C.set_stance("force_eager")
    def inside(x: Any) -> Any:
        return doubled(x)

    assert (inside(x)[0].item(), doubled(x)[0].item()) == (3.0, 2.0)
    C.set_stance("force_eager")
    assert doubled(x)[0].item() == 3.0
    C.set_stance("default")
    assert doubled(x)[0].item() == 2.0


def test_on_recompile(doubled: Any, replays: list) -> None:
    other = x.double()
    with C.set_stance("fail_on_recompile"), pytest.raises(RuntimeError, match="Detected recompile .*<lambda> has no"):
        doubled(x)
    doubled(x)
    with C.set_stance("fail_on_recompile"):
        doubled(x)
        with pytest.raises(RuntimeError, match="Detected recompile"):
            doubled(other)
    with C.set_stance("eager_on_recompile"):
        assert (doubled(x)[0].item(), doubled(other)[0].item(), doubled(other)[0].item()) == (2.0, 3.0, 3.0)
    assert len(replays) == 2


@pytest.mark.parametrize("stance", ["eager_then_compile", "aot_eager_then_compile"])
def test_eager_then_compile(doubled: Any, replays: list, stance: str) -> None:
    with C.set_stance(stance):
        assert [doubled(x)[0].item() for _ in range(3)] == [3.0, 2.0, 2.0] and len(replays) == 1


def test_stances_that_are_none() -> None:
    with pytest.raises(RuntimeError, match="invalid torch.compile stance 'other'\n  hint: one of default, force_eager"):
        C.set_stance("other")
    with pytest.raises(RuntimeError, match="cannot have force_backend"):
        C.set_stance("force_eager", force_backend="eager")
    C.set_stance("default", force_backend="eager", skip_guard_eval_unsafe=True)


def test_reset(doubled: Any, replays: list) -> None:
    doubled(x)
    C.reset()
    doubled(x)
    assert not replays
    doubled(x)
    assert len(replays) == 1
    C.cudagraph_mark_step_begin()
    with pytest.raises(RuntimeError, match=r"reset\(\) is called"):
        torch.compile(lambda x: C.reset(), fullgraph=True)(x)


# ---------------------------------------------------------------------------------------------- arrays, regions


def test_functions_of_arrays() -> None:
    @C.wrap_numpy
    def function(a: Any, n: int, *, by: float) -> Any:
        assert isinstance(a, np.ndarray)
        return np.sin(a) * by, n, [a + 1]

    first, n, (second,) = function(x, 3, by=2.0)
    torch.testing.assert_close(first, x.sin() * 2)
    assert n == 3 and second.tolist() == [2.0, 2.0] and function.__name__ == "function"


def test_regions(replays: list) -> None:
    @C.nested_compile_region
    def block(x: Any) -> Any:
        return x * 2

    compiled = torch.compile(lambda x: block(block(x)))
    assert [compiled(x)[0].item() for _ in range(2)] == [4.0] * 2 and len(replays) == 1
    assert C.nested_compile_region(max_reuse_entries=3)(block) is block
