"""Views into older memory, made to begin at its start.

A loop over batches reads another part of the same tensor every time: the same computation at another offset. Such an
operand is replaced by a value that begins where the view does, so that all parts have one plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core.forgetting import Remembered
from flambeau._ir.meta import Meta, meta
from flambeau._ir.program import Instruction, Place, Value, new_instruction, new_value

if TYPE_CHECKING:
    import numpy as np

KNOWN = 1 << 12  # computations that are remembered, and what became of others

_forms: dict[tuple, tuple[tuple, Any]] = {}  # (inference, places that begin elsewhere) -> metas, inference
_inferences = Remembered(KNOWN, followers=[_forms])


def without_offsets(
    queue: Sequence[Instruction], moved: dict[tuple[Value, Meta], Value] | None = None
) -> Sequence[Instruction]:
    """The window with its operands from before it read from their first element on. `moved` is filled with what stands
    for which part of which value."""
    moved = {} if moved is None else moved
    result: list[Instruction] | None = None
    for number, instruction in enumerate(queue):
        inference = instruction.inference
        if not (instruction.metas[1].offset if inference is None else inference.offset):  # what is written, not where
            continue
        changed = _moved(instruction, moved)
        if changed is not None:
            result = list(queue) if result is None else result
            result[number] = changed
    return queue if result is None else result


def _moved(instruction: Instruction, moved: dict[tuple[Value, Meta], Value]) -> Instruction | None:
    args, metas, inference = list(instruction.args), instruction.metas, instruction.inference
    first = 1 if inference is None else 0  # a write needs all of what it writes into
    places = tuple([i for i in range(first, len(args)) if _is_movable(args[i], metas[i])])
    form = _form(instruction, places) if places else None
    if form is None:
        return None
    for i in places:
        key = args[i], metas[i]
        if key not in moved:
            moved[key] = _beginning_at(*key)
        args[i] = moved[key]
    return new_instruction(instruction.op, tuple(args), *form, instruction.outputs, instruction.site)


def _is_movable(a: Any, m: Any) -> bool:
    return type(a) is Value and type(m) is Meta and m.offset != 0 and a.window is None and a.failure is None


def _form(instruction: Instruction, places: tuple[int, ...]) -> tuple[tuple, Any] | None:
    """The metas and the inference of an instruction whose operands in `places` begin where their storages do; None if
    it cannot be told."""
    inference = instruction.inference
    known = _forms.get((inference, places)) if inference is not None else None
    if known is not None:
        return known
    without = {i: meta(m.dtype, m.shape, m.strides, 0) for i, m in enumerate(instruction.metas) if i in places}
    metas = tuple([without.get(i, m) for i, m in enumerate(instruction.metas)])
    if inference is None:
        return metas, None
    same = _same_computation(instruction, metas)
    if same is None:
        return None
    if len(_forms) >= KNOWN:
        _forms.clear()
    _forms[inference, places] = metas, same
    return metas, same


def _same_computation(instruction: Instruction, metas: tuple) -> Any:
    """The inference that stands for this operation on operands without offsets; None if it cannot be told."""
    key = (instruction.op, *[x if type(x) is Meta else (type(x), x) for x in metas])
    try:
        found = _inferences.get(key)
    except TypeError:  # an argument that cannot be a key
        return None
    if found is None:
        found = _inferences.keep(key, instruction.inference)
    return found


def _beginning_at(value: Value, m: Meta) -> Value:
    """The memory of a value from the first element of a layout on."""
    part = new_value()
    part.buffer = Part(value, m)
    return part


class Part(Place):
    """The memory of a layout within that of a value."""

    __slots__ = ("value", "meta")

    def __init__(self, value: Value, m: Meta) -> None:
        size = m.dtype.itemsize
        super().__init__(value.address + m.offset * size, (m.extent - m.offset) * size)
        self.value = value
        self.meta = m

    def array(self) -> np.ndarray:
        m, data = self.meta, self.value.data
        assert data is not None
        flat = data if data.dtype == m.dtype.numpy else data.view(m.dtype.numpy)
        return flat[m.offset : m.extent]
