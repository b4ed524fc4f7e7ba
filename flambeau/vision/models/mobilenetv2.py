"""MobileNetV2: Sandler et al. 2018, https://arxiv.org/abs/1801.04381."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from flambeau import _api as torch
from flambeau import nn
from flambeau.vision.models import _weights
from flambeau.vision.models._utils import _make_divisible
from flambeau.vision.models._weights import Tensor, built, classes_for, published, register
from flambeau.vision.ops.misc import Conv2dNormActivation

MobileNet_V2_Weights = published("MobileNet_V2_Weights", "mobilenet_v2-b0353104.pth", "mobilenet_v2-7ebf99e0.pth")

# expansion, channels, repetitions, stride of the first
SETTING = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class InvertedResidual(nn.Module):
    """Expand, convolve each channel by itself, project back; a shortcut where the shape stays."""

    def __init__(
        self, inp: int, oup: int, stride: int, expand_ratio: float,
        norm_layer: Callable[[int], nn.Module] = nn.BatchNorm2d,
    ) -> None:  # fmt: skip
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride should be 1 or 2 instead of {stride}")
        hidden = int(round(inp * expand_ratio))
        conv = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.ReLU6)
        expand = [] if expand_ratio == 1 else [conv(inp, hidden, 1)]
        self.stride, self.out_channels = stride, oup
        self.use_res_connect = stride == 1 and inp == oup
        self.conv = nn.Sequential(
            *expand,
            conv(hidden, hidden, stride=stride, groups=hidden),
            nn.Conv2d(hidden, oup, 1, bias=False),
            norm_layer(oup),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    """Pictures (N, 3, H, W) to scores (N, num_classes); `width_mult` scales all channels."""

    def __init__(
        self, num_classes: int = 1000, width_mult: float = 1.0,
        inverted_residual_setting: Sequence[Sequence[int]] | None = None, round_nearest: int = 8,
        block: Callable[..., nn.Module] = InvertedResidual, norm_layer: Callable[[int], nn.Module] | None = None,
        dropout: float = 0.2,
    ) -> None:  # fmt: skip
        super().__init__()
        norm = norm_layer or nn.BatchNorm2d
        channels = _make_divisible(32 * width_mult, round_nearest)
        self.last_channel = _make_divisible(1280 * max(1.0, width_mult), round_nearest)
        conv = partial(Conv2dNormActivation, norm_layer=norm, activation_layer=nn.ReLU6)
        layers: list[nn.Module] = [conv(3, channels, stride=2)]
        for expansion, outputs, repetitions, first_stride in inverted_residual_setting or SETTING:
            outputs = _make_divisible(outputs * width_mult, round_nearest)
            for place in range(repetitions):
                stride = first_stride if place == 0 else 1
                layers.append(block(channels, outputs, stride, expand_ratio=expansion, norm_layer=norm))
                channels = outputs
        self.features = nn.Sequential(*layers, conv(channels, self.last_channel, 1))
        self.classifier = nn.Sequential(nn.Dropout(p=dropout), nn.Linear(self.last_channel, num_classes))
        _weights.initialize_convolutions(self)
        _weights.initialize_linear(self)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(torch.flatten(x, 1))


@register
def mobilenet_v2(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> MobileNetV2:
    """MobileNetV2, 3,504,872 parameters."""
    return built(MobileNetV2(**classes_for(weights, kwargs)), weights, MobileNet_V2_Weights)
