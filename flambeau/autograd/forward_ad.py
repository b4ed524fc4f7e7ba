"""`torch.autograd.forward_ad`, which is not here: its names say what is."""

from __future__ import annotations

from flambeau._core.homes import absent

__getattr__ = absent("torch.autograd.forward_ad")
