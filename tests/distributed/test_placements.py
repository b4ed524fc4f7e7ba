"""Placements of tensors on processes, and that none can be placed."""

import pytest

from flambeau.distributed import tensor
from flambeau.distributed.tensor import Partial, Replicate, Shard
from flambeau.distributed.tensor._utils import compute_local_shape_and_global_offset


@pytest.mark.parametrize("size", [0, 1, 3, 7, 8])
@pytest.mark.parametrize("count", [1, 3, 4])
def test_parts_cover_the_whole(size, count):
    parts = [Shard.local_shard_size_and_offset(size, count, rank) for rank in range(count)]
    covered = [i for n, start in parts for i in range(start, start + n)]
    assert covered == list(range(size))


def test_kinds():
    assert Shard(1) == Shard(1) != Shard(0) and Shard(1).is_shard(1) and not Shard(1).is_shard(0)
    assert Replicate().is_replicate() and Partial("max").is_partial("max") and not Partial().is_partial("max")


def test_the_part_of_a_process():
    class Mesh:
        def get_coordinate(self):
            return [1, 2]

        def size(self, dim):
            return (2, 4)[dim]

    found = compute_local_shape_and_global_offset((10, 6), Mesh(), [Shard(1), Shard(0)])
    assert found == ((3, 3), (6, 3))


def test_no_tensor_is_placed():
    assert not isinstance(1, tensor.DTensor)
    for make in (tensor.DTensor, tensor.distribute_tensor):
        with pytest.raises(NotImplementedError, match="a tensor lies in one process(.|\n)*hint"):
            make()
