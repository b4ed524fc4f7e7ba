"""Operators by their schemas: `Library`, `define`, `impl`, and what may be registered for them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

import flambeau as torch

Library = torch.library.Library
x = torch.ones(2)


@pytest.fixture
def here() -> Iterator[Any]:
    """A library whose operators are gone with it."""
    library = Library("here", "DEF")
    yield library
    library._destroy()


def test_define_and_implement(here: Any) -> None:
    assert repr(here) == "Library(kind=DEF, ns=here, dispatch_key=)"
    assert here.define("scaled(Tensor x, int n=2) -> Tensor") == "scaled"
    with pytest.raises(NotImplementedError, match="Could not run 'here::scaled'.*kernels for nothing\n  hint: torch"):
        torch.ops.here.scaled(x)
    here.impl("scaled", lambda x, n=2: x * n, "CPU")
    assert torch.ops.here.scaled(x).tolist() == [2.0, 2.0] and torch.ops.here.scaled(x, n=3).tolist() == [3.0, 3.0]
    here.impl("scaled", lambda x: x * 9, "CPU")  # called without what equals its default
    assert torch.ops.here.scaled(x, 2).tolist() == [9.0, 9.0]
    with pytest.raises(RuntimeError, match="already a kernel registered"):
        here.impl("scaled", lambda x: x, "CPU", allow_override=False)
    here.impl("scaled", torch.library.fallthrough_kernel, "CPU")
    with pytest.raises(NotImplementedError):
        torch.ops.here.scaled(x)
    with pytest.raises(NotImplementedError, match="should never be called"):
        torch.library.fallthrough_kernel()


def test_kernels_are_part_of_the_graph_unless_there_is_a_formula(here: Any) -> None:
    leaf = torch.ones(2, requires_grad=True)
    for key in ("", "CPU", "CompositeExplicitAutograd", "CompositeImplicitAutograd"):
        here.define(f"f{key}(Tensor x) -> Tensor")
        here.impl(f"f{key}", lambda x: x * 3, key)
        assert type(getattr(torch.ops.here, f"f{key}")(leaf).grad_fn).__name__ == "MulBackward0"
    torch.library.register_autograd("here::fCPU", lambda ctx, g: g * 100)
    assert torch.autograd.grad(torch.ops.here.fCPU(leaf).sum(), leaf)[0].tolist() == [100.0, 100.0]

    class Times(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 5

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 7

    here.define("auto(Tensor x) -> Tensor")
    here.impl(torch.ops.here.auto.default, Times.apply, "Autograd")
    y = torch.ops.here.auto(leaf)
    assert y.tolist() == [5.0, 5.0] and torch.autograd.grad(y.sum(), leaf)[0].tolist() == [7.0, 7.0]


def test_overloads(here: Any) -> None:
    here.define("f.one(Tensor x) -> Tensor")
    here.define("f.two(Tensor x, int n) -> Tensor")
    here.impl("f.one", lambda x: x + 1)
    here.impl("f.two", lambda x, n: x + n)
    f = torch.ops.here.f
    assert (f(x).tolist(), f(x, 5).tolist(), f.two(x, 5).tolist()) == ([2.0, 2.0], [6.0, 6.0], [6.0, 6.0])
    assert (f.overloads(), f.one.name(), str(f.one)) == (["one", "two"], "here::f.one", "here.f.one")
    with pytest.raises(AttributeError, match="no overload name 'default'"):
        f.default  # noqa: B018
    with pytest.raises(
        RuntimeError, match=r"failed to match any schema:\n(.|\n)*Declaration: here::f.one(.|\n)*here::f.two"
    ):
        f("a")


def test_operators_are_gone_with_their_library() -> None:
    library = Library("elsewhere", "DEF")
    library.define("f(Tensor x) -> Tensor")
    assert hasattr(torch.ops.elsewhere, "f")
    with pytest.raises(
        RuntimeError, match='namespace elsewhere; there is one\n  hint: torch.library.Library."elsewhere"'
    ):
        Library("elsewhere", "DEF")
    fragment = Library("elsewhere", "FRAGMENT")
    fragment.define("g(Tensor x) -> Tensor")
    fragment.impl("f", lambda x: x + 1)
    assert torch.ops.elsewhere.f(x).tolist() == [2.0, 2.0]
    del library
    gc.collect()
    assert not hasattr(torch.ops.elsewhere, "f") and hasattr(torch.ops.elsewhere, "g")
    fragment._destroy()
    assert not hasattr(torch.ops.elsewhere, "g")
    Library("elsewhere", "DEF")


@pytest.mark.parametrize(
    ("make", "kind", "said"),
    [
        (lambda: Library("m", "OTHER"), ValueError, "Unsupported kind: OTHER"),
        (lambda: Library("aten", "DEF"), ValueError, "aten is a reserved namespace"),
        (lambda: Library("aten", "IMPL").impl("add.Tensor", abs, "CPU"), NotImplementedError, "are not replaced"),
        (lambda: Library("m", "IMPL").define("f() -> ()"), RuntimeError, "defines no operators"),
        (lambda: Library("m", "FRAGMENT").define("(Tensor x) -> ()"), RuntimeError, "expected ident"),
        (lambda: Library("m", "FRAGMENT").define("f() -> ()", "OTHER"), RuntimeError, "Invalid alias_analysis type"),
        (lambda: Library("m", "FRAGMENT").impl("f", 3), TypeError, "required to be a callable"),
        (lambda: Library("m", "FRAGMENT").impl("f", abs, "XYZ"), RuntimeError, "could not parse dispatch key: XYZ"),
        (lambda: Library("m", "FRAGMENT").impl("f", abs, "AutocastCPU"), NotImplementedError, "register_autocast"),
        (lambda: Library("m", "FRAGMENT").impl("f", abs, with_keyset=True), NotImplementedError, "no sets of dispatch"),
        (lambda: Library("m", "FRAGMENT").fallback(abs, "CPU"), RuntimeError, "global namespace"),
        (lambda: Library("_", "IMPL").fallback(abs, "CPU"), NotImplementedError, "impl registers a kernel"),
        (lambda: torch.library.define("m::f", "Tensor x"), ValueError, "expected schema to look like"),
        (lambda: torch.library.define("f", "() -> ()"), ValueError, "namespace::name"),
        (lambda: torch.library.define(3, "() -> ()"), ValueError, "instance of str"),
        (lambda: torch.library.impl("m::f", "nowhere", abs), RuntimeError, "Expected one of cpu, cuda"),
        (lambda: torch.library.register_fake("m::none", abs), RuntimeError, "operator m::none does not exist"),
        (lambda: torch.library.register_autograd("m::none", abs), AttributeError, "operator m::none does not exist"),
        (lambda: torch.library.register_vmap(abs, abs), ValueError, "expected a name such as"),
    ],
)
def test_refusals(make: Any, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        make()


def test_the_same_operator_twice(here: Any) -> None:
    here.define("f(Tensor x) -> Tensor")
    with pytest.raises(RuntimeError, match="with the same name and overload name multiple times"):
        here.define("here::f(Tensor x) -> Tensor")


@pytest.mark.parametrize(
    ("schema", "tag"),
    [
        ("f(Tensor x) -> Tensor", "inplace"),
        ("f(Tensor(a!) x) -> Tensor", "inplace"),
        ("f(Tensor x, Tensor(a!) y) -> Tensor(a!)", "inplace"),
        ("f(Tensor(a!)[] x) -> Tensor(a!)[]", "inplace"),
        ("f(Tensor x, Tensor(a!) out) -> Tensor(a!)", "out"),
        ("f(Tensor x, *, Tensor(a!) out) -> ()", "out"),
        ("f(*, Tensor(a!) out, Tensor(b!) out2) -> (Tensor(b!), Tensor(a!))", "out"),
    ],
)
def test_schemas_that_contradict_their_tags(here: Any, schema: str, tag: str) -> None:
    with pytest.raises(ValueError, match=f"Schema tagged with torch.Tag.{tag} must"):
        here.define(schema, tags=torch.Tag[tag])


def test_schemas_that_fit_their_tags(here: Any) -> None:
    here.define("f_(Tensor(a!) x) -> Tensor(a!)", tags=(torch.Tag.inplace,))
    here.define("f.out(*, Tensor(a!) out, Tensor(b!) out2) -> (Tensor(a!), Tensor(b!))", tags=torch.Tag.out)
    assert torch.ops.here.f.out.tags == [torch.Tag.out]


def test_functions_of_the_module(here: Any) -> None:
    library = torch.library
    library.define("here::f", "(Tensor x) -> Tensor", lib=here)
    assert library.impl("here::f", "default", lambda x: x.cos(), lib=here) is None
    library.impl("here::f", ["cpu", "cuda"], lib=here)(lambda x: x + 1)
    assert torch.ops.here.f(x).tolist() == [2.0, 2.0]
    library.impl(here, "f", "CPU")(lambda x: x + 2)
    assert torch.ops.here.f(x).tolist() == [3.0, 3.0]
    library.define(here, "g(Tensor x) -> Tensor")(lambda x: x * 9)
    assert torch.ops.here.g(x).tolist() == [9.0, 9.0]
    library.register_kernel("here::g", "cpu", lambda x: x * 8, lib=here)
    assert torch.ops.here.g(x).tolist() == [8.0, 8.0]
    library.impl("here::later", "cpu", lambda x: x * 7, lib=here)
    here.define("later(Tensor x) -> Tensor")
    assert torch.ops.here.later(x).tolist() == [7.0, 7.0]


def test_fake_impls(here: Any) -> None:
    here.define("f(Tensor x) -> Tensor")
    here.impl("f", lambda x: x + 1)
    torch.library.register_fake("here::f", torch.empty_like)
    torch.library.impl_abstract("here::f")(torch.empty_like)
    with pytest.raises(RuntimeError, match="already has a fake impl"):
        torch.library.register_fake("here::f", torch.empty_like, allow_override=False)
    assert torch.library.opcheck(torch.ops.here.f, (x,))["test_faketensor"] == "SUCCESS"
    here.define("g(Tensor x) -> Tensor")
    here.impl("g", lambda x: x + 1)
    here.impl("g", torch.empty_like, "Meta")
    assert torch.library.opcheck(torch.ops.here.g.default, (x,))["test_faketensor"] == "SUCCESS"
    with pytest.raises(RuntimeError, match="outside of a fake impl"):
        torch.library.get_ctx()
