"""What registering a hook returns, under PyTorch's name."""

from flambeau._core.hooks import RemovableHandle

__all__ = ["RemovableHandle"]
