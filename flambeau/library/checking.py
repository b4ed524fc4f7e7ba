"""`opcheck`: is an operator what its registrations say?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau import _api as torch
from flambeau import compiling, testing
from flambeau._core.errors import explain
from flambeau._core.trees import flatten, mapped
from flambeau.library.aten import TableOverload, TablePacket
from flambeau.library.custom_op import CustomOpDef
from flambeau.library.execution import tensors_in, written
from flambeau.library.faking import fake_results
from flambeau.library.operators import OpOverload, OpOverloadPacket
from flambeau.library.registering import overload_of


class OpCheckError(Exception):
    """A test of `opcheck` failed."""


def opcheck(
    op: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None = None,
    *,
    test_utils: str | Sequence[str] = (
        "test_schema",
        "test_autograd_registration",
        "test_faketensor",
        "test_aot_dispatch_dynamic",
    ),
    raise_exception: bool = True,
    atol: float | None = None,
    rtol: float | None = None,
) -> dict[str, Any]:
    """Run an operator on sample arguments, and compare what it does with what is registered for it.

    Args:
        op: what `custom_op` made, or an operator of `torch.ops`.
        args, kwargs: the sample arguments; tensors that require grad to have gradients tested.
        test_utils: the tests, one or several of
            "test_schema": no argument changes, and no result shares memory with one, unless the schema says so;
            "test_autograd_registration": results have a history only by a registered gradient;
            "test_faketensor": there is a fake impl, and its results have the dtype, shape and strides of the kernel's;
            "test_aot_dispatch_dynamic" ("test_aot_dispatch_static" is the same): results and gradients under
            `torch.compile` are those without.
        raise_exception: raise the first failure. Default: True.
        atol, rtol: how far numbers may be apart, as in `torch.testing.assert_close`.

    Returns:
        "SUCCESS" for each test, or the exception by which it failed.

    Raises:
        OpCheckError: for a test that failed, with `raise_exception`.
        ValueError: for an unknown test, and for what is no operator.

    Example::

        >>> import flambeau as torch
        >>> def grown(x: torch.Tensor) -> torch.Tensor:
        ...     x += 1
        ...     return x.exp()
        >>> op = torch.library.custom_op("example::grown", grown, mutates_args=())
        >>> opcheck(op, (torch.zeros(2),), test_utils="test_schema", raise_exception=False)
        {'test_schema': RuntimeError('Argument x is not defined as mutable but was mutated')}
    """
    known = _operator(op)
    names = (test_utils,) if isinstance(test_utils, str) else tuple(test_utils)
    if not set(names) <= set(TESTS):
        raise ValueError(
            f"opcheck(op, ..., test_utils={names}), expected test_utils to be subset of {tuple(TESTS)} but it was not"
        )
    found: dict[str, Any] = {}
    for name in names:
        sample = Sample(known, args, kwargs or {}, {"atol": atol, "rtol": rtol})
        try:
            TESTS[name](sample)
            found[name] = "SUCCESS"
        except Exception as error:
            if raise_exception:
                raise OpCheckError(f"opcheck(op, ...): {name} failed with {error}") from error
            found[name] = error
    return found


def _operator(op: Any) -> OpOverload:
    if isinstance(op, (TableOverload, TablePacket)):
        raise NotImplementedError(
            explain(
                f"opcheck of {op}: nothing is registered for an operation of the package itself",
                hint="opcheck is for operators of custom_op and torch.library.define",
            )
        )
    if isinstance(op, OpOverloadPacket) and len(op.forms) == 1:
        (op,) = op.forms.values()
    if isinstance(op, str) or not isinstance(op, OpOverload | CustomOpDef):
        raise ValueError(
            f"opcheck(op, ...): op must be an operator, e.g. torch.ops.mylib.sin.default, or what custom_op made, got "
            f"{type(op)}"
        )
    return overload_of(op)


class Sample:
    """An operator, and arguments to try it with: bound, and copied for each call."""

    def __init__(self, op: OpOverload, args: tuple, kwargs: dict[str, Any], tolerance: dict[str, Any]) -> None:
        self.op = op
        self.schema = op._schema
        self.args, self.kwargs = self.schema.bind(args, kwargs)
        self.tolerance = tolerance
        self.wants_grad = any(t.requires_grad for t in tensors_in([*args, *kwargs.values()]))

    def copies(self) -> tuple[list[Any], dict[str, Any]]:
        """Arguments with tensors of their own."""
        return mapped(_copy, self.args), mapped(_copy, self.kwargs)

    def named(self, args: list[Any], kwargs: dict[str, Any]) -> list[tuple[Any, Any]]:
        """Pairs of a parameter and its argument."""
        given = [*args, *[kwargs[a.name] for a in self.schema.keywords]]
        return list(zip([*self.schema.positional, *self.schema.keywords], given, strict=True))


def _copy(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return value.detach().clone().requires_grad_(value.requires_grad)


def test_schema(sample: Sample) -> None:
    """What changes, and what shares memory, is what the schema says."""
    args, kwargs = sample.copies()
    before = [[t.detach().clone() for t in tensors_in([a])] for _, a in sample.named(args, kwargs)]
    with torch.no_grad():
        result = sample.op(*args, **kwargs)
    results = list(result) if isinstance(result, tuple) else [result]
    for (known, given), former in zip(sample.named(args, kwargs), before, strict=True):
        tensors = list(tensors_in([given]))
        changed = any(not _same(t, f) for t, f in zip(tensors, former, strict=True))
        if changed and not known.is_write:
            raise RuntimeError(f"Argument {known.name} is not defined as mutable but was mutated")
        memory = {id(t._storage) for t in tensors}
        for returned, value in zip(sample.schema.returns, results, strict=False):
            shares = any(id(t._storage) in memory for t in tensors_in([value]))
            own, its = known.alias_info, returned.alias_info
            if shares and not (own and its and own.before_set & its.before_set):
                raise RuntimeError(f"Argument {known.name} is not defined to alias output but was aliasing")


def _same(a: Any, b: Any) -> bool:
    """Are these the same numbers, NaN included?"""
    return bool(torch.isclose(a.detach(), b, rtol=0, atol=0, equal_nan=True).all())


def test_autograd_registration(sample: Sample) -> None:
    """A history comes from a formula, from a kernel for "Autograd", or from one whose operations carry it."""
    op = sample.op
    if not sample.wants_grad or op.formula is not None:
        return
    if {"Autograd", "AutogradCPU", "CompositeImplicitAutograd"} & op.kernels.keys():
        return
    args, kwargs = sample.copies()
    given = {id(t) for t in tensors_in([*args, *kwargs.values()])}
    if any(t.requires_grad and id(t) not in given for t in tensors_in([op(*args, **kwargs)])):
        raise AssertionError(
            explain(
                f"{op.name()}: at least one output of this operator has requires_grad=True but the operator does not "
                "have an autograd kernel defined at an autograd key (e.g. DispatchKey::Autograd)",
                hint="torch.library.register_autograd registers a gradient; a kernel that is differentiated through "
                'its operations is registered without a key, or for "CompositeImplicitAutograd"',
            )
        )


def test_faketensor(sample: Sample) -> None:
    """The fake results look like the kernel's."""
    op = sample.op
    fake = op.fake or op.kernels.get("Meta")
    if fake is None:
        if sample.schema.is_mutable and not sample.schema.returns:
            return
        raise RuntimeError(
            f"There was no fake impl registered for {op.definition or op}. Please use register_fake to add one."
        )
    args, kwargs = sample.copies()
    faked = fake_results(fake, *sample.schema.trimmed(args, kwargs))
    args, kwargs = sample.copies()
    with torch.no_grad():
        real, _ = flatten(op(*args, **kwargs))
    columns = [flatten(f)[0] for f in faked]
    for column in columns:
        if len(column) != len(real):
            raise RuntimeError(f"the fake impl of {op} returns {len(column)} values, the kernel {len(real)}")
    for result, *alike in zip(real, *columns, strict=True):
        if isinstance(result, torch.Tensor):
            _compare_layout(op, result, alike)


def _compare_layout(op: OpOverload, real: Any, fakes: list[Any]) -> None:
    """RuntimeError where the results of fake calls differ from the real one, unless they differ among each other: that
    is a dynamic size."""
    where = f"When comparing the output of {op} on FakeTensor and concrete Tensors, found mismatched tensor metadata"
    if not all(isinstance(f, torch.Tensor) for f in fakes):
        raise RuntimeError(f"{where}: the fake impl returns {type(fakes[0]).__name__} for a tensor")
    first = fakes[0]
    if first.dtype is not real.dtype:
        raise RuntimeError(f"{where}: Dtypes {real.dtype} and {first.dtype} are not equal!")
    if first.dim() != real.dim() or any(
        len(set(sizes)) == 1 and sizes[0] != size
        for size, sizes in zip(real.shape, zip(*[f.shape for f in fakes], strict=True), strict=True)
    ):
        raise RuntimeError(f"{where}: Shapes {real.shape} and {first.shape} are not equal!")
    if len({f.stride() for f in fakes}) == 1 and any(
        mine != its for n, mine, its in zip(real.shape, real.stride(), first.stride(), strict=True) if n > 1
    ):
        raise RuntimeError(f"{where}: Stride mismatch! Strides are {real.stride()} and {first.stride()}")


def test_compiled(sample: Sample) -> None:
    """Results and gradients of the operator under `torch.compile` are those without."""
    test_faketensor(sample)
    plain = _outcome(sample, sample.op)
    compiled = _outcome(sample, compiling.compile(lambda *args, **kwargs: sample.op(*args, **kwargs), fullgraph=True))
    testing.assert_close(compiled, plain, equal_nan=True, **sample.tolerance)


def _outcome(sample: Sample, function: Callable) -> list[Any]:
    """The tensors that a call gives and changes, and the gradients of its arguments."""
    args, kwargs = sample.copies()
    result = function(*args, **kwargs)
    wanted = [t for t in tensors_in([*args, *kwargs.values()]) if t.requires_grad]
    made = [t for t in tensors_in([result]) if t.requires_grad and t.dtype.is_floating_point]
    if wanted and made:
        torch.autograd.backward([t.sum() for t in made])
    grads = [t.grad for t in wanted if t.grad is not None]
    changed = tensors_in(written(sample.schema, args, kwargs))
    return [*[t.detach() for t in [*tensors_in([result]), *changed]], *grads]


TESTS: dict[str, Callable[[Sample], None]] = {
    "test_schema": test_schema,
    "test_autograd_registration": test_autograd_registration,
    "test_faketensor": test_faketensor,
    "test_aot_dispatch_static": test_compiled,
    "test_aot_dispatch_dynamic": test_compiled,
}
