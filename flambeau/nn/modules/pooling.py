"""Pooling: the maximum, average or p-norm of sliding, adaptive or random windows, and unpooling.

Inputs are (N, C, *) or (C, *) with one to three dimensions *. For the sliding windows an output size is
floor((size + 2 padding - dilation (kernel - 1) - 1) / stride + 1), or the ceiling with `ceil_mode`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau import _api as torch
from flambeau.nn import functional as F

from .module import Module
from .utils import _ntuple, _single

if TYPE_CHECKING:
    from ..common_types import optional_size_any, ratio_any, size_1, size_any

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]

Tensor = torch.Tensor


class _MaxPoolNd(Module):
    _function: Any

    def __init__(
        self,
        kernel_size: size_any,
        stride: size_any | None = None,
        padding: size_any = 0,
        dilation: size_any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        options = (self.dilation, self.ceil_mode, self.return_indices)
        return self._function(input, self.kernel_size, self.stride, self.padding, *options)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPoolNd):
    """The maximum of each window.

    Args:
        kernel_size: the window's size, an int or one for each dimension (so too the next three).
        stride: its step. Default: kernel_size.
        padding: -inf added at both ends, at most half the kernel. Default: 0.
        dilation: distance of the window's elements. Default: 1.
        return_indices: return also where the maxima are, for MaxUnpool. Default: False.
        ceil_mode: round output sizes up. Default: False.

    Example:
        >>> import flambeau as torch
        >>> torch.nn.MaxPool1d(2)(torch.tensor([[1.0, 4.0, 3.0, 2.0]]))
        tensor([[4., 3.]])
    """

    _function: Any = staticmethod(F.max_pool1d)


class MaxPool2d(_MaxPoolNd):
    """The maximum of each window of (N, C, H, W) or (C, H, W); arguments as of MaxPool1d."""

    _function: Any = staticmethod(F.max_pool2d)


class MaxPool3d(_MaxPoolNd):
    """The maximum of each window of (N, C, D, H, W) or (C, D, H, W); arguments as of MaxPool1d."""

    _function: Any = staticmethod(F.max_pool3d)


class _MaxUnpoolNd(Module):
    _spatial: int
    _function: Any

    def __init__(self, kernel_size: size_any, stride: size_any | None = None, padding: size_any = 0) -> None:
        super().__init__()
        sizes = _ntuple(self._spatial)
        self.kernel_size = sizes(kernel_size)
        self.stride = sizes(kernel_size if stride is None else stride)
        self.padding = sizes(padding)

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return self._function(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpoolNd):
    """Puts maxima back where a MaxPool1d with `return_indices` found them; the rest is 0.

    Args:
        kernel_size, stride, padding: those of the pooling.

    Shape:
        Input and indices (N, C, L), output (N, C, (L - 1) stride - 2 padding + kernel_size), or `output_size`.

    Example:
        >>> import flambeau as torch
        >>> values, where = torch.nn.MaxPool1d(2, return_indices=True)(torch.tensor([[1.0, 4.0, 3.0, 2.0]]))
        >>> torch.nn.MaxUnpool1d(2)(values, where)
        tensor([[0., 4., 3., 0.]])
    """

    _spatial = 1
    _function: Any = staticmethod(F.max_unpool1d)


class MaxUnpool2d(_MaxUnpoolNd):
    """The partial inverse of MaxPool2d; as MaxUnpool1d."""

    _spatial = 2
    _function: Any = staticmethod(F.max_unpool2d)


class MaxUnpool3d(_MaxUnpoolNd):
    """The partial inverse of MaxPool3d; as MaxUnpool1d."""

    _spatial = 3
    _function: Any = staticmethod(F.max_unpool3d)


class _AvgPoolNd(Module):
    kernel_size: Any
    stride: Any
    padding: Any

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPoolNd):
    """The average of each window.

    Args:
        kernel_size, stride, padding, ceil_mode: as of MaxPool1d; padding is with zeros.
        count_include_pad: count the padding in the average. Default: True.

    Example:
        >>> import flambeau as torch
        >>> torch.nn.AvgPool1d(3, stride=2)(torch.tensor([[1.0, 2, 3, 4, 5, 6, 7]]))
        tensor([[2., 4., 6.]])
    """

    def __init__(
        self,
        kernel_size: size_1,
        stride: size_1 | None = None,
        padding: size_1 = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = _single(kernel_size)
        self.stride = _single(kernel_size if stride is None else stride)
        self.padding = _single(padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class _AvgPoolWithDivisor(_AvgPoolNd):
    _function: Any

    def __init__(
        self,
        kernel_size: size_any,
        stride: size_any | None = None,
        padding: size_any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return self._function(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class AvgPool2d(_AvgPoolWithDivisor):
    """The average of each window of (N, C, H, W) or (C, H, W); arguments as of AvgPool1d, and `divisor_override`, by
    which sums are divided instead of the window's size."""

    _function: Any = staticmethod(F.avg_pool2d)


class AvgPool3d(_AvgPoolWithDivisor):
    """The average of each window of (N, C, D, H, W) or (C, D, H, W); arguments as of AvgPool2d."""

    _function: Any = staticmethod(F.avg_pool3d)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for name, value in (("padding", 0), ("ceil_mode", False), ("count_include_pad", True)):
            self.__dict__.setdefault(name, value)


class _FractionalMaxPoolNd(Module):
    _spatial: int
    _function: Any

    def __init__(
        self,
        kernel_size: size_any,
        output_size: size_any | None = None,
        output_ratio: ratio_any | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        sizes = _ntuple(self._spatial)
        self.kernel_size = sizes(kernel_size)
        if any(size <= 0 for size in self.kernel_size):
            raise ValueError(f"kernel_size must be greater than 0, but got {kernel_size}")
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else sizes(output_size)
        self.output_ratio = None if output_ratio is None else sizes(output_ratio)
        if output_size is None and output_ratio is None:
            raise ValueError(f"{type(self).__name__} requires specifying either an output size, or a pooling ratio")
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        if self.output_ratio is not None and not all(0 < ratio < 1 for ratio in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input: Tensor) -> Any:
        return self._function(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    """The maximum of windows whose steps vary at random, so that sizes shrink by any ratio (Graham, 2015).

    Args:
        kernel_size: the window's size.
        output_size, output_ratio: the sizes of the output, or their ratios to the input's in (0, 1); exactly one.
        return_indices: return also where the maxima are. Default: False.

    Example:
        >>> import flambeau as torch
        >>> torch.nn.FractionalMaxPool2d(3, output_size=(13, 12))(torch.ones(2, 16, 50, 32)).shape
        torch.Size([2, 16, 13, 12])
    """

    _spatial = 2
    _function: Any = staticmethod(F.fractional_max_pool2d)


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    """FractionalMaxPool2d for volumes (N, C, D, H, W)."""

    _spatial = 3
    _function: Any = staticmethod(F.fractional_max_pool3d)


class _LPPoolNd(Module):
    _function: Any

    def __init__(
        self, norm_type: float, kernel_size: size_any, stride: size_any | None = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        return self._function(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPoolNd):
    """(sum of x^p)^(1/p) of each window, p = `norm_type`; the other arguments are as of MaxPool1d.

    Example:
        >>> import flambeau as torch
        >>> torch.nn.LPPool1d(2, 2)(torch.tensor([[3.0, 4.0]]))
        tensor([[5.]])
    """

    _function: Any = staticmethod(F.lp_pool1d)


class LPPool2d(_LPPoolNd):
    """LPPool1d for (N, C, H, W) or (C, H, W)."""

    _function: Any = staticmethod(F.lp_pool2d)


class LPPool3d(_LPPoolNd):
    """LPPool1d for (N, C, D, H, W) or (C, D, H, W)."""

    _function: Any = staticmethod(F.lp_pool3d)


class _AdaptiveMaxPoolNd(Module):
    _function: Any

    def __init__(self, output_size: optional_size_any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        return self._function(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """The maximum of each of `output_size` windows that cover the input evenly.

    Args:
        output_size: an int or one for each dimension; None keeps the input's size.
        return_indices: return also where the maxima are. Default: False.
    """

    _function: Any = staticmethod(F.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """AdaptiveMaxPool1d for (N, C, H, W) or (C, H, W)."""

    _function: Any = staticmethod(F.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """AdaptiveMaxPool1d for (N, C, D, H, W) or (C, D, H, W)."""

    _function: Any = staticmethod(F.adaptive_max_pool3d)


class _AdaptiveAvgPoolNd(Module):
    _function: Any

    def __init__(self, output_size: optional_size_any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return self._function(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    """The average of each of `output_size` windows that cover the input evenly; None keeps a size.

    Example:
        >>> import flambeau as torch
        >>> torch.nn.AdaptiveAvgPool1d(2)(torch.tensor([[1.0, 3.0, 5.0, 7.0]]))
        tensor([[2., 6.]])
    """

    _function: Any = staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    """AdaptiveAvgPool1d for (N, C, H, W) or (C, H, W)."""

    _function: Any = staticmethod(F.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    """AdaptiveAvgPool1d for (N, C, D, H, W) or (C, D, H, W)."""

    _function: Any = staticmethod(F.adaptive_avg_pool3d)
