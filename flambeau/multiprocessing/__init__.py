"""Python's `multiprocessing`, under PyTorch's name (`torch.multiprocessing`), and `spawn`, which starts several
processes of one function and watches over them.

Tensors that go through queues and pipes are pickled: the receiver gets a copy, unless they are in shared memory
(`Tensor.share_memory_`), which both see then.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing import *  # noqa: F403

from flambeau._core.homes import absent
from flambeau.multiprocessing.spawning import (
    ProcessContext,
    ProcessException,
    ProcessExitedException,
    ProcessRaisedException,
    SpawnContext,
    spawn,
    start_processes,
)

__all__ = [  # noqa: PLE0604
    *multiprocessing.__all__,
    "ProcessContext", "ProcessException", "ProcessExitedException", "ProcessRaisedException", "SpawnContext",
    "get_all_sharing_strategies", "get_sharing_strategy", "set_sharing_strategy", "spawn", "start_processes",
]  # fmt: skip


def get_all_sharing_strategies() -> set[str]:
    """How tensors in shared memory may travel between processes: by file descriptors.

    Example::

        >>> get_all_sharing_strategies()
        {'file_descriptor'}
    """
    return {"file_descriptor"}


def get_sharing_strategy() -> str:
    """How tensors travel.

    Example::

        >>> get_sharing_strategy()
        'file_descriptor'
    """
    return "file_descriptor"


def set_sharing_strategy(new_strategy: str) -> None:
    """Choose how tensors travel; there is one way. NotImplementedError for "file_system"."""
    if new_strategy not in get_all_sharing_strategies():
        raise NotImplementedError(
            f"shared memory travels by file descriptors, not by {new_strategy!r}: leave the call out, and raise the "
            "limit of open files (ulimit -n) if tensors are too many"
        )

__getattr__ = absent("torch.multiprocessing")
