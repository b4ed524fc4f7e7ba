"""Gradients of operators by the formula that `register_autograd` gives: an `autograd.Function` whose forward is the
operator's kernel. Arguments and results may be lists of tensors, which the graph knows one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from flambeau import _api as torch
from flambeau.autograd.function import Function
from flambeau.library.execution import run

if TYPE_CHECKING:
    from flambeau.library.operators import OpOverload


class Formula(NamedTuple):
    """`backward(ctx, *grads)` and `setup_context(ctx, inputs, output)`; without the former, backward is an error."""

    backward: Callable | None = None
    setup_context: Callable | None = None


class Call:
    """What the nodes of one call know of it: the operator, how many tensors each argument is (None for one that is no
    list of them), the keyword-only arguments; later the same of the results."""

    def __init__(self, op: OpOverload, args: list[Any], kwargs: dict[str, Any]) -> None:
        self.op = op
        self.kwargs = kwargs
        given, _ = op._schema.trimmed(args, kwargs)
        self.left_out = args[len(given) :]  # by the caller: equal to their defaults
        self.inputs = [counted(a) for a in given]
        self.outputs: list[int | None] = []
        self.result_type: type | None = None  # of several results


def applied(op: OpOverload, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """The operator's result, as part of the graph."""
    call = Call(op, args, kwargs)
    given = args[: len(call.inputs)]
    results = nested(function_of(op).apply(*flat(given), call), call.outputs)
    return call.result_type(results) if call.result_type else results[0] if results else None


def function_of(op: OpOverload) -> type[Function]:
    """The operator as a Function, made at its first use."""
    found = op.__dict__.get("function")
    if found is None:
        name = f"GeneratedBackwardFor_{op.namespace}_{op.overloadpacket.__name__}_{op._overloadname}"
        found = op.function = type(name, (OperatorFunction,), {"__module__": __name__})  # type: ignore[attr-defined]
    return found


class OperatorFunction(Function):
    """An operator; its last argument is the Call."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[Any, ...]:
        call: Call = given[-1]
        ctx._call = call
        args, schema = nested(given[:-1], call.inputs), call.op._schema
        ctx.needs_input_grad = tuple(nested(ctx.needs_input_grad[:-1], call.inputs))
        complete = [*args, *call.left_out]
        result = run(call.op, complete, call.kwargs)
        formula = call.op.formula
        if formula is not None and formula.setup_context is not None:
            named = {"keyword_only_inputs": call.kwargs} if schema.keywords else {}
            formula.setup_context(ctx=ctx, inputs=tuple(complete), output=result, **named)
        results = result if type(result) is tuple else () if result is None else (result,)
        call.result_type = tuple if type(result) is tuple else None
        call.outputs = [counted(r) for r in results]
        return tuple(flat(results))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        call: Call = ctx._call
        formula = call.op.formula
        if formula is None or formula.backward is None:
            raise RuntimeError(
                f"Trying to backward through {call.op} but no autograd formula was registered. Please use "
                "register_autograd to add one."
            )
        found = formula.backward(ctx, *nested(grads, call.outputs))
        flattened = flat_gradients(call.op, found if isinstance(found, tuple) else (found,), call.inputs)
        return *flattened, None  # for the Call


# ---------------------------------------------------------------------------------------------- lists of tensors


def counted(value: Any) -> int | None:
    """How many tensors a list of them holds; None for anything else."""
    is_list = isinstance(value, (list, tuple)) and all(isinstance(v, torch.Tensor) for v in value)
    return len(value) if is_list else None


def flat(values: Iterable[Any]) -> list[Any]:
    """The values, with lists of tensors taken apart."""
    return [v for value in values for v in (value if counted(value) is not None else (value,))]


def nested(leaves: Iterable[Any], counts: Iterable[int | None]) -> list[Any]:
    """What was flat as it was before."""
    rest = iter(leaves)
    return [next(rest) if count is None else [next(rest) for _ in range(count)] for count in counts]


def flat_gradients(op: OpOverload, grads: tuple[Any, ...], counts: list[int | None]) -> list[Any]:
    """What a formula returned, one gradient for each tensor; RuntimeError where it is not like the inputs."""
    if len(grads) < len(counts) or any(g is not None for g in grads[len(counts) :]):
        raise RuntimeError(
            f"the autograd formula of {op} returned an incorrect number of gradients (expected {len(counts)}, got "
            f"{len(grads)}): one for each argument, None for what is no tensor"
        )
    found: list[Any] = []
    for i, (grad, count) in enumerate(zip(grads, counts, strict=False)):
        if count is None:
            found.append(grad)
        elif grad is None:
            found += [None] * count
        elif isinstance(grad, (list, tuple)) and len(grad) == count:
            found += grad
        else:
            what = f"a {type(grad).__name__}" + (f" of {len(grad)}" if isinstance(grad, (list, tuple)) else "")
            raise RuntimeError(
                "Expected the return from backward to be of the same structure as the inputs. Got: "
                f"{what} (return from backward) where input {i} is a list of {count} tensors"
            )
    return found
