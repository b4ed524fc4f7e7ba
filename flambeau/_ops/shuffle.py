"""Rearrangements between channels and space: pixel shuffle and its inverse, channel shuffle."""

from __future__ import annotations

from typing import Any

from flambeau._core import errors
from flambeau._core.sites import user_site
from flambeau._ops._spatial import in_format_of
from flambeau._ops.arguments import check_tensor
from flambeau._ops.convert import copy_of
from flambeau._ops.registry import composite
from flambeau._ops.strided import owner

TOP_LEVEL = ("pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle")


def _fail(message: str) -> None:
    raise RuntimeError(errors.explain(message, site=user_site(3)))


def _check_pixels(input: Any, factor: int, op: str, what: str) -> None:
    check_tensor(input, op)
    if input.dim() < 3:
        _fail(f"{op} expects input to have at least 3 dimensions, but got input with {input.dim()} dimension(s)")
    if factor <= 0:
        _fail(f"{op} expects a positive {what}, but got {factor}")


def _merged(parts: Any, shape: tuple[int, ...], input: Any) -> Any:
    """A copy of `parts` with dimensions merged to `shape`, channels innermost if those of `input` are."""
    return in_format_of(owner(copy_of(parts, False).reshape(shape)), input)


@composite(node_name="PixelShuffleBackward0", shows=("input",), namespace="nn.functional", method=False)
def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """(..., C r^2, H, W) to (..., C, H r, W r): every pixel becomes an r x r block, r being `upscale_factor`.

    Source: W. Shi et al., Real-Time Single Image and Video Super-Resolution, 2016. RuntimeError if C r^2 does not fit.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.pixel_shuffle(torch.arange(4).reshape(4, 1, 1), 2)
        tensor([[[0, 1],
                 [2, 3]]])
    """
    r = int(upscale_factor)
    _check_pixels(input, r, "pixel_shuffle", "upscale_factor")
    *lead, channels, height, width = input.shape
    if channels % (r * r):
        _fail(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, "
            "but "
            f"input.size(-3)={channels} is not divisible by {r * r}"
        )
    c, n = channels // (r * r), len(lead)
    blocks = input.reshape(*lead, c, r, r, height, width).permute(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return _merged(blocks, (*lead, c, height * r, width * r), input)


@composite(node_name="PixelUnshuffleBackward0", shows=("input",), namespace="nn.functional", method=False)
def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """(..., C, H r, W r) to (..., C r^2, H, W): the inverse of `pixel_shuffle`, r being `downscale_factor`.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.pixel_unshuffle(torch.arange(4).reshape(1, 2, 2), 2).shape
        torch.Size([4, 1, 1])
    """
    r = int(downscale_factor)
    _check_pixels(input, r, "pixel_unshuffle", "downscale_factor")
    *lead, channels, height, width = input.shape
    for name, dim, size in (("height", -2, height), ("width", -1, width)):
        if size % r:
            _fail(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but input.size({dim})={size} "
                f"is not "
                f"divisible by {r}"
            )
    n = len(lead)
    blocks = input.reshape(*lead, channels, height // r, r, width // r, r).permute(
        *range(n), n, n + 2, n + 4, n + 1, n + 3
    )
    return _merged(blocks, (*lead, channels * r * r, height // r, width // r), input)


@composite(namespace="nn.functional", method=False, aliases=("native_channel_shuffle",))
def channel_shuffle(input: Any, groups: int) -> Any:
    """Channels of (N, C, ...) interleaved over `groups`: group by group becomes one of each group in turn.

    RuntimeError if `groups` does not divide C.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.channel_shuffle(torch.arange(4).reshape(1, 4, 1), 2).flatten()
        tensor([0, 2, 1, 3])
    """
    check_tensor(input, "channel_shuffle")
    groups = int(groups)
    if input.dim() <= 2:
        _fail(f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(input.shape)}")
    if groups <= 0:
        _fail(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
    n, channels, *space = input.shape
    if channels % groups:
        _fail(f"Number of channels must be divisible by groups. Got {channels} channels and {groups} groups.")
    in_turn = input.reshape(n, groups, channels // groups, *space).transpose(1, 2)
    return _merged(in_turn, (n, channels, *space), input)


native_channel_shuffle = channel_shuffle
