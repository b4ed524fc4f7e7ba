"""How data loading draws from the random generators: the order and width of PyTorch's draws, in one place."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from flambeau import _api as torch
from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


def draw_seed(generator: torch.Generator | None = None) -> int:
    """A seed of 63 bits from `generator` (the default one if None).

    A loader draws one for its workers whenever an iteration starts, even without workers, and a RandomSampler draws
    one from the default generator when its first index is asked for: in step with PyTorch, the same `manual_seed`
    then gives the same batches, and leaves the generator in the same state.
    """
    return int(torch.empty((), dtype=torch.int64).random_(generator=generator).item())


def private_generator(generator: torch.Generator | None) -> torch.Generator:
    """`generator` itself, or a fresh one seeded by the default generator."""
    if generator is not None:
        return generator
    fresh = torch.Generator()
    fresh.manual_seed(draw_seed())
    return fresh


def permutation(n: int, generator: torch.Generator | None) -> list[int]:
    """The numbers 0 to n-1 in random order."""
    return torch.randperm(n, generator=generator).tolist()


def seed_worker(base_seed: int, worker_id: int) -> int:
    """Seed `random`, the tensors' default generator and NumPy in a worker process; answers the worker's seed.

    Each worker gets other numbers, and NumPy's are unrelated to those of a worker with the neighbouring seed.
    """
    seed = base_seed + worker_id
    random.seed(seed)
    torch.manual_seed(seed)
    entropy = [worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    np.random.seed(np.random.SeedSequence(entropy).generate_state(4))
    return seed
