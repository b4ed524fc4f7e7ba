"""Pointwise operations on as many numbers as fit a cache, nearly fit one, or do not."""

from __future__ import annotations

from functools import partial
from typing import Any

from workloads.workload import Step, Workload, normal

SIZES = (10_000, 1_000_000, 10_000_000)


def ten(torch: Any, x: Any) -> Any:
    """Ten operations; `torch` may also be `jax.numpy`."""
    y = torch.clip(x * 1.5 + 0.5, 0.0, 4.0)
    y = torch.sqrt(torch.abs(y * x - 0.25))
    return torch.exp(-torch.tanh(y))


def chain(torch: Any, compiled: Any, size: int) -> Step:
    x = torch.tensor(normal(size))
    function = compiled(partial(ten, torch))
    return lambda: function(x)


def chain_jax(jax: Any, size: int) -> Step:
    x = jax.numpy.asarray(normal(size))
    function = jax.jit(partial(ten, jax.numpy))
    return lambda: function(x)


def gelu(torch: Any, compiled: Any, size: int) -> Step:
    x = torch.tensor(normal(size))
    function = compiled(torch.nn.functional.gelu)
    return lambda: function(x)


def gelu_jax(jax: Any, size: int) -> Step:
    x = jax.numpy.asarray(normal(size))
    function = jax.jit(partial(jax.nn.gelu, approximate=False))
    return lambda: function(x)


def gelu_backward(torch: Any, compiled: Any, size: int) -> Step:
    x = torch.tensor(normal(size)).requires_grad_()
    function = compiled(lambda x: torch.nn.functional.gelu(x).sum())
    return lambda: torch.autograd.grad(function(x), x)


def gelu_backward_jax(jax: Any, size: int) -> Step:
    x = jax.numpy.asarray(normal(size))
    function = jax.jit(jax.grad(lambda x: jax.nn.gelu(x, approximate=False).sum()))
    return lambda: (function(x),)


def workloads(name: str, build: Any, twin: Any, quick: bool = True) -> list[Workload]:
    return [
        Workload(f"{name}, {size:.0e}".replace("e+0", "e"), partial(build, size=size), partial(twin, size=size),
                 traffic=8 * size, quick=quick and size == 1_000_000)
        for size in SIZES
    ]  # fmt: skip


WORKLOADS = [
    *workloads("chain of 10 operations", chain, chain_jax),
    *workloads("gelu", gelu, gelu_jax, quick=False),
    *workloads("gelu and its gradient", gelu_backward, gelu_backward_jax)[1:2],
]
