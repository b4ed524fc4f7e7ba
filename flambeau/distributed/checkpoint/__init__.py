"""`torch.distributed.checkpoint`: names of what writes a state that is spread over processes. Here each process has the
whole state, which one of them can write."""

from flambeau._core.placeholders import placeholders

MISSING = "each process has the whole state", "torch.save on rank 0, and torch.load on all"

_ABSENT = placeholders(
    "torch.distributed.checkpoint",
    *MISSING,
    classes="FileSystemReader FileSystemWriter LoadPlan Metadata SavePlan StorageReader StorageWriter",
    functions="async_save load load_state_dict save save_state_dict",
)
globals().update(_ABSENT)
__all__ = [*_ABSENT]
