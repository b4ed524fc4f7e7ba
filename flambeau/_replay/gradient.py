"""The gradient history of what a replay returns: a node that knows the graph which ordinary running would have built.

The graph of the captured call is kept as a template, without any numbers. A backward pass through the node builds the
graph anew over what this replay has saved, once for each combination of gradients that arrive, and records what it
computes; from then on the recording runs. With `create_graph` the graph itself is built and walked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from flambeau import _api as torch
from flambeau._core.dtypes import uint8
from flambeau._engine.window import state
from flambeau._ir.meta import Meta, contiguous
from flambeau._ir.program import Storage, new_storage
from flambeau._ir.recording import TensorBase
from flambeau._replay.capture import Before, CapturingWindow
from flambeau._replay.outcome import Outcome
from flambeau._replay.recording import Draft, Failed, Recording
from flambeau._replay.refusal import Refusal
from flambeau._tensor.dispatch import CopySlices, make_tensor, node_of
from flambeau.autograd.engine import Pass
from flambeau.autograd.graph import AccumulateGrad, Node, OpNode, Whole, already_freed, changed_in_place
from flambeau.autograd.saved import Packed

MOST_RECORDINGS = 8  # of one graph, for different gradients
_NOWHERE = contiguous(uint8, (0,))


class Saved(NamedTuple):
    """A tensor that a node saved: a known one, or one over saved storage number `storage`, made by a node of the graph
    or that of a known tensor."""

    known: int
    meta: Any = None
    storage: int = -1
    node: Any = None
    output: int = 0


class Inner(NamedTuple):
    """A node of the template. An edge is (number of a node, output), a Border, or None."""

    node: Node  # stripped of all it saved
    edges: tuple
    args: Any
    outputs: Any


class Border(NamedTuple):
    """Where the graph ends: boundary number `number`."""

    number: int


class Template:
    """The graph below `outputs`, down to the nodes of known tensors."""

    def __init__(self, outputs: Sequence[Any], known: Sequence[Any], befores: Sequence[Before], start: int) -> None:
        self._known = {id(t): i for i, t in enumerate(known)}
        nodes = [b.node for b in befores]
        self._owners = {(id(n), t._index): i for i, (t, n) in enumerate(zip(known, nodes, strict=True)) if n}
        self._outside = {id(n) for n in nodes if n}
        self._storages: dict[int, int] = {}
        self._start = start
        self.storages: list[Storage] = []
        self.boundary: list[int] = []  # the known tensors whose gradients are computed
        self.needed: set[int] = set()  # known tensors that are saved
        found = self._below([t._node for t in outputs])
        released = [n.args is None for n in found if isinstance(n, OpNode)]
        self.spent = any(released)
        if self.spent and not all(released):
            raise Refusal("a part of a graph is returned whose other parts are used up")
        self._numbers = {id(n): i for i, n in enumerate(found)}
        self.nodes = [] if self.spent else [self._inner(n) for n in found]
        self.outputs = [(self._numbers[id(t._node)], t._index) for t in outputs]
        self.metas = tuple([t._meta for t in outputs])
        self.site = outputs[0]._node._site
        self.recordings: dict[tuple, Backward | None] = {}
        del self._owners, self._outside, self._numbers

    # ------------------------------------------------------------------------------------------ building

    def _below(self, roots: Sequence[Node]) -> list[Node]:
        """The nodes made by the function, oldest first."""
        found: dict[int, Node] = {}
        stack = list(roots)
        while stack:
            node = stack.pop()
            if id(node) in found or id(node) in self._outside:
                continue
            if isinstance(node, AccumulateGrad):
                if node in roots:
                    raise Refusal("a leaf that requires a gradient is made and returned")
                continue
            if node._seq < self._start or not isinstance(node, (OpNode, CopySlices)):
                raise Refusal(f"{node.name()} is part of the gradient's graph")
            if node._pre_hooks or node._post_hooks or node._retained or node._extra:
                raise Refusal("there are hooks in the gradient's graph")
            found[id(node)] = node
            stack += [edge[0] for edge in node._edges if edge is not None]
        if any(id(root) in self._outside for root in roots):
            raise Refusal("a view of a tensor from outside is returned")
        return sorted(found.values(), key=lambda node: node._seq)

    def _inner(self, node: Any) -> Inner:
        edges = tuple([self._edge(edge) for edge in node._edges])
        if isinstance(node, CopySlices):
            return Inner(node, edges, None, None)
        if any([w.changes.version != w.version for w in node.watched or ()]):
            raise Refusal("a saved tensor is changed in place")
        if any([type(saved) is Packed for saved in (*node.args, *[o[0] for o in node.saved_outputs or ()])]):
            raise Refusal("hooks on saved tensors are at work")
        args = [self._saved(a, node.versions.get(i)) for i, a in enumerate(node.args)]
        outputs = None if node.saved_outputs is None else [
            (self._storage(s, version), m) for s, m, version in node.saved_outputs
        ]  # fmt: skip
        return Inner(node, edges, args, outputs)

    def _edge(self, edge: Any) -> Any:
        if edge is None:
            return None
        node, index = edge
        if id(node) in self._numbers:
            return self._numbers[id(node)], index
        owner = self._owners.get((id(node), index))
        if owner is None:  # a leaf that nobody can ask about
            return None
        if owner not in self.boundary:
            self.boundary.append(owner)
        return Border(self.boundary.index(owner))

    def _saved(self, argument: Any, versions: Any) -> Any:
        if type(argument) is tuple and any(isinstance(a, TensorBase) for a in argument):
            return tuple([self._saved(a, v) for a, v in zip(argument, versions, strict=True)])
        if not isinstance(argument, TensorBase):
            return argument
        known = self._known.get(id(argument))
        if known is not None:
            if argument._storage.version != versions:
                raise Refusal("a saved tensor is changed in place")
            self.needed.add(known)
            return Saved(known)
        if type(argument) is not torch.Tensor:
            raise Refusal("a tensor of a class of its own is saved")
        node = argument._node
        if node is not None:
            node = self._numbers.get(id(node), self._edge((node, argument._index)))
        return Saved(-1, argument._meta, self._storage(argument._storage, versions), node, argument._index)

    def _storage(self, storage: Storage, version: int) -> int:
        if storage.version != version:
            raise Refusal("a saved tensor is changed in place")
        number = self._storages.setdefault(id(storage), len(self.storages))
        if number == len(self.storages):
            self.storages.append(storage)
        return number

    def settle(self, draft: Draft, outcome: Outcome, known: Sequence[Any]) -> None:
        """Learn where what is saved is to be found after a run, and forget the captured call."""
        owners = {id(t._storage): i for i, t in reversed(list(enumerate(known)))}
        self.places: list[tuple[int, int, int, int]] = []  # known tensor, fresh storage, or value and bytes
        for s in self.storages:
            owner, fresh = owners.get(id(s), -1), outcome.numbers.get(id(s), -1)
            place = draft.place(s.value) if owner < 0 and fresh < 0 else -1
            self.places.append((owner, fresh, place, s.nbytes))
        outcome.exact |= {owner for owner, *_ in self.places if owner >= 0}
        self.saved_known = sorted(self.needed)
        self.nodes = [inner._replace(node=_stripped(inner.node)) for inner in self.nodes]
        del self.storages, self._storages, self._known

    # ------------------------------------------------------------------------------------------ building it again

    def node(self, tensors: Sequence[Any], values: Sequence[Any], fresh: Sequence[Storage]) -> CompiledFunctionBackward:
        """The node for the results of a run."""
        storages = []
        for owner, number, place, nbytes in self.places:
            if owner >= 0:
                storages.append(tensors[owner]._storage)
            else:
                storages.append(fresh[number] if number >= 0 else new_storage(values[place], nbytes))
        return CompiledFunctionBackward(self, tensors, storages)

    def build(self, tensors: dict[int, Any], storages: Sequence[Storage], borders: Sequence[Node]) -> list[Node]:
        """The graph over these saved tensors: its nodes, as many as the template has."""
        built: list[Any] = []
        for inner in self.nodes:
            edges = tuple([
                None if e is None else (borders[e.number], 0) if type(e) is Border else (built[e[0]], e[1])
                for e in inner.edges
            ])  # fmt: skip
            built.append(_rebuilt(inner.node, edges))
        for inner, node in zip(self.nodes, built, strict=True):
            if isinstance(node, OpNode):
                node.args = [self._unsaved(a, tensors, storages, built, borders) for a in inner.args]
                node.versions = {i: _versions(node.args[i]) for i in inner.node.versions}  # type: ignore[attr-defined]
                if inner.outputs is not None:
                    node.saved_outputs = [(storages[s], m, storages[s].version) for s, m in inner.outputs]
        return built

    def _unsaved(self, saved: Any, tensors: dict[int, Any], storages: Any, built: Any, borders: Any) -> Any:
        if type(saved) is tuple:
            return tuple([self._unsaved(s, tensors, storages, built, borders) for s in saved])
        if type(saved) is not Saved:
            return saved
        if saved.known >= 0:
            return tensors[saved.known]
        node = saved.node
        if type(node) is Border:
            return make_tensor(torch.Tensor, saved.meta, storages[saved.storage], borders[node.number], 0)
        node = None if node is None else built[node]
        return make_tensor(torch.Tensor, saved.meta, storages[saved.storage], node, saved.output)


def _stripped(node: Any) -> Any:
    """A node without what it saved and where it leads."""
    bare = _rebuilt(node, ())
    if isinstance(node, OpNode):
        bare.versions = dict.fromkeys(node.versions)
        bare.args = bare.saved_outputs = None
    return bare


def _rebuilt(node: Any, edges: tuple) -> Any:
    """The same step in another graph; of what it saved, nothing."""
    fresh: Any = object.__new__(type(node))
    Node.__init__(fresh, edges, node._output_metas, node._site)
    if isinstance(node, CopySlices):
        fresh.part = node.part
    else:
        fresh.op, fresh.metas, fresh.saving = node.op, node.metas, Whole(node.saving, node.saving.name, ())
        fresh.args, fresh.versions, fresh.saved_outputs, fresh.watched = [], {}, None, None
    return fresh


def _versions(argument: Any) -> Any:
    if isinstance(argument, TensorBase):
        return argument._storage.version
    return [a._storage.version if isinstance(a, TensorBase) else 0 for a in argument]


class BorderNode(Node):
    """Stands before the node of a known tensor, so that a pass over the built graph ends there."""

    __slots__ = ()

    def apply(self, grads: list[Any]) -> list[Any]:
        return grads


class Backward(NamedTuple):
    """What a pass over the graph computes: its window and the gradients it returns."""

    recording: Recording
    outcome: Outcome


class CompiledFunctionBackward(Node):
    """The gradient history of a replay's results."""

    __slots__ = ("template", "tensors", "storages", "versions")

    def __init__(self, template: Template, tensors: Sequence[Any], storages: list[Storage]) -> None:
        edges = tuple([(node_of(tensors[i]), tensors[i]._index) for i in template.boundary])
        super().__init__(edges, template.metas, template.site)
        self.template = template
        self.tensors: dict[int, Any] | None = {i: tensors[i] for i in template.saved_known}
        self.storages = storages
        self.versions = [t._storage.version for t in self.tensors.values()], [s.version for s in storages]

    def _release(self) -> None:
        self.tensors = None
        self.storages = []

    def apply(self, grads: list[Any]) -> list[Any]:
        if self.tensors is None or self.template.spent:
            raise already_freed(self)
        self._check_versions()
        if state.grad_enabled:
            borders = [BorderNode((edge,), (edge[0]._output_metas[edge[1]],), None) for edge in self._edges]
            return self._walk(borders, grads, True)
        key = tuple([None if g is None else g._meta if type(g) is torch.Tensor else g for g in grads])
        recordings = self.template.recordings
        if any(type(k) not in (Meta, type(None)) for k in key) or (
            key not in recordings and len(recordings) >= MOST_RECORDINGS
        ):
            return self._walk(self._ends(), grads, False)
        known = [g for g in grads if g is not None] + self._known()
        if key not in recordings:
            return self._record(key, known, grads)
        backward = recordings[key]
        if backward is None:
            return self._walk(self._ends(), grads, False)
        try:
            values = backward.recording.run(known)
        except Failed:
            return self._walk(self._ends(), grads, False)
        outcome = backward.outcome
        outcome.write(known, values)
        return outcome.deliver(known, outcome.storages_of(values), None)

    def _check_versions(self) -> None:
        assert self.tensors is not None
        known = [t._storage for t in self.tensors.values()]
        for storages, versions in zip((known, self.storages), self.versions, strict=True):
            for storage, version in zip(storages, versions, strict=True):
                if storage.version != version:
                    raise changed_in_place(storage, self._output_metas[0], version, self)

    def _known(self) -> list[Any]:
        """Tensors over all that is saved."""
        assert self.tensors is not None
        return [*self.tensors.values(), *[make_tensor(torch.Tensor, _NOWHERE, s) for s in self.storages]]

    def _ends(self) -> Sequence[Node]:
        return [BorderNode((), (edge[0]._output_metas[edge[1]],), None) for edge in self._edges]

    def _walk(self, borders: Sequence[Node], grads: list[Any], create_graph: bool) -> list[Any]:
        """The gradients by a pass over the graph."""
        assert self.tensors is not None
        built = self.template.build(self.tensors, self.storages, borders)
        arrived = [(g, where) for g, where in zip(grads, self.template.outputs, strict=True) if g is not None]
        roots = [(built[number], index) for _, (number, index) in arrived]
        capture = {(id(border), 0): i for i, border in enumerate(borders)}
        captured = Pass(True, create_graph, capture, None).run(roots, [g for g, _ in arrived])
        return [captured.get(i) for i in range(len(borders))]

    def _record(self, key: tuple, known: list[Any], grads: list[Any]) -> list[Any]:
        """Walk the graph, and keep what that computes."""
        outer = state.window
        outer.flush()
        state.window = window = CapturingWindow(outer.born)
        befores = [Before.of(t) for t in known]
        recordings = self.template.recordings
        recordings[key] = None
        try:
            result = self._walk(self._ends(), grads, False)
            if window.broken is None:
                try:
                    recordings[key] = self._recorded(window, result, known, befores)
                except Refusal as refusal:
                    window.give_up(refusal.with_traceback(None))
            window.flush()
        finally:
            state.window = outer
        return result

    def _recorded(self, window: CapturingWindow, result: list[Any], known: list[Any], befores: Any) -> Backward:
        outcome = Outcome(result, known, befores, set())
        incoming = len(known) - len(self.storages) - len(self.template.saved_known)
        if outcome.written or outcome.exact & set(range(incoming, incoming + len(self.template.saved_known))):
            raise Refusal("a backward pass returns what was saved")
        initial = {id(b.value): i for i, b in reversed(list(enumerate(befores)))}
        draft = Draft(window, initial, [t._meta for t in known], outcome.explained())
        outcome.settle(draft)
        return Backward(draft.finished(), outcome)
