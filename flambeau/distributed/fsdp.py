"""`torch.distributed.fsdp`: modules whose parameters are spread over processes. There are none: the classes are here so
that libraries can ask `isinstance`, and making one is an error that says what comes nearest."""

from __future__ import annotations

from typing import Any

from flambeau._core.errors import explain

__all__ = [
    "CPUOffload", "CPUOffloadPolicy", "FSDPModule", "FullyShardedDataParallel", "MixedPrecision",
    "MixedPrecisionPolicy", "OffloadPolicy", "ShardingStrategy", "StateDictType", "fully_shard",
]  # fmt: skip


def _not_spread(name: str) -> NotImplementedError:
    return NotImplementedError(
        explain(
            f"torch.distributed.fsdp.{name} is not implemented: every process holds all parameters of a module",
            hint="nearest is torch.nn.parallel.DistributedDataParallel",
        )
    )


class _Spread:
    """A class of which there are no objects here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise _not_spread(type(self).__name__)


class FullyShardedDataParallel(_Spread):
    """A module whose parameters are spread."""


class FSDPModule(_Spread):
    """The same, made by `fully_shard`."""


class ShardingStrategy(_Spread):
    """What is spread."""


class StateDictType(_Spread):
    """How the state is put together."""


class MixedPrecision(_Spread):
    """The dtypes of parameters, reductions and buffers."""


class MixedPrecisionPolicy(_Spread):
    """The same for `fully_shard`."""


class CPUOffload(_Spread):
    """Whether parameters wait in the memory of the CPU."""


class OffloadPolicy(_Spread):
    """The same for `fully_shard`."""


class CPUOffloadPolicy(OffloadPolicy):
    """That they do."""


def fully_shard(module: Any, **kwargs: Any) -> Any:
    """NotImplementedError: every process holds all parameters."""
    raise _not_spread("fully_shard")
