"""Functions that differentiate functions: `grad`, `vjp`, `jvp`, Jacobians, Hessians.

Inside `vmap` every tensor of the batch has its own derivative: what is differentiated by is batched first, at every
level, and since tensors of a batch do not mix, the gradient of the sum over the batch holds them all. Forward mode is
reverse mode twice: vjp is linear in its weight, and its derivative by the weight is the Jacobian.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flambeau import _api as torch
from flambeau import autograd
from flambeau._core.trees import flatten, mapped, unflatten
from flambeau._tensor.batched import BatchedTensor, levels, spread
from flambeau.autograd.graph import AccumulateGrad
from flambeau.func.vmapping import vmap


def _own(t: Any) -> tuple[Any, Any]:
    """(what a function is given in place of `t`, the plain tensor it is made of): apart from everything else that was
    computed from `t`, batched at every level of vmap, and with gradients."""
    full = _everywhere(t, len(levels))
    plain = plain_of(full)
    fresh = plain.expand(plain.shape) if plain.requires_grad else plain.detach().requires_grad_()
    return _wrapped_like(full, fresh), fresh


def _everywhere(t: Any, level: int) -> Any:
    """`t` batched at all levels up to `level`."""
    if level == 0:
        return t
    if isinstance(t, BatchedTensor) and t.level == level:
        return BatchedTensor(_everywhere(t.value, level - 1), level)
    return BatchedTensor(_everywhere(spread(t, levels[level - 1].size), level - 1), level)


def plain_of(t: Any) -> Any:
    """The values of all levels."""
    while isinstance(t, BatchedTensor):
        t = t.value
    return t


def _wrapped_like(t: Any, plain: Any) -> Any:
    """`plain` batched at the levels of `t`."""
    return _batched(_wrapped_like(t.value, plain), t.level) if isinstance(t, BatchedTensor) else plain


def _batched(values: Any, level: int) -> BatchedTensor:
    """Values whose dimension 0 is the batch of a level, which may be batched at later levels."""
    if isinstance(values, BatchedTensor) and values.level > level:
        return BatchedTensor(_batched(values.value.movedim(1, 0), level), values.level)
    return BatchedTensor(values, level)


def _has_other_leaves(outputs: list[Any], own: list[Any]) -> bool:
    """Does the graph of `outputs` lead to anything but the tensors of `own`, leaves that nobody else knows?"""
    mine = {id(t._node) for t in own if isinstance(t._node, AccumulateGrad)}
    if len(mine) < len(own):
        return True
    seen: set[int] = set()
    stack = [t._node for t in outputs if t._node is not None]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, AccumulateGrad) and id(node) not in mine:
            return True
        stack.extend(edge[0] for edge in node._edges if edge is not None)
    return False


def _gradients(outputs: list[Any], inputs: list[Any], weights: list[Any] | None, create_graph: bool) -> list[Any]:
    """Gradients of plain outputs by plain inputs, zero where there is no dependence."""
    pairs = [(o, None if weights is None else w) for o, w in zip(outputs, weights or outputs, strict=True)]
    pairs = [(o, w) for o, w in pairs if o.requires_grad]
    if not pairs:
        return [torch.zeros_like(t).detach() for t in inputs]
    found = autograd.grad(
        [o for o, _ in pairs],
        inputs,
        None if weights is None else [w for _, w in pairs],
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
    )
    return [torch.zeros_like(t).detach() if f is None else f for t, f in zip(inputs, found, strict=True)]


def _selected(args: tuple, argnums: int | tuple[int, ...]) -> tuple[Any, ...]:
    picked = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for i in picked:
        if not -len(args) <= i < len(args):
            raise RuntimeError(f"Got argnum={i}, but only {len(args)} positional inputs")
    return tuple([i % len(args) for i in picked])


def _without_graph(tree: Any) -> Any:
    return mapped(lambda t: t.detach() if isinstance(t, torch.Tensor) else t, tree)


class _Call:
    """One call of a function on tensors of its own: `inputs` (plain), `outputs`, whether they are to stay
    differentiable afterwards (`outer`)."""

    def __init__(self, func: Callable, args: tuple, kwargs: dict, argnums: tuple[int, ...], has_aux: bool) -> None:
        self.outer = torch.is_grad_enabled()
        given, self.inputs, self.shown = list(args), [], []
        self.forms = []
        for i in argnums:
            leaves, form = flatten(args[i])
            for leaf in leaves:
                if not isinstance(leaf, torch.Tensor):
                    raise ValueError(f"expected tensors to differentiate by, got {type(leaf).__name__}")
            pairs = [_own(leaf) for leaf in leaves]
            self.forms.append((form, len(pairs)))
            given[i] = unflatten([shown for shown, _ in pairs], form)
            self.shown += [shown for shown, _ in pairs]
            self.inputs += [plain for _, plain in pairs]
        with torch.enable_grad():
            result = func(*given, **kwargs)
        if has_aux and not (isinstance(result, tuple) and len(result) == 2):
            raise RuntimeError("the function was said to return (output, aux), a tuple of two, but it did not")
        self.aux: Any = None
        self.result = result
        if has_aux:
            self.result, self.aux = result
        self.outputs, self.out_form = flatten(self.result)
        for o in self.outputs:
            if not isinstance(o, torch.Tensor):
                raise RuntimeError(f"expected the function to return tensors, got {type(o).__name__}")
        self.plain = [plain_of(o) for o in self.outputs]
        auxiliary = [plain_of(a) for a in flatten(self.aux)[0] if isinstance(a, torch.Tensor)]
        self.outer = self.outer and _has_other_leaves(self.plain + auxiliary, self.inputs)

    def arranged(self, found: list[Any]) -> tuple[Any, ...]:
        """Gradients in the form of the arguments, batched like them."""
        values = iter([_wrapped_like(s, f) for s, f in zip(self.shown, found, strict=True)])
        return tuple([unflatten([next(values) for _ in range(count)], form) for form, count in self.forms])

    def finished(self, tree: Any) -> Any:
        """What the caller gets: without graph, unless something of the caller's is in it."""
        return tree if self.outer else _without_graph(tree)


def grad_and_value(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """A function that returns (the gradient of `func` by its arguments `argnums`, its value); with `has_aux`, `func`
    returns (value, other results) and so does this in the second place.

    `func` returns one number. Gradients have the form of the argument, or are a tuple for several.

    Example::

        >>> grad_and_value(lambda x: (x ** 2).sum())(torch.tensor([1., 2.]))
        (tensor([2., 4.]), tensor(5.))
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        call = _Call(func, args, kwargs, _selected(args, argnums), has_aux)
        if not call.out_form.is_leaf() or call.outputs[0].dim():
            shapes = [tuple(o.shape) for o in call.outputs]
            raise RuntimeError(
                "Expected f(*args) to return a scalar tensor, "
                f"got {'shape ' + str(shapes[0]) if call.out_form.is_leaf() else f'{len(shapes)} tensors'}"
            )
        total = call.plain[0].sum()
        found = call.arranged(_gradients([total], call.inputs, None, call.outer))
        gradients = call.finished(found[0] if isinstance(argnums, int) else found)
        value = call.finished(call.result)
        return gradients, (value, call.finished(call.aux)) if has_aux else value

    return wrapper


def grad(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """A function that returns the gradient of `func`, which returns one number, by its arguments `argnums`; with
    `has_aux`, (gradient, other results).

    Example::

        >>> grad(lambda x: x ** 3)(torch.tensor(2.)), grad(grad(lambda x: x ** 3))(torch.tensor(2.))
        (tensor(12.), tensor(12.))
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        gradients, value = both(*args, **kwargs)
        return (gradients, value[1]) if has_aux else gradients

    return wrapper


def vjp(func: Callable, *primals: Any, has_aux: bool = False) -> Any:
    """(`func(*primals)`, a function from weights of the outputs to the products of the weights with the Jacobian: a
    tuple with one for each of `primals`); with `has_aux` other results in the third place.

    Example::

        >>> value, pull = vjp(torch.sin, torch.tensor(0.))
        >>> value, pull(torch.tensor(2.))
        (tensor(0.), (tensor(2.),))
    """
    call = _Call(func, primals, {}, tuple(range(len(primals))), has_aux)

    def pull(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> tuple[Any, ...]:
        weights = flatten(cotangents)[0]
        if len(weights) != len(call.outputs):
            raise RuntimeError(f"expected {len(call.outputs)} cotangents, one for each output, got {len(weights)}")
        keep = (call.outer or any(plain_of(w).requires_grad for w in weights)) and torch.is_grad_enabled()
        pulled = [_aligned(w, o) for w, o in zip(weights, call.outputs, strict=True)]
        found = _gradients(call.plain, call.inputs, pulled, keep if create_graph is None else create_graph)
        return call.arranged(found)

    value = call.finished(call.result)
    return (value, pull, call.finished(call.aux)) if has_aux else (value, pull)


def _aligned(weight: Any, output: Any) -> Any:
    """A weight for the plain values of an output: the output's batches become dimensions, those that came later stay
    batches."""
    while isinstance(output, BatchedTensor):
        weight = _in_front(weight, output)
        output = output.value
    return weight


def _in_front(weight: Any, output: BatchedTensor) -> Any:
    """`weight` with the batch of the output's level as its dimension 0."""
    if not isinstance(weight, BatchedTensor) or weight.level < output.level:
        return spread(weight, output.size_of_batch)
    if weight.level == output.level:
        return weight.value
    return BatchedTensor(_in_front(weight.value, output).movedim(0, 1), weight.level)


def jvp(func: Callable, primals: tuple, tangents: tuple, *, strict: bool = False, has_aux: bool = False) -> Any:
    """(`func(*primals)`, the product of its Jacobian with `tangents`); with `has_aux` other results in the third place.

    Example::

        >>> jvp(torch.sin, (torch.tensor(0.),), (torch.tensor(2.),))
        (tensor(0.), tensor(2.))
    """
    value, push, aux = _pushing(func, primals, has_aux)
    pushed = push(*tangents)
    return (value, pushed, aux) if has_aux else (value, pushed)


def linearize(func: Callable, *primals: Any) -> tuple[Any, Callable]:
    """(`func(*primals)`, a function from tangents to the product of the Jacobian with them): `jvp` for many tangents at
    one place, computing `func` once.

    Example::

        >>> value, push = linearize(torch.sin, torch.tensor(0.))
        >>> push(torch.tensor(3.))
        tensor(3.)
    """
    value, push, _ = _pushing(func, primals, False)
    return value, push


def _pushing(func: Callable, primals: tuple, has_aux: bool) -> tuple[Any, Callable, Any]:
    if not isinstance(primals, tuple) or not primals:
        raise RuntimeError("expected primals to be a tuple with at least one tensor")
    call = _Call(func, primals, {}, tuple(range(len(primals))), has_aux)
    duals = [torch.zeros_like(p).detach().requires_grad_() for p in call.plain]
    with torch.enable_grad():
        pulled = _gradients(call.plain, call.inputs, duals, True)

    def push(*tangents: Any) -> Any:
        directions = flatten(tangents)[0]
        if len(directions) != len(call.inputs):
            raise RuntimeError(f"expected {len(call.inputs)} tangents, one for each primal, got {len(directions)}")
        weights = [_aligned(d, s) for d, s in zip(directions, call.shown, strict=True)]
        keep = (call.outer or any(plain_of(w).requires_grad for w in weights)) and torch.is_grad_enabled()
        found = _gradients(pulled, duals, weights, keep)
        made = [_wrapped_like(o, f) for o, f in zip(call.outputs, found, strict=True)]
        return unflatten(made, call.out_form)

    return call.finished(call.result), push, call.finished(call.aux)


# ---------------------------------------------------------------------------------------------- matrices of derivatives


def _basis(leaves: list[Any]) -> list[Any]:
    """For tensors with n elements together their n unit directions, [n, *shape] each."""
    total = sum(t.numel() for t in leaves)
    rows, start = [], 0
    for t in leaves:
        n = t.numel()
        part = torch.zeros((total, n), dtype=t.dtype)
        if n:
            part[start : start + n].diagonal().fill_(1)
        rows.append(part.reshape((total, *t.shape)))
        start += n
    return rows


def _parts(stacked: Any, leaves: list[Any], dim: int) -> list[Any]:
    """What belongs to each of `leaves`, along dimension `dim` of a result for their basis, in their shapes."""
    pieces = stacked.split([t.numel() for t in leaves], dim)
    shape = tuple(stacked.shape)
    return [p.reshape((*shape[:dim], *t.shape, *shape[dim + 1 :])) for p, t in zip(pieces, leaves, strict=True)]


def jacrev(
    func: Callable,
    argnums: int | tuple[int, ...] = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable:
    """A function that returns the Jacobian of `func`, [*output.shape, *input.shape], in reverse mode: one batched pass
    over the elements of the output (`chunk_size` at a time).

    Structures of outputs hold structures of inputs; `argnums` as in `grad`.

    Example::

        >>> jacrev(torch.sin)(torch.zeros(2))
        tensor([[1., 0.],
                [0., 1.]])
    """

    @functools.wraps(func)
    def wrapper(*args: Any) -> Any:
        picked = _selected(args, argnums)

        def of_picked(*own: Any) -> Any:
            given = list(args)
            for i, value in zip(picked, own, strict=True):
                given[i] = value
            return func(*given)

        found = vjp(of_picked, *[args[i] for i in picked], has_aux=has_aux)
        outputs, out_form = flatten(found[0])
        basis = _basis(outputs)
        rows = vmap(lambda *w: found[1](unflatten(w, out_form)), chunk_size=chunk_size)(*basis)
        inputs, in_form = flatten(rows if not isinstance(argnums, int) else rows[0])
        columns = [_parts(stacked, outputs, 0) for stacked in inputs]
        result = unflatten([unflatten([c[i] for c in columns], in_form) for i in range(len(outputs))], out_form)
        return (result, found[2]) if has_aux else result

    return wrapper


def jacfwd(
    func: Callable,
    argnums: int | tuple[int, ...] = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
    chunk_size: int | None = None,
) -> Callable:
    """A function that returns the Jacobian of `func` as `jacrev` does, in forward mode: one batched pass over the
    elements of the inputs, which pays where they are fewer than those of the output.

    Example::

        >>> jacfwd(torch.sin)(torch.zeros(2))
        tensor([[1., 0.],
                [0., 1.]])
    """

    @functools.wraps(func)
    def wrapper(*args: Any) -> Any:
        picked = _selected(args, argnums)

        def of_picked(*own: Any) -> Any:
            given = list(args)
            for i, value in zip(picked, own, strict=True):
                given[i] = value
            return func(*given)

        primals = tuple([args[i] for i in picked])
        _, push, aux = _pushing(of_picked, primals, has_aux)
        inputs, in_form = flatten(primals)
        columns = vmap(
            lambda *d: push(*unflatten(d, in_form)), out_dims=-1, randomness=randomness, chunk_size=chunk_size
        )(*_basis(inputs))
        outputs, out_form = flatten(columns)
        rows = []
        for stacked in outputs:
            parts = unflatten(_parts(stacked, inputs, stacked.dim() - 1), in_form)
            rows.append(parts[0] if isinstance(argnums, int) else parts)
        result = unflatten(rows, out_form)
        return (result, aux) if has_aux else result

    return wrapper


def hessian(func: Callable, argnums: int | tuple[int, ...] = 0) -> Callable:
    """A function that returns the second derivatives of `func`: `jacfwd` of `jacrev`.

    Example::

        >>> hessian(lambda x: (x ** 3).sum())(torch.tensor([1., 2.]))
        tensor([[ 6.,  0.],
                [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)
