"""`torch.distributed._composable.fsdp`: see `torch.distributed.fsdp`."""

from flambeau.distributed.fsdp import CPUOffloadPolicy as CPUOffloadPolicy
from flambeau.distributed.fsdp import MixedPrecisionPolicy as MixedPrecisionPolicy
from flambeau.distributed.fsdp import OffloadPolicy as OffloadPolicy
from flambeau.distributed.fsdp import fully_shard as fully_shard
