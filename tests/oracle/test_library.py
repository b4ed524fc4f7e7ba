"""`torch.library`, `torch.ops` and `torch.compiler` beside PyTorch: each probe is run by both, and must give the same
values, or fail with the same kind of exception."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, List, Optional, Tuple, Union  # noqa: UP035 (programs write them)

import numpy as np
import pytest

import flambeau

sys.path.insert(0, str(Path(__file__).parent))

from both import torch  # noqa: E402

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

_number = itertools.count()


def outcome(probe: Callable[[Any], Any], library: Any) -> Any:
    """What a probe gives, in terms of Python, or the built-in kind of its exception."""
    try:
        return plain(probe(library), library)
    except Exception as error:
        kinds = [k.__name__ for k in type(error).__mro__ if k.__module__ == "builtins"]
        return kinds[0], type(error).__name__ if type(error).__name__ == "OpCheckError" else ""


def plain(value: Any, library: Any) -> Any:
    if isinstance(value, library.Tensor):
        numbers = value.detach().double().tolist() if value.dtype.is_floating_point else value.tolist()
        return "tensor", str(value.dtype), tuple(value.stride()), np.round(numbers, 4).tolist(), value.requires_grad
    if isinstance(value, dict):
        return {k: plain(v, library) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [type(value).__name__ if type(value) in (list, tuple) else "tuple", *[plain(v, library) for v in value]]
    if isinstance(value, Exception):
        return outcome(lambda _: (_ for _ in ()).throw(value), library)[0]
    return value


def operator(library: Any, schema: str, kernel: Any, mutates: Any = (), **options: Any) -> Any:
    """An operator that nobody else has defined."""
    name = f"probe{next(_number)}::op"
    return library.library.custom_op(name, kernel, mutates_args=mutates, schema=schema, **options)


def scaled(library: Any) -> Any:
    return operator(library, "(Tensor x, SymInt n=2, *, float f=1.0, SymInt[]? l=None, str s='a') -> Tensor",
                    lambda x, n=2, *, f=1.0, l=None, s="a": x * n * f + len(l or [])  # noqa: E741
                    )  # fmt: skip


def cube(library: Any) -> Any:
    op = operator(library, "(Tensor x) -> Tensor", lambda x: x**3)
    op.register_autograd(
        lambda ctx, g: g * 3 * ctx.saved_tensors[0] ** 2,
        setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
    )
    op.register_fake(lambda x: x.new_empty(x.shape))
    op.register_vmap(lambda info, in_dims, x: (op(x), in_dims[0]))
    return op


def gradient(t: Any, op: Any, *args: Any) -> Any:
    x = t.tensor([1.0, 2.0], requires_grad=True)
    result = op(x, *args)
    return result, t.autograd.grad((result[0] if isinstance(result, tuple) else result).sum(), x)


def lists(t: Any, backward: Any) -> Any:
    op = operator(t, "(Tensor[] xs, float[] ws, SymInt n=1) -> Tensor[]",
                  lambda xs, ws, n=1: [x * w for x, w in zip(xs, ws, strict=True)])  # fmt: skip
    op.register_autograd(backward, setup_context=lambda ctx, inputs, output: setattr(ctx, "given", len(inputs)))
    a, b = t.ones(2, requires_grad=True), t.ones(1)
    out = op([a, b], [2.0, 3.0])
    return out, t.autograd.grad(out[0].sum(), a)


def changed(t: Any, schema: str, kernel: Any, mutates: Any, x: Any) -> Any:
    operator(t, schema, kernel, mutates)(x)
    return x, x._version


def add_one(x: Any) -> None:
    x.add_(1)


def saved_then_changed(t: Any) -> Any:
    x = t.ones(2, requires_grad=True)
    y = x.exp()
    operator(t, "(Tensor(a!) x) -> ()", add_one, {"x"})(y)
    return t.autograd.grad(y.sum(), x)


def defined(t: Any, schema: str, kernel: Any, key: str = "") -> Any:
    space = f"probe{next(_number)}"
    library = t.library.Library(space, "FRAGMENT")
    KEPT.append(library)
    name = library.define(schema)
    library.impl(schema.partition("(")[0], kernel, key)
    return getattr(getattr(t.ops, space), name)


KEPT: list[Any] = []


def checked(t: Any, kernel: Any, fake: Any, x: Any, schema: str = "(Tensor x) -> Tensor") -> Any:
    op = operator(t, schema, kernel, {"x"} if "!" in schema else ())
    if fake is not None:
        op.register_fake(fake)
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    return t.library.opcheck(op, (x,), test_utils=tests, raise_exception=False)


def disabled(t: Any, fullgraph: bool) -> Any:
    t.compiler.reset()
    left = t.compiler.disable(lambda x: (x + 1, t.compiler.is_compiling()))
    return t.compile(lambda x: left(x), backend="eager", fullgraph=fullgraph)(t.ones(2))


def under(t: Any, stance: str) -> Any:
    function = t.compile(lambda x: (x + 1, t.compiler.is_compiling()), backend="eager")
    first = function(t.ones(2))
    with t.compiler.set_stance(stance):
        return first, function(t.ones(2)), function(t.ones(2, dtype=t.int64))


PROBES: dict[str, Callable[[Any], Any]] = {
    "call": lambda t: scaled(t)(t.ones(2)),
    "call: keywords": lambda t: scaled(t)(x=t.ones(2), n=3, f=2, l=(1, 2)),
    "call: a bool for an int": lambda t: scaled(t)(t.ones(2), True),
    "call: a tensor for an int": lambda t: scaled(t)(t.ones(2), t.tensor(3)),
    "call: NumPy's numbers": lambda t: scaled(t)(t.ones(2), np.int64(3), f=np.float64(2)),
    "call: a float for an int": lambda t: scaled(t)(t.ones(2), 2.5),
    "call: nothing": lambda t: scaled(t)(),
    "call: too much": lambda t: scaled(t)(t.ones(2), 2, 3),
    "call: an unknown keyword": lambda t: scaled(t)(t.ones(2), z=3),
    "call: a keyword twice": lambda t: scaled(t)(t.ones(2), x=3),
    "call: no tensor": lambda t: scaled(t)(3),
    "call: a number for a list": lambda t: scaled(t)(t.ones(2), l=3),
    "call: floats for integers": lambda t: scaled(t)(t.ones(2), l=[1.5]),
    "call: a number for a string": lambda t: scaled(t)(t.ones(2), s=3),
    "names": lambda t: (str(t.ops.probe), scaled(t)._opoverload.__name__, str(scaled(t)._opoverload._schema)[-20:])[1:],
    "no such operator": lambda t: t.ops.probe_nowhere.op,
    "no such overload": lambda t: defined(t, "f(Tensor x) -> Tensor", abs).other,
    "result: an alias": lambda t: operator(t, "(Tensor x) -> Tensor", lambda x: x)(t.ones(2)),
    "result: a view": lambda t: operator(t, "(Tensor x) -> Tensor", lambda x: x.view(-1))(t.ones(2, 2)),
    "result: a number": lambda t: operator(t, "(Tensor x) -> Tensor", lambda x: 3)(t.ones(2)),
    "result: two for one": lambda t: operator(t, "(Tensor x) -> Tensor", lambda x: (x + 1, x + 2))(t.ones(2)),
    "result: one for two": lambda t: operator(t, "(Tensor x) -> (Tensor, Tensor)", lambda x: x + 1)(t.ones(2)),
    "result: something for nothing": lambda t: operator(t, "(Tensor x) -> ()", lambda x: 3)(t.ones(2)),
    "result: a float for an int": lambda t: operator(t, "(Tensor x) -> int", lambda x: 2.5)(t.ones(2)),
    "gradient": lambda t: gradient(t, cube(t)),
    "gradient: second": lambda t: t.autograd.gradgradcheck(cube(t), (t.ones(2, dtype=t.double).requires_grad_(),)),
    "gradient: none registered": lambda t: gradient(t, scaled(t)),
    "gradient: lists": lambda t: lists(t, lambda ctx, g: ([g[0] * ctx.given, None], None)),
    "gradient: lists of another length": lambda t: lists(t, lambda ctx, g: ([g[0]], None)),
    "gradient: in place": lambda t: operator(t, "(Tensor(a!) x) -> ()", add_one, {"x"}).register_autograd(abs),
    "changes": lambda t: changed(t, "(Tensor(a!) x) -> ()", add_one, {"x"}, t.zeros(2)),
    "changes: not told": lambda t: changed(t, "(Tensor x) -> ()", add_one, (), t.zeros(2)),
    "changes: of what was saved": saved_then_changed,
    "changes: schema and names differ": lambda t: operator(t, "(Tensor(a!) x) -> ()", add_one),
    "vmap": lambda t: t.vmap(cube(t), in_dims=1)(t.arange(6.0).reshape(2, 3)),
    "vmap: no rule": lambda t: t.vmap(scaled(t))(t.arange(6.0).reshape(2, 3)),
    "define: CPU": lambda t: gradient(t, defined(t, "f(Tensor x, int n=2) -> Tensor", lambda x, n=2: x * n, "CPU")),
    "define: implicit": lambda t: gradient(t, defined(t, "f(Tensor x) -> Tensor", lambda x: x * 5)),
    "define: overloads": lambda t: defined(t, "f.a(Tensor x) -> Tensor", lambda x: x + 1)(t.ones(1)),
    "define: no kernel": lambda t: defined(t, "f(Tensor x) -> Tensor", lambda x: x, "CUDA")(t.ones(1)),
    "define: unknown key": lambda t: defined(t, "f(Tensor x) -> Tensor", lambda x: x, "Other")(t.ones(1)),
    "define: no function": lambda t: defined(t, "f(Tensor x) -> Tensor", 3),
    "define: no schema": lambda t: defined(t, "f(Tensor x", abs),
    "opcheck": lambda t: checked(t, lambda x: x + 1, lambda x: t.empty_like(x), t.ones(2, 3)),
    "opcheck: mutation": lambda t: checked(t, lambda x: x.add_(1).exp(), lambda x: t.empty_like(x), t.ones(2)),
    "opcheck: a change that is told": lambda t: checked(t, add_one, None, t.ones(2), "(Tensor(a!) x) -> ()"),
    "opcheck: no fake": lambda t: checked(t, lambda x: x + 1, None, t.ones(2)),
    "opcheck: dtype": lambda t: checked(t, lambda x: x + 1, lambda x: x.new_empty(2, dtype=t.int64), t.ones(2)),
    "opcheck: shape": lambda t: checked(t, lambda x: x + 1, lambda x: x.new_empty(3), t.ones(2)),
    "opcheck: strides": lambda t: checked(t, lambda x: x + 1, lambda x: x.new_empty(2, 2).t(), t.ones(2, 2)),
    "opcheck: numbers": lambda t: checked(t, lambda x: x + 1, lambda x: x.new_empty(int(x[0])), t.ones(2)),
    "opcheck: raises": lambda t: t.library.opcheck(scaled(t), (t.ones(2),)),
    "opcheck: unknown test": lambda t: t.library.opcheck(scaled(t), (t.ones(2),), test_utils="test_other"),
    "opcheck: no operator": lambda t: t.library.opcheck(abs, (t.ones(2),)),
    "compile: a custom operator": lambda t: t.compile(cube(t), backend="eager", fullgraph=True)(t.ones(2)),
    "compile: disabled": lambda t: disabled(t, False),
    "compile: fullgraph and disabled": lambda t: disabled(t, True),
    "compile: force_eager": lambda t: under(t, "force_eager"),
    "compile: eager_on_recompile": lambda t: under(t, "eager_on_recompile"),
    "compile: fail_on_recompile": lambda t: under(t, "fail_on_recompile"),
    "compile: asked outside": lambda t: (t.compiler.is_compiling(), t.compiler.is_exporting()),
    "compile: arrays": lambda t: t.compiler.wrap_numpy(lambda a, n: (np.sin(a), n, [a + 1]))(t.ones(2), 3),
}


@pytest.mark.parametrize("name", PROBES)
def test_the_same_happens(name: str) -> None:
    found, expected = outcome(PROBES[name], flambeau), outcome(PROBES[name], torch)
    assert found == expected


# ---------------------------------------------------------------------------------------------- schemas


def signatures(t: Any) -> list[Callable]:
    """Functions with annotations of all kinds."""
    Tensor, dtype, device = t.Tensor, t.dtype, t.device  # noqa: N806
    Number = Union[int, float, bool]  # noqa: N806, UP007

    def everything(x, y, z, w, n=3, f=2.0, b=True, s="q", d=t.float32, dev="cpu", u=1.5, *, li, ol=None, os=None): ...

    everything.__annotations__ = {
        "x": Tensor, "y": Optional[Tensor], "z": List[Tensor], "w": Sequence[Optional[Tensor]], "n": int,  # noqa: UP006, UP045
        "f": float, "b": bool, "s": str, "d": dtype, "dev": device, "u": Number, "li": list[int],
        "ol": list[float] | None, "os": Optional[str], "return": Tuple[Tensor, int, List[Tensor], Number],  # noqa: UP006, UP045
    }  # fmt: skip
    found = [everything]
    annotations = (
        Tensor, Optional[Tensor], list[Tensor], list[Optional[Tensor]], Optional[list[Tensor]], int, list[int],  # noqa: UP045
        Optional[list[int]], list[Optional[int]], str, list[str], Number, Optional[Number], list[Number], dtype,  # noqa: UP045
        Optional[device], list[dtype], dict, tuple[int, int], Any,  # noqa: UP045
    )  # fmt: skip
    returns = (None, Tensor, list[Tensor], int, float, bool, Number, tuple[Tensor], tuple[Tensor, list[Tensor]], str,
               Optional[Tensor], dict)  # noqa: UP045  # fmt: skip
    for annotation, result in itertools.zip_longest(annotations, returns, fillvalue=Tensor):

        def function(x): ...

        function.__annotations__ = {"x": annotation, "return": result}
        found.append(function)
    return found


@pytest.mark.parametrize("mutates", [(), ("x",), "unknown", ("nowhere",)])
def test_inferred_schemas(mutates: Any) -> None:
    for here, there in zip(signatures(flambeau), signatures(torch), strict=True):
        found, expected = [
            outcome(lambda t, f=f: t.library.infer_schema(f, mutates_args=mutates, op_name="f"), library)
            for f, library in ((here, flambeau), (there, torch))
        ]
        assert found == expected, there.__annotations__


# ---------------------------------------------------------------------------------------------- torch.ops.aten

CALLS = """
a.add.Tensor(x, y, alpha=2) | a.sum.dim_IntList(x, [0], True) | a.mean.dim(x, [1]) | a.max.dim(x, 1)
a.var.correction(x, [1], correction=0, keepdim=True) | a.softmax.int(x, 1) | a.gelu(x, approximate='tanh')
a.native_layer_norm(x, [4], v, v, 1e-5) | a.addmm(b, x, w.t()) | a.embedding(w, i) | a.select.int(x, 0, 1)
a.view(x, [6, 2]) | a.permute(x, [1, 0]) | a.expand(x.unsqueeze(0), [2, 3, 4]) | a.clamp(x, 0, 1)
a.where.self(x > 0, x, y) | a.scatter_add(x, 0, torch.zeros(1, 4, dtype=torch.int64), y) | a.relu_(x.clone())
a.leaky_relu(x, 0.1) | a.dropout(x, 0.5, False) | a.pow.Scalar(2, x) | a.div.Tensor_mode(x, y, rounding_mode='floor')
a.rsub.Scalar(x, 1) | a.topk(x, 2) | a.sort.stable(x, stable=True, dim=1, descending=True) | a.prod.dim_int(x, 1)
a.linalg_vector_norm(x, 2, [1]) | a.fft_fft(x).real | a.special_erf(x) | a.masked_fill.Scalar(x, x > 0, 7.0)
a.split_with_sizes(x, [1, 3], 1)[1] | a.squeeze.dim(x[None], 0) | a.full([2], 3.0) | a.arange.start_step(1, 9, 2)
a.copy_(torch.zeros(3, 4), y) | a.mul.out(x, y, out=torch.zeros(3, 4)) | a.add(self=x, other=y)
a.mse_loss(x, y, 0) | a.nll_loss(x, c, None, 0, 1) | a.smooth_l1_loss(x, y, 0, 0.5) | a.huber_loss(x, y, 0, 0.5)
a.binary_cross_entropy(p, p, None, 2) | a.kl_div(x, p, 2, log_target=True) | a.multi_margin_loss(x, c, 1, 1.0, None, 0)
a.poisson_nll_loss(x, p, True, False, 1e-8, 2) | a.triplet_margin_loss(x, y, p, 1.0, 2.0, 1e-6, False, 0)
a.addd(x) | a.add.Tensorr(x, y)
"""


@pytest.mark.parametrize("call", [part.strip() for line in CALLS.splitlines() for part in line.split(" | ") if part])
def test_operations_of_aten(call: str) -> None:
    def probe(t: Any) -> Any:
        x, y = (t.arange(12.0) - 5.3).reshape(3, 4), (t.arange(12.0) * 0.3 - 1).reshape(3, 4)
        names = {"a": t.ops.aten, "torch": t, "x": x, "y": y, "p": x.sigmoid(), "v": t.arange(4.0), "b": t.arange(5.0)}
        names |= {"w": t.arange(20.0).reshape(5, 4) / 7, "i": t.tensor([2, 0]), "c": t.tensor([0, 1, 2])}
        return eval(call, names)

    assert outcome(probe, flambeau) == outcome(probe, torch)
