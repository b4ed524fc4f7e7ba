"""What surrounds training: data loading, checkpointing."""

from __future__ import annotations

from flambeau._core.homes import absent
from flambeau._core.lazy import lazy_module

# Not every program uses these, and `import flambeau` should not wait for them.
checkpoint = lazy_module("flambeau.utils.checkpoint")
data = lazy_module("flambeau.utils.data", "Data sets, samplers and loaders.")
dlpack = lazy_module("flambeau.utils.dlpack", "Exchange of tensors by DLPack capsules.")
hooks = lazy_module("flambeau.utils.hooks", "What registering a hook returns.")

__all__ = ["checkpoint", "data", "dlpack", "hooks"]

__getattr__ = absent("torch.utils")
