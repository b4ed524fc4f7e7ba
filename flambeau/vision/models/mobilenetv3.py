"""MobileNetV3: Howard et al. 2019, https://arxiv.org/abs/1905.02244, its tables 1 and 2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from flambeau import _api as torch
from flambeau import nn
from flambeau.vision.models import _weights
from flambeau.vision.models._utils import _make_divisible
from flambeau.vision.models._weights import Tensor, built, classes_for, published, register
from flambeau.vision.ops.misc import Conv2dNormActivation, SqueezeExcitation

MobileNet_V3_Large_Weights = published(
    "MobileNet_V3_Large_Weights", "mobilenet_v3_large-8738ca79.pth", "mobilenet_v3_large-5c1a4163.pth"
)
MobileNet_V3_Small_Weights = published("MobileNet_V3_Small_Weights", "mobilenet_v3_small-047dcff4.pth")


class Stage(NamedTuple):
    """A row of the paper's tables."""

    inputs: int
    kernel: int
    expanded: int
    outputs: int
    squeeze: bool
    hard_swish: bool
    stride: int


LARGE = tuple(
    Stage(*row)
    for row in (
        (16, 3, 16, 16, False, False, 1), (16, 3, 64, 24, False, False, 2), (24, 3, 72, 24, False, False, 1),
        (24, 5, 72, 40, True, False, 2), (40, 5, 120, 40, True, False, 1), (40, 5, 120, 40, True, False, 1),
        (40, 3, 240, 80, False, True, 2), (80, 3, 200, 80, False, True, 1), (80, 3, 184, 80, False, True, 1),
        (80, 3, 184, 80, False, True, 1), (80, 3, 480, 112, True, True, 1), (112, 3, 672, 112, True, True, 1),
        (112, 5, 672, 160, True, True, 2), (160, 5, 960, 160, True, True, 1), (160, 5, 960, 160, True, True, 1),
    )
)  # fmt: skip
SMALL = tuple(
    Stage(*row)
    for row in (
        (16, 3, 16, 16, True, False, 2), (16, 3, 72, 24, False, False, 2), (24, 3, 88, 24, False, False, 1),
        (24, 5, 96, 40, True, True, 2), (40, 5, 240, 40, True, True, 1), (40, 5, 240, 40, True, True, 1),
        (40, 5, 120, 48, True, True, 1), (48, 5, 144, 48, True, True, 1), (48, 5, 288, 96, True, True, 2),
        (96, 5, 576, 96, True, True, 1), (96, 5, 576, 96, True, True, 1),
    )
)  # fmt: skip

_norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)


class InvertedResidual(nn.Module):
    """Expand, convolve each channel by itself, weigh channels, project back."""

    def __init__(self, stage: Stage, norm_layer: Callable[[int], nn.Module]) -> None:
        super().__init__()
        if stage.stride not in (1, 2):
            raise ValueError(f"stride should be 1 or 2 instead of {stage.stride}")
        activation = nn.Hardswish if stage.hard_swish else nn.ReLU
        conv = partial(Conv2dNormActivation, norm_layer=norm_layer)
        layers: list[nn.Module] = []
        if stage.expanded != stage.inputs:
            layers.append(conv(stage.inputs, stage.expanded, 1, activation_layer=activation))
        layers.append(
            conv(
                stage.expanded,
                stage.expanded,
                stage.kernel,
                stage.stride,
                groups=stage.expanded,
                activation_layer=activation,
            )
        )
        if stage.squeeze:
            squeezed = _make_divisible(stage.expanded // 4, 8)
            layers.append(SqueezeExcitation(stage.expanded, squeezed, scale_activation=nn.Hardsigmoid))
        layers.append(conv(stage.expanded, stage.outputs, 1, activation_layer=None))
        self.block = nn.Sequential(*layers)
        self.use_res_connect = stage.stride == 1 and stage.inputs == stage.outputs
        self.out_channels = stage.outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x) if self.use_res_connect else self.block(x)


class MobileNetV3(nn.Module):
    """Pictures (N, 3, H, W) to scores (N, num_classes)."""

    def __init__(
        self, stages: Sequence[Stage], last_channel: int, num_classes: int = 1000,
        norm_layer: Callable[[int], nn.Module] | None = None, dropout: float = 0.2,
    ) -> None:  # fmt: skip
        super().__init__()
        norm = norm_layer or _norm
        conv = partial(Conv2dNormActivation, norm_layer=norm, activation_layer=nn.Hardswish)
        last = 6 * stages[-1].outputs
        first = conv(3, stages[0].inputs, 3, 2)
        blocks = [InvertedResidual(stage, norm) for stage in stages]
        self.features = nn.Sequential(first, *blocks, conv(stages[-1].outputs, last, 1))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(last, last_channel), nn.Hardswish(inplace=True), nn.Dropout(p=dropout, inplace=True),
            nn.Linear(last_channel, num_classes),
        )  # fmt: skip
        _weights.initialize_convolutions(self)
        _weights.initialize_linear(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def _mobilenet(base: Sequence[Stage], last: int, weights: Any, kind: Any, kwargs: dict[str, Any]) -> MobileNetV3:
    width = kwargs.pop("width_mult", 1.0)
    stages = []
    for stage in base:
        channels = (stage.inputs, stage.expanded, stage.outputs)
        inputs, expanded, outputs = (_make_divisible(n * width, 8) for n in channels)
        stages.append(stage._replace(inputs=inputs, expanded=expanded, outputs=outputs))
    return built(MobileNetV3(stages, _make_divisible(last * width, 8), **classes_for(weights, kwargs)), weights, kind)


@register
def mobilenet_v3_large(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> MobileNetV3:
    """MobileNetV3-Large, 5,483,032 parameters; `width_mult` scales all channels."""
    return _mobilenet(LARGE, 1280, weights, MobileNet_V3_Large_Weights, kwargs)


@register
def mobilenet_v3_small(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> MobileNetV3:
    """MobileNetV3-Small, 2,542,856 parameters; `width_mult` scales all channels."""
    return _mobilenet(SMALL, 1024, weights, MobileNet_V3_Small_Weights, kwargs)
