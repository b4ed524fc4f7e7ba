"""Fetchers: what makes a batch from the indices of a sampler, in the loader's process or in a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from flambeau import _api as torch
from flambeau.utils.data.collate import collate_tensor_fn, default_collate, default_collate_fn_map
from flambeau.utils.data.dataset import Subset, TensorDataset

Fetch = Callable[[Any], Any]


def make_fetch(
    dataset: Any, is_stream: bool, batched: bool, collate_fn: Callable[[Any], Any], drop_last: bool
) -> Fetch:
    """The function from indices to a collated batch; of a stream it raises StopIteration at the end."""
    if is_stream:
        return _from_stream(iter(dataset), batched, collate_fn, drop_last)
    if not batched:
        return lambda index: collate_fn(dataset[index])
    return lambda indices: _batch(dataset, indices, collate_fn)


def _from_stream(stream: Iterator[Any], batched: bool, collate_fn: Callable[[Any], Any], drop_last: bool) -> Fetch:
    ended = False

    def fetch(slots: Any) -> Any:
        nonlocal ended
        if not batched:
            return collate_fn(next(stream))
        samples: list[Any] = []
        while not ended and len(samples) < len(slots):
            try:
                samples.append(next(stream))
            except StopIteration:
                ended = True
        if not samples or (drop_last and len(samples) < len(slots)):
            raise StopIteration
        return collate_fn(samples)

    return fetch


def _batch(dataset: Any, indices: Any, collate_fn: Callable[[Any], Any]) -> Any:
    if collate_fn is default_collate:
        batch = _gather(dataset, indices)
        if batch is not None:
            return batch
    many = getattr(dataset, "__getitems__", None)
    return collate_fn(many(indices) if many else [dataset[index] for index in indices])


def _gather(dataset: Any, indices: Any) -> list[torch.Tensor] | None:
    """The collated batch of a TensorDataset, or a Subset of one, by one `index_select` a tensor.

    None where that might differ from collating sample by sample: overridden methods, another way of stacking, indices
    that are no plain ints or count from the end or are out of range (whose error the slow way raises).
    """
    while _fetches_like(dataset, Subset):
        indices = [dataset.indices[i] for i in indices]
        dataset = dataset.dataset
    if not _fetches_like(dataset, TensorDataset):
        return None
    if default_collate_fn_map.get(torch.Tensor) is not collate_tensor_fn:
        return None
    if set(map(type, indices)) != {int} or min(indices) < 0 or max(indices) >= len(dataset):
        return None
    rows = torch.tensor(indices)
    return [tensor.index_select(0, rows) for tensor in dataset.tensors]


def _fetches_like(dataset: Any, kind: type) -> bool:
    """Is `dataset` of this kind, without methods of its own for getting samples?"""
    if not isinstance(dataset, kind) or "__getitems__" in vars(dataset):
        return False
    names = ("__getitem__", "__getitems__")
    return all(getattr(type(dataset), name, None) is getattr(kind, name, None) for name in names)
