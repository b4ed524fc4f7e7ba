"""Several processes: what each receives, against NumPy's results of the same on lists."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau import distributed as dist
from tests.distributed.worlds import free_port, join, play

SIZE = 3


def data(rank: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(rank).integers(1, 9, (SIZE, 2)).astype(dtype)


def every(dtype: str = "float32") -> np.ndarray:
    return np.stack([data(rank, dtype) for rank in range(SIZE)])


def reductions(rank: int) -> None:
    folds = {"SUM": np.add, "PRODUCT": np.multiply, "MIN": np.minimum, "MAX": np.maximum}
    bits = {"BAND": np.bitwise_and, "BOR": np.bitwise_or, "BXOR": np.bitwise_xor}
    for dtype in ("float32", "int64"):
        for name, fold in (folds | (bits if dtype == "int64" else {})).items():
            x = torch.tensor(data(rank, dtype))
            assert dist.all_reduce(x, getattr(dist.ReduceOp, name)) is None
            np.testing.assert_array_equal(x.numpy(), fold.reduce(every(dtype)))
    x = torch.tensor(data(rank))
    dist.reduce(x, 1)
    np.testing.assert_array_equal(x.numpy(), every().sum(0) if rank == 1 else data(rank))
    out = torch.empty(2)
    dist.reduce_scatter(out, list(torch.tensor(data(rank))))
    np.testing.assert_array_equal(out.numpy(), every().sum(0)[rank])
    dist.reduce_scatter_tensor(out, torch.tensor(data(rank)).reshape(-1), dist.ReduceOp.MAX)
    np.testing.assert_array_equal(out.numpy(), every().max(0)[rank])
    view = torch.zeros(2, SIZE).t()
    view.copy_(torch.tensor(data(rank)))
    dist.all_reduce(view)
    np.testing.assert_array_equal(view.numpy(), every().sum(0))


def gatherings(rank: int) -> None:
    x = torch.tensor(data(rank))
    found = [torch.empty(SIZE, 2) for _ in range(SIZE)]
    dist.all_gather(found, x)
    np.testing.assert_array_equal(torch.stack(found).numpy(), every())
    whole = torch.empty(SIZE * SIZE, 2)
    dist.all_gather_into_tensor(whole, x)
    np.testing.assert_array_equal(whole.numpy(), every().reshape(-1, 2))
    dist.gather(x, found if rank == 2 else None, dst=2)
    y = torch.empty(2)
    dist.scatter(y, list(x) if rank == 1 else None, src=1)
    np.testing.assert_array_equal(y.numpy(), data(1)[rank])
    z = torch.empty(SIZE, 2)
    dist.all_to_all(list(z), list(x))
    np.testing.assert_array_equal(z.numpy(), every()[:, rank])
    z = torch.empty(SIZE, 2)
    dist.all_to_all_single(z, x)
    np.testing.assert_array_equal(z.numpy(), every()[:, rank])
    sent = torch.full((sum(range(1, SIZE + 1)),), float(rank))
    got = torch.empty(SIZE * (rank + 1))
    dist.all_to_all_single(got, sent, [rank + 1] * SIZE, list(range(1, SIZE + 1)))
    np.testing.assert_array_equal(got.numpy(), np.repeat(np.arange(SIZE), rank + 1))
    for dtype in (torch.bool, torch.bfloat16, torch.complex64):
        b = torch.tensor(rank == 1).to(dtype)
        dist.broadcast(b, src=1)
        assert b == 1 and b.dtype is dtype and b.shape == ()
    dist.broadcast(torch.empty(0), 0)


def messages(rank: int) -> None:
    right, left = (rank + 1) % SIZE, (rank - 1) % SIZE
    x = torch.empty(2)
    ops = [dist.P2POp(dist.isend, torch.full((2,), float(rank)), right), dist.P2POp(dist.irecv, x, left)]
    for work in dist.batch_isend_irecv(ops):
        work.wait()
    assert x.tolist() == [left, left]
    if rank == 0:
        assert sorted(dist.recv(x, tag=5) for _ in range(SIZE - 1)) == list(range(1, SIZE))
        assert dist.recv(x, src=1) == 1 and x.tolist() == [1, 1]
        assert dist.recv(x, src=1) == 1 and x.tolist() == [2, 2]
    else:
        dist.send(torch.ones(2), 0, tag=5)
    if rank == 1:
        dist.send(torch.ones(2), 0)
        dist.send(torch.full((2,), 2.0), 0)
    with pytest.raises(ValueError, match="should not be the same"):
        dist.send(x, rank)


def later(rank: int) -> None:
    """Operations that have begun end in any order, and take what the tensors were when they began."""
    x, y = torch.full((2,), float(rank)), torch.full((2,), 2.0)
    first, second = dist.all_reduce(x, async_op=True), dist.all_reduce(y, async_op=True)
    assert second.wait() and first.wait() and first.is_completed() and first.is_success()
    assert x.tolist() == [3, 3] and y.tolist() == [6, 6]
    dist.barrier()
    dist.monitored_barrier()


def objects(rank: int) -> None:
    found = [None] * SIZE
    dist.all_gather_object(found, {"rank": rank})
    assert found == [{"rank": r} for r in range(SIZE)]
    dist.gather_object((rank, "x"), found if rank == 0 else None, dst=0)
    assert found[-1] == ((2, "x") if rank == 0 else {"rank": 2})
    given = ["a", torch.ones(2)] if rank == 2 else [None, None]
    dist.broadcast_object_list(given, src=2)
    assert given[0] == "a" and given[1].tolist() == [1, 1]
    got = [None]
    dist.scatter_object_list(got, [10, 20, 30] if rank == 0 else None, src=0)
    assert got == [10 * rank + 10]
    if rank == 0:
        dist.send_object_list(["to", 1], 1)
    if rank == 1:
        into = [None, None]
        assert dist.recv_object_list(into, 0) == 0 and into == ["to", 1]


def groups(rank: int) -> None:
    outer = dist.new_group([2, 0])
    x = torch.tensor(float(rank + 1))
    dist.all_reduce(x, group=outer)
    assert x.item() == (2 if rank == 1 else 4)
    if rank == 1:
        assert outer is dist.GroupMember.NON_GROUP_MEMBER and dist.get_rank(outer) == -1
    else:
        assert dist.get_process_group_ranks(outer) == [0, 2] and dist.get_world_size(outer) == 2
        assert dist.get_group_rank(outer, 2) == 1 and dist.get_global_rank(outer, 1) == 2
        dist.broadcast(x, src=2, group=outer)
    if rank != 1:  # a group needs only its members, and any may have more of them
        pair = dist.new_group([0, 2], use_local_synchronization=True)
        dist.all_reduce(x.zero_(), group=pair)
        assert x.item() == 0 and pair.group_name != outer.group_name
    own, everybody = dist.new_subgroups(1)
    assert dist.get_process_group_ranks(own) == [rank] and len(everybody) == SIZE
    part = dist.split_group(split_ranks=[[0, 1], [2]])
    assert dist.get_world_size(part) == (1 if rank == 2 else 2)
    mesh = dist.init_device_mesh("cpu", (1, SIZE), mesh_dim_names=("data", "model"))
    assert mesh.get_coordinate() == [0, rank] and mesh.get_local_rank("model") == rank
    assert mesh["data"].size() == 1 and mesh["model"].get_group().size() == SIZE
    dist.destroy_process_group(own)


def leftovers(rank: int) -> None:
    """What has been read is cleared away."""
    for _ in range(3):
        dist.all_reduce(torch.ones(2))
    dist.barrier()
    store = dist.group.WORLD.get_group_store()
    assert dist.get_backend() == "gloo" and dist.get_backend_config() == "cpu:gloo"
    store.barrier("all have read", SIZE)
    assert [key for key in store.list_keys() if key[0].isdigit()] == []


SCENES = {f.__name__: f for f in (reductions, gatherings, messages, later, objects, groups, leftovers)}


def all_scenes(rank: int, method: str) -> None:
    join(method, rank, SIZE)
    for scene in SCENES.values():
        scene(rank)
    dist.destroy_process_group()


@pytest.mark.parametrize("kind", ["file", "tcp"])
def test_several_processes(kind, tmp_path):
    method = f"file://{tmp_path}/store" if kind == "file" else f"tcp://localhost:{free_port()}"
    outcome = play(all_scenes, SIZE, method)
    assert outcome == dict.fromkeys(range(SIZE)), "\n".join(filter(None, outcome.values()))
    assert list(tmp_path.iterdir()) == []
