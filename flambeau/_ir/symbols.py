"""Symbols: numbers under observation, to learn for which other numbers a computation would go the same way.

A computation that is given symbols in place of integers runs as it would with these integers, and a *trace* writes down
what it does with them: what it computes, and every decision, which becomes a guard. The result is a function that takes
other numbers through the same arithmetic, or finds that a decision would have been another one. (Concolic execution: K.
Sen, D. Marinov, G. Agha, "CUTE: a concolic unit testing engine for C", 2005.)
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
    "%": operator.mod, "&": operator.and_, "|": operator.or_, "<<": operator.lshift, ">>": operator.rshift,
}  # fmt: skip
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


class Symbol:
    """A number `value` that its trace knows as `text`: a parameter, or the name of what was computed from some.

    Arithmetic gives symbols. Comparisons give plain truth, and a guard. Whoever asks for the plain number gets it, and
    the trace is then good for no other one."""

    __slots__ = ("trace", "value", "text")

    def __init__(self, trace: Trace, value: Any, text: str) -> None:
        self.trace = trace
        self.value = value
        self.text = text

    def __repr__(self) -> str:
        return f"{self.text}:{self.value}"

    def __hash__(self) -> int:
        if self.trace.interning:
            return hash((Symbol, self.value))  # never that of the plain number, in whose place it must not be found
        return hash(settled(self))

    def __add__(self, other: Any) -> Any:
        return self.trace.computed("+", self, other)

    def __radd__(self, other: Any) -> Any:
        return self.trace.computed("+", other, self)

    def __sub__(self, other: Any) -> Any:
        return self.trace.computed("-", self, other)

    def __rsub__(self, other: Any) -> Any:
        return self.trace.computed("-", other, self)

    def __mul__(self, other: Any) -> Any:
        return self.trace.computed("*", self, other)

    def __rmul__(self, other: Any) -> Any:
        return self.trace.computed("*", other, self)

    def __truediv__(self, other: Any) -> Any:
        return self.trace.computed("/", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self.trace.computed("/", other, self)

    def __floordiv__(self, other: Any) -> Any:
        return self.trace.computed("//", self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return self.trace.computed("//", other, self)

    def __mod__(self, other: Any) -> Any:
        return self.trace.computed("%", self, other)

    def __rmod__(self, other: Any) -> Any:
        return self.trace.computed("%", other, self)

    def __and__(self, other: Any) -> Any:
        return self.trace.computed("&", self, other)

    def __rand__(self, other: Any) -> Any:
        return self.trace.computed("&", other, self)

    def __or__(self, other: Any) -> Any:
        return self.trace.computed("|", self, other)

    def __ror__(self, other: Any) -> Any:
        return self.trace.computed("|", other, self)

    def __lshift__(self, other: Any) -> Any:
        return self.trace.computed("<<", self, other)

    def __rlshift__(self, other: Any) -> Any:
        return self.trace.computed("<<", other, self)

    def __rshift__(self, other: Any) -> Any:
        return self.trace.computed(">>", self, other)

    def __rrshift__(self, other: Any) -> Any:
        return self.trace.computed(">>", other, self)

    def __divmod__(self, other: Any) -> tuple[Any, Any]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Any, Any]:
        return other // self, other % self

    def __neg__(self) -> Any:
        return self.trace.computed("-", 0, self)

    def bit_length(self) -> int:
        """As of an int that is not negative; a decision."""
        length = self.value.bit_length()
        assert self >= (1 << length) >> 1 and self < 1 << length
        return length

    def __eq__(self, other: Any) -> bool:
        return self.trace.decided("==", self, other)

    def __ne__(self, other: Any) -> bool:
        return self.trace.decided("!=", self, other)

    def __lt__(self, other: Any) -> bool:
        return self.trace.decided("<", self, other)

    def __le__(self, other: Any) -> bool:
        return self.trace.decided("<=", self, other)

    def __gt__(self, other: Any) -> bool:
        return self.trace.decided(">", self, other)

    def __ge__(self, other: Any) -> bool:
        return self.trace.decided(">=", self, other)

    def __bool__(self) -> bool:
        return self.trace.decided("!=", self, 0)

    def __index__(self) -> int:
        return int(settled(self))

    __int__ = __index__

    def __float__(self) -> float:
        return float(settled(self))


class Trace:
    """What was done with the symbols of `parameters`, in order.

    A symbol as a key stands for its plain number, as everywhere. With `interning` it is found by equal symbols alone
    and the trace stays good for other numbers: for tables whose only use is that equal things become one, so that it
    does not matter if some remain two.

    Example::

        >>> trace = Trace([6])
        >>> n = trace.parameters[0]
        >>> f = trace.function((n * 4, 1) if n > 4 else (n, 0))
        >>> f([8]), f([3])
        ((32, 1), None)
    """

    def __init__(self, values: Sequence[int], interning: bool = False) -> None:
        self.interning = interning
        self.parameters = [Symbol(self, value, f"s{i}") for i, value in enumerate(values)]
        self._steps: list[tuple[str | None, str, str, str]] = []  # (name of the result or None, operator, operands)
        self._known: dict[tuple[str, str, str], Any] = {}
        self._functions: dict[Callable[..., int], str] = {}

    def computed(self, op: str, a: Any, b: Any) -> Any:
        """The symbol for `a op b`."""
        if type(b) is int and b == _NEUTRAL.get(op):
            return a
        if type(a) is int and op in "+*" and a == _NEUTRAL[op]:
            return b
        if op == "*" and (_is_zero(a) or _is_zero(b)):
            return 0
        if not (isinstance(a, _NUMBERS) and isinstance(b, _NUMBERS)):
            return NotImplemented
        key = (op, _text(a), _text(b))
        symbol = self._known.get(key)
        if symbol is None:
            name = f"t{len(self._steps)}"
            symbol = self._known[key] = Symbol(self, _ARITHMETIC[op](_value(a), _value(b)), name)
            self._steps.append((name, *key))
        return symbol

    def decided(self, op: str, a: Symbol, b: Any) -> bool:
        """Whether `a op b`; it must be so again when other numbers take the same way."""
        if not isinstance(b, _NUMBERS) or (type(b) is Symbol and b.trace is not self):
            return op == "!="
        outcome = _COMPARISONS[op](a.value, _value(b))
        key = (op if outcome else _OPPOSITE[op], a.text, _text(b))
        if key not in self._known and a.text != key[2]:
            self._known[key] = outcome
            self._steps.append((None, *key))
        return outcome

    def told(self, function: Callable[..., int], arguments: Sequence[Any]) -> int:
        """What `function` says of the numbers; it must say the same when others take the same way."""
        outcome = function(*map(_value, arguments))
        name = self._functions.setdefault(function, f"f{len(self._functions)}")
        key = ("==", f"{name}({', '.join(map(_text, arguments))})", _text(outcome))
        if key not in self._known:
            self._known[key] = True
            self._steps.append((None, *key))
        return outcome

    def function(self, results: Any) -> Callable[[Sequence[int]], Any]:
        """A function of the parameters' values: `results` (tuples of symbols and plain objects) for these values, or
        None where a decision would have been another one."""
        constants: list[Any] = []
        shown = _displayed(results, constants)
        lines = [f"def traced(values, constants):\n {_unpacking(len(self.parameters))} = values"]
        for name, op, a, b in self._needed(shown):
            lines.append(f" {name} = {a} {op} {b}" if name else f" if not ({a} {op} {b}): return None")
        lines.append(f" return {shown}")
        scope: dict[str, Any] = {name: function for function, name in self._functions.items()}
        exec("\n".join(lines), scope)
        traced = scope["traced"]
        return lambda values: traced(values, constants)

    def _needed(self, shown: str) -> list[tuple[str | None, str, str, str]]:
        """The steps that a guard or a result depends on."""
        needed = set(_names(shown))
        kept = []
        for step in reversed(self._steps):
            if step[0] is None or step[0] in needed:
                kept.append(step)
                needed.update(_names(step[2]) if step[2].startswith("f") else step[2:])
        return kept[::-1]


_NUMBERS = (int, float, Symbol)
_NEUTRAL = {"+": 0, "-": 0, "*": 1, "//": 1, "<<": 0, ">>": 0}
_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def _is_zero(a: Any) -> bool:
    return type(a) is int and a == 0


def _value(a: Any) -> Any:
    return a.value if type(a) is Symbol else a


def _text(a: Any) -> str:
    return a.text if type(a) is Symbol else f"({a!r})" if a < 0 else repr(a)


def told(function: Callable[..., int], *arguments: Any) -> int:
    """A plain number that follows from numbers, of which some may be symbols: only the outcome becomes a guard, not
    what `function` compares on its way.

    Example::

        >>> trace = Trace([37])
        >>> digits = told(lambda n: len(str(n)), trace.parameters[0])
        >>> f = trace.function((digits, trace.parameters[0] + 1))
        >>> f([52]), f([9])
        ((2, 53), None)
    """
    for a in arguments:
        if type(a) is Symbol:
            return a.trace.told(function, arguments)
    return function(*arguments)


def settled(x: Any) -> Any:
    """Plain numbers in the place of symbols, also in tuples; the trace then is good for these alone."""
    if type(x) is Symbol:
        x.trace.decided("==", x, x.value)
        return x.value
    return like(x, [settled(item) for item in x]) if isinstance(x, tuple) and _has_symbol(x) else x


def like(container: Any, items: list[Any]) -> Any:
    """A tuple or list of the same type with other items.

    Example::

        >>> like((1, 2), [3, 4])
        (3, 4)
    """
    return container._make(items) if hasattr(container, "_make") else type(container)(items)


def _unpacking(count: int) -> str:
    return "[" + ", ".join(f"s{i}" for i in range(count)) + "]"


def _names(shown: str) -> list[str]:
    """The names of computed symbols in a text."""
    return re.findall(r"\bt[0-9]+", shown)


def _displayed(x: Any, constants: list[Any]) -> str:
    """Python text whose value is `x` with the symbols' numbers; what has none in it is taken from `constants`."""
    if type(x) is Symbol:
        return x.text
    if type(x) is int:
        return repr(x)
    if isinstance(x, tuple) and _has_symbol(x):
        items = "(" + "".join(_displayed(item, constants) + "," for item in x) + ")"
        if type(x) is tuple:
            return items
        constants += (like, x)
        return f"constants[{len(constants) - 2}](constants[{len(constants) - 1}], {items})"
    constants.append(x)
    return f"constants[{len(constants) - 1}]"


def _has_symbol(x: Any) -> bool:
    return type(x) is Symbol or (isinstance(x, tuple) and any(map(_has_symbol, x)))
