"""Look-ups and linear maps: what they refuse."""

from __future__ import annotations

import pytest

import flambeau as torch

F = torch.nn.functional


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize(
    ("indices", "options", "message"),
    [
        ([[0, 5]], {}, "index out of range in embedding_bag: got 5, the table has 3 rows"),
        ([[0, -1]], {}, "index out of range in embedding_bag: got -1"),
        ([0, 1], {"offsets": [0, 5]}, r"offsets\[-1\] can not be greater than input's length 2"),
        ([0, 1], {"offsets": [1]}, r"offsets\[0\] has to be 0"),
        ([[0, 1]], {"padding_idx": 3}, "padding_idx must be within the number of embeddings"),
    ],
)
def test_bags_refuse_with_a_runtime_error(mode, indices, options, message):
    if "offsets" in options:
        options = {"offsets": torch.tensor(options["offsets"])}
    for _ in range(3):  # on the reference backend, and compiled
        with pytest.raises(RuntimeError, match=message) as caught:
            F.embedding_bag(torch.tensor(indices), torch.ones(3, 2), mode=mode, **options).sum().item()
        assert not isinstance(caught.value, IndexError)


def test_a_single_look_up_refuses_with_an_index_error():
    with pytest.raises(IndexError, match="index out of range in embedding"):
        F.embedding(torch.tensor([5]), torch.ones(3, 2)).sum().item()
