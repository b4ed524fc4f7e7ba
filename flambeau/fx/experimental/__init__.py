"""`torch.fx.experimental`: `proxy_tensor`."""

from flambeau._core.homes import absent

__getattr__ = absent("torch.fx.experimental")
