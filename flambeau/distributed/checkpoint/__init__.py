"""`torch.distributed.checkpoint`: names of what writes a state that is spread over processes. Here each process has the
whole state, which one of them can write."""

from flambeau._core.homes import absent
from flambeau._core.placeholders import placeholders
from flambeau._core.unsupported_modules import PARTLY

_ABSENT = placeholders(
    "torch.distributed.checkpoint",
    *PARTLY["torch.distributed.checkpoint"],
    classes="FileSystemReader FileSystemWriter LoadPlan Metadata SavePlan StorageReader StorageWriter",
    functions="async_save load load_state_dict save save_state_dict",
)
globals().update(_ABSENT)
__all__ = [*_ABSENT]

__getattr__ = absent("torch.distributed.checkpoint")
