"""The graph of gradients: nodes, what they save, and the leaves where gradients accumulate.

Edges point from a result to what it was computed from. A node saves what its op's gradient says it needs, together with
the version of each saved tensor: if the tensor is changed in place before backward, the error names both lines.
"""

from __future__ import annotations

import functools
import itertools
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from flambeau._core import errors, sites
from flambeau._core.homes import absent
from flambeau._core.hooks import RemovableHandle
from flambeau._engine import exposure
from flambeau._ir.meta import Meta
from flambeau._ir.program import Changes, Storage, changes_of, new_storage, note_changes
from flambeau._ir.recording import TensorBase
from flambeau._ops.convert import cast
from flambeau._ops.operands import Operand
from flambeau._ops.reduce import sum_to_size
from flambeau._ops.registry import Derivative, Saving
from flambeau.autograd.saved import Packed, stack
from flambeau.autograd.saved import disable_saved_tensors_hooks as disable_saved_tensors_hooks
from flambeau.autograd.saved import save_on_cpu as save_on_cpu
from flambeau.autograd.saved import saved_tensors_hooks as saved_tensors_hooks

__all__ = [
    "GradientEdge", "Node", "allow_mutation_on_saved_tensors", "disable_saved_tensors_hooks", "get_gradient_edge",
    "increment_version", "register_multi_grad_hook", "save_on_cpu", "saved_tensors_hooks",
]  # fmt: skip

_sequence = itertools.count()
_next_number = _sequence.__next__
new = object.__new__
LEAF = 1 << 62  # leaves come after all other nodes
_NOTHING: dict[int, Any] = {}
Edge = tuple["Node", int] | None


class Node:
    """A step of the backward pass: takes the gradients of its outputs, returns those of its inputs.

    `_edges` has one (node, output number) or None per input; `_output_metas` describes the outputs; `_seq` orders nodes
    by creation; a leaf's comes after all others. What is no name of PyTorch's begins with "_", for the node of a custom
    function is its context, where users keep what they like.
    """

    __slots__ = (
        "_edges", "_output_metas", "_seq", "_site", "_pre_hooks", "_post_hooks", "_retained", "_extra", "__weakref__",
    )  # fmt: skip

    def __init__(self, edges: tuple, output_metas: tuple[Meta, ...], site: sites.Site | None) -> None:
        self._edges = edges
        self._output_metas = output_metas
        self._seq = next(_sequence)
        self._site = site
        self._pre_hooks: OrderedDict[int, tuple[int, Callable]] | None = (
            None  # key -> (output number or -1 for all, hook)
        )
        self._post_hooks: dict[int, Callable] | None = None
        self._retained: dict[int, Any] | None = (
            None  # output number -> weak reference to the tensor that retains its grad
        )
        self._extra: dict[str, Any] | None = None

    def apply(self, grads: list[Any]) -> list[Any]:
        """The gradients of the inputs, one an edge, from those of the outputs (None: zero)."""
        raise NotImplementedError

    def _release(self) -> None:
        """Drop what was saved."""

    def name(self) -> str:
        """The name PyTorch shows, such as `MulBackward0`.

        Example::

            >>> import flambeau as torch
            >>> (torch.ones(2, requires_grad=True) * 2).grad_fn.name()
            'MulBackward0'
        """
        return type(self).__name__

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {id(self):#x}>"

    @property
    def _shown(self) -> Sequence[Any]:
        """What `next_functions` lists: numbers of edges, in its order."""
        return range(len(self._edges))

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """Where the gradients go: (node, number of its output) for each tensor that may have one, or (None, 0)."""
        found = [self._edges[i] for i in self._shown]
        return tuple([(None, 0) if e is None else (looked_at(e[0]), e[1]) for e in found])

    @property
    def metadata(self) -> dict[str, Any]:
        if self._extra is None:
            self._extra = {}
        return self._extra

    @property
    def requires_grad(self) -> bool:
        """True: there is a node where a gradient is wanted."""
        return True

    def _sequence_nr(self) -> int:
        """The place in the order in which nodes were made; leaves come last."""
        return self._seq

    def register_prehook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(grad_outputs)` before the node runs; it may return replacements."""
        if self._pre_hooks is None:
            self._pre_hooks = OrderedDict()
        return add_hook(self._pre_hooks, (-1, hook))

    def register_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(grad_inputs, grad_outputs)` after the node ran; it may return replacements of grad_inputs."""
        if self._post_hooks is None:
            self._post_hooks = OrderedDict()
        return add_hook(self._post_hooks, hook)


def add_hook(hooks: dict[int, Any], entry: Any) -> RemovableHandle:
    """Register `entry` under a fresh key."""
    handle = RemovableHandle(hooks)
    hooks[handle.id] = entry
    return handle


# ---------------------------------------------------------------------------------------------- leaves


class AccumulateGrad(Node):
    """The end of the graph at a leaf: adds the gradient to the leaf's `.grad`."""

    __slots__ = ("leaf", "post_accumulate_hooks")

    def __init__(self, leaf: TensorBase) -> None:
        super().__init__((), (leaf._meta,), None)
        self._seq += LEAF
        self.leaf = weakref.ref(leaf)  # the leaf owns this node; a strong reference back would be a cycle
        self.post_accumulate_hooks: dict[int, Callable] | None = None

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"

    @property
    def variable(self) -> Any:
        """The leaf."""
        return self.leaf()


# ---------------------------------------------------------------------------------------------- operations


def record_node(
    op: Any, args: tuple, metas: tuple, edges: tuple, inference: Any, mask: int, site: sites.Site | None
) -> OpNode:
    """The node of an operation: written out, as it runs for every operation recorded with gradients."""
    saving = inference.savings.get(mask)
    if saving is None:
        saving = inference.savings[mask] = op.saving(mask, metas)
    node = new(OpNode)
    node._edges = edges
    node._output_metas = inference.outputs
    node._seq = _next_number()
    node._site = site
    node._pre_hooks = node._post_hooks = node._retained = node._extra = node.watched = None
    node.op = op
    node.metas = metas
    node.saving = saving
    node.saved_outputs = [] if saving.outputs else None
    if saving.watched and stack.top is None:
        node.watched = [Watched.now(args[i], node) for i in saving.watched if i >= 0]
    if saving.nothing is not None:
        node.args, node.versions = saving.nothing, _NOTHING
        return node
    if saving.snapshots:
        args = tuple([_snapshot(a) if i in saving.snapshots else a for i, a in enumerate(args)])
    kept: Any = args
    if saving.dropped:
        kept = list(args)
        for i in saving.dropped:
            kept[i] = None
    node.args = kept
    if not saving.kept:
        node.versions = _NOTHING
        return node
    node.versions = versions = {}
    for i in saving.kept:
        arg = args[i]
        version = -1 if type(arg) is tuple else arg._storage.version
        versions[i] = version if version >= 0 else _version(arg)
    if stack.top is not None:
        node._pack(saving.kept, stack.top)
    return node


class Watched:
    """A tensor that may not change before backward, though the gradient does not read it: PyTorch's does. What is kept
    of it is how often it was changed."""

    __slots__ = ("changes", "version", "meta", "maker")

    changes: Changes
    version: int
    meta: Meta
    maker: Edge | int  # a number: that output of the node that watches

    @staticmethod
    def now(t: Any, node: Node) -> Watched:
        """The tensor as `node` sees it now."""
        watched, storage, maker = Watched(), t._storage, t._node
        version = storage.version
        watched.changes = storage.changes or changes_of(storage)
        watched.version = version if version >= 0 else _version(t)
        watched.meta = t._meta
        watched.maker = t._index if maker is node else None if maker is None else (maker, t._index)
        return watched

    def check(self, node: Node) -> None:
        """RuntimeError, which says what `node` saved, if the tensor was changed since."""
        if self.changes.version != self.version:
            maker = (node, self.maker) if type(self.maker) is int else self.maker
            raise changed_in_place(self.changes, self.meta, self.version, node, maker)  # type: ignore[arg-type]


def watch(results: Any, tensors: Sequence[Any]) -> None:
    """Let the nodes of the results of a composite refuse to run once one of these tensors was changed in place. Hooks
    on saved tensors take their place, as in PyTorch."""
    if stack.top is not None:
        return
    found = results if isinstance(results, tuple) else (results,)
    for result in found:
        node = getattr(result, "_node", None)
        if not isinstance(node, OpNode):
            continue
        if not any([t._node is node and not any([t is r for r in found]) for t in tensors]):  # else it was given
            watched = [Watched.now(t, node) for t in tensors if not isinstance(t, Operand)]
            node.watched = [*(node.watched or ()), *watched]


class Whole:
    """What a node is seen as that is the last of a composite: a name and edges, in place of its own, beside what its
    `saving` says of running it."""

    __slots__ = ("grouped", "wanted", "name", "shown")

    grouped: bool
    wanted: list[tuple[Derivative, tuple[bool, ...]]]

    def __init__(self, saving: Saving | Whole, name: str, shown: Sequence[Edge]) -> None:
        self.grouped, self.wanted, self.name, self.shown = saving.grouped, saving.wanted, name, shown


class OpNode(Node):
    """The backward step of an operation of the op table. Whoever looks at it finds a class of its name, as in PyTorch
    (see `looked_at`): until then all are of this class, which keeps recording fast."""

    __slots__ = ("op", "args", "versions", "saved_outputs", "metas", "saving", "watched")

    op: Any
    args: Any
    versions: dict[int, Any]
    saved_outputs: list[tuple] | None
    metas: tuple
    saving: Saving | Whole
    watched: list[Watched] | None

    @property
    def _shown(self) -> Sequence[Any]:
        edges = self._edges
        return [edges.index(e) if type(e) is tuple and e in edges else e for e in self.saving.shown]

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        edges, between = self._edges, self.op.between
        if between and type(self.saving) is Saving:
            steps = {i: Between.before(edges[i], name) for i, name in between.items()}
            shown = [steps.get(e, edges[e] if e >= 0 else None) for e in self.saving.shown]
            self.saving = Whole(self.saving, self.saving.name, shown)  # the same steps whenever somebody looks
        found = [(edges[e] if e >= 0 else None) if type(e) is int else e for e in self.saving.shown]
        return tuple([(None, 0) if e is None else (looked_at(e[0]), e[1]) for e in found])

    def name(self) -> str:
        return self.saving.name

    def _pack(self, kept: tuple[int, ...], hooks: tuple[Callable, Callable]) -> None:
        """Let the hooks on saved tensors have what is kept."""
        held = list(self.args)
        for i in kept:
            held[i] = Packed(tuple(held[i]) if type(held[i]) is list else held[i], hooks)
        self.args, self.versions = held, _NOTHING

    def save_outputs(self, outputs: tuple[TensorBase, ...]) -> None:
        """Save the outputs without their nodes (that would be a cycle); `unpack` gives them back with this node."""
        if stack.top is not None:
            kept = [unpack(o._storage, o._meta, None, 0) for o in outputs]
            self.saved_outputs = [(Packed(k, stack.top), k._meta, None) for k in kept]
            return
        if -1 in self.saving.watched:  # type: ignore[union-attr]
            self.watched = [*(self.watched or ()), *[Watched.now(o, self) for o in outputs]]
        self.saved_outputs = saved = []
        own = "out" in self.op.snapshots
        for o in outputs:
            storage = o._storage
            if own:
                storage = new_storage(storage.value, storage.nbytes)
            saved.append((storage, o._meta, storage.version))

    def _release(self) -> None:
        self.args = None
        self.saved_outputs = self.watched = None

    def apply(self, grads: list[Any]) -> list[Any]:
        if self.args is None:
            raise already_freed(self)
        if self.watched:
            for watched in self.watched:
                watched.check(self)
        if self.saving.grouped:
            return self._apply_grouped(grads)
        metas = self.metas
        results: list[Any] = [None] * len(self._edges)
        for derivative, needs in self.saving.wanted:
            found = derivative.fn(*self._sources(derivative, grads, needs))
            several = found if derivative.grouped else (found,)
            for i, needed, value in zip(derivative.inputs, needs, several, strict=True):
                if needed and value is not None:
                    results[i] = fit(value, metas[i])
        return results

    def _apply_grouped(self, grads: list[Any]) -> list[Any]:
        """`apply` where a parameter is a tuple of tensors, which has an edge for each."""
        results: list[Any] = [None] * len(self._edges)
        groups = self._groups()
        for derivative, needs in self.saving.wanted:
            found = derivative.fn(*self._sources(derivative, grads, needs))
            several = found if derivative.grouped else (found,)
            for i, needed, value in zip(derivative.inputs, needs, several, strict=True):
                if needed:
                    self._deliver(results, groups[i], self.metas[i], value)
        return results

    def _groups(self) -> list[list[tuple[int, Edge]]]:
        """The edges of each parameter, numbered; a tuple of tensors has several, a parameter left out none."""
        groups: list[list[tuple[int, Edge]]] = []
        position = 0
        for m in self.metas:
            count = sum(isinstance(x, Meta) for x in m) or 1 if type(m) is tuple else 1
            groups.append([(p, self._edges[p]) for p in range(position, position + count)])
            position += count
        return groups + [[] for _ in self.op.parameters[len(groups) :]]

    def _sources(self, derivative: Derivative, grads: list[Any], needs: tuple[bool, ...]) -> list[Any]:
        """What a gradient function's parameters stand for."""
        found: list[Any] = []
        for kind, i in derivative.sources:
            if kind == "g":
                found.append(grads[i])
            elif kind == "arg":
                found.append(self._argument(i))
            elif kind == "meta":
                found.append(self.metas[i] if i < len(self.metas) else None)
            elif kind == "out":
                found.append(self._unpack_output(i))
            else:
                found.append(needs if kind == "needs" else grads)
        return found

    def _argument(self, i: int) -> Any:
        if i >= len(self.args):
            return self.op.defaults[self.op.parameters[i]]
        arg = self.args[i]
        if type(arg) is Packed:
            return arg.unpack()
        versions = self.versions.get(i)
        if versions is not None and (type(versions) is list or arg._storage.version != versions):
            check_versions(arg, versions, self, self._edges[i] if len(self._edges) == len(self.metas) else None)
        return arg

    def _unpack_output(self, i: int) -> Any:
        assert self.saved_outputs is not None
        storage, m, version = self.saved_outputs[i]
        node = self if m.dtype.differentiable and i not in self.op.nondifferentiable else None
        if version is None:
            found = storage.unpack()
            return unpack(found._storage, found._meta, node, i)
        if storage.version != version:
            raise changed_in_place(storage, m, version, self, (self, i))
        return unpack(storage, m, node, i)

    def _deliver(self, results: list[Any], group: list[tuple[int, Edge]], metas: Any, value: Any) -> None:
        many = type(metas) is tuple
        for (p, edge), v, m in zip(group, value if many else (value,), metas if many else (metas,), strict=False):
            if edge is not None and v is not None:
                results[p] = fit(v, m)


class Between(Node):
    """A step of PyTorch's graph that the node before it includes: it is there to be seen, and never runs."""

    __slots__ = ()

    @staticmethod
    def before(edge: Edge, name: str) -> Edge:
        """An edge to a step of this name that leads where `edge` does."""
        if edge is None:
            return None
        node, index = edge
        step = type(name, (Between,), {"__slots__": (), "__module__": "builtins"})
        return step((edge,), (node._output_metas[index],), node._site), 0

    def _refuse(self, hook: Callable) -> RemovableHandle:
        raise RuntimeError(
            f"{self.name()} is a part of the operation before it and does not run by itself, so that no hook can be "
            "registered on it: register it on that operation's node, or on the tensor"
        )

    register_hook = register_prehook = _refuse


_kinds: dict[tuple[Any, str], type[OpNode]] = {}


def looked_at(node: Any) -> Any:
    """A node for somebody outside: an operation's gets the class of its name, which shows what it saves."""
    if type(node) is OpNode:
        node.__class__ = _kind_of_node(node.op, node.saving.name)
    return node


def _kind_of_node(op: Any, name: str) -> type[OpNode]:
    """The class of an operation's nodes of this name, made when the first is looked at."""
    kind = _kinds.get((op, name))
    if kind is None:
        members = {"__slots__": (), "__module__": "builtins", **saved_attributes(op)}
        kind = _kinds[op, name] = type(name.split("::")[-1], (OpNode,), members)
    return kind


def saved_attributes(op: Any) -> dict[str, property]:
    """What the nodes of `op` save, under PyTorch's names: arguments that its gradient needs, and results."""
    sources = dict.fromkeys([s for derivative in op.gradient for s in derivative.sources])
    found = {}
    for kind, i in sources:
        if kind == "arg":
            name = op.parameters[i]
            found["_saved_" + ("self" if name == "input" else name)] = property(functools.partial(_saved_argument, i))
        elif kind == "out":
            found["_saved_result" + (str(i) if i else "")] = property(functools.partial(_saved_output, i))
    return found


def _saved_argument(i: int, node: OpNode) -> Any:
    if node.args is None:
        raise already_freed(node)
    return node._argument(i)


def _saved_output(i: int, node: OpNode) -> Any:
    if node.args is None:
        raise already_freed(node)
    return node._unpack_output(i) if node.saved_outputs else None


def present(result: Any, name: str, inputs: Sequence[Any]) -> None:
    """Let the node of `result`, the last of a composite that PyTorch has as one operation, be seen as that: by its
    name, and leading to the `inputs` of the whole. The pass goes through the nodes between, as ever."""
    if isinstance(result, tuple):
        for r in result:
            present(r, name, inputs)
        return
    node = getattr(result, "_node", None)
    if not isinstance(node, OpNode):
        return
    edges: list[Edge] = []
    for x in inputs:
        if x is None:
            edges.append(None)
        elif isinstance(x, TensorBase):
            below = x._node
            if below is node:  # the result is an input
                return
            edges.append(None if below is None else (below, x._index))
    node.saving = Whole(node.saving, name, edges)


def fit(grad: Any, m: Meta) -> Any:
    """A gradient with the shape and dtype of what it is the gradient of: broadcast dimensions are summed."""
    own = getattr(grad, "_meta", None)
    if own is None or own is m:  # a sparse gradient stays as it is
        return grad
    if own.shape != m.shape:
        grad = sum_to_size(grad, m.shape)
    if own.dtype is not m.dtype:
        grad = cast(grad.real if own.dtype.is_complex and not m.dtype.is_complex else grad, m.dtype)
    return grad


def _version(arg: Any) -> Any:
    """How often a tensor was changed; of a tuple of them a list of that."""
    if type(arg) is tuple:
        return [_version(a) if isinstance(a, TensorBase) else 0 for a in arg]
    version = arg._storage.version
    if version < 0:
        raise made_in_inference_mode()
    return version


def made_in_inference_mode() -> RuntimeError:
    """The error about a tensor that cannot be saved for backward."""
    return RuntimeError(
        errors.explain(
            "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in "
            "computation tracked by autograd.",
            hint="use a .clone(), which is a usual tensor, or torch.no_grad() instead of torch.inference_mode()",
            site=sites.user_site(2),
        )
    )


def check_versions(arg: Any, versions: Any, node: Node, maker: Edge = None) -> None:
    """RuntimeError if a saved tensor, which was the result of `maker`, was changed in place after it was saved."""
    if isinstance(arg, TensorBase):
        if arg._storage.version != versions:
            raise changed_in_place(arg._storage, arg._meta, versions, node, maker)
    elif type(arg) is tuple and isinstance(versions, list):
        for a, v in zip(arg, versions, strict=True):
            check_versions(a, v, node)


def _snapshot(t: Any) -> Any:
    """The present contents of `t`, with its place in the graph."""
    storage = t._storage
    if exposure.is_exposed(storage):
        return t.clone()
    return unpack(new_storage(storage.value, storage.nbytes), t._meta, t._node, t._index)


def already_freed(node: Node | None) -> RuntimeError:
    """The error about a second pass over a graph whose saved tensors are gone."""
    return RuntimeError(
        errors.explain(
            "Trying to backward through the graph a second time (or directly access saved tensors after they have "
            "already been freed). "
            "Saved intermediate values of the graph are freed when you call .backward() or autograd.grad().",
            hint="Specify retain_graph=True if you need to backward through the graph a second time",
            site=None if node is None else node._site,
        )
    )


def changed_in_place(
    changed: Storage | Changes, m: Meta, version: int, node: Node, maker: Edge = None
) -> RuntimeError:
    """The error about a saved tensor that was changed: which, the result of which node, saved where, changed where."""
    changes = changed if isinstance(changed, Changes) else changes_of(changed)
    made = maker is not None and not isinstance(maker[0], AccumulateGrad)
    origin = f", which is output {maker[1]} of {maker[0].name()}," if made and maker else ""
    return RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"[torch.{errors.TYPE_NAMES[m.dtype.name]}Tensor {list(m.shape)}]{origin} is at version {changed.version}; "
        f"expected version {version} instead.\n"
        f"  saved by {node.name()} at {sites.describe(node._site)}\n  changed at {sites.describe(changes.site)}\n"
        "  hint: use the operation that is not in-place there, or change a .clone()"
    )


class Running(threading.local):
    """The pass over a graph that this thread is in."""

    walk: Any = None


running = Running()

# (storage, meta, node, output number) -> Tensor; set by _tensor.dispatch
unpack: Callable[[Any, Meta, Node | None, int], Any] = None  # type: ignore[assignment]


def gradient_edge(tensor: Any) -> Edge:
    """Where the gradient of `tensor` goes."""
    node = tensor._node
    return None if node is None else (node, tensor._index)


# ---------------------------------------------------------------------------------------------- the graph for users


class GradientEdge(NamedTuple):
    """A place in the graph: output `output_nr` of `node`. Gradients can be taken by it as by the tensor itself."""

    node: Node
    output_nr: int
    ownership_token: Node | None = None


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """Where the gradient of `tensor` arrives; RuntimeError if it requires none.

    Example::

        >>> import flambeau as torch
        >>> get_gradient_edge(torch.ones(2, requires_grad=True).exp()).node.name()
        'ExpBackward0'
    """
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    return GradientEdge(looked_at(tensor._node), tensor._index)


def increment_version(tensor: Any) -> None:
    """Count a change of a tensor, or of several, that the graph could not see.

    Example::

        >>> import flambeau as torch
        >>> x = torch.ones(2)
        >>> increment_version(x)
        >>> x._version
        1
    """
    for t in [tensor] if isinstance(tensor, TensorBase) else tensor:
        note_changes(t._storage, 1, None)


def register_multi_grad_hook(
    tensors: Sequence[Any], fn: Callable[[Any], None], *, mode: str = "all"
) -> RemovableHandle:
    """Call `fn` once in each backward pass: with the gradients of all `tensors` when the last of them is known (None
    for those the pass does not reach), or with mode="any" with the first.

    Example::

        >>> import flambeau as torch
        >>> a, b = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
        >>> handle = register_multi_grad_hook((a, b), lambda grads: print(len(grads)))
        >>> (a * b).sum().backward()
        2
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    nodes = [gradient_edge(t) for t in tensors]
    walk: Any = None  # the pass whose gradients are collected
    arrived: list[Any] = []
    missing = 0

    def receive(i: int, grad: Any) -> None:
        nonlocal walk, arrived, missing
        first = walk is not running.walk
        if first:
            walk, arrived = running.walk, [None] * len(tensors)
            missing = sum([edge is not None and walk.reaches(edge[0]) for edge in nodes])
        arrived[i] = grad
        missing -= 1
        if mode == "any" and first:
            fn(grad)
        elif mode == "all" and not missing:
            fn(arrived)

    handles = [t.register_hook(functools.partial(receive, i)) for i, t in enumerate(tensors)]
    return _Handles(handles)


@contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[None]:
    """A context in which tensors that were saved may be changed in place: backward sees what they were. That costs no
    copy before something is changed, since values never change, only the tensors that hold them.

    Example::

        >>> import flambeau as torch
        >>> x = torch.ones(2, requires_grad=True)
        >>> with torch.autograd.graph.allow_mutation_on_saved_tensors():
        ...     y = x * 2
        ...     z = y * y
        ...     y = y.zero_()
        ...     z.sum().backward()
        >>> x.grad
        tensor([8., 8.])
    """
    with saved_tensors_hooks(_snapshot, lambda t: t):
        yield


class _Handles(RemovableHandle):
    """Removes several hooks at once."""

    def __init__(self, handles: list[RemovableHandle]) -> None:
        super().__init__(OrderedDict())
        self.handles = handles

    def remove(self) -> None:
        """Remove all of them."""
        for handle in self.handles:
            handle.remove()

__getattr__ = absent("torch.autograd.graph")
