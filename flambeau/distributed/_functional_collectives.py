"""`torch.distributed._functional_collectives`: collective operations that return what they give, and change nothing.

They are `collectives`' with a new tensor for the result, which is ready when they return. A group is a ProcessGroup, a
mesh of one dimension, or a pair of a mesh and one of its dimensions.
"""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau.distributed import collectives
from flambeau.distributed.mesh import DeviceMesh
from flambeau.distributed.reductions import ReduceOp
from flambeau.distributed.world import get_world_size

REDUCTIONS = {
    "sum": ReduceOp.SUM, "avg": ReduceOp.AVG, "product": ReduceOp.PRODUCT, "min": ReduceOp.MIN, "max": ReduceOp.MAX,
}  # fmt: skip


class AsyncCollectiveTensor:
    """A result that is not there yet: there is none, since operations here have ended when they return."""


def _group(group: Any) -> Any:
    if isinstance(group, DeviceMesh):
        return group.get_group()
    if isinstance(group, tuple):
        mesh, dim = group
        return mesh.get_group(dim)
    return group


def wait_tensor(tensor: Any) -> Any:
    """The tensor, which is ready."""
    return tensor


def broadcast(self: Any, src: int, group: Any, tag: str = "") -> Any:
    """The tensor of process `src`."""
    made = self.clone()
    collectives.broadcast(made, src, _group(group))
    return made


def all_reduce(self: Any, reduceOp: str, group: Any, tag: str = "") -> Any:  # noqa: N803 (PyTorch's name)
    """The reduction ("sum", "avg", "product", "min", "max") of the tensors of all processes."""
    made = self.clone()
    collectives.all_reduce(made, REDUCTIONS[reduceOp.lower()], _group(group))
    return made


def all_gather_tensor(self: Any, gather_dim: int, group: Any, tag: str = "") -> Any:
    """The tensors of all processes, joined along `gather_dim`."""
    group = _group(group)
    parts = [torch.empty_like(self) for _ in range(get_world_size(group))]
    collectives.all_gather(parts, self.contiguous(), group)
    return torch.cat(parts, gather_dim)


def reduce_scatter_tensor(self: Any, reduceOp: str, scatter_dim: int, group: Any, tag: str = "") -> Any:  # noqa: N803
    """This process's part, along `scatter_dim`, of the reduction of the tensors of all processes."""
    group = _group(group)
    parts = [part.contiguous() for part in self.chunk(get_world_size(group), scatter_dim)]
    made = torch.empty_like(parts[0])
    collectives.reduce_scatter(made, parts, REDUCTIONS[reduceOp.lower()], group)
    return made


def all_to_all_single(
    self: Any, output_split_sizes: list[int] | None, input_split_sizes: list[int] | None, group: Any, tag: str = ""
) -> Any:
    """The parts, along the first dimension, that the processes have for this one; by default of equal sizes."""
    rows = self.shape[0] if output_split_sizes is None else sum(output_split_sizes)
    made = self.new_empty((rows, *self.shape[1:]))
    collectives.all_to_all_single(made, self.contiguous(), output_split_sizes, input_split_sizes, _group(group))
    return made


class _AllToAllSingle(torch.autograd.Function):
    """`all_to_all_single`, whose gradient goes back the same way."""

    @staticmethod
    def forward(ctx: Any, tensor: Any, outputs: Any, inputs: Any, group: Any) -> Any:
        ctx.way_back = inputs, outputs, group
        return all_to_all_single(tensor, outputs, inputs, group)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return all_to_all_single(grads[0], *ctx.way_back), None, None, None


def all_to_all_single_autograd(
    self: Any, output_split_sizes: list[int] | None, input_split_sizes: list[int] | None, group: Any, tag: str = ""
) -> Any:
    """`all_to_all_single` with a gradient."""
    return _AllToAllSingle.apply(self, output_split_sizes, input_split_sizes, group)
