"""`torch.distributed.checkpoint.hf_storage`: names of what spreads safetensors over processes."""

from flambeau._core.placeholders import placeholders
from flambeau._core.unsupported_modules import PARTLY

_ABSENT = placeholders(
    "torch.distributed.checkpoint.hf_storage",
    *PARTLY["torch.distributed.checkpoint"],
    classes="HuggingFaceStorageReader HuggingFaceStorageWriter",
)
globals().update(_ABSENT)
__all__ = [*_ABSENT]
