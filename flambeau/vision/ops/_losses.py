"""What the losses have in common."""

from __future__ import annotations

from flambeau import _api as torch
from flambeau.vision.ops._pairs import intersection
from flambeau.vision.ops.boxes import box_area

Tensor = torch.Tensor


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """All of `loss` ("none"), its mean or its sum; ValueError for another word."""
    if reduction not in ("none", "mean", "sum"):
        fact = f"Invalid Value for arg 'reduction': '{reduction}'\n Supported reduction modes: 'none', 'mean', 'sum'"
        raise ValueError(fact)
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


def reduced_over_boxes(loss: Tensor, reduction: str) -> Tensor:
    """The same; the mean over no boxes at all is 0, so that a picture without any does not spoil a batch."""
    return reduced(loss, "sum" if reduction == "mean" and not loss.numel() else reduction)


def as_floats(boxes: Tensor) -> Tensor:
    return boxes if boxes.dtype in (torch.float32, torch.float64) else boxes.float()


def iou_and_union(a: Tensor, b: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Intersection over union, and the union, of boxes (..., 4) pair by pair."""
    inter = intersection(a, b)
    inter = torch.where(inter > 0, inter, 0.0)  # boxes that only touch are not drawn further together
    union = box_area(a) + box_area(b) - inter
    return inter / (union + eps), union
