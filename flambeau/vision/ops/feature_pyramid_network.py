"""Feature pyramids: Lin et al. 2017, https://arxiv.org/abs/1612.03144."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from flambeau import _api as torch
from flambeau import nn
from flambeau.nn import functional as F
from flambeau.vision.ops.misc import Conv2dNormActivation

Tensor = torch.Tensor


class ExtraFPNBlock(nn.Module):
    """More levels for a pyramid. Takes its levels, the maps it was made from, and their names; gives the levels and the
    names, with its own at the end."""

    def forward(self, results: list[Tensor], x: list[Tensor], names: list[str]) -> tuple[list[Tensor], list[str]]:
        raise NotImplementedError


class FeaturePyramidNetwork(nn.Module):
    """Maps of features, each smaller than the one before, become maps with `out_channels` channels that know of all the
    smaller ones: each has the next smaller one, enlarged, added to it, and is convolved.

    `in_channels_list` has the channels of the maps. They come as an OrderedDict, and go as one of the same names, to
    which `extra_blocks` adds. `norm_layer` is called with the number of channels for the norms; None is for none.

    Raises:
        ValueError: if a map has no channels.
        TypeError: if `extra_blocks` is no `ExtraFPNBlock`.

    Example::

        >>> pyramid = FeaturePyramidNetwork([10, 20], 5)
        >>> maps = pyramid({"fine": torch.ones(1, 10, 16, 16), "coarse": torch.ones(1, 20, 8, 8)})
        >>> {name: tuple(map.shape) for name, map in maps.items()}
        {'fine': (1, 5, 16, 16), 'coarse': (1, 5, 8, 8)}
    """

    _version = 2

    def __init__(
        self, in_channels_list: Sequence[int], out_channels: int, extra_blocks: ExtraFPNBlock | None = None,
        norm_layer: Callable[..., nn.Module] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if 0 in in_channels_list:
            raise ValueError("in_channels=0 is currently not supported")
        if extra_blocks is not None and not isinstance(extra_blocks, ExtraFPNBlock):
            raise TypeError(f"extra_blocks should be of type ExtraFPNBlock not {type(extra_blocks)}")
        self.inner_blocks, self.layer_blocks = nn.ModuleList(), nn.ModuleList()
        for channels in in_channels_list:
            for blocks, inputs, kernel in ((self.inner_blocks, channels, 1), (self.layer_blocks, out_channels, 3)):
                blocks.append(
                    Conv2dNormActivation(inputs, out_channels, kernel, norm_layer=norm_layer, activation_layer=None)
                )
        _initialize(self)
        self.extra_blocks = extra_blocks

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *rest: Any
    ) -> None:
        if (local_metadata.get("version") or 1) < 2:  # the blocks were single convolutions then
            for place in range(len(self.inner_blocks)):
                for block in (f"{prefix}inner_blocks.{place}", f"{prefix}layer_blocks.{place}"):
                    for name in {"weight", "bias"} & {key.removeprefix(block + ".") for key in state_dict}:
                        state_dict[f"{block}.0.{name}"] = state_dict.pop(f"{block}.{name}")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        names, maps = list(x), list(x.values())
        merged: Tensor | None = None
        results: list[Tensor] = []
        for place in reversed(range(len(maps))):
            inner = self.inner_blocks[place](maps[place])
            above = 0 if merged is None else F.interpolate(merged, size=inner.shape[-2:], mode="nearest")
            merged = inner + above
            results.insert(0, self.layer_blocks[place](merged))
        if self.extra_blocks is not None:
            results, names = self.extra_blocks(results, maps, names)
        return OrderedDict(zip(names, results, strict=False))


class LastLevelMaxPool(ExtraFPNBlock):
    """One more level, "pool": every second pixel of the last."""

    def forward(self, results: list[Tensor], x: list[Tensor], names: list[str]) -> tuple[list[Tensor], list[str]]:
        return [*results, F.max_pool2d(results[-1], kernel_size=1, stride=2)], [*names, "pool"]


class LastLevelP6P7(ExtraFPNBlock):
    """Two more levels, "p6" and "p7", as RetinaNet has them: https://arxiv.org/abs/1708.02002. They are made from the
    last level if that has as many channels as the last map, else from that map."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.p6 = nn.Conv2d(in_channels, out_channels, 3, 2, 1)
        self.p7 = nn.Conv2d(out_channels, out_channels, 3, 2, 1)
        _initialize(self)
        self.use_P5 = in_channels == out_channels

    def forward(self, results: list[Tensor], x: list[Tensor], names: list[str]) -> tuple[list[Tensor], list[str]]:
        p6 = self.p6(results[-1] if self.use_P5 else x[-1])
        return [*results, p6, self.p7(F.relu(p6))], [*names, "p6", "p7"]


def _initialize(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_uniform_(layer.weight, a=1)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
