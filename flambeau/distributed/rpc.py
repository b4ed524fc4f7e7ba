"""`torch.distributed.rpc`: whether functions can be called in other processes. They cannot."""

from __future__ import annotations

from flambeau._core.homes import absent

__all__ = ["is_available"]


def is_available() -> bool:
    """Are there remote calls? No; libraries ask before they use them.

    Example::

        >>> is_available()
        False
    """
    return False


__getattr__ = absent("torch.distributed.rpc")
