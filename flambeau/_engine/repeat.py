"""Recording the same thing for many tensors: once in full, then as a formula, one instruction each.

An optimizer applies one elementwise formula to every parameter. Recording it through tensors costs some ten
microseconds an operation and parameter; what differs between parameters is only whose memory is meant, and the shape.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple

from flambeau._compiler.capture import STATIC_FLOATS
from flambeau._engine.exposure import is_exposed
from flambeau._engine.formula import KNOWN, Formula, Numbers, Step, formula
from flambeau._engine.signature import unseen
from flambeau._engine.window import state
from flambeau._ir.meta import Meta
from flambeau._ir.program import Instruction, Storage, Value, new_instruction, new_value


class Repeatable:
    """A stretch of pointwise instructions over some tensors of one layout, to be recorded again for others.

    `key` is what must be equal for that to be right, beside the number of tensors: numbers that the formula uses.
    """

    def __init__(self) -> None:
        self.key: Any = None
        self._formula: Formula | None = None
        self._numbers = Numbers(())
        self._finals: list[tuple[int, int]] = []  # of each tensor that changes: its number, which output it ends with
        self._changes: list[tuple[int, int]] = []  # of each tensor that changes: its number, how often

    @contextmanager
    def recording(self, tensors: Sequence[Any], key: Any) -> Iterator[None]:
        """Learn what the block records."""
        self._formula = None
        m = common_meta(tensors)
        window = state.window
        if window.full():
            window.flush()
        first, before = len(window.queue), [t._storage.value for t in tensors]
        versions = [t._storage.version for t in tensors]
        with window.unbroken():
            yield
        if m is None or len(window.queue) < first:  # the window ran in between
            return
        self.key = key
        with window.lock:
            self._learn(first, tensors, before, m)
        changes = [t._storage.version - v for t, v in zip(tensors, versions, strict=True)]
        self._changes = [(i, times) for i, times in enumerate(changes) if times]

    def _learn(self, first: int, tensors: Sequence[Any], before: list[Value], m: Meta) -> None:
        """Make a formula of what the window holds from instruction `first` on, and put it in the place of that."""
        instructions = list(islice(state.window.queue, first, None))
        values = before + [i.outputs[0] for i in instructions]
        places = dict(zip(values, range(len(values)), strict=True))
        if len(places) < len(values):  # two tensors with one value
            return
        arguments = [a for i in instructions for a in i.args]
        wiring = tuple([places.get(a, -1) if type(a) is Value else None for a in arguments])
        finals = tuple([places.get(t._storage.value, -1) for t in tensors])
        key = (tuple([i.inference for i in instructions]), wiring, finals)
        if key not in _learned:
            if len(_learned) >= KNOWN:
                _learned.clear()
            _learned[key] = _learnt(instructions, wiring, finals, m)
        learned = _learned[key]
        if learned is None:
            return
        self._formula, self._finals = learned.op, learned.finals
        self._numbers = Numbers([a for a in arguments if type(a) is not Value])
        outputs = tuple([values[i] for i in learned.outputs])
        inner = [values[i] for i in learned.inner]
        del values, places, arguments  # they count as references
        if not learned.op.apart and unseen(inner, learned.uses):
            self._record(learned.op, before, m, outputs, first)

    def _record(self, op: Formula, values: list[Value], m: Meta, outputs: tuple[Value, ...], first: int) -> None:
        """Put the formula behind the window's first `first` instructions. That is done at one go, for Ctrl-C."""
        inference: Any = op.inferred(m)
        made = new_instruction(op, (*values, self._numbers), inference.metas, inference, outputs, None)
        state.window.queue = deque((*islice(state.window.queue, first), made))

    @property
    def scalars(self) -> list[float | int] | None:
        """The numbers of the formula that a plan's key does not say; None if there is no formula."""
        return None if self._formula is None else self._numbers.scalars

    def renumber(self, key: Any, scalars: Sequence[float]) -> bool:
        """Let the formula have other `scalars`, that belong to `key`; False if it has not as many, or if a plan's key
        would have to say one of them."""
        if len(scalars) != len(self._numbers.scalars) or not STATIC_FLOATS.isdisjoint(scalars):
            return False
        self.key, self._numbers = key, self._numbers.with_scalars([*scalars])
        return True

    def repeat(
        self, tensors: Sequence[Any], key: Any, sets: int = 1, before: Callable[[int], None] | None = None
    ) -> bool:
        """Record the same for other tensors, or for several `sets` of them in a row; `before(number)` is called before
        each set. False, and nothing recorded, if it would not be the same, or if the window had to run in between."""
        op, window = self._formula, state.window
        if op is None or op.apart or key != self.key or len(tensors) != op.values * sets:
            return False
        if window.full():  # not at the end, where intermediate results are still held here and would be kept
            window.flush()
        found, nbytes = [], 0
        for start in range(0, len(tensors), op.values):
            several = tensors[start : start + op.values]
            m = common_meta(several)
            inference = None if m is None else op.inferred(m)
            storages = [t._storage for t in several]
            values = [s.value for s in storages]
            if inference is None or len(set(values)) < len(values):
                return False
            found.append((inference, values, storages))
            nbytes += inference.nbytes
        if sets > 1 and not window.has_room(sets, nbytes):
            return False
        for number, what in enumerate(found):
            if before is not None:
                before(number)
            self._record_again(*what)
        return True

    def _record_again(self, inference: Any, values: Sequence[Value], storages: Sequence[Storage]) -> None:
        """Append the formula for some values, and give the results to the storages that change."""
        window = state.window
        outputs = tuple([new_value(window) for _ in inference.outputs])
        args, metas = (*values, self._numbers), inference.metas
        window.queue.append(new_instruction(self._formula, args, metas, inference, outputs, None))
        window.nbytes += inference.nbytes
        for i, output in self._finals:
            storage = storages[i]
            if window.before:
                window.writes(storage)
            storage.value = outputs[output]
        for i, times in self._changes:
            storage = storages[i]
            storage.version += times
            if storage.changes is not None:
                storage.changes.version = storage.version


class Learned(NamedTuple):
    """What is known of a formula when it is recorded. Values are numbered, those it begins with first: its `outputs`,
    and its `inner` results with how often each is used. `finals` is as in Repeatable."""

    op: Formula
    finals: list[tuple[int, int]]
    outputs: tuple[int, ...]
    inner: tuple[int, ...]
    uses: tuple[int, ...]


# (inference of each instruction, the number of each argument, that of the value each tensor ends with) -> what it is
_learned: dict[tuple, Learned | None] = {}


def _learnt(instructions: Sequence[Instruction], wiring: tuple, finals: tuple[int, ...], m: Meta) -> Learned | None:
    """The formula of these instructions on tensors with the layout `m`; None if it is none, or reads other values."""
    if not instructions or -1 in wiring or -1 in finals:
        return None
    numbers, count = wiring.count(None), len(finals)
    of_argument, number = iter(wiring), itertools.count()
    steps = []
    for i in instructions:
        if i.op.family != "pointwise" or i.inference.outputs[0] is not m:
            return None
        if any([type(x) is Meta and x is not m for x in i.metas]):
            return None
        places = [next(of_argument) for _ in i.args]
        arguments = tuple([next(number) if place is None else numbers + place for place in places])
        steps.append(Step(i.op, arguments, tuple([None if x is m else x for x in i.metas])))
    changed = [i for i, place in enumerate(finals) if place != i]
    outputs = tuple(dict.fromkeys([finals[i] for i in changed]))
    op = formula(tuple(steps), numbers, count, tuple([numbers + place for place in outputs]))
    inner = tuple([place for place in range(count, count + len(steps)) if place not in outputs])
    ends = [(i, outputs.index(finals[i])) for i in changed]
    return Learned(op, ends, outputs, inner, tuple([wiring.count(place) for place in inner]))


def common_meta(tensors: Sequence[Any]) -> Meta | None:
    """The layout of all tensors if it is the same, dense, and that of their whole storages, which nobody else sees and
    which were not made in inference mode, as writing asks whether that still holds."""
    m = tensors[0]._meta
    if not m.is_contiguous or m.offset:
        return None
    for t in tensors:
        storage = t._storage
        if t._meta is not m or storage.nbytes != m.nbytes or storage.version < 0:
            return None
        if storage.exposed and is_exposed(storage):
            return None
    return m
