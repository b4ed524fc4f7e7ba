"""The signature of a window: what decides which plan runs it, and what the plan needs from it.

Two windows with the same key compute the same thing with other numbers: the same operations with the same dtypes and
layouts, tied together the same way, with the same results alive at the end. The key is built at every flush, so this
is written for speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import getrefcount
from typing import Any, NamedTuple

from flambeau._compiler.capture import is_static
from flambeau._ir.program import Instruction, Value


class Signature(NamedTuple):
    """`key` names the plan. `values` are all values by slot, the first `inputs` of them from before the window;
    `scalars` the numbers that may change from run to run; `live` the slots of results that outlive the window,
    `dying` those of inputs that do not."""

    key: tuple
    values: list[Value]
    inputs: int
    slots: dict[Value, int]
    scalars: list[float | int]
    live: tuple[int, ...]
    dying: frozenset[int]


def signature(queue: Sequence[Instruction]) -> Signature | None:
    """The signature of a window; None if an operand from another window has no memory yet."""
    values, inputs, counts = _values(queue)
    if any([v.array is None and v.buffer is None for v in values[:inputs]]):
        return None
    slots = dict(zip(values, range(len(values)), strict=True))
    key, scalars = _key(queue, slots)
    live, dying = _lifetimes(values, counts, inputs)
    key += (live, dying, *[v.nbytes for v in values[:inputs]])
    return Signature(tuple(key), values, inputs, slots, scalars, live, frozenset(dying))


def _values(queue: Sequence[Instruction]) -> tuple[list[Value], int, list[int]]:
    """All values by slot, those from before the window first in the order they are met; how many these are; and how
    often each value is an operand."""
    uses: dict[Value, int] = {}
    made: list[Value] = []
    for instruction in queue:
        _count(instruction.args, uses)
        made += instruction.outputs
    own = set(made)
    inputs = [v for v in uses if v not in own]
    values = inputs + made
    return values, len(inputs), [uses.get(v, 0) for v in values]


def _count(args: tuple, uses: dict[Value, int]) -> None:
    for a in args:
        kind = type(a)
        if kind is Value:
            uses[a] = uses.get(a, 0) + 1
        elif kind is tuple:
            _count(a, uses)


def _key(queue: Sequence[Instruction], slots: dict[Value, int]) -> tuple[list[Any], list[float | int]]:
    """The part of the key that says what is computed, and the numbers that are left out of it."""
    key: list[Any] = []
    scalars: list[float | int] = []
    for instruction in queue:
        inference = instruction.inference
        written = inference is None
        if written:
            key += ("write", *instruction.metas[:2])
        else:
            key.append(inference.token)
        pointwise = instruction.op.family == "pointwise"
        for a in instruction.args:
            kind = type(a)
            if kind is Value:
                key.append(slots[a])
            elif kind is tuple:
                _nested(a, slots, key)
            elif pointwise and not is_static(a):
                scalars.append(a)
            elif pointwise or written:  # the statics of other operations are part of the token
                key.append(repr(a) if kind is float and not a else a)  # 0.0 equals -0.0
    return key, scalars


def _nested(args: tuple, slots: dict[Value, int], key: list[Any]) -> None:
    """The slots in a list of operands."""
    key.append(len(args))
    for a in args:
        kind = type(a)
        if kind is Value:
            key.append(slots[a])
        elif kind is tuple:
            _nested(a, slots, key)


def _lifetimes(values: list[Value], counts: list[int], inputs: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Which results somebody outside the window refers to, and which inputs nobody does."""
    references = _references(values, counts)
    alone = _ALONE + 1  # the instruction's tuple of outputs
    live = [slot for slot in range(inputs, len(values)) if references[slot] > alone]
    dying = [slot for slot in range(inputs) if references[slot] == _ALONE and owns_its_memory(values[slot])]
    return tuple(live), tuple(dying)


def _references(values: list[Value], counts: list[int]) -> list[int]:
    """How many references there are to each value beside its uses as an operand."""
    return [getrefcount(v) - n for v, n in zip(values, counts, strict=True)]


def owns_its_memory(value: Value) -> bool:
    """May the memory be written when the value is not needed any more? Not if an array elsewhere shows it too."""
    array, buffer = value.array, value.buffer
    if buffer is not None:
        return array is None and getrefcount(buffer) == _ATTRIBUTE
    if array is None or getrefcount(array) != _ATTRIBUTE or not array.flags.writeable:
        return False
    base = array.base
    if base is None:
        return True
    return type(base) is type(array) and base.base is None and getrefcount(base) == _ATTRIBUTE


def _calibrate() -> int:
    """What `_references` finds of a value that only `signature` holds: in its list and its table of slots. Measured,
    not known, because it differs between versions of Python."""
    values = [Value(None)]
    slots = dict(zip(values, range(1), strict=True))
    found = _references(values, [0])[0]
    slots.clear()
    return found


_ALONE = _calibrate()
# The references to what only an attribute holds, seen from `owns_its_memory`: the attribute, the local variable, and
# the argument of getrefcount.
_ATTRIBUTE = 3
