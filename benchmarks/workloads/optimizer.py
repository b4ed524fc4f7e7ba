"""An optimizer alone: Adam on ten million parameters."""

from __future__ import annotations

from functools import partial
from typing import Any

from workloads import jax_parts
from workloads.workload import Step, Workload, normal

SHAPES = ((2500, 1000),) * 4


def adam(torch: Any, compiled: Any) -> Step:
    params = [torch.nn.Parameter(torch.tensor(normal(*shape, seed=n))) for n, shape in enumerate(SHAPES)]
    for n, parameter in enumerate(params):
        parameter.grad = torch.tensor(normal(*parameter.shape, seed=100 + n))
    optimizer = torch.optim.Adam(params, lr=0.001)
    update = compiled(optimizer.step)

    def step() -> Any:
        update()
        return [parameter.detach() for parameter in params]

    return step


def adam_jax(jax: Any) -> Step:
    params = [jax.numpy.asarray(normal(*shape, seed=n)) for n, shape in enumerate(SHAPES)]
    grads = [jax.numpy.asarray(normal(*shape, seed=100 + n)) for n, shape in enumerate(SHAPES)]
    first_state, update = jax_parts.adam(jax, 0.001)
    state = first_state(params)
    jitted = partial(jax.jit, donate_argnums=(0, 2))(update)

    def step() -> Any:
        nonlocal params, state
        params, state = jitted(params, grads, state)
        return params

    return step


# It reads four numbers for each parameter and writes three.
WORKLOADS = [Workload("Adam, 10 million parameters", adam, adam_jax, traffic=7 * 4e7, quick=True)]
