"""Recording the same thing for many tensors: once in full, then as a formula, one instruction each.

An optimizer applies one elementwise formula to every parameter. Recording it through tensors costs some ten
microseconds an operation and parameter; what differs between parameters is only whose memory is meant, and the shape.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from flambeau._engine.formula import Formula, Numbers, Step, formula
from flambeau._engine.signature import unseen
from flambeau._engine.window import state
from flambeau._ir.meta import Meta
from flambeau._ir.program import Instruction, Value


class Repeatable:
    """A stretch of pointwise instructions over some tensors of one layout, to be recorded again for others.

    `key` is what must be equal for that to be right, beside the number of tensors: numbers that the formula uses.
    """

    def __init__(self) -> None:
        self.key: Any = None
        self._formula: Formula | None = None
        self._numbers = Numbers(())
        self._finals: list[tuple[int, int]] = []  # of each tensor that changes: its number, which output it ends with
        self._versions: list[int] = []  # how often each tensor was changed

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
        self._versions = [t._storage.version - v for t, v in zip(tensors, versions, strict=True)]

    def _learn(self, first: int, tensors: Sequence[Any], before: list[Value], m: Meta) -> None:
        """Make a formula of what the window holds from instruction `first` on, and put it in the place of that."""
        instructions = list(islice(state.window.queue, first, None))
        numbers = [a for i in instructions for a in i.args if type(a) is not Value]
        places = {value: i for i, value in enumerate(before, len(numbers))}
        steps: list[Step] = []
        seen = iter(range(len(numbers)))
        for i in instructions:
            if i.op.family != "pointwise" or i.inference.outputs[0] is not m:
                return
            if any([type(x) is Meta and x is not m for x in i.metas]):
                return
            if any([type(a) is Value and a not in places for a in i.args]):
                return
            arguments = tuple([places[a] if type(a) is Value else next(seen) for a in i.args])
            steps.append(Step(i.op, arguments, tuple([None if x is m else x for x in i.metas])))
            places[i.outputs[0]] = len(places) + len(numbers)
        finals = [t._storage.value for t in tensors]
        if len(set(before)) < len(before) or any([value not in places for value in finals]):
            return
        changed = [i for i, (old, new) in enumerate(zip(before, finals, strict=True)) if old is not new]
        outputs = tuple(dict.fromkeys([places[finals[i]] for i in changed]))
        self._formula = formula(tuple(steps), len(numbers), len(before), outputs)
        self._numbers = Numbers(numbers)
        self._finals = [(i, outputs.index(places[finals[i]])) for i in changed]
        results = {place: value for value, place in places.items() if place in outputs}
        del places, finals  # they count as references
        inner = [i.outputs[0] for n, i in enumerate(instructions, len(numbers) + len(before)) if n not in results]
        if steps and not self._formula.apart and unseen(inner, instructions):
            self._record(self._formula, before, m, tuple([results[n] for n in outputs]), first)

    def _record(self, op: Formula, values: list[Value], m: Meta, outputs: tuple[Value, ...], first: int) -> None:
        """Put the formula behind the window's first `first` instructions. That is done at one go, for Ctrl-C."""
        metas = (m,) * len(values) + (None,)
        made = Instruction(op, (*values, self._numbers), metas, op.inferred(m), outputs, None)
        state.window.queue = deque((*islice(state.window.queue, first), made))

    def repeat(self, tensors: Sequence[Any], key: Any) -> bool:
        """Record the same for other tensors; False, and nothing recorded, if it would not be the same."""
        op, m = self._formula, common_meta(tensors)
        if op is None or op.apart or m is None or key != self.key or len(tensors) != op.values:
            return False
        window = state.window
        if window.full():  # not at the end, where intermediate results are still held here and would be kept
            window.flush()
        inference = op.inferred(m)
        values = [t._storage.value for t in tensors]
        if inference is None or len(set(values)) < len(values):
            return False
        outputs = tuple([Value(window) for _ in inference.outputs])
        metas = (m,) * len(values) + (None,)
        window.queue.append(Instruction(op, (*values, self._numbers), metas, inference, outputs, None))
        window.nbytes += inference.nbytes
        for i, output in self._finals:
            tensors[i]._storage.value = outputs[output]
        for t, changes in zip(tensors, self._versions, strict=True):
            t._storage.version += changes
        return True


def common_meta(tensors: Sequence[Any]) -> Meta | None:
    """The layout of all tensors if it is the same, dense, and that of their whole storages, which nobody else sees."""
    m = tensors[0]._meta
    if not m.is_contiguous or m.offset:
        return None
    for t in tensors:
        storage = t._storage
        if t._meta is not m or storage.exposed or storage.nbytes != m.nbytes:
            return None
    return m
