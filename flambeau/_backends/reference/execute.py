"""Runs one instruction with NumPy.

Values hold flat arrays; an instruction reads them through the layouts of its operands and makes new flat arrays.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau._backends.reference.builder import NumpyBuilder
from flambeau._core.dtypes import BOOL, FLOAT, dtype
from flambeau._core.lazy import lazy_module
from flambeau._ir.meta import Meta
from flambeau._ir.program import Instruction, Value, new_value

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

_k = NumpyBuilder()


def execute(instruction: Instruction) -> None:
    """Run `instruction`: give each of its output values its data."""
    op = instruction.op
    if op.family == "pointwise":
        _run_pointwise(instruction)
    elif op.family == "write":
        _run_write(instruction)
    else:
        _run_library(instruction)


def array_of(value: Value, m: Meta) -> np.ndarray:
    """The elements of a value seen through a layout, to be read: the value's own array, or one over its memory."""
    data = value.array
    if data is None:
        data = value.data
    if data is None:
        assert value.failure is not None, "an instruction ran before the one that makes its operand"
        raise value.failure
    want = m.dtype.numpy
    if data.dtype is not want and data.dtype != want:  # usually it is the same object, which is quickly said
        data = data.view(want)
    if m.is_contiguous:
        if m.offset == 0 and data.size == m.numel:
            return data if data.shape == m.shape else data.reshape(m.shape)
        return data[m.offset : m.offset + m.numel].reshape(m.shape)
    if m.numel == 0:
        return np.empty(m.shape, want)
    step = m.dtype.itemsize
    return np.lib.stride_tricks.as_strided(data[m.offset :], m.shape, [s * step for s in m.strides])


def flat_of(array: Any, m: Meta, inputs: Sequence[Any] = ()) -> np.ndarray:
    """`array` as the flat contents of a fresh storage with layout `m`, sharing no memory with `inputs`."""
    if type(array) is not np.ndarray:
        array = np.asarray(array)
    if array.shape != m.shape:
        raise AssertionError(f"a kernel returned shape {array.shape} where {m} was inferred")
    want = m.dtype.numpy
    if array.dtype is not want and array.dtype != want:
        array = array.astype(want)
    elif array.base is not None or id(array) in map(id, inputs):
        if not array.flags.writeable or _shares_memory(array, inputs):
            array = array.copy()
    if m.is_contiguous:
        return array.ravel()
    flat = np.empty(m.extent, want)
    np.lib.stride_tricks.as_strided(flat, m.shape, [s * m.dtype.itemsize for s in m.strides])[...] = array
    return flat


def _shares_memory(array: np.ndarray, inputs: Sequence[Any]) -> bool:
    """May an array show memory of one of these? A view of what an array owns does if that array, or another view of it,
    is among them; to ask about addresses takes ten times as long."""
    owner = _owner(array)
    owned = isinstance(owner, np.ndarray) and owner.flags.owndata
    for x in inputs:
        if isinstance(x, np.ndarray) and (_owner(x) is owner or not owned and np.may_share_memory(array, x)):
            return True
    return False


def _owner(array: np.ndarray) -> Any:
    """The last in the chain of what an array is a view of, which need not be an array; itself if it is none."""
    owner: Any = array
    while isinstance(owner, np.ndarray) and owner.base is not None:
        owner = owner.base
    return owner


# ---------------------------------------------------------------------------------------------- the families


def _run_pointwise(instruction: Instruction) -> None:
    op, inference = instruction.op, instruction.inference
    computed, operands = inference.compute.numpy, op.operands
    args: list[Any] = []
    for i, arg in enumerate(instruction.args):
        if type(arg) is Value:
            arg = array_of(arg, instruction.metas[i])
            if arg.dtype is not computed and arg.dtype != computed and i in operands:
                arg = arg.astype(computed)
        elif i in operands:
            arg = _number(arg, inference.compute)
        args.append(arg)
    result = np.asarray(op.run(_k, *args))
    out = inference.outputs[0]
    if result.shape != out.shape:
        result = np.broadcast_to(result, out.shape).astype(out.dtype.numpy)  # astype copies: never a view of an input
    instruction.outputs[0].array = flat_of(result, out, args)


def _number(number: Any, compute: dtype) -> Any:
    """A Python number as an array scalar of the dtype computed in; integers wrap around, as PyTorch's do."""
    if number is None or isinstance(number, str):
        return number
    if compute.category in (BOOL, FLOAT) or isinstance(number, float | complex) or compute.is_complex:
        return compute.numpy.type(number)
    return np.array(int(number) & 0xFFFFFFFFFFFFFFFF, np.uint64).astype(compute.numpy)[()]


def _run_library(instruction: Instruction) -> None:
    arrays = read_arguments(instruction.args, instruction.metas)
    results = instruction.op.run(*arrays)
    if not isinstance(results, tuple):
        results = (results,)
    inputs = flat_arrays(arrays)
    for value, m, result in zip(instruction.outputs, instruction.inference.outputs, results, strict=True):
        value.array = flat_of(result, m, inputs)


def read_arguments(args: tuple, metas: tuple) -> list[Any]:
    """The arguments of a library body: arrays for values, everything else as it is."""
    arrays: list[Any] = []
    for arg, m in zip(args, metas, strict=True):
        kind = type(arg)
        if kind is Value:
            arrays.append(array_of(arg, m))
        elif kind is tuple and Value in map(type, arg):
            arrays.append(tuple(read_arguments(arg, m)))
        else:
            arrays.append(arg)
    return arrays


def flat_arrays(arrays: Sequence[Any]) -> Sequence[Any]:
    """The arrays among (possibly nested) arguments, perhaps with others that are none."""
    if tuple not in map(type, arrays):
        return arrays
    found: list[Any] = []
    for a in arrays:
        if type(a) is tuple:
            found += flat_arrays(a)
        else:
            found.append(a)
    return found


def _run_write(instruction: Instruction) -> None:
    """Write the second operand into the layout `metas[0]` of the first, whose storage moves on to the output value.

    Written in place when nobody else reads the old value any more, or when the memory is exposed (`args[2]`).
    """
    old, source, exposed = instruction.args
    target_meta, source_meta, _ = instruction.metas
    array_of(old, target_meta)  # raises the failure of a value that was never made
    # Referenced by the local variable, the instruction's tuple, and getrefcount's own argument: nobody else.
    moved = new_value()
    moved.array, moved.buffer = old.data, old.buffer
    if not exposed and sys.getrefcount(instruction.args[0]) > 3:
        old.data = moved.array.copy()
    target = array_of(moved, target_meta)
    source_array = array_of(source, source_meta)
    if target_meta.dtype.category == BOOL and source_array.dtype != target.dtype:
        source_array = source_array != 0
    target[...] = source_array.astype(target.dtype, copy=False)
    instruction.outputs[0].array, instruction.outputs[0].buffer = moved.array, moved.buffer
