"""A process that does the work of one framework, told by the harness over a pipe: `python worker.py FRAMEWORK THREADS`.

Each framework has a process of its own because their threads spin for a while after each piece of work and would
disturb whoever comes next.
"""

from __future__ import annotations

import gc
import os
import pickle
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

CHECKED = 3  # steps whose results are compared
PATIENCE = 20.0  # seconds after which no further step is made just for comparing or warming up
WARM = 0.2  # seconds of warming up at least


class Framework(NamedTuple):
    """`build(workload)` gives the step, `finish` waits until a step's result is there, `forget` clears caches."""

    build: Callable[[Any], Callable[[], Any]]
    finish: Callable[[Any], Any]
    forget: Callable[[], Any]


def flambeau_framework(threads: int) -> Framework:
    import flambeau
    from flambeau._engine.window import flush

    # The window runs as a whole, so what a step leaves undone is done here, whether or not it is among the results.
    synchronize = getattr(flambeau, "synchronize", flush)
    return Framework(lambda w: w.build(flambeau, as_it_is), lambda result: synchronize(), lambda: None)


def replay_framework(threads: int) -> Framework:
    """Flambeau with what is compiled by `torch.compile` where PyTorch's users do so."""
    import flambeau

    return Framework(lambda w: w.build(flambeau, flambeau.compile), lambda r: flambeau.synchronize(), lambda: None)


def eager_framework(threads: int) -> Framework:
    import torch

    torch.set_num_threads(threads)
    return Framework(lambda w: w.build(torch, as_it_is), lambda result: None, lambda: None)


def compile_framework(threads: int) -> Framework:
    import torch
    import torch._dynamo

    torch.set_num_threads(threads)
    return Framework(lambda w: w.build(torch, torch.compile), lambda result: None, torch._dynamo.reset)


def jax_framework(threads: int) -> Framework:
    import jax

    return Framework(lambda w: w.twin(jax), jax.block_until_ready, jax.clear_caches)


def as_it_is(function: Callable) -> Callable:
    return function


MAKERS = {
    "flambeau": flambeau_framework,
    "replay": replay_framework,
    "eager": eager_framework,
    "compile": compile_framework,
    "jax": jax_framework,
}


def tensors(result: Any) -> Iterator[Any]:
    if isinstance(result, tuple | list):
        for part in result:
            yield from tensors(part)
    else:
        yield result


def sample(result: Any) -> list[Any]:
    """Of each tensor: its shape and at most a thousand of its numbers."""
    import numpy as np

    found = []
    for tensor in tensors(result):
        array = np.asarray(tensor.detach().numpy() if hasattr(tensor, "detach") else tensor)
        flat = array.ravel()[:: max(1, array.size // 1000)]
        found.append((array.shape, flat[:1000].astype(np.float64)))
    return found


class Server:
    """Answers requests, each the name of a method and its arguments."""

    def __init__(self, framework: str, threads: int) -> None:
        self.framework = MAKERS[framework](threads)
        self.step: Callable[[], Any] | None = None

    def prepare(self, key: str) -> tuple[list[Any], float]:
        """Build a workload and warm it up; samples of its first results, and the seconds of a step."""
        self.drop()
        self.build(key)
        start, samples, times = time.perf_counter(), [], []
        for _ in range(CHECKED):
            result, seconds = self._timed()
            samples.append(sample(result))
            if time.perf_counter() - start > PATIENCE and len(samples) > 1:
                return samples, seconds
        warm = time.perf_counter()
        while len(times) < 5 or time.perf_counter() - warm < WARM:
            times.append(self._timed()[1])
            if time.perf_counter() - start > PATIENCE:
                break
        return samples, statistics.median(times)

    def build(self, key: str) -> None:
        from workloads import find

        self.step = self.framework.build(find(key))

    def _timed(self) -> tuple[Any, float]:
        assert self.step is not None
        start = time.perf_counter()
        result = self.step()
        self.framework.finish(result)
        return result, time.perf_counter() - start

    def block(self, steps: int) -> float:
        """Seconds of a step, the mean over so many; each is finished before the next begins."""
        step, finish = self.step, self.framework.finish
        assert step is not None
        gc.collect()
        start = time.perf_counter()
        for _ in range(steps):
            finish(step())
        return (time.perf_counter() - start) / steps

    def first(self, key: str) -> list[Any]:
        """Build a workload and make one step."""
        self.build(key)
        return sample(self._timed()[0])

    def compiling(self) -> tuple[int, float] | None:
        """How many windows Flambeau has compiled, and the seconds spent with it."""
        plans = sys.modules.get("flambeau._engine.plans")
        if plans is None or not hasattr(plans, "statistics"):
            return None
        found = plans.statistics()
        return found.plans, found.seconds

    def ceilings(self, threads: int) -> Any:
        from ceilings import ceilings

        return ceilings(threads)

    def drop(self) -> None:
        self.step = None
        self.framework.forget()
        gc.collect()


def main() -> None:
    # The harness listens at the original standard output; what libraries print goes where errors go.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    server = Server(sys.argv[1], int(sys.argv[2]))
    while True:
        try:
            name, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = True, getattr(server, name)(*arguments)
        except Exception as error:
            traceback.print_exc()
            text = str(error).strip().splitlines() or [""]
            answer = False, f"{type(error).__name__}: {text[0]}"
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main()
