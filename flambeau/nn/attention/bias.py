"""Masks of causal attention for `scaled_dot_product_attention` (`torch.nn.attention.bias`)."""

from __future__ import annotations

import enum
import warnings

from flambeau import _api as torch

__all__ = ["CausalBias", "CausalVariant", "causal_lower_right", "causal_upper_left"]


class CausalVariant(enum.IntEnum):
    """Which corner of the scores the diagonal starts from, where there are not as many keys as queries."""

    UPPER_LEFT = 1
    LOWER_RIGHT = 2


class CausalBias(torch.Tensor):
    """A mask that is true where a query may look: at keys up to its own place, counted from the first of both
    (`UPPER_LEFT`) or from the last (`LOWER_RIGHT`). It is a tensor of bools, of shape (seq_len_q, seq_len_kv).

    UserWarning for a mask that lets some queries look nowhere.

    Example::

        >>> import flambeau as torch
        >>> from flambeau.nn.attention.bias import CausalBias, CausalVariant
        >>> CausalBias(CausalVariant.LOWER_RIGHT, 2, 3).tolist()
        [[True, True, False], [True, True, True]]
    """

    variant: CausalVariant
    seq_len_q: int
    seq_len_kv: int

    def __new__(cls, variant: CausalVariant, seq_len_q: int, seq_len_kv: int) -> CausalBias:
        if not isinstance(variant, CausalVariant):
            raise AssertionError(f"variant must be a CausalVariant, got {type(variant).__name__}")
        below = seq_len_kv - seq_len_q if variant is CausalVariant.LOWER_RIGHT else 0
        if below < 0:
            warnings.warn(
                "Lower right causal bias will produce NaNs in the output when seq_len_q > seq_len_kv!", stacklevel=2
            )
        made = torch.ones(seq_len_q, seq_len_kv, dtype=torch.bool).tril(below)
        made.__class__ = cls
        made.variant, made.seq_len_q, made.seq_len_kv = variant, seq_len_q, seq_len_kv
        return made

    def __init__(self, variant: CausalVariant, seq_len_q: int, seq_len_kv: int) -> None:
        pass


def causal_upper_left(*size: int) -> CausalBias:
    """The mask of a causal model, of shape `size`: (queries, keys).

    Example::

        >>> causal_upper_left(2, 3).tolist()
        [[True, False, False], [True, True, False]]
    """
    return _of_size(CausalVariant.UPPER_LEFT, size)


def causal_lower_right(*size: int) -> CausalBias:
    """The mask of a causal model whose last query is at the last key, of shape `size`: (queries, keys).

    Example::

        >>> causal_lower_right(2, 3).tolist()
        [[True, True, False], [True, True, True]]
    """
    return _of_size(CausalVariant.LOWER_RIGHT, size)


def _of_size(variant: CausalVariant, size: tuple[int, ...]) -> CausalBias:
    if len(size) != 2:
        raise AssertionError("causal_upper_left and causal_lower_right only support 2D tensors")
    return CausalBias(variant, *size)
