"""Collective operations that return their results, in several processes, against NumPy."""

from __future__ import annotations

import numpy as np

import flambeau as torch
from flambeau import distributed as dist
from flambeau.distributed import _functional_collectives as functional
from tests.distributed.worlds import free_port, join, play

SIZE = 2


def data(rank: int) -> np.ndarray:
    return np.random.default_rng(rank).integers(1, 9, (SIZE, 2 * SIZE)).astype("float32")


def scene(rank: int, port: int) -> bool:
    join(f"tcp://localhost:{port}", rank, SIZE)
    every = np.stack([data(r) for r in range(SIZE)])
    x, group = torch.tensor(data(rank)), dist.group.WORLD
    np.testing.assert_array_equal(functional.all_reduce(x, "sum", group).numpy(), every.sum(0))
    np.testing.assert_array_equal(functional.all_reduce(x, "max", group).numpy(), every.max(0))
    np.testing.assert_array_equal(functional.broadcast(x, 1, group).numpy(), every[1])
    np.testing.assert_array_equal(functional.all_gather_tensor(x, 1, group).numpy(), np.concatenate(list(every), 1))
    scattered = functional.reduce_scatter_tensor(x, "sum", 1, group)
    np.testing.assert_array_equal(scattered.numpy(), every.sum(0)[:, 2 * rank : 2 * rank + 2])
    exchanged = functional.all_to_all_single(x, None, None, group)
    np.testing.assert_array_equal(exchanged.numpy(), every[:, rank])
    np.testing.assert_array_equal(x.numpy(), data(rank))  # nothing was changed
    y = x.clone().requires_grad_()
    weights = torch.tensor([[1.0], [10.0]]) if rank == 0 else torch.tensor([[2.0], [20.0]])
    (functional.all_to_all_single_autograd(y, None, None, group) * weights).sum().backward()
    assert y.grad[:, 0].tolist() == ([1, 2] if rank == 0 else [10, 20])
    dist.destroy_process_group()
    return True


def test_results_and_gradients():
    assert play(scene, SIZE, free_port()) == {0: True, 1: True}
