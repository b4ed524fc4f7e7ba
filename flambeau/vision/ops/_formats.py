"""The six ways to write a box down, and from each to each.

Upright boxes are converted by way of their corners, turned ones by way of corner, sides and angle; none becomes one of
the other kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from flambeau import _api as torch

Tensor = torch.Tensor

UPRIGHT = ("xyxy", "xywh", "cxcywh")
TURNED = ("xywhr", "cxcywhr", "xyxyxyxy")


def converted(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """`boxes` in another format of the same kind; both formats are known ones."""
    hub = "xyxy" if in_fmt in UPRIGHT else "xywhr"
    if in_fmt != hub:
        boxes = WAYS[in_fmt].to_hub(boxes)
    return boxes if out_fmt == hub else WAYS[out_fmt].from_hub(boxes)


class Ways(NamedTuple):
    """From a format to the one in the middle, and back."""

    to_hub: Callable[[Tensor], Tensor]
    from_hub: Callable[[Tensor], Tensor]


def _xywh_to_xyxy(boxes: Tensor) -> Tensor:
    return torch.cat((boxes[..., :2], boxes[..., :2] + boxes[..., 2:]), -1)


def _xyxy_to_xywh(boxes: Tensor) -> Tensor:
    return torch.cat((boxes[..., :2], boxes[..., 2:] - boxes[..., :2]), -1)


def _cxcywh_to_xyxy(boxes: Tensor) -> Tensor:
    centre, half = boxes[..., :2], 0.5 * boxes[..., 2:]
    return torch.cat((centre - half, centre + half), -1)


def _xyxy_to_cxcywh(boxes: Tensor) -> Tensor:
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat(((low + high) / 2, high - low), -1)


# Turned boxes: the angle r is in degrees, counterclockwise in a picture whose y axis points down, so that the upper
# side of a box runs along (cos r, -sin r) and its left side along (sin r, cos r).


def _cxcywhr_to_xywhr(boxes: Tensor) -> Tensor:
    return _shifted(boxes, -0.5)


def _xywhr_to_cxcywhr(boxes: Tensor) -> Tensor:
    return _shifted(boxes, 0.5)


def _shifted(boxes: Tensor, sides: float) -> Tensor:
    """The point moved by so many of both sides."""
    x, y, w, h, r = boxes.unbind(-1)
    cos, sin = _direction(r)
    across, down = sides * w, sides * h
    moved = torch.stack((x + across * cos + down * sin, y - across * sin + down * cos, w, h, r), -1)
    return _as_given(moved, boxes)


def _xywhr_to_xyxyxyxy(boxes: Tensor) -> Tensor:
    x, y, w, h, r = boxes.unbind(-1)
    cos, sin = _direction(r)
    right, below = (w * cos, -w * sin), (h * sin, h * cos)
    corners = (
        (x, y),
        (x + right[0], y + right[1]),
        (x + right[0] + below[0], y + right[1] + below[1]),
        (x + below[0], y + below[1]),
    )
    return _as_given(torch.stack([coordinate for corner in corners for coordinate in corner], -1), boxes)


def _xyxyxyxy_to_xywhr(boxes: Tensor) -> Tensor:
    x1, y1, x2, y2, x3, y3, _, _ = boxes.unbind(-1)
    angle = torch.atan2(y1 - y2, x2 - x1) * 180 / math.pi
    width = ((x2 - x1) ** 2 + (y1 - y2) ** 2).sqrt()
    height = ((x3 - x2) ** 2 + (y3 - y2) ** 2).sqrt()
    return _as_given(torch.stack((x1, y1, width, height, angle), -1), boxes)


def _direction(degrees: Tensor) -> tuple[Tensor, Tensor]:
    radians = degrees * math.pi / 180.0
    return torch.cos(radians), torch.sin(radians)


def _as_given(values: Tensor, boxes: Tensor) -> Tensor:
    """Whole numbers stay whole."""
    return values if boxes.is_floating_point() else values.round().to(boxes.dtype)


WAYS = {
    "xywh": Ways(_xywh_to_xyxy, _xyxy_to_xywh),
    "cxcywh": Ways(_cxcywh_to_xyxy, _xyxy_to_cxcywh),
    "cxcywhr": Ways(_cxcywhr_to_xywhr, _xywhr_to_cxcywhr),
    "xyxyxyxy": Ways(_xyxyxyxy_to_xywhr, _xywhr_to_xyxyxyxy),
}
