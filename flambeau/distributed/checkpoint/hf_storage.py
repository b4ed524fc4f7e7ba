"""`torch.distributed.checkpoint.hf_storage`: names of what spreads safetensors over processes."""

from flambeau._core.placeholders import placeholders
from flambeau.distributed.checkpoint import MISSING

_ABSENT = placeholders(
    "torch.distributed.checkpoint.hf_storage",
    *MISSING,
    classes="HuggingFaceStorageReader HuggingFaceStorageWriter",
)
globals().update(_ABSENT)
__all__ = [*_ABSENT]
