"""`__torch_function__`: arguments that take over the functions they are given to, and modes that take over all.

A public function offers its call to those who may want it before it does anything itself: to the innermost mode of this
thread, then to the arguments whose class has a `__torch_function__`, those of subclasses first.

Most programs have none of them, and must not pay for it: functions begin to offer their calls when the `switch` is
turned on, by the first subclass of Tensor or the first mode. Of another class with a `__torch_function__` nobody
knows before one of its objects is an argument; that is found by the error it causes (see `is_unforeseen`). And once
calls are offered, a look at the types of the arguments tells whether anybody has to be asked.

Source of the protocol: "Extending torch", PyTorch's documentation, after NumPy's NEP 18.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterable
from types import CodeType, FrameType
from typing import Any, TypeVar

from flambeau._core import dtypes, errors, locks
from flambeau._core.device import device
from flambeau._core.formats import layout, memory_format
from flambeau._core.size import Size

Function = TypeVar("Function", bound=Callable)

PASSED: Any = object()  # what `offer` answers if nobody takes the call

overridable_functions: set[Callable] = set()  # those that `overridable` has made

# The types whose objects never take a call over.
_plain: set[type] = {bool, int, float, complex, str, bytes, type(None), slice, type(...)}
_plain |= {Size, dtypes.dtype, device, layout, memory_format}
_sequences = (tuple, list)

# Calls with only such arguments need not be offered: by functions that take no sequences of tensors, and by those that
# do. Both are empty while a mode is active.
USUAL = {*_plain, *_sequences}
USUAL_ELEMENTS = set(_plain)


def make_usual(kind: type) -> None:
    """Declare that objects of this class take nothing over."""
    _plain.add(kind)
    if not modes.active:
        _refill()


def _refill() -> None:
    USUAL_ELEMENTS.update(_plain)
    USUAL.update(_plain, _sequences)


def _empty() -> None:
    USUAL.clear()
    USUAL_ELEMENTS.clear()


class _Here(threading.local):
    """What holds in this thread: its modes, the innermost last, and who is not asked."""

    def __init__(self) -> None:
        self.modes: list[Any] = []
        self.skips_arguments = False
        self.skips_modes = False
        self.skips_next = False  # the next call that would be offered is not,
        self.skipped: Callable | None = None  # nor is this function's, which was that one


_here = _Here()


class Switch:
    """Whether calls are offered. `followers` are called with the new state when that changes."""

    def __init__(self) -> None:
        self.on = False
        self.followers: list[Callable[[bool], None]] = []
        self._kept = False

    def turn(self, on: bool, keep: bool = False) -> None:
        """On, or off unless it was turned on to be kept so."""
        with locks.modes:
            self._kept = self._kept or keep
            on = on or self._kept
            if on != self.on:
                self.on = on
                for follow in self.followers:
                    follow(on)

    def tell(self, follow: Callable[[bool], None]) -> None:
        """Call a follower with the present state, which does not change meanwhile."""
        with locks.modes:
            follow(self.on)


switch = Switch()


class Modes:
    """The modes of all threads. `followers` are called with True when the first becomes active, and with False when the
    last ends."""

    def __init__(self) -> None:
        self.active = 0
        self.followers: list[Callable[[bool], None]] = [lambda on: _empty() if on else _refill(), switch.turn]

    def push(self, mode: Any) -> None:
        """Make `mode` the innermost of this thread."""
        self._count(1)
        _here.modes.append(mode)

    def pop(self) -> Any:
        """End the innermost mode of this thread."""
        mode = _here.modes.pop()
        self._count(-1)
        return mode

    def _count(self, change: int) -> None:
        with locks.modes:
            before, self.active = self.active, self.active + change
            if not before or not self.active:
                for follow in self.followers:
                    follow(bool(self.active))

    def tell(self, follow: Callable[[bool], None]) -> None:
        """Call a follower with whether there are any, which does not change meanwhile."""
        with locks.modes:
            follow(bool(self.active))

    @property
    def here(self) -> list[Any]:
        """The modes of this thread that are asked now, the innermost last."""
        return [] if _here.skips_modes else _here.modes


modes = Modes()


class DisableTorchFunctionSubclass:
    """A context in which arguments do not take calls over, so that a `__torch_function__` may call what it was given.
    Modes still do.

    Example::

        >>> with DisableTorchFunctionSubclass():
        ...     pass
    """

    _modes = False

    def __enter__(self) -> None:
        self._before = _here.skips_arguments, _here.skips_modes
        _here.skips_arguments = True
        _here.skips_modes = _here.skips_modes or self._modes

    def __exit__(self, *error: object) -> None:
        _here.skips_arguments, _here.skips_modes = self._before


class DisableTorchFunction(DisableTorchFunctionSubclass):
    """A context in which neither arguments nor modes take calls over.

    Example::

        >>> with DisableTorchFunction():
        ...     pass
    """

    _modes = True


def skip_override(func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
    """The `__torch_function__` of classes whose objects take nothing over: it calls `func`."""
    with DisableTorchFunctionSubclass():
        return func(*args, **(kwargs or {}))


def takes_over(kind: type) -> bool:
    """Do objects of this class take calls over?"""
    return kind not in _plain and getattr(kind, "__torch_function__", skip_override) is not skip_override


def takers(candidates: Iterable[Any]) -> list[Any]:
    """Those among objects that take calls over, one of each class: in their order, but those of a subclass before those
    of its bases."""
    if _here.skips_arguments:
        return []
    found: list[Any] = []
    for candidate in candidates:
        kind = type(candidate)
        if takes_over(kind) and kind not in map(type, found):
            before = [i for i, other in enumerate(found) if issubclass(kind, type(other))]
            found.insert(before[0] if before else len(found), candidate)
    return found


def _candidates(args: Iterable[Any]) -> list[Any]:
    """Arguments that may take a call over, those within sequences included."""
    found = []
    for a in args:
        if type(a) in _sequences:
            found += [x for x in a if type(x) not in _plain]
        elif type(a) not in _plain:
            found.append(a)
    return found


_asking_again: set[CodeType] = set()


def asks_again(function: Callable) -> None:
    """Note that `function` calls `is_unforeseen` after errors."""
    _asking_again.add(function.__code__)


def is_unforeseen(args: tuple, kwargs: dict[str, Any]) -> bool:
    """After an error in a function that asks this: did it come from an argument that takes calls over, of which nobody
    knew? Then the call is to be made again. Within another such function it is that one's call."""
    if switch.on or not takers(_candidates((*args, *kwargs.values()))):
        return False
    caller: FrameType | None = sys._getframe(1).f_back
    while caller is not None and caller.f_code not in _asking_again:
        caller = caller.f_back
    if caller is None:
        switch.turn(True, keep=True)
    return caller is None


def offer(function: Callable, args: tuple, kwargs: dict[str, Any]) -> Any:
    """What a mode or an argument makes of the call, or `PASSED`."""
    found = takers(_candidates((*args, *kwargs.values()) if kwargs else args))
    if not found and not modes.here:
        return PASSED
    if _here.skips_next:
        _here.skips_next, _here.skipped = False, function
    if function is _here.skipped:
        return PASSED
    return hand_over(function, found, args, kwargs)


def hand_over(function: Callable, found: list[Any], args: tuple, kwargs: dict[str, Any]) -> Any:
    """What the innermost mode or the first of the takers makes of the call that does not answer NotImplemented;
    TypeError if there is none."""
    types = tuple(map(type, found))
    asked: list[str] = []
    if modes.here:
        mode = _here.modes.pop()  # what it calls goes to the next one
        try:
            result = mode.__torch_function__(function, types, args, kwargs)
        finally:
            _here.modes.append(mode)
        if result is not NotImplemented:
            return result
        asked.append(f"mode object {mode!r}")
    for taker in found:
        result = taker.__torch_function__(function, types, args, kwargs)
        if result is not NotImplemented:
            return result
        asked.append(f"tensor subclass {type(taker)!r}")
    raise TypeError(
        errors.explain(
            f"Multiple dispatch failed for '{named(function)}'; all __torch_function__ handlers returned "
            "NotImplemented:\n\n" + "\n".join([f"  - {who}" for who in asked]),
            hint="let one of them handle the function, e.g. by converting its arguments and calling it again",
        )
    )


def overridable(function: Function, name: str) -> Function:
    """`function`, which offers its calls before it runs, under its public name."""

    def public(*args: Any, **kwargs: Any) -> Any:
        if switch.on and (taken := offer(public, args, kwargs)) is not PASSED:
            return taken
        try:
            return function(*args, **kwargs)
        except Exception:
            if is_unforeseen(args, kwargs):
                return public(*args, **kwargs)
            raise

    functools.update_wrapper(public, function).__name__ = name
    overridable_functions.add(public)
    asks_again(public)
    return public  # type: ignore[return-value]


def named(function: Callable) -> str:
    """The function's name as users write it."""
    module = getattr(function, "__module__", None) or ""
    return f"torch.{function.__name__}" if module.startswith("flambeau._") else f"{module}.{function.__name__}"


# ---------------------------------------------------------------------------------------------- for functions of users


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Is there somebody who may take over a call with these arguments, one of them or a mode?

    Example::

        >>> has_torch_function((1, 2))
        False
    """
    if not takers(relevant_args) and not modes.here:
        return False
    if _here.skips_next:
        _here.skips_next = False
        return False
    return True


def has_torch_function_unary(arg: Any) -> bool:
    """`has_torch_function` of one argument.

    Example::

        >>> has_torch_function_unary(1)
        False
    """
    return has_torch_function((arg,))


def has_torch_function_variadic(*args: Any) -> bool:
    """`has_torch_function` of several arguments.

    Example::

        >>> has_torch_function_variadic(1, 2)
        False
    """
    return has_torch_function(args)


def handle_torch_function(public_api: Callable, relevant_args: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
    """What a mode or the first of `relevant_args` makes of a call of `public_api` with `args` and `kwargs` that does
    not answer NotImplemented; those of subclasses are asked first. TypeError if there is none.

    Example::

        >>> class Logged:
        ...     @classmethod
        ...     def __torch_function__(cls, func, types, args=(), kwargs=None):
        ...         return func.__name__
        >>> handle_torch_function(abs, (Logged(),), Logged())
        'abs'
    """
    return hand_over(public_api, takers(relevant_args), args, kwargs)


def redispatch_function(func: Callable, types: Any, args: tuple, kwargs: dict[str, Any] | None = None) -> Any:
    """Within a `__torch_function__`: `func` itself, whose own call is not offered again; the calls that it makes are.

    Example::

        >>> redispatch_function(max, (), (1, 2))
        2
    """
    before = _here.skips_next, _here.skipped
    _here.skips_next, _here.skipped = True, None
    try:
        return func(*args, **(kwargs or {}))
    finally:
        _here.skips_next, _here.skipped = before
