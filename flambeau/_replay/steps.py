"""Optimizer steps inside a function that is replayed.

The formula of a step uses numbers that are others at every step: the learning rate, corrections for the number of
steps. They are computed by the optimizer's own code: it runs on tensors without numbers, once for all parameters that
share options and step count, and what it records must be what the captured step recorded, but for the numbers. Where
these follow from the learning rate and the step by arithmetic alone, that is learnt (`Rehearsal`) and evaluated from
then on, as long as no other option changes.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from flambeau._compiler.capture import is_static
from flambeau._engine.plans import bits_of
from flambeau._ir.program import Instruction
from flambeau._replay.capture import Step
from flambeau._replay.guards import Guards, same
from flambeau._replay.recording import Draft, Failed, Recording
from flambeau._replay.refusal import Refusal, Unsettled
from flambeau.optim._course import plain_options
from flambeau.optim._rehearsal import Learnt, Looked, Rehearsal, numbers_in
from flambeau.optim._state import ParameterState
from flambeau.optim.optimizer import Optimizer


class Changed(Failed):
    """The step would record something else than it did: this replay does not fit."""


class Steps:
    """The steps that a captured function takes. `tensors` are those of the state of all its optimizers."""

    def __init__(self, optimizers: Sequence[Optimizer]) -> None:
        self.before: dict[Any, tuple[ParameterState, list[Any]]] = {}  # (optimizer, parameter) -> state, its tensors
        self.tensors: list[Any] = []
        self.shared: list[Shared] = []
        for optimizer in optimizers:
            for param, state in optimizer.state.items():
                if type(state) is ParameterState:
                    tensors = state.tensors()
                    self.before[id(optimizer), id(param)] = state, tensors
                    self.tensors += tensors

    def settle(self, draft: Draft, guards: Guards) -> None:
        """Learn what was recorded for each parameter, and guard the optimizers that took a step."""
        taken = draft.window.steps
        optimizers = {id(step.optimizer): step.optimizer for step in taken}
        for optimizer in optimizers.values():
            _guard_optimizer(guards, optimizer)
        formulas: dict[tuple, Shared] = {}
        first_scalar = _scalars_before(draft.compiled.queue) if taken else []
        seen = set()
        for step, after in zip(taken, taken[1:], strict=False):
            if step.param is None:
                continue
            key = id(step.optimizer), id(step.param)
            if key in seen or key not in self.before:
                raise Unsettled("an optimizer takes its first step, or two at once")
            seen.add(key)
            state = self._guard_state(guards, step, key)
            recorded = [draft.compiled.queue[i] for i in range(step.start, after.start)]
            numbers = (id(step.optimizer), id(step.group), state.numbers())
            shared = formulas.get(numbers)
            if shared is None:
                shared = formulas[numbers] = Shared(step, state, recorded)
            shared.add(state, recorded, first_scalar[step.start])
        self.shared = list(formulas.values())
        self.before.clear()

    def _guard_state(self, guards: Guards, step: Step, key: tuple) -> ParameterState:
        state, tensors = self.before[key]
        if step.optimizer.state.get(step.param) is not state or state.is_shown():
            raise Unsettled("the state of an optimizer is looked at or replaced")
        if [id(t) for t in state.tensors()] != [id(t) for t in tensors]:
            raise Unsettled("an optimizer makes new state")
        states, param, name = guards.name(step.optimizer.state), guards.name(step.param), guards.name(state)
        getter = guards.name(dict.__getitem__)
        guards.require(f"{getter}({states}, {param}) is {name} and not {name}._shown and len({name}) == {len(state)}")
        for key_, value in dict.items(state):
            guards.require(f"{getter}({name}, {key_!r}) is {guards.name(value)}")
        return state

    def words(self, recording: Recording) -> list[float | int]:
        """The run-time scalars of the next run."""
        words = list(recording.words)
        for shared in self.shared:
            shared.fill(words)
        return words

    def commit(self) -> None:
        """Take over the numbers that the steps have reached."""
        for shared in self.shared:
            shared.commit()


def _guard_optimizer(guards: Guards, optimizer: Optimizer) -> None:
    cls = type(optimizer)
    if not cls.__module__.startswith("flambeau.optim.") or cls.step is not Optimizer.step or not optimizer.elementwise:
        raise Refusal(f"{cls.__name__}.step() is more than a formula for each element")
    name, own = guards.name(optimizer), guards.name(optimizer.__dict__)
    if optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
        raise Refusal(f"the {cls.__name__} has hooks")
    guards.require(f"not ({name}._optimizer_step_pre_hooks or {name}._optimizer_step_post_hooks)")
    guards.require(f"'step' not in {own} and {own}['state'] is {guards.name(optimizer.state)}")
    groups = guards.name(optimizer.param_groups)
    guards.require(f"{own}['param_groups'] is {groups} and len({groups}) == {len(optimizer.param_groups)}")
    for i, group in enumerate(optimizer.param_groups):
        options, params = guards.name(group), guards.name(group["params"])
        guards.require(f"{groups}[{i}] is {options} and {options}['params'] is {params}")
        guards.require(f"len({params}) == {len(group['params'])} and not {options}.get('differentiable')")
        for j, param in enumerate(group["params"]):
            guards.require(f"{params}[{j}] is {guards.name(param)}")


def _scalars_before(queue: Sequence[Instruction]) -> list[int]:
    """How many run-time scalars the instructions before each one have; one entry more than instructions."""
    counts = [0]
    for instruction in queue:
        counts.append(counts[-1] + len(numbers_in([instruction])[1]))
    return counts


class Shared:
    """A formula for the parameters of a group that have come equally far."""

    def __init__(self, step: Step, state: ParameterState, recorded: Sequence[Instruction]) -> None:
        self.optimizer, self.group = step.optimizer, step.group
        self.fixed, self.scalars = numbers_in(recorded)
        self.states: list[ParameterState] = []
        self.positions: list[int] = []  # of the first scalar of each parameter
        self._options = tuple(self.group.values())
        self._rate = list(self.group).index("lr") if "lr" in self.group else -1
        self._formula: Learnt | None = None
        self._words = _words_of(self.scalars)
        self._rehearsal = Rehearsal(step.optimizer, step.param, step.grad, state)
        self._reached: dict[str, float] = {}

    def add(self, state: ParameterState, recorded: Sequence[Instruction], position: int) -> None:
        """Another parameter, whose formula begins with run-time scalar number `position`."""
        if not all(map(same, numbers_in(recorded)[1], self.scalars)):
            raise Refusal("an optimizer treats parameters differently")
        self.states.append(state)
        self.positions.append(position)

    def fill(self, words: list[float | int]) -> None:
        """Put the scalars of the next step into their places; Changed if it is not the same formula any more."""
        first = self.states[0]
        for state in self.states:
            if state._numbers != first._numbers:
                raise Changed
        options = tuple(self.group.values())
        known = len(options) == len(self._options) and all(map(operator.is_, options, self._options))
        if first._numbers or not known:
            self._reached = self._next(first._numbers)
            if not self._by_formula(options):
                self._record()
            self._options = options
        for position in self.positions:
            words[position : position + len(self._words)] = self._words

    def _next(self, numbers: dict[str, float]) -> dict[str, float]:
        """The numbers of a state with one more step counted."""
        reached = ParameterState()
        reached._numbers = dict(numbers)
        if "step" in self.optimizer.numbers:
            reached.set_number("step", numbers["step"] + 1.0)
        return reached._numbers

    def _by_formula(self, options: tuple) -> bool:
        """Compute the scalars from the learning rate and the step alone, if all else is as it was."""
        rate, at = self.group.get("lr"), self._rate
        alike = len(options) == len(self._options) and type(rate) is float and self._formula is not None
        if not alike or any(a is not b for i, (a, b) in enumerate(zip(options, self._options)) if i != at):  # noqa: B905
            return False
        try:
            scalars = self._formula(rate, self._reached.get("step"))  # type: ignore[misc]
        except ArithmeticError:
            return False
        if any(map(is_static, scalars)):
            return False
        self._words = _words_of(scalars)
        return True

    def _record(self) -> None:
        """Run the formula on tensors without numbers, for its scalars; if they can be computed from the learning rate
        and the step, learn how."""
        options, reached = plain_options(self.group), self._reached
        try:
            fixed, scalars = self._rehearsal.recorded(options, reached)
        except Looked:
            raise Changed from None
        alike = len(fixed) == len(self.fixed) and all(map(_is_or_same, fixed, self.fixed))
        if not alike or [*map(type, scalars)] != [*map(type, self.scalars)]:
            raise Changed
        self._words = _words_of(scalars)
        self._formula = self._rehearsal.learnt(options, reached, scalars)

    def commit(self) -> None:
        self.optimizer._opt_called = True
        for state in self.states:
            state._numbers.update(self._reached)


def _words_of(scalars: Sequence[float | int]) -> list[float | int]:
    return [s if type(s) is float else bits_of(s) for s in scalars]


def _is_or_same(a: Any, b: Any) -> bool:
    return a is b or same(a, b)
