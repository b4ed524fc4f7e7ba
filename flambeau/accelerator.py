"""Whatever accelerates (`torch.accelerator`): there is no GPU backend yet, and everything here says so."""

from __future__ import annotations

from typing import Any

from flambeau._core.homes import absent

__all__ = ["current_accelerator", "device_count", "empty_cache", "is_available", "synchronize"]


def is_available() -> bool:
    """Is there an accelerator? No.

    Example::

        >>> is_available()
        False
    """
    return False


def device_count() -> int:
    """How many accelerators there are: 0.

    Example::

        >>> device_count()
        0
    """
    return 0


def current_accelerator(check_available: bool = False) -> None:
    """The kind of accelerator: None, so that `torch.accelerator.current_accelerator() or "cpu"` is the CPU.

    Example::

        >>> current_accelerator() or "cpu"
        'cpu'
    """


def empty_cache() -> None:
    """Return cached memory of accelerators: there is none."""


def synchronize(device: Any = None) -> None:
    """Wait for the accelerator: there is none to wait for."""

__getattr__ = absent("torch.accelerator")
