"""Collective operations on tensors, and messages from one process to another.

Every process of the group calls a collective, in the same order, with tensors of the same shapes and dtypes. With
`async_op=True` it returns a `Work`, whose `wait` ends it; otherwise None when it has ended. A process that is not in
the group does nothing. Ranks `src` and `dst` count in the world, `group_src` and `group_dst` in the group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from flambeau.distributed.process_group import ProcessGroup, Work, all_of
from flambeau.distributed.reductions import (
    UNSET,
    AllreduceOptions,
    BarrierOptions,
    BroadcastOptions,
    GatherOptions,
    RedOpType,
    ReduceOptions,
    ScatterOptions,
)
from flambeau.distributed.world import get_group_rank, of, world

SUM = RedOpType.SUM


def rank_in(group: ProcessGroup, rank: int | None, group_rank: int | None, default: int | None = 0) -> Any:
    """A rank in the group, given as that or as a rank in the world; ValueError for both."""
    if rank is not None and group_rank is not None:
        raise ValueError("Can't specify both a global rank and a group rank")
    if group_rank is not None:
        return group_rank
    return default if rank is None else get_group_rank(group, rank)


def expect_at(is_root: bool, given: bool, name: str, which: str) -> None:
    """ValueError unless an argument is given where the operation has its destination or source, and nowhere else."""
    if given != is_root:
        raise ValueError(f"Argument ``{name}`` must be specified on {which} rank, and on no other.")


def _ended(work: Work, async_op: bool) -> Work | None:
    if async_op:
        return work
    work.wait()
    return None


def broadcast(
    tensor: Any,
    src: int | None = None,
    group: Any = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """Write the tensor of `src` into everybody's."""
    found = of(group)
    if found is None:
        return None
    return _ended(found.broadcast([tensor], BroadcastOptions(rootRank=rank_in(found, src, group_src))), async_op)


def all_reduce(tensor: Any, op: Any = SUM, group: Any = None, async_op: bool = False) -> Work | None:
    """Write the reduction of all tensors into everybody's.

    Example::

        >>> import flambeau as torch, flambeau.distributed as dist
        >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        >>> x = torch.tensor([1., 2.])
        >>> dist.all_reduce(x, dist.ReduceOp.SUM)
        >>> x
        tensor([1., 2.])
        >>> dist.destroy_process_group()
    """
    found = of(group)
    return None if found is None else _ended(found.allreduce([tensor], AllreduceOptions(reduceOp=op)), async_op)


def all_reduce_coalesced(tensors: Any, op: Any = SUM, group: Any = None, async_op: bool = False) -> Work | None:
    """`all_reduce` of each of several tensors."""
    found = of(group)
    if found is None:
        return None
    return _ended(found.allreduce_coalesced(list(tensors), AllreduceOptions(reduceOp=op)), async_op)


def reduce(
    tensor: Any,
    dst: int | None = None,
    op: Any = SUM,
    group: Any = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """Write the reduction of all tensors into that of `dst`."""
    found = of(group)
    if found is None:
        return None
    options = ReduceOptions(reduceOp=op, rootRank=rank_in(found, dst, group_dst))
    return _ended(found.reduce([tensor], options), async_op)


def all_gather(tensor_list: Any, tensor: Any, group: Any = None, async_op: bool = False) -> Work | None:
    """Write all tensors into everybody's list."""
    found = of(group)
    return None if found is None else _ended(found.allgather([tensor_list], [tensor]), async_op)


def all_gather_coalesced(
    output_tensor_lists: Any, input_tensor_list: Any, group: Any = None, async_op: bool = False
) -> Work | None:
    """`all_gather` of each of several tensors; of each a list of outputs."""
    found = of(group)
    if found is None:
        return None
    pairs = zip(output_tensor_lists, input_tensor_list, strict=True)
    return _ended(all_of([found.allgather([outputs], [tensor]) for outputs, tensor in pairs]), async_op)


def _parts(whole: Any, tensor: Any, size: int) -> list[Any]:
    """A tensor in `size` parts like `tensor`, joined or stacked along the first dimension."""
    if whole.numel() != tensor.numel() * size:
        raise ValueError(
            f"expected {size} times as many elements as in a tensor of shape {tuple(tensor.shape)}, got shape "
            f"{tuple(whole.shape)}"
        )
    return list(whole.detach().view(size, *tensor.shape).unbind())


def all_gather_into_tensor(
    output_tensor: Any, input_tensor: Any, group: Any = None, async_op: bool = False
) -> Work | None:
    """Write all tensors into everybody's output, joined or stacked, as its shape says."""
    found = of(group)
    if found is None:
        return None
    return _ended(found.allgather([_parts(output_tensor, input_tensor, found.size())], [input_tensor]), async_op)


def gather(
    tensor: Any,
    gather_list: Any = None,
    dst: int | None = None,
    group: Any = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """Write all tensors into the list of `dst`; the others give no list."""
    found = of(group)
    if found is None:
        return None
    root = rank_in(found, dst, group_dst)
    expect_at(found.rank() == root, bool(gather_list), "gather_list", "destination")
    outputs = [gather_list] if gather_list else []
    return _ended(found.gather(outputs, [tensor], GatherOptions(rootRank=root)), async_op)


def scatter(
    tensor: Any,
    scatter_list: Any = None,
    src: int | None = None,
    group: Any = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """Write into each tensor one of the list of `src`; the others give no list."""
    found = of(group)
    if found is None:
        return None
    root = rank_in(found, src, group_src)
    expect_at(found.rank() == root, bool(scatter_list), "scatter_list", "source")
    inputs = [scatter_list] if scatter_list else []
    return _ended(found.scatter([tensor], inputs, ScatterOptions(rootRank=root)), async_op)


def reduce_scatter(
    output: Any, input_list: Any, op: Any = SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """Write into each output the reduction of all tensors that stand at its rank in the lists."""
    found = of(group)
    if found is None:
        return None
    return _ended(found.reduce_scatter([output], [input_list], AllreduceOptions(reduceOp=op)), async_op)


def reduce_scatter_tensor(
    output: Any, input: Any, op: Any = SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """`reduce_scatter` of tensors that are joined or stacked in one."""
    found = of(group)
    if found is None:
        return None
    return reduce_scatter(output, _parts(input, output, found.size()), op, group, async_op)


all_gather_single, reduce_scatter_single = all_gather_into_tensor, reduce_scatter_tensor


def all_to_all(
    output_tensor_list: Any, input_tensor_list: Any, group: Any = None, async_op: bool = False
) -> Work | None:
    """Write into the outputs, by rank, what stands at this rank in everybody's list of inputs."""
    found = of(group)
    return None if found is None else _ended(found.alltoall(output_tensor_list, input_tensor_list), async_op)


def all_to_all_single(
    output: Any,
    input: Any,
    output_split_sizes: Sequence[int] | None = None,
    input_split_sizes: Sequence[int] | None = None,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """`all_to_all` of tensors that are joined in one along the first dimension, in equal parts unless sizes are
    given."""
    found = of(group)
    if found is None:
        return None

    def split(tensor: Any, sizes: Sequence[int] | None) -> list[Any]:
        if sizes:
            return list(tensor.detach().split(list(sizes)))
        if tensor.shape[0] % found.size():
            raise RuntimeError("Tensor's dim 0 does not divide equally across group size")
        return list(tensor.detach().view(found.size(), -1, *tensor.shape[1:]).unbind())

    return _ended(found.alltoall(split(output, output_split_sizes), split(input, input_split_sizes)), async_op)


def barrier(
    group: Any = None, async_op: bool = False, device_ids: Any = None, timeout: timedelta | None = None
) -> Work | None:
    """Come back when all processes have come here, which they must within `timeout`, or else the group's."""
    found = of(group)
    if found is None:
        return None
    return _ended(found.barrier(BarrierOptions(timeout=UNSET if timeout is None else timeout)), async_op)


def monitored_barrier(group: Any = None, timeout: timedelta | None = None, wait_all_ranks: bool = False) -> None:
    """`barrier`, whose error tells who did not come in time; as that of any operation here does."""
    barrier(group, timeout=timeout)


# ---------------------------------------------------------------------------------------------- messages


def isend(
    tensor: Any, dst: int | None = None, group: Any = None, tag: int = 0, group_dst: int | None = None
) -> Work | None:
    """Send a tensor to one process. It may be changed as soon as the call returns."""
    found = of(group)
    return None if found is None else found.send([tensor], rank_in(found, dst, group_dst, None), tag)


def send(tensor: Any, dst: int | None = None, group: Any = None, tag: int = 0, group_dst: int | None = None) -> None:
    """Send a tensor to one process."""
    work = isend(tensor, dst, group, tag, group_dst)
    if work is not None:
        work.wait()


def irecv(
    tensor: Any, src: int | None = None, group: Any = None, tag: int = 0, group_src: int | None = None
) -> Work | None:
    """Begin to receive a tensor, from whoever sends first if no rank is given; `Work.wait` ends it."""
    found = of(group)
    if found is None:
        return None
    root = rank_in(found, src, group_src, None)
    return found.recv_anysource([tensor], tag) if root is None else found.recv([tensor], root, tag)


def recv(tensor: Any, src: int | None = None, group: Any = None, tag: int = 0, group_src: int | None = None) -> int:
    """Receive a tensor, from whoever sends first if no rank is given; the sender's rank in the world, -1 outside the
    group."""
    found = of(group)
    work = irecv(tensor, src, group, tag, group_src)
    if work is None or found is None:
        return -1
    work.wait()
    return found.ranks[work.source_rank()]


class P2POp:
    """A message for `batch_isend_irecv`: `isend` or `irecv`, the tensor, and the other's rank."""

    def __init__(
        self,
        op: Callable[..., Any],
        tensor: Any,
        peer: int | None = None,
        group: Any = None,
        tag: int = 0,
        group_peer: int | None = None,
    ) -> None:
        if op not in (isend, irecv):
            raise ValueError("Invalid ``op``. Expected ``op`` to be of type ``torch.distributed.isend`` or "
                             "``torch.distributed.irecv``.")  # fmt: skip
        self.op = op
        self.tensor = tensor
        self.group = world() if group is None else group
        self.group_peer = rank_in(self.group, peer, group_peer, None)
        self.peer = self.group.ranks[self.group_peer]
        self.tag = tag


def batch_isend_irecv(p2p_op_list: list[P2POp]) -> list[Work]:
    """Begin several messages."""
    if not p2p_op_list or not all(isinstance(op, P2POp) for op in p2p_op_list):
        raise ValueError("batch_isend_irecv expects a list of P2POp that is not empty")
    begun = [op.op(op.tensor, op.peer, op.group, op.tag) for op in p2p_op_list]
    return [work for work in begun if work is not None]
