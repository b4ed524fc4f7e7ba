"""Padding of the last one to three dimensions: constant, zero, reflected, replicated, circular.

`padding` is one number for all sides, or (left, right), (left, right, top, bottom) or (left, right, top, bottom, front,
back); negative numbers crop. Inputs are (N, C, *) or (C, *).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau import _api as torch
from flambeau.nn import functional as F

from .module import Module
from .utils import _pair, _quadruple, _sextuple

if TYPE_CHECKING:
    from ..common_types import size_2, size_4, size_6

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]

Tensor = torch.Tensor


class _ConstantPadNd(Module):
    padding: tuple[int, ...]

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    """Pads the last dimension with `value`.

    Example:
        >>> import flambeau as torch
        >>> torch.nn.ConstantPad1d((1, 2), 9.0)(torch.zeros(1, 2))
        tensor([[9., 0., 0., 9., 9.]])
    """

    def __init__(self, padding: size_2, value: float) -> None:
        super().__init__(value)
        self.padding = _pair(padding)


class ConstantPad2d(_ConstantPadNd):
    """Pads the last two dimensions with `value`."""

    def __init__(self, padding: size_4, value: float) -> None:
        super().__init__(value)
        self.padding = _quadruple(padding)


class ConstantPad3d(_ConstantPadNd):
    """Pads the last three dimensions with `value`."""

    def __init__(self, padding: size_6, value: float) -> None:
        super().__init__(value)
        self.padding = _sextuple(padding)


class _ZeroPad:
    """Put before a constant padding: the value is 0 and `repr` does not show it."""

    padding: tuple[int, ...]

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)  # type: ignore[call-arg]

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad1d(_ZeroPad, ConstantPad1d):
    """Pads the last dimension with zeros."""


class ZeroPad2d(_ZeroPad, ConstantPad2d):
    """Pads the last two dimensions with zeros."""


class ZeroPad3d(_ZeroPad, ConstantPad3d):
    """Pads the last three dimensions with zeros."""


class _ModePad(Module):
    """Padding by the input's own values."""

    _mode: str
    _sides: Any
    padding: tuple[int, ...]

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = self._sides(padding)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ReflectionPadNd(_ModePad):
    _mode = "reflect"


class ReflectionPad1d(_ReflectionPadNd):
    """Pads the last dimension with its mirror image, without repeating the edge.

    Example:
        >>> import flambeau as torch
        >>> torch.nn.ReflectionPad1d(2)(torch.arange(4.0).view(1, 4))
        tensor([[2., 1., 0., 1., 2., 3., 2., 1.]])
    """

    _sides = staticmethod(_pair)


class ReflectionPad2d(_ReflectionPadNd):
    """Pads the last two dimensions with their mirror images."""

    _sides = staticmethod(_quadruple)


class ReflectionPad3d(_ReflectionPadNd):
    """Pads the last three dimensions with their mirror images."""

    _sides = staticmethod(_sextuple)


class _ReplicationPadNd(_ModePad):
    _mode = "replicate"


class ReplicationPad1d(_ReplicationPadNd):
    """Pads the last dimension with its outermost values.

    Example:
        >>> import flambeau as torch
        >>> torch.nn.ReplicationPad1d((2, 1))(torch.arange(3.0).view(1, 3))
        tensor([[0., 0., 0., 1., 2., 2.]])
    """

    _sides = staticmethod(_pair)


class ReplicationPad2d(_ReplicationPadNd):
    """Pads the last two dimensions with their outermost values."""

    _sides = staticmethod(_quadruple)


class ReplicationPad3d(_ReplicationPadNd):
    """Pads the last three dimensions with their outermost values."""

    _sides = staticmethod(_sextuple)


class _CircularPadNd(_ModePad):
    _mode = "circular"
    _input_dims: tuple[int, int]

    def forward(self, input: Tensor) -> Tensor:
        low, high = self._input_dims
        if input.dim() not in (low, high):
            raise ValueError(f"expected {low}D or {high}D input (got {input.dim()}D input)")
        return super().forward(input)


class CircularPad1d(_CircularPadNd):
    """Pads the last dimension with values from its other end; another rank than 2 or 3 is a ValueError.

    Example:
        >>> import flambeau as torch
        >>> torch.nn.CircularPad1d((1, 2))(torch.arange(3.0).view(1, 3))
        tensor([[2., 0., 1., 2., 0., 1.]])
    """

    _sides = staticmethod(_pair)
    _input_dims = (2, 3)


class CircularPad2d(_CircularPadNd):
    """Pads the last two dimensions with values from their other ends."""

    _sides = staticmethod(_quadruple)
    _input_dims = (3, 4)


class CircularPad3d(_CircularPadNd):
    """Pads the last three dimensions with values from their other ends."""

    _sides = staticmethod(_sextuple)
    _input_dims = (4, 5)
