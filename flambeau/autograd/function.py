"""Custom operations with their own gradients: `autograd.Function`."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from flambeau._core.homes import absent
from flambeau._core.sites import user_site
from flambeau._engine.window import state
from flambeau._ir import recording
from flambeau._ir.recording import TensorBase
from flambeau._ops.fill import filled
from flambeau._ops.operands import Operand
from flambeau.autograd import graph
from flambeau.autograd.graph import Node, already_freed, changed_in_place, fit, gradient_edge, made_in_inference_mode
from flambeau.autograd.saved import Packed, stack


class FunctionCtx:
    """What `forward` and `backward` of a Function share. Any attribute may be set on it; tensors that are inputs or
    outputs belong in `save_for_backward`, so that in-place changes are noticed and no cycle keeps them alive."""

    needs_input_grad: tuple[bool, ...] = ()
    materialize_grads = True
    _to_save: tuple[Any, ...] = ()
    _dirty: tuple[Any, ...] = ()
    _non_differentiable: tuple[Any, ...] = ()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors (or None) for `backward`, where they are `ctx.saved_tensors`."""
        for t in tensors:
            if t is not None and not isinstance(t, TensorBase):
                raise TypeError(
                    f"save_for_backward can only save variables, but got an object of type {type(t).__name__}; "
                    "keep other things as attributes: ctx.name = value"
                )
        self._to_save = tensors

    save_for_forward = save_for_backward

    def mark_dirty(self, *tensors: Any) -> None:
        """Say which inputs `forward` changed in place (and returns)."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Say which outputs have no gradient."""
        self._non_differentiable = tensors

    @property
    def to_save(self) -> tuple[Any, ...] | None:
        """What `save_for_backward` was told, in `forward`; None without, and in `backward`."""
        return self._to_save or None

    @property
    def dirty_tensors(self) -> tuple[Any, ...] | None:
        """What `mark_dirty` was told, in `forward`; None without, and in `backward`."""
        return self._dirty or None

    @property
    def non_differentiable(self) -> tuple[Any, ...] | None:
        """What `mark_non_differentiable` was told, in `forward`; None without, and in `backward`."""
        return self._non_differentiable or None

    def set_materialize_grads(self, value: bool) -> None:
        """Should missing output gradients arrive in `backward` as zeros (the default) or as None?"""
        self.materialize_grads = value


class BackwardCFunction(FunctionCtx, Node):
    """One application of a custom Function: its context, and its node in the graph."""

    _function: type[Function]
    _input_metas: tuple
    _saved: Sequence[tuple[str, Any, int]] | None = ()
    _connected = False  # is it part of the graph?

    @property
    def _shown(self) -> Sequence[int]:
        return [i for i, m in enumerate(self._input_metas) if m is not None]

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` kept; RuntimeError if it was freed or changed in place since."""
        if self._saved is None:
            raise already_freed(self)
        return tuple([self._unpack(*entry) for entry in self._saved])

    @property
    def saved_variables(self) -> tuple[Any, ...]:
        """The older name of `saved_tensors`, with a warning."""
        warnings.warn("'saved_variables' is deprecated; use 'saved_tensors'", DeprecationWarning, stacklevel=2)
        return self.saved_tensors

    def _unpack(self, kind: str, saved: Any, version: int) -> Any:
        if kind == "none":
            return None
        if kind == "packed":
            return saved.unpack()
        if kind == "packed output":
            content, index = saved
            found = content.unpack()
            return graph.unpack(found._storage, found._meta, self, index)
        if kind == "input":
            if saved._storage.version != version:
                raise changed_in_place(saved._storage, saved._meta, version, self, gradient_edge(saved))
            return saved
        storage, meta, index = saved
        if storage.version != version:
            raise changed_in_place(storage, meta, version, self, (self, index))
        return graph.unpack(storage, meta, self, index)

    def _keep(self, outputs: list[Any]) -> None:
        """Fix what is saved, once outputs and their node are known."""
        kept: list[tuple[str, Any, int]] = []
        for t in self._to_save:
            index = next((i for i, o in enumerate(outputs) if o is t), None)
            output = index is not None and t._node is self
            if t is None:
                kept.append(("none", None, 0))
            elif stack.top is not None and self._connected:
                packed = Packed(t.detach() if output else t, stack.top)
                kept.append(("packed output", (packed, index), 0) if output else ("packed", packed, 0))
            elif self._connected and t._storage.version < 0:
                raise made_in_inference_mode()
            elif output:
                kept.append(("output", (t._storage, t._meta, index), t._storage.version))
            else:
                kept.append(("input", t, t._storage.version))
        self._saved = kept
        self._to_save = self._dirty = self._non_differentiable = ()

    def _release(self) -> None:
        if self._saved:
            self._saved = None

    def apply(self, grads: list[Any]) -> list[Any]:
        if self.materialize_grads:
            metas = self._output_metas
            grads = [zeros(m) if g is None and m is not None else g for g, m in zip(grads, metas, strict=True)]
        results = self._function.backward(self, *grads)
        results = list(results) if isinstance(results, tuple) else [results]
        expected = len(self._edges)
        if len(results) > expected and all(r is None for r in results[expected:]):
            results = results[:expected]
        if len(results) != expected:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected {expected}, got "
                f"{len(results)})"
            )
        return [
            self._checked(i, r) if e is not None else None
            for i, (r, e) in enumerate(zip(results, self._edges, strict=True))
        ]

    def _checked(self, i: int, grad: Any) -> Any:
        meta = self._input_metas[i]
        if grad is None or meta is None:
            return grad
        if isinstance(grad, Operand):
            return grad
        if not isinstance(grad, TensorBase):
            raise RuntimeError(f"expected Variable or None (got {type(grad).__name__})")
        try:
            return fit(grad, meta)
        except Exception:
            raise RuntimeError(
                f"Function {self.name()} returned an invalid gradient at index {i} - got {list(grad._meta.shape)} but "
                f"expected "
                f"shape compatible with {list(meta.shape)}"
            ) from None


def zeros(meta: Any) -> Any:
    return filled(tuple(meta.shape), 0, meta.dtype)


class Function:
    """Base of custom differentiable operations.

    Write two static methods: `forward(ctx, *args)` computes (without recording gradients), `backward(ctx,
    *grad_outputs)` returns one gradient (or None) for each argument of `forward`. Alternatively `forward(*args)` with
    `setup_context(ctx, inputs,
    output)`. Use it by `MyFunction.apply(*args)`.

    Inside `vmap` a function either has `generate_vmap_rule = True`, and its methods run on a whole batch (in the
    form with `setup_context`), or a static method `vmap(info, in_dims, *args)` that returns (result, out_dims).

    Example::

        >>> import flambeau as torch
        >>> class Cube(torch.autograd.Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         ctx.save_for_backward(x)
        ...         return x ** 3
        ...     @staticmethod
        ...     def backward(ctx, g):
        ...         x, = ctx.saved_tensors
        ...         return g * 3 * x ** 2
        >>> x = torch.tensor(2., requires_grad=True)
        >>> Cube.apply(x).backward()
        >>> x.grad
        tensor(12.)
    """

    setup_context: Callable[..., Any] | None = None
    generate_vmap_rule = False  # may `vmap` run the methods on batched tensors?
    _kind_of_node: type[BackwardCFunction]

    def __init__(self) -> None:
        raise RuntimeError(f"{type(self).__name__} should not be instantiated: call {type(self).__name__}.apply(...)")

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the result; to be written by the subclass."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Compute the gradients of the arguments; to be written by the subclass."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
            "backward mode AD."
        )

    @classmethod
    def _node_class(cls) -> type[BackwardCFunction]:
        """The class of this function's nodes, made at the first application."""
        found = cls.__dict__.get("_kind_of_node")
        if found is None:
            members = {"__module__": cls.__module__, "_function": cls}
            found = type(cls.__name__ + "Backward", (BackwardCFunction,), members)
            cls._kind_of_node = found
        return found

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run `forward` and connect the result to the graph."""
        operands = [a for a in args if isinstance(a, Operand)]
        if operands:
            found = max(operands, key=lambda a: getattr(a, "level", 0)).apply_function(cls, args)
            if found is not NotImplemented:
                return found
        tensors = [isinstance(a, TensorBase) for a in args]
        ctx = cls._node_class()((), (), user_site(2))
        ctx.needs_input_grad = tuple(
            [is_tensor and a.requires_grad for a, is_tensor in zip(args, tensors, strict=True)]
        )
        tracked = state.grad_enabled and any(ctx.needs_input_grad)
        before, state.grad_enabled = state.grad_enabled, False
        try:
            if cls.setup_context is None:
                result = cls.forward(ctx, *args)
            else:
                result = cls.forward(*args)
                cls.setup_context(ctx, args, result)
        finally:
            state.grad_enabled = before
        outputs = list(result) if isinstance(result, tuple) else [result]
        _check_dirty(ctx._dirty, outputs)
        outputs = [_own(o, args, ctx) for o in outputs]
        if tracked:
            edges = tuple([gradient_edge(a) if is_tensor else None for a, is_tensor in zip(args, tensors, strict=True)])
            metas = tuple([a._meta if is_tensor else None for a, is_tensor in zip(args, tensors, strict=True)])
            ctx._edges, ctx._input_metas, ctx._connected = edges, metas, True
            _connect(ctx, outputs)
        ctx._keep(outputs)
        return tuple(outputs) if isinstance(result, tuple) else outputs[0]


def _check_dirty(dirty: tuple, outputs: list[Any]) -> None:
    """RuntimeError for inputs that were changed in place and must not be, or are not returned."""
    for d in dirty:
        if isinstance(d._node, graph.AccumulateGrad) and state.grad_enabled:
            raise RuntimeError("a leaf Variable that requires grad has been used in an in-place operation.")
        if not any(d is o for o in outputs):
            raise RuntimeError(
                "Some elements marked as dirty during the forward method were not returned as output. The inputs that "
                "are modified inplace must all be outputs of the Function."
            )


def _own(output: Any, args: tuple, ctx: FunctionCtx) -> Any:
    """An input returned unchanged becomes a tensor object of its own, so that it can have its own node."""
    if isinstance(output, TensorBase) and any(output is a for a in args) and not any(output is d for d in ctx._dirty):
        return output.detach()
    return output


def _connect(node: BackwardCFunction, outputs: list[Any]) -> None:
    """Make the tensors among `outputs` results of `node`."""
    metas = []
    for i, o in enumerate(outputs):
        metas.append(o._meta if isinstance(o, TensorBase) else None)
        if (
            not isinstance(o, TensorBase)
            or any(o is n for n in node._non_differentiable)
            or not o._meta.dtype.differentiable
        ):
            continue
        if o._base is not None and any(o is d for d in node._dirty):  # the rest of its memory keeps its history
            recording.rebase(o, graph.unpack(o._storage, o._meta, node, i))
        else:
            o._node, o._index = node, i
    node._output_metas = tuple(metas)  # type: ignore[arg-type]


def once_differentiable(backward: Callable) -> Callable:
    """Decorator for a `backward` that is not differentiable itself: it runs without recording, and a second derivative
    raises RuntimeError instead of being silently wrong.

    Example::

        >>> class Identity(Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         return x.clone()
        ...     @staticmethod
        ...     @once_differentiable
        ...     def backward(ctx, g):
        ...         return g
    """

    @functools.wraps(backward)
    def wrapper(ctx: Any, *grads: Any) -> Any:
        before, state.grad_enabled = state.grad_enabled, False
        try:
            results = backward(ctx, *grads)
        finally:
            state.grad_enabled = before
        if not before or not any(isinstance(g, TensorBase) and g._node is not None for g in grads):
            return results
        edges = tuple([gradient_edge(g) for g in grads if isinstance(g, TensorBase)])
        many = isinstance(results, tuple)
        marked = [_with_failing_node(r, edges) for r in (results if many else (results,))]
        return tuple(marked) if many else marked[0]

    return wrapper


def _with_failing_node(result: Any, edges: tuple) -> Any:
    if not isinstance(result, TensorBase):
        return result
    result = result.detach()
    result._node, result._index = OnceDifferentiable(edges, (result._meta,), None), 0
    return result


class OnceDifferentiable(Node):
    """Stands where a second derivative would be needed that does not exist."""

    __slots__ = ()

    def apply(self, grads: list[Any]) -> list[Any]:
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")

__getattr__ = absent("torch.autograd.function")
