"""The loader in one process: batches, the quick way for tensors, lengths, arguments."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as torch
from flambeau.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    default_collate,
)
from flambeau.utils.data.collate import default_collate_fn_map


class Stream(IterableDataset[int]):
    def __iter__(self) -> Any:
        return iter(range(5))

    def __len__(self) -> int:
        return 5


def values(loader: Any) -> list[Any]:
    return [batch.tolist() for batch in loader]


@pytest.mark.parametrize(
    ("kwargs", "batches"),
    [
        ({"batch_size": 2}, [[0, 1], [2, 3], [4]]),
        ({"batch_size": 2, "drop_last": True}, [[0, 1], [2, 3]]),
        ({"batch_size": 5}, [[0, 1, 2, 3, 4]]),
    ],
)
@pytest.mark.parametrize("dataset", [range(5), Stream()], ids=["map", "iterable"])
def test_batches(dataset: Any, kwargs: dict[str, Any], batches: list[list[int]]) -> None:
    loader = DataLoader(dataset, **kwargs)
    assert (values(loader), values(loader), len(loader)) == (batches, batches, len(batches))


def test_without_batches() -> None:
    assert list(DataLoader(Stream(), batch_size=None)) == list(DataLoader(range(5), None)) == [0, 1, 2, 3, 4]
    assert len(DataLoader(Stream(), None)) == 5


def test_own_samplers_and_collate() -> None:
    loader = DataLoader("abcde", 2, sampler=[4, 0, 2], collate_fn="".join)
    assert list(loader) == ["ea", "c"]
    batches = BatchSampler(SequentialSampler(range(4)), 3, drop_last=False)
    loader = DataLoader(range(4), batch_sampler=batches)
    assert (values(loader), loader.batch_size, len(loader)) == ([[0, 1, 2], [3]], None, 2)


PAIRS = TensorDataset(torch.arange(12.0).reshape(6, 2).t().contiguous().t(), torch.arange(6))


@pytest.mark.parametrize(
    "dataset",
    [PAIRS, Subset(PAIRS, [5, 3, 0]), Subset(Subset(PAIRS, range(5)), [2, 2, 4]), Subset(PAIRS, torch.tensor([1, 2]))],
    ids=["tensors", "subset", "nested", "tensor-indices"],
)
def test_gathering_a_batch_equals_collating_samples(dataset: Any) -> None:
    quick = list(DataLoader(dataset, 2))
    slow = list(DataLoader(dataset, 2, collate_fn=lambda samples: default_collate(samples)))
    assert [[(t.dtype, t.stride(), t.tolist()) for t in batch] for batch in quick] == [
        [(t.dtype, t.stride(), t.tolist()) for t in batch] for batch in slow
    ]


def test_gathering_is_one_selection_a_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TensorDataset, "__getitems__", None, raising=False)

    def no_samples(batch: Any, **_: Any) -> Any:
        raise AssertionError("collated sample by sample")

    monkeypatch.setitem(default_collate_fn_map, tuple, no_samples)
    assert len(list(DataLoader(PAIRS, 4))) == 2


class Doubled(TensorDataset):
    def __getitem__(self, index: Any) -> Any:
        return tuple(2 * t for t in super().__getitem__(index))


def test_overridden_methods_and_odd_indices_are_respected() -> None:
    assert next(iter(DataLoader(Doubled(torch.arange(3)), 3)))[0].tolist() == [0, 2, 4]
    assert next(iter(DataLoader(PAIRS, 2, sampler=[-1, 0])))[1].tolist() == [5, 0]
    with pytest.raises(IndexError):
        list(DataLoader(PAIRS, 2, sampler=[6]))


def test_too_long_a_stream_warns() -> None:
    class Liar(Stream):
        def __len__(self) -> int:
            return 3

    loader = DataLoader(Liar(), None)
    assert len(loader) == 3
    with pytest.warns(UserWarning, match="reported to be 3"):
        assert list(loader) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("dataset", "kwargs", "error", "message"),
    [
        (range(3), {"num_workers": -1}, ValueError, "num_workers option should be non-negative"),
        (range(3), {"timeout": -1}, ValueError, "timeout"),
        (range(3), {"prefetch_factor": 2}, ValueError, "num_workers > 0"),
        (range(3), {"prefetch_factor": -2, "num_workers": 1}, ValueError, "non-negative"),
        (range(3), {"persistent_workers": True}, ValueError, "num_workers > 0"),
        (range(3), {"multiprocessing_context": "fork"}, ValueError, "num_workers > 0"),
        (range(3), {"multiprocessing_context": "spoon", "num_workers": 1}, ValueError, "valid start method"),
        (range(3), {"multiprocessing_context": 3, "num_workers": 1}, TypeError, "valid context"),
        (range(3), {"shuffle": True, "sampler": [0]}, ValueError, "mutually exclusive with shuffle"),
        (range(3), {"batch_sampler": [[0]], "batch_size": 2}, ValueError, "mutually exclusive"),
        (range(3), {"batch_sampler": [[0]], "drop_last": True}, ValueError, "mutually exclusive"),
        (range(3), {"batch_size": None, "drop_last": True}, ValueError, "disables auto-batching"),
        (range(3), {"batch_size": 0}, ValueError, "batch_size should be a positive integer"),
        (range(3), {"batch_size": 2.0}, ValueError, "batch_size=2.0"),
        (range(3), {"drop_last": 1}, ValueError, "drop_last=1"),
        (range(0), {"shuffle": True}, ValueError, "num_samples=0"),
        (Stream(), {"shuffle": True}, ValueError, "unspecified shuffle"),
        (Stream(), {"sampler": [0]}, ValueError, "unspecified sampler"),
        (Stream(), {"batch_sampler": [[0]]}, ValueError, "unspecified batch_sampler"),
    ],
)
def test_refused(dataset: Any, kwargs: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        DataLoader(dataset, **kwargs)


def test_what_decides_the_batches_is_fixed() -> None:
    loader = DataLoader(range(3), pin_memory=True)
    loader.num_workers = 0
    with pytest.raises(ValueError, match="batch_size attribute should not be set after DataLoader"):
        loader.batch_size = 3
    assert list(SubsetRandomSampler([3])) == [3]


def test_the_iterator_takes_a_loader_that_a_library_made():
    from flambeau.utils.data import dataloader

    class Stream:
        _IterableDataset_len_called, _auto_collation, _dataset_kind = None, False, dataloader._DatasetKind.Iterable
        _index_sampler, drop_last, num_workers, worker_init_fn, generator = range(9), False, 0, None, None

        def __init__(self):
            self.dataset = self

        def collate_fn(self, sample):
            return sample + 1

        def __iter__(self):
            return iter([1, 2, 3])

    assert list(dataloader._SingleProcessDataLoaderIter(Stream())) == [2, 3, 4]
