"""Running an operator's kernel: which one, what it changes in place, what it may return."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flambeau import _api as torch
from flambeau._core.sites import user_site
from flambeau._ir.program import note_changes

if TYPE_CHECKING:
    from flambeau.library.operators import OpOverload


def run(op: OpOverload, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Call the kernel, and check its result."""
    schema = op._schema
    kernel = op.kernel(device_of(op, args, kwargs))
    for value in [a for a, known in zip(args, schema.positional, strict=True) if known.is_write]:
        count_change(value)
    for known in schema.keywords:
        if known.is_write:
            count_change(kwargs[known.name])
    given, named = schema.trimmed(args, kwargs)
    result = kernel(*given, **named)
    if op.check is not None:
        op.check(op, result, given, named)
    return schema.returned(result)


def device_of(op: OpOverload, args: list[Any], kwargs: dict[str, Any]) -> str:
    """Whose kernel is asked for: that of the CPU, unless there are no tensors and an argument names another device."""
    schema = op._schema
    if any(a.type.base == "Tensor" for a in schema.arguments):
        return "cpu"
    values = [*args, *[kwargs[a.name] for a in schema.keywords]]
    devices = [v for v in values if isinstance(v, torch.device)]
    return devices[0].type if devices else "cpu"


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
