"""The signature of a window: what decides which plan runs it, and what the plan needs from it.

Two windows with the same key compute the same thing with other numbers: the same operations with the same dtypes and
layouts, tied together the same way, with the same results alive at the end. The key is built at every flush, so this
is written for speed: what the same instructions had last time is compared before it is found out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from operator import itemgetter
from sys import getrefcount
from typing import Any, Protocol

from flambeau._compiler.capture import RUNTIME, key_of
from flambeau._core.forgetting import Remembered
from flambeau._engine.formula import Numbers
from flambeau._ir.program import Instruction, Value, new_value

FORMS = 640  # with so many, those are forgotten whose plans are; more than there are plans
STRUCTURES = 64  # that each form remembers, in the same way
LIFETIMES = 64  # combinations of reference counts that each structure remembers
_NONE: frozenset[int] = frozenset()


class Form:
    """What windows of the same operations and layouts share: found by their inferences once, and from then on by its
    identity. It knows what is where in a row of all arguments: `operands_in` picks the values, `numbers_in` the numbers
    that inferences do not tell, if there are any. Tuples with values in them are at the places `nested`, and their
    contents at the end.

    It remembers the structures that such windows had, and which was the `last`."""

    __slots__ = ("nested", "operands_in", "numbers_in", "structures", "last")

    def __init__(self, queue: Sequence[Instruction]) -> None:
        row = [a for i in queue for a in i.args]
        told = [i.op.family == "library" for i in queue for _ in i.args]  # its inference tells the numbers
        self.nested: list[int] = []
        for place, a in enumerate(row):  # which grows
            if type(a) is tuple and _holds_values(a):
                self.nested.append(place)
                row += a
                told += [True] * len(a)
        self.operands_in = _picker([place for place, a in enumerate(row) if type(a) is Value])
        numbers = [place for place, a in enumerate(row) if type(a) is not Value and not told[place]]
        self.numbers_in = _picker(numbers) if numbers else None
        self.structures: Remembered = Remembered(STRUCTURES)
        self.last: Structure | None = None

    def structure(self, ties: tuple[int, ...], sizes: tuple[int, ...], numbers: tuple) -> Structure:
        """That of windows tied together like this, with inputs of these sizes, and with these numbers."""
        last = self.last
        if last is None or last.ties is not ties or last.sizes != sizes or last.numbers != numbers:
            key = ties, sizes, numbers
            last = self.structures.get(key) or self.structures.keep(key, Structure(*key))
            self.last = last
        return last


def _holds_values(a: tuple) -> bool:
    return any([type(x) is Value or (type(x) is tuple and _holds_values(x)) for x in a])


def _picker(places: Sequence[int]) -> Callable[[Sequence[Any]], tuple]:
    """The function from a sequence to what it has at these places."""
    if len(places) > 1:
        return itemgetter(*places)
    if not places:
        return lambda row: ()
    (place,) = places
    return lambda row: (row[place],)


class Structure:
    """What windows of one form share that are tied together in the same way: `ties` are the slots of all operands in a
    row. It remembers which results outlive the window and which inputs do not, by reference counts.

    `inputs_in` picks the values from before the window among the operands, `operands_in` the operands among all
    values."""

    __slots__ = ("ties", "sizes", "numbers", "inputs_in", "operands_in", "_known")

    def __init__(self, ties: tuple[int, ...], sizes: tuple[int, ...], numbers: tuple) -> None:
        self.ties, self.sizes, self.numbers = ties, sizes, numbers
        self.inputs_in, self.operands_in = _picker([ties.index(i) for i in range(len(sizes))]), _picker(ties)
        self._known: dict[tuple[int, ...], tuple[tuple[int, ...], tuple[int, ...]]] = {}

    def only_here(self, references: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The results that somebody outside the window refers to, and the inputs that nobody does."""
        known = self._known.get(references)
        if known is None:
            if len(self._known) >= LIFETIMES:
                self._known.clear()
            uses, inputs = Counter(self.ties), len(self.sizes)
            alone = _ALONE + 1  # the instruction's tuple of outputs
            live = [slot for slot in range(inputs, len(references)) if references[slot] - uses[slot] > alone]
            unneeded = [slot for slot in range(inputs) if references[slot] - uses[slot] == _ALONE]
            known = self._known[references] = tuple(live), tuple(unneeded)
        return known


_forms = Remembered(FORMS)


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
    """`key` names the plan: form and structure, `live` and `dying`. `values` are all values by slot, the first `inputs`
    of them from before the window; `ties` are the slots of all operands in a row, `scalars` the numbers that may change
    from run to run; `live` the slots of results that outlive the window, `dying` those of inputs that do not."""

    __slots__ = ("key", "values", "inputs", "ties", "scalars", "live", "dying", "_slots")

    key: tuple
    values: list[Value]
    inputs: int
    ties: tuple[int, ...]
    scalars: list[float | int]
    live: tuple[int, ...]
    dying: frozenset[int]
    _slots: dict[Value, int] | None

    @property
    def slots(self) -> dict[Value, int]:
        """The slot of each value."""
        slots = self._slots
        if slots is None:
            slots = self._slots = _slots_of(self.values)
        return slots


def signature(queue: Sequence[Instruction], window: Owner) -> Signature | None:
    """The signature of the instructions of a window; None if an operand from another one has no memory."""
    names = tuple([i.inference or ("write", *i.metas[:2]) for i in queue])
    form = _forms.get(names) or _forms.keep(names, Form(queue))
    row = [a for i in queue for a in i.args]
    for place in form.nested:
        row += row[place]
    operands, made = form.operands_in(row), [v for i in queue for v in i.outputs]
    numbers, scalars = _told(form.numbers_in(row)) if form.numbers_in else ((), [])
    ties, values = _tied(operands, made, window, form.last)
    sizes = _sizes(values[: len(values) - len(made)], window)
    if sizes is None:
        return None
    structure = form.structure(ties, sizes, numbers)
    del row, operands, made  # they count as references
    references = tuple(map(getrefcount, values))
    if window.before:
        references = _without(window.before, references, values)
    live, unneeded = structure.only_here(references)
    found = Signature()
    found.values, found.inputs, found.ties, found.scalars, found._slots = values, len(sizes), ties, scalars, None
    found.live = live
    found.dying = frozenset([slot for slot in unneeded if owns_its_memory(values[slot])]) if unneeded else _NONE
    found.key = (form, structure, live, found.dying)
    return found


def _told(numbers: Sequence[Any]) -> tuple[tuple, list[float | int]]:
    """What the key says of numbers, and those it does not say."""
    told: list[Any] = []
    scalars: list[float | int] = []
    for a in numbers:
        if type(a) is Numbers:
            told.append(a.key)
            scalars += a.scalars
        else:
            of_number = key_of(a)
            told.append(of_number)
            if of_number is RUNTIME:
                scalars.append(a)
    return tuple(told), scalars


def _tied(operands: Sequence[Value], made: Sequence[Value], window: Owner,
          last: Structure | None) -> tuple[tuple[int, ...], list[Value]]:  # fmt: skip
    """The slots of the operands, and the values by slot: those from before the window, then those that it makes. Mostly
    they are tied as those were that had the `last` structure."""
    if last is not None:
        values = [*last.inputs_in(operands), *made]
        if len({*values}) == len(values) and operands == last.operands_in(values):  # values equal themselves alone
            return last.ties, values
    values = [v for v in dict.fromkeys(operands) if v.window is not window]
    values += made
    return tuple(map(_slots_of(values).__getitem__, operands)), values


def _slots_of(values: Sequence[Value]) -> dict[Value, int]:
    return dict(zip(values, range(len(values)), strict=True))


def _sizes(values: Sequence[Value], window: Owner) -> tuple[int, ...] | None:
    """The bytes of each value; None if one has no memory."""
    sizes: list[int] = []
    for v in values:
        if v.window is not None:
            window.fetch(v)
        if v.buffer is not None:
            sizes.append(v.buffer.nbytes)
        elif v.array is not None:
            sizes.append(v.nbytes)
        else:
            return None
    return tuple(sizes)


def _without(
    before: list[dict[Any, Value]], references: tuple[int, ...], values: Sequence[Value]
) -> tuple[int, ...]:
    """The reference counts of values less the references that are in `before`, which the window holds in
    case an instruction fails: after a plan has run, none has."""
    counts, slots = list(references), _slots_of(values)
    for held in before:
        for slot in map(slots.get, held.values()):
            if slot is not None:
                counts[slot] -= 1
    return tuple(counts)


def unseen(results: list[Value], uses: Sequence[int]) -> bool:
    """Does nobody refer to these results but the list, the instructions that made them, and so many arguments?"""
    return list(map(getrefcount, results)) == [_ALONE + 1 + n for n in uses]


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
    """The references to a value that only `signature` holds, in its list. Measured, not known, because it differs
    between versions of Python."""
    return tuple(map(getrefcount, [new_value()]))[0]


_ALONE = _calibrate()
# The references to what only an attribute holds, seen from `owns_its_memory`: the attribute, the local variable, and
# the argument of getrefcount, which is read from the attribute, as some versions of Python do not count what is read
# from a local variable.
_ATTRIBUTE = 3
