"""Modules that run on several devices, or in several processes."""


from flambeau._core.homes import absent

from ._data_parallel import DataParallel
from .distributed import DistributedDataParallel

__all__ = ["DataParallel", "DistributedDataParallel"]

__getattr__ = absent("torch.nn.parallel")
