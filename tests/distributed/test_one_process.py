"""A world of one process, and what is wrong in any."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau import distributed as dist


@pytest.fixture
def alone():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_collectives_of_one(alone):
    x, out = torch.tensor([1.0, 2.0]), torch.empty(2)
    for op in ("SUM", "AVG", "PRODUCT", "MIN", "MAX"):
        dist.all_reduce(x, getattr(dist.ReduceOp, op))
    dist.all_gather_into_tensor(out, x)
    assert x.tolist() == out.tolist() == [1, 2]
    assert torch.utils.data.DistributedSampler(range(3), shuffle=False).num_replicas == 1


def test_a_leaf_that_requires_gradients_is_written(alone):
    weight = torch.nn.Parameter(torch.ones(2))
    dist.broadcast(weight, 0)
    assert weight.is_leaf and weight.requires_grad


def test_who_is_who(alone):
    assert (dist.get_rank(), dist.get_world_size(), dist.get_pg_count()) == (0, 1, 1)
    with pytest.raises(ValueError, match="twice"):
        dist.init_process_group()
    with pytest.raises(ValueError, match="not different ranks below 1"):
        dist.new_group([1])
    with pytest.raises(ValueError, match="not part of group"):
        dist.get_group_rank(dist.group.WORLD, 1)


def test_what_is_wrong(alone):
    x = torch.ones(2)
    with pytest.raises(ValueError, match="one output tensor for each of 1"):
        dist.all_gather([x, x], x)
    with pytest.raises(dist.DistBackendError, match="expected 3 elements"):
        dist.all_gather([torch.empty(3)], x)
    with pytest.raises(ValueError, match="complex"):
        dist.all_reduce(x.to(torch.complex64), dist.ReduceOp.MAX)
    with pytest.raises(TypeError, match="expected a reduction"):
        dist.all_reduce(x, "sum")


def test_without_a_group(monkeypatch):
    for name in ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="not been initialized"):
        dist.get_rank()
    with pytest.raises(ValueError, match="environment variable RANK expected"):
        dist.init_process_group("gloo")
    with pytest.raises(ValueError, match="backend='gloo'"):
        dist.init_process_group("nccl", store=dist.HashStore(), rank=0, world_size=1)
    with pytest.raises(RuntimeError, match="num_replicas"):
        torch.utils.data.DistributedSampler(range(3))


def test_by_the_environment(monkeypatch):
    port = dist.TCPStore("localhost", 0, is_master=True)
    port.close()
    settings = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port.port), "RANK": "0", "WORLD_SIZE": "1"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    dist.init_process_group()
    assert dist.get_world_size() == 1
    dist.destroy_process_group()
    assert not dist.is_initialized()


def test_the_debug_level(monkeypatch):
    monkeypatch.setenv("TORCH_DISTRIBUTED_DEBUG", "detail")
    dist.set_debug_level_from_env()
    assert dist.get_debug_level() is dist.DebugLevel.DETAIL
    dist.set_debug_level(dist.DebugLevel.OFF)
