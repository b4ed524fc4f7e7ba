"""Work along rows or columns: normalise, score, standardise."""

from __future__ import annotations

from functools import partial
from typing import Any

from workloads import jax_parts
from workloads.workload import Step, Workload, integers, normal

ROWS, COLUMNS = 4096, 1024


def softmax(torch: Any, compiled: Any, shape: tuple[int, int]) -> Step:
    x = torch.tensor(normal(*shape))
    function = compiled(lambda x: torch.softmax(x, 1))
    return lambda: function(x)


def softmax_jax(jax: Any, shape: tuple[int, int]) -> Step:
    x = jax.numpy.asarray(normal(*shape))
    function = jax.jit(jax.nn.softmax)
    return lambda: function(x)


def layer_norm(torch: Any, compiled: Any) -> Step:
    x, weight, bias = (torch.tensor(normal(*shape)) for shape in ((ROWS, COLUMNS), (COLUMNS,), (COLUMNS,)))
    function = compiled(lambda *args: torch.nn.functional.layer_norm(args[0], (COLUMNS,), args[1], args[2]))
    return lambda: function(x, weight, bias)


def layer_norm_jax(jax: Any) -> Step:
    x, weight, bias = (jax.numpy.asarray(normal(*shape)) for shape in ((ROWS, COLUMNS), (COLUMNS,), (COLUMNS,)))
    function = jax.jit(partial(jax_parts.layer_norm, jax))
    return lambda: function(x, weight, bias)


def cross_entropy(torch: Any, compiled: Any) -> Step:
    scores, wanted = torch.tensor(normal(ROWS, COLUMNS)).requires_grad_(), torch.tensor(integers(COLUMNS, ROWS))
    function = compiled(torch.nn.functional.cross_entropy)
    return lambda: torch.autograd.grad(function(scores, wanted), scores)


def cross_entropy_jax(jax: Any) -> Step:
    scores, wanted = jax.numpy.asarray(normal(ROWS, COLUMNS)), jax.numpy.asarray(integers(COLUMNS, ROWS))
    function = jax.jit(jax.grad(partial(jax_parts.cross_entropy, jax)))
    return lambda: (function(scores, wanted),)


def standardise(torch: Any, compiled: Any) -> Step:
    x = torch.tensor(normal(54_000, 784))
    function = compiled(lambda x: (x - x.mean(0)) / x.std(0))
    return lambda: function(x)


def standardise_jax(jax: Any) -> Step:
    x = jax.numpy.asarray(normal(54_000, 784))
    function = jax.jit(lambda x: (x - x.mean(0)) / x.std(0, ddof=1))
    return lambda: function(x)


SMALL, LARGE = (128, 10), (ROWS, COLUMNS)
BYTES = 4 * ROWS * COLUMNS

WORKLOADS = [
    Workload("softmax, 4096 × 1024", partial(softmax, shape=LARGE), partial(softmax_jax, shape=LARGE),
             traffic=2 * BYTES, quick=True),
    Workload("softmax, 128 × 10", partial(softmax, shape=SMALL), partial(softmax_jax, shape=SMALL)),
    Workload("layer norm, 4096 × 1024", layer_norm, layer_norm_jax, traffic=2 * BYTES),
    Workload("cross-entropy and its gradient, 4096 × 1024", cross_entropy, cross_entropy_jax, traffic=2 * BYTES),
    Workload("standardise columns, 54000 × 784", standardise, standardise_jax, traffic=3 * 4 * 54_000 * 784),
]  # fmt: skip
