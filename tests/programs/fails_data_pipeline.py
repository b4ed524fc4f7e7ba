"""Mistakes in data sets and loaders: lengths that lie, samples that differ, iterators used up, errors in workers."""

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, random_split


class Numbers(Dataset):
    def __init__(self, numbers):
        self.numbers = numbers

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, i):
        return self.numbers[i]


class NoLength(Dataset):
    def __getitem__(self, i):
        return i


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(5))


def attempt(name, function):
    try:
        print(f"{name}: {function()}")
    except Exception as error:
        print(f"{name}: {type(error).__name__}")


def shrinking():
    data, seen = Numbers([1, 2, 3, 4]), []
    for batch in DataLoader(data, batch_size=2):
        seen += batch.tolist()
        data.numbers = data.numbers[:3]
    return seen


def growing():
    data, seen = Numbers([1, 2]), []
    for batch in DataLoader(data):
        seen += batch.tolist()
        data.numbers = [*data.numbers, 9]
    return seen


def used_up():
    iterator = iter(DataLoader(Numbers([1, 2, 3]), batch_size=2))
    return [batch.tolist() for batch in iterator], list(iterator)


def batches(data, **options):
    return lambda: [batch for batch in DataLoader(data, **options)]


attempt("shrinking", shrinking)
attempt("growing", growing)
attempt("used up", used_up)
attempt("no length", batches(NoLength()))
attempt("length of a stream", lambda: len(DataLoader(Stream())))
attempt("stream", lambda: [b.tolist() for b in DataLoader(Stream(), batch_size=2)])
attempt("a stream and a sampler", batches(Stream(), sampler=[0, 1]))
attempt("a batch sampler and a size", batches(Numbers([1, 2]), batch_sampler=[[0, 1]], batch_size=2))
attempt("uneven tensors", batches([torch.ones(2), torch.ones(3)], batch_size=2))
attempt("uneven lists", batches([[1, 2], [3]], batch_size=2))
attempt("no tensors", batches([None, None], batch_size=2))
attempt("mixed", batches([torch.ones(2), [1.0, 2.0]], batch_size=2))
attempt("keys", batches([{"a": 1}, {"b": 1}], batch_size=2))
attempt("index of the sampler", batches(Numbers([1, 2]), sampler=[0, 7]))
attempt("collate", batches(Numbers([1, 2]), collate_fn=lambda: None))
attempt("columns", lambda: TensorDataset(torch.ones(3), torch.ones(4)))
attempt("fractions", lambda: random_split(Numbers([1, 2, 3]), [0.5, 0.6]))
attempt("split", lambda: [len(part) for part in random_split(Numbers([1, 2, 3]), [0.5, 0.5])])
attempt("subset", lambda: torch.utils.data.Subset(Numbers([1]), [3])[0])
attempt("unpacked", lambda: [x for x, y in DataLoader(TensorDataset(torch.ones(2, 3)))])
attempt("empty, shuffled", batches(Numbers([]), shuffle=True))
attempt("empty", batches(Numbers([])))
attempt("next of a loader", lambda: next(DataLoader(Numbers([1]))))
attempt("a worker's error", batches(Numbers({0: 1.0, 2: 1.0}), num_workers=1))


def endless(loader, steps):
    iterator = iter(loader)
    for _ in range(steps):
        try:
            yield next(iterator)
        except StopIteration:
            iterator = iter(loader)


print([batch.tolist() for batch in endless(DataLoader(Numbers([1, 2, 3]), batch_size=2), 5)])


def careless(loader):
    iterator = iter(loader)
    while True:
        yield next(iterator)


for batch in careless(DataLoader(Numbers([1, 2, 3]), batch_size=2)):
    print(batch.tolist())
