"""Boxes against loops in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest

import flambeau as torch
from flambeau.vision import ops

FORMATS = ("xyxy", "xywh", "cxcywh")


def some_boxes(count: int, seed: int = 0, size: float = 20.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    low = rng.random((count, 2)) * size
    return np.concatenate([low, low + 0.5 + rng.random((count, 2)) * size], 1)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def kept_by_a_loop(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(iou(boxes[i], boxes[j]) <= threshold for j in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 1.0])
def test_nms(threshold: float) -> None:
    boxes, scores = some_boxes(60), np.random.default_rng(1).random(60).round(1)  # with equal scores
    found = ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold)
    assert found.dtype == torch.int64 and found.tolist() == kept_by_a_loop(boxes, scores, threshold)


def test_nms_within_categories() -> None:
    rng = np.random.default_rng(1)
    boxes, scores, categories = some_boxes(60), rng.random(60), rng.integers(0, 4, 60)
    wanted = []
    for category in range(4):
        places = np.flatnonzero(categories == category)
        wanted += list(places[kept_by_a_loop(boxes[places], scores[places], 0.2)])
    found = ops.batched_nms(*map(torch.from_numpy, (boxes, scores, categories)), 0.2)
    assert found.tolist() == sorted(wanted, key=lambda i: -scores[i])


def test_nms_of_nothing_and_of_boxes_without_area() -> None:
    none = torch.zeros(0, 4)
    assert ops.nms(none, none[:, 0], 0.5).shape == ops.batched_nms(none, none[:, 0], none[:, 0], 0.5).shape == (0,)
    assert ops.nms(torch.zeros(3, 4), torch.arange(3.0), 0.5).tolist() == [2, 1, 0]


def test_the_threshold_of_nms_is_not_rounded_to_the_dtype_of_the_boxes() -> None:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 1.0], [0.0, 0.0, 1.0, 1.0]])  # they share a tenth, in float32 above 0.1
    assert ops.nms(boxes, torch.tensor([2.0, 1.0]), 0.1).tolist() == [0]


@pytest.mark.parametrize(
    ("boxes", "scores", "message"),
    [
        (torch.zeros(4), torch.zeros(1), "boxes should be a 2d tensor, got 1D"),
        (torch.zeros(2, 5), torch.zeros(2), "4 elements in dimension 1, got 5"),
        (torch.zeros(2, 4), torch.zeros(2, 1), "scores should be a 1d tensor, got 2D"),
        (torch.zeros(2, 4), torch.zeros(3), "same number of elements in dimension 0, got 2 and 3"),
    ],
)
def test_what_nms_refuses(boxes, scores, message) -> None:
    with pytest.raises(RuntimeError, match=message):
        ops.nms(boxes, scores, 0.5)


@pytest.mark.parametrize("fmt", FORMATS)
def test_overlaps(fmt: str) -> None:
    first, second = some_boxes(5), some_boxes(4, 1)
    given = [ops.box_convert(torch.from_numpy(boxes), "xyxy", fmt) for boxes in (first, second)]
    wanted = [[iou(a, b) for b in second] for a in first]
    np.testing.assert_allclose(ops.box_iou(*given, fmt).numpy(), wanted, rtol=1e-12)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in first]
    np.testing.assert_allclose(ops.box_area(given[0], fmt).numpy(), areas, rtol=1e-12)


def test_overlaps_with_penalties() -> None:
    first, second = some_boxes(5), some_boxes(4, 1)
    wanted = np.zeros((3, 5, 4))
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            width, height = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
            share, areas = iou(a, b), (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
            union = areas / (1 + share)
            apart = (a[0] + a[2] - b[0] - b[2]) ** 2 / 4 + (a[1] + a[3] - b[1] - b[3]) ** 2 / 4
            angles = [math.atan((box[2] - box[0]) / (box[3] - box[1])) for box in (a, b)]
            v = 4 / math.pi**2 * (angles[0] - angles[1]) ** 2
            distance = share - apart / (width**2 + height**2 + 1e-7)
            wanted[:, i, j] = (
                share - (width * height - union) / (width * height),
                distance,
                distance - v * v / (1 - share + v + 1e-7),
            )
    functions = (ops.generalized_box_iou, ops.distance_box_iou, ops.complete_box_iou)
    for function, expected in zip(functions, wanted, strict=True):
        found = function(torch.from_numpy(first), torch.from_numpy(second))
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_overlaps_have_gradients_and_batches() -> None:
    boxes = torch.from_numpy(some_boxes(6)).reshape(2, 3, 4)
    for function in (ops.box_iou, ops.generalized_box_iou, ops.distance_box_iou):
        a, b = boxes.clone().requires_grad_(), boxes.flip(1).requires_grad_()
        assert function(a, b).shape == (2, 3, 3) and torch.autograd.gradcheck(function, (a, b))


@pytest.mark.parametrize("fmt", FORMATS)
def test_formats_and_back(fmt: str) -> None:
    boxes = torch.from_numpy(some_boxes(5)).reshape(5, 1, 4)
    for other in FORMATS:
        there = ops.box_convert(boxes, fmt, other)
        assert torch.allclose(ops.box_convert(there, other, fmt), boxes) and there is not boxes


def test_turned_boxes() -> None:
    box = torch.tensor([[10.0, 10.0, 4.0, 2.0, 90.0]])  # turned upright: 2 wide and 4 high
    assert torch.allclose(ops.box_convert(box, "cxcywhr", "xywhr"), torch.tensor([[9.0, 12.0, 4.0, 2.0, 90.0]]))
    corners = ops.box_convert(box, "cxcywhr", "xyxyxyxy")
    assert torch.allclose(corners, torch.tensor([[9.0, 12.0, 9.0, 8.0, 11.0, 8.0, 11.0, 12.0]]))
    assert torch.allclose(ops.box_convert(corners, "xyxyxyxy", "cxcywhr"), box)
    whole = ops.box_convert(torch.tensor([[10, 10, 5, 7, 30]]), "cxcywhr", "xyxyxyxy")
    assert whole.dtype == torch.int64


def test_what_is_no_format() -> None:
    with pytest.raises(ValueError, match="in_fmt xyxy and out_fmt yxyx(.|\n)*cxcywhr"):
        ops.box_convert(torch.zeros(4), "xyxy", "yxyx")
    with pytest.raises(NotImplementedError, match="a turned one xywhr"):
        ops.box_convert(torch.zeros(4), "xyxy", "xywhr")
    with pytest.raises(ValueError, match="Bounding Box area"):
        ops.box_area(torch.zeros(4), "xywhr")
    with pytest.raises(ValueError, match="Unsupported format 'x'"):
        ops.box_iou(torch.zeros(1, 4), torch.zeros(1, 4), "x")
    with pytest.raises(NotImplementedError, match="turned"):
        ops.box_iou(torch.zeros(1, 5), torch.zeros(1, 5), "xywhr")


def test_areas_do_not_overflow() -> None:
    assert ops.box_area(torch.tensor([[0, 0, 100, 100]], dtype=torch.int8)).tolist() == [10_000]
    assert ops.box_area(torch.tensor([[0, 0, 300, 300]], dtype=torch.float16)).tolist() == [90_000.0]


def test_masks() -> None:
    masks = torch.zeros(3, 6, 7, dtype=torch.bool)
    masks[0, 2:5, 1:4] = masks[1, 5, 6] = True
    assert ops.masks_to_boxes(masks).tolist() == [[1, 2, 3, 4], [6, 5, 6, 5], [0, 0, 0, 0]]
    assert ops.masks_to_boxes(masks[:0]).shape == (0, 4)
