"""The switch of automatic mixed precision, and the recording that converts arguments while it is on.

Nothing looks at the switch while no thread has turned it on: only then do the operations concerned get another
`record`.
"""

from __future__ import annotations

import threading
from typing import Any

from flambeau._core import dtypes, locks
from flambeau._ops.lowering import LOWERED, RAISED, arguments, precision
from flambeau._ops.registry import OPS, Library


def _affected() -> list[Any]:
    return [op for op in OPS.values() if op.family == "library" and op.name in LOWERED | RAISED]


def _recording(op: Any) -> Any:
    """What records `op` while a thread has mixed precision on."""
    return lambda args: Library.record(op, arguments(op, args) if precision.enabled else args)


class _Users:
    """How many threads have mixed precision on."""

    count = 0


def set_enabled(enabled: bool) -> None:
    """Turn mixed precision on or off in this thread."""
    if enabled == precision.enabled:
        return
    with locks.modes:
        before, _Users.count = _Users.count, _Users.count + (1 if enabled else -1)
        if not before or not _Users.count:
            for op in _affected():
                if enabled:
                    op.record = _recording(op)
                else:
                    del op.record
    precision.enabled = enabled


# ---------------------------------------------------------------------------------------------- functions of torch


class _Others(threading.local):
    """What is set for devices that there are none of, and for the cache that is not needed."""

    def __init__(self) -> None:
        self.dtypes = {"cuda": dtypes.float16, "xla": dtypes.bfloat16, "ipu": dtypes.float16}
        self.cache = True
        self.nesting = 0


_others = _Others()


def is_autocast_available(device_type: str) -> bool:
    """Can there be mixed precision on such a device? On the CPU.

    Example::

        >>> is_autocast_available("cpu")
        True
    """
    return device_type == "cpu"


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Is mixed precision on, in this thread, for operations on such a device?

    Example::

        >>> is_autocast_enabled("cpu")
        False
    """
    return device_type == "cpu" and precision.enabled


def set_autocast_enabled(device_type: str, enabled: bool) -> None:
    """Turn mixed precision on or off in this thread; NotImplementedError for turning it on where it cannot be.

    Example::

        >>> set_autocast_enabled("cpu", False)
    """
    if device_type == "cpu":
        set_enabled(enabled)
    elif enabled:
        raise NotImplementedError(f"mixed precision for {device_type!r}: there is no such backend yet; use 'cpu'")


def get_autocast_dtype(device_type: str) -> dtypes.dtype:
    """The lower precision of such a device: bfloat16 on the CPU unless changed.

    Example::

        >>> get_autocast_dtype("cpu")
        torch.bfloat16
    """
    return precision.dtype if device_type == "cpu" else _others.dtypes.get(device_type, dtypes.bfloat16)


def set_autocast_dtype(device_type: str, dtype: dtypes.dtype) -> None:
    """Choose the lower precision of such a device in this thread.

    Example::

        >>> set_autocast_dtype("cpu", dtypes.bfloat16)
    """
    if device_type == "cpu":
        precision.dtype = dtype
    else:
        _others.dtypes[device_type] = dtype


def is_autocast_cache_enabled() -> bool:
    """Are converted weights kept? What is recorded twice in a window is computed once, so that it does not matter.

    Example::

        >>> is_autocast_cache_enabled()
        True
    """
    return _others.cache


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Say whether converted weights should be kept (see `is_autocast_cache_enabled`).

    Example::

        >>> set_autocast_cache_enabled(True)
    """
    _others.cache = enabled


def clear_autocast_cache() -> None:
    """Forget converted weights: there are none.

    Example::

        >>> clear_autocast_cache()
    """


def autocast_increment_nesting() -> int:
    """Count one more context of mixed precision; how many there are now.

    Example::

        >>> autocast_increment_nesting(), autocast_decrement_nesting()
        (1, 0)
    """
    _others.nesting += 1
    return _others.nesting


def autocast_decrement_nesting() -> int:
    """Count one context of mixed precision less; how many there are now."""
    _others.nesting -= 1
    return _others.nesting


def _for_device(name: str, device: str, function: Any, arguments: int) -> Any:
    """The function for one device under the name that PyTorch has for it."""

    def named(*args: Any) -> Any:
        if len(args) != arguments:
            raise TypeError(f"{name}() takes {arguments} arguments, got {len(args)}")
        return function(device, *args)

    named.__name__ = named.__qualname__ = name
    named.__doc__ = f"`{function.__name__}` for the device type {device!r}."
    return named


FUNCTIONS = [
    is_autocast_enabled,
    set_autocast_enabled,
    get_autocast_dtype,
    set_autocast_dtype,
    is_autocast_cache_enabled,
    set_autocast_cache_enabled,
    clear_autocast_cache,
    autocast_increment_nesting,
    autocast_decrement_nesting,
    *[
        _for_device(pattern.format(name), device, function, count)
        for name, device in (("cpu", "cpu"), ("gpu", "cuda"), ("xla", "xla"), ("ipu", "ipu"))
        for pattern, function, count in (
            ("is_autocast_{}_enabled", is_autocast_enabled, 0),
            ("set_autocast_{}_enabled", set_autocast_enabled, 1),
            ("get_autocast_{}_dtype", get_autocast_dtype, 0),
            ("set_autocast_{}_dtype", set_autocast_dtype, 1),
        )
        if "is_autocast_gpu" not in pattern.format(name) and "set_autocast_gpu_enabled" != pattern.format(name)
    ],
]
