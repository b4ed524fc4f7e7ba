"""Boxes: formats, areas, overlaps, and which of many that overlap to keep.

A box is (x1, y1, x2, y2) with x1 <= x2 and y1 <= y2, in pixels, unless a `fmt` says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau import _api as torch
from flambeau._core.errors import explain
from flambeau._core.lazy import lazy_module
from flambeau.vision.ops import _formats
from flambeau.vision.ops._pairs import aspect_penalty, distance_penalty, enclosing_penalty, intersection, upcast

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

Tensor = torch.Tensor


# ------------------------------------------------------------------------------------- non-maximum suppression


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Non-maximum suppression: the indices of the boxes to keep, int64, the best first.

    From the best score down, each box that is still there is kept, and those that share with it more than
    `iou_threshold` of their union are dropped. `boxes` is (N, 4), `scores` (N,); of equal scores the first counts more.

    Raises:
        RuntimeError: for other shapes, or other counts.

    Example::

        >>> boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9], [5.0, 5.0, 6.0, 6.0]])
        >>> nms(boxes, torch.tensor([0.8, 0.9, 0.3]), 0.5)
        tensor([1, 2])
    """
    _check_scored(boxes, scores)
    order = _best_first(scores)
    return order[torch.from_numpy(_survivors(_values(boxes[order]), iou_threshold))]


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """Non-maximum suppression within each category by itself: `idxs` (N,) has the category of each box. Gives the
    indices of all that are kept, the best first.

    Raises:
        RuntimeError: as `nms`.

    Example::

        >>> boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9]])
        >>> batched_nms(boxes, torch.tensor([0.8, 0.9]), torch.tensor([0, 1]), 0.5)
        tensor([1, 0])
    """
    _check_scored(boxes, scores)
    order = _best_first(scores)
    values, categories = _values(boxes[order]), idxs[order].numpy()
    kept = [np.zeros(0, np.int64)]
    for category in np.unique(categories):
        places = np.flatnonzero(categories == category)
        kept.append(places[_survivors(values[places], iou_threshold)])
    return order[torch.from_numpy(np.sort(np.concatenate(kept)))]


def _check_scored(boxes: Tensor, scores: Tensor) -> None:
    if boxes.dim() != 2:
        raise RuntimeError(f"boxes should be a 2d tensor, got {boxes.dim()}D")
    if boxes.shape[1] != 4:
        raise RuntimeError(f"boxes should have 4 elements in dimension 1, got {boxes.shape[1]}")
    if scores.dim() != 1:
        raise RuntimeError(f"scores should be a 1d tensor, got {scores.dim()}D")
    if len(boxes) != len(scores):
        counts = f"{len(boxes)} and {len(scores)}"
        raise RuntimeError(f"boxes and scores should have same number of elements in dimension 0, got {counts}")


def _best_first(scores: Tensor) -> Tensor:
    return torch.sort(scores.detach(), stable=True, descending=True).indices


def _values(boxes: Tensor) -> Any:
    return upcast(boxes.detach()).numpy()


def _survivors(boxes: Any, threshold: float) -> Any:
    """Which of NumPy's boxes (N, 4), the best first, are kept. Each choice depends on those before it, so this is a
    loop; it has a turn for every box kept, not for every box."""
    limit = np.float64(threshold)  # a plain float would be rounded to the dtype of the boxes
    x1, y1, x2, y2 = boxes.T
    columns = np.stack((x1, y1, x2, y2, (x2 - x1) * (y2 - y1)))
    places, kept = np.arange(len(boxes)), []
    with np.errstate(divide="ignore", invalid="ignore"):  # of two boxes without area the share is nan: both stay
        while len(places):
            kept.append(places[0])
            x1, y1, x2, y2, area = columns[:, 0]
            places, columns = places[1:], columns[:, 1:]
            width = np.minimum(x2, columns[2]) - np.maximum(x1, columns[0])
            height = np.minimum(y2, columns[3]) - np.maximum(y1, columns[1])
            shared = np.maximum(width, 0) * np.maximum(height, 0)
            dropped = shared / (area + columns[4] - shared) > limit
            if dropped.any():
                places, columns = places[~dropped], columns[:, ~dropped]
    return np.array(kept, np.int64)


# ---------------------------------------------------------------------------------------------- formats, sizes


def box_convert(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """Boxes in another format; the last dimension has 4, 5 or 8 numbers a box.

    - "xyxy": corners; "xywh": a corner, width and height; "cxcywh": the centre, width and height;
    - "xywhr", "cxcywhr": the same, turned by r degrees counterclockwise; "xyxyxyxy": the four corners of such a box.

    Raises:
        ValueError: for a format that is none of these.
        NotImplementedError: from an upright format to a turned one, or back.

    Example::

        >>> box_convert(torch.tensor([2.0, 3.0, 4.0, 6.0]), "cxcywh", "xyxy")
        tensor([0., 0., 4., 6.])
    """
    known = _formats.UPRIGHT + _formats.TURNED
    fact = f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt {out_fmt}"
    if in_fmt not in known or out_fmt not in known:
        raise ValueError(explain(fact, hint=f"the formats are {', '.join(known)}"))
    if in_fmt == out_fmt:
        return boxes.clone()
    if (in_fmt in _formats.UPRIGHT) != (out_fmt in _formats.UPRIGHT):
        hint = "a format of upright boxes can become xyxy, xywh or cxcywh; a turned one xywhr, cxcywhr or xyxyxyxy"
        raise NotImplementedError(explain(fact, hint=hint))
    return _formats.converted(boxes, in_fmt, out_fmt)


def box_area(boxes: Tensor, fmt: str = "xyxy") -> Tensor:
    """The areas (...) of boxes (..., 4), at least in float32 or int32; `fmt` is "xyxy", "xywh" or "cxcywh".

    Raises:
        ValueError: for another format.

    Example::

        >>> box_area(torch.tensor([[0.0, 0.0, 2.0, 3.0]]))
        tensor([6.])
    """
    if fmt not in _formats.UPRIGHT:
        hint = f"the formats are {', '.join(_formats.UPRIGHT)}"
        raise ValueError(explain(f"Unsupported Bounding Box area for given format {fmt}", hint=hint))
    boxes = upcast(boxes)
    if fmt == "xyxy":
        return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    return boxes[..., 2] * boxes[..., 3]


def remove_small_boxes(boxes: Tensor, min_size: float) -> Tensor:
    """The indices of the boxes (N, 4) whose two sides are both at least `min_size`.

    Example::

        >>> remove_small_boxes(torch.tensor([[0.0, 0.0, 9.0, 1.0], [0.0, 0.0, 3.0, 3.0]]), 2)
        tensor([1])
    """
    return torch.where((boxes[..., 2:] - boxes[..., :2] >= min_size).all(-1))[0]


def clip_boxes_to_image(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (..., 4) cut off at the edges of a picture of `size` (height, width).

    Example::

        >>> clip_boxes_to_image(torch.tensor([[-1.0, 2.0, 9.0, 30.0]]), (20, 8))
        tensor([[ 0.,  2.,  8., 20.]])
    """
    height, width = size
    x, y = boxes[..., 0::2].clamp(min=0, max=width), boxes[..., 1::2].clamp(min=0, max=height)
    return torch.stack((x, y), -1).reshape(boxes.shape)


def masks_to_boxes(masks: Tensor) -> Tensor:
    """The boxes (N, 4), float32, of the first and last column and row that are not zero in masks (N, H, W). A mask that
    is zero all over has the box 0, 0, 0, 0.

    Example::

        >>> mask = torch.zeros(1, 5, 5)
        >>> mask[0, 1:3, 2:5] = 1
        >>> masks_to_boxes(mask)
        tensor([[2., 1., 4., 2.]])
    """
    if masks.numel() == 0:
        return torch.zeros(0, 4)
    filled = masks.bool()
    (x1, x2), (y1, y2) = (_first_and_last(filled.any(dim)) for dim in (1, 2))
    boxes = torch.stack((x1, y1, x2, y2), 1).float()
    return torch.where(filled.flatten(1).any(1)[:, None], boxes, 0.0)


def _first_and_last(marked: Tensor) -> tuple[Tensor, Tensor]:
    """The first and the last place that is marked in each row of (N, length)."""
    marks = marked.int()
    return marks.argmax(1), marked.shape[1] - 1 - marks.flip(1).argmax(1)


# ---------------------------------------------------------------------------------------------------- overlaps


def box_iou(boxes1: Tensor, boxes2: Tensor, fmt: str = "xyxy") -> Tensor:
    """Intersection over union of every box of (..., N, 4) with every one of (..., M, 4): (..., N, M). `fmt` is "xyxy",
    "xywh" or "cxcywh".

    Raises:
        ValueError: for a format that is none.
        NotImplementedError: for the formats of turned boxes.

    Example::

        >>> box_iou(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[1.0, 0.0, 3.0, 2.0], [5.0, 5.0, 6.0, 6.0]]))
        tensor([[0.3333, 0.0000]])
    """
    if fmt in _formats.TURNED:
        hint = "for upright boxes: xyxy, xywh or cxcywh"
        raise NotImplementedError(explain(f"box_iou of turned boxes, fmt={fmt!r}, is not implemented", hint=hint))
    if fmt not in _formats.UPRIGHT:
        raise ValueError(f"Unsupported format '{fmt}'. Supported axis-aligned formats: {_formats.UPRIGHT}.")
    inter, union = _inter_union(boxes1, boxes2, fmt)
    return inter / union


def generalized_box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """`box_iou`, less the part of the smallest box around both that neither fills: -1 to 1, (..., N, M). Rezatofighi et
    al. 2019, https://arxiv.org/abs/1902.09630.

    Example::

        >>> generalized_box_iou(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([[3.0, 0.0, 4.0, 1.0]]))
        tensor([[-0.5000]])
    """
    inter, union = _inter_union(boxes1, boxes2)
    return inter / union - enclosing_penalty(*_each_with_each(boxes1, boxes2), union)


def distance_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """`box_iou`, less the squared distance of the centres in squared diagonals of the smallest box around both,
    (..., N, M). Zheng et al. 2020, https://arxiv.org/abs/1911.08287. `eps` is added to the diagonals.

    Example::

        >>> distance_box_iou(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([[2.0, 0.0, 3.0, 1.0]]))
        tensor([[-0.4000]])
    """
    boxes1, boxes2 = upcast(boxes1), upcast(boxes2)
    return box_iou(boxes1, boxes2) - distance_penalty(*_each_with_each(boxes1, boxes2), eps)


def complete_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """`distance_box_iou`, less how much the ratios of width to height differ, (..., N, M). Zheng et al. 2020,
    https://arxiv.org/abs/1911.08287.

    Example::

        >>> complete_box_iou(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
        tensor([[1.]])
    """
    boxes1, boxes2 = upcast(boxes1), upcast(boxes2)
    iou, (a, b) = box_iou(boxes1, boxes2), _each_with_each(boxes1, boxes2)
    return iou - distance_penalty(a, b, eps) - aspect_penalty(a, b, iou, eps)


def _each_with_each(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    return boxes1[..., :, None, :], boxes2[..., None, :, :]


def _inter_union(boxes1: Tensor, boxes2: Tensor, fmt: str = "xyxy") -> tuple[Tensor, Tensor]:
    """The areas of the intersection and of the union of each pair, (..., N, M)."""
    areas = box_area(boxes1, fmt)[..., :, None] + box_area(boxes2, fmt)[..., None, :]
    if fmt != "xyxy":
        boxes1, boxes2 = _formats.converted(boxes1, fmt, "xyxy"), _formats.converted(boxes2, fmt, "xyxy")
    inter = intersection(*_each_with_each(boxes1, boxes2))
    return inter, areas - inter
