"""What surrounds training: data loading, checkpointing."""

from __future__ import annotations

from flambeau._core.lazy import lazy_module
from flambeau.utils import data

# Few programs use these, and `import flambeau` should not wait for them.
checkpoint = lazy_module("flambeau.utils.checkpoint")

__all__ = ["checkpoint", "data"]
