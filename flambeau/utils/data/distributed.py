"""The sampler that gives each of several training processes its own part of a data set."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sized

from flambeau import _api as torch
from flambeau._core.lazy import lazy_module
from flambeau.utils.data._draws import permutation
from flambeau.utils.data.sampler import Sampler

processes = lazy_module("flambeau.distributed")


class DistributedSampler(Sampler[int]):
    """Every `num_replicas`-th index of a permutation that all replicas share, beginning at `rank`.

    So that all replicas get equally many, indices from the front are repeated, or with `drop_last` the tail is left
    out. Call `set_epoch(epoch)` before each epoch for another permutation. Rank and number are
    those of `torch.distributed` unless given. ValueError for a rank outside 0..num_replicas-1; RuntimeError if there is
    no process group to ask.

    Example::

        >>> [list(DistributedSampler(range(5), num_replicas=2, rank=r, shuffle=False)) for r in (0, 1)]
        [[0, 2, 4], [1, 3, 0]]
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None or rank is None:
            if not processes.is_initialized():
                raise RuntimeError(
                    "DistributedSampler has no process group to ask: give num_replicas=... and rank=..., or call "
                    "torch.distributed.init_process_group first"
                )
            num_replicas = processes.get_world_size() if num_replicas is None else num_replicas
            rank = processes.get_rank() if rank is None else rank
        if not 0 <= rank < num_replicas:
            raise ValueError(f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]")
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        self.shuffle = shuffle
        self.seed = seed
        share = len(dataset) / num_replicas
        self.num_samples = math.floor(share) if drop_last else math.ceil(share)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        n = len(self.dataset)
        if self.shuffle:
            indices = permutation(n, torch.Generator().manual_seed(self.seed + self.epoch))
        else:
            indices = list(range(n))
        repeats = math.ceil(self.total_size / n) if n else 0
        return iter((indices * repeats)[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the permutation of this epoch."""
        self.epoch = epoch
