"""DistributedDataParallel as PyTorch's tutorial has it: two processes, a sampler, a checkpoint, gradients added up."""

import os
import socket
import tempfile

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn as nn
import torch.optim as optim
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler


def setup(rank, world_size):
    dist.init_process_group("gloo", rank=rank, world_size=world_size)


def cleanup():
    dist.destroy_process_group()


class ToyModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.net1 = nn.Linear(10, 10)
        self.norm = nn.BatchNorm1d(10)
        self.relu = nn.ReLU()
        self.net2 = nn.Linear(10, 5)

    def forward(self, x):
        return self.net2(self.relu(self.norm(self.net1(x))))


def data():
    torch.manual_seed(1)
    x = torch.randn(64, 10)
    return TensorDataset(x, x[:, :5] * 2 + 1)


def train(rank, world_size, folder):
    setup(rank, world_size)
    torch.manual_seed(0)
    model = ToyModel()
    ddp_model = DDP(model)
    loss_fn = nn.MSELoss()
    optimizer = optim.SGD(ddp_model.parameters(), lr=0.05, momentum=0.9)
    sampler = DistributedSampler(data(), num_replicas=world_size, rank=rank, seed=3)
    loader = DataLoader(data(), batch_size=8, sampler=sampler)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        total = torch.zeros(1)
        for x, y in loader:
            optimizer.zero_grad()
            loss = loss_fn(ddp_model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.detach()
        dist.all_reduce(total)
        if rank == 0:
            print(f"epoch {epoch}: loss {total.item() / world_size / len(loader):.5f}")

    path = os.path.join(folder, "model.checkpoint")
    if rank == 0:
        torch.save(ddp_model.state_dict(), path)
    dist.barrier()
    ddp_model.load_state_dict(torch.load(path))

    optimizer.zero_grad()
    batches = list(loader)
    with ddp_model.no_sync():
        for x, y in batches[:-1]:
            loss_fn(ddp_model(x), y).backward()
    loss_fn(ddp_model(batches[-1][0]), batches[-1][1]).backward()
    norms = [p.grad.norm() for p in ddp_model.parameters()]
    gathered = [torch.zeros(len(norms)) for _ in range(world_size)]
    dist.all_gather(gathered, torch.stack(norms))
    if rank == 0:
        print("keys:", list(ddp_model.state_dict()))
        print("norms of accumulated gradients:", [round(n.item(), 4) for n in norms])
        print("the same everywhere:", all(torch.equal(gathered[0], g) for g in gathered))
        print("running mean:", [round(v, 4) for v in model.norm.running_mean.tolist()])
    cleanup()


def fail(rank, world_size):
    if rank == 1:
        raise ValueError("something is wrong")


if __name__ == "__main__":
    with socket.socket() as s:
        s.bind(("localhost", 0))
        os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = "localhost", str(s.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(train, args=(2, folder), nprocs=2, join=True)
    try:
        mp.spawn(fail, args=(2,), nprocs=2)
    except mp.ProcessRaisedException as error:
        print(error.error_index, str(error).strip().splitlines()[0], "...", str(error).strip().splitlines()[-1])
