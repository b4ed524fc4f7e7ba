"""Mixing channels between groups."""

from __future__ import annotations

from flambeau import _api as torch
from flambeau.nn import functional as F

from .module import Module


class ChannelShuffle(Module):
    """(N, C, *) seen as `groups` groups of channels: the two are transposed (Zhang et al., 2017). C must be divisible.

    Example:
        >>> import flambeau as torch
        >>> torch.nn.ChannelShuffle(2)(torch.arange(4.0).view(1, 4, 1)).flatten().tolist()
        [0.0, 2.0, 1.0, 3.0]
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
