"""Dropout (`nn.functional`; Srivastava et al. 2014). The masks are PyTorch's after the same seed: two words of the
generator each."""

from __future__ import annotations

from typing import Any

from flambeau._ops.convert import copy_of
from flambeau._ops.registry import composite


def _check(p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _apply(input: Any, p: float, training: bool, inplace: bool, mask_shape: tuple[int, ...] | None = None) -> Any:
    """Zero elements with probability `p` and scale the rest, so that the expectation stays."""
    _check(p)
    if not training or p == 0 or input.numel() == 0:
        return input
    # a mask as large as the input is laid out like it, and drawn in the order of memory
    mask = copy_of(input.detach(), True) if mask_shape is None else input.new_empty(mask_shape)
    mask = mask.zero_() if p == 1 else mask.bernoulli_(1 - p).div_(1 - p)
    return input.mul_(mask) if inplace else input * mask


@composite(method=False, namespace="nn.functional")
def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """While training, zero each element with probability `p` and divide the rest by 1 - p.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.dropout(torch.ones(2), training=False)
        tensor([1., 1.])
    """
    return _apply(input, p, training, inplace)


@composite(method=False, name="dropout")
def torch_dropout(input: Any, p: float, train: bool) -> Any:
    """`nn.functional.dropout` with all arguments required.

    Example::

        >>> import flambeau as torch
        >>> torch.dropout(torch.ones(2), 0.5, False)
        tensor([1., 1.])
    """
    return _apply(input, p, train, False)


def _channels(input: Any, spatial: int, batched: bool) -> tuple[int, ...]:
    """The shape of a mask with one element a channel."""
    lead = input.dim() - spatial if batched else 1
    return tuple(input.shape[:lead]) + (1,) * (input.dim() - lead)


@composite(method=False, namespace="nn.functional")
def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of [N, C, L] or [C, L].

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.dropout1d(torch.ones(1, 2, 3), training=False).shape
        torch.Size([1, 2, 3])
    """
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input: {list(input.shape)}"
        )
    return _apply(input, p, training, inplace, _channels(input, 1, True))


@composite(method=False, namespace="nn.functional")
def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of [N, C, H, W].

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.dropout2d(torch.ones(1, 2, 3, 3), training=False).shape
        torch.Size([1, 2, 3, 3])
    """
    return _apply(input, p, training, inplace, tuple(input.shape[:2]) + (1,) * (input.dim() - 2))


@composite(method=False, namespace="nn.functional")
def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of [N, C, D, H, W].

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.dropout3d(torch.ones(1, 2, 3, 3, 3), training=False).shape
        torch.Size([1, 2, 3, 3, 3])
    """
    return _apply(input, p, training, inplace, tuple(input.shape[:2]) + (1,) * (input.dim() - 2))


SELU_ALPHA = 1.7580993408473766


def _alpha(input: Any, p: float, training: bool, inplace: bool, shape: tuple[int, ...] | None) -> Any:
    """Dropped elements become SELU's negative limit, and mean and variance are kept (Klambauer et al. 2017)."""
    _check(p)
    if not training or p == 0 or input.numel() == 0:
        return input
    if p == 1:
        return input.mul_(0) if inplace else input * 0
    mask = (copy_of(input.detach(), True) if shape is None else input.new_empty(shape)).bernoulli_(1 - p)
    a = 1 / ((SELU_ALPHA**2 * p + 1) * (1 - p)) ** 0.5
    shift = (mask - 1) * (SELU_ALPHA * a) + SELU_ALPHA * a * p
    return input.mul_(mask * a).add_(shift) if inplace else input * (mask * a) + shift


@composite(method=False, namespace="nn.functional")
def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout for SELU networks, which keeps mean and variance.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.alpha_dropout(torch.ones(2))
        tensor([1., 1.])
    """
    return _alpha(input, p, training, inplace, None)


@composite(method=False, namespace="nn.functional")
def feature_alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """`alpha_dropout` of whole channels.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.feature_alpha_dropout(torch.ones(1, 2, 3))
        tensor([[[1., 1., 1.],
                 [1., 1., 1.]]])
    """
    return _alpha(input, p, training, inplace, tuple(input.shape[:2]) + (1,) * (input.dim() - 2))
