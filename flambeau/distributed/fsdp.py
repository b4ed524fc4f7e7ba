"""`torch.distributed.fsdp`: names of modules whose parameters are spread over processes, of which there are none."""

from flambeau._core.homes import absent
from flambeau._core.placeholders import placeholders
from flambeau._core.unsupported_modules import PARTLY

_ABSENT = placeholders(
    "torch.distributed.fsdp",
    *PARTLY["torch.distributed.fsdp"],
    classes="CPUOffload CPUOffloadPolicy FSDPModule FullStateDictConfig FullyShardedDataParallel MixedPrecision "
    "MixedPrecisionPolicy OffloadPolicy ShardingStrategy StateDictType",
    functions="fully_shard register_fsdp_forward_method",
)
globals().update(_ABSENT)
__all__ = [*_ABSENT]

__getattr__ = absent("torch.distributed.fsdp")
