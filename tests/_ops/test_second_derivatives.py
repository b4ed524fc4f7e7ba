"""Derivatives of derivatives, against the central difference of the first ones, in float64."""

from __future__ import annotations

import math

import pytest

import flambeau as torch
from flambeau.autograd import gradgradcheck

F = torch.nn.functional
BROADCAST = pytest.mark.filterwarnings("ignore:Using a target size")


def ramp(*shape: int) -> torch.Tensor:
    """Numbers without a pattern, of matrices with full rank."""
    return torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) ** 2 + 0.4).reshape(shape).requires_grad_()


@pytest.mark.parametrize(
    "function, shapes",
    [
        pytest.param(lambda x, w, b: F.layer_norm(x, (4,), w, b), [(3, 4), (4,), (4,)], id="layer_norm"),
        pytest.param(lambda x, w, b: F.group_norm(x, 2, w, b), [(3, 4), (4,), (4,)], id="group_norm"),
        pytest.param(lambda x: F.batch_norm(x, None, None, training=True), [(3, 4)], id="batch_norm"),
        pytest.param(lambda x: F.instance_norm(x), [(2, 3, 4)], id="instance_norm"),
        *[
            pytest.param(lambda x, y, r=r: F.mse_loss(x, y, reduction=r), [(3, 4), (3, 4)], id=f"mse_loss {r}")
            for r in ("mean", "sum", "none")
        ],
        pytest.param(F.mse_loss, [(3, 1), (1, 4)], id="mse_loss broadcast", marks=BROADCAST),
        pytest.param(lambda x: torch.relu(x) ** 3, [(3, 4)], id="relu"),
        pytest.param(torch.linalg.svdvals, [(3, 4)], id="svdvals"),
        pytest.param(lambda x: torch.linalg.matrix_norm(x, "nuc"), [(3, 3)], id="nuclear norm"),
        pytest.param(lambda x: torch.linalg.matrix_norm(x, 2), [(3, 3)], id="spectral norm"),
        pytest.param(lambda x: torch.logcumsumexp(x, 0), [(4,)], id="logcumsumexp"),
        pytest.param(
            lambda x: F.cross_entropy(x, torch.tensor([0, 2]), reduction="none"), [(2, 3)], id="cross_entropy"
        ),
        pytest.param(lambda x: F.nll_loss(x * x, torch.tensor([0, 2])), [(2, 3)], id="nll_loss"),
    ],
)
def test_gradient_of_the_gradient(function, shapes):
    assert gradgradcheck(function, [ramp(*shape) for shape in shapes])


@pytest.mark.parametrize("function", [torch.special.i1, torch.special.i1e])
def test_bessel_functions_at_zero(function):
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(function(x).sum(), x, create_graph=True)
    (found,) = torch.autograd.grad(first.sum(), x)
    assert first.item() == pytest.approx(0.5) and not found.isnan()
