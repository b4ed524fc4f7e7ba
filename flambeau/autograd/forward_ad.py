"""`torch.autograd.forward_ad`: tensors carry no tangents through operations, and that can be asked."""

from __future__ import annotations

from typing import Any, NamedTuple

from flambeau._core.homes import absent

__all__ = ["UnpackedDualTensor", "unpack_dual"]


class UnpackedDualTensor(NamedTuple):
    """A tensor, `primal`, and its `tangent`, or None."""

    primal: Any
    tangent: Any


def unpack_dual(tensor: Any, *, level: Any = None) -> UnpackedDualTensor:
    """The tensor and its tangent, which is None for all tensors. Libraries ask before they choose a way to compute.

    Example::

        >>> import flambeau as torch
        >>> unpack_dual(torch.ones(1))
        UnpackedDualTensor(primal=tensor([1.]), tangent=None)
    """
    return UnpackedDualTensor(tensor, None)


__getattr__ = absent("torch.autograd.forward_ad")
