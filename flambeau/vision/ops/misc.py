"""Layers that networks for pictures are put together from."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from flambeau import _api as torch
from flambeau import nn

Tensor = torch.Tensor


class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation (N, num_features, H, W) by fixed statistics and a fixed affine map: four buffers, `weight`,
    `bias`, `running_mean` and `running_var`, and no parameters. Reads the state of a `BatchNorm2d`.

    Example::

        >>> FrozenBatchNorm2d(3)(torch.ones(1, 3, 2, 2)).shape
        torch.Size([1, 3, 2, 2])
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", torch.ones(num_features))
        self.register_buffer("bias", torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        state_dict.pop(prefix + "num_batches_tracked", None)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale[:, None, None] + shift[:, None, None]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.weight.shape[0]}, eps={self.eps})"


class ConvNormActivation(nn.Sequential):
    """What `Conv2dNormActivation` and `Conv3dNormActivation` are; `conv_layer` is their class of convolutions."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | tuple[int, ...] = 3,
        stride: int | tuple[int, ...] = 1, padding: int | tuple[int, ...] | str | None = None, groups: int = 1,
        norm_layer: Callable[..., nn.Module] | None = nn.BatchNorm2d,
        activation_layer: Callable[..., nn.Module] | None = nn.ReLU, dilation: int | tuple[int, ...] = 1,
        inplace: bool | None = True, bias: bool | None = None, conv_layer: Callable[..., nn.Module] = nn.Conv2d,
    ) -> None:  # fmt: skip
        if padding is None:
            padding = _padding_that_keeps_the_size(kernel_size, dilation)
        biased = norm_layer is None if bias is None else bias
        layers = [
            conv_layer(
                in_channels, out_channels, kernel_size, stride, padding, dilation=dilation, groups=groups, bias=biased
            )
        ]
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            layers.append(activation_layer(**_in_place(inplace)))
        super().__init__(*layers)
        self.out_channels = out_channels
        if type(self) is ConvNormActivation:
            instead = "please use Conv2dNormActivation and Conv3dNormActivation instead."
            warnings.warn(f"Don't use ConvNormActivation directly, {instead}", stacklevel=2)


class Conv2dNormActivation(ConvNormActivation):
    """A convolution, a norm and an activation, in a row.

    `padding` None keeps the size where the stride is 1 and the kernel is odd. `norm_layer` and `activation_layer` may
    be None, for none; the convolution has a bias where there is no norm, unless `bias` says so. `inplace` is given to
    the activation, unless it is None.

    Example::

        >>> [type(layer).__name__ for layer in Conv2dNormActivation(3, 8)]
        ['Conv2d', 'BatchNorm2d', 'ReLU']
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | tuple[int, int] = 3,
        stride: int | tuple[int, int] = 1, padding: int | tuple[int, int] | str | None = None, groups: int = 1,
        norm_layer: Callable[..., nn.Module] | None = nn.BatchNorm2d,
        activation_layer: Callable[..., nn.Module] | None = nn.ReLU, dilation: int | tuple[int, int] = 1,
        inplace: bool | None = True, bias: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, groups, norm_layer, activation_layer, dilation,
            inplace, bias, nn.Conv2d,
        )  # fmt: skip


class Conv3dNormActivation(ConvNormActivation):
    """`Conv2dNormActivation` of films (N, C, D, H, W)."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | tuple[int, int, int] = 3,
        stride: int | tuple[int, int, int] = 1, padding: int | tuple[int, int, int] | str | None = None,
        groups: int = 1, norm_layer: Callable[..., nn.Module] | None = nn.BatchNorm3d,
        activation_layer: Callable[..., nn.Module] | None = nn.ReLU, dilation: int | tuple[int, int, int] = 1,
        inplace: bool | None = True, bias: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, groups, norm_layer, activation_layer, dilation,
            inplace, bias, nn.Conv3d,
        )  # fmt: skip


class SqueezeExcitation(nn.Module):
    """Weigh channels by what the whole picture says: Hu et al. 2018, https://arxiv.org/abs/1709.01507.

    `activation` and `scale_activation` are called for the two activations, by default ReLU and sigmoid.

    Example::

        >>> SqueezeExcitation(8, 2)(torch.ones(1, 8, 4, 4)).shape
        torch.Size([1, 8, 4, 4])
    """

    def __init__(
        self, input_channels: int, squeeze_channels: int, activation: Callable[..., nn.Module] = nn.ReLU,
        scale_activation: Callable[..., nn.Module] = nn.Sigmoid,
    ) -> None:  # fmt: skip
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1)
        self.activation = activation()
        self.scale_activation = scale_activation()

    def forward(self, input: Tensor) -> Tensor:
        return self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(input))))) * input


class MLP(nn.Sequential):
    """Linear layers of the widths `hidden_channels`, each with dropout, and between two a norm and an activation.

    Example::

        >>> MLP(4, [8, 2])(torch.ones(5, 4)).shape
        torch.Size([5, 2])
    """

    def __init__(
        self, in_channels: int, hidden_channels: Sequence[int], norm_layer: Callable[..., nn.Module] | None = None,
        activation_layer: Callable[..., nn.Module] = nn.ReLU, inplace: bool | None = None, bias: bool = True,
        dropout: float = 0.0,
    ) -> None:  # fmt: skip
        options = _in_place(inplace)
        layers: list[nn.Module] = []
        for width in hidden_channels[:-1]:
            layers.append(nn.Linear(in_channels, width, bias=bias))
            if norm_layer is not None:
                layers.append(norm_layer(width))
            layers += [activation_layer(**options), nn.Dropout(dropout, **options)]
            in_channels = width
        last = nn.Linear(in_channels, hidden_channels[-1], bias=bias)
        super().__init__(*layers, last, nn.Dropout(dropout, **options))


class Permute(nn.Module):
    """The dimensions in another order.

    Example::

        >>> Permute([0, 2, 1])(torch.zeros(2, 3, 4)).shape
        torch.Size([2, 4, 3])
    """

    def __init__(self, dims: list[int]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        return torch.permute(x, self.dims)


def _in_place(inplace: bool | None) -> dict[str, bool]:
    return {} if inplace is None else {"inplace": inplace}


def _padding_that_keeps_the_size(kernel: int | Sequence[int], dilation: int | Sequence[int]) -> int | tuple[int, ...]:
    if isinstance(kernel, int) and isinstance(dilation, int):
        return (kernel - 1) // 2 * dilation
    dims = len(kernel) if not isinstance(kernel, int) else len(dilation)  # type: ignore[arg-type]
    kernels = [kernel] * dims if isinstance(kernel, int) else kernel
    dilations = [dilation] * dims if isinstance(dilation, int) else dilation
    return tuple((k - 1) // 2 * d for k, d in zip(kernels, dilations, strict=True))
