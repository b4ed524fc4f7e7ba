"""How a group of parameters goes from step to step: what the optimizer's formula recorded, to be recorded again.

The formula runs for the first parameter of a group, which takes long; for the others an instruction says the same
(`Repeatable`). So it does at the next step, where only numbers are others, if it is known how these follow from the
learning rate and the step: that is learnt from the formula (`Rehearsal`) and holds as long as no other option changes.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from flambeau import _api as torch
from flambeau._compiler.capture import is_static
from flambeau._engine.repeat import Repeatable
from flambeau.optim._rehearsal import Learnt, Rehearsal
from flambeau.optim._state import ParameterState

Group = dict[str, Any]
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

    def again(self, optimizer: Any, param: Any, grad: Any, state: ParameterState) -> bool:
        """Record for a parameter what was recorded for the last one; False, and nothing recorded, if that might not be
        the same."""
        repeatable, key = self._repeatable, (self.options.get("lr"), state.numbers())
        if key != repeatable.key and not (self._steady and self._advanced(key, optimizer, param, grad, state)):
            return False
        if not repeatable.repeat([param, grad, *state.tensors()], key):
            return False
        state.set_numbers(self._after)
        return True

    def _advanced(self, key: tuple, optimizer: Any, param: Any, grad: Any, state: ParameterState) -> bool:
        """Go on to other numbers if they can be computed."""
        if not self._rehearsed and self._repeatable.scalars is not None:
            self._rehearsed = True
            self._learn(Rehearsal(optimizer, param, grad._meta, state), self._repeatable.scalars)
        if self._learnt is None:
            return False
        rate, numbers = key
        try:
            scalars = self._learnt(rate, dict(numbers).get("step"))
        except ArithmeticError:
            return False
        self._after = numbers
        return not any(map(is_static, scalars)) and self._repeatable.renumber(key, scalars)

    def _learn(self, rehearsal: Rehearsal, scalars: Sequence[float | int]) -> None:
        """Learn how the scalars come about that were recorded last."""
        rate, numbers = self._repeatable.key
        self._learnt = rehearsal.learnt({**self.options, "lr": rate}, dict(numbers), scalars)

    @contextmanager
    def recording(self, param: Any, grad: Any, state: ParameterState) -> Iterator[None]:
        """The block runs the formula for a parameter."""
        key = self.options.get("lr"), state.numbers()
        with self._repeatable.recording([param, grad, *state.tensors()], key):
            yield
        self._after = state.numbers()


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
