"""`torch.onnx`: whether a program is being written down in the format ONNX. It never is."""

from __future__ import annotations

from flambeau._core.homes import absent

__all__ = ["is_in_onnx_export"]


def is_in_onnx_export() -> bool:
    """Is the program being exported now? No; libraries ask before they choose between two ways to compute.

    Example::

        >>> is_in_onnx_export()
        False
    """
    return False


__getattr__ = absent("torch.onnx")
