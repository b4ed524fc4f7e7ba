"""Symbols: numbers under observation, to learn for which other numbers a computation would go the same way.

A computation that is given symbols in place of integers runs as it would with these integers, and a *trace* writes down
what it does with them: what it computes, and every decision, which becomes a guard. The result is a function that takes
other numbers through the same arithmetic, or finds that a decision would have been another one. (Concolic execution: K.
Sen, D. Marinov, G. Agha, "CUTE: a concolic unit testing engine for C", 2005.)
"""

from __future__ import annotations

import math
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
        self._lines: dict[str, tuple[Symbol, int, int]] = {}  # the names of `base * factor + shift`
        self._ranges: dict[str, _Range] = {}  # what integers may be, by their names
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
        if op in "+-*" and _is_integer(a) and _is_integer(b):
            line = _LINEAR[op](self._line_of(a), self._line_of(b))
            if line is not None:
                return self._on_line(*line)
        return self._new(op, a, b)

    def _new(self, op: str, a: Any, b: Any) -> Any:
        """The symbol for `a op b`, which is written down."""
        key = (op, _text(a), _text(b))
        symbol = self._known.get(key)
        if symbol is None:
            name = f"t{len(self._steps)}"
            symbol = self._known[key] = Symbol(self, _ARITHMETIC[op](_value(a), _value(b)), name)
            self._steps.append((name, *key))
        return symbol

    def _line_of(self, x: Any) -> tuple[Any, int, int]:
        """An integer as (base, factor, shift): that of base * factor + shift. A plain number has no base."""
        return (None, 0, x) if type(x) is int else self._lines.get(x.text, (x, 1, 0))

    def _on_line(self, base: Any, factor: int, shift: int) -> Any:
        """The symbol for base * factor + shift: the same one whichever way somebody came there."""
        if not factor:
            return shift
        if factor == 1:
            symbol = base if not shift else self._new("-", base, -shift) if shift < 0 else self._new("+", base, shift)
        elif factor == -1:
            symbol = self._new("-", shift, base)
        elif not shift:
            symbol = self._new("*", base, factor)
        else:
            product = self._on_line(base, factor, 0)
            symbol = self._new("-", product, -shift) if shift < 0 else self._new("+", product, shift)
        if symbol is not base:
            self._lines[symbol.text] = base, factor, shift
        return symbol

    def decided(self, op: str, a: Symbol, b: Any) -> bool:
        """Whether `a op b`; it must be so again when other numbers take the same way."""
        if not isinstance(b, _NUMBERS) or (type(b) is Symbol and b.trace is not self):
            return op == "!="
        outcome = _COMPARISONS[op](a.value, _value(b))
        op = op if outcome else _OPPOSITE[op]
        if _is_integer(a) and _is_integer(b):
            self._compared(op, self._line_of(a), self._line_of(b))
        else:
            self._guard(op, a.text, _text(b))
        return outcome

    def _compared(self, op: str, a: tuple[Any, int, int], b: tuple[Any, int, int]) -> None:
        """A guard for integers of which `a op b` is true."""
        line = _difference(a, b)
        if line is not None:
            base, factor, shift = line
            if factor:
                self._range_of(base).narrow(op, factor, -shift)
        elif a[1:] == b[1:]:
            self._guard(op if a[1] > 0 else _MIRRORED[op], a[0].text, b[0].text)
        else:
            self._guard(op, *[self._on_line(*x).text for x in (a, b)])

    def _guard(self, op: str, a: str, b: str) -> None:
        if (op, a, b) not in self._known:
            self._known[op, a, b] = True
            self._steps.append((None, op, a, b))

    def _range_of(self, symbol: Symbol) -> _Range:
        """The range of an integer. In the end it is one guard, in the place of the first that is known."""
        found = self._ranges.get(symbol.text)
        if found is None:
            found = self._ranges[symbol.text] = _Range()
            self._steps.append((None, _IN_RANGE, symbol.text, ""))
        return found

    def told(self, function: Callable[..., int], arguments: Sequence[Any]) -> int:
        """What `function` says of the numbers; it must say the same when others take the same way."""
        outcome = function(*map(_value, arguments))
        name = self._functions.setdefault(function, f"f{len(self._functions)}")
        self._guard("==", f"{name}({', '.join(map(_text, arguments))})", _text(outcome))
        return outcome

    def function(self, results: Any) -> Callable[[Sequence[int]], Any]:
        """A function of the parameters' values: `results` (tuples of symbols and plain objects) for these values, or
        None where a decision would have been another one."""
        constants: list[Any] = []
        shown = _displayed(results, constants)
        lines = [f"def traced(values, constants):\n {_unpacking(len(self.parameters))} = values"]
        for name, op, a, b in self._needed(shown):
            what = self._ranges[a].condition(a) if op == _IN_RANGE else f"{a} {op} {b}"
            if what:
                lines.append(f" {name} = {what}" if name else f" if not ({what}): return None")
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


class _Range:
    """The integers from `low` to `high`, except some."""

    def __init__(self) -> None:
        self.low, self.high = -math.inf, math.inf
        self.without: set[int] = set()

    def narrow(self, op: str, factor: int, bound: int) -> None:
        """Keep those x that make `x * factor op bound` true."""
        if factor < 0:
            op, factor, bound = _MIRRORED[op], -factor, -bound
        if op == "!=":
            if bound % factor == 0:
                self.without.add(bound // factor)
        if op in ("==", ">=", ">"):
            self.low = max(self.low, bound // factor + 1 if op == ">" else -(-bound // factor))
        if op in ("==", "<=", "<"):
            self.high = min(self.high, -(-bound // factor) - 1 if op == "<" else bound // factor)
        while self.low in self.without:
            self.low += 1
        while self.high in self.without:
            self.high -= 1

    def condition(self, name: str) -> str:
        """Python text that is true of what is in the range; none if that are all integers."""
        if self.low == self.high:
            return f"{name} == {self.low}"
        found = [f"{name} != {x}" for x in sorted(self.without) if self.low < x < self.high]
        if self.low > -math.inf or self.high < math.inf:
            low = f"{self.low} <= " if self.low > -math.inf else ""
            high = f" <= {self.high}" if self.high < math.inf else ""
            found.insert(0, low + name + high)
        return " and ".join(found)


_Line = tuple[Any, int, int]


def _sum(a: _Line, b: _Line) -> _Line | None:
    """The line of a sum; None if that of two symbols is none."""
    if a[0] is b[0] or a[0] is None or b[0] is None:
        return (b[0] if a[0] is None else a[0]), a[1] + b[1], a[2] + b[2]
    return None


def _difference(a: _Line, b: _Line) -> _Line | None:
    return _sum(a, (b[0], -b[1], -b[2]))


def _product(a: _Line, b: _Line) -> _Line | None:
    if a[0] is None:
        a, b = b, a
    return (a[0], a[1] * b[2], a[2] * b[2]) if b[0] is None else None


_LINEAR = {"+": _sum, "-": _difference, "*": _product}
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_IN_RANGE = "in"  # the operator of a guard that is written when all is known
_NUMBERS = (int, float, Symbol)
_NEUTRAL = {"+": 0, "-": 0, "*": 1, "//": 1, "<<": 0, ">>": 0}
_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def _is_zero(a: Any) -> bool:
    return type(a) is int and a == 0


def _is_integer(a: Any) -> bool:
    return type(a) is int or (type(a) is Symbol and type(a.value) is int)


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
        constants.append(getattr(type(x), "_make", type(x)))  # not `x`, which would keep the trace
        return f"constants[{len(constants) - 1}]({items})"
    constants.append(x)
    return f"constants[{len(constants) - 1}]"


def _has_symbol(x: Any) -> bool:
    return type(x) is Symbol or (isinstance(x, tuple) and any(map(_has_symbol, x)))
