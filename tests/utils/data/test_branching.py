"""Data pipes that branch."""

from __future__ import annotations

import pytest

from flambeau.utils.data.datapipes.iter import IterableWrapper


def test_branches_read_one_pass():
    passes = []

    class Source(IterableWrapper):
        def __iter__(self):
            passes.append(0)
            return super().__iter__()

    a, b = Source(range(4)).fork(2)
    assert list(zip(a, b, strict=True)) == [(i, i) for i in range(4)] and len(passes) == 1 and len(a) == 4
    assert list(a) == list(b) == list(range(4)) and len(passes) == 2
    assert list(a) == list(a) == list(range(4)) and len(passes) == 4


def test_an_iterator_of_an_earlier_pass_is_invalid():
    a, b = IterableWrapper(range(4)).fork(2)
    first, other = iter(a), iter(b)
    assert next(first) == next(other) == 0
    again = iter(a)
    assert next(again) == 0
    with pytest.raises(RuntimeError, match="This iterator has been invalidated"):
        next(other)


def test_who_is_behind_is_waited_for_so_long():
    a, b = IterableWrapper(range(9)).fork(2, buffer_size=3)
    reading = iter(a)
    assert [next(reading) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(BufferError, match="buffer size 3 is insufficient"):
        next(reading)
    even, odd = IterableWrapper(range(9)).demux(2, lambda n: n % 2, buffer_size=1)
    with pytest.raises(BufferError, match="Demultiplexer"):
        list(even)
    with pytest.warns(UserWarning, match="Unlimited buffer size is set for `fork`"):
        IterableWrapper(range(9)).fork(2, buffer_size=-1)


def test_copies():
    a, b = IterableWrapper([[1]]).fork(2, copy="deep")
    assert next(iter(a)) is not next(iter(b))
    a, b = IterableWrapper([[1]]).fork(2)
    assert next(iter(a)) is next(iter(b))
    with pytest.raises(ValueError, match="Unknown copy method `some`"):
        IterableWrapper([]).fork(2, copy="some")
    with pytest.raises(ValueError, match="`num_instances` larger than 0, but 0"):
        IterableWrapper([]).fork(0)


def test_items_shared_out():
    kinds = {0: 0, 1: 1, 2: None}
    a, b = IterableWrapper(range(6)).demux(2, lambda n: kinds[n % 3], drop_none=True)
    assert (list(a), list(b)) == ([0, 3], [1, 4])
    a, _ = IterableWrapper(range(6)).demux(2, lambda n: n)
    with pytest.raises(ValueError, match="should be between 0 and 1. 2 is returned"):
        list(a)
    with pytest.raises(TypeError, match="valid length"):
        len(a)
