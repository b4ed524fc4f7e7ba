"""Numbers that remember how they were computed, to find a formula for the numbers of an optimizer's step.

A `Symbol` takes part in arithmetic and grows an expression. Meeting a tensor it becomes a float, and so does what any
function makes of it that wants a number; each such float is noted. If all of them end up as scalars of recorded
instructions, the expressions say what these scalars are for other values of the symbols. A decision on a symbol, or
anything else that is no arithmetic, is a `NotSymbolic`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau._ir.recording import TensorBase
from flambeau._ops.operands import Operand


class NotSymbolic(Exception):
    """A symbol was used for more than arithmetic."""


class Noted:
    """The floats that symbols became, by their ids, with their expressions."""

    def __init__(self) -> None:
        self.floats: dict[int, tuple[float, str]] = {}

    def symbol(self, name: str, value: float) -> Symbol:
        return Symbol(self, name, value)

    def formula(self, parameters: Sequence[str], scalars: Sequence[Any]) -> Callable[..., tuple]:
        """The function from the symbols' values to these scalars; NotSymbolic if it cannot be told."""
        used = {id(s) for s in scalars}
        if not self.floats.keys() <= used:
            raise NotSymbolic
        constants = [s if id(s) not in self.floats else None for s in scalars]
        items = [self.floats[id(s)][1] if id(s) in self.floats else f"c[{i}]" for i, s in enumerate(scalars)]
        text = f"lambda {', '.join(parameters)}: ({''.join(item + ', ' for item in items)})"
        return eval(text, {"c": constants})


class Symbol(Operand):
    """A number with the expression it came from."""

    __slots__ = ("_noted", "_text", "_value")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, noted: Noted, text: str, value: float) -> None:
        self._noted = noted
        self._text = text
        self._value = value

    def __float__(self) -> float:
        fresh = float(repr(self._value))  # an object of its own
        self._noted.floats[id(fresh)] = fresh, self._text
        return fresh

    def operate(self, op: Any, args: tuple) -> Any:
        """The operation with floats in the place of symbols."""
        return op.record(tuple([float(a) if type(a) is Symbol else a for a in args]))

    def __neg__(self) -> Symbol:
        return Symbol(self._noted, f"(-{self._text})", -self._value)

    def _refuse(self, *_: Any) -> Any:
        raise NotSymbolic

    __bool__ = __int__ = __index__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __repr__ = __str__ = __format__ = __round__ = __trunc__ = __complex__ = _refuse


def _operator(sign: str, apply: Callable[[Any, Any], Any]) -> tuple[Callable, Callable]:
    def forward(self: Symbol, other: Any) -> Any:
        if isinstance(other, TensorBase):
            return apply(float(self), other)
        text, value = _operand(other)
        return Symbol(self._noted, f"({self._text} {sign} {text})", apply(self._value, value))

    def reflected(self: Symbol, other: Any) -> Any:
        if isinstance(other, TensorBase):
            return apply(other, float(self))
        text, value = _operand(other)
        return Symbol(self._noted, f"({text} {sign} {self._text})", apply(value, self._value))

    return forward, reflected


def _operand(other: Any) -> tuple[str, float]:
    if type(other) is Symbol:
        return other._text, other._value
    if type(other) not in (int, float) or other != other or other in (float("inf"), -float("inf")):
        raise NotSymbolic
    return f"({other!r})", other


for _name, _sign, _apply in (
    ("add", "+", lambda a, b: a + b),
    ("sub", "-", lambda a, b: a - b),
    ("mul", "*", lambda a, b: a * b),
    ("truediv", "/", lambda a, b: a / b),
    ("pow", "**", lambda a, b: a**b),
):
    _forward, _reflected = _operator(_sign, _apply)
    setattr(Symbol, f"__{_name}__", _forward)
    setattr(Symbol, f"__r{_name}__", _reflected)
