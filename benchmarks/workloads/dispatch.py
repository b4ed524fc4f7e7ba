"""Calls of operations so small that only the cost of calling is left."""

from __future__ import annotations

from functools import partial
from typing import Any

from workloads.workload import Step, Workload, normal

CALLS = 100
CHAINS = 10


def add(torch: Any, compiled: Any, gradient: bool) -> Step:
    """The sums are kept until the step ends, so that nobody may leave them out."""
    a, b = torch.tensor(normal(10)).requires_grad_(gradient), torch.tensor(normal(10, seed=1))
    plus = compiled(lambda a, b: a + b)
    return lambda: [plus(a, b) for _ in range(CALLS)]


def add_jax(jax: Any) -> Step:
    a, b = jax.numpy.asarray(normal(10)), jax.numpy.asarray(normal(10, seed=1))
    plus = jax.jit(lambda a, b: a + b)
    return lambda: [plus(a, b) for _ in range(CALLS)]


def ten(torch: Any, x: Any) -> Any:
    """Ten operations; `torch` may also be `jax.numpy`."""
    for _ in range(2):
        x = torch.exp(-torch.abs(x * 0.5 + 0.25))
    return x


def chain(torch: Any, compiled: Any) -> Step:
    x = torch.tensor(normal(10))
    function = compiled(partial(ten, torch))
    return lambda: [function(x) for _ in range(CHAINS)]


def chain_jax(jax: Any) -> Step:
    x = jax.numpy.asarray(normal(10))
    function = jax.jit(partial(ten, jax.numpy))
    return lambda: [function(x) for _ in range(CHAINS)]


WORKLOADS = [
    Workload("a + b, 10 floats", partial(add, gradient=False), add_jax, calls=CALLS, quick=True),
    Workload("a + b, 10 floats, with gradient", partial(add, gradient=True), calls=CALLS),
    Workload("chain of 10 operations, 10 floats", chain, chain_jax, calls=CHAINS, quick=True),
]
