"""A loss by generalised intersection over union: Rezatofighi et al. 2019, https://arxiv.org/abs/1902.09630."""

from __future__ import annotations

from flambeau import _api as torch
from flambeau.vision.ops._losses import as_floats, iou_and_union, reduced_over_boxes
from flambeau.vision.ops._pairs import enclosing_penalty

Tensor = torch.Tensor


def generalized_box_iou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """1 - generalised IoU of boxes (N, 4), or (4,), pair by pair; 0 to 2. `reduction` is "none", "mean" or "sum"; `eps`
    is added to what is divided by.

    Raises:
        ValueError: for another reduction.

    Example::

        >>> box = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
        >>> generalized_box_iou_loss(box, box + torch.tensor([3.0, 0.0, 3.0, 0.0]))
        tensor([1.5000])
    """
    a, b = as_floats(boxes1), as_floats(boxes2)
    iou, union = iou_and_union(a, b, eps)
    return reduced_over_boxes(1 - (iou - enclosing_penalty(a, b, union, eps)), reduction)
