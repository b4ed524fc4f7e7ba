"""VGG: Simonyan and Zisserman 2014, https://arxiv.org/abs/1409.1556."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau import _api as torch
from flambeau import nn
from flambeau.vision.models._weights import (
    Tensor,
    built,
    classes_for,
    initialize_convolutions,
    initialize_linear,
    published,
    register,
)

# Channels of the 3 x 3 convolutions; "M" halves the picture.
LAYERS: dict[int, tuple[int | str, ...]] = {
    11: (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"),
    13: (64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"),
    16: (64, 64, "M", 128, 128, "M", *[256] * 3, "M", *[512] * 3, "M", *[512] * 3, "M"),
    19: (64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4, "M"),
}

VGG11_Weights = published("VGG11_Weights", "vgg11-8a719046.pth")
VGG13_Weights = published("VGG13_Weights", "vgg13-19584684.pth")
VGG16_Weights = published("VGG16_Weights", "vgg16-397923af.pth")
VGG19_Weights = published("VGG19_Weights", "vgg19-dcbb9e9d.pth")
VGG11_BN_Weights = published("VGG11_BN_Weights", "vgg11_bn-6002323d.pth")
VGG13_BN_Weights = published("VGG13_BN_Weights", "vgg13_bn-abd245e5.pth")
VGG16_BN_Weights = published("VGG16_BN_Weights", "vgg16_bn-6c64b313.pth")
VGG19_BN_Weights = published("VGG19_BN_Weights", "vgg19_bn-c79401a0.pth")


class VGG(nn.Module):
    """`features`, then three linear layers with dropout; pictures (N, 3, H, W) to scores (N, num_classes)."""

    def __init__(
        self, features: nn.Module, num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            initialize_convolutions(self)
            initialize_linear(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def make_layers(layers: Sequence[int | str], batch_norm: bool = False) -> nn.Sequential:
    """The convolutions of a VGG."""
    modules: list[nn.Module] = []
    channels = 3
    for layer in layers:
        if isinstance(layer, str):
            modules.append(nn.MaxPool2d(2, 2))
            continue
        norm = [nn.BatchNorm2d(layer)] if batch_norm else []
        modules += [nn.Conv2d(channels, layer, 3, padding=1), *norm, nn.ReLU(inplace=True)]
        channels = layer
    return nn.Sequential(*modules)


def _vgg(depth: int, norm: bool, weights: Any, kind: Any, kwargs: dict[str, Any]) -> VGG:
    if weights is not None:
        kwargs = {**kwargs, "init_weights": False}
    return built(VGG(make_layers(LAYERS[depth], norm), **classes_for(weights, kwargs)), weights, kind)


@register
def vgg11(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-11, 132,863,336 parameters."""
    return _vgg(11, False, weights, VGG11_Weights, kwargs)


@register
def vgg11_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-11 with batch norms, 132,868,840 parameters."""
    return _vgg(11, True, weights, VGG11_BN_Weights, kwargs)


@register
def vgg13(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-13, 133,047,848 parameters."""
    return _vgg(13, False, weights, VGG13_Weights, kwargs)


@register
def vgg13_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-13 with batch norms, 133,053,736 parameters."""
    return _vgg(13, True, weights, VGG13_BN_Weights, kwargs)


@register
def vgg16(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-16, 138,357,544 parameters."""
    return _vgg(16, False, weights, VGG16_Weights, kwargs)


@register
def vgg16_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-16 with batch norms, 138,365,992 parameters."""
    return _vgg(16, True, weights, VGG16_BN_Weights, kwargs)


@register
def vgg19(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-19, 143,667,240 parameters."""
    return _vgg(19, False, weights, VGG19_Weights, kwargs)


@register
def vgg19_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-19 with batch norms, 143,678,248 parameters."""
    return _vgg(19, True, weights, VGG19_BN_Weights, kwargs)
