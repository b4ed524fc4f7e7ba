"""`custom_op`: an operator made from a Python function, and what may be registered for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from flambeau._replay.opaque import Opaque
from flambeau.library import dispatch_keys, operators, registering
from flambeau.library.aliasing import check_no_aliases, check_returned
from flambeau.library.gradients import Formula
from flambeau.library.inferring import infer_schema
from flambeau.library.schema import parse
from flambeau.library.tags import Tag, Tags, as_tags

Devices = str | Sequence[str] | None
log = logging.getLogger(__name__)


def custom_op(
    name: str,
    fn: Callable | None = None,
    /,
    *,
    mutates_args: str | Iterable[str],
    device_types: Devices = None,
    schema: str | None = None,
    tags: Tags = None,
) -> Any:
    """Make a function an operator: what it does inside is its own affair. It may call NumPy, or any library; operations
    inside are no part of the graph of gradients, `torch.compile(fullgraph=True)` does not mind it, and `vmap` calls it
    for each element of a batch or by a rule.

    Args:
        name: "namespace::name". The operator is `torch.ops.namespace.name`, too. An operator of that name is replaced.
        fn: the function, annotated as `infer_schema` wants it. Without it, `custom_op` is a decorator.
        mutates_args: the names of the arguments that the function changes in place, or "unknown". Changes count, so
            that a gradient which needs the former contents raises an error.
        device_types: the devices that the function is for, "cpu" for instance. Default: None, all.
        schema: the schema, such as "(Tensor x) -> Tensor". Default: None, read from the annotations.
        tags: `torch.Tag`s.

    Returns:
        A `CustomOpDef`, which is called as the function was.

    Raises:
        ValueError: for a name without a namespace, a signature that no schema can say, a schema that contradicts
            `mutates_args`.
        RuntimeError: at a call, for arguments or results that are not what the schema says, and for a result that
            shares memory with an argument or another result.

    Example::

        >>> import flambeau as torch
        >>> import numpy as np
        >>> @torch.library.custom_op("example::cube", mutates_args=())
        ... def cube(x: torch.Tensor) -> torch.Tensor:
        ...     return torch.from_numpy(x.numpy() ** 3)
        >>> cube.register_autograd(
        ...     lambda ctx, grad: grad * 3 * ctx.saved_tensors[0] ** 2,
        ...     setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
        ... )
        >>> x = torch.tensor([1., 2.], requires_grad=True)
        >>> cube(x).sum().backward()
        >>> x.grad
        tensor([ 3., 12.])
        >>> torch.ops.example.cube(torch.ones(2))
        tensor([1., 1.])
    """

    def made(function: Callable) -> CustomOpDef:
        namespace, short = operators.split(name)
        known = as_tags(tags)
        text = infer_schema(function, mutates_args=mutates_args, tags=known) if schema is None else schema
        op = CustomOpDef(namespace, short, text, function, known)
        if schema is not None:
            written = {a.name for a in op._opoverload._schema.arguments if a.is_write}
            if written != set(mutates_args):
                raise ValueError(
                    f"Attempted to create a custom op with `mutates_args={mutates_args}` and `schema={schema}`. The "
                    f"schema suggests that the op mutates {written or 'nothing'}, which is different. Please make "
                    "these consistent."
                )
        op.register_kernel(device_types)(function)
        return op

    return made if fn is None else made(fn)


class CustomOpDef(Opaque):
    """What `custom_op` makes: call it, and register more for it."""

    def __init__(self, namespace: str, name: str, schema: str, function: Callable, tags: tuple[Tag, ...]) -> None:
        parsed = parse(name + schema)
        if any(a.type.base == "Tensor" for a in parsed.keywords) and Tag.out not in tags:
            raise NotImplementedError(
                "custom_op with kwarg-only Tensor args. Please make your tensors not kwarg-only. Got: " + name + schema
            )
        self._qualname = f"{namespace}::{name}"
        self._init_fn = function
        self._disabled_kernel: set[str] = set()
        operators.kernels.pop(self._qualname, None)
        self._opoverload = operators.define(namespace, parsed, tags)
        self._opoverload.formula = Formula()
        if Tag.inplace in tags or Tag.out in tags:
            self._opoverload.check = check_returned
        elif not any(r.alias_info for r in parsed.returns):
            self._opoverload.check = check_no_aliases
        self._opoverload.definition = self

    def __repr__(self) -> str:
        return f"<CustomOpDef({self._qualname})>"

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._opoverload(*args, **kwargs)

    # ------------------------------------------------------------------------------------------ kernels

    def register_kernel(self, device_types: Devices, fn: Callable | None = None, /) -> Callable:
        """Let `fn` run on tensors of these devices: "cpu", "cuda" (there is none here)..., or None for all. Without
        `fn` a decorator.

        ValueError for an operator without tensors and without a `device: torch.device` argument; RuntimeError for a
        device that PyTorch does not know either.
        """
        if device_types is not None and not any(
            a.type.base in ("Tensor", "Device") for a in self._opoverload._schema.arguments
        ):
            raise ValueError("Functions without tensor inputs are required to have a `device: torch.device` argument")

        def register(function: Callable) -> Callable:
            for device in [device_types] if device_types is None or isinstance(device_types, str) else device_types:
                self._opoverload.kernels[dispatch_keys.of_device(device)] = self._unless_disabled(device, function)
            return function

        return register if fn is None else register(fn)

    def _unless_disabled(self, device: str | None, function: Callable) -> Callable:
        def kernel(*args: Any, **kwargs: Any) -> Any:
            chosen = self._init_fn if device in self._disabled_kernel else function
            return chosen(*args, **kwargs)

        return kernel

    @contextmanager
    def set_kernel_enabled(self, device_type: str, enabled: bool = True) -> Iterator[None]:
        """Inside, the kernel of a device is disabled, and the operator's own function runs in its place; or it is
        enabled again. A kernel that is not there, or is as wanted already, is a warning in the log.

        Example::

            >>> import flambeau as torch
            >>> def zeros(x: torch.Tensor) -> torch.Tensor: return torch.zeros_like(x)
            >>> op = custom_op("example::constant", zeros, mutates_args=())
            >>> _ = op.register_kernel("cpu", lambda x: torch.ones_like(x))
            >>> with op.set_kernel_enabled("cpu", enabled=False):
            ...     print(op(torch.empty(2)))
            tensor([0., 0.])
            >>> op(torch.empty(2))
            tensor([1., 1.])
        """
        disabled = self._disabled_kernel
        before = device_type in disabled
        verb = "enable" if enabled else "disable"
        if dispatch_keys.of_device(device_type) not in self._opoverload.kernels:
            log.warning("Attempted to %s kernel for %s but no kernel was registered for it.", verb, device_type)
        if enabled is not before:
            log.warning("Attempted to %s kernel for %s but it was already %sd.", verb, device_type, verb)
        (disabled.discard if enabled else disabled.add)(device_type)
        try:
            yield
        finally:
            (disabled.add if before else disabled.discard)(device_type)

    # ------------------------------------------------------------------------------------------ everything else

    def register_fake(self, fn: Callable, /) -> Callable:
        """`torch.library.register_fake` for this operator."""
        return registering.register_fake(self, fn)

    def register_autograd(self, backward: Callable, /, *, setup_context: Callable | None = None) -> None:
        """`torch.library.register_autograd` for this operator."""
        registering.register_autograd(self, backward, setup_context=setup_context)

    def register_vmap(self, func: Callable | None = None) -> Callable:
        """`torch.library.register_vmap` for this operator."""
        return registering.register_vmap(self, func)

    def register_autocast(self, device_type: str, cast_inputs: Any) -> None:
        """`torch.library.register_autocast` for this operator."""
        registering.register_autocast(self, device_type, cast_inputs)

    def register_torch_dispatch(self, torch_dispatch_class: Any, fn: Callable | None = None, /) -> NoReturn:
        """NotImplementedError, as `torch.library.register_torch_dispatch`."""
        registering.register_torch_dispatch(self, torch_dispatch_class, fn)
