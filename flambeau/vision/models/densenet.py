"""DenseNet: Huang et al. 2016, https://arxiv.org/abs/1608.06993."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from flambeau import _api as torch
from flambeau import nn
from flambeau.vision.models._weights import Tensor, built, classes_for, initialize_convolutions, published, register

DenseNet121_Weights = published("DenseNet121_Weights", "densenet121-a639ec97.pth")
DenseNet161_Weights = published("DenseNet161_Weights", "densenet161-8d451a50.pth")
DenseNet169_Weights = published("DenseNet169_Weights", "densenet169-b2777c0a.pth")
DenseNet201_Weights = published("DenseNet201_Weights", "densenet201-c1103571.pth")

# Published files name the parts of a layer norm.1, conv.2: before modules could not have dots in their names.
OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.")


class DenseLayer(nn.Module):
    """`growth_rate` new channels from all the channels before."""

    def __init__(self, inputs: int, growth_rate: int, bn_size: int, drop_rate: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(inputs, bn_size * growth_rate, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(bn_size * growth_rate)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(bn_size * growth_rate, growth_rate, 3, padding=1, bias=False)
        self.drop_rate = float(drop_rate)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        narrow = self.conv1(self.relu1(self.norm1(torch.cat(list(features), 1))))
        new = self.conv2(self.relu2(self.norm2(narrow)))
        return nn.functional.dropout(new, self.drop_rate, self.training) if self.drop_rate > 0 else new


class DenseBlock(nn.ModuleDict):
    """Layers each of which sees what all before it have made."""

    def __init__(self, layers: int, inputs: int, bn_size: int, growth_rate: int, drop_rate: float) -> None:
        super().__init__()
        for i in range(layers):
            self.add_module(f"denselayer{i + 1}", DenseLayer(inputs + i * growth_rate, growth_rate, bn_size, drop_rate))

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.values():
            features.append(layer(features))
        return torch.cat(features, 1)


class Transition(nn.Sequential):
    """Between blocks: fewer channels, half the picture."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.pool = nn.AvgPool2d(2, 2)


class DenseNet(nn.Module):
    """Pictures (N, 3, H, W) to scores (N, num_classes). A state_dict with the published files' names loads too."""

    def __init__(
        self, growth_rate: int = 32, block_config: Sequence[int] = (6, 12, 24, 16), num_init_features: int = 64,
        bn_size: int = 4, drop_rate: float = 0, num_classes: int = 1000,
    ) -> None:  # fmt: skip
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(3, num_init_features, 7, 2, padding=3, bias=False))
        self.features.add_module("norm0", nn.BatchNorm2d(num_init_features))
        self.features.add_module("relu0", nn.ReLU(inplace=True))
        self.features.add_module("pool0", nn.MaxPool2d(3, 2, padding=1))
        channels = num_init_features
        for i, layers in enumerate(block_config, 1):
            self.features.add_module(f"denseblock{i}", DenseBlock(layers, channels, bn_size, growth_rate, drop_rate))
            channels += layers * growth_rate
            if i < len(block_config):
                self.features.add_module(f"transition{i}", Transition(channels, channels // 2))
                channels //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, num_classes)
        initialize_convolutions(self, mode="fan_in")
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        features = nn.functional.relu(self.features(x), inplace=True)
        pooled = nn.functional.adaptive_avg_pool2d(features, (1, 1))
        return self.classifier(torch.flatten(pooled, 1))

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        renamed = {OLD_NAME.sub(r"\1\2.", name): value for name, value in state_dict.items()}
        return super().load_state_dict(renamed, strict, assign)


def _densenet(
    growth: int, blocks: Sequence[int], first: int, weights: Any, kind: Any, kwargs: dict[str, Any]
) -> DenseNet:
    return built(DenseNet(growth, blocks, first, **classes_for(weights, kwargs)), weights, kind)


@register
def densenet121(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """DenseNet-121, 7,978,856 parameters."""
    return _densenet(32, (6, 12, 24, 16), 64, weights, DenseNet121_Weights, kwargs)


@register
def densenet161(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """DenseNet-161, 28,681,000 parameters."""
    return _densenet(48, (6, 12, 36, 24), 96, weights, DenseNet161_Weights, kwargs)


@register
def densenet169(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """DenseNet-169, 14,149,480 parameters."""
    return _densenet(32, (6, 12, 32, 32), 64, weights, DenseNet169_Weights, kwargs)


@register
def densenet201(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """DenseNet-201, 20,013,928 parameters."""
    return _densenet(32, (6, 12, 48, 32), 64, weights, DenseNet201_Weights, kwargs)
