"""The loop IR run by NumPy, one expression at a time over the whole space: the oracle of code generation."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from flambeau._backends.cpu.nest_combine import identity
from flambeau._backends.reference.builder import NumpyBuilder
from flambeau._compiler.loops import Nest

DTYPES = {"bool": np.bool_, "bfloat16": ml_dtypes.bfloat16}
OPERATORS = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "truediv": lambda a, b: a / b,
    "neg": lambda a: -a, "abs": np.abs, "lt": lambda a, b: a < b, "le": lambda a, b: a <= b, "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b, "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "and_": lambda a, b: a & b,
    "or_": lambda a, b: a | b, "xor": lambda a, b: a ^ b, "invert": lambda a: ~a, "maximum": np.maximum,
    "minimum": np.minimum, "where": np.where, "rsqrt": lambda a: 1 / np.sqrt(a),
    "checked": lambda i, n: np.where((i >= 0) & (i < n), i, 0),
}  # fmt: skip
REDUCERS = {"sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min, "any": np.any, "all": np.all}


def numpy_dtype(name):
    return np.dtype(DTYPES.get(name, name))


def view(array, nest: Nest, i: int):
    """The elements of operand `i` over the whole space."""
    strides = [s * array.itemsize for s in nest.strides[i]]
    return np.lib.stride_tricks.as_strided(array[nest.offsets[i] :], nest.sizes, strides)


def interpret(nest: Nest, arrays, scalars=()):
    """Run a nest on flat arrays; written operands are changed."""
    loops, k = nest.loops, NumpyBuilder()
    reduced = tuple(range(loops.parallel, loops.parallel + loops.reduced))
    values = []
    with np.errstate(all="ignore"):
        for e in loops.body:
            args = [values[a] for a in e.args]
            d = numpy_dtype(e.dtype)
            if e.op == "load":
                value = _load(nest, arrays, e, args)
            elif e.op == "store":
                _store(nest, arrays, e, args[0], reduced)
                value = None
            elif e.op in ("const", "scalar"):
                value = np.full(nest.sizes, e.param if e.op == "const" else scalars[e.param]).astype(d)
            elif e.op == "index":
                shape = [-1 if i == e.param else 1 for i in range(len(nest.sizes))]
                value = np.broadcast_to(np.arange(nest.sizes[e.param]).reshape(shape), nest.sizes)
            elif e.op == "reduce":
                value = _reduce(e.param, args[0], reduced, d, nest.sizes)
            elif e.op == "cast":
                value = args[0] != 0 if e.dtype == "bool" else args[0].astype(d)
            else:
                value = np.asarray(OPERATORS.get(e.op, getattr(k, e.op, None))(*args)).astype(d)
            values.append(value)


def _load(nest, arrays, e, args):
    i = e.param
    if nest.gathers[i] is None:
        return view(arrays[i], nest, i).copy()
    stride, size = nest.gathers[i]
    positions = np.full(nest.sizes, nest.offsets[i])
    for d, s in enumerate(nest.strides[i]):
        shape = [-1 if j == d else 1 for j in range(len(nest.sizes))]
        positions = positions + np.arange(nest.sizes[d]).reshape(shape) * s
    inside = (args[0] >= 0) & (args[0] < size)
    return arrays[i][positions + np.where(inside, args[0], 0) * stride]


def _store(nest, arrays, e, value, reduced):
    i = e.param
    if all(nest.strides[i][d] == 0 for d in reduced):  # one element a row, even if rows are empty
        rows = tuple([1 if d in reduced else n for d, n in enumerate(nest.sizes)])
        value = value[tuple([slice(0, 1) if d in reduced else slice(None) for d in range(len(rows))])]
        nest = nest._replace(sizes=rows)
    view(arrays[i], nest, i)[...] = value


def _reduce(name, value, axes, d, sizes):
    if name.startswith("arg"):
        rows = np.broadcast_to(value, sizes).reshape(*sizes[: axes[0]], -1)  # reduced dimensions are the last
        result = getattr(np, name)(rows, axis=-1).reshape(*sizes[: axes[0]], *[1] * len(axes))
    elif 0 in [sizes[a] for a in axes] and name in ("max", "min"):
        result = np.full([1 if i in axes else n for i, n in enumerate(sizes)], identity(name, d.name))
    else:
        wide = value.astype(np.float64) if value.dtype == np.float32 else value
        options = {} if name in ("any", "all", "max", "min") else {"dtype": wide.dtype}
        result = REDUCERS[name](wide, axis=axes, keepdims=True, **options)
    return result.astype(d)
