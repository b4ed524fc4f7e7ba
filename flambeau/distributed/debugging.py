"""What helps to find mistakes in programs of several processes."""

from __future__ import annotations

import pdb
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import IntEnum

from flambeau._core.config import launched_with
from flambeau.distributed.collectives import barrier
from flambeau.distributed.world import get_rank


class DebugLevel(IntEnum):
    """How much is checked and told."""

    OFF = 0
    INFO = 1
    DETAIL = 2


class _Debugging:
    level = DebugLevel.OFF
    passed = 0


def get_debug_level() -> DebugLevel:
    """The level that was set; OFF unless it was.

    Example::

        >>> get_debug_level().name
        'OFF'
    """
    return _Debugging.level


def set_debug_level(level: DebugLevel) -> None:
    """Set the level. All that is checked here is checked at every level."""
    _Debugging.level = DebugLevel(level)


def set_debug_level_from_env() -> None:
    """Set the level from the variable TORCH_DISTRIBUTED_DEBUG; RuntimeError for another word than OFF, INFO, DETAIL."""
    word = (launched_with("TORCH_DISTRIBUTED_DEBUG") or "OFF").upper()
    if word not in DebugLevel.__members__:
        raise RuntimeError(f"The value of TORCH_DISTRIBUTED_DEBUG must be one of OFF, INFO, DETAIL, got {word!r}")
    set_debug_level(DebugLevel[word])


@contextmanager
def record_comm(name: str) -> Iterator[None]:
    """A context, or decorator, that names communication for PyTorch's profiler; there is none here that would show it.

    Example::

        >>> with record_comm("gradients"):
        ...     pass
    """
    yield


def breakpoint(rank: int = 0, skip: int = 0, timeout_s: int = 3600) -> None:  # noqa: A001
    """Python's debugger in the process of one rank, while the others wait for it; not at the first `skip` calls."""
    _Debugging.passed += 1
    if _Debugging.passed <= skip:
        return
    if get_rank() == rank:
        pdb.Pdb().set_trace(sys._getframe(1))
    barrier(timeout=timedelta(seconds=timeout_s))
