"""Data pipes."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau.utils.data import DataChunk, DataLoader, IterDataPipe, functional_datapipe
from flambeau.utils.data.datapipes.iter import IterableWrapper, Sampler
from flambeau.utils.data.datapipes.map import SequenceWrapper


def test_iterated():
    numbers = IterableWrapper(range(7))
    batches = numbers.batch(3)
    assert list(batches) == [[0, 1, 2], [3, 4, 5], [6]] and len(batches) == 3
    assert all(type(batch) is DataChunk for batch in batches)
    assert list(numbers.batch(3, drop_last=True)) == [[0, 1, 2], [3, 4, 5]]
    assert list(batches.batch(2).unbatch(2)) == list(batches.batch(2).unbatch(-1)) == list(range(7))
    assert list(numbers.concat(numbers.map(str))) == [*range(7), *map(str, range(7))]
    assert list(numbers.zip(IterableWrapper("ab"))) == [(0, "a"), (1, "b")]
    assert list(numbers.mux(IterableWrapper([10, 20]))) == [0, 10, 1, 20]
    assert list(numbers.groupby(lambda x: x % 2, group_size=2)) == [[0, 2], [1, 3], [4, 6], [5]]
    assert next(iter(batches.collate())).equal(torch.tensor([0, 1, 2]))


def test_fields():
    rows = IterableWrapper([(1, 2), (3, 4)])
    assert list(rows.map(lambda x: -x, input_col=1)) == [(1, -2), (3, -4)]
    assert list(rows.map(lambda x, y: x + y, input_col=[0, 1], output_col=-1)) == [(1, 2, 3), (3, 4, 7)]
    assert list(rows.filter(lambda x: x > 1, input_col=0)) == [(3, 4)]
    assert list(IterableWrapper([{"a": 1}]).map(str, "a", "b")) == [{"a": 1, "b": "1"}]


def test_shuffled_by_a_seed():
    pipe = IterableWrapper(range(20)).shuffle(buffer_size=8)
    first, second = list(pipe.set_seed(3)), list(pipe.set_seed(3))
    assert first == second != list(range(20)) and sorted(first) == list(range(20))
    assert list(pipe.set_shuffle(False)) == list(range(20))


def test_what_a_sampler_draws():
    pipe = Sampler(IterableWrapper("abc"))
    assert list(pipe) == [0, 1, 2] and len(pipe) == 3


def test_indexed():
    pipe = SequenceWrapper([1, 2, 3])
    assert list(pipe.map(lambda x: -x).batch(2)) == [[-1, -2], [-3]]
    assert [pipe.concat(pipe)[i] for i in range(6)] == [1, 2, 3, 1, 2, 3]
    assert pipe.zip(pipe)[2] == (3, 3)
    order = [list(SequenceWrapper(range(9)).shuffle().set_seed(seed)) for seed in (1, 1, 2)]
    assert order[0] == order[1] != order[2] and sorted(order[0]) == list(range(9))
    assert list(pipe.shuffle(indices=[2, 0]).set_shuffle(False)) == [3, 1]


def test_a_loader_takes_pipes():
    assert [b.tolist() for b in DataLoader(IterableWrapper(range(4)).map(float), batch_size=2)] == [[0, 1], [2, 3]]


def test_a_name_is_taken_once():
    with pytest.raises(Exception, match="already taken"):
        functional_datapipe("map")(type("Other", (IterDataPipe,), {}))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        IterableWrapper([1]).nothing  # noqa: B018
    with pytest.raises(ValueError, match="Boolean output is required"):
        list(IterableWrapper([1]).filter(lambda x: x))


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore")
def test_as_pytorch():
    pytest.importorskip("torch")
    from torch.utils.data.datapipes import iter as real
    from torch.utils.data.datapipes import map as real_map

    shuffled = SequenceWrapper(range(9)).shuffle().set_seed(4)
    assert list(shuffled) == list(real_map.SequenceWrapper(range(9)).shuffle().set_seed(4))
    ours, theirs = IterableWrapper(range(30)), real.IterableWrapper(range(30))
    for source in (ours, theirs):
        source.found = [
            list(source.shuffle(buffer_size=7).set_seed(5)),
            [list(b) for b in source.map(lambda x: x // 2).groupby(lambda x: x % 3, group_size=4)],
            [list(b) for b in source.filter(lambda x: x % 2 == 1).batch(4)],
        ]
    assert ours.found == theirs.found
