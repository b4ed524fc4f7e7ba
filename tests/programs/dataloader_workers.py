"""DataLoader with worker processes: their seeds, iterable shards, samplers, collate functions, persistent workers."""

import torch
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    WeightedRandomSampler,
    get_worker_info,
    random_split,
)


class Noisy(Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return {"x": torch.full((2,), float(i)) + torch.rand(2), "index": i, "worker": get_worker_info().id}


class Stream(IterableDataset):
    def __init__(self, start, end):
        self.start, self.end = start, end

    def __iter__(self):
        info = get_worker_info()
        if info is None:
            return iter(range(self.start, self.end))
        per_worker = (self.end - self.start + info.num_workers - 1) // info.num_workers
        begin = self.start + info.id * per_worker
        return iter(range(begin, min(begin + per_worker, self.end)))


class Ragged(Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, i):
        return torch.arange(i % 4 + 1), i


def pad(batch):
    lengths = torch.tensor([len(x) for x, _ in batch])
    out = torch.zeros(len(batch), int(lengths.max()), dtype=torch.long)
    for row, (x, _) in enumerate(batch):
        out[row, : len(x)] = x
    return out, lengths, torch.tensor([y for _, y in batch])


def main():
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(5)
    options = dict(num_workers=2, generator=generator, persistent_workers=True)
    loader = DataLoader(Noisy(10), batch_size=4, shuffle=True, **options)
    for epoch in range(2):
        for batch in loader:
            print(epoch, batch["index"].tolist(), batch["worker"].tolist(), f"{batch['x'].sum().item():.4f}")
    print([batch.tolist() for batch in DataLoader(Stream(3, 12), batch_size=2, num_workers=2)])
    print([batch.tolist() for batch in DataLoader(Stream(3, 8), batch_size=2)])
    for x, lengths, y in DataLoader(Ragged(), batch_size=5, collate_fn=pad, num_workers=2):
        print(tuple(x.shape), lengths.tolist(), y.tolist())
    sampler = WeightedRandomSampler([0.1, 0.9, 0.4, 4.0], num_samples=8, replacement=True, generator=generator)
    print(list(sampler))
    print(list(BatchSampler(range(7), batch_size=3, drop_last=True)))
    parts = random_split(range(10), [0.5, 0.3, 0.2], generator=torch.Generator().manual_seed(42))
    print([list(part) for part in parts], len(ConcatDataset([parts[0], Subset(range(5), [1, 3])])))
    worker_error = DataLoader([1, 2, "three", 4.0], batch_size=2, num_workers=1)
    try:
        list(worker_error)
    except TypeError as error:
        print("DataLoader worker process 0" in str(error), "default_collate" in str(error))


if __name__ == "__main__":
    main()
