"""Custom functions inside `vmap`: `autograd.Function` applied to a whole batch at once.

A function with `generate_vmap_rule` runs its own methods on batched tensors: it is lifted to a function of the values,
whose backward runs `setup_context` and `backward` of the original once more. A function with a `vmap` method says
itself what it does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from flambeau._tensor.batched import BatchedTensor, batch_size, is_batched, levels, spread, value_of
from flambeau._tensor.tensor import Tensor
from flambeau.autograd.function import Function, FunctionCtx


class VmapInfo(NamedTuple):
    """What a `vmap` method is told of the batch."""

    batch_size: int
    randomness: str


class _BatchContext(FunctionCtx):
    """A context whose tensors are batched; they are kept by the function of the values."""

    saved_tensors = property(lambda self: self._to_save)


def apply_to_batch(function: type[Function], args: tuple, level: int) -> Any:
    """The result of `function` for the batched among `args`; RuntimeError without support for vmap."""
    own_rule = getattr(function, "vmap", None)
    if own_rule is not None:
        return by_own_rule(own_rule, args, level)
    if not function.generate_vmap_rule or function.setup_context is None:
        raise RuntimeError(
            f"You tried to vmap over {function.__name__}, but it does not have vmap support. Please override and "
            "implement the vmap staticmethod or set generate_vmap_rule=True, with forward(*args) and setup_context()."
        )
    size = batch_size(args, level)
    return _wrapped(_lifted(function, [is_batched(a, level) for a in args], level, size)(args), level)


def _wrapped(result: Any, level: int) -> Any:
    several = isinstance(result, tuple)
    found = [BatchedTensor(r, level) if isinstance(r, Tensor) else r for r in (result if several else (result,))]
    return tuple(found) if several else found[0]


def by_own_rule(rule: Any, args: tuple, level: int) -> Any:
    """The result of `rule(info, in_dims, *values)`, which returns it with the places of its batch."""
    in_dims = tuple([0 if is_batched(a, level) else None for a in args])
    randomness = levels[level - 1].randomness if 0 < level <= len(levels) else "error"
    info = VmapInfo(batch_size(args, level), randomness)
    result, out_dims = rule(info, in_dims, *[value_of(a, level) for a in args])
    several = isinstance(result, tuple)
    results = result if several else (result,)
    dims = out_dims if isinstance(out_dims, tuple) else (out_dims,) * len(results)
    found = [
        r if dim is None or not isinstance(r, Tensor) else BatchedTensor(r.movedim(dim, 0), level)
        for r, dim in zip(results, dims, strict=True)
    ]
    return tuple(found) if several else found[0]


def _lifted(function: type[Function], batched: list[bool], level: int, size: int) -> Any:
    """`function` as a function of the values of its arguments, of which the `batched` ones have the batch in front."""

    def as_arguments(values: Any) -> list[Any]:
        return [BatchedTensor(v, level) if b else v for v, b in zip(values, batched, strict=True)]

    def whole(value: Any) -> Any:
        """A result for the whole batch, also where it does not depend on it."""
        if is_batched(value, level):
            return value.value
        return spread(value, size) if isinstance(value, Tensor) else value

    def context_of(values: Any, outputs: Any, several: bool, needs: Any) -> tuple[Any, Any]:
        """The original's context for these values, and its outputs."""
        inner, wrapped = _BatchContext(), _wrapped(tuple(outputs), level)
        inner.needs_input_grad = needs
        assert function.setup_context is not None
        function.setup_context(inner, tuple(as_arguments(values)), wrapped if several else wrapped[0])
        return inner, wrapped

    class Lifted(Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(*values: Any) -> Any:
            result = function.forward(*as_arguments(values))
            return tuple([whole(r) for r in result]) if isinstance(result, tuple) else whole(result)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple, output: Any) -> None:
            ctx.several = isinstance(output, tuple)
            outputs = output if ctx.several else (output,)
            kept = [*inputs, *outputs]
            ctx.save_for_backward(*[k if isinstance(k, Tensor) else None for k in kept])
            ctx.others = [None if isinstance(k, Tensor) else k for k in kept]
            inner, wrapped = context_of(inputs, outputs, ctx.several, ctx.needs_input_grad)
            ctx.set_materialize_grads(inner.materialize_grads)
            marked = [any(w is m for m in inner._non_differentiable) for w in wrapped]
            ctx.mark_non_differentiable(*[o for o, is_marked in zip(outputs, marked, strict=True) if is_marked])

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            kept = [o if t is None else t for t, o in zip(ctx.saved_tensors, ctx.others, strict=True)]
            values, outputs = kept[: len(batched)], kept[len(batched) :]
            inner, _ = context_of(values, outputs, ctx.several, ctx.needs_input_grad)
            found = function.backward(inner, *_wrapped(grads, level))
            found = found if isinstance(found, tuple) else (found,)
            return tuple([None if g is None else fitted(g, b) for g, b in zip(found, batched, strict=False)])

    def fitted(grad: Any, batched: bool) -> Any:
        """The gradient of a value; of one that is the same for the whole batch the sum."""
        if batched:
            return whole(grad)
        return grad.value.sum(0) if is_batched(grad, level) else grad * size

    return lambda args: Lifted.apply(*[value_of(a, level) for a in args])


def _apply_function(self: Any, function: type[Function], args: tuple) -> Any:
    """Apply a custom function to the whole batch."""
    return apply_to_batch(function, args, self.level)


BatchedTensor.apply_function = _apply_function  # type: ignore[method-assign]
