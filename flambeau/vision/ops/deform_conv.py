"""Deformable convolution: Dai et al. 2017, https://arxiv.org/abs/1703.06211, with the masks of Zhu et al. 2018,
https://arxiv.org/abs/1811.11168."""

from __future__ import annotations

from flambeau import _api as torch
from flambeau import nn
from flambeau._core.errors import explain
from flambeau.nn import functional as F
from flambeau.nn.modules.linear import reset_weight_and_bias
from flambeau.nn.modules.utils import _pair

Tensor = torch.Tensor
Size = int | tuple[int, int]


def deform_conv2d(
    input: Tensor, offset: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Size = (1, 1),
    padding: Size = (0, 0), dilation: Size = (1, 1), mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """A convolution whose kernel looks, at each place of the result, `offset` away from its usual places, between
    pixels by bilinear interpolation; outside the picture there are zeros.

    `input` is (N, C, H, W), `weight` (O, C / groups, kh, kw), `offset` (N, 2 * G * kh * kw, H', W') with y before x for
    each of G groups of channels and each place of the kernel, `mask` (N, G * kh * kw, H', W') what the values found are
    multiplied by. The result is (N, O, H', W'). Gradients go to all five tensors.

    Raises:
        RuntimeError: for shapes that do not fit.

    Example::

        >>> picture, weight = torch.arange(16.0).reshape(1, 1, 4, 4), torch.ones(1, 1, 1, 1)
        >>> deform_conv2d(picture, torch.full((1, 2, 4, 4), 0.5), weight)[0, 0, 0]
        tensor([2.5000, 3.5000, 4.5000, 2.5000])
    """
    kernel, groups = weight.shape[-2:], input.shape[1] // weight.shape[1]
    found = _looked_up(input, _places(input, offset, kernel, _pair(stride), _pair(padding), _pair(dilation)))
    if mask is not None:
        found = _masked(found, mask)
    columns = found.flatten(4).reshape(len(input), groups, -1, found.shape[-2] * found.shape[-1])
    result = (weight.reshape(groups, weight.shape[0] // groups, -1) @ columns).flatten(1, 2)
    result = result.unflatten(2, found.shape[-2:])
    return result if bias is None else result + bias[:, None, None]


def _places(
    input: Tensor, offset: Tensor, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int],
    dilation: tuple[int, int],
) -> Tensor:  # fmt: skip
    """Where the kernel looks, (N, G, kh * kw, H', W', 2), y before x, in pixels."""
    sizes = [
        (size + 2 * pad - step * (length - 1) - 1) // move + 1
        for size, pad, step, length, move in zip(input.shape[2:], padding, dilation, kernel, stride, strict=True)
    ]
    taps = kernel[0] * kernel[1]
    if offset.dim() != 4 or not offset.shape[1] or offset.shape[1] % (2 * taps) or list(offset.shape[2:]) != sizes:
        fact = (
            f"the shape of the offset tensor, {tuple(offset.shape)}, is not valid: expected a multiple of "
            f"2 * weight.size[2] * weight.size[3] = {2 * taps} at dimension 1, and then {sizes[0]} and {sizes[1]}"
        )
        raise RuntimeError(explain(fact, hint="height and width are those of the result"))
    y, x = (
        torch.arange(length)[:, None] * step + torch.arange(size) * move - pad
        for length, step, size, move, pad in zip(kernel, dilation, sizes, stride, padding, strict=True)
    )
    y, x = torch.broadcast_tensors(y[:, None, :, None], x[None, :, None, :])
    usual = torch.stack((y.flatten(0, 1), x.flatten(0, 1)), -1)
    return usual + offset.unflatten(1, (-1, taps, 2)).movedim(3, -1)


def _looked_up(input: Tensor, places: Tensor) -> Tensor:
    """The values there, (N, G, C / G, kh * kw, H', W')."""
    count, groups, taps, height, width, _ = places.shape
    if input.shape[1] % groups:
        raise RuntimeError(f"the {input.shape[1]} channels of input cannot be parted into {groups} groups of offsets")
    sizes = torch.tensor(input.shape[2:])
    grid = ((2 * places + 1) / sizes - 1).flip(-1)  # from -1 at the one edge to 1 at the other, x before y
    grid = grid.reshape(count * groups, taps * height, width, 2)
    pictures = input.reshape(count * groups, -1, *input.shape[2:])
    found = F.grid_sample(pictures, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return found.reshape(count, groups, -1, taps, height, width)


def _masked(found: Tensor, mask: Tensor) -> Tensor:
    count, groups, _, taps, height, width = found.shape
    if tuple(mask.shape) != (count, groups * taps, height, width):
        wanted = (count, groups * taps, height, width)
        raise RuntimeError(f"mask has the shape {tuple(mask.shape)}, expected {wanted}, as there are offsets")
    return found * mask.unflatten(1, (groups, 1, taps))


class DeformConv2d(nn.Module):
    """`deform_conv2d` with a `weight` and a `bias` of its own, which begin as a `Conv2d`'s; the offsets, and masks, are
    given to it.

    Raises:
        ValueError: if `groups` does not divide the numbers of channels.

    Example::

        >>> DeformConv2d(3, 5, 3, padding=1)(torch.ones(1, 3, 8, 8), torch.zeros(1, 18, 8, 8)).shape
        torch.Size([1, 5, 8, 8])
    """

    bias: Tensor | None

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1, padding: Size = 0,
        dilation: Size = 1, groups: int = 1, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"{name} must be divisible by groups")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = _pair(kernel_size), _pair(stride)
        self.padding, self.dilation = _pair(padding), _pair(dilation)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, *self.kernel_size))
        if bias:
            self.bias = nn.Parameter(torch.empty(out_channels))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        reset_weight_and_bias(self.weight, self.bias)

    def forward(self, input: Tensor, offset: Tensor, mask: Tensor | None = None) -> Tensor:
        return deform_conv2d(
            input, offset, self.weight, self.bias, self.stride, self.padding, self.dilation, mask
        )  # fmt: skip

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        text += f", padding={self.padding}" if self.padding != (0, 0) else ""
        text += f", dilation={self.dilation}" if self.dilation != (1, 1) else ""
        text += f", groups={self.groups}" if self.groups != 1 else ""
        return text + (", bias=False" if self.bias is None else "")
