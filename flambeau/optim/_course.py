"""How a group of parameters goes from step to step: what the optimizer's formula recorded, to be recorded again.

The formula runs for the first parameter of a group, which takes long; for the others an instruction says the same
(`Repeatable`). So it does at the next step, where only numbers are others, if it is known how these follow from the
learning rate and the step: that is learnt from the formula (`Rehearsal`) and holds as long as no other option changes.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from flambeau import _api as torch
from flambeau._engine.repeat import Repeatable
from flambeau._engine.window import state as thread
from flambeau.optim._rehearsal import Learnt, Rehearsal
from flambeau.optim._state import ParameterState, rounded

Group = dict[str, Any]
DENSE = {torch.Tensor}
CONSTANTS = frozenset({int, float, bool, type(None), str})


class Course:
    """The course of one group. `options` are its options as plain numbers."""

    def __init__(self, group: Group, lasting: bool) -> None:
        self.group = group
        self.options: Group = {}
        self._lasting = lasting  # whether the formula is the package's, which depends on options and numbers alone
        self._steady = False  # whether the options are those of the last step, but for the learning rate
        self._others: list[Any] = []
        self._update: Any = None
        self._forget()

    def _forget(self) -> None:
        self._repeatable = Repeatable()
        self._after: tuple = ()  # the numbers of a state after the formula was recorded
        self._rehearsed = False
        self._learnt: Learnt | None = None
        self._taken: list[tuple[Any, ParameterState]] = []  # parameters of a step that went without the formula
        self._line: Line | None = None  # those of the last step, if all did

    def begin(self, update: Any) -> None:
        """A step begins, with `update` for its formula: take over the options, which may have changed."""
        rate, others = self.group.get("lr"), [v for name, v in self.group.items() if name != "lr"]
        alike = len(others) == len(self._others) and all(map(operator.is_, others, self._others))
        self._steady = alike and type(rate) is float and update is self._update
        if self._steady:
            self.options["lr"] = rate
            return
        self._forget()
        self.options = plain_options(self.group)
        constant = self._lasting and all([_is_constant(v) for name, v in self.group.items() if name != "params"])
        self._others, self._update = others if constant else [], update

    def all_again(self, optimizer: Any) -> bool:
        """Take the step of all parameters of the group, as the last one was taken; False, and nothing done, if anything
        is not as it was then."""
        line = self._line
        if line is None or not line.is_as_it_was(self.group["params"], optimizer.state):
            return False
        numbers = {name: rounded(number + 1.0) for name, number in line.states[0]._numbers.items()}
        key = self.options["lr"], tuple(numbers.items())
        if key != self._repeatable.key and not self._advanced(key):
            return False
        window, group, params = thread.window, self.group, line.params
        before = lambda number: window.stepped(optimizer, group, params[number])  # noqa: E731
        if not self._repeatable.repeat(line.tensors(), key, len(params), before):
            return False
        for state in line.states:
            state._numbers.update(numbers)
        return True

    def again(self, optimizer: Any, param: Any, grad: Any, state: ParameterState) -> bool:
        """Record for a parameter what was recorded for the last one; False, and nothing recorded, if that might not be
        the same."""
        repeatable, key = self._repeatable, (self.options.get("lr"), state.numbers())
        if key != repeatable.key:
            if not self._steady:
                return False
            if not self._rehearsed and repeatable.scalars is not None:
                self._learn(Rehearsal(optimizer, param, grad._meta, state), repeatable.scalars)
            if not self._advanced(key):
                return False
        if not repeatable.repeat([param, grad, *state.tensors()], key):
            return False
        state.set_numbers(self._after)
        self._taken.append((param, state))
        return True

    def _advanced(self, key: tuple) -> bool:
        """Go on to other numbers if they can be computed."""
        if self._learnt is None:
            return False
        rate, numbers = key
        try:
            scalars = self._learnt(rate, dict(numbers).get("step"))
        except ArithmeticError:
            return False
        self._after = numbers
        return self._repeatable.renumber(key, scalars)

    def _learn(self, rehearsal: Rehearsal, scalars: Sequence[float | int]) -> None:
        """Learn how the scalars come about that were recorded last."""
        self._rehearsed = True
        rate, numbers = self._repeatable.key
        self._learnt = rehearsal.learnt({**self.options, "lr": rate}, dict(numbers), scalars)

    @contextmanager
    def recording(self, param: Any, grad: Any, state: ParameterState) -> Iterator[None]:
        """The block runs the formula for a parameter."""
        key = self.options.get("lr"), state.numbers()
        with self._repeatable.recording([param, grad, *state.tensors()], key):
            yield
        self._after = state.numbers()

    def end(self) -> None:
        """All parameters have taken the step, one by one."""
        taken, self._taken = self._taken, []
        whole = len(taken) == len([p for p in self.group["params"] if p._grad is not None])
        self._line = Line(taken) if taken and whole and self._steady else None


class Line:
    """The `params` that took a step together, and their `states`, of one step count."""

    def __init__(self, taken: Sequence[tuple[Any, ParameterState]]) -> None:
        self.params = [param for param, _ in taken]
        self.states = [state for _, state in taken]
        self._entries = self._entries_now()
        self._tensors = [(param, None, *state.tensors()) for param, state in taken]

    def _entries_now(self) -> list[Any]:
        return [entry for state in self.states for entry in dict.values(state)]

    def is_as_it_was(self, params: Iterable[Any], states: dict[Any, Any]) -> bool:
        """Are these the parameters that have gradients, dense ones, and is what was made for them still their state,
        at which nobody has looked?"""
        present = [p for p in params if p._grad is not None]
        if not _same(present, self.params) or not _same(map(states.get, present), self.states):
            return False
        numbers = [state._numbers for state in self.states]
        if numbers.count(numbers[0]) != len(numbers) or any([state._shown for state in self.states]):
            return False
        return {type(p._grad) for p in present} == DENSE and _same(self._entries_now(), self._entries)

    def tensors(self) -> list[Any]:
        """Of each parameter: itself, its gradient, what its state holds."""
        return [t for row in self._tensors for t in (row[0], row[0]._grad, *row[2:])]


def _same(found: Iterable[Any], known: list[Any]) -> bool:
    """Are these the very same objects?"""
    found = list(found)
    return len(found) == len(known) and all(map(operator.is_, found, known))


def _is_constant(option: Any) -> bool:
    return type(option) in CONSTANTS or (type(option) is tuple and all(map(_is_constant, option)))


def plain_options(group: Group) -> Group:
    """What the formula sees of a group: its options as Python numbers."""
    return {name: _plain(value) for name, value in group.items() if name != "params"}


def _plain(option: Any) -> Any:
    """An option as a Python number; a tensor that wants a gradient stays one."""
    if torch.is_tensor(option):
        return option.squeeze() if option.requires_grad else option.item()
    if type(option) is tuple:
        return tuple(map(_plain, option))
    return option
