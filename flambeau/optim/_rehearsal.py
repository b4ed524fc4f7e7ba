"""The formula of a step, run on tensors without numbers: for the numbers that it records, and how they come about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau import _api as torch
from flambeau._compiler.capture import is_static
from flambeau._engine.formula import written_out
from flambeau._engine.window import Window
from flambeau._engine.window import state as thread
from flambeau._ir.meta import Meta
from flambeau._ir.program import Instruction, Value, new_storage, new_value
from flambeau._tensor.dispatch import make_tensor
from flambeau.optim._state import ParameterState
from flambeau.optim._symbols import Noted, NotSymbolic

Numbers = dict[str, Any]  # of the state of a parameter


class Looked(Exception):
    """The formula wants to know the numbers of a tensor."""


class Rehearsal:
    """An optimizer's formula for a parameter, with tensors in the place of the parameter, its gradient and its state
    that have a layout and no numbers."""

    def __init__(self, optimizer: Any, param: Any, grad: Meta, state: ParameterState) -> None:
        self._optimizer = optimizer
        self._param, self._grad = _empty(type(param), param._meta), _empty(torch.Tensor, grad)
        self._state = {k: _empty(type(v), v._meta) if torch.is_tensor(v) else v for k, v in dict.items(state)}

    def recorded(self, options: dict[str, Any], numbers: Numbers) -> tuple[list[Any], list[float | int]]:
        """What the formula records for these options and numbers of the state, as `numbers_in` tells it; `numbers` may
        be changed. Looked if that is not known before it runs."""
        state = ParameterState()
        for name, value in self._state.items():
            dict.__setitem__(state, name, value)
        for t in (self._param, self._grad, *self._state.values()):
            if torch.is_tensor(t):
                t._storage.value = _NOTHING
        state._numbers = numbers
        sheet, window, before = _Sheet(), thread.window, thread.grad_enabled
        thread.window, thread.grad_enabled = sheet, False
        try:
            self._optimizer._update_parameter(self._param, self._grad, state, options)
        finally:
            thread.window, thread.grad_enabled = window, before
        return numbers_in(sheet.queue)

    def learnt(self, options: dict[str, Any], numbers: Numbers, scalars: Sequence[float | int]) -> Learnt | None:
        """How the run-time scalars that were recorded follow from the learning rate and the step; None if they do not
        follow by arithmetic alone, or the formula changes the numbers of the state."""
        if type(options.get("lr")) is not float or not numbers.keys() <= {"step"}:
            return None
        noted, rate = Noted(), options["lr"]
        symbols = {name: noted.symbol(name, value) for name, value in numbers.items()}
        kept = dict(symbols)
        try:
            _, symbolic = self.recorded({**options, "lr": noted.symbol("lr", rate)}, symbols)
            learnt = noted.formula(("lr", "step"), symbolic)
            found = learnt(rate, numbers.get("step"))
        except (NotSymbolic, Looked, TypeError, AttributeError, ArithmeticError):
            return None
        unchanged = len(symbols) == len(kept) and all(symbols[name] is kept[name] for name in kept)
        return learnt if unchanged and repr(found) == repr(tuple(scalars)) else None


# (learning rate, step) -> the run-time scalars of a formula
Learnt = Callable[[float, float | None], tuple]


class _Sheet(Window):
    """Holds what is recorded, to be read and never run."""

    __slots__ = ()

    def full(self) -> bool:
        return False

    def flush(self) -> None:
        pass

    def looked(self) -> None:
        raise Looked


_NOTHING = new_value()


def _empty(cls: type, m: Meta) -> Any:
    """A tensor without numbers."""
    return make_tensor(cls, m, new_storage(_NOTHING, m.extent * m.dtype.itemsize))


def numbers_in(instructions: Sequence[Instruction]) -> tuple[list[Any], list[float | int]]:
    """What is recorded apart from run-time scalars and operands, and the scalars, as plans tell them apart."""
    fixed: list[Any] = []
    scalars: list[float | int] = []
    for instruction in written_out(instructions)[0]:
        fixed += (instruction.op, *instruction.metas)
        if instruction.op.family == "pointwise":
            for a in instruction.args:
                if type(a) is not Value:
                    (fixed if is_static(a) else scalars).append(a)
    return fixed, scalars
