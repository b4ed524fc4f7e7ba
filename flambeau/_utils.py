"""`torch._utils`: tensors made one, as libraries that exchange gradients or keep copies of parameters do it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau import _api as torch


def _flatten_dense_tensors(tensors: Sequence[Any]) -> Any:
    """The elements of all tensors, one after the other.

    Example::

        >>> _flatten_dense_tensors([torch.ones(2, 1), torch.zeros(1)])
        tensor([1., 1., 0.])
    """
    return torch.cat([t.contiguous().view(-1) for t in tensors])


def _unflatten_dense_tensors(flat: Any, tensors: Sequence[Any]) -> tuple[Any, ...]:
    """Views of a flat tensor in the shapes of others: the inverse.

    Example::

        >>> _unflatten_dense_tensors(torch.arange(3), [torch.ones(2, 1), torch.zeros(1)])
        (tensor([[0],
                [1]]), tensor([2]))
    """
    parts = flat.split([t.numel() for t in tensors])
    return tuple([part.view(t.shape) for part, t in zip(parts, tensors, strict=True)])
