"""The older names of mixed precision for GPUs (`torch.cuda.amp`): the device is "cuda"."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau._core.homes import absent
from flambeau.amp import autocast_mode as modes
from flambeau.amp import grad_scaler as scalers
from flambeau.amp.autocast_mode import custom_bwd as custom_bwd
from flambeau.amp.autocast_mode import custom_fwd as custom_fwd

__all__ = ["GradScaler", "amp_definitely_not_available", "autocast", "custom_bwd", "custom_fwd"]


def amp_definitely_not_available() -> bool:
    """Is there surely no GPU to compute with mixed precision on? Yes.

    Example::

        >>> amp_definitely_not_available()
        True
    """
    return True


class autocast(modes.autocast):  # noqa: N801 (PyTorch's name)
    """`torch.autocast("cuda", ...)`: warns and does nothing, as there is no GPU."""

    def __init__(self, enabled: bool = True, dtype: Any = torch.float16, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)


class GradScaler(scalers.GradScaler):
    """`torch.GradScaler("cuda", ...)`: warns and is off, as there is no GPU."""

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        super().__init__("cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled)


__getattr__ = absent("torch.cuda.amp")
