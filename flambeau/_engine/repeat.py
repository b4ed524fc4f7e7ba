"""Recording the same thing for many tensors: once in full, then by copying instructions.

An optimizer applies one elementwise formula to every parameter. Recording it through tensors costs some ten
microseconds an operation and parameter; what differs between parameters is only whose memory is meant, and the shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple

from flambeau._engine.window import state
from flambeau._ir.meta import Meta
from flambeau._ir.program import Instruction, Value


class Step(NamedTuple):
    """A pointwise instruction on numbered things: constants, then the tensors' values, then results in order. Of
    `metas`, None stands for the layout of all tensors."""

    op: Any
    arguments: tuple[int, ...]
    metas: tuple


class Repeatable:
    """A stretch of pointwise instructions over some tensors of one layout, to be recorded again for others.

    `key` is what must be equal for that to be right, beside the number of tensors: numbers that the formula uses.
    """

    def __init__(self) -> None:
        self.key: Any = None
        self._steps: list[Step] | None = None
        self._constants: list[Any] = []
        self._inferred: dict[Meta, list[tuple] | None] = {}  # (step's op, arguments, metas, inference) for a layout
        self._finals: list[int] = []  # what each tensor ends with
        self._versions: list[int] = []  # how often each tensor was changed

    @contextmanager
    def recording(self, tensors: Sequence[Any], key: Any) -> Iterator[None]:
        """Learn what the block records."""
        self._steps = None
        m = common_meta(tensors)
        window = state.window
        first, before = len(window.queue), [t._storage.value for t in tensors]
        versions = [t._storage.version for t in tensors]
        yield
        if m is None or len(window.queue) < first:  # the window ran in between
            return
        self.key = key
        self._learn(list(islice(window.queue, first, None)), tensors, before, m)
        self._versions = [t._storage.version - v for t, v in zip(tensors, versions, strict=True)]

    def _learn(self, instructions: Sequence[Instruction], tensors: Sequence[Any], before: list[Value], m: Meta) -> None:
        constants = [a for i in instructions for a in i.args if type(a) is not Value]
        numbers = {value: i for i, value in enumerate(before, len(constants))}
        steps: list[Step] = []
        seen = 0
        for instruction in instructions:
            if instruction.op.family != "pointwise" or instruction.inference.outputs[0] is not m:
                return
            if any([type(x) is Meta and x is not m for x in instruction.metas]):
                return
            arguments = []
            for a in instruction.args:
                if type(a) is not Value:
                    arguments.append(seen)
                    seen += 1
                elif a in numbers:
                    arguments.append(numbers[a])
                else:
                    return
            metas = tuple([None if x is m else x for x in instruction.metas])
            steps.append(Step(instruction.op, tuple(arguments), metas))
            numbers[instruction.outputs[0]] = len(constants) + len(before) + len(steps) - 1
        finals = [t._storage.value for t in tensors]
        if len(set(before)) < len(before) or any([value not in numbers for value in finals]):
            return
        self._steps, self._constants, self._inferred = steps, constants, {}
        self._finals = [numbers[value] for value in finals]

    def repeat(self, tensors: Sequence[Any], key: Any) -> bool:
        """Record the same for other tensors; False, and nothing recorded, if it would not be the same."""
        steps, m = self._steps, common_meta(tensors)
        if steps is None or m is None or key != self.key or len(tensors) != len(self._finals):
            return False
        things = self._constants + [t._storage.value for t in tensors]
        if len(set(things[len(self._constants) :])) < len(tensors):
            return False
        if m not in self._inferred:
            self._inferred[m] = _inferred(steps, m)
        instructions = self._inferred[m]
        if instructions is None:
            return False
        window, thing = state.window, things.__getitem__
        for op, arguments, metas, inference in instructions:
            value = Value(window)
            args = tuple(map(thing, arguments))
            window.queue.append(Instruction(op, args, metas, inference, (value,), None))
            things.append(value)
        window.nbytes += m.nbytes * len(steps)
        for t, final, changes in zip(tensors, self._finals, self._versions, strict=True):
            storage = t._storage
            storage.value = things[final]
            storage.version += changes
        if window.full():
            window.flush()
        return True


def _inferred(steps: Sequence[Step], m: Meta) -> list[tuple] | None:
    """The steps on tensors of a layout; None if that was not inferred yet, or is something else there."""
    found = []
    for op, arguments, template in steps:
        metas = tuple([m if x is None else x for x in template])
        inference = op.cache.get(metas)
        if inference is None or inference.outputs[0] is not m:
            return None
        found.append((op, arguments, metas, inference))
    return found


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
