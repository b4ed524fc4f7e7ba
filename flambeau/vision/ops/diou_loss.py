"""A loss by intersection over union and the distance of centres: Zheng et al. 2020, https://arxiv.org/abs/1911.08287."""

from __future__ import annotations

from flambeau import _api as torch
from flambeau.vision.ops._losses import as_floats, iou_and_union, reduced_over_boxes
from flambeau.vision.ops._pairs import distance_penalty

Tensor = torch.Tensor


def distance_box_iou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """1 - distance IoU of boxes (N, 4), or (4,), pair by pair. `reduction` is "none", "mean" or "sum"; `eps` is added
    to what is divided by.

    Raises:
        ValueError: for another reduction.

    Example::

        >>> box = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
        >>> distance_box_iou_loss(box, box + torch.tensor([2.0, 0.0, 2.0, 0.0]))
        tensor([1.4000])
    """
    a, b = as_floats(boxes1), as_floats(boxes2)
    iou, _ = iou_and_union(a, b, eps)
    return reduced_over_boxes(1 - iou + distance_penalty(a, b, eps), reduction)
