"""Operators made from functions: called, changed in place, differentiated, batched, compiled."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.library import operators

Tensor = torch.Tensor
F = torch.func


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    """Operators `here::...` that are forgotten afterwards."""
    yield
    operators.namespaces.pop("here", None)
    for name in [n for n in operators.kernels if n.startswith("here::")]:
        del operators.kernels[name]


def made(function: Any, name: str = "f", mutates_args: Any = (), **options: Any) -> Any:
    return torch.library.custom_op(f"here::{name}", function, mutates_args=mutates_args, **options)


def cube(x: Tensor) -> Tensor:
    return torch.from_numpy(np.asarray(x.numpy() ** 3))


def save_inputs(ctx: Any, inputs: tuple, output: Any) -> None:
    ctx.save_for_backward(*inputs)


def differentiable_cube() -> Any:
    op = made(cube)
    op.register_autograd(lambda ctx, g: g * 3 * ctx.saved_tensors[0] ** 2, setup_context=save_inputs)
    return op


# ---------------------------------------------------------------------------------------------- calls


def test_names() -> None:
    op = made(cube)
    assert repr(op) == "<CustomOpDef(here::f)>"
    assert op(torch.tensor([2.0])).tolist() == [8.0]
    packet = torch.ops.here.f
    assert packet(torch.tensor([2.0])).tolist() == packet.default(x=torch.tensor([2.0])).tolist() == [8.0]
    assert (str(packet), repr(packet)) == ("here.f", "<OpOverloadPacket(op='here.f')>")
    assert (str(packet.default), packet.default.name(), packet.overloads()) == (
        "here.f.default",
        "here::f",
        ["default"],
    )
    assert str(packet.default._schema) == "here::f(Tensor x) -> Tensor"
    assert copy.deepcopy(packet) is packet and copy.deepcopy(packet.default) is packet.default
    with pytest.raises(AttributeError, match="The underlying op of 'here.f' has no overload name 'other'"):
        packet.other  # noqa: B018
    with pytest.raises(AttributeError, match="'_OpNamespace' 'here' object has no attribute 'g'"):
        torch.ops.here.g  # noqa: B018


def test_a_decorator_and_a_schema() -> None:
    @torch.library.custom_op("here::scaled", mutates_args=(), schema="(Tensor x, float by=2.0) -> Tensor")
    def scaled(x, by=2.0):  # type: ignore[no-untyped-def]
        return x * by

    assert scaled(torch.ones(1)).item() == 2.0 and scaled(torch.ones(1), 3).item() == 3.0
    with pytest.raises(ValueError, match="Please make these consistent"):
        made(cube, "g", mutates_args={"x"}, schema="(Tensor x) -> Tensor")
    with pytest.raises(ValueError, match="must consist of a namespace and a name"):
        torch.library.custom_op("f", cube, mutates_args=())


def test_a_second_definition_takes_the_place_of_the_first() -> None:
    made(cube)
    made(lambda x: x + 1, schema="(Tensor x) -> Tensor")
    assert torch.ops.here.f(torch.ones(1)).item() == 2.0


def test_results_have_memory_of_their_own() -> None:
    x = torch.ones(2, 2)
    for i, function in enumerate((lambda x: x, lambda x: x.view(-1), lambda x: x[0])):
        with pytest.raises(RuntimeError, match="must not also be an input"):
            made(function, f"alias{i}", schema="(Tensor x) -> Tensor")(x)
    twice = made(lambda x: (y := x + 1, y), "twice", schema="(Tensor x) -> (Tensor, Tensor)")
    with pytest.raises(RuntimeError, match="other returns"):
        twice(x)
    view = made(lambda x: x.view(-1), "view", schema="(Tensor(a) x) -> Tensor(a)")
    assert view(x).shape == (4,)


def test_kernels_of_devices(caplog: pytest.LogCaptureFixture) -> None:
    op = made(lambda x: x * 0, schema="(Tensor x) -> Tensor")
    x = torch.ones(1)
    op.register_kernel("cpu")(lambda x: x * 5)
    op.register_kernel(["cuda", "xpu"], lambda x: x * 7)
    assert op(x).item() == 5.0
    with caplog.at_level(logging.WARNING):
        with op.set_kernel_enabled("cpu", enabled=False):
            assert op(x).item() == 0.0
            with op.set_kernel_enabled("cpu"):
                assert op(x).item() == 5.0
            assert op(x).item() == 0.0
    assert op(x).item() == 5.0 and not caplog.records
    with op.set_kernel_enabled("cpu"), op.set_kernel_enabled("mps", enabled=False):
        pass
    assert "already enabled" in caplog.text and "no kernel was registered" in caplog.text
    with pytest.raises(RuntimeError, match="Expected one of cpu, cuda"):
        op.register_kernel("nowhere", cube)
    elsewhere = made(cube, "elsewhere", device_types="cuda")
    with pytest.raises(NotImplementedError, match="Could not run 'here::elsewhere' .* 'CPU' .* kernels for CUDA"):
        elsewhere(x)


def test_without_tensors_a_device_is_wanted() -> None:
    def ones(n: int, device: torch.device) -> Tensor:
        return torch.ones(n)

    op = made(ones, schema="(int n, Device device) -> Tensor", device_types="cpu")
    assert op(2, "cpu").tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="required to have a `device: torch.device` argument"):
        made(lambda n: torch.ones(n), "g", schema="(int n) -> Tensor", device_types="cpu")
    with pytest.raises(NotImplementedError, match="kwarg-only Tensor args"):
        made(cube, "h", schema="(Tensor x, *, Tensor y) -> Tensor")


# ---------------------------------------------------------------------------------------------- changes in place


def test_changes_are_counted() -> None:
    def add_one(x: Tensor) -> None:
        x.add_(1)

    def add_by_numpy(xs: list[Tensor]) -> None:
        for x in xs:
            np.add(x.numpy(), 1, out=x.numpy())

    grow = made(add_one, "grow", {"x"}, schema="(Tensor(a!) x) -> ()")
    by_numpy = made(add_by_numpy, "numpy", {"xs"}, schema="(Tensor(a!)[] xs) -> ()")
    x = torch.zeros(2)
    grow(x)
    assert x.tolist() == [1.0, 1.0] and x._version == 2  # of the operation inside, and of the operator
    by_numpy([x, y := torch.zeros(1)])
    assert x.tolist() == [2.0, 2.0] and y.item() == 1.0 and (x._version, y._version) == (3, 1)
    leaf = torch.ones(2, requires_grad=True)
    saved = leaf.exp()
    by_numpy([saved])
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        saved.sum().backward()
    with pytest.raises(RuntimeError, match="non-functional operator"):
        grow.register_autograd(lambda ctx, g: g)


def test_operators_that_return_what_they_change() -> None:
    def grow(x: Tensor) -> Tensor:
        return x.add_(1)

    def copied(x: Tensor, *, out: Tensor) -> Tensor:
        return out.copy_(x)

    schema, out_schema = "(Tensor(a!) x) -> Tensor(a!)", "(Tensor x, *, Tensor(a!) out) -> Tensor(a!)"
    x, out = torch.zeros(2), torch.empty(2)
    assert made(grow, "grow_", {"x"}, schema=schema, tags=torch.Tag.inplace)(x) is x
    op = made(copied, "copied", {"out"}, schema=out_schema, tags=(torch.Tag.out,))
    assert op(x, out=out) is out and out.tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError, match=r"functions with out=... arguments don't support automatic"):
        op(x.requires_grad_(), out=out)
    with pytest.raises(RuntimeError, match="tagged with torch.Tag.out"):
        op.register_autograd(lambda ctx, g: g)
    other = made(lambda x: x.add_(1).clone(), "other", {"x"}, schema=schema, tags=torch.Tag.inplace)
    with pytest.raises(RuntimeError, match=r"torch.Tag.inplace must return its first argument"):
        other(out)


# ---------------------------------------------------------------------------------------------- gradients


def test_a_gradient() -> None:
    op = differentiable_cube()
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = op(x)
    assert type(y.grad_fn).__name__ == "GeneratedBackwardFor_here_f_defaultBackward"
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    assert g.tolist() == [3.0, 12.0] and torch.autograd.grad(g.sum(), x)[0].tolist() == [6.0, 12.0]
    assert torch.autograd.gradcheck(op, (x.detach().double().requires_grad_(),))
    with torch.no_grad():
        assert op(x).grad_fn is None


def test_without_a_formula_backward_is_an_error() -> None:
    y = made(cube)(torch.ones(1, requires_grad=True))
    assert y.requires_grad
    with pytest.raises(RuntimeError, match="backward through here.f.default but no autograd formula was registered"):
        y.backward()


def test_operations_inside_are_no_part_of_the_graph() -> None:
    weight = torch.ones(1, requires_grad=True)
    op = made(lambda x: x * weight, schema="(Tensor x) -> Tensor")
    assert not op(torch.ones(1)).requires_grad


def test_lists_of_tensors() -> None:
    seen = []

    def backward(ctx: Any, grads: list, rest: Any) -> tuple:
        seen.append((ctx.needs_input_grad, len(grads)))
        return [g * w for g, w in zip(grads, ctx.weights, strict=True)], None, None

    def setup(ctx: Any, inputs: tuple, output: Any) -> None:
        ctx.weights = inputs[1]
        seen.append((len(inputs), inputs[2], ctx.needs_input_grad))

    op = made(lambda xs, ws, n=1: ([x * w for x, w in zip(xs, ws, strict=True)], n), "many",
              schema="(Tensor[] xs, float[] ws, int n=1) -> (Tensor[], int)")  # fmt: skip
    op.register_autograd(backward, setup_context=setup)
    a, b = torch.ones(2, requires_grad=True), torch.ones(1)
    (first, second), n = op([a, b], [2.0, 3.0])
    first.sum().backward()
    assert a.grad is not None and a.grad.tolist() == [2.0, 2.0] and second.item() == 3.0 and n == 1
    assert seen == [(3, 1, ([True, False], False)), (([True, False], False), 2)]
    op.register_autograd(lambda ctx, grads, n: ([None], None))
    with pytest.raises(RuntimeError, match="same structure as the inputs. Got: a list of 1 .* a list of 2 tensors"):
        op([a, b], [2.0, 3.0])[0][0].sum().backward()


def test_keyword_only_arguments() -> None:
    op = made(lambda x, *, by=3.0: x * by, "kw", schema="(Tensor x, *, float by=3.0) -> Tensor")

    def setup(ctx: Any, inputs: tuple, keyword_only_inputs: dict, output: Any) -> None:
        ctx.by = keyword_only_inputs["by"]

    op.register_autograd(lambda ctx, g: g * ctx.by, setup_context=setup)
    x = torch.ones(1, requires_grad=True)
    assert torch.autograd.grad(op(x), x)[0].item() == 3.0
    assert torch.autograd.grad(op(x, by=2.0), x)[0].item() == 2.0


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (lambda g: (g, g), "incorrect number of gradients .expected 1, got 2."),
        (lambda g: g[:1], "invalid gradient at index 0 - got .1. but expected shape compatible with .2."),
        (lambda g: 3, "expected Variable or None .got int."),
    ],
)
def test_gradients_that_are_none(returned: Any, said: str) -> None:
    op = made(cube)
    op.register_autograd(lambda ctx, g: returned(g))
    with pytest.raises(RuntimeError, match=said):
        op(torch.ones(2, requires_grad=True)).sum().backward()


# ---------------------------------------------------------------------------------------------- vmap, func, autocast


def test_transforms() -> None:
    op = differentiable_cube()
    x = torch.tensor([1.0, 2.0, 3.0])
    assert F.jacrev(op)(x).diagonal().tolist() == [3.0, 12.0, 27.0]
    assert F.vmap(F.grad(op))(x).tolist() == [3.0, 12.0, 27.0]
    assert F.vmap(F.vmap(op), in_dims=1, out_dims=1)(x.reshape(1, 3)).tolist() == [[1.0, 8.0, 27.0]]
    calls = []

    @op.register_vmap
    def rule(info: Any, in_dims: tuple, x: Tensor) -> tuple:
        calls.append((info.batch_size, in_dims, tuple(x.shape)))
        return op(x), in_dims[0]

    assert F.vmap(F.grad(op))(x).tolist() == [3.0, 12.0, 27.0]
    assert F.grad(lambda v: F.vmap(op)(v).sum())(x).tolist() == [3.0, 12.0, 27.0]
    assert calls == [(3, (0,), (3,))] * 2


def test_rules_for_lists_and_keywords() -> None:
    def many(xs: Any, by: float = 2.0, *, plus: float = 0.0) -> list:
        return [x * by + plus for x in xs]

    op = made(many, schema="(Tensor[] xs, float by=2.0, *, float plus=0.0) -> Tensor[]")
    x, one = torch.arange(3.0), torch.ones(())
    assert [t.tolist() for t in F.vmap(lambda v: tuple(op([v, one])))(x)] == [[0.0, 2.0, 4.0], [2.0, 2.0, 2.0]]
    seen = []
    op.register_vmap(lambda info, in_dims, xs, **kw: (seen.append((in_dims, kw)) or op(xs, **kw), [0, None]))
    first, second = F.vmap(lambda v: tuple(op([v, one], plus=1.0)), out_dims=(0, None))(x)
    assert first.tolist() == [1.0, 3.0, 5.0] and second.item() == 3.0
    assert seen == [(([0, None],), {"plus": 1.0})]  # what equals its default is left out
    op.register_vmap(lambda info, in_dims, xs: op(xs))
    with pytest.raises(RuntimeError, match=r"the vmap rule of here::f should return a tuple \(output, out_dims\)"):
        F.vmap(lambda v: tuple(op([v])))(x)
    op.register_vmap(lambda info, in_dims, xs: (op(xs), (0, 0, 0)))
    with pytest.raises(ValueError, match="which is not like its output"):
        F.vmap(lambda v: tuple(op([v])))(x)


def test_changes_of_each_element_of_a_batch() -> None:
    def add(x: Tensor, by: Tensor) -> None:
        x.add_(by)

    grow = made(add, "grow", {"x"}, schema="(Tensor(a!) x, Tensor by) -> ()")
    x = torch.zeros(2, 3)
    assert F.vmap(lambda v, by: (grow(v, by), v.clone())[1])(x, torch.arange(2.0)).tolist() == [[0] * 3, [1] * 3]
    assert x.tolist() == [[0] * 3, [1] * 3]


def test_autocast() -> None:
    op = made(lambda x, y: (x + 1, torch.mm(x, y).dtype is torch.float16), "g",
              schema="(Tensor x, Tensor y) -> (Tensor, bool)")  # fmt: skip
    op.register_autocast("cpu", torch.float16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, inside = op(torch.ones(1, 1), torch.ones(1, 1))
        assert y.dtype is torch.float16 and inside
        assert torch.mm(torch.ones(1, 1), torch.ones(1, 1)).dtype is torch.bfloat16
    assert op(torch.ones(1, 1), torch.ones(1, 1))[0].dtype is torch.float32


def test_rules_that_have_no_place_here() -> None:
    with pytest.raises(NotImplementedError, match="there is no __torch_dispatch__"):
        made(cube).register_torch_dispatch(Tensor, lambda *args: None)
    with pytest.raises(NotImplementedError, match="hint: nearest is torch.library.custom_op"):
        torch.library.triton_op  # noqa: B018


# ---------------------------------------------------------------------------------------------- __torch_function__


def test_arguments_and_modes_take_operators_over() -> None:
    op = made(cube)
    told = []

    class Told(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            told.append(str(func))
            return super().__torch_function__(func, types, args, kwargs)

    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            told.append(f"mode {func}")
            return func(*args, **(kwargs or {}))

    x = torch.ones(2).as_subclass(Told)
    calls = [op, torch.ops.here.f, torch.ops.here.f.default, torch.ops.aten.relu, torch.ops.aten.relu.default]
    assert [type(f(x)) for f in calls] == [Told] * 5
    assert told == ["here.f.default", "here.f", "here.f.default", "aten.relu", "aten.relu.default"]
    plain = torch.ones(2)
    told.clear()
    with Mode():
        torch.ops.aten.relu(plain)
        op(plain)
    assert told[0] == "mode aten.relu" and "mode here.f.default" in told


# ---------------------------------------------------------------------------------------------- torch.compile


@pytest.mark.parametrize("called", ["definition", "packet"])
def test_compiled_functions_may_call_operators(called: str) -> None:
    """As in PyTorch's graphs, the kernel runs at every call; `fullgraph` is content."""
    calls = []
    op = made(lambda x: calls.append(1) or cube(x), schema="(Tensor x) -> Tensor")
    chosen = op if called == "definition" else torch.ops.here.f
    compiled = torch.compile(lambda x: chosen(x * 2).sum(), fullgraph=True)
    assert [compiled(torch.full((2,), v)).item() for v in (1.0, 2.0, 1.0)] == [16.0, 128.0, 16.0] and len(calls) == 3
    looks = torch.compile(lambda x: chosen(x) * x.sum().item(), fullgraph=True)
    assert looks(torch.ones(1)).item() == 1.0
    before = torch.compile(lambda x: chosen(x * x.sum().item()), fullgraph=True)
    with pytest.raises(RuntimeError, match="a tensor's numbers are read"):
        before(torch.ones(1))
