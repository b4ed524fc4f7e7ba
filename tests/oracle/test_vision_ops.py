"""`torchvision.ops` beside torchvision 0.28 itself, with its kernels for the CPU: values and gradients."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flambeau.vision import ops

sys.path.insert(0, str(Path(__file__).parent))

from both import here, torch  # noqa: E402

try:
    from torchvision import ops as there
except (ImportError, RuntimeError) as error:  # RuntimeError: its kernels are for another build of PyTorch
    pytest.skip(f"torchvision: {error}", allow_module_level=True)

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

GENERATOR = torch.Generator().manual_seed(0)


def rand(*shape: int) -> Any:
    return torch.rand(*shape, generator=GENERATOR, dtype=torch.float64)


def boxes(count: int) -> Any:
    low = rand(count, 2) * 30
    return torch.cat((low, low + 0.5 + rand(count, 2) * 30), 1)


PICTURES = rand(3, 8, 11, 13) - 0.5
ROIS = torch.cat((torch.tensor([[0.0], [2], [1], [0], [2], [1], [1]], dtype=torch.float64), boxes(7)), 1)
ROIS[3, 1:], ROIS[4, 1:], ROIS[5, 1:], ROIS[6, 1:] = (
    torch.tensor(corners, dtype=torch.float64)
    for corners in ([-5, -6, 3, 4], [30, 30, 90, 95], [10, 10, 10, 10], [20, 20, 5, 6])
)
CALLS = {
    **{f"{name}": (name, [boxes(9), boxes(7)], {}) for name in (
        "box_iou", "generalized_box_iou", "distance_box_iou", "complete_box_iou",
    )},
    **{f"{name} {reduction}": (name, [boxes(9), boxes(9)], {"reduction": reduction}) for name in (
        "generalized_box_iou_loss", "distance_box_iou_loss", "complete_box_iou_loss",
    ) for reduction in ("none", "mean", "sum")},
    **{f"box_convert {a} {b}": ("box_convert", [boxes(5)], {"in_fmt": a, "out_fmt": b})
       for a in ("xyxy", "xywh", "cxcywh") for b in ("xyxy", "xywh", "cxcywh")},
    **{f"box_convert {a} {b}": ("box_convert", [torch.cat((boxes(5), rand(5, 1) * 90), 1)], {"in_fmt": a, "out_fmt": b})
       for a in ("xywhr", "cxcywhr") for b in ("xywhr", "cxcywhr", "xyxyxyxy")},
    "box_convert xyxyxyxy": ("box_convert", [rand(5, 8)], {"in_fmt": "xyxyxyxy", "out_fmt": "cxcywhr"}),
    **{f"nms {threshold}": ("nms", [boxes(300), rand(300)], {"iou_threshold": threshold}) for threshold in (0.2, 0.6)},
    "batched_nms": ("batched_nms", [boxes(300), rand(300), (rand(300) * 4).long()], {"iou_threshold": 0.4}),
    "clip": ("clip_boxes_to_image", [boxes(9)], {"size": (20, 30)}),
    "masks": ("masks_to_boxes", [rand(4, 6, 7) > 0.8], {}),
    "focal": ("sigmoid_focal_loss", [rand(4, 5), rand(4, 5).round()], {"alpha": 0.3, "gamma": 1.5}),
    **{f"roi_align {samples} {aligned}": ("roi_align", [PICTURES, ROIS], {
        "output_size": (3, 2), "spatial_scale": 0.25, "sampling_ratio": samples, "aligned": aligned,
    }) for samples in (-1, 1, 3) for aligned in (False, True)},
    "ps_roi_align": ("ps_roi_align", [PICTURES, ROIS[:5]], {"output_size": 2, "spatial_scale": 0.25}),
    "roi_pool": ("roi_pool", [PICTURES, ROIS], {"output_size": (3, 2), "spatial_scale": 0.25}),
    "deform_conv2d": ("deform_conv2d", [rand(2, 4, 9, 8), (rand(2, 24, 9, 6) - 0.5) * 5, rand(6, 2, 3, 2), rand(6)], {
        "padding": (1, 2), "stride": (1, 2), "mask": rand(2, 12, 9, 6),
    }),
}  # fmt: skip


def run(function: Any, args: list, named: dict) -> list:
    """The result, and the gradients of what has any."""
    args = [value.detach().requires_grad_() if "float" in str(value.dtype) else value for value in args]
    result = function(*args, **named)
    found = [result.detach().numpy()]
    if result.requires_grad:
        weights = np.cos(np.arange(result.numel())).reshape(tuple(result.shape))
        kind = here if isinstance(result, type(here(torch.zeros(1)))) else lambda value: value
        (result * kind(torch.from_numpy(weights))).sum().backward()
        found += [np.zeros(tuple(v.shape)) if v.grad is None else v.grad.numpy() for v in args if v.requires_grad]
    return found


@pytest.mark.parametrize("call", CALLS)
def test_values_and_gradients(call: str) -> None:
    name, args, named = CALLS[call]
    theirs = run(getattr(there, name), args, named)
    kept = {key: here(value) if isinstance(value, torch.Tensor) else value for key, value in named.items()}
    for ours, expected in zip(run(getattr(ops, name), [here(value) for value in args], kept), theirs, strict=True):
        assert ours.dtype == expected.dtype
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-10)


def test_position_sensitive_pooling_has_the_values() -> None:
    """Its gradient is that of the values; torchvision's counts the last row and column, which the values leave out."""
    given = {"output_size": 2, "spatial_scale": 0.25}
    found = ops.ps_roi_pool(here(PICTURES), here(ROIS), **given).numpy()
    np.testing.assert_allclose(found, there.ps_roi_pool(PICTURES, ROIS, **given).numpy(), rtol=1e-12)
