"""Convolutions of one to three dimensions, their transposes, and their lazy forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau import _api as torch
from flambeau.nn import functional as F

from ..parameter import Parameter, UninitializedParameter
from .lazy import LazyModuleMixin
from .linear import reset_weight_and_bias
from .module import Module, Registered
from .utils import _ntuple, _reverse_repeat_tuple

if TYPE_CHECKING:
    from ..common_types import size_any

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
]

Tensor = torch.Tensor

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What all convolutions share; sizes come as tuples, one entry a dimension."""

    weight: Any = Registered()
    bias: Any = Registered()

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, ...],
        stride: tuple[int, ...],
        padding: str | tuple[int, ...],
        dilation: tuple[int, ...],
        transposed: bool,
        output_padding: tuple[int, ...],
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        _check(in_channels, out_channels, stride, padding, groups, padding_mode)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.transposed = transposed
        self.output_padding = output_padding
        self.groups = groups
        self.padding_mode = padding_mode
        self._reversed_padding_repeated_twice = _explicit_padding(padding, kernel_size, dilation)
        self.weight = Parameter(torch.empty(self._weight_shape(), device=device, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(torch.empty(out_channels, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def _weight_shape(self) -> tuple[int, ...]:
        if self.transposed:
            return (self.in_channels, self.out_channels // self.groups, *self.kernel_size)
        return (self.out_channels, self.in_channels // self.groups, *self.kernel_size)

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, even in +-1 / sqrt(fan_in)."""
        reset_weight_and_bias(self.weight, self.bias)

    def extra_repr(self) -> str:
        ones, zeros = (1,) * len(self.kernel_size), (0,) * len(self.kernel_size)
        shown = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != zeros:
            shown += f", padding={self.padding}"
        if self.dilation != ones:
            shown += f", dilation={self.dilation}"
        if self.output_padding != zeros:
            shown += f", output_padding={self.output_padding}"
        if self.groups != 1:
            shown += f", groups={self.groups}"
        if self.bias is None:
            shown += ", bias=False"
        if self.padding_mode != "zeros":
            shown += f", padding_mode={self.padding_mode}"
        return shown

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("padding_mode", "zeros")


def _check(
    in_channels: int,
    out_channels: int,
    stride: tuple[int, ...],
    padding: str | tuple[int, ...],
    groups: int,
    padding_mode: str,
) -> None:
    if groups <= 0:
        raise ValueError(f"groups must be a positive integer, got {groups}")
    if in_channels % groups != 0:
        raise ValueError(f"in_channels must be divisible by groups, got {in_channels} and groups={groups}")
    if out_channels % groups != 0:
        raise ValueError(f"out_channels must be divisible by groups, got {out_channels} and groups={groups}")
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(f"Invalid padding string {padding!r}, should be one of ('same', 'valid')")
        if padding == "same" and any(step != 1 for step in stride):
            raise ValueError("padding='same' is not supported for strided convolutions")
    if padding_mode not in _PADDING_MODES:
        raise ValueError(f"padding_mode must be one of {_PADDING_MODES}, but got padding_mode='{padding_mode}'")


def _explicit_padding(
    padding: str | tuple[int, ...], kernel_size: tuple[int, ...], dilation: tuple[int, ...]
) -> list[int] | tuple[int, ...]:
    """The padding before and after each dimension, last dimension first, as `pad` takes it."""
    if not isinstance(padding, str):
        return _reverse_repeat_tuple(padding, 2)
    explicit: list[int] = []
    for step, size in zip(reversed(dilation), reversed(kernel_size), strict=True):
        total = step * (size - 1) if padding == "same" else 0
        explicit += [total // 2, total - total // 2]
    return explicit


class _Conv(_ConvNd):
    """Convolutions proper: they differ in the number of dimensions only."""

    _spatial: int
    _function: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: size_any,
        stride: size_any = 1,
        padding: str | size_any = 0,
        dilation: size_any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        sizes = _ntuple(self._spatial)
        super().__init__(
            in_channels,
            out_channels,
            sizes(kernel_size),
            sizes(stride),
            padding if isinstance(padding, str) else sizes(padding),
            sizes(dilation),
            False,
            sizes(0),
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = (0,) * self._spatial
        return self._function(input, weight, bias, self.stride, padding, self.dilation, self.groups)

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight, self.bias)


class Conv1d(_Conv):
    """Cross-correlation: y[n, o] = bias[o] + sum over input channels i of weight[o, i] * x[n, i].

    Args:
        in_channels, out_channels: numbers of channels, both divisible by `groups`.
        kernel_size: size of the kernel, an int or one for each dimension (so too the next three).
        stride: step of the kernel. Default: 1.
        padding: added at both ends; "valid" is 0, "same" keeps the size (stride 1 only). Default: 0.
        dilation: distance of the kernel's taps. Default: 1.
        groups: blocks of channels that do not see each other. Default: 1.
        bias: whether there is a bias. Default: True.
        padding_mode: "zeros", "reflect", "replicate" or "circular". Default: "zeros".

    Shape:
        Input (N, C_in, L) or (C_in, L), output (N, C_out, L_out) or (C_out, L_out),
        L_out = floor((L + 2 padding - dilation (kernel_size - 1) - 1) / stride + 1);
        weight (out_channels, in_channels / groups, kernel_size).

    Raises:
        ValueError: channels not divisible by groups, an unknown padding, "same" with a stride.

    Example:
        >>> import flambeau as torch
        >>> torch.nn.Conv1d(16, 33, 3, stride=2)(torch.ones(20, 16, 50)).shape
        torch.Size([20, 33, 24])
    """

    _spatial = 1
    _function: Any = staticmethod(F.conv1d)


class Conv2d(_Conv):
    """Cross-correlation of images (N, C, H, W) or (C, H, W); arguments and sizes as of Conv1d.

    Example:
        >>> import flambeau as torch
        >>> torch.nn.Conv2d(3, 8, (3, 5), padding="same")(torch.ones(1, 3, 7, 9)).shape
        torch.Size([1, 8, 7, 9])
    """

    _spatial = 2
    _function: Any = staticmethod(F.conv2d)


class Conv3d(_Conv):
    """Cross-correlation of volumes (N, C, D, H, W) or (C, D, H, W); arguments and sizes as of Conv1d."""

    _spatial = 3
    _function: Any = staticmethod(F.conv3d)


class _ConvTransposeNd(_ConvNd):
    """Transposed convolutions: they differ in the number of dimensions only."""

    _spatial: int
    _function: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: size_any,
        stride: size_any = 1,
        padding: size_any = 0,
        output_padding: size_any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: size_any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        sizes = _ntuple(self._spatial)
        super().__init__(
            in_channels,
            out_channels,
            sizes(kernel_size),
            sizes(stride),
            sizes(padding),
            sizes(dilation),
            True,
            sizes(output_padding),
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """`output_size` chooses among the sizes that convolve to the input's; it overrides `output_padding`."""
        padding = self.output_padding if output_size is None else self._output_padding(input, output_size)
        return self._function(
            input, self.weight, self.bias, self.stride, self.padding, padding, self.groups, self.dilation
        )

    def _output_padding(self, input: Tensor, output_size: Sequence[int]) -> list[int]:
        spatial = self._spatial
        other = input.dim() - spatial
        if len(output_size) == input.dim():
            output_size = output_size[other:]
        if len(output_size) != spatial:
            raise ValueError(
                f"ConvTranspose{spatial}D: for {input.dim()}D input, output_size must have {spatial} or "
                f"{input.dim()} elements (got {len(output_size)})"
            )
        padding: Any = self.padding  # transposed convolutions have no padding by name
        smallest = [
            (size - 1) * step - 2 * pad + gap * (kernel - 1) + 1
            for size, step, pad, gap, kernel in zip(
                input.shape[other:], self.stride, padding, self.dilation, self.kernel_size, strict=True
            )
        ]
        largest = [size + step - 1 for size, step in zip(smallest, self.stride, strict=True)]
        for size, low, high in zip(output_size, smallest, largest, strict=True):
            if size < low or size > high:
                raise ValueError(
                    f"requested an output size of {output_size}, but valid sizes range from {smallest} to {largest} "
                    f"(for an input of {input.size()[2:]})"
                )
        return [size - low for size, low in zip(output_size, smallest, strict=True)]


class ConvTranspose1d(_ConvTransposeNd):
    """The gradient of Conv1d with respect to its input, as a layer ("deconvolution"; Zeiler et al., 2010).

    Args:
        in_channels, out_channels, kernel_size, groups, bias, dilation: as of Conv1d.
        stride: step of the output. Default: 1.
        padding: dilation (kernel_size - 1) - padding zeros are added at both ends. Default: 0.
        output_padding: added to one end of the output's size, since several sizes convolve to one. Default: 0.
        padding_mode: "zeros" only (else ValueError).

    Shape:
        Input (N, C_in, L) or (C_in, L), output (N, C_out, L_out),
        L_out = (L - 1) stride - 2 padding + dilation (kernel_size - 1) + output_padding + 1;
        weight (in_channels, out_channels / groups, kernel_size).

    Example:
        >>> import flambeau as torch
        >>> up = torch.nn.ConvTranspose1d(4, 2, 3, stride=2)
        >>> up(torch.ones(1, 4, 5)).shape, up(torch.ones(1, 4, 5), output_size=(12,)).shape
        (torch.Size([1, 2, 11]), torch.Size([1, 2, 12]))
    """

    _spatial = 1
    _function: Any = staticmethod(F.conv_transpose1d)


class ConvTranspose2d(_ConvTransposeNd):
    """Transposed convolution of (N, C, H, W) or (C, H, W); arguments as of ConvTranspose1d."""

    _spatial = 2
    _function: Any = staticmethod(F.conv_transpose2d)


class ConvTranspose3d(_ConvTransposeNd):
    """Transposed convolution of (N, C, D, H, W) or (C, D, H, W); arguments as of ConvTranspose1d."""

    _spatial = 3
    _function: Any = staticmethod(F.conv_transpose3d)


class _LazyConvXdMixin(LazyModuleMixin):
    """The number of input channels is that of the first input."""

    weight: Any
    bias: Any

    def _defer(self, out_channels: int, bias: bool, device: Any, dtype: Any) -> None:
        """Put uninitialized tensors in place of the empty ones that the constructor made for no channels."""
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_channels = out_channels
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        if not self.has_uninitialized_params() and self.in_channels != 0:
            super().reset_parameters()  # type: ignore[misc]

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        if not self.has_uninitialized_params():
            return
        self.in_channels = self._get_in_channels(input)
        if self.in_channels % self.groups != 0:  # type: ignore[attr-defined]
            raise ValueError("in_channels must be divisible by groups")
        self.weight.materialize(self._weight_shape())  # type: ignore[attr-defined]
        if self.bias is not None:
            self.bias.materialize((self.out_channels,))
        self.reset_parameters()

    def _get_in_channels(self, input: Tensor) -> int:
        unbatched = self._spatial + 1  # type: ignore[attr-defined]
        if input.dim() not in (unbatched, unbatched + 1):
            raise RuntimeError(
                f"Expected {unbatched}D (unbatched) or {unbatched + 1}D (batched) input to {type(self).__name__}, but "
                f"got input of size: {input.shape}"
            )
        return input.shape[-unbatched]


class _LazyConv(_LazyConvXdMixin):
    def __init__(
        self,
        out_channels: int,
        kernel_size: size_any,
        stride: size_any = 1,
        padding: str | size_any = 0,
        dilation: size_any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(0, 0, kernel_size, stride, padding, dilation, groups, False, padding_mode, device, dtype)
        self._defer(out_channels, bias, device, dtype)


class _LazyConvTranspose(_LazyConvXdMixin):
    def __init__(
        self,
        out_channels: int,
        kernel_size: size_any,
        stride: size_any = 1,
        padding: size_any = 0,
        output_padding: size_any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: size_any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        sizes = (kernel_size, stride, padding, output_padding)
        super().__init__(0, 0, *sizes, groups, False, dilation, padding_mode, device, dtype)
        self._defer(out_channels, bias, device, dtype)


class LazyConv1d(_LazyConv, Conv1d):
    """A Conv1d that takes `in_channels` from its first input.

    Example:
        >>> import flambeau as torch
        >>> layer = torch.nn.LazyConv1d(4, 3)
        >>> layer(torch.ones(1, 2, 5)).shape, layer
        (torch.Size([1, 4, 3]), Conv1d(2, 4, kernel_size=(3,), stride=(1,)))
    """

    cls_to_become = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    """A Conv2d that takes `in_channels` from its first input."""

    cls_to_become = Conv2d


class LazyConv3d(_LazyConv, Conv3d):
    """A Conv3d that takes `in_channels` from its first input."""

    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyConvTranspose, ConvTranspose1d):
    """A ConvTranspose1d that takes `in_channels` from its first input."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConvTranspose, ConvTranspose2d):
    """A ConvTranspose2d that takes `in_channels` from its first input."""

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConvTranspose, ConvTranspose3d):
    """A ConvTranspose3d that takes `in_channels` from its first input."""

    cls_to_become = ConvTranspose3d
