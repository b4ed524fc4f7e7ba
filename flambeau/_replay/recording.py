"""A window in a form that can be run again on other inputs: its plan, where each operand comes from, where results go.

The window of a function and that of a backward pass are both recorded like this. Inputs are the storages of some
tensors, given at every run in the same order; numbers that the code itself has made, kept as they are; and random
numbers, drawn anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import getrefcount
from typing import Any, NamedTuple

from flambeau._core import locks
from flambeau._engine import plans
from flambeau._engine.memory import allocator
from flambeau._engine.window import realize
from flambeau._ir.meta import Meta
from flambeau._ir.program import Storage, Value, new_storage, new_value
from flambeau._replay.capture import CapturingWindow, address_of
from flambeau._replay.refusal import Refusal, Unsettled
from flambeau._tensor import random

TENSOR, CONSTANT, DRAW = range(3)  # kinds of sources


class Source(NamedTuple):
    """Where a value comes from: storage, constant or draw `number`, from byte `shift` on."""

    kind: int
    number: int
    shift: int = 0


class Failed(Exception):
    """A kernel met something wrong, and nothing has changed: ordinary running will say what it was."""


class Draft:
    """A captured window on its way to a Recording: says where values come from and go to, and runs it once.

    `initial` has the ids of the values that the storages of known tensors had at the start, `metas` those tensors'
    layouts. Results may be alive in the storages `explained` only.
    """

    def __init__(self, window: CapturingWindow, initial: dict[int, int], metas: Sequence[Meta],
                 explained: Sequence[Storage]) -> None:  # fmt: skip
        self.window = window
        self.metas = metas
        if len(window.drawn_values) < len(window.draws):
            raise Refusal("random numbers are drawn for something else than a tensor")
        if any(drawn.generator is not random.default_generator for drawn in window.draws):
            raise Refusal("random numbers are drawn from a generator of their own")
        self._initial = initial
        self._made = {id(v): v for v in window.constants}
        self._drawn = window.drawn_values
        self.constants: list[Value] = []
        self.extras: list[Source] = []  # values that are no results, and yet end in a storage
        self.compiled: Any = None
        self.sources: list[Source] = []
        if window.queue:
            self._compile(explained)

    def _compile(self, explained: Sequence[Storage]) -> None:
        self.compiled = compiled = plans.compiled(list(self.window.queue), self.window)
        if compiled is None or any(type(s) is int for s in compiled.plan.segments):
            raise Refusal("an operation has no kernel")
        found = compiled.found
        alive = {id(s.value) for s in explained}
        if any(id(found.values[slot]) not in alive for slot in found.live):
            raise Unsettled("a tensor that was computed is kept somewhere")
        parts = {id(part): (value, m) for (value, m), part in compiled.parts.items()}
        for slot in range(found.inputs):
            value, m = parts.get(id(found.values[slot]), (found.values[slot], None))
            self.sources.append(self._source(value, 0 if m is None else m.offset * m.dtype.itemsize))

    def _source(self, value: Value, shift: int = 0) -> Source:
        if id(value) in self._drawn:
            return Source(DRAW, self._drawn[id(value)], shift)
        if id(value) in self._made:
            self.constants.append(value)
            return Source(CONSTANT, len(self.constants) - 1, shift)
        if id(value) in self._initial:
            return Source(TENSOR, self._initial[id(value)], shift)
        raise Refusal("a tensor is read that guards do not reach")

    def place(self, value: Value) -> int:
        """Where a value is to be found among those of a run."""
        found = None if self.compiled is None else self.compiled.found
        if found is not None and found.slots.get(value, -1) >= found.inputs:
            return found.slots[value]
        self.extras.append(self._source(value))
        return (0 if found is None else len(found.values)) + len(self.extras) - 1

    def finished(self) -> Recording:
        """Run the captured window, so that its tensors get their numbers; the recording of it."""
        recording = Recording(self)
        if self.compiled is not None:
            if not self.compiled.plan.run(self.compiled.queue, self.compiled.found, self.window):
                raise Refusal("a kernel met something wrong")
            self.window.queue.clear()
            self.window.before.clear()
            self.window.nbytes = 0
        return recording


class Recording:
    """The plan of a captured window, and what it needs."""

    def __init__(self, draft: Draft) -> None:
        compiled, sources = draft.compiled, draft.sources
        self.plan: Any = None
        self.inputs = len(sources)
        self.slots, self.words, self.results = 0, [], []
        if compiled is not None:
            self.plan = compiled.plan
            self.slots = len(compiled.found.values)
            self.words = self.plan.words_of(compiled.found.scalars)
            self.results = self.plan.results
        self.draws = [drawn._replace(array=None) for drawn in draft.window.draws]
        self.constants = draft.constants
        self.extras = list(enumerate(draft.extras, self.slots))
        numbered = list(enumerate(sources))
        self.read = [
            (slot, s.number, s.shift, draft.metas[s.number].offset) for slot, s in numbered if s.kind == TENSOR
        ]
        self.fixed = [
            (slot, self.constants[s.number].address + s.shift) for slot, s in numbered if s.kind == CONSTANT
        ]
        self.drawn = [(slot, s.number, s.shift) for slot, s in numbered if s.kind == DRAW]
        dying = set() if compiled is None else compiled.found.dying
        self.dying = [slot for slot in sorted(dying) if sources[slot].kind == TENSOR]

    def run(self, tensors: Sequence[Any], words: list[float | int] | None = None) -> list[Any]:
        """Run on the storages of these tensors; the values by slot, extras behind them."""
        run = self.begun()
        self.compute(run, tensors, words)
        return self.results_of(run)

    def begun(self) -> plans.Run:
        """A run that is still to be computed."""
        values: list[Any] = [None] * self.slots
        return plans.Run(self.plan, values, [])

    def compute(self, run: plans.Run, tensors: Sequence[Any], words: list[float | int] | None = None) -> None:
        """Run the kernels. When the run is complete, memory may have been written over: `results_of` must be told."""
        values: list[Any] = run.values
        addresses = [0] * self.inputs
        for slot, index, shift, offset in self.read:
            t = tensors[index]
            value = t._storage.value
            if value.window is not None or value.failure is not None:
                realize(value)
            m = t._meta
            if m.offset != offset:
                shift += (m.offset - offset) * m.dtype.itemsize
            buffer = value.buffer
            addresses[slot] = (value.address if buffer is None else buffer.address) + shift
            values[slot] = value
        for slot, address in self.fixed:
            addresses[slot] = address
        if self.extras:
            values += [None] * len(self.extras)
            self._take_extras(tensors, values)
        if self.dying:
            value = buffer = None
            self._own(values, addresses)
        before, drawn = self._draw(values, addresses) if self.draws else (None, None)
        if self.plan is None:
            run.complete = True
        elif not self.plan.launch(run, addresses, self.words if words is None else words):
            if before is not None:
                random.default_generator._twister = before
            raise Failed

    def _take_extras(self, tensors: Sequence[Any], values: list[Any]) -> None:
        for slot, source in self.extras:
            if source.kind == TENSOR:
                values[slot] = value = tensors[source.number]._storage.value
                if value.window is not None or value.failure is not None:
                    realize(value)
            elif source.kind == CONSTANT:
                values[slot] = self.constants[source.number]

    def _own(self, values: list[Any], addresses: list[int]) -> None:
        """Make sure that memory which is written over belongs to nobody else: copy it if somebody else sees it."""
        for slot in self.dying:
            value = values[slot]
            buffer = value.buffer
            if value.array is None and not buffer.shared and getrefcount(value) == _VALUE:
                if getrefcount(buffer) == _BUFFER:
                    continue
            values[slot] = own = _copied(value)
            addresses[slot] = own.buffer.address

    def results_of(self, run: plans.Run) -> list[Any]:
        """The values of a complete run by slot, extras behind them."""
        values: list[Any] = run.values
        inputs, fresh = self.inputs, run.fresh
        for slot, place, dtype in self.results:
            value = values[slot] = new_value()
            if place >= inputs:
                value.buffer = fresh[place - inputs]
            else:
                value.buffer = buffer = values[place].buffer
                buffer.dtype = dtype
        return values

    def _draw(self, values: list[Any], addresses: list[int]) -> tuple[Any, list[Any]]:
        """Draw what the function draws, in its order; the generator's state before that, and the arrays."""
        generator = random.default_generator
        with locks.drawing:
            before = generator._twister.clone()
            arrays = [random.draw(d.function, d.generator, *d.args, **d.kwargs) for d in self.draws]
        for slot, index, shift in self.drawn:
            addresses[slot] = address_of(arrays[index]) + shift
        for slot, source in self.extras:
            if source.kind == DRAW:
                values[slot] = new_value()
                values[slot].data = arrays[source.number].reshape(-1)
        return before, arrays


def _copied(value: Value) -> Value:
    own = new_value()
    data = value.data
    assert data is not None
    own.buffer = allocator.allocate(data.nbytes, data.dtype)
    own.buffer.array()[...] = data
    return own


def _calibrate() -> tuple[int, int]:
    """The references to a value that only a storage holds, and to its buffer, as `_own` counts them."""
    storage = new_storage(new_value(), 0)
    storage.value.buffer = new_value()  # in the place of one
    values = [storage.value]
    for slot in (0,):
        value = values[slot]
        buffer = value.buffer
        found = getrefcount(value), getrefcount(buffer)
    return found


_VALUE, _BUFFER = _calibrate()
