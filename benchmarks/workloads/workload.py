"""What a workload is, and the numbers it works on: the same ones for every framework."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

Step = Callable[[], Any]


class Workload(NamedTuple):
    """A piece of work for all frameworks.

    `build(torch, compiled)` prepares it with PyTorch's API, of whichever module it is given, and returns a function
    that does it once and returns the tensors it is about. `compiled` decorates what a user of `torch.compile` would
    compile; for the others it does nothing. `twin(jax)` does the same as a user of JAX would.
    """

    name: str
    build: Callable[[Any, Callable], Step]
    twin: Callable[[Any], Step] | None = None
    calls: int = 1  # the time shown is that of one of so many calls in a step
    flops: float = 0.0  # floating-point operations of a step, where the ceiling is that of arithmetic
    traffic: float = 0.0  # bytes that a step must read and write, where the ceiling is that of memory
    compiled: bool = True  # is there something for torch.compile?
    quick: bool = False  # one of the few of `--quick`
    tolerance: float = 1e-3  # of results, relative to the largest number


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Numbers with mean 0 and spread 1."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def integers(high: int, *shape: int, seed: int = 0) -> np.ndarray:
    """Whole numbers below `high`."""
    return np.random.default_rng(seed).integers(0, high, shape)


def initial(name: str, shape: Iterable[int]) -> np.ndarray:
    """The first value of a parameter, which depends on its name alone: a twin has it without asking the model."""
    shape = tuple(shape)
    if len(shape) == 1:
        return np.full(shape, float(name.endswith("weight")), np.float32)
    return normal(*shape, seed=zlib.crc32(name.encode())) / np.float32(np.prod(shape[1:]) ** 0.5)


def initialised(torch: Any, model: Any) -> Any:
    """The model, its parameters set to their first values."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.tensor(initial(name, parameter.shape)))
    return model


def training(compiled: Callable, optimizer: Any, loss_of: Callable, batches: Iterable[tuple]) -> Step:
    """The training loop that everybody writes, a step at a time. The optimizer is not compiled, as is usual."""
    loss_of = compiled(loss_of)
    batches = iter(batches)

    def step() -> Any:
        loss = loss_of(*next(batches))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step
