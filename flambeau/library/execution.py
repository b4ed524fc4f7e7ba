"""Running an operator's kernel: which one, what it changes in place, what it may return."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flambeau import _api as torch
from flambeau._core.sites import user_site
from flambeau._ir.program import note_changes

if TYPE_CHECKING:
    from flambeau.library.operators import OpOverload
    from flambeau.library.schema import Schema


def run(op: OpOverload, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Call the kernel, and check its result."""
    schema = op._schema
    kernel = op.kernel("cpu" if schema.takes_tensors else device_of([*args, *kwargs.values()]))
    if schema.is_mutable:
        for value in written(schema, args, kwargs):
            count_change(value)
    given, named = schema.trimmed(args, kwargs)
    result = kernel(*given, **named)
    if op.check is not None:
        op.check(op, result, given, named)
    return schema.returned(result)


def device_of(values: list[Any]) -> str:
    """Whose kernel is asked for where there are no tensors: the device's that is an argument."""
    return next((v.type for v in values if isinstance(v, torch.device)), "cpu")


def written(schema: Schema, args: list[Any], kwargs: dict[str, Any]) -> list[Any]:
    """The arguments that are changed in place."""
    found = [a for a, known in zip(args, schema.positional, strict=True) if known.is_write]
    return found + [kwargs[known.name] for known in schema.keywords if known.is_write]


def count_change(value: Any) -> None:
    """A tensor, or a list of them, counts as changed in place: what saved it for a gradient will notice."""
    for t in tensors_in([value]):
        if not t._silent:
            note_changes(t._storage, 1, user_site(2))


def tensors_in(values: Any) -> Iterator[Any]:
    """The tensors among values, and in lists and tuples of them."""
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from tensors_in(value)
