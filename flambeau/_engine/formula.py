"""A formula: pointwise instructions in a row that are recorded as one.

An optimizer does the same to every parameter, some ten operations each. One instruction stands for them in the window;
it is written out when a plan is made, and when the reference runs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from flambeau._compiler.capture import RUNTIME, is_static, key_of
from flambeau._ir.meta import Meta
from flambeau._ir.program import Inference, Instruction, new_instruction, new_value


class Step(NamedTuple):
    """A pointwise instruction on numbered things: numbers of the formula first, then the values it begins with, then
    results in order. Of `metas`, None stands for the layout of all tensors."""

    op: Any
    arguments: tuple[int, ...]
    metas: tuple


class Numbers:
    """The numbers in a formula, and what a plan's key says of them; `scalars` are those it does not say."""

    __slots__ = ("_first", "key", "scalars")

    def __init__(self, numbers: Sequence[Any]) -> None:
        self._first = numbers
        self.key = tuple([key_of(a) for a in numbers])
        self.scalars = [a for a in numbers if not is_static(a)]

    def with_scalars(self, scalars: list[float | int]) -> Numbers:
        """The same with other scalars, none of which the key would say."""
        made = object.__new__(Numbers)
        made._first, made.key, made.scalars = self._first, self.key, scalars
        return made

    def all(self) -> list[Any]:
        """All of them, in order."""
        scalars = iter(self.scalars)
        return [next(scalars) if told is RUNTIME else a for a, told in zip(self._first, self.key, strict=True)]


class FormulaInference(Inference):
    """What is known of a formula on tensors of one layout: the `metas` of its arguments, and its `steps`, which are
    (op, arguments, metas, inference)."""

    __slots__ = ("metas", "steps")

    def __init__(self, outputs: int, values: int, m: Meta, steps: list[tuple]) -> None:
        self.metas = (m,) * values + (None,)
        super().__init__((m,) * outputs, operands=self.metas)
        self.nbytes = m.nbytes * len(steps)
        self.steps = steps


class Formula:
    """`steps` on as many `numbers` and `values`; of the results, those numbered in `finals` are its outputs.

    Its instruction's arguments are the values, then Numbers. `apart` says that it must not be recorded as one, because
    the compiler has no code for some of it.
    """

    family = "formula"

    def __init__(self, steps: tuple[Step, ...], numbers: int, values: int, finals: tuple[int, ...]) -> None:
        self.name = " ".join([step.op.name for step in steps])
        self.steps = steps
        self.values = values
        self.finals = finals
        self.apart = False
        self._inferred: dict[Meta, FormulaInference] = {}

    def inferred(self, m: Meta) -> FormulaInference | None:
        """What it gives for tensors of a layout; None if a step was not inferred for that, or has another result."""
        known = self._inferred.get(m)
        if known is None:
            steps = self._steps_on(m)
            if steps is None:
                return None
            if len(self._inferred) >= KNOWN:
                self._inferred.clear()
            known = self._inferred[m] = FormulaInference(len(self.finals), self.values, m, steps)
        return known

    def _steps_on(self, m: Meta) -> list[tuple] | None:
        found = []
        for op, arguments, template in self.steps:
            metas = tuple([m if x is None else x for x in template])
            inference = op.cache.get(metas)
            if inference is None or inference.outputs[0] is not m:
                return None
            found.append((op, arguments, metas, inference))
        return found

    def instructions(self, instruction: Instruction) -> list[Instruction]:
        """The instructions that one of this formula stands for."""
        *values, numbers = instruction.args
        things = [*numbers.all(), *values]
        outputs = dict(zip(self.finals, instruction.outputs, strict=True))
        written = []
        for op, arguments, metas, inference in instruction.inference.steps:
            value = outputs.get(len(things)) or new_value()
            args = tuple([things[i] for i in arguments])
            written.append(new_instruction(op, args, metas, inference, (value,), instruction.site))
            things.append(value)
        return written


KNOWN = 256  # formulas, and layouts of each, that are remembered
_formulas: dict[tuple, Formula] = {}


def formula(steps: tuple[Step, ...], numbers: int, values: int, finals: tuple[int, ...]) -> Formula:
    """The one formula with these steps."""
    key = (steps, numbers, values, finals)
    found = _formulas.get(key)
    if found is None:
        if len(_formulas) >= KNOWN:
            _formulas.clear()
        found = _formulas[key] = Formula(*key)
    return found


def written_out(queue: Sequence[Instruction]) -> tuple[list[Instruction], list[int]]:
    """The queue with each formula as the instructions it stands for, and where in the queue each comes from."""
    instructions: list[Instruction] = []
    origins: list[int] = []
    for number, instruction in enumerate(queue):
        several = instruction.op.instructions(instruction) if type(instruction.op) is Formula else [instruction]
        instructions += several
        origins += [number] * len(several)
    return instructions, origins
