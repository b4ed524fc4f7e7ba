"""A loss by intersection over union, the distance of centres and the ratio of sides: Zheng et al. 2020,
https://arxiv.org/abs/1911.08287."""

from __future__ import annotations

from flambeau import _api as torch
from flambeau.vision.ops._losses import as_floats, iou_and_union, reduced_over_boxes
from flambeau.vision.ops._pairs import aspect_penalty, distance_penalty

Tensor = torch.Tensor


def complete_box_iou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """1 - complete IoU of boxes (N, 4), or (4,), pair by pair. `reduction` is "none", "mean" or "sum"; `eps` is added
    to the divisor of the weight that the ratio of sides has, to the other divisors 1e-7.

    Raises:
        ValueError: for another reduction.

    Example::

        >>> box = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
        >>> complete_box_iou_loss(box, box)
        tensor([1.1921e-07])
    """
    a, b = as_floats(boxes1), as_floats(boxes2)
    iou, _ = iou_and_union(a, b, 1e-7)
    loss = 1 - iou + distance_penalty(a, b, 1e-7) + aspect_penalty(a, b, iou, eps)
    return reduced_over_boxes(loss, reduction)
