"""What it costs to call an operation: recording it in Flambeau, running it eagerly in PyTorch.

    python benchmarks/record.py

The operation is `a + b` on 10 floats, so small that nothing but the cost of the call is left. Flambeau's call records
an instruction, which runs later; that later part is shown in a column of its own. All contenders take turns, round
by round, and the median round counts, so that a disturbance hits all of them and no verdict.
"""

from __future__ import annotations

import gc
import importlib.util
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import flambeau
from flambeau._core.config import config
from flambeau._engine.window import flush

ROUNDS = 300
SIZE = 10


class Contender(NamedTuple):
    """Calls `a + b`; `finish` runs what the calls left undone."""

    name: str
    a: Any
    b: Any
    finish: Callable[[], None]


class Cost(NamedTuple):
    """Median microseconds an operation: of the call, and of call and run together."""

    call: float
    total: float


def contenders() -> list[Contender]:
    libraries: list[tuple[str, Any, Callable[[], None]]] = [("flambeau", flambeau, flush)]
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)
        libraries.append(("torch", torch, lambda: None))
    return [
        Contender(
            f"{name}, {'with' if gradient else 'without'} gradient",
            library.ones(SIZE, requires_grad=gradient),
            library.ones(SIZE),
            finish,
        )
        for gradient in (False, True)
        for name, library, finish in libraries
    ]


def one_round(contender: Contender, calls: int) -> tuple[float, float]:
    """Seconds for `calls` calls, and for them and their run."""
    a, b = contender.a, contender.b
    repeat = range(calls)
    start = time.perf_counter()
    for _ in repeat:
        a + b  # noqa: B018 (what it costs is the point)
    called = time.perf_counter()
    contender.finish()
    return called - start, time.perf_counter() - start


def measure(rounds: int = ROUNDS) -> dict[str, Cost]:
    """The median cost for each contender, in microseconds."""
    calls = max(1, min(250, config.window_instructions - 1))  # the window must not fill up while the clock runs
    everyone = contenders()
    times: dict[str, list[tuple[float, float]]] = {contender.name: [] for contender in everyone}
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds + 10):
            for contender in everyone:
                found = one_round(contender, calls)
                if number >= 10:  # the first rounds fill caches
                    times[contender.name].append(found)
    finally:
        gc.enable()
    scale = 1e6 / calls
    return {
        name: Cost(*(statistics.median(column) * scale for column in zip(*rows, strict=True)))
        for name, rows in times.items()
    }


def table(costs: dict[str, Cost]) -> str:
    lines = ["| `a + b`, 10 floats | the call | call and run |", "|---|---|---|"]
    lines += [f"| {name} | {cost.call:.2f} µs | {cost.total:.2f} µs |" for name, cost in costs.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(measure()))
