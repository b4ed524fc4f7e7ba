"""Which part of a tensor lies on a process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.distributed.mesh import DeviceMesh
from flambeau.distributed.tensor.placement_types import Shard


def compute_local_shape_and_global_offset(
    global_shape: Sequence[int], mesh: DeviceMesh, placements: Sequence[Any]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(the shape of this process's part, where it begins in the whole) of a tensor placed so along the mesh's
    dimensions."""
    shape, offset = list(global_shape), [0] * len(global_shape)
    coordinate = mesh.get_coordinate()
    if coordinate is None:
        return (0,), ()
    for mesh_dim, placement in enumerate(placements):
        if isinstance(placement, Shard):
            dim = placement.dim
            size, start = Shard.local_shard_size_and_offset(shape[dim], mesh.size(mesh_dim), coordinate[mesh_dim])
            shape[dim], offset[dim] = size, offset[dim] + start
    return tuple(shape), tuple(offset)
