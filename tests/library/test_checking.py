"""`opcheck`: what it finds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import flambeau as torch
from flambeau.library import operators
from flambeau.library.checking import OpCheckError

Tensor = torch.Tensor
ALL = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
x = torch.linspace(1, 2, 6).reshape(2, 3)


@pytest.fixture
def here() -> Iterator[Any]:
    library = torch.library.Library("here", "DEF")
    yield library
    library._destroy()


def operator(library: Any, schema: str, kernel: Any, fake: Any = None) -> Any:
    name = library.define(schema)
    library.impl(name, kernel)
    if fake is not None:
        torch.library.register_fake(f"here::{name}", fake)
    return getattr(torch.ops.here, name)


def failure(op: Any, *args: Any, test: str) -> str:
    with pytest.raises(OpCheckError, match=rf"opcheck\(op, ...\): {test} failed with ") as error:
        torch.library.opcheck(op, args)
    return str(error.value)


def test_an_operator_that_is_right(here: Any) -> None:
    op = operator(here, "f(Tensor x, int n) -> (Tensor, int, Tensor[])", lambda x, n: (x * n, n, [x + 1]),
                  lambda x, n: (x.new_empty(x.shape), n, [torch.empty_like(x)]))  # fmt: skip
    torch.library.register_autograd(op.default, lambda ctx, a, n, b: (a * 2 + b[0], None))
    given = x.clone().requires_grad_()
    assert torch.library.opcheck(op, (given, 2)) == dict.fromkeys(ALL, "SUCCESS")
    assert given.grad is None


def test_changes_that_the_schema_does_not_tell(here: Any) -> None:
    def grows(x: Tensor) -> Tensor:
        return x.add_(1).exp()

    before = x.clone()
    assert "Argument x is not defined as mutable but was mutated" in failure(
        operator(here, "f(Tensor x) -> Tensor", grows), x, test="test_schema"
    )
    assert torch.equal(x, before)
    told = operator(here, "g(Tensor(a!) x) -> Tensor", grows, torch.empty_like)
    assert torch.library.opcheck(told, (x,)) == dict.fromkeys(ALL, "SUCCESS")
    nans = operator(here, "h(Tensor x) -> Tensor", lambda x: x + 1, torch.empty_like)
    assert torch.library.opcheck(nans, (x * float("nan"),)) == dict.fromkeys(ALL, "SUCCESS")


def test_memory_that_is_shared(here: Any) -> None:
    op = operator(here, "f(Tensor x) -> Tensor", lambda x: x.t())
    assert "Argument x is not defined to alias output but was aliasing" in failure(op, x, test="test_schema")
    told = operator(here, "g(Tensor(a) x) -> Tensor(a)", lambda x: x.t(), lambda x: x.t())
    assert torch.library.opcheck(told, (x,)) == dict.fromkeys(ALL, "SUCCESS")


def test_a_history_without_a_formula(here: Any) -> None:
    here.define("f(Tensor x) -> Tensor")
    here.impl("f", lambda x: x * 2, "CPU")
    torch.library.register_fake("here::f", torch.empty_like)
    op = torch.ops.here.f
    leaf = x.clone().requires_grad_()
    assert "does not have an autograd kernel" in failure(op, leaf, test="test_autograd_registration")
    assert torch.library.opcheck(op, (x,)) == dict.fromkeys(ALL, "SUCCESS")


@pytest.mark.parametrize(
    ("fake", "said"),
    [
        (None, "There was no fake impl registered for here.f.default"),
        (lambda x: x.new_empty(x.shape, dtype=torch.int32), "Dtypes torch.float32 and torch.int32 are not equal"),
        (lambda x: x.new_empty(5, 3), r"Shapes torch.Size([2, 3]) and torch.Size([5, 3]) are not equal"),
        (lambda x: x.new_empty(6), r"Shapes torch.Size([2, 3]) and torch.Size([6]) are not equal"),
        (lambda x: x.new_empty(3, 2).t(), "Stride mismatch! Strides are (3, 1) and (1, 2)"),
        (lambda x: x.new_empty(int(x[0, 0].item()), 3), "a fake impl looks at the numbers of a tensor"),
        (lambda x: x.new_empty(x.numpy().shape), "a fake impl looks at the numbers of a tensor"),
        (lambda x: 3, "returns int for a tensor"),
        (lambda x: [x, x], "returns 2 values, the kernel 1"),
    ],
)
def test_fake_impls_that_are_wrong(here: Any, fake: Any, said: str) -> None:
    op = operator(here, "f(Tensor x) -> Tensor", lambda x: x + 1, fake)
    assert said in failure(op, x, test="test_faketensor")


def test_sizes_that_depend_on_numbers(here: Any) -> None:
    def fake(x: Tensor) -> Tensor:
        size = torch.library.get_ctx().new_dynamic_size(min=1, max=1000)
        return x.new_empty((size, 2), dtype=torch.int64)

    op = operator(here, "f(Tensor x) -> Tensor", torch.nonzero, fake)
    assert torch.library.opcheck(op, (x,))["test_faketensor"] == "SUCCESS"
    assert "Shapes" in failure(op, x[0], test="test_faketensor")


def test_backward_is_tried(here: Any) -> None:
    def plain(x: Tensor) -> Tensor:
        return x + 1

    op = torch.library.custom_op("here::plain", plain, mutates_args=(), schema="(Tensor x) -> Tensor")
    op.register_fake(torch.empty_like)
    assert "no autograd formula" in failure(op, x.clone().requires_grad_(), test="test_aot_dispatch_dynamic")
    found = torch.library.opcheck(op, (x.clone().requires_grad_(),), raise_exception=False)
    assert [found[test] for test in ALL[:3]] == ["SUCCESS"] * 3 and isinstance(found[ALL[3]], RuntimeError)
    operators.forget(op._opoverload)


def test_refusals(here: Any) -> None:
    op = operator(here, "f(Tensor x) -> Tensor", lambda x: x + 1)
    with pytest.raises(ValueError, match="expected test_utils to be subset of"):
        torch.library.opcheck(op, (x,), test_utils="test_other")
    with pytest.raises(ValueError, match="op must be an operator"):
        torch.library.opcheck(lambda x: x, (x,))
    with pytest.raises(NotImplementedError, match="operation of the package itself"):
        torch.library.opcheck(torch.ops.aten.sin.default, (x,))
