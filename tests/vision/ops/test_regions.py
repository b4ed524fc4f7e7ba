"""Regions of interest against loops over bins, samples and pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest

import flambeau as torch
from flambeau.vision import ops
from flambeau.vision.ops.poolers import LevelMapper

PICTURES = np.random.default_rng(0).standard_normal((3, 8, 9, 11))
ROIS = np.array(
    [[0, 3, 2, 30, 22], [2, 0, 0, 12, 9.5], [1, 5.5, 7, 7, 30], [2, -6, -5, 3, 4], [0, 30, 25, 70, 66], [1, 9, 9, 9, 9]]
)
SCALE = 0.25


def bilinear(picture: np.ndarray, y: float, x: float) -> float:
    height, width = picture.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    below, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = picture[top, left] * (left + 1 - x) + picture[top, right] * (x - left)
    lower = picture[below, left] * (left + 1 - x) + picture[below, right] * (x - left)
    return upper * (top + 1 - y) + lower * (y - top)


def averaged(picture: np.ndarray, corners: np.ndarray, bins: tuple[int, int], place: tuple[int, int], samples: int):
    """The mean of the samples in the bin at `place` of the region from `corners[0]` to `corners[1]`, (y, x)."""
    sizes = (corners[1] - corners[0]) / bins
    counts = [samples if samples > 0 else math.ceil(size) for size in sizes]
    starts = corners[0] + np.array(place) * sizes
    total = 0.0
    for i in range(counts[0]):
        for j in range(counts[1]):
            total += bilinear(picture, *(starts + (np.array([i, j]) + 0.5) * sizes / counts))
    return total / max(counts[0] * counts[1], 1)


def by_loops(bins: tuple[int, int], samples: int, aligned: bool, channel) -> np.ndarray:
    """`channel(c, p, q)` is the channel that channel c of bin (p, q) is taken from."""
    channels = len({channel(c, 0, 0) for c in range(8)} & set(range(8)))
    found = np.zeros((len(ROIS), channels, *bins))
    for k, roi in enumerate(ROIS):
        corners = roi[[2, 1, 4, 3]].reshape(2, 2) * SCALE - (0.5 if aligned else 0)
        if not aligned:
            corners[1] = np.maximum(corners[1], corners[0] + 1)
        for c, p, q in np.ndindex(channels, *bins):
            picture = PICTURES[int(roi[0]), channel(c, p, q)]
            found[k, c, p, q] = averaged(picture, corners, bins, (p, q), samples)
    return found


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("samples", [-1, 1, 3])
@pytest.mark.parametrize("bins", [(2, 2), (3, 1)])
def test_roi_align(bins: tuple[int, int], samples: int, aligned: bool) -> None:
    found = ops.roi_align(torch.from_numpy(PICTURES), torch.from_numpy(ROIS), bins, SCALE, samples, aligned)
    wanted = by_loops(bins, samples, aligned, lambda c, p, q: c)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-10, atol=1e-12)
    module = ops.RoIAlign(bins, SCALE, samples, aligned)
    assert torch.allclose(module(torch.from_numpy(PICTURES), torch.from_numpy(ROIS)), found)


@pytest.mark.parametrize("samples", [-1, 2])
def test_roi_align_by_position(samples: int) -> None:
    pictures, rois = torch.from_numpy(PICTURES), torch.from_numpy(ROIS)
    found = ops.ps_roi_align(pictures, rois, (2, 2), SCALE, samples)
    wanted = by_loops((2, 2), samples, True, lambda c, p, q: (c * 2 + p) * 2 + q)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-10, atol=1e-12)


def whole(value: float) -> int:
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def pooled_by_loops(bins: tuple[int, int], ends: int, last: int, of_pixels, channel, channels: int) -> np.ndarray:
    """`ends` is 1 if the last pixel belongs to a region, `last` how many rows and columns of a picture do not count."""
    found = np.zeros((len(ROIS), channels, *bins))
    height, width = (size - last for size in PICTURES.shape[2:])
    for k, roi in enumerate(ROIS):
        left, top, right, bottom = (whole(value * SCALE) for value in roi[1:])
        tall, wide = max(bottom - top + ends, 1), max(right - left + ends, 1)
        for c, p, q in np.ndindex(channels, *bins):
            rows, columns = (
                (max(start + place * size // count, 0), min(start - (-(place + 1) * size // count), most))
                for start, place, size, count, most in (
                    (top, p, tall, bins[0], height),
                    (left, q, wide, bins[1], width),
                )
            )
            pixels = PICTURES[int(roi[0]), channel(c, p, q), slice(*rows), slice(*columns)]
            found[k, c, p, q] = of_pixels(pixels) if pixels.size else 0
    return found


@pytest.mark.parametrize("bins", [(2, 2), (3, 1)])
def test_roi_pool(bins: tuple[int, int]) -> None:
    found = ops.roi_pool(torch.from_numpy(PICTURES), torch.from_numpy(ROIS), bins, SCALE)
    np.testing.assert_array_equal(found.numpy(), pooled_by_loops(bins, 1, 0, np.max, lambda c, p, q: c, 8))


def test_roi_pool_by_position() -> None:
    found = ops.ps_roi_pool(torch.from_numpy(PICTURES), torch.from_numpy(ROIS), 2, SCALE)
    wanted = pooled_by_loops((2, 2), 0, 1, np.mean, lambda c, p, q: (c * 2 + p) * 2 + q, 2)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, rois: ops.roi_align(x, rois, 2, SCALE),
        lambda x, rois: ops.roi_align(x, rois, 2, SCALE, 2, True),
        lambda x, rois: ops.ps_roi_align(x, rois, 2, SCALE, 2),
        lambda x, rois: ops.roi_pool(x, rois, 2, SCALE),
        lambda x, rois: ops.ps_roi_pool(x, rois, 2, SCALE),
    ],
)
def test_gradients(function) -> None:
    pictures = torch.from_numpy(PICTURES[:, :4, :2, :2].copy()).requires_grad_()
    rois = torch.from_numpy(ROIS).requires_grad_()
    small = torch.cat((rois.detach()[:, :1], rois.detach()[:, 1:] / 4), 1)
    assert torch.autograd.gradcheck(lambda x: function(x, small), (pictures,))
    function(pictures, rois).sum().backward()
    assert rois.grad is None
    pictures.grad = None
    function(pictures, rois[:0]).sum().backward()
    assert torch.equal(pictures.grad, torch.zeros_like(pictures))


def test_of_equal_values_the_first_has_the_gradient() -> None:
    picture = torch.ones(1, 1, 3, 3, requires_grad=True)
    ops.roi_pool(picture, [torch.tensor([[0.0, 0.0, 2.0, 2.0]])], 1).sum().backward()
    assert picture.grad.flatten().tolist() == [1] + [0] * 8


@pytest.mark.parametrize("pool", [lambda *a: ops.roi_align(*a, 2, SCALE, 2), lambda *a: ops.roi_pool(*a, 2, SCALE)])
def test_boxes_for_each_picture(pool) -> None:
    pictures, boxes = torch.from_numpy(PICTURES), torch.from_numpy(ROIS[:, 1:])
    rois = torch.cat((torch.tensor([0.0, 0.0, 2.0], dtype=torch.float64)[:, None], boxes[:3]), 1)
    assert torch.allclose(pool(pictures, [boxes[:2], boxes[:0], boxes[2:3]]), pool(pictures, rois))
    assert pool(pictures, rois[:0]).shape == (0, 8, 2, 2)


def test_pictures_of_half_precision_are_averaged_in_float32() -> None:
    pictures, rois = torch.from_numpy(PICTURES).half(), torch.from_numpy(ROIS).half()
    found = ops.roi_align(pictures, rois, 2, SCALE)
    wanted = ops.roi_align(pictures.float(), rois.float(), 2, SCALE)
    assert found.dtype == torch.float16 and torch.allclose(found.float(), wanted, rtol=1e-3, atol=1e-4)


def test_refusals() -> None:
    pictures = torch.zeros(1, 8, 4, 4)
    with pytest.raises(AssertionError, match=r"Tensor\[K, 5\]: got \(3, 4\)(.|\n)*index of the picture"):
        ops.roi_align(pictures, torch.zeros(3, 4), 2)
    with pytest.raises(AssertionError, match=r"List\[Tensor\[L, 4\]\]: got \(3, 5\)"):
        ops.roi_pool(pictures, [torch.zeros(3, 5)], 2)
    with pytest.raises(RuntimeError, match=r"multiple of pooling height \* pooling width: 8 of \(3, 3\)"):
        ops.ps_roi_pool(pictures, torch.zeros(1, 5), 3)
    with pytest.raises(RuntimeError, match="got 3 dimensions"):
        ops.roi_align(pictures[0], torch.zeros(1, 5), 2)


def test_levels_of_a_pyramid() -> None:
    boxes = torch.tensor([[0, 0, side, side] for side in (10.0, 112, 223, 224, 448, 5000)])
    assert LevelMapper(2, 5)([boxes]).tolist() == [0, 1, 1, 2, 3, 3]


def test_regions_from_the_levels_of_a_pyramid() -> None:
    fine, coarse = torch.randn(2, 4, 32, 32, requires_grad=True), torch.randn(2, 4, 16, 16)
    boxes = [torch.tensor([[0.0, 0.0, 200.0, 240.0], [5.0, 5.0, 20.0, 30.0]]), torch.tensor([[1.0, 2.0, 30.0, 40.0]])]
    pool = ops.MultiScaleRoIAlign(["fine", "coarse"], 3, 2, canonical_scale=64, canonical_level=4)
    found = pool({"fine": fine, "left aside": fine, "coarse": coarse}, boxes, [(256, 200), (200, 256)])
    assert pool.scales == [1 / 8, 1 / 16]
    whole_picture = ops.roi_align(coarse, [boxes[0][:1], boxes[1][:0]], 3, 1 / 16, 2)
    others = ops.roi_align(fine, [boxes[0][1:], boxes[1]], 3, 1 / 8, 2)
    assert torch.allclose(found, torch.cat((whole_picture, others)), atol=1e-6)
    found.sum().backward()
    assert fine.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="should not be empty"):
        ops.MultiScaleRoIAlign(["fine"], 3, 2)({"fine": fine}, boxes, [])
