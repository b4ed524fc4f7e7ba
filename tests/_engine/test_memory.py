"""Blocks of memory that come and go."""

from __future__ import annotations

import os

import numpy as np
import pytest

import flambeau as torch
from flambeau._core.config import config
from flambeau._engine import window
from flambeau._engine.memory import KEPT, SLAB, Allocator, size_class


def test_size_classes_waste_at_most_a_quarter():
    for nbytes in (*range(1, 3000, 7), 10_000, 123_457, 1 << 20, (1 << 20) + 1):
        capacity = size_class(nbytes)
        assert nbytes <= capacity <= max(128, nbytes * 1.26 + 64) and capacity % 64 == 0


@pytest.mark.parametrize("nbytes", [100, 1 << 20])
def test_freed_blocks_are_used_again(nbytes):
    from flambeau._engine.memory import allocator

    first = allocator.allocate(nbytes, np.dtype(np.float32))
    address = first.address
    del first
    again = allocator.allocate(nbytes - 4, np.dtype(np.float32))
    assert again.address == address and again.address % 64 == 0


def test_an_array_keeps_its_block_alive():
    from flambeau._engine.memory import allocator

    block = allocator.allocate(400, np.dtype(np.float32))
    array = block.array()
    array[:] = 7
    address = block.address
    del block
    other = allocator.allocate(400, np.dtype(np.float32))
    other.array()[:] = 0
    assert other.address != address and (array == 7).all()


def test_large_blocks_go_back_to_the_system():
    a = Allocator()
    held = [a._fresh(size_class(SLAB)) for _ in range(KEPT // SLAB + 10)]
    for address in held:
        a.live += size_class(SLAB)
        a.release(address, size_class(SLAB))
    assert a.waiting <= KEPT + 2 * size_class(SLAB)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_has_memory_of_its_own():
    from flambeau._engine.memory import allocator

    block = allocator.allocate(SLAB, np.dtype(np.uint8))
    array = block.array()
    array[0] = 1
    child = os.fork()
    if child == 0:
        array[0] = 2
        os._exit(0)
    os.waitpid(child, 0)
    assert array[0] == 1


def test_what_does_not_outlive_the_window_stays_where_numpy_made_it(monkeypatch):
    monkeypatch.setattr(config, "compile", "auto")
    settled = []
    monkeypatch.setattr(window, "settle", lambda value: settled.append(value.nbytes))
    x = torch.ones(100, 100)
    torch.synchronize()
    settled.clear()
    y = (x.cumsum(0) * 2).sin()
    y += 1
    torch.synchronize()
    assert settled == [x.nbytes]


def test_large_values_lie_aligned_whoever_made_them(monkeypatch):
    monkeypatch.setattr(config, "compile", "never")
    made = [torch.tensor(np.ones(5000 + n, np.float32)) for n in range(8)]
    made += [t * 2 for t in made] + [torch.ones(5000).uniform_()]
    torch.synchronize()
    assert all(t.data_ptr() % 64 == 0 for t in made)
    assert all(t.mean().item() == 1 for t in made[:8])


def test_memory_that_numpy_sees_stays_where_it_is():
    array = np.ones(5000, np.float32)
    t = torch.from_numpy(array)
    t.mul_(3)
    assert t.data_ptr() == array.ctypes.data and array[0] == 3
