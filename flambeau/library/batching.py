"""Operators inside `vmap`: by the rule that `register_vmap` gives, else one element of the batch after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau._core.trees import broadcast, flatten, unflatten
from flambeau._tensor.batched import by_loop
from flambeau._tensor.batched_functions import by_own_rule

if TYPE_CHECKING:
    from flambeau.library.operators import OpOverload


def over_batch(op: OpOverload, args: list[Any], kwargs: dict[str, Any], level: int) -> Any:
    """The operator's result for arguments of which some are batched at this level."""
    given, named = op._schema.trimmed(args, kwargs)
    leaves, form = flatten(given)
    shapes: list[Any] = []  # of the result

    def by_rule(info: Any, in_dims: tuple, *values: Any) -> tuple[tuple, tuple]:
        assert op.vmap_rule is not None
        dims = tuple(unflatten(in_dims, form))
        found = op.vmap_rule(info, dims, *unflatten(values, form), **named)
        if not isinstance(found, tuple) or len(found) != 2:
            raise RuntimeError(
                f"the vmap rule of {op.name()} should return a tuple (output, out_dims), got {type(found).__name__}"
            )
        result, out_dims = found
        results, shape = flatten(result)
        targets = broadcast(out_dims, result)
        if targets is None:
            raise ValueError(
                f"the vmap rule of {op.name()} returned out_dims={out_dims}, which is not like its output: one number, "
                "or None, for each tensor"
            )
        shapes.append(shape)
        return tuple(results), tuple(targets)

    def one(*values: Any) -> tuple:
        results, shape = flatten(op(*unflatten(values, form), **named))
        shapes.append(shape)
        return tuple([r for r in results if r is not None])

    if op.vmap_rule is not None:
        return unflatten(by_own_rule(by_rule, tuple(leaves), level), shapes[0])
    found = by_loop(one, tuple(leaves), level)
    return unflatten(found, shapes[0]) if found else None
