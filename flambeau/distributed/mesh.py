"""Processes in a grid: a group for each line along each dimension."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flambeau import _api as torch
from flambeau.distributed.process_group import ProcessGroup
from flambeau.distributed.world import get_rank, get_world_size, new_group


class DeviceMesh:
    """Processes in a grid, `mesh` a tensor (or nested list) of ranks. Every process makes it; those of each line along
    each dimension get a group. ValueError for ranks that stand twice; RuntimeError for more than there are.

    Example::

        >>> import flambeau.distributed as dist
        >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        >>> mesh = dist.DeviceMesh("cpu", [[0]], mesh_dim_names=("data", "model"))
        >>> mesh.shape, mesh.get_coordinate(), mesh["data"].size()
        ((1, 1), [0, 0], 1)
        >>> dist.destroy_process_group()
    """

    def __init__(self, device_type: str, mesh: Any, *, mesh_dim_names: Sequence[str] | None = None) -> None:
        self.device_type = device_type
        self.mesh = torch.as_tensor(mesh, dtype=torch.int)
        self.mesh_dim_names = None if mesh_dim_names is None else tuple(mesh_dim_names)
        ranks = self.mesh.flatten().tolist()
        if len(ranks) > (size := get_world_size()):
            raise RuntimeError(f"Mesh should not be bigger than default world size {size}, got {len(ranks)}")
        if len(set(ranks)) < len(ranks):
            raise ValueError(f"each rank may stand in the mesh once, got {self.mesh.tolist()}")
        if self.mesh_dim_names is not None and len(self.mesh_dim_names) != self.ndim:
            raise RuntimeError(f"mesh_dim_names must be as many as dimensions, {self.ndim}, got {self.mesh_dim_names}")
        self._groups = [self._line(dim) for dim in range(self.ndim)]

    def _line(self, dim: int) -> Any:
        """This process's group along a dimension; all processes make all groups."""
        lines = self.mesh.movedim(dim, -1).reshape(-1, self.mesh.shape[dim]).tolist()
        groups = [new_group(line, sort_ranks=False) for line in lines]
        return next((g for g in groups if isinstance(g, ProcessGroup)), None)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.mesh.ndim

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of processes along each dimension."""
        return tuple(self.mesh.shape)

    def size(self, mesh_dim: int | None = None) -> int:
        """The number of processes, in all or along a dimension."""
        return self.mesh.numel() if mesh_dim is None else self.mesh.shape[mesh_dim]

    def get_rank(self) -> int:
        """This process's rank in the world."""
        return get_rank()

    def get_coordinate(self) -> list[int] | None:
        """This process's place, None if it has none."""
        places = (self.mesh == get_rank()).nonzero().tolist()
        return places[0] if places else None

    def get_local_rank(self, mesh_dim: int | str | None = None) -> int:
        """This process's place along a dimension, which need not be named if it is the only one."""
        return get_rank(self.get_group(mesh_dim))

    def get_group(self, mesh_dim: int | str | None = None) -> ProcessGroup:
        """The group of this process along a dimension, which need not be named if it is the only one."""
        if mesh_dim is None and self.ndim > 1:
            raise RuntimeError(f"the mesh has {self.ndim} dimensions: say of which one, by mesh_dim")
        return self._groups[0 if mesh_dim is None else self._dim(mesh_dim)]

    def get_all_groups(self) -> list[ProcessGroup]:
        """The groups of this process, one for each dimension."""
        return list(self._groups)

    def _dim(self, named: int | str) -> int:
        if isinstance(named, int):
            return named
        if self.mesh_dim_names is None or named not in self.mesh_dim_names:
            raise KeyError(f"the mesh has no dimension {named!r}, but {self.mesh_dim_names}")
        return self.mesh_dim_names.index(named)

    def __getitem__(self, names: str | tuple[str, ...]) -> DeviceMesh:
        """The part of the mesh with this process that extends along the named dimensions."""
        dims = [self._dim(name) for name in ((names,) if isinstance(names, str) else names)]
        here = self.get_coordinate()
        if here is None:
            raise RuntimeError("this process is not in the mesh")
        part: DeviceMesh = object.__new__(DeviceMesh)
        part.device_type = self.device_type
        kept = tuple([slice(None) if dim in dims else here[dim] for dim in range(self.ndim)])
        order = [sorted(dims).index(dim) for dim in dims]
        part.mesh = self.mesh[kept].permute(order)
        part.mesh_dim_names = None if self.mesh_dim_names is None else tuple([self.mesh_dim_names[d] for d in dims])
        part._groups = [self._groups[dim] for dim in dims]
        return part

    def __repr__(self) -> str:
        names = self.mesh_dim_names
        sides = self.shape if names is None else tuple([f"{n}={s}" for n, s in zip(names, self.shape, strict=True)])
        return f"DeviceMesh(({', '.join(map(str, sides))}), device: {self.device_type!r})"


def init_device_mesh(
    device_type: str,
    mesh_shape: Sequence[int],
    *,
    mesh_dim_names: Sequence[str] | None = None,
    backend_override: Any = None,
) -> DeviceMesh:
    """A mesh of this shape of the first processes, in the order of their ranks."""
    ranks = torch.arange(math.prod(mesh_shape), dtype=torch.int).view(tuple(mesh_shape))
    return DeviceMesh(device_type, ranks, mesh_dim_names=mesh_dim_names)
