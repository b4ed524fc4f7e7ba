"""Products of matrices, named rows × inner × columns."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Any

from workloads.workload import Step, Workload, normal

PLAIN = ((1024, 1024, 1024), (128, 784, 500), (64, 784, 256), (2048, 768, 3072))
BATCHED = (48, 64, 32, 64)
TRANSPOSED = (((1024, 1024, 1024), "left"), ((1024, 1024, 1024), "right"), ((784, 128, 500), "left"))


def operands(shape: tuple[int, ...], turned: str) -> tuple[Any, Any, Any]:
    """Two matrices and a function that multiplies them, of which one may be stored the other way round."""
    *batch, rows, inner, columns = shape
    left = (inner, rows) if turned == "left" else (rows, inner)
    right = (columns, inner) if turned == "right" else (inner, columns)
    functions = {"": lambda a, b: a @ b, "left": lambda a, b: a.mT @ b, "right": lambda a, b: a @ b.mT}
    return normal(*batch, *left), normal(*batch, *right, seed=1), functions[turned]


def matmul(torch: Any, compiled: Any, shape: tuple[int, ...], turned: str = "") -> Step:
    a, b, function = operands(shape, turned)
    a, b, function = torch.tensor(a), torch.tensor(b), compiled(function)
    return lambda: function(a, b)


def matmul_jax(jax: Any, shape: tuple[int, ...], turned: str = "") -> Step:
    a, b, function = operands(shape, turned)
    a, b, function = jax.numpy.asarray(a), jax.numpy.asarray(b), jax.jit(function)
    return lambda: function(a, b)


def workload(shape: tuple[int, ...], turned: str = "") -> Workload:
    name = " × ".join(map(str, shape[-3:])) + (f", {turned} one transposed" if turned else "")
    name = f"{shape[0]} of {name}" if len(shape) > 3 else name
    arguments = {"shape": shape, "turned": turned}
    return Workload(name, partial(matmul, **arguments), partial(matmul_jax, **arguments), flops=2 * prod(shape),
                    quick=shape == PLAIN[0] and not turned)  # fmt: skip


WORKLOADS = [workload(shape) for shape in (*PLAIN, BATCHED)] + [workload(*pair) for pair in TRANSPOSED]
