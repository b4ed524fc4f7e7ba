"""Bodies of pointwise operations with a graph as their builder say what they do with NumPy as their builder."""

from __future__ import annotations

import numpy as np
import pytest

from flambeau._backends.reference.evaluate import evaluate
from flambeau._backends.reference.execute import execute
from flambeau._compiler.capture import Capture, is_static
from flambeau._core import dtypes
from flambeau._ir.meta import contiguous
from flambeau._ir.program import Value, new_instruction, new_value
from flambeau._ops.infer import infer_pointwise
from flambeau._ops.registry import OPS

N = 40
TOLERANCE = {"float64": 1e-11, "float32": 3e-6, "float16": 2e-3, "bfloat16": 2e-2}
MASKS = ("mask", "condition")
INTEGERS = ("n",)  # parameters that take no fractions
# What a graph cannot say of floats: complex results, polynomials whose degree is an element.
BEYOND = {"polar"} | {name for name in OPS if "_polynomial_" in name}
POINTWISE = [name for name, op in OPS.items() if op.family == "pointwise"]


def array(rng, d):
    """Ties, zeros and, among floats, numbers that are none."""
    x = np.round(rng.uniform(-3, 3, N) * 4) / 4
    if d.category == dtypes.FLOAT:
        x[:5] = [np.nan, np.inf, -np.inf, 0.0, -0.0]
    return (np.abs(x) if d.name == "uint8" else x).astype(d.numpy)


def instruction(op, d, rng, fill):
    """A call of the operation with tensors of dtype `d`; numbers without a default are `fill`."""
    args, metas = [], []
    for i, name in enumerate(op.parameters):
        if name in MASKS or (i in op.operands and name not in op.defaults):
            value = new_value()
            value.data = rng.uniform(size=N) > 0.5 if name in MASKS else array(rng, d)
            args.append(value)
            metas.append(contiguous(dtypes.from_numpy(value.data.dtype), (N,)))
        else:
            args.append(op.defaults.get(name, int(fill) if name in INTEGERS else fill))
            metas.append(type(args[-1]))
    inference = infer_pointwise(op, tuple(args), tuple(metas))
    metas = [a if isinstance(m, type) else m for a, m in zip(args, metas, strict=True)]
    return new_instruction(op, tuple(args), tuple(metas), inference, (new_value(),), None)


def captured(call):
    """The result of the instruction's graph; None if a graph cannot say it."""
    values = [a for a in call.args if type(a) is Value] + [call.outputs[0]]
    slots = {v: i for i, v in enumerate(dict.fromkeys(values))}
    nbytes = [v.nbytes for v in values[:-1]]
    capture = Capture(slots, nbytes, lambda name, d: True)
    capture.run([call])
    if capture.hosts:
        return None
    numbers = [a for a in call.args if type(a) is not Value and not is_static(a)]
    memory = {slot: v.data for v, slot in slots.items() if v is not call.outputs[0]}
    node, output = capture.bindings[slots[call.outputs[0]]]
    return evaluate(capture.graph, memory, dict(enumerate(numbers)))[node][output]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("fill", [2, 2.6])  # a number that is part of the plan, and one that changes from run to run
@pytest.mark.parametrize("name", POINTWISE)
def test_a_body_says_the_same_on_a_graph(name, fill):
    op, rng = OPS[name], np.random.default_rng(1)
    for kind in ("float32", "float64", "float16", "bfloat16", "int64", "uint8", "bool"):
        d = dtypes.BY_NAME[kind]
        number = fill if d.category == dtypes.FLOAT else 2
        try:
            call = instruction(op, d, rng, number)
            execute(call)
        except (RuntimeError, TypeError, NotImplementedError, IndexError, ValueError):
            continue  # the operation has no meaning here, or fails when it runs
        found = captured(call)
        if found is None:
            assert d.category < dtypes.FLOAT or name in BEYOND, f"{name} of {kind} is left to the reference"
            continue
        result = call.inference.outputs[0].dtype
        assert found.dtype == result.numpy
        tolerance = TOLERANCE.get(result.name, 0)
        expected = call.outputs[0].data
        np.testing.assert_allclose(found.astype("f8"), expected.astype("f8"), tolerance, tolerance, err_msg=kind)
