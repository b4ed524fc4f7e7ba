"""What may be registered for an operator beside its kernels: fake results, a gradient, a rule for `vmap`, autocast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from flambeau._core.errors import explain
from flambeau.library import dispatch_keys, operators
from flambeau.library.gradients import Formula
from flambeau.library.operators import OpOverload
from flambeau.library.tags import Tag


class UnknownOperator(RuntimeError, AttributeError):
    """There is no operator of that name."""


def overload_of(op: Any) -> OpOverload:
    """The operator that is meant: by its name, by itself, or by what `custom_op` made. An error if there is none."""
    op = getattr(op, "_opoverload", op)
    if isinstance(op, OpOverload):
        return op
    if not isinstance(op, str):
        raise ValueError(
            f"expected a name such as 'mylib::name', an operator of torch.ops, or a custom_op, got {type(op)}"
        )
    found = operators.find(op)
    if found is None:
        raise UnknownOperator(
            explain(f"operator {op} does not exist", hint="custom_op and torch.library.define make one")
        )
    return found


def register_fake(
    op: Any, func: Callable | None = None, /, *, lib: Any = None, _stacklevel: int = 1, allow_override: bool = True
) -> Callable:
    """Let `func` say what the results of an operator look like: it returns tensors of their shape, dtype and strides,
    computed from the shapes of the arguments without a look at numbers. `opcheck` compares that with the kernel;
    nothing else needs it here. A size that depends on numbers is `torch.library.get_ctx().new_dynamic_size()`.

    Args:
        op: "namespace::name", the operator, or what `custom_op` made.
        func: the function. Without it, a decorator.
        lib: accepted; the registration lasts as long as the operator.
        allow_override: may it take the place of another? Default: True.

    RuntimeError for an operator that is not there, and for a second function with `allow_override=False`.

    Example::

        >>> import flambeau as torch
        >>> def pairs(x: torch.Tensor) -> torch.Tensor: return torch.stack([x, x])
        >>> op = torch.library.custom_op("example::pairs", pairs, mutates_args=())
        >>> @torch.library.register_fake("example::pairs")
        ... def _(x):
        ...     return x.new_empty((2, *x.shape))
        >>> torch.library.opcheck(op, (torch.ones(3),))["test_faketensor"]
        'SUCCESS'
    """
    known = overload_of(op)

    def register(function: Callable) -> Callable:
        if known.fake is not None and not allow_override:
            raise RuntimeError(f"register_fake(...): the operator {known.name()} already has a fake impl registered")
        known.fake = function
        return function

    return register if func is None else register(func)


impl_abstract = register_fake  # its older name


def register_autograd(
    op: Any, backward: Callable, /, *, setup_context: Callable | None = None, lib: Any = None
) -> None:
    """Give an operator a gradient.

    Args:
        op: "namespace::name", the operator, or what `custom_op` made.
        backward: `backward(ctx, *grads)` gets a gradient for each result (a list for a list), and returns one for each
            argument: None for what is no tensor, a list for a list of tensors. It is differentiated itself where second
            derivatives are wanted.
        setup_context: `setup_context(ctx, inputs, output)` is called after the kernel, and saves what `backward` needs:
            `ctx.save_for_backward(tensors)`, or other things as attributes. With keyword-only arguments it is
            `setup_context(ctx, inputs, keyword_only_inputs, output)`. Default: None, nothing is saved.
        lib: accepted; the registration lasts as long as the operator.

    RuntimeError for an operator that changes arguments, or that is not there.

    Example::

        >>> import flambeau as torch
        >>> def twice(x: torch.Tensor) -> torch.Tensor: return x * 2
        >>> op = torch.library.custom_op("example::twice", twice, mutates_args=())
        >>> torch.library.register_autograd("example::twice", lambda ctx, grad: grad * 2)
        >>> x = torch.ones(2, requires_grad=True)
        >>> op(x).sum().backward()
        >>> x.grad
        tensor([2., 2.])
    """
    known = overload_of(op)
    if Tag.out in known.tags:
        raise RuntimeError(f"Cannot register autograd formula for operator tagged with torch.Tag.out: {known.name()}.")
    if known._schema.is_mutable:
        raise RuntimeError(
            f"Cannot register autograd formula for non-functional operator {known.name()} with schema {known._schema}. "
            "Please create a functional operator and register an autograd formula for that."
        )
    known.formula = Formula(backward, setup_context)


def register_vmap(op: Any, func: Callable | None = None, /, *, lib: Any = None) -> Callable:
    """Let `func` carry an operator out for a batch, inside `torch.vmap`. Without a rule, the operator is called for one
    element of the batch after the other.

    Args:
        op: "namespace::name", the operator, or what `custom_op` made.
        func: `func(info, in_dims, *args, **kwargs)` gets arguments with one dimension more, the place of which is in
            `in_dims` (None for what is not batched), and returns (the results, the places of the batch in them).
            `info.batch_size` is the number of elements. Without `func`, a decorator.
        lib: accepted; the registration lasts as long as the operator.

    Example::

        >>> import flambeau as torch
        >>> def total(x: torch.Tensor) -> torch.Tensor: return x.sum()
        >>> op = torch.library.custom_op("example::total", total, mutates_args=())
        >>> @torch.library.register_vmap("example::total")
        ... def _(info, in_dims, x):
        ...     return x.movedim(in_dims[0], 0).flatten(1).sum(1), 0
        >>> torch.vmap(op)(torch.ones(2, 3))
        tensor([3., 3.])
    """
    known = overload_of(op)

    def register(rule: Callable) -> Callable:
        known.vmap_rule = rule
        return rule

    return register if func is None else register(func)


def register_autocast(op: Any, device_type: str, cast_inputs: Any, /, *, lib: Any = None) -> None:
    """Under `torch.autocast(device_type)`, convert the floating-point arguments of an operator to the dtype
    `cast_inputs`, those of float64 excepted, and run it without autocast.

    RuntimeError for a device that PyTorch does not know, and for an operator that is not there.

    Example::

        >>> import flambeau as torch
        >>> def same(x: torch.Tensor) -> torch.Tensor: return x.clone()
        >>> op = torch.library.custom_op("example::same", same, mutates_args=())
        >>> torch.library.register_autocast("example::same", "cpu", torch.bfloat16)
        >>> with torch.autocast("cpu"):
        ...     op(torch.ones(2)).dtype
        torch.bfloat16
    """
    dispatch_keys.of_device(device_type)
    overload_of(op).autocast[device_type] = cast_inputs


def register_torch_dispatch(
    op: Any, torch_dispatch_class: Any, func: Callable | None = None, /, *, lib: Any = None
) -> NoReturn:
    """NotImplementedError: operations do not dispatch on classes of tensors."""
    raise NotImplementedError(
        explain(
            f"register_torch_dispatch of {overload_of(op).name()}: there is no __torch_dispatch__ to be replaced",
            hint="write what the class should do into the operator's kernel",
        )
    )
