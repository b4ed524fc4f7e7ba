"""The native recorder leaves what the one in Python leaves, and nothing else."""

from __future__ import annotations

import gc
import operator
import os
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest

import flambeau as torch
from flambeau._backends.cpu import recorder_objects
from flambeau._core import sites
from flambeau._core.config import config
from flambeau._core.overriding import switch
from flambeau._core.sites import line_of
from flambeau._engine.window import Window, state
from flambeau._ir.program import Instruction, Storage, Value
from flambeau._ir.recording import TensorBase
from flambeau._tensor import dispatch, native
from flambeau.autograd import graph
from flambeau.autograd.graph import Node, OpNode
from flambeau.nn import functional as F

pytestmark = pytest.mark.skipif(
    sys.implementation.name != "cpython" or sys.version_info[:2] not in native.VERSIONS, reason="Python records alone"
)


@contextmanager
def recorder(name: str) -> Iterator[None]:
    """Records are made by that one, "python" or "native"."""
    found, before = native.recorder(), torch.Tensor.__add__
    assert found is not None
    (found.take_over if name == "native" else found.withdraw)()
    try:
        yield
    finally:
        (found.withdraw if before is found.python["__add__"] else found.take_over)()


@pytest.fixture
def natively() -> Iterator[None]:
    with recorder("native"):
        yield


@contextmanager
def window_of_its_own() -> Iterator[Window]:
    outer = state.window
    state.window = Window(outer.born)
    try:
        yield state.window
    finally:
        state.window = outer


# ---------------------------------------------------------------------------------------------- the same records


def operands() -> list[Any]:
    """Tensors of all kinds: with and without gradients, views, of a class of their own, seen by NumPy, integers."""
    plain, leaf = torch.tensor([0.5, 1.5, 2.5]), torch.tensor([3.0, 1.0, 2.0], requires_grad=True)
    seen, base = torch.tensor([1.0, 2.0, 4.0]), torch.arange(6.0)
    with torch.inference_mode():
        inferred = torch.tensor([1.0, 3.0, 2.0])
    changed = torch.ones(3)
    outdated = changed[:]  # a view whose base has another node since
    made = [plain, leaf, leaf * 2, base[1:4], (leaf * 3)[0:3], torch.nn.Parameter(plain.clone()), seen, inferred]
    changed *= leaf
    torch.synchronize()
    made[6].view_of_memory = seen.numpy()
    return [*made, outdated, torch.tensor([1, 2, 3]), torch.tensor(2.0), torch.ones(2, 3)]


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "less": lambda a, b: a < b,
    "equal": lambda a, b: a == b,
    "integers": lambda a, b: a // b,
    "matmul": lambda a, b: a @ b,
    "maximum": lambda a, b: torch.maximum(a, b),
    "weighted": lambda a, b: torch.add(a, b, alpha=2),
    "loss": lambda a, b: F.mse_loss(a, b),
    "where": lambda a, b: torch.where(a > 0, a, b),
    "in place": lambda a, b: (a * 1).mul_(b),
}
UNARY: dict[str, Callable[[Any], Any]] = {
    "neg": lambda a: -a,
    "abs": abs,
    "exp": lambda a: torch.exp(a),
    "sigmoid": lambda a: a.sigmoid(),
    "sum": lambda a: a.sum(),
    "sum of rows": lambda a: a.sum(-1, keepdim=True),
    "sum of some": lambda a: torch.sum(a, (0,)),
    "mean": lambda a: torch.mean(a),
    "cumsum": lambda a: a.cumsum(0),
    "softmax": lambda a: F.softmax(a, 0),
    "norm": lambda a: F.layer_norm(a, (3,), eps=1e-3),
    "clamp": lambda a: a.clamp(0.0, 2.0),
    "filled": lambda a: torch.zeros(3),
    "detach": lambda a: a.detach() + 1,
    "half": lambda a: a.half(),
    "flat": lambda a: a.view(-1),
    "row": lambda a: a.unsqueeze(0),
    "transposed": lambda a: a.transpose(0, -1),
    "first": lambda a: a[0],
    "rows": lambda a: a.split(2)[-1],
    "data": lambda a: a.data.view(-1),
    "most": lambda a: a.max(0),
    "sorted": lambda a: a.sort(0, descending=True),
    "normed": lambda a: F.layer_norm(a, (3,), torch.ones(3, requires_grad=True)),
    "standardised": lambda a: F.batch_norm(a.view(3, 1), None, None, training=True),
    "chosen": lambda a: a.gather(0, torch.tensor([0, 2])),
    "taken": lambda a: a[torch.tensor([1, 0])],
}
NUMBERS = [2, 2.0, True, 0.0, -0.0, 1.5, 1 << 40, None, "x", 1j]
STEPS = st.one_of(
    st.tuples(st.sampled_from(sorted(UNARY)), st.integers(0, 15)),
    st.tuples(st.sampled_from(sorted(BINARY)), st.integers(0, 15), st.integers(0, 15)),
    st.tuples(st.sampled_from(sorted(BINARY)), st.integers(0, 15), st.sampled_from(NUMBERS).map(lambda n: (n,))),
    st.tuples(st.sampled_from(sorted(BINARY)), st.sampled_from(NUMBERS).map(lambda n: (n,)), st.integers(0, 15)),
)


def perform(steps: list[tuple], things: list[Any]) -> list[str]:
    """Run steps, which may use results of earlier ones; the errors."""
    errors = []
    for name, *arguments in steps:
        chosen = [a[0] if type(a) is tuple else things[a % len(things)] for a in arguments]
        try:
            made = (UNARY.get(name) or BINARY[name])(*chosen)
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")
        else:
            things += made if isinstance(made, tuple) else [made] if isinstance(made, torch.Tensor) else []
    return errors


class Description:
    """What recording has left, with numbers in the place of values, tensors and nodes."""

    def __init__(self, window: Window, things: list[Any]) -> None:
        for t in things:  # the same of errors that are kept
            failure = t._storage.value.failure
            if failure is not None:
                failure.__traceback__ = failure.__context__ = None
        self.numbers: dict[int, int] = {}
        self.tensors = [self.tensor(t) for t in things]
        self.instructions = [self.instruction(i) for i in window.queue]
        self.nbytes, self.before = window.nbytes, len(window.before)
        self.references = [
            (sys.getrefcount(t._storage.value), sys.getrefcount(t._storage), sys.getrefcount(t)) for t in things
        ]
        self.node_references = [sys.getrefcount(t._node) for t in things if isinstance(t._node, OpNode)]

    def number(self, thing: Any) -> Any:
        return None if thing is None else self.numbers.setdefault(id(thing), len(self.numbers))

    def tensor(self, t: Any) -> tuple:
        s = t._storage
        value = s.value  # one that waits has neither an array nor a buffer; a plan gives it the other one
        memory = value.array is None and value.buffer is None, repr(value.failure), value.window is None
        storage = self.number(s), self.number(value), s.version, s.nbytes, s.exposed, s.changes is None, memory
        bases = self.number(t._base), self.number(t._base_node)
        return type(t), t._meta, storage, self.node(t._node), t._index, bases, vars(t).keys()

    def instruction(self, i: Any) -> tuple:
        args = [self.argument(a) for a in i.args]
        kinds = [type(m) for m in i.metas]
        inference = i.inference and (i.inference.outputs, i.inference.nbytes, i.inference.fallible)
        site = i.site and (i.site[0], line_of(i.site))
        return i.op, args, i.metas, kinds, inference, [self.number(v) for v in i.outputs], site

    def argument(self, a: Any) -> Any:
        if type(a) is tuple:
            return [self.argument(x) for x in a]
        return ("value", self.number(a)) if type(a) is Value else (type(a), repr(a))

    def node(self, node: Any) -> Any:
        if not isinstance(node, OpNode) or id(node) in self.numbers:
            return type(node), self.number(node)
        edges = [e and (self.node(e[0]), e[1]) for e in node._edges]
        args = type(node.args), [self.number(a) if isinstance(a, torch.Tensor) else repr(a) for a in node.args]
        saved = node.saved_outputs and [(self.number(s), m, version) for s, m, version in node.saved_outputs]
        watched = node.watched and [(w.version, w.meta) for w in node.watched]
        hooks = node._pre_hooks, node._post_hooks, node._retained, node._extra
        saving = [self.saving(getattr(node.saving, name)) for name in type(node.saving).__slots__]
        # CPython's offset within a line depends on how often that ran.
        site = node._site[0], line_of(node._site)
        known = node.op, node.metas, saving, node._output_metas, site
        return self.number(node), edges, args, node.versions, saved, watched, hooks, known


    def saving(self, what: Any) -> Any:
        """What a node says that it saves or shows, among that edges."""
        if isinstance(what, tuple | list):
            return [self.saving(x) for x in what]
        return self.number(what) if isinstance(what, Node) else what


def described(name: str, steps: list[tuple], grad: bool) -> tuple[Description, list[str]]:
    things = operands()
    with recorder(name), window_of_its_own() as window, torch.set_grad_enabled(grad):
        errors = perform(steps, things)
        if any("recorded at" in error for error in errors):
            gc.collect()  # what failed refers to functions of the recorder, and these to what they recorded
        return Description(window, things), errors


@hypothesis.given(st.lists(STEPS, max_size=12), st.booleans())
@hypothesis.example([("mul", 1, 7), ("exp", 7), ("mul", 8, 1), ("add", 8, 8), ("neg", 6)], True)
@hypothesis.example([("most", 1), ("sorted", 2), ("normed", 1), ("standardised", 1), ("flat", 3), ("data", 4)], True)
@hypothesis.example([("integers", 9, 9), ("chosen", 0), ("chosen", 1), ("row", 4)], True)
def test_the_same_is_recorded(steps, grad):
    wanted, errors = described("python", steps, grad)
    for _ in range(2):  # at the second time all forms are known
        found, found_errors = described("native", steps, grad)
        assert found_errors == errors
        for name, value in vars(wanted).items():
            if name != "numbers":
                assert vars(found)[name] == value, name


@pytest.mark.parametrize("kind", [TensorBase, Value, Storage, Instruction, OpNode])
def test_it_fills_all_slots(kind):
    """Else they would be empty, where the recorder in Python has something to fill in."""
    slots = {slot for base in kind.__mro__ for slot in getattr(base, "__slots__", ())} - {"__dict__", "__weakref__"}
    filled = recorder_objects.FIELDS["Tensor" if kind is TensorBase else kind.__name__]
    assert set(filled) == slots and len(filled) == len(slots)


def test_forms_are_told_apart(natively):
    """Though there are more than lines for them, so that some share one."""
    x = torch.ones(3)
    with window_of_its_own() as window:
        for n in range(3000):
            for _ in range(2):
                assert torch.zeros(n).shape == (n,)
                for p in (n + 3, n + 2.5):
                    torch.linalg.vector_norm(x, p)
            for instruction in window.queue:
                for a, m in zip(instruction.args, instruction.metas, strict=True):
                    assert type(a) is Value or repr(a) == repr(m)
            window.queue.clear()


RECORDER = (
    dispatch.pointwise, dispatch.library, dispatch.view, graph.record_node, OpNode.save_outputs, sites.user_site,
    native.learn,
)  # fmt: skip


def in_python(call: Callable[[], Any]) -> set[str]:
    """The functions of the recorder in Python that a call runs."""
    codes: set[Any] = set()
    sys.setprofile(lambda frame, event, _: codes.add(frame.f_code) if event == "call" else None)
    try:
        call()
    finally:
        sys.setprofile(None)
    return {function.__name__ for function in RECORDER if function.__code__ in codes}


def usual_calls() -> dict[str, Callable[[], Any]]:
    plain, leaf, *_, whole, _, table = operands()
    weight = torch.nn.Parameter(torch.ones(4, 3))
    return {
        "tensors": lambda: plain + plain,
        "a number": lambda: plain * 2.0,
        "a number first": lambda: 2 + plain,
        "subtracted": lambda: 1 - plain,
        "negated": lambda: -plain,
        "a function": lambda: torch.exp(plain),
        "a method": lambda: plain.sigmoid(),
        "integers": lambda: whole + 1,
        "gradient": lambda: leaf * plain,
        "saved result": lambda: torch.exp(leaf),
        "a view": lambda: plain[0:2] + 1,
        "product": lambda: table @ plain,
        "layer": lambda: F.linear(table, weight),
        "sum": lambda: table.sum((0, 1), True),
        "a tuple made anew": lambda: table.sum((int("0"),)),
        "softmax": lambda: torch.softmax(leaf, 0),
        "filled": lambda: torch.zeros(3),
        "several results": lambda: leaf.max(0),
        "a layer norm": lambda: F.layer_norm(table, (3,)),
        "can fail": lambda: whole // whole,
        "can fail, of arrays": lambda: plain.gather(0, whole - whole),
        "transposed": lambda: table.T,
        "reshaped": lambda: leaf.view(3, 1),
        "a view of a view": lambda: table.view(-1).unsqueeze(0),
    }


@pytest.mark.parametrize("name", usual_calls())
def test_usual_calls_do_not_reach_python(natively, name):
    call = usual_calls()[name]
    for _ in range(2):
        call()
    assert in_python(call) == set()
    with recorder("python"):
        assert in_python(call)


# ---------------------------------------------------------------------------------------------- references, errors


def many(count: int) -> None:
    """Calls of all kinds, looked at now and then."""
    things, weight = operands(), torch.nn.Parameter(torch.ones(4, 3))
    (plain, leaf, result, view), whole = things[:4], torch.tensor([1, 2])
    for i in range(count):
        made = [plain + view, leaf * plain, 2 - result, torch.exp(leaf), things[-1] @ plain, F.linear(plain, weight)]
        made += [plain.view(3, 1), leaf.unsqueeze(0).transpose(0, 1), leaf.data.view(-1)]
        made.append(torch.sum(things[-1], (i % 2,), dtype=torch.float64))
        made += [*leaf.max(0), F.layer_norm(things[-1], (3,)), whole // whole, plain + object.__new__(Other)]
        if i % 50 == 0:
            made[1].sum().backward()
            leaf.grad = None
    torch.synchronize()


class Other:
    def __radd__(self, other: Any) -> int:
        return 1


def test_nothing_leaks(natively):
    for name in ("python", "native"):  # until there are plans for all windows
        with recorder(name):
            many(2000)
    gc.collect()
    counted = [None, True, False, 0, 1, torch.Tensor, Value, OpNode, torch.float32]
    tracemalloc.start()
    try:
        many(200)
        gc.collect()
        objects, size = len(gc.get_objects()), tracemalloc.get_traced_memory()[0]
        references = [sys.getrefcount(x) for x in counted]
        many(2000)
        gc.collect()
        assert len(gc.get_objects()) - objects < 100
        assert tracemalloc.get_traced_memory()[0] - size < 50_000
        assert all(abs(sys.getrefcount(x) - n) < 100 for x, n in zip(counted, references, strict=True))
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("offered", [False, True])
@pytest.mark.usefixtures("usual_window")
def test_without_memory_nothing_is_half_recorded(natively, offered, monkeypatch):
    """Also where calls are offered to `__torch_function__`, with another call of Python between."""
    monkeypatch.setattr(config, "compile", "never")  # plans keep metas, and references to these are counted
    testing = pytest.importorskip("_testcapi")
    for family in native.recorder().records if offered else ():
        dispatch._offer_before(family, True)
    try:
        check_without_memory(testing)
    finally:
        for family in native.recorder().records:
            dispatch._offer_before(family, switch.on)


def check_without_memory(testing: Any) -> None:
    a, leaf = torch.ones(3), torch.ones(3, requires_grad=True)
    for call in (lambda: a + a, lambda: leaf * a, lambda: torch.exp(leaf), lambda: a.sum((0,)), lambda: leaf.view(3),
                 lambda: leaf.max(0).values, lambda: a.to(torch.int32) // 2):  # fmt: skip
        for _ in range(3):
            call()
        torch.synchronize()
        failures, known = 0, call().detach()
        references = [sys.getrefcount(x) for x in (a._meta, known._meta, a._storage.value, leaf._storage.value)]
        for first in range(60):
            gc.disable()
            testing.set_nomemory(first, first + 1)
            try:
                made = call()
            except MemoryError:
                made, failures = None, failures + 1
            finally:
                testing.remove_mem_hooks()
                gc.enable()
            assert made is None or made.shape in (a.shape, ())
            state.window.flush()  # what is recorded is whole
            made = None
        assert failures > 2
        made = None
        state.window.flush()
        after = [sys.getrefcount(x) for x in (a._meta, known._meta, a._storage.value, leaf._storage.value)]
        assert max(map(operator.sub, after, references)) < 3
        assert call().tolist() == known.tolist()


def test_errors_are_those_of_python(natively):
    a = torch.ones(3)
    with pytest.raises(TypeError, match="unsupported operand"):
        a + "x"
    with pytest.raises(RuntimeError, match="must match the size"):
        a + torch.ones(4)
    with pytest.raises(TypeError, match="must be Tensor"):
        torch.exp("x")
    with pytest.raises(AttributeError):
        object.__new__(torch.Tensor) + 1
    with pytest.raises(RuntimeError, match="zero"):
        (torch.tensor([1]) // torch.tensor([0])).tolist()


def test_a_full_window_runs(natively, monkeypatch):
    monkeypatch.setattr(config, "window_instructions", 4)
    a = torch.ones(3)
    torch.synchronize()
    made = [a + 1 for _ in range(10)]
    assert [t._storage.value.window is None for t in made] == [True] * 8 + [False] * 2
    monkeypatch.setattr(config, "window_bytes", 24)
    torch.synchronize()
    made = [a + 1 for _ in range(3)]
    assert [t._storage.value.window is None for t in made] == [True, True, False]


@pytest.mark.usefixtures("usual_window")
def test_an_error_of_the_run_is_raised_by_who_fills_the_window(natively, monkeypatch):
    a = torch.ones(3)
    a + 1
    with window_of_its_own() as window:
        bad = torch.tensor([1]) // torch.tensor([0])
        monkeypatch.setattr(config, "window_instructions", len(window.queue) + 1)
        with pytest.raises(RuntimeError, match="zero"):
            a + 1
        assert bad._storage.value.failure is not None
        assert not window.queue


# ---------------------------------------------------------------------------------------------- ambient


def test_a_node_knows_the_line_of_the_program(natively):
    a = torch.ones(3, requires_grad=True)

    def lines() -> list[int]:
        here = sys._getframe().f_lineno
        made = [
            a * a,
            -a,
            torch.exp(a),
            a.sum(),
            F.softmax(a, 0),
        ]
        return [line_of(t._node._site) - here for t in made]

    for _ in range(3):
        assert lines() == [2, 3, 4, 5, 6]


def test_ambient_modes_are_heeded(natively):
    a = torch.ones(3, requires_grad=True)
    for _ in range(3):
        assert (a * 2)._node is not None
        with torch.no_grad():
            assert (a * 2)._node is None
        with torch.inference_mode():
            made = a * 2
            assert made.is_inference() and made._node is None
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t.tolist(), torch.tensor):
            packed = a * a
        packed.sum().backward()
        assert a.grad.tolist() == [2.0, 2.0, 2.0]
        a.grad = None
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
        torch.set_default_dtype(torch.float64)
        assert (torch.tensor([1, 2]) + 1.5).dtype == torch.float64
        torch.set_default_dtype(torch.float32)
        assert (torch.tensor([1, 2]) + 1.5).dtype == torch.float32
        assert torch.func.vmap(lambda x: x + 1)(torch.ones(2, 3)).tolist() == [[2.0] * 3] * 2
        assert torch.compile(lambda x: x + 1)(torch.ones(2)).tolist() == [2.0, 2.0]


def test_the_default_dtype_is_heeded(natively):
    whole, found = torch.tensor([1, 2]), []
    for dtype in (torch.float32, torch.float64, torch.float32):
        torch.set_default_dtype(dtype)
        found += [(whole * 0.5).dtype for _ in range(3)]
    assert found == [torch.float32] * 3 + [torch.float64] * 3 + [torch.float32] * 3


@pytest.mark.usefixtures("usual_window")
def test_threads_have_windows_of_their_own(natively):
    barrier, results, windows = threading.Barrier(4, timeout=60), {}, {}

    def work(number: int) -> None:
        with torch.set_grad_enabled(number % 2 == 0):
            x = torch.full((3,), float(number), requires_grad=True)
            for _ in range(50):
                barrier.wait()
                y = x * 2 + 1
                windows.setdefault(number, set()).add(y._storage.value.window)
                results.setdefault(number, []).append((y._node is not None, y.tolist()))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, found in results.items():
        assert found == [(number % 2 == 0, [2.0 * number + 1] * 3)] * 50
    assert [len(windows[number]) for number in range(4)] == [1] * 4
    assert len(set.union(*windows.values())) == 4


def test_who_takes_calls_over_is_asked(natively):
    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
            seen.append(func.__name__)
            return func(*args, **(kwargs or {}))

    class Mine(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
            seen.append(func.__name__)
            return super().__torch_function__(func, types, args, kwargs)

    a, seen = torch.ones(3), []
    mine = torch.ones(3).as_subclass(Mine)
    assert type(a + mine) is type(mine + a) is type(torch.exp(mine)) is Mine
    assert seen == ["add", "add", "exp"]
    seen.clear()
    with Mode():
        a + a, torch.exp(a)
    assert seen == ["add", "exp"]
    seen.clear()
    assert type(torch.Tensor.__add__).__name__ == "method_descriptor"
    assert type(a + a) is torch.Tensor and not seen


# ---------------------------------------------------------------------------------------------- when


PROGRAM = """
import flambeau as torch
from flambeau._tensor import dispatch, native
x, kinds = torch.ones(2000), []
for _ in range(30):
    x = x * 0.5 + 1
    x = (x - 1) * 2
    torch.synchronize()
    kinds.append(type(torch.Tensor.__add__).__name__)
print(kinds[0], kinds[-1], x.sum().item())
"""


@pytest.mark.parametrize(
    "setting, first, last",
    [("auto", "function", "method_descriptor"), ("native", "method_descriptor", "method_descriptor"),
     ("python", "function", "function")],
)  # fmt: skip
def test_when_it_takes_over(setting, first, last):
    environ = {name: value for name, value in os.environ.items() if name != "FLAMBEAU_COMPILE"}
    environ["FLAMBEAU_RECORDER"] = setting
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environ)
    assert run.stdout.split() == [first, last, "2000.0"], run.stderr


def test_another_interpreter_records_in_python(monkeypatch):
    assert native.is_possible()
    for name, value in (("VERSIONS", ((3, 8),)), ("DESCRIPTOR", 8)):
        with monkeypatch.context() as patch:
            patch.setattr(native, name, value)
            assert not native.is_possible()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
        assert not native.is_possible()
    monkeypatch.setattr(native.window, "state", object())
    assert not native.is_possible()
