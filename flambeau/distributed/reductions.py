"""How several numbers become one (`ReduceOp`), and options of the methods of process groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum
from functools import reduce
from typing import Any

from flambeau import _api as torch


class RedOpType(IntEnum):
    """The kinds of reductions."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7
    PREMUL_SUM = 8


_TWO: dict[RedOpType, Callable[[Any, Any], Any]] = {
    RedOpType.SUM: torch.add,
    RedOpType.AVG: torch.add,
    RedOpType.PRODUCT: torch.mul,
    RedOpType.MIN: torch.minimum,
    RedOpType.MAX: torch.maximum,
    RedOpType.BAND: torch.bitwise_and,
    RedOpType.BOR: torch.bitwise_or,
    RedOpType.BXOR: torch.bitwise_xor,
}


class ReduceOp:
    """A reduction: `ReduceOp.SUM`, `AVG`, `PRODUCT`, `MIN`, `MAX`, and of bits `BAND`, `BOR`, `BXOR`.

    Example::

        >>> ReduceOp.SUM == ReduceOp(ReduceOp.SUM)
        True
    """

    RedOpType = RedOpType
    SUM, AVG, PRODUCT, MIN, MAX = RedOpType.SUM, RedOpType.AVG, RedOpType.PRODUCT, RedOpType.MIN, RedOpType.MAX
    BAND, BOR, BXOR = RedOpType.BAND, RedOpType.BOR, RedOpType.BXOR

    def __init__(self, op: Any) -> None:
        self.op = RedOpType(op)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReduceOp | RedOpType) and self.op == kind_of(other)

    def __hash__(self) -> int:
        return hash(self.op)


def kind_of(op: Any) -> RedOpType:
    """The kind of a reduction; TypeError for what is none."""
    if isinstance(op, ReduceOp):
        return op.op
    if isinstance(op, RedOpType):
        return op
    raise TypeError(f"expected a reduction such as ReduceOp.SUM, got {type(op).__name__}")


def combined(op: Any, parts: list[Any]) -> Any:
    """The reduction of tensors of one shape, in their order, so that all processes get the same bits."""
    kind = kind_of(op)
    if kind not in _TWO:
        raise RuntimeError(f"Cannot use ReduceOp.{kind.name} with Gloo")
    if parts[0].is_complex() and not supports_complex(op):
        raise ValueError(f"all_reduce does not support {kind.name} on complex tensors")
    total = reduce(_TWO[kind], parts)
    return total / len(parts) if kind is RedOpType.AVG else total


def supports_complex(reduceOp: Any) -> bool:  # noqa: N803 (PyTorch's name)
    """Can complex numbers be reduced so? Not where an order or bits are needed.

    Example::

        >>> supports_complex(ReduceOp.SUM), supports_complex(ReduceOp.MAX)
        (True, False)
    """
    return kind_of(reduceOp) in (RedOpType.SUM, RedOpType.AVG, RedOpType.PRODUCT)


# ---------------------------------------------------------------------------------------------- options


UNSET = timedelta(milliseconds=-1)  # PyTorch's way to say: the group's timeout


@dataclass
class _Options:
    timeout: timedelta = UNSET
    asyncOp: bool = False  # noqa: N815 (PyTorch's names, here and below)


@dataclass
class BroadcastOptions(_Options):
    """Of `ProcessGroup.broadcast`: `rootRank` is the sender, `rootTensor` the place of its tensor in the list."""

    rootRank: int = 0  # noqa: N815
    rootTensor: int = 0  # noqa: N815


@dataclass
class AllreduceOptions(_Options):
    """Of `ProcessGroup.allreduce`: `reduceOp`."""

    reduceOp: Any = field(default=RedOpType.SUM)  # noqa: N815


@dataclass
class AllreduceCoalescedOptions(AllreduceOptions):
    """Of `ProcessGroup.allreduce_coalesced`: `reduceOp`."""


@dataclass
class ReduceOptions(AllreduceOptions):
    """Of `ProcessGroup.reduce`: `reduceOp`; `rootRank` is the receiver."""

    rootRank: int = 0  # noqa: N815
    rootTensor: int = 0  # noqa: N815


@dataclass
class ReduceScatterOptions(AllreduceOptions):
    """Of `ProcessGroup.reduce_scatter`: `reduceOp`."""


@dataclass
class GatherOptions(_Options):
    """Of `ProcessGroup.gather`: `rootRank` is the receiver."""

    rootRank: int = 0  # noqa: N815


@dataclass
class ScatterOptions(_Options):
    """Of `ProcessGroup.scatter`: `rootRank` is the sender."""

    rootRank: int = 0  # noqa: N815


@dataclass
class AllToAllOptions(_Options):
    """Of `ProcessGroup.alltoall`."""


@dataclass
class BarrierOptions(_Options):
    """Of `ProcessGroup.barrier`."""

    device_ids: list[int] = field(default_factory=list)
    device: Any = None
