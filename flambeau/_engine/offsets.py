"""Views into older memory, made to begin at its start.

A loop over batches reads another part of the same tensor every time: the same computation at another offset. Such an
operand is replaced by a value that begins where the view does, so that all parts have one plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau._ir.meta import Meta, meta
from flambeau._ir.program import Instruction, Value

KNOWN = 1 << 14  # computations that are remembered

_inferences: dict[tuple, Any] = {}


def without_offsets(
    queue: Sequence[Instruction], moved: dict[tuple[Value, Meta], Value] | None = None
) -> Sequence[Instruction]:
    """The window with its operands from before it read from their first element on. `moved` is filled with what stands
    for which part of which value."""
    moved = {} if moved is None else moved
    result: list[Instruction] | None = None
    for number, instruction in enumerate(queue):
        metas = instruction.metas
        if not any([type(m) is Meta and m.offset for m in metas]):
            continue
        changed = _moved(instruction, moved)
        if changed is not None:
            result = list(queue) if result is None else result
            result[number] = changed
    return queue if result is None else result


def _moved(instruction: Instruction, moved: dict[tuple[Value, Meta], Value]) -> Instruction | None:
    args, metas = list(instruction.args), list(instruction.metas)
    found = False
    for i, (a, m) in enumerate(zip(args, metas, strict=True)):
        movable = type(a) is Value and type(m) is Meta and m.offset and a.window is None and a.failure is None
        if not movable or (instruction.inference is None and i == 0):  # a write needs all of what it writes into
            continue
        if (a, m) not in moved:
            moved[a, m] = _beginning_at(a, m)
        args[i] = moved[a, m]
        metas[i] = meta(m.dtype, m.shape, m.strides, 0)
        found = True
    inference = instruction.inference
    if found and inference is not None:
        inference = _same_computation(instruction, tuple(metas))
    if not found or (inference is None and instruction.inference is not None):
        return None
    return Instruction(instruction.op, tuple(args), tuple(metas), inference, instruction.outputs, instruction.site)


def _same_computation(instruction: Instruction, metas: tuple) -> Any:
    """The inference that stands for this operation on operands without offsets; None if it cannot be told."""
    key = (instruction.op, *[x if type(x) is Meta else (type(x), x) for x in metas])
    try:
        found = _inferences.get(key)
    except TypeError:  # an argument that cannot be a key
        return None
    if found is None:
        if len(_inferences) >= KNOWN:
            _inferences.clear()
        found = _inferences[key] = instruction.inference
    return found


def _beginning_at(value: Value, m: Meta) -> Value:
    """The memory of a value from the first element of a layout on."""
    data = value.data
    assert data is not None
    flat = data if data.dtype == m.dtype.numpy else data.view(m.dtype.numpy)
    part = Value(None)
    part.data = flat[m.offset : m.extent]
    return part
