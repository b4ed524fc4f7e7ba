"""The older interface to profiles: `torch.autograd.profiler`."""

from __future__ import annotations

from typing import Any

from flambeau._core.placeholders import placeholders
from flambeau.profiler import profiling
from flambeau.profiler.averages import Averages
from flambeau.profiler.ranges import record_function

__all__ = ["EventList", "emit_nvtx", "profile", "record_function"]

EventList = Averages  # what `key_averages()` gives
emit_nvtx = placeholders(
    "torch.autograd.profiler", "there is no GPU, and no profiler of its maker", "torch.profiler.profile", "emit_nvtx"
)["emit_nvtx"]


class profile(profiling.profile):  # noqa: N801 (PyTorch's name)
    """`torch.profiler.profile`, which may be switched off.

    Example::

        >>> with profile(enabled=False) as p:
        ...     y = torch.ones(3) + 1
        >>> p.key_averages()
        []
    """

    def __init__(self, enabled: bool = True, **options: Any) -> None:
        known = {name: options[name] for name in ("record_shapes", "profile_memory", "with_stack") if name in options}
        super().__init__(**known)
        self.enabled = enabled

    def start(self) -> None:
        """Begin, if the profile is on."""
        if self.enabled:
            super().start()

    def events(self) -> list[Any]:
        """What was collected; nothing if the profile is off."""
        return super().events() if self.enabled else []

    def table(self, sort_by: str | None = None, row_limit: int = 100, **options: Any) -> str:
        """The table of `key_averages`."""
        return self.key_averages().table(sort_by, row_limit, **options)
