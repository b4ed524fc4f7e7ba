"""Data sets: combining, splitting, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau.utils.data import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)


class Count(IterableDataset[int]):
    def __init__(self, n: int) -> None:
        self.n = n

    def __iter__(self) -> Any:
        return iter(range(self.n))

    def __len__(self) -> int:
        return self.n


class Many(Dataset[int]):
    """Fetches only many at once."""

    def __getitems__(self, indices: list[int]) -> list[int]:
        return [10 * i for i in indices]

    def __len__(self) -> int:
        return 5


def test_tensor_dataset() -> None:
    pairs = TensorDataset(torch.arange(6).reshape(3, 2), torch.tensor([5, 6, 7]))
    assert len(pairs) == 3
    assert [item.tolist() for item in pairs[-1]] == [[4, 5], 7]
    assert [item.tolist() for item in pairs[0:2]] == [[[0, 1], [2, 3]], [5, 6]]


def test_concat_and_chain() -> None:
    both = Subset(range(3), [0, 2]) + TensorDataset(torch.arange(2))
    assert [both[0], both[1], both[2][0].item(), both[-1][0].item(), len(both)] == [0, 2, 0, 1, 4]
    chain = Count(2) + Count(3)
    assert (list(chain), len(chain)) == ([0, 1, 0, 1, 2], 5)


def test_stack() -> None:
    named = StackDataset(a=Many(), b=range(5))
    assert named.__getitems__([3, 1]) == [{"a": 30, "b": 3}, {"a": 10, "b": 1}]
    assert StackDataset("ab", [0, 1])[1] == ("b", 1)


def test_subset_uses_getitems() -> None:
    assert Subset(Subset(Many(), [4, 3, 2]), [2, 0]).__getitems__([0, 1]) == [20, 40]


@pytest.mark.parametrize(
    ("lengths", "sizes"), [([0.3, 0.3, 0.4], [4, 3, 4]), ([1.0], [11]), ([5, 6], [5, 6]), ([0.55, 0.45], [7, 4])]
)
def test_split_sizes(lengths: list[float], sizes: list[int]) -> None:
    parts = random_split(range(11), lengths)
    assert [len(part) for part in parts] == sizes
    assert sorted(i for part in parts for i in part.indices) == list(range(11))


def test_an_empty_part_warns() -> None:
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        assert [len(part) for part in random_split(range(2), [0.99, 0.01])] == [2, 0]


class Shifted(Subset[int]):
    def __getitem__(self, index: Any) -> int:
        return super().__getitem__(index) + 1


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: TensorDataset(torch.zeros(2), torch.zeros(3)), AssertionError, r"Size mismatch.*\[2, 3\]"),
        (lambda: StackDataset("ab", "abc"), ValueError, "Size mismatch"),
        (lambda: StackDataset("ab", b="ab"), ValueError, "either"),
        (lambda: StackDataset(), ValueError, "At least one"),
        (lambda: ConcatDataset([]), AssertionError, "empty"),
        (lambda: ConcatDataset([Count(1)]), AssertionError, "ChainDataset"),
        (lambda: ConcatDataset(["ab"])[-3], ValueError, "index -3"),
        (lambda: ConcatDataset(["ab"])[2], IndexError, "index 2"),
        (lambda: list(ChainDataset(["ab"])), AssertionError, "IterableDataset"),
        (lambda: Shifted([1], [0]), NotImplementedError, "__getitems__"),
        (lambda: random_split(range(5), [2, 2]), ValueError, r"Sum of input lengths.*\[2, 2\]"),
        (lambda: random_split(range(5), [1.5, -0.5]), ValueError, "index 0 is not between"),
        (lambda: Dataset()[0], NotImplementedError, "__getitem__"),
    ],
)
def test_refused(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
