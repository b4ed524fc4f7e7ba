"""`torch.autograd.forward_ad`, which is not here: its names say what is."""

from __future__ import annotations

from typing import Any

from flambeau._core.unsupported import refuse


def __getattr__(name: str) -> Any:
    raise refuse("torch.autograd.forward_ad", name)
