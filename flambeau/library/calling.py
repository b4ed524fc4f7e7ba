"""A call of an operator, after its arguments are bound: `vmap`, autocast, gradients, the kernel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flambeau import _api as torch
from flambeau._engine.window import state
from flambeau._ops.lowering import precision
from flambeau._tensor.autocasting import set_enabled
from flambeau._tensor.batched import BatchedTensor
from flambeau.library import batching, gradients
from flambeau.library.execution import run, tensors_in
from flambeau.library.tags import Tag

if TYPE_CHECKING:
    from flambeau.library.operators import OpOverload

IN_AUTOGRAD = ("AutogradCPU", "Autograd")  # kernels that see to gradients themselves


def call(op: OpOverload, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """The result of an operator for bound arguments."""
    state.window.unseen(op.called, in_graph=True)
    tensors = list(tensors_in([*args, *kwargs.values()]))
    level = max([t.level for t in tensors if isinstance(t, BatchedTensor)], default=0)
    if level:
        return batching.over_batch(op, args, kwargs, level)
    dtype = op.autocast.get("cpu") if precision.enabled else None
    if dtype is not None:
        with without_autocast():
            return call(op, [cast(a, dtype) for a in args], {name: cast(a, dtype) for name, a in kwargs.items()})
    for key in IN_AUTOGRAD:
        if key in op.kernels:
            given, named = op._schema.trimmed(args, kwargs)
            return op._schema.returned(op.kernels[key](*given, **named))
    if op.formula is None:
        return run(op, args, kwargs)
    if not torch.is_grad_enabled() or not any(t.requires_grad for t in tensors):
        return below_autograd(op, args, kwargs)
    if Tag.out in op.tags:
        raise RuntimeError(
            f"{op.overloadpacket.__name__}(): functions with out=... arguments don't support automatic "
            "differentiation, but one of the arguments requires grad."
        )
    return gradients.applied(op, args, kwargs)


def below_autograd(op: OpOverload, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """The kernel's result, without a history: what it does inside is no part of the graph."""
    with torch.no_grad():
        return run(op, args, kwargs)


def cast(value: Any, dtype: Any) -> Any:
    """Floating-point tensors, also in lists, in another dtype; other things as they are."""
    if isinstance(value, list):
        return [cast(v, dtype) for v in value]
    is_floating = isinstance(value, torch.Tensor) and value.is_floating_point() and value.dtype is not torch.float64
    return value.to(dtype) if is_floating else value


@contextmanager
def without_autocast() -> Iterator[None]:
    """Inside, mixed precision is off."""
    set_enabled(False)
    try:
        yield
    finally:
        set_enabled(True)
