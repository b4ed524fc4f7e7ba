"""What the results of an operator may share memory with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau._core.errors import explain
from flambeau.library.execution import tensors_in
from flambeau.library.tags import Tag

if TYPE_CHECKING:
    from flambeau.library.operators import OpOverload


def check_no_aliases(op: OpOverload, result: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
    """RuntimeError unless every tensor of the result has memory of its own."""
    seen = {id(t._storage) for t in tensors_in([*args, *kwargs.values()])}
    for t in tensors_in([result]):
        if id(t._storage) in seen:
            raise RuntimeError(
                explain(
                    f"{op.overloadpacket.__name__}: The output of this custom operator (1) must not also be an input "
                    "to this custom operator and (2) may not alias any inputs to it or other returns.",
                    hint="return a clone of what is returned as it came, x.clone()",
                )
            )
        seen.add(id(t._storage))


def check_returned(op: OpOverload, result: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
    """RuntimeError unless an operator tagged `inplace` or `out` returned the very tensors that it changed."""
    if Tag.inplace in op.tags:
        wanted, tag, what = args[:1], Tag.inplace, "its first argument"
    else:
        wanted = [kwargs[a.name] for a in op._schema.keywords if a.is_write]
        tag, what = Tag.out, "its mutable keyword-only arguments"
    found = list(result) if isinstance(result, tuple) else [result]
    if len(found) != len(wanted) or any(f is not w for f, w in zip(found, wanted, strict=True)):
        raise RuntimeError(f"{op.overloadpacket.__name__}: An operator tagged with torch.{tag} must return {what}.")
