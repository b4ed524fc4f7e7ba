"""Losses where formulas have corners: logits of exactly 0, and targets that are all ignored."""

from __future__ import annotations

import math

import pytest

import flambeau as torch
from flambeau.nn import functional as F

ONE = torch.tensor([1.0])
AT_ZERO = {
    "binary_cross_entropy_with_logits": lambda x: F.binary_cross_entropy_with_logits(x, ONE),
    "its weighted form": lambda x: F.binary_cross_entropy_with_logits(x, ONE, pos_weight=ONE),
    "soft_margin_loss": lambda x: F.soft_margin_loss(x, ONE),
    "multilabel_soft_margin_loss": lambda x: F.multilabel_soft_margin_loss(x[None], ONE[None]),
}


@pytest.mark.parametrize("name", AT_ZERO)
def test_the_slope_at_zero_is_the_middle(name):
    x = torch.zeros(1, requires_grad=True)
    loss = AT_ZERO[name](x)
    (slope,) = torch.autograd.grad(loss, x, create_graph=True)
    assert loss.item() == pytest.approx(math.log(2)) and slope.tolist() == [-0.5]
    assert torch.autograd.grad(slope, x)[0].item() == pytest.approx(0.25)


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
def test_nothing_comes_of_ignored_targets(loss):
    x = torch.ones(2, 3, requires_grad=True)
    for target in (torch.full((2,), -100), torch.tensor([-100, 1])):
        x.grad = None
        result = loss(x, target)
        result.backward()
        assert math.isnan(result.item()) is bool((target < 0).all())
        assert x.grad[0].tolist() == [0.0, 0.0, 0.0] and x.grad.isfinite().all()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_squared_errors_of_a_batch(reduction):
    x, y = torch.arange(6.0).reshape(2, 3), torch.ones(2, 3)
    found = torch.vmap(lambda x, y: F.mse_loss(x, y, reduction=reduction))(x, y)
    squares = torch.tensor([[1.0, 0.0, 1.0], [4.0, 9.0, 16.0]])
    assert torch.equal(found, {"mean": squares.mean(1), "sum": squares.sum(1), "none": squares}[reduction])


def test_squared_errors_of_two_dtypes_and_shapes():
    x = torch.tensor([[1.0], [3.0]], requires_grad=True)
    y = torch.tensor([0.0, 2.0], dtype=torch.float64, requires_grad=True)
    with pytest.warns(UserWarning, match="different to the input size"):
        loss = F.mse_loss(x, y)
    loss.backward()
    assert (loss.dtype, loss.item()) == (torch.float64, 3.0)  # of the squares 1, 1, 9 and 1
    assert (x.grad.dtype, x.grad.tolist()) == (torch.float32, [[0.0], [2.0]])
    assert (y.grad.dtype, y.grad.tolist()) == (torch.float64, [-2.0, 0.0])


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_squared_errors_are_those_of_floats(dtype, reduction):
    x = torch.ones(2).to(dtype)
    with pytest.raises(NotImplementedError, match='"mse_cpu" not implemented for'):
        F.mse_loss(x, x, reduction=reduction)
