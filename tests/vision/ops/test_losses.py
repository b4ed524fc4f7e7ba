"""Losses on boxes and scores against what they are made of."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau.vision import ops

PAIRS = [
    (ops.generalized_box_iou_loss, ops.generalized_box_iou),
    (ops.distance_box_iou_loss, ops.distance_box_iou),
    (ops.complete_box_iou_loss, ops.complete_box_iou),
]


def some_boxes(seed: int) -> torch.Tensor:
    low = torch.rand(8, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 4
    return torch.cat((low, low + 1 + low.flip(0)), 1)


@pytest.mark.parametrize(("loss", "overlap"), PAIRS)
def test_losses_are_one_less_the_overlap(loss, overlap) -> None:
    a, b = some_boxes(0).requires_grad_(), some_boxes(1)
    each = loss(a, b)
    assert torch.allclose(each, 1 - overlap(a, b).diagonal(), atol=1e-6)
    assert torch.allclose(loss(a, b, "mean"), each.mean()) and torch.allclose(loss(a, b, "sum"), each.sum())
    assert loss(a[0], b[0]).shape == () and loss(a.long(), b.long()).dtype == torch.float32
    if loss is not ops.complete_box_iou_loss:  # through whose weight no gradient goes
        assert torch.autograd.gradcheck(loss, (a, b))


@pytest.mark.parametrize(("loss", "overlap"), PAIRS)
def test_the_mean_over_no_boxes_is_zero(loss, overlap) -> None:
    boxes = torch.zeros(0, 4, requires_grad=True)
    found = loss(boxes, torch.zeros(0, 4), "mean")
    found.backward()
    assert found.item() == 0 and boxes.grad.shape == (0, 4)


def test_boxes_that_only_touch_are_drawn_together_by_the_distance_alone() -> None:
    a, b = torch.tensor([[0.0, 0.0, 1.0, 1.0]], requires_grad=True), torch.tensor([[1.0, 0.0, 2.0, 1.0]])
    ops.distance_box_iou_loss(a, b).sum().backward()
    assert torch.allclose(a.grad[0, 2], torch.tensor(-0.2))  # the overlap, whose slope changes here, adds nothing


def test_the_complete_loss_weighs_the_ratio_of_sides_without_a_gradient() -> None:
    a, b = torch.tensor([[0.0, 0.0, 2.0, 1.0]], requires_grad=True), torch.tensor([[0.5, -0.5, 1.5, 1.5]])
    ops.complete_box_iou_loss(a, b).sum().backward()
    complete, a.grad = a.grad, None
    ops.distance_box_iou_loss(a, b).sum().backward()
    difference = torch.atan(a[:, 2] - a[:, 0]) - 0  # heights are 1
    v = 4 / torch.pi**2 * (difference - torch.atan(torch.tensor(0.5))) ** 2
    weight = (v / (1 - ops.box_iou(a, b)[0] + v + 1e-7)).detach()
    (slope,) = torch.autograd.grad((weight * v).sum(), a)
    assert torch.allclose(complete[0, 2], (a.grad + slope)[0, 2], atol=1e-5)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2), (-1, 2), (0.7, 0.5)])
def test_focal_loss(alpha: float, gamma: float) -> None:
    scores = torch.linspace(-3, 3, 10, dtype=torch.float64)
    targets = (torch.arange(10) % 2).double()
    p = torch.where(targets == 1, torch.sigmoid(scores), torch.sigmoid(-scores))
    weight = torch.where(targets == 1, alpha, 1 - alpha) if alpha >= 0 else 1
    wanted = -weight * (1 - p) ** gamma * p.log()
    assert torch.allclose(ops.sigmoid_focal_loss(scores, targets, alpha, gamma), wanted)
    assert torch.allclose(ops.sigmoid_focal_loss(scores, targets, alpha, gamma, "mean"), wanted.mean())


def test_refusals() -> None:
    with pytest.raises(ValueError, match="'reduction': 'all'(.|\n)*'none', 'mean', 'sum'"):
        ops.distance_box_iou_loss(torch.zeros(1, 4), torch.zeros(1, 4), "all")
    with pytest.raises(ValueError, match="Invalid alpha value: 2"):
        ops.sigmoid_focal_loss(torch.zeros(1), torch.zeros(1), 2)
