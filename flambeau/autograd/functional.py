"""Derivatives of whole functions (`torch.autograd.functional`): jacobian, hessian, vjp, jvp, vhp, hvp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau._ir.recording import TensorBase
from flambeau._ops.registry import OPS
from flambeau.autograd.engine import grad
from flambeau.autograd.grad_mode import enable_grad


def _tuple(x: Any, name: str) -> tuple[bool, tuple[Any, ...]]:
    """(was it a single tensor?, the tensors); TypeError for anything that is no tensor."""
    single = isinstance(x, TensorBase)
    tensors = (x,) if single else tuple(x)
    for i, t in enumerate(tensors):
        if not isinstance(t, TensorBase):
            raise TypeError(f"The {name} must be a Tensor or a tuple of Tensors, but element {i} is {type(t).__name__}")
    return single, tensors


def _fresh(inputs: tuple[Any, ...], create_graph: bool) -> tuple[Any, ...]:
    """Inputs to differentiate: connected to the caller's graph if a graph is wanted, else leaves of their own."""
    if create_graph:
        return tuple([t.view_as(t) if t.requires_grad else t.detach().requires_grad_() for t in inputs])
    return tuple([t.detach().requires_grad_() for t in inputs])


def _call(func: Callable, inputs: tuple[Any, ...]) -> tuple[bool, tuple[Any, ...]]:
    return _tuple(func(*inputs), "outputs of the user-provided function")


def _finish(result: Any, create_graph: bool) -> Any:
    if isinstance(result, tuple):
        return tuple([_finish(r, create_graph) for r in result])
    return result if create_graph or result is None else result.detach()


def _gradients(outputs: Any, inputs: Any, weights: Any, create_graph: bool, strict: bool = False) -> tuple[Any, ...]:
    """`grad` with zeros for what does not depend; with `strict` that is a RuntimeError."""
    pairs = [(o, w) for o, w in zip(outputs, weights, strict=True) if o.requires_grad]
    if strict and len(pairs) < len(outputs):
        raise RuntimeError(
            "an output of the user-provided function does not require gradients, which strict mode demands"
        )
    if not pairs:
        return tuple([OPS["mul"].function(t.detach(), 0) for t in inputs])
    found = grad(
        [o for o, _ in pairs],
        inputs,
        [w for _, w in pairs],
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
    )
    if strict and any(g is None for g in found):
        raise RuntimeError(
            "The output of the user-provided function is independent of an input, which strict mode forbids"
        )
    return tuple([t.new_zeros(t.shape) if g is None else g for g, t in zip(found, inputs, strict=True)])


def vjp(
    func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(`func(*inputs)`, the product of `v` with its Jacobian); `v` has the shape of the output and may be left out for
    one element.

    Example::

        >>> import flambeau as torch
        >>> torch.autograd.functional.vjp(lambda x: x ** 2, torch.tensor([1., 2.]), torch.ones(2))
        (tensor([1., 4.]), tensor([2., 4.]))
    """
    with enable_grad():
        single, given = _tuple(inputs, "inputs")
        given = _fresh(given, create_graph)
        single_out, outputs = _call(func, given)
        weights = _weights(v, outputs)
        found = _gradients(outputs, given, weights, create_graph, strict)
    result = _finish(outputs[0] if single_out else outputs, create_graph)
    return result, _finish(found[0] if single else found, create_graph)


def _weights(v: Any, outputs: tuple[Any, ...]) -> tuple[Any, ...]:
    if v is None:
        if len(outputs) != 1 or outputs[0].numel() != 1:
            raise RuntimeError(
                "The vector v can only be None if the user-provided function returns a single Tensor with a single "
                "element."
            )
        return (outputs[0].new_ones(outputs[0].shape),)
    _, weights = _tuple(v, "v")
    for w, o in zip(weights, outputs, strict=True):
        if w.shape != o.shape:
            raise RuntimeError(f"v has invalid size: should be {o.shape} but got {w.shape}")
    return weights


def jvp(
    func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(`func(*inputs)`, the product of its Jacobian with `v`), by the trick of differentiating the vjp with respect to
    its weight.

    Example::

        >>> import flambeau as torch
        >>> torch.autograd.functional.jvp(lambda x: x ** 2, torch.tensor([1., 2.]), torch.ones(2))
        (tensor([1., 4.]), tensor([2., 4.]))
    """
    with enable_grad():
        _, given = _tuple(inputs, "inputs")
        directions = _weights(v, given)
        given = _fresh(given, create_graph)
        single_out, outputs = _call(func, given)
        duals = tuple([o.new_zeros(o.shape).requires_grad_() for o in outputs])
        pulled = _gradients(outputs, given, duals, True, strict)
        found = _gradients(pulled, duals, directions, create_graph)
    result = _finish(outputs[0] if single_out else outputs, create_graph)
    return result, _finish(found[0] if single_out else found, create_graph)


def jacobian(
    func: Callable,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """All partial derivatives: for an output of shape S and an input of shape T a tensor of shape S + T; a tuple for
    several inputs, a tuple of tuples for several outputs too.

    Example::

        >>> import flambeau as torch
        >>> torch.autograd.functional.jacobian(lambda x: x ** 2, torch.tensor([1., 2.]))
        tensor([[2., 0.],
                [0., 4.]])
    """
    with enable_grad():
        single, given = _tuple(inputs, "inputs")
        given = _fresh(given, create_graph)
        single_out, outputs = _call(func, given)
        rows = tuple([_jacobian_of(o, given, create_graph, strict) for o in outputs])
    rows = _finish(rows, create_graph)
    found = tuple([r[0] for r in rows]) if single else rows
    return found[0] if single_out else found


def _jacobian_of(output: Any, inputs: tuple[Any, ...], create_graph: bool, strict: bool) -> tuple[Any, ...]:
    """For one output its derivatives by every input."""
    flat = output.reshape(-1)
    weight = flat.new_ones(())
    rows = [_gradients((flat[i],), inputs, (weight,), create_graph, strict) for i in range(flat.numel())]
    if not rows:
        return tuple([t.new_zeros((*output.shape, *t.shape)) for t in inputs])
    return tuple(
        [
            OPS["stack"].function([row[i] for row in rows]).reshape((*output.shape, *t.shape))
            for i, t in enumerate(inputs)
        ]
    )


def _scalar(func: Callable) -> Callable:
    """`func`, with a RuntimeError unless it returns one element."""

    def checked(*args: Any) -> Any:
        result = func(*args)
        if not isinstance(result, TensorBase):
            raise RuntimeError("The function given should return a single Tensor")
        if result._meta.numel != 1:
            raise RuntimeError("The Tensor returned by the function given should contain a single element")
        return result.reshape(())

    return checked


def hessian(
    func: Callable,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a function with one element as its result; for several inputs a tuple of tuples.

    Example::

        >>> import flambeau as torch
        >>> torch.autograd.functional.hessian(lambda x: (x ** 3).sum(), torch.tensor([1., 2.]))
        tensor([[ 6.,  0.],
                [ 0., 12.]])
    """
    single, _ = _tuple(inputs, "inputs")

    def gradient(*args: Any) -> Any:
        found = jacobian(_scalar(func), args, create_graph=True, strict=strict)
        return found[0] if single else found

    return jacobian(gradient, inputs, create_graph=create_graph, strict=strict)


def vhp(
    func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(`func(*inputs)`, the product of `v` with its Hessian) for a function with one element as its result.

    Example::

        >>> import flambeau as torch
        >>> torch.autograd.functional.vhp(lambda x: (x ** 3).sum(), torch.tensor([1., 2.]), torch.ones(2))
        (tensor(9.), tensor([ 6., 12.]))
    """
    with enable_grad():
        single, given = _tuple(inputs, "inputs")
        directions = _weights(v, given)
        given = _fresh(given, create_graph)
        output = _scalar(func)(*given)
        first = _gradients((output,), given, (output.new_ones(()),), True, strict)
        found = _gradients(first, given, directions, create_graph)
    return _finish(output, create_graph), _finish(found[0] if single else found, create_graph)


def hvp(
    func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(`func(*inputs)`, the product of its Hessian with `v`), which for a symmetric Hessian is what `vhp` gives.

    Example::

        >>> import flambeau as torch
        >>> torch.autograd.functional.hvp(lambda x: (x ** 3).sum(), torch.tensor([1., 2.]), torch.ones(2))
        (tensor(9.), tensor([ 6., 12.]))
    """
    return vhp(func, inputs, v, create_graph, strict)


__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]
