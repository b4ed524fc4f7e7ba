"""DropBlock: Ghiasi et al. 2018, https://arxiv.org/abs/1810.12890."""

from __future__ import annotations

import math

from flambeau import _api as torch
from flambeau import nn
from flambeau.nn import functional as F

Tensor = torch.Tensor


def drop_block2d(
    input: Tensor, p: float, block_size: int, inplace: bool = False, eps: float = 1e-6, training: bool = True
) -> Tensor:
    """Squares of `block_size` dropped from each channel of `input` (N, C, H, W), so many that of an element the
    probability is about `p`; what is kept is scaled so that the mean stays. Unchanged where not `training`. A block is
    no greater than the picture; `eps` is added to the number of elements kept.

    Raises:
        ValueError: for `p` not within 0 and 1, another number of dimensions, or an even block size.

    Example::

        >>> drop_block2d(torch.ones(1, 1, 3, 3), 1.0, 3).sum()
        tensor(0.)
    """
    return _drop_block(input, 2, p, block_size, inplace, eps, training)


def drop_block3d(
    input: Tensor, p: float, block_size: int, inplace: bool = False, eps: float = 1e-6, training: bool = True
) -> Tensor:
    """`drop_block2d` of cubes, from `input` (N, C, D, H, W).

    Example::

        >>> drop_block3d(torch.ones(1, 1, 3, 3, 3), 0.5, 3, training=False).sum()
        tensor(27.)
    """
    return _drop_block(input, 3, p, block_size, inplace, eps, training)


def _drop_block(
    input: Tensor, dims: int, p: float, block_size: int, inplace: bool, eps: float, training: bool
) -> Tensor:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}.")
    if input.dim() != dims + 2:
        raise ValueError(f"input should be {dims + 2} dimensional. Got {input.dim()} dimensions.")
    if not training or p == 0.0:
        return input
    sizes = input.shape[2:]
    block = min(block_size, *sizes)
    if block % 2 == 0:
        raise ValueError(f"block size should be odd. Got {block} which is even.")
    kept = _kept(input, block, p * math.prod(sizes) / block**dims)
    scale = kept.numel() / (eps + kept.sum())
    return input.mul_(kept).mul_(scale) if inplace else input * kept * scale


def _kept(input: Tensor, block: int, dropped: float) -> Tensor:
    """0 in the blocks, 1 elsewhere. Their centres lie where a whole block fits; `dropped` is how many of them there are
    in a channel, on average."""
    places = [size - block + 1 for size in input.shape[2:]]
    centres = torch.empty(*input.shape[:2], *places, dtype=input.dtype).bernoulli_(dropped / math.prod(places))
    centres = F.pad(centres, [block // 2] * (2 * len(places)))
    pool = F.max_pool2d if len(places) == 2 else F.max_pool3d
    return 1 - pool(centres, block, stride=1, padding=block // 2)


class DropBlock2d(nn.Module):
    """`drop_block2d` as a module; it changes nothing after `.eval()`."""

    def __init__(self, p: float, block_size: int, inplace: bool = False, eps: float = 1e-6) -> None:
        super().__init__()
        self.p, self.block_size, self.inplace, self.eps = p, block_size, inplace, eps

    def forward(self, input: Tensor) -> Tensor:
        return drop_block2d(input, self.p, self.block_size, self.inplace, self.eps, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, block_size={self.block_size}, inplace={self.inplace}"


class DropBlock3d(DropBlock2d):
    """`drop_block3d` as a module; it changes nothing after `.eval()`."""

    def forward(self, input: Tensor) -> Tensor:
        return drop_block3d(input, self.p, self.block_size, self.inplace, self.eps, self.training)
