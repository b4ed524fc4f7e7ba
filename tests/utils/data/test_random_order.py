"""The same seed gives PyTorch's order. Golden numbers were printed by PyTorch 2.13; `-m oracle` asks PyTorch itself."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau
from flambeau.utils.data import DataLoader, DistributedSampler, RandomSampler, WeightedRandomSampler, random_split


def orders(torch: Any) -> dict[str, Any]:
    """Everything random that data loading does, each after `manual_seed(7)`, with the next number of the generator."""
    data = torch.utils.data
    x, y = torch.arange(390.0).reshape(130, 3), torch.arange(130)
    pairs = data.TensorDataset(x, y)
    generator = torch.Generator()

    def twice(loader: Any) -> list[Any]:
        return [[batch[-1].tolist() for batch in loader] for _ in range(2)]

    def sampled(**kwargs: Any) -> list[Any]:
        return [list(data.RandomSampler(range(130), **kwargs)), list(data.RandomSampler(range(13), **kwargs))]

    cases = {
        "shuffle": lambda: twice(data.DataLoader(pairs, 16, shuffle=True)),
        "in order": lambda: twice(data.DataLoader(pairs, 64)),
        "workers": lambda: twice(data.DataLoader(pairs, 16, shuffle=True, num_workers=2)),
        "persistent": lambda: twice(data.DataLoader(pairs, 50, shuffle=True, num_workers=1, persistent_workers=True)),
        "split": lambda: twice(data.DataLoader(data.random_split(pairs, [0.9, 0.1])[1], 4, shuffle=True)),
        "generator": lambda: twice(data.DataLoader(pairs, 32, shuffle=True, generator=generator.manual_seed(3))),
        "replacement": lambda: sampled(replacement=True, num_samples=70),
        "more than all": lambda: sampled(num_samples=260),
        "fewer than all": lambda: sampled(num_samples=7),
        "subset": lambda: list(data.SubsetRandomSampler([4, 7, 9, 11])),
        "distributed": lambda: [
            list(data.DistributedSampler(range(n), 3, rank, seed=2, drop_last=n == 10))
            for n in (1, 7, 10) for rank in range(3)
        ],
        "weights": lambda: list(data.WeightedRandomSampler([0.1, 2, 3, 0.4], 9)),
        "weights without replacement": lambda: list(data.WeightedRandomSampler([0.1, 2, 3, 0.4], 3, False)),
    }  # fmt: skip
    result = {}
    for name, case in cases.items():
        torch.manual_seed(7)
        result[name] = case(), torch.randint(2**31, (1,)).item()
    return result


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore")
def test_as_pytorch() -> None:
    expected = orders(pytest.importorskip("torch"))
    assert orders(flambeau) == expected


@pytest.mark.parametrize(
    ("kwargs", "indices"),
    [({}, [1, 3, 2, 0, 0, 2]), ({"replacement": True}, [1, 3, 0, 0, 3, 1])],
    ids=["permutations", "replacement"],
)
def test_random_sampler(kwargs: dict[str, Any], indices: list[int]) -> None:
    generator = flambeau.Generator().manual_seed(1)
    assert list(RandomSampler(range(4), num_samples=6, generator=generator, **kwargs)) == indices
    assert flambeau.randint(1000, (2,), generator=generator).tolist() == [491, 341]


def test_shuffled_batches_and_the_generator_left_behind() -> None:
    flambeau.manual_seed(0)
    assert [batch.tolist() for batch in DataLoader(range(6), 4, shuffle=True)] == [[0, 4, 3, 5], [2, 1]]
    assert flambeau.randint(1000, (2,)).tolist() == [963, 379]


def test_other_draws() -> None:
    parts = random_split(range(10), [0.7, 0.3], generator=flambeau.Generator().manual_seed(42))
    assert [part.indices for part in parts] == [[2, 6, 1, 8, 4, 5, 0], [9, 3, 7]]
    flambeau.manual_seed(5)
    assert list(WeightedRandomSampler([0.1, 2, 3, 0.4], 9)) == [2, 1, 1, 1, 1, 2, 2, 2, 2]
    assert [list(DistributedSampler(range(5), 2, rank, seed=2)) for rank in (0, 1)] == [[3, 1, 2], [4, 0, 3]]
