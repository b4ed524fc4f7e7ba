"""SqueezeNet: Iandola et al. 2016, https://arxiv.org/abs/1602.07360."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau import nn
from flambeau.vision.models._weights import Tensor, built, classes_for, published, register

SqueezeNet1_0_Weights = published("SqueezeNet1_0_Weights", "squeezenet1_0-b66bff10.pth")
SqueezeNet1_1_Weights = published("SqueezeNet1_1_Weights", "squeezenet1_1-b8a52dc0.pth")


class Fire(nn.Module):
    """Few channels, then many from 1 x 1 and 3 x 3 convolutions side by side."""

    def __init__(self, inplanes: int, squeeze_planes: int, expand_planes: int) -> None:
        super().__init__()
        self.inplanes = inplanes
        self.squeeze = nn.Conv2d(inplanes, squeeze_planes, 1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand_planes, 1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand_planes, 3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        wide = self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))
        return torch.cat(wide, 1)


def _features(version: str) -> nn.Sequential:
    """The convolutions: the fires are the same but for the first one's input; version 1.1 pools earlier."""
    first = nn.Conv2d(3, 96, 7, stride=2) if version == "1_0" else nn.Conv2d(3, 64, 3, stride=2)
    sizes = [
        (first.out_channels, 16, 64), (128, 16, 64), (128, 32, 128), (256, 32, 128), (256, 48, 192), (384, 48, 192),
        (384, 64, 256), (512, 64, 256),
    ]  # fmt: skip
    pooled_before = (3, 7) if version == "1_0" else (2, 4)
    layers: list[nn.Module] = [first, nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, ceil_mode=True)]
    for place, size in enumerate(sizes):
        layers += [nn.MaxPool2d(3, 2, ceil_mode=True)] if place in pooled_before else []
        layers.append(Fire(*size))
    return nn.Sequential(*layers)


class SqueezeNet(nn.Module):
    """`version` is "1_0", or "1_1" with its 2.4 times less work; pictures (N, 3, H, W) to (N, num_classes)."""

    def __init__(self, version: str = "1_0", num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        if version not in ("1_0", "1_1"):
            raise ValueError(f"Unsupported SqueezeNet version {version}: 1_0 or 1_1 expected")
        self.num_classes = num_classes
        self.features = _features(version)
        last = nn.Conv2d(512, num_classes, 1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), last, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                if module is last:
                    nn.init.normal_(module.weight, mean=0.0, std=0.01)
                else:
                    nn.init.kaiming_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.classifier(self.features(x)), 1)


@register
def squeezenet1_0(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> SqueezeNet:
    """SqueezeNet 1.0, 1,248,424 parameters."""
    return built(SqueezeNet("1_0", **classes_for(weights, kwargs)), weights, SqueezeNet1_0_Weights)


@register
def squeezenet1_1(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> SqueezeNet:
    """SqueezeNet 1.1, 1,235,496 parameters."""
    return built(SqueezeNet("1_1", **classes_for(weights, kwargs)), weights, SqueezeNet1_1_Weights)
