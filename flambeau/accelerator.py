"""Whatever accelerates (`torch.accelerator`): there is no GPU backend yet, and everything here says so."""

from __future__ import annotations

from typing import Any, NoReturn

from flambeau._core import errors
from flambeau._core.homes import absent
from flambeau._core.placeholders import placeholders
from flambeau._core.sites import user_site

# What only an accelerator can do: name -> what it does.
REFUSED = {
    "current_device_idx": "The number of the current accelerator, under its older name",
    "current_device_index": "The number of the current accelerator",
    "current_stream": "The current stream of work",
    "empty_host_cache": "Memory for copies to accelerators given back",
    "get_device_capability": "What the accelerator can compute with",
    "get_memory_info": "Free and total memory",
    "max_memory_allocated": "The most bytes that tensors have occupied",
    "max_memory_reserved": "The most bytes that were reserved",
    "memory_allocated": "The bytes that tensors occupy",
    "memory_reserved": "The bytes that are reserved",
    "memory_stats": "Counts of the memory's use",
    "reset_accumulated_memory_stats": "Counts begun anew",
    "reset_peak_memory_stats": "Counts begun anew",
    "set_device_idx": "Another accelerator made the current one, under its older name",
    "set_device_index": "Another accelerator made the current one",
    "set_stream": "Another stream made the current one",
}

__all__ = [
    "current_accelerator", "device_count", "device_index", "empty_cache", "is_available", "synchronize", *REFUSED
]  # fmt: skip


def _refused(name: str, what: str) -> Any:
    """Something that only an accelerator can do."""

    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(
            errors.explain(
                f"torch.accelerator.{name}(): Cannot access accelerator device when none is available.",
                hint="ask torch.accelerator.is_available() first",
                site=user_site(2),
            )
        )

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = f"{what}: RuntimeError, there is no accelerator."
    return refuse


globals().update({name: _refused(name, what) for name, what in REFUSED.items()})


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


class device_index:  # noqa: N801 (PyTorch's name)
    """A context with another current accelerator: None changes nothing, RuntimeError for a number.

    Example::

        >>> with device_index(None):
        ...     pass
    """

    def __init__(self, device: int | None) -> None:
        self.idx = device

    def __enter__(self) -> None:
        if self.idx is not None:
            _refused("device_index", "")()

    def __exit__(self, *exception: object) -> None:
        pass


globals().update(
    placeholders(
        "torch",
        "there are no streams of work: operations run in the order they are recorded",
        "torch.synchronize()",
        classes="Event Stream",
    )
)

__getattr__ = absent("torch.accelerator")
