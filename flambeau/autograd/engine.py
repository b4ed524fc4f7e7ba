"""The backward pass: runs the nodes from the outputs to the leaves, newest first, and adds up what meets.

Order and hooks are PyTorch's: a node runs when all gradients that flow into it have arrived; hooks of a tensor run on
the gradient's sum, before the node that made the tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

from flambeau._core.errors import TYPE_NAMES, explain
from flambeau._core.sites import describe, user_site
from flambeau._engine.exposure import is_exposed
from flambeau._engine.window import state
from flambeau._ir.meta import Meta
from flambeau._ir.program import new_storage
from flambeau._ir.recording import TensorBase
from flambeau._ops.convert import copy_of
from flambeau._ops.fill import filled
from flambeau._ops.operands import Operand
from flambeau._ops.registry import OPS
from flambeau.autograd import graph
from flambeau.autograd.graph import AccumulateGrad, Edge, GradientEdge, Node, running


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Add the gradients of `tensors`, weighted with `grad_tensors`, to the `.grad` of the leaves (or of `inputs` only).

    Shapes of `grad_tensors` are those of `tensors`; None stands for 1 where a tensor is a scalar. RuntimeError if a
    tensor needs no gradient, or if the graph was used before and not retained.

    Example::

        >>> import flambeau as torch
        >>> x = torch.ones(2, requires_grad=True)
        >>> torch.autograd.backward(x.sum())
        >>> x.grad
        tensor([1., 1.])
    """
    roots, grads = start(as_sequence(tensors), as_sequence(grad_tensors if grad_variables is None else grad_variables))
    accumulate_into = None
    if inputs is not None:
        wanted = as_sequence(inputs)
        if not wanted:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
        for t in wanted:
            if not isinstance(t, GradientEdge) and t.requires_grad and not t.is_leaf:
                t.retain_grad()
        places = [edge_of(t) for t in wanted]
        accumulate_into = {id(node) for node, _ in places if node is not None}
    retain = create_graph if retain_graph is None else retain_graph
    Pass(retain, create_graph, None, accumulate_into).run(roots, grads)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple:
    """The gradients of `outputs`, weighted with `grad_outputs`, with respect to `inputs`, as a tuple; `.grad` is left
    alone.

    Outputs and inputs may be places in the graph (`graph.GradientEdge`). RuntimeError for an input that the outputs do
    not depend on, unless `allow_unused` (None then) or
    `materialize_grads` (zeros).

    Example::

        >>> import flambeau as torch
        >>> x = torch.tensor(3., requires_grad=True)
        >>> torch.autograd.grad(x ** 2, x)
        (tensor(6.),)
    """
    wanted = as_sequence(inputs)
    if not wanted:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    if is_grads_batched:
        return _batched_grad(outputs, wanted, grad_outputs, create_graph, allow_unused, materialize_grads)
    roots, grads = start(as_sequence(outputs), as_sequence(grad_outputs))
    capture: dict[tuple[int, int], int] = {}
    slots = []
    for t in wanted:
        node, index = edge_of(t)
        if node is None:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
        key = (id(node), index)
        slots.append(capture.setdefault(key, len(capture)))
    retain = create_graph if retain_graph is None else retain_graph
    captured = Pass(retain, create_graph, capture, None).run(roots, grads)
    results = [captured.get(slot) for slot in slots]
    results = [t.as_gradient(r) if isinstance(t, Operand) else r for t, r in zip(wanted, results, strict=True)]
    if materialize_grads:
        results = [zeros_for(t) if r is None else r for t, r in zip(wanted, results, strict=True)]
    elif not allow_unused and any(r is None for r in results):
        unused = next(i for i, r in enumerate(results) if r is None)
        raise RuntimeError(
            f"The differentiated Tensor at index {unused} appears to not have been used in the graph. "
            "Set allow_unused=True if this is the desired behavior."
        )
    return tuple(results)


def _batched_grad(
    outputs: Any,
    inputs: Sequence,
    grad_outputs: Any,
    create_graph: bool,
    allow_unused: bool | None,
    materialize_grads: bool,
) -> tuple:
    """`grad` for a batch of weights (dimension 0 of each of `grad_outputs`), one pass each."""
    weights = as_sequence(grad_outputs)
    passes = [
        grad(
            outputs,
            inputs,
            [w[i] for w in weights],
            True,
            create_graph,
            allow_unused=allow_unused,
            materialize_grads=materialize_grads,
        )
        for i in range(weights[0].shape[0])
    ]
    return tuple([None if p[0] is None else OPS["stack"].function(p) for p in zip(*passes, strict=True)])


def as_sequence(tensors: Any) -> list[Any]:
    """One tensor or several, as a list; [] for None."""
    if tensors is None:
        return []
    return [tensors] if isinstance(tensors, (TensorBase, GradientEdge)) else list(tensors)


def edge_of(t: Any) -> tuple[Node | None, int]:
    """The place in the graph that a tensor, or a GradientEdge itself, stands for."""
    if isinstance(t, GradientEdge):
        return t.node, t.output_nr
    if isinstance(t, Operand):
        t, _ = t.as_root(None)
    return (t._node if t.requires_grad else None), t._index


def zeros_for(t: Any) -> Any:
    if isinstance(t, GradientEdge):
        m = t.node._output_metas[t.output_nr]
        return filled(tuple(m.shape), 0, m.dtype)
    if isinstance(t, Operand):
        return t.as_gradient(zeros_for(t.as_root(None)[0]))
    return t.new_zeros(t.shape)


def start(outputs: list[Any], weights: list[Any]) -> tuple[list[tuple[Node, int]], list[Any]]:
    """The nodes where a pass starts and the gradients it starts with."""
    weights = weights or [None] * len(outputs)
    for weight in weights:
        if not (weight is None or isinstance(weight, (TensorBase, Operand))):
            hint = "torch.ones_like(y) weighs all elements of y alike"
            raise TypeError(explain(f"gradients can be either Tensors or None, got {type(weight).__name__}", hint=hint))
    if len(weights) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(weights)} gradients")
    roots, grads = [], []
    for t, weight in zip(outputs, weights, strict=True):
        if isinstance(t, Operand):
            t, weight = t.as_root(weight)
        node, index = edge_of(t)
        if node is None:
            raise RuntimeError(
                explain(
                    "element 0 of tensors does not require grad and does not have a grad_fn",
                    hint="was it computed inside no_grad(), from .detach()ed tensors, or from integers only?",
                    site=user_site(3),
                )
            )
        roots.append((node, index))
        grads.append(_first_gradient(node._output_metas[index] if isinstance(t, GradientEdge) else t._meta, weight))
    return roots, grads


def _first_gradient(m: Meta, weight: Any) -> Any:
    if weight is None:
        if m.numel != 1:
            raise RuntimeError(
                explain(
                    f"grad can be implicitly created only for scalar outputs, got shape {list(m.shape)}",
                    hint="reduce it first, e.g. .sum() or .mean(), or pass gradient=",
                    site=user_site(4),
                )
            )
        if m.dtype.is_complex:
            raise RuntimeError("grad can be implicitly created only for real scalar outputs but got " + repr(m.dtype))
        return filled(tuple(m.shape), 1, m.dtype)
    if weight._meta.shape != m.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[0] has a shape of {weight.shape} and output[0] has a shape of {m.shape}."
        )
    return weight.to(m.dtype) if weight.dtype is not m.dtype else weight


class Pass:
    """One run over the graph. `capture` maps (node, output number) to the slot of `captured` that wants its gradient;
    with it, leaves accumulate nothing."""

    def __init__(
        self,
        retain_graph: bool,
        create_graph: bool,
        capture: dict[tuple[int, int], int] | None,
        accumulate_into: set[int] | None,
    ) -> None:
        self.retain_graph = retain_graph
        self.create_graph = create_graph
        self.capture = capture or {}
        self.only_capture = capture is not None
        self.accumulate_into = accumulate_into
        self.captured: dict[int, Any] = {}
        self.arriving: dict[Node, list[Any]] = {}

    def run(self, roots: Sequence[tuple[Node, int]], grads: Sequence[Any]) -> dict[int, Any]:
        self.arriving = arriving = awaited_below(roots)
        self.useful = useful = self._useful([node for node, _ in roots])
        heap: list[tuple[int, Node]] = []  # those to run: leaves first, then the newest
        self._send(roots, grads, heap)
        before, outer = state.grad_enabled, running.walk
        state.grad_enabled, running.walk = self.create_graph, self
        try:
            while heap:
                node = heappop(heap)[1]
                received, arriving[node] = arriving[node], []
                produced = self._run_node(node, received) if useful is None or id(node) in useful else None
                self._send(node._edges, produced, heap)
        finally:
            state.grad_enabled, running.walk = before, outer
        return self.captured

    def reaches(self, node: Node) -> bool:
        """Will this pass run the node, or has it?"""
        return node in self.arriving and (self.useful is None or id(node) in self.useful)

    def _leads_on(self, node: Node) -> bool:
        """Does the node lead to another one that this pass runs or captures? One that does not is not run: what it has
        saved may have changed, and stays."""
        assert self.useful is not None
        return any([e is not None and id(e[0]) in self.useful for e in node._edges])

    def _useful(self, roots: list[Node]) -> set[int] | None:
        """With captures: the nodes from which a captured gradient can be reached; the others need not run."""
        if not self.only_capture and self.accumulate_into is None:
            return None
        wanted = {node for node, _ in self.capture} | (self.accumulate_into or set())
        useful: set[int] = set()
        for node in postorder(roots):
            if id(node) in wanted or any(e is not None and id(e[0]) in useful for e in node._edges):
                useful.add(id(node))
        return useful

    def _send(self, edges: Sequence[Edge], produced: Sequence[Any] | None, heap: list[tuple[int, Node]]) -> None:
        """Add what was produced to the gradients that arrive where the edges lead; nodes that all have reached are to
        be run."""
        arriving = self.arriving
        for i, edge in enumerate(edges):
            if edge is None:
                continue
            node, index = edge
            gradients = arriving[node]
            grad = None if produced is None else produced[i]
            if grad is not None:
                held = gradients[index]
                gradients[index] = grad if held is None else held + grad
            left = gradients[-1] - 1
            if left:
                gradients[-1] = left
            else:
                gradients.pop()
                heappush(heap, (-node._seq, node))

    def _run_node(self, node: Node, received: list[Any]) -> list[Any] | None:
        ends = self.only_capture and not self._leads_on(node)
        if node._pre_hooks or node._retained:
            received = run_tensor_hooks(node, received, not ends)
        if self.only_capture:
            self._capture(node, received)
        if type(node) is AccumulateGrad:
            allowed = id(node) in self.accumulate_into if self.accumulate_into is not None else not self.only_capture
            if received[0] is not None and allowed:
                accumulate(node, received[0], self.create_graph)
                if node._post_hooks:
                    for hook in list(node._post_hooks.values()):
                        hook((), tuple(received))
            return None
        if ends or nothing(received):
            return None
        produced = apply_watched(node, received) if anomaly.enabled else node.apply(received)
        if node._post_hooks:
            produced = run_post_hooks(node, produced, received)
        if not self.retain_graph:
            node._release()
        return produced

    def _capture(self, node: Node, received: list[Any]) -> None:
        for index, grad in enumerate(received):
            slot = self.capture.get((id(node), index))
            if slot is not None:
                self.captured[slot] = grad


def nothing(grads: list[Any]) -> bool:
    """Has no output a gradient?"""
    for g in grads:
        if g is not None:
            return False
    return True


class Anomaly:
    """The state of anomaly mode (see `autograd.anomaly_mode`)."""

    enabled = False
    check_nan = True


anomaly = Anomaly()


def apply_watched(node: Node, received: list[Any]) -> list[Any]:
    """Run a node in anomaly mode: errors name the line of its forward, and NaN is an error."""
    try:
        produced = node.apply(received)
    except Exception as error:
        error.add_note(f"Error detected in {node.name()}, recorded at {describe(node._site)}")
        raise
    for i, grad in enumerate(produced):
        if anomaly.check_nan and grad is not None and not grad.is_sparse and bool((grad != grad).any()):
            raise RuntimeError(
                explain(f"Function '{node.name()}' returned nan values in its {i}th output.", site=node._site)
            )
    return produced


def awaited_below(edges: Sequence[Edge]) -> dict[Node, list[Any]]:
    """The nodes that `edges` lead to, and those of the graph below: places for the gradients of a node's outputs, and
    behind them how many arrive in all, one for each edge that leads to the node."""
    awaited: dict[Node, list[Any]] = {}
    stack = [edges]
    while stack:
        for edge in stack.pop():
            if edge is not None:
                node = edge[0]
                known = awaited.get(node)
                if known is None:
                    awaited[node] = [*[None] * len(node._output_metas), 1]
                    stack.append(node._edges)
                else:
                    known[-1] += 1
    return awaited


def postorder(roots: list[Node]) -> list[Node]:
    """The nodes below `roots`, each after everything its edges lead to."""
    order: list[Node] = []
    seen: set[int] = set()
    stack: list[tuple[Node, bool]] = [(r, False) for r in roots]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
            continue
        if id(node) in seen:
            continue
        seen.add(id(node))
        stack.append((node, True))
        stack.extend((e[0], False) for e in node._edges if e is not None and id(e[0]) not in seen)
    return order


def run_tensor_hooks(node: Node, received: list[Any], runs: bool = True) -> list[Any]:
    """Hooks of the tensors the node made, and, if it `runs` then, of the node as a whole; then `retain_grad`."""
    if node._pre_hooks:
        for index, hook in list(node._pre_hooks.values()):
            if index < 0 and not runs:
                continue
            if index < 0:
                replaced = hook(tuple(received))
                received = received if replaced is None else list(replaced)
            elif received[index] is not None:
                replaced = hook(received[index])
                if replaced is not None:
                    received[index] = _checked_gradient(replaced, received[index], hook)
    if node._retained:
        for index, reference in node._retained.items():
            tensor = reference()
            grad = received[index]
            if tensor is not None and grad is not None:
                own = grad.clone() if state.grad_enabled or isinstance(grad, Operand) else own_copy(grad)
                tensor._grad = own if tensor._grad is None else tensor._grad + grad
    return received


def _checked_gradient(found: Any, given: Any, hook: Any) -> Any:
    """What a hook returned in place of a gradient; an error for another kind, shape or dtype."""
    if not isinstance(found, (TensorBase, Operand)):
        kind = type(found).__name__
        raise TypeError(f"expected Variable, but hook returned '{kind}': a hook returns a Tensor or None")
    if isinstance(found, Operand) or isinstance(given, Operand):
        return found
    name, own, m = getattr(hook, "__name__", type(hook).__name__), found._meta, given._meta
    if own.shape != m.shape:
        raise RuntimeError(f"hook '{name}' has changed the size of value")
    if own.dtype is not m.dtype:
        was, got = [f"torch.{TYPE_NAMES[d.name]}Tensor" for d in (m.dtype, own.dtype)]
        raise RuntimeError(f"hook '{name}' has changed the type of value (was {was} got {got})")
    return found


def run_post_hooks(node: Node, produced: list[Any], received: list[Any]) -> list[Any]:
    """Show the gradients of what `next_functions` lists to the node's hooks, and take what they give instead."""
    numbers = [i if type(i) is int and i >= 0 else None for i in node._shown]
    for hook in list((node._post_hooks or {}).values()):
        replaced = hook(tuple([None if i is None else produced[i] for i in numbers]), tuple(received))
        if replaced is None:
            continue
        if not isinstance(replaced, tuple):
            raise TypeError(f"expected tuple, but hook returned '{type(replaced).__name__}'")
        if len(replaced) != len(numbers):
            raise RuntimeError(
                f"hook '{getattr(hook, '__name__', type(hook).__name__)}' has returned an incorrect number of values "
                f"(got {len(replaced)}, but expected {len(numbers)})"
            )
        for i, grad in zip(numbers, replaced, strict=True):
            if i is not None:
                produced[i] = grad
    return produced


def accumulate(node: AccumulateGrad, grad: Any, create_graph: bool) -> None:
    """Add `grad` to the leaf's `.grad`; the first one becomes it."""
    leaf: Any = node.leaf()
    if leaf is None:
        return
    held = leaf._grad
    if held is None:
        leaf._grad = grad.clone() if create_graph or isinstance(grad, Operand) else own_copy(grad)
    elif create_graph or isinstance(held, Operand) or isinstance(grad, Operand):
        leaf._grad = held + grad
    else:
        held.add_(grad)
    if node.post_accumulate_hooks:
        for hook in list(node.post_accumulate_hooks.values()):
            hook(leaf)


def own_copy(grad: Any) -> Any:
    """A gradient in a storage of its own, as nobody may see the leaf's gradient change. The value itself is shared:
    whoever writes to one of two storages with the same value copies it first."""
    storage, m = grad._storage, grad._meta
    if not m.is_contiguous or storage.nbytes != m.nbytes or (storage.exposed and is_exposed(storage)):
        return copy_of(grad.detach(), False)
    return graph.unpack(new_storage(storage.value, storage.nbytes), m, None, 0)
