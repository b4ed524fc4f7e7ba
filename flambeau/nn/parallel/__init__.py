"""Modules that run on several devices, or in several processes."""

from typing import Any

from flambeau._core.unsupported import refuse

from ._data_parallel import DataParallel
from .distributed import DistributedDataParallel

__all__ = ["DataParallel", "DistributedDataParallel"]


def __getattr__(name: str) -> Any:
    raise refuse("torch.nn.parallel", name)
