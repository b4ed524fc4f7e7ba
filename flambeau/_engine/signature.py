"""The signature of a window: what decides which plan runs it, and what the plan needs from it.

Two windows with the same key compute the same thing with other numbers: the same operations with the same dtypes and
layouts, tied together the same way, with the same results alive at the end. The key is built at every flush, so this
is written for speed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from sys import getrefcount
from typing import Any, Protocol

from flambeau._compiler.capture import RUNTIME, add_values, key_of
from flambeau._core.forgetting import Remembered
from flambeau._ir.program import Instruction, Value, new_value

STRUCTURES = 640  # with so many, those are forgotten whose plans are; more than there are plans
LIFETIMES = 64  # combinations of reference counts that each of them remembers
_NONE: frozenset[int] = frozenset()


class Structure:
    """What windows with the same operations, layouts and ties share: found by these once, and from then on by its
    identity. It remembers which results outlive the window and which inputs do not, by reference counts."""

    __slots__ = ("ties", "inputs", "_known")

    def __init__(self, ties: tuple[int, ...], inputs: int) -> None:
        self.ties = ties
        self.inputs = inputs
        self._known: dict[tuple[int, ...], tuple[tuple[int, ...], tuple[int, ...]]] = {}

    def only_here(self, references: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The results that somebody outside the window refers to, and the inputs that nobody does."""
        known = self._known.get(references)
        if known is None:
            if len(self._known) >= LIFETIMES:
                self._known.clear()
            uses = Counter(self.ties)
            alone = _ALONE + 1  # the instruction's tuple of outputs
            live = [slot for slot in range(self.inputs, len(references)) if references[slot] - uses[slot] > alone]
            unneeded = [slot for slot in range(self.inputs) if references[slot] - uses[slot] == _ALONE]
            known = self._known[references] = tuple(live), tuple(unneeded)
        return known


_structures = Remembered(STRUCTURES)


class Owner(Protocol):
    """The window, seen from here. `running` is the plan that runs it, `lasting` the ids of results that outlive it
    (None: any of them may), `before` holds values for the case that an instruction fails."""

    running: Any
    lasting: frozenset[int] | None
    before: list[dict[Any, Value]]

    def interpret(self, instruction: Instruction) -> None:
        """Run a single instruction on the reference."""

    def fetch(self, value: Value) -> None:
        """Run the window of another thread if an operand waits there."""


class Signature:
    """`key` names the plan: the structure, `live` and `dying`. `values` are all values by slot, the first `inputs` of
    them from before the window; `ties` are the slots of all operands in a row, `scalars` the numbers that may change
    from run to run; `live` the slots of results that outlive the window, `dying` those of inputs that do not."""

    __slots__ = ("key", "values", "inputs", "slots", "ties", "scalars", "live", "dying")

    key: tuple
    values: list[Value]
    inputs: int
    slots: dict[Value, int]
    ties: tuple[int, ...]
    scalars: list[float | int]
    live: tuple[int, ...]
    dying: frozenset[int]


def signature(queue: Sequence[Instruction], window: Owner) -> Signature | None:
    """The signature of the instructions of a window; None if an operand from another one has no memory."""
    key: list[Any] = []
    operands: list[Value] = []
    made: list[Value] = []
    scalars: list[float | int] = []
    for instruction in queue:
        inference = instruction.inference
        if inference is None:
            _write(instruction, key, operands)
        elif inference.plain:  # all arguments are values
            key.append(inference)
            operands += instruction.args
        else:
            key.append(inference)
            _mixed(instruction, key, operands, scalars)
        made += instruction.outputs
    values = [v for v in dict.fromkeys(operands) if v.window is not window]
    if not _add_sizes(values, window, key):
        return None
    inputs = len(values)
    values += made
    slots = dict(zip(values, range(len(values)), strict=True))
    ties = tuple(map(slots.__getitem__, operands))
    key += ties
    operands.clear()
    made.clear()  # both count as references
    whole = tuple(key)
    structure = _structures.get(whole) or _structures.keep(whole, Structure(ties, inputs))
    references = tuple(map(getrefcount, values))
    if window.before:
        references = _without(window.before, references, slots)
    live, unneeded = structure.only_here(references)
    found = Signature()
    found.values, found.inputs, found.slots, found.ties, found.scalars = values, inputs, slots, ties, scalars
    found.live = live
    found.dying = frozenset([slot for slot in unneeded if owns_its_memory(values[slot])]) if unneeded else _NONE
    found.key = (structure, live, found.dying)
    return found


def _add_sizes(values: list[Value], window: Owner, key: list[Any]) -> bool:
    """Add the bytes of each value to the key; False if one has no memory."""
    for v in values:
        if v.window is not None:
            window.fetch(v)
        if v.buffer is not None:
            key.append(v.buffer.nbytes)
        elif v.array is not None:
            key.append(v.nbytes)
        else:
            return False
    return True


def _write(instruction: Instruction, key: list[Any], operands: list[Value]) -> None:
    old, source, exposed = instruction.args
    key += ("write", *instruction.metas[:2], exposed)
    operands += (old, source)


def _mixed(instruction: Instruction, key: list[Any], operands: list[Value], scalars: list[float | int]) -> None:
    """Collect the arguments of an instruction that are values, and what the inference does not say of the others."""
    family = instruction.op.family
    if family == "formula":
        *values, numbers = instruction.args
        operands += values
        key += numbers.key
        scalars += numbers.scalars
        return
    pointwise = family == "pointwise"  # the statics of other operations are part of the inference
    for a in instruction.args:
        kind = type(a)
        if kind is Value:
            operands.append(a)
        elif kind is tuple:
            add_values(a, operands)
        elif pointwise:
            told = key_of(a)
            key.append(told)
            if told is RUNTIME:
                scalars.append(a)


def _without(before: list[dict[Any, Value]], references: tuple[int, ...], slots: dict[Value, int]) -> tuple[int, ...]:
    """The reference counts of the values in `slots` less the references that are in `before`, which the window holds in
    case an instruction fails: after a plan has run, none has."""
    counts = list(references)
    for held in before:
        for slot in map(slots.get, held.values()):
            if slot is not None:
                counts[slot] -= 1
    return tuple(counts)


def unseen(results: list[Value], uses: Sequence[int]) -> bool:
    """Does nobody refer to these results but the list, the instructions that made them, and so many arguments?"""
    return list(map(getrefcount, results)) == [_ALONE + n for n in uses]


def owns_its_memory(value: Value) -> bool:
    """May the memory be written when the value is not needed any more? Not if an array elsewhere shows it too."""
    array, buffer = value.array, value.buffer
    if array is None:
        return buffer is not None and not buffer.shared and getrefcount(value.buffer) == _ATTRIBUTE
    if getrefcount(value.array) != _ATTRIBUTE:
        return False
    flags, base = array.flags, array.base
    if not flags.writeable:
        return False
    if base is None:
        return flags.owndata
    if type(base) is not type(array) or getrefcount(array.base) != _ATTRIBUTE:
        return False
    if buffer is None or buffer.shared:
        return base.base is None and base.flags.owndata
    return base.base is buffer and getrefcount(value.buffer) == _ATTRIBUTE + 1  # which the base refers to


def lies_with_others(value: Value) -> bool:
    """Are there other values in the same memory, as equal results of a plan are? A variable may refer to the array."""
    if value.buffer is not None and not value.buffer.shared and getrefcount(value.buffer) > _ATTRIBUTE + 1:
        return True  # the array refers to it, too
    return value.array is not None and getrefcount(value.array) > _ATTRIBUTE + 1


def _calibrate() -> int:
    """The references to a value that only `signature` holds: in its list and its table of slots. Measured, not known,
    because it differs between versions of Python."""
    values = [new_value()]
    slots = dict(zip(values, range(1), strict=True))
    found = tuple(map(getrefcount, values))[0]
    slots.clear()
    return found


_ALONE = _calibrate()
# The references to what only an attribute holds, seen from `owns_its_memory`: the attribute, the local variable, and
# the argument of getrefcount, which is read from the attribute, as some versions of Python do not count what is read
# from a local variable.
_ATTRIBUTE = 3
