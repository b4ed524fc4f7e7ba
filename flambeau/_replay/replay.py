"""Replays: a function's calls whose guards hold are run from a recording, all others as ordinary code."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from flambeau import _api as torch
from flambeau._engine import plans
from flambeau._engine.exposure import is_exposed
from flambeau._engine.window import state
from flambeau._ir.program import new_storage
from flambeau._replay import capture
from flambeau._replay.capture import Before, CapturingWindow
from flambeau._replay.gradient import Template
from flambeau._replay.guards import Guards
from flambeau._replay.outcome import Outcome
from flambeau._replay.reach import Reach
from flambeau._replay.recording import Draft
from flambeau._replay.refusal import Refusal, Unsettled
from flambeau._replay.steps import Steps
from flambeau._tensor.dispatch import make_tensor, node_of
from flambeau.autograd.graph import AccumulateGrad, Node

# Names that have to do with the gradients of leaves; the others with "grad" in them do not.
NOT_ABOUT_GRADIENTS = frozenset({
    "no_grad", "enable_grad", "set_grad_enabled", "is_grad_enabled", "requires_grad", "requires_grad_",
})  # fmt: skip
ABOUT_GRADIENTS = frozenset({"backward", "step"})


class Known:
    """The tensors that a function could reach, in the order in which guards give them: those of the arguments, those
    that are always the same, and the gradients of both, if the function has to do with gradients."""

    def __init__(self, reach: Reach, steps: Steps) -> None:
        self.dynamic = [(t, variable) for t, variable in reach.arguments.values()]
        constants = {**reach.constants, **{id(t): t for t in steps.tensors}}
        self.fixed = [(t, reach.guards.name(t)) for t in constants.values()]
        self.with_gradients = reach.about_gradients(NOT_ABOUT_GRADIENTS, ABOUT_GRADIENTS)
        self.grads = [
            (t._grad, f"{expression}._grad")
            for t, expression in [*self.dynamic, *self.fixed]
            if self.with_gradients and t._grad is not None and id(t._grad) not in constants
        ]
        self.tensors = [t for t, _ in [*self.dynamic, *self.fixed, *self.grads]]
        if len(set(map(id, self.tensors))) < len(self.tensors):
            raise Refusal("a tensor and a gradient are the same")

    def guard(self, guards: Guards, befores: Sequence[Before], exact: set[int]) -> list[str]:
        """Guard layouts, histories and shared memory; the expressions of all tensors."""
        expressions = []
        constants = {id(t) for t, _ in self.fixed}
        for i, (t, expression) in enumerate([*self.dynamic, *self.fixed, *self.grads]):
            fixed = len(self.dynamic) <= i < len(self.dynamic) + len(self.fixed)
            variable = expression
            if i >= len(self.dynamic) + len(self.fixed):
                variable = guards.local(expression)
                guards.require(f"type({variable}) is {guards.name(type(t))}")
            elif self.with_gradients and befores[i].grad is None:
                guards.require(f"{variable}._grad is None")
            elif self.with_gradients and id(befores[i].grad) in constants:
                guards.require_same(f"{variable}._grad", befores[i].grad)
            _guard_tensor(guards, variable, befores[i], i in exact, fixed)
            expressions.append(variable)
        self._guard_sharing(guards, expressions, befores)
        return expressions

    def _guard_sharing(self, guards: Guards, expressions: Sequence[str], befores: Sequence[Before]) -> None:
        """Which tensors share memory with which: the storages of those that differ from call to call are compared."""
        first, last = len(self.dynamic), len(self.dynamic) + len(self.fixed)
        moving = [i for i in range(len(expressions)) if not first <= i < last]
        owners: dict[int, int] = {}
        for i in [*range(first, last), *moving]:
            owners.setdefault(id(befores[i].storage), i)
        own = []
        for i in moving:
            owner = owners[id(befores[i].storage)]
            if owner == i:
                own.append(f"{expressions[i]}._storage")
            else:
                guards.require(f"{expressions[i]}._storage is {expressions[owner]}._storage")
        storages = frozenset(befores[i].storage for i in range(first, last))
        if len(own) > 1:
            guards.require(f"len({{{', '.join(own)}}}) == {len(own)}")
        if own and storages:
            guards.require(f"{guards.name(storages)}.isdisjoint(({', '.join(own)},))")


def _guard_tensor(guards: Guards, variable: str, before: Before, exact: bool, fixed: bool) -> None:
    m = guards.name(before.meta)
    guards.require(f"{variable}._meta is {m}" + ("" if exact else f" or {guards.name(_alike)}({variable}._meta, {m})"))
    storage = f"{variable}._storage"
    if fixed:
        guards.require(f"{storage} is {guards.name(before.storage)}")
        guards.require(f"{variable}._base is {guards.name(before.base) if before.base is not None else None}")
        if not isinstance(before.node, AccumulateGrad):
            guards.require(f"{variable}._node is {None if before.node is None else guards.name(before.node)}")
    exposed = f"{storage}.exposed"
    guards.require(exposed if before.exposed else f"not ({exposed} and {guards.name(is_exposed)}({storage}))")
    if exact:
        guards.require(f"{storage}.nbytes == {before.nbytes}")
    others = f"[*{variable}.__dict__] == {guards.name(['_grad'])}"
    guards.require(f"not {variable}.__dict__ or {others}")
    derived = guards.name(node_of)
    if before.node is None:
        guards.require(f"{variable}._node is None and ({variable}._base is None or {derived}({variable}) is None)")
    elif isinstance(before.node, AccumulateGrad):
        guards.require(f"type({variable}._node) is {guards.name(AccumulateGrad)}")
    elif not fixed:
        guards.require(f"{variable}._node is not None and type({derived}({variable})) is not "
                       f"{guards.name(AccumulateGrad)}")  # fmt: skip
    if exact and not fixed and before.base is None:
        guards.require(f"{variable}._base is None")
    elif exact and not fixed:
        if before.base._node is not None:
            raise Refusal("a view of a tensor with gradients is written to, or a view of it returned")
        guards.require(f"{variable}._base is not None and {variable}._base._node is None")


def _alike(a: Any, b: Any) -> bool:
    """Do two layouts differ in their place in memory at most?"""
    return a.dtype is b.dtype and a.strides == b.strides and a.shape == b.shape


def _guard_leaf_hooks(guards: Guards, known: Known, expressions: Sequence[str], befores: Sequence[Before]) -> None:
    """A backward pass inside the function runs the hooks of leaves: there must be none."""
    for expression, before in zip(expressions, befores, strict=True):
        node = before.node
        if node is None:
            continue
        if not isinstance(node, AccumulateGrad):
            raise Refusal("gradients are computed for a tensor that was itself computed outside")
        if node._pre_hooks or node._post_hooks or node._retained or node.post_accumulate_hooks:
            raise Refusal("a tensor has hooks")
        variable = guards.local(f"{expression}._node")
        tables = ("_pre_hooks", "_post_hooks", "_retained", "post_accumulate_hooks")
        guards.require("not (" + " or ".join(f"{variable}.{table}" for table in tables) + ")")


class Replay:
    """What one call of a function has taught: guards, and how to do the same again.

    `check(args, kwargs)` returns the tensors to do it with if the guards hold, else None.
    """

    def __init__(self, window: CapturingWindow, reach: Reach, steps: Steps, known: Known, befores: list[Before],
                 result: Any, start: int) -> None:  # fmt: skip
        tensors = known.tensors
        outcome = Outcome(result, tensors, befores, reach.containers)
        if outcome.grads and not known.with_gradients:
            raise Refusal("a gradient is changed")
        self.template = None
        if outcome.outputs:
            self.template = Template(outcome.outputs, tensors, befores, start)
        explained = outcome.explained() + ([] if self.template is None else self.template.storages)
        initial = {id(b.value): i for i, b in reversed(list(enumerate(befores)))}
        twins = [(i, initial[id(b.value)]) for i, b in enumerate(befores) if initial[id(b.value)] != i]
        befores[:] = [b.without_value() for b in befores]  # the last to hold what was written over
        draft = Draft(window, initial, [b.meta for b in befores], explained)
        outcome.settle(draft)
        if self.template is not None:
            self.template.settle(draft, outcome, tensors)
        expressions = known.guard(reach.guards, befores, outcome.exact)
        if known.with_gradients:
            _guard_leaf_hooks(reach.guards, known, expressions, befores)
        for twin, first in twins:  # two storages that had the same value stand for one operand
            reach.guards.require(f"{expressions[twin]}._storage.value is {expressions[first]}._storage.value")
        steps.settle(draft, reach.guards)
        self.steps = steps if steps.shared else None
        self.recording = draft.finished()
        self.outcome = outcome
        self.check: Callable[[tuple, dict], tuple | None] = reach.guards.compile(expressions)
        self._single = self._is_single()

    def _is_single(self) -> tuple[int, int, Any] | None:
        """Where the result is and what it looks like, if that is one fresh tensor and nothing else happens."""
        outcome = self.outcome
        if self.template or self.steps or outcome.writes or outcome.grads or not outcome.returns_made_only():
            return None
        ((place, nbytes, version),) = outcome.fresh or ((0, 0, 1),)
        return None if version else (place, nbytes, outcome.made[0].meta)

    def run(self, tensors: tuple) -> Any:
        """Do what the function did, with these tensors."""
        single = self._single
        if single is not None:
            place, nbytes, m = single
            return make_tensor(torch.Tensor, m, new_storage(self.recording.run(tensors)[place], nbytes))
        words = None if self.steps is None else self.steps.words(self.recording)
        run = self.recording.begun()
        try:
            self.recording.compute(run, tensors, words)
            return self._told(run, tensors)
        except BaseException:  # Ctrl-C: nothing was done yet, or all of it is told, perhaps for the second time
            if run.complete:
                self._told(run, tensors)
            raise

    def _told(self, run: plans.Run, tensors: tuple) -> Any:
        """Do to tensors what a run has computed; the result. May be done twice."""
        outcome, values = self.outcome, self.recording.results_of(run)
        storages = outcome.storages_of(values)
        outcome.write(tensors, values)  # before the node, which saves tensors as they are now
        node = None if self.template is None else self.template.node(tensors, values, storages)
        result = outcome.deliver(tensors, storages, node)
        if self.steps is not None:
            self.steps.commit()
        return result


class Watch:
    """What is looked at before a function runs, to learn from that call; Refusal if nothing can be learnt."""

    def __init__(self, function: Any, args: tuple, kwargs: dict[str, Any]) -> None:
        self.reach = Reach(function, args, kwargs)
        capture.ambient_guards(self.reach.guards)
        self.steps = Steps(self.reach.optimizers)
        self.known = Known(self.reach, self.steps)
        self.unchanged = self.reach.guards.compile([])

    def run(self, function: Any, args: tuple, kwargs: dict[str, Any]) -> tuple[Any, Replay | Refusal]:
        """Run the function and watch it: its result, and the replay of such calls or why there is none."""
        outer = state.window
        outer.flush()
        state.window = window = CapturingWindow(outer.born)
        try:
            befores = [Before.of(t) for t in self.known.tensors]
            ambient, start = capture.ambient(), Node((), (), None)._seq
            result = function(*args, **kwargs)
            found = self._learn(window, befores, result, start, ambient, args, kwargs)
        except BaseException:
            window.give_up(Refusal("an exception left the function"))
            with contextlib.suppress(Exception):  # whoever looks at a value that failed will see why
                window.flush()
            raise
        finally:
            state.window = outer
        window.flush()
        return result, found

    def _learn(self, window: CapturingWindow, befores: list[Before], result: Any, start: int, ambient: tuple,
               args: tuple, kwargs: dict[str, Any]) -> Replay | Refusal:  # fmt: skip
        try:
            if window.broken is not None:
                raise window.broken
            if capture.ambient() != ambient or self.unchanged(args, kwargs) is None:
                raise Unsettled("the function changes what it depends on")
            return Replay(window, self.reach, self.steps, self.known, befores, result, start)
        except Refusal as refusal:
            window.give_up(refusal.with_traceback(None))  # whose frames would keep what was computed alive
            return refusal
