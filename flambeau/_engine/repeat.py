"""Recording the same thing for many tensors: once in full, then by copying instructions.

An optimizer applies one elementwise formula to every parameter. Recording it through tensors costs some ten
microseconds an operation and parameter; what differs between parameters is only whose memory is meant, and the shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from flambeau._engine.window import state
from flambeau._ir.meta import Meta
from flambeau._ir.program import Instruction, Value


class Repeatable:
    """A stretch of pointwise instructions over some tensors of one layout, to be recorded again for others.

    `key` is what must be equal for that to be right, beside the number of tensors: numbers that the formula uses.
    """

    def __init__(self) -> None:
        self.key: Any = None
        self._steps: list[tuple[Any, tuple, tuple]] | None = None  # (op, arguments, metas) of each instruction
        self._finals: list[int] = []  # which value each tensor ends with
        self._versions: list[int] = []  # how often each tensor was changed

    @contextmanager
    def recording(self, tensors: Sequence[Any], key: Any) -> Iterator[None]:
        """Learn what the block records."""
        self._steps = None
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
        self._learn(list(islice(window.queue, first, None)), tensors, before, m)
        self._versions = [t._storage.version - v for t, v in zip(tensors, versions, strict=True)]

    def _learn(self, instructions: Sequence[Instruction], tensors: Sequence[Any], before: list[Value], m: Meta) -> None:
        numbers = {value: i for i, value in enumerate(before)}
        steps = []
        for instruction in instructions:
            if instruction.op.family != "pointwise" or instruction.inference.outputs[0] is not m:
                return
            if any(type(x) is Meta and x is not m for x in instruction.metas):
                return
            if any(type(a) is Value and a not in numbers for a in instruction.args):
                return
            arguments = tuple([_Slot(numbers[a]) if type(a) is Value else a for a in instruction.args])
            metas = tuple([None if x is m else x for x in instruction.metas])
            steps.append((instruction.op, arguments, metas))
            numbers[instruction.outputs[0]] = len(numbers)
        finals = [t._storage.value for t in tensors]
        if len(set(before)) < len(before) or any(value not in numbers for value in finals):
            return
        self._steps = steps
        self._finals = [numbers[value] for value in finals]

    def repeat(self, tensors: Sequence[Any], key: Any) -> bool:
        """Record the same for other tensors; False, and nothing recorded, if it would not be the same."""
        steps, m = self._steps, common_meta(tensors)
        if steps is None or m is None or key != self.key or len(tensors) != len(self._finals):
            return False
        window = state.window
        if window.full():  # not at the end, where intermediate results are still held here and would be kept
            window.flush()
        values = [t._storage.value for t in tensors]
        if len(set(values)) < len(values):
            return False
        made = []
        for op, arguments, template in steps:
            metas = tuple([m if x is None else x for x in template])
            inference = op.cache.get(metas)
            if inference is None or inference.outputs[0] is not m:
                return False
            value = Value(window)
            args = tuple([values[a.number] if type(a) is _Slot else a for a in arguments])
            made.append(Instruction(op, args, metas, inference, (value,), None))
            values.append(value)
        window.queue.extend(made)
        window.nbytes += m.nbytes * len(made)
        for t, final, changes in zip(tensors, self._finals, self._versions, strict=True):
            storage = t._storage
            storage.value = values[final]
            storage.version += changes
        return True


class _Slot:
    """An argument that is the value of that number: the tensors' first, then the results in order."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


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
