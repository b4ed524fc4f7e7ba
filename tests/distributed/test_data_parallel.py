"""DistributedDataParallel: several processes end where one ends that sees all batches."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import flambeau as torch
from flambeau import distributed as dist
from flambeau import nn
from flambeau.nn.parallel import DistributedDataParallel as DDP
from tests.distributed.worlds import free_port, join, play

BATCHES = np.random.default_rng(0).standard_normal((6, 8, 5)).astype("float32")


class Net(nn.Module):
    """Two layers, shared statistics, a weight used twice, and a branch that may be left out."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.norm, self.last = nn.Linear(5, 16), nn.LayerNorm(16), nn.Linear(16, 1)
        self.branch = nn.Linear(16, 1)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x, branch: bool = True):
        self.calls += 1
        h = torch.relu(self.norm(self.first(x)))
        out = self.last(h) + self.last(h * 0.5)
        return {"out": (out + self.branch(h)) if branch else out}


def loss_of(model, x, **options):
    return model(x, **options)["out"].square().mean()


def arrays(model) -> dict:
    return {name.removeprefix("module."): t.numpy().copy() for name, t in model.state_dict().items()}


def part(rank: int, batch: np.ndarray, size: int = 2):
    return torch.tensor(batch[rank::size])


def training(rank, method):
    join(method, rank, 2)
    model = DDP(Net(rank), bucket_cap_mb=0.0002)  # three buckets; the seeds differ, and rank 0's weights win
    assert len(model.reducer.buckets) >= 3
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for batch in BATCHES[:4]:
        optimizer.zero_grad()
        loss_of(model, part(rank, batch)).backward()
        optimizer.step()
    optimizer.zero_grad()
    with model.no_sync():
        loss_of(model, part(rank, BATCHES[4])).backward()
    apart = model.module.first.weight.grad.numpy().copy()
    loss_of(model, part(rank, BATCHES[5])).backward()
    optimizer.step()
    again = pickle.loads(pickle.dumps(model))
    loss_of(again, part(rank, BATCHES[0])).backward()
    dist.destroy_process_group()
    return arrays(model), apart, again.module.first.weight.grad.numpy()


def test_training_as_one_process():
    outcome = play(training, 2, f"tcp://localhost:{free_port()}")
    (ours, apart, again), (theirs, other_apart, other_again) = outcome[0], outcome[1]
    model = Net(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for batches in (*BATCHES[:4, None], BATCHES[4:]):
        optimizer.zero_grad()
        for batch in batches:
            loss_of(model, torch.tensor(batch)).backward()
        optimizer.step()
    for name, expected in arrays(model).items():
        np.testing.assert_array_equal(ours[name], theirs[name])
        np.testing.assert_allclose(ours[name], expected, rtol=1e-4, atol=1e-5, err_msg=name)
    assert not np.allclose(apart, other_apart)
    np.testing.assert_array_equal(again, other_again)


def unused(rank, method):
    join(method, rank, 2)
    model = DDP(Net(0), find_unused_parameters=True)
    frozen = model.module.last.weight
    loss_of(model, part(rank, BATCHES[0]), branch=rank == 1).backward()
    halved = model.module.branch.weight.grad.numpy().copy()  # only one process used it
    model.zero_grad()
    model.module.branch.weight.grad = torch.full((1, 16), 7.0)
    loss_of(model, part(rank, BATCHES[0]), branch=False).backward()
    assert (model.module.branch.weight.grad == 7).all() and frozen.grad is not None  # nobody used it
    strict = DDP(Net(0))
    loss_of(strict, part(rank, BATCHES[0]), branch=False).backward()
    with pytest.raises(RuntimeError, match=r"prior iteration.*\(branch.weight\)"):
        strict(part(rank, BATCHES[0]))
    dist.destroy_process_group()
    return halved


def test_unused_parameters():
    outcome = play(unused, 2, f"tcp://localhost:{free_port()}")
    model = Net(0)
    loss_of(model, part(1, BATCHES[0])).backward()
    for rank in (0, 1):
        np.testing.assert_allclose(outcome[rank], model.branch.weight.grad.numpy() / 2, rtol=1e-5, atol=1e-6)


def uneven(rank, method, mean_of_all):
    join(method, rank, 2)
    model = DDP(Net(rank))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with model.join(divide_by_initial_world_size=mean_of_all):
        for batch in BATCHES[: 2 + 2 * rank]:
            optimizer.zero_grad()
            loss_of(model, part(rank, batch)).backward()
            optimizer.step()
    found = arrays(model)
    with pytest.raises(RuntimeError, match="exhausted its inputs; of 2 processes 1 have more"):
        with model.join(throw_on_early_termination=True):
            for batch in BATCHES[: 1 + rank]:
                loss_of(model, part(rank, batch))
    dist.destroy_process_group()
    return found


@pytest.mark.parametrize("mean_of_all", [True, False])
def test_inputs_of_different_numbers(mean_of_all):
    outcome = play(uneven, 2, f"tcp://localhost:{free_port()}", mean_of_all)
    model = Net(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for number, batch in enumerate(BATCHES[:4]):
        optimizer.zero_grad()
        for rank in range(2):
            if number < 2 + 2 * rank:
                active = 2 if number < 2 or mean_of_all else 1
                (loss_of(model, part(rank, batch)) / active).backward()
        optimizer.step()
    expected = arrays(model) | {"calls": np.array([4.0])}
    for rank in (0, 1):
        for name, array in expected.items():
            np.testing.assert_allclose(outcome[rank][name], array, rtol=1e-4, atol=1e-5, err_msg=name)


def hooked(rank, method):
    join(method, rank, 2)
    model = DDP(nn.Linear(3, 1))
    seen = []

    def in_half(state, bucket):
        seen.append((state, bucket.index(), bucket.is_last(), [tuple(g.shape) for g in bucket.gradients()]))
        half = bucket.buffer().to(torch.bfloat16) / dist.get_world_size()
        future = dist.all_reduce(half, async_op=True).get_future()
        return future.then(lambda done: done.value()[0].float())

    model.register_comm_hook("state", in_half)
    model(torch.full((1, 3), float(rank))).sum().backward()
    for kind in dist.BuiltinCommHookType:
        other = DDP(nn.Linear(3, 1))
        other._register_builtin_comm_hook(kind)
        other(torch.full((1, 3), float(rank))).sum().backward()
        assert other.module.weight.grad.tolist() == [[0.5] * 3] and other.module.weight.grad.dtype is torch.float32
    dist.destroy_process_group()
    return seen, model.module.weight.grad.tolist()


def test_a_hook_on_buckets():
    outcome = play(hooked, 2, f"tcp://localhost:{free_port()}")
    assert outcome[0] == outcome[1] == ([("state", 0, True, [(1,), (1, 3)])], [[0.5, 0.5, 0.5]])


def normalised(rank, method):
    join(method, rank, 2)
    torch.manual_seed(0)
    model = DDP(nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3))))
    x = torch.tensor(BATCHES[0][:6] if rank else BATCHES[0][6:], requires_grad=True)  # of different sizes
    out = model(x)
    (out * torch.arange(3.0)).pow(3).sum().backward()
    dist.destroy_process_group()
    return out.detach().numpy(), x.grad.numpy(), model.module[0].weight.grad.numpy() * 2, arrays(model)


def test_joined_statistics():
    outcome = play(normalised, 2, f"tcp://localhost:{free_port()}")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3))
    x = torch.tensor(BATCHES[0], requires_grad=True)
    out = model(x)
    (out * torch.arange(3.0)).pow(3).sum().backward()
    close = {"rtol": 1e-3, "atol": 1e-4}
    for rank, part in ((1, slice(0, 6)), (0, slice(6, 8))):
        found, of_x, of_weight, state = outcome[rank]
        np.testing.assert_allclose(found, out.detach().numpy()[part], **close)
        np.testing.assert_allclose(of_x, x.grad.numpy()[part], **close)
        np.testing.assert_allclose(of_weight, model[0].weight.grad.numpy(), **close)
        for name, array in arrays(model).items():
            np.testing.assert_allclose(state[name], array, **close)


def different(rank, method):
    join(method, rank, 2)
    with pytest.raises(RuntimeError) as raised:
        DDP(nn.Linear(3 + rank, 1))
    dist.destroy_process_group()
    return str(raised.value)


def test_models_that_differ():
    found = play(different, 2, f"tcp://localhost:{free_port()}")[0]
    assert "the parameter weight of rank 0 is torch.float32 of shape [1, 3], and at its place rank 1 has" in found


def test_what_is_wrong():
    with pytest.raises(ValueError, match="init_process_group first"):
        DDP(nn.Linear(1, 1))
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        with pytest.raises(RuntimeError, match="not needed when a module"):
            DDP(nn.ReLU())
        with pytest.raises(ValueError, match=r"got device_ids \[0\]"):
            DDP(nn.Linear(1, 1), device_ids=[0])
        model = DDP(nn.Embedding(3, 2, sparse=True))
        with pytest.raises(NotImplementedError, match="sparse=False"):
            model(torch.tensor([1])).sum().backward()
    finally:
        dist.destroy_process_group()
