"""`torch.distributed.algorithms`: `join`, for training loops of different lengths."""

from flambeau._core.homes import absent

__getattr__ = absent("torch.distributed.algorithms")
