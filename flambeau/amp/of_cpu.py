"""The older names of mixed precision for the CPU (`torch.cpu.amp`)."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau.amp import autocast_mode as modes
from flambeau.amp import grad_scaler as scalers

__all__ = ["GradScaler", "autocast"]


class autocast(modes.autocast):  # noqa: N801 (PyTorch's name)
    """`torch.autocast("cpu", ...)`.

    Example::

        >>> with autocast():
        ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
        torch.bfloat16
    """

    def __init__(self, enabled: bool = True, dtype: Any = torch.bfloat16, cache_enabled: bool = True) -> None:
        super().__init__("cpu", dtype, enabled, cache_enabled)


class GradScaler(scalers.GradScaler):
    """`torch.GradScaler("cpu", ...)`."""

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        super().__init__("cpu", init_scale, growth_factor, backoff_factor, growth_interval, enabled)
