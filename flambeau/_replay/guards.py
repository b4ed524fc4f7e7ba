"""Guards: conditions on Python's state, collected as lines of code and compiled into one function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CONSTANTS = frozenset({type(None), bool, int, float, complex, str, bytes, type(...)})  # compared by value
# What an attribute, item or cell raises that is not there any more.
LOST = (AttributeError, LookupError, ValueError, TypeError)


def same(a: Any, b: Any) -> bool:
    """Are two constants alike in type and value? Zeros of different signs are not, and NaN is like itself.

    Example::

        >>> same(1, True), same(0.0, -0.0), same(float("nan"), float("nan"))
        (False, False, True)
    """
    return type(a) is type(b) and (repr(a) == repr(b) if type(a) in (float, complex) else bool(a == b))


class Guards:
    """Conditions over the arguments of a call (`args`, `kwargs`) and over objects that are known by identity.

    Lines are Python statements; an object in them is a name that `name` gives.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._scope: dict[str, Any] = {"same": same, "LOST": LOST}
        self._names: dict[int, str] = {}
        self._locals = 0

    def name(self, thing: Any) -> str:
        """The name of an object in the lines; the guards keep it alive."""
        found = self._names.get(id(thing))
        if found is None:
            found = self._names[id(thing)] = f"k{len(self._names)}"
            self._scope[found] = thing
        return found

    def local(self, expression: str) -> str:
        """A local variable that holds the value of an expression."""
        self._locals += 1
        variable = f"v{self._locals}"
        self.lines.append(f"{variable} = {expression}")
        return variable

    def require(self, condition: str) -> None:
        """A replay needs `condition`."""
        self.lines.append(f"if not ({condition}): return None")

    def require_same(self, expression: str, thing: Any) -> None:
        """The expression must give this very object, or one alike if it is a constant."""
        if thing is None or thing is True or thing is False:
            self.require(f"({expression}) is {thing}")
        elif type(thing) in CONSTANTS:
            variable, name = self.local(expression), self.name(thing)
            self.require(f"{variable} is {name} or same({variable}, {name})")
        else:
            self.require(f"({expression}) is {self.name(thing)}")

    def compile(self, results: list[str]) -> Callable[[tuple, dict], tuple | None]:
        """The function `check(args, kwargs)`: the values of the expressions `results`, or None as soon as a condition
        does not hold or cannot be asked."""
        body = [*self.lines, f"return ({''.join(r + ', ' for r in results)})"]
        text = "def check(args, kwargs):\n try:\n  " + "\n  ".join(body) + "\n except LOST:\n  return None\n"
        scope = dict(self._scope)
        exec(compile(text, "<guards>", "exec"), scope)
        return scope["check"]
