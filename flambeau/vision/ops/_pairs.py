"""Pairs of boxes: what two boxes share, and how far they are apart.

Boxes are (..., 4), as x1, y1, x2, y2; the two shapes broadcast.
"""

from __future__ import annotations

import math

from flambeau import _api as torch

Tensor = torch.Tensor


def upcast(values: Tensor) -> Tensor:
    """In a dtype where a product of two sides does not overflow: at least float32, or int32."""
    if values.is_floating_point():
        return values if values.dtype in (torch.float32, torch.float64) else values.float()
    return values if values.dtype in (torch.int32, torch.int64) else values.int()


def intersection(a: Tensor, b: Tensor) -> Tensor:
    """The area that two boxes share."""
    sides = _sides(torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:]))
    return sides[..., 0] * sides[..., 1]


def enclosing_penalty(a: Tensor, b: Tensor, union: Tensor, eps: float = 0.0) -> Tensor:
    """The part of the smallest box around both that neither fills: https://arxiv.org/abs/1902.09630."""
    sides = _enclosing_sides(a, b)
    area = sides[..., 0] * sides[..., 1]
    return (area - union) / (area + eps)


def distance_penalty(a: Tensor, b: Tensor, eps: float) -> Tensor:
    """The squared distance of the centres, in squared diagonals of the smallest box around both: equation 7 of
    https://arxiv.org/abs/1911.08287."""
    sides = _enclosing_sides(a, b)
    diagonal = sides[..., 0] ** 2 + sides[..., 1] ** 2 + eps
    apart = (a[..., :2] + a[..., 2:]) / 2 - (b[..., :2] + b[..., 2:]) / 2
    return (apart[..., 0] ** 2 + apart[..., 1] ** 2) / diagonal


def aspect_penalty(a: Tensor, b: Tensor, iou: Tensor, eps: float) -> Tensor:
    """How much the ratios of width to height differ, weighed by the overlap; no gradient goes through the weight.
    Equations 8 to 11 of https://arxiv.org/abs/1911.08287."""
    difference = 4 / math.pi**2 * (_slope(a) - _slope(b)) ** 2
    with torch.no_grad():
        weight = difference / (1 - iou + difference + eps)
    return weight * difference


def _sides(low: Tensor, high: Tensor) -> Tensor:
    return upcast(high - low).clamp(min=0)


def _enclosing_sides(a: Tensor, b: Tensor) -> Tensor:
    """Width and height of the smallest box around both, (..., 2)."""
    return _sides(torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:]))


def _slope(boxes: Tensor) -> Tensor:
    """The angle of the diagonal against the height."""
    return torch.atan((boxes[..., 2] - boxes[..., 0]) / (boxes[..., 3] - boxes[..., 1]))
