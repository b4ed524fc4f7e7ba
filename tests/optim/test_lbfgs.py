"""L-BFGS and its line search."""

from __future__ import annotations

import math

import pytest

import flambeau as torch
from flambeau.optim._line_search import Point, cubic_minimum, strong_wolfe


def rosenbrock(w):
    return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2


def minimise(steps, dtype=torch.float64, **kwargs):
    w = torch.tensor([-1.2, 1.0], dtype=dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([w], **kwargs)

    def closure():
        optimizer.zero_grad()
        loss = rosenbrock(w)
        loss.backward()
        return loss

    for _ in range(steps):
        optimizer.step(closure)
    return w, optimizer


# PyTorch 2.13's, in float64
@pytest.mark.parametrize("kwargs, steps, expected, evaluations", [
    ({"lr": 0.1, "max_iter": 5}, 3, [-1.056352121, 1.061152891], 15),
    ({"line_search_fn": "strong_wolfe", "max_iter": 5}, 4, [0.216827796, 0.066918814], 26),
    ({"line_search_fn": "strong_wolfe", "history_size": 2, "max_iter": 8, "max_eval": 9}, 3, [0.325199568,
     0.073951681], 27),
])  # fmt: skip
def test_golden_path(kwargs, steps, expected, evaluations):
    w, optimizer = minimise(steps, **kwargs)
    assert w.tolist() == pytest.approx(expected, abs=1e-7)
    assert optimizer.state[w]["func_evals"] == evaluations


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-6), (torch.float32, 1e-3)])
def test_finds_the_minimum(dtype, tolerance):
    w, _ = minimise(3, dtype, line_search_fn="strong_wolfe", max_iter=40, tolerance_change=1e-15)
    assert w.tolist() == pytest.approx([1.0, 1.0], abs=tolerance)


def test_several_parameters_are_one_vector():
    """Complex, without a gradient, and of several shapes."""
    target = torch.tensor([1 + 2j, -1j])
    z = torch.zeros(2, dtype=torch.complex64, requires_grad=True)
    m, unused = torch.ones(2, 3, requires_grad=True), torch.ones(2, requires_grad=True)
    optimizer = torch.optim.LBFGS([z, unused, m], line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = ((z - target).abs() ** 2).sum() + (m * m).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert (z - target).abs().max().item() < 1e-5 and m.abs().max().item() < 1e-5
    assert unused.tolist() == [1.0, 1.0]


def test_misuse():
    w = torch.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match="parameter groups"):
        torch.optim.LBFGS([{"params": [w]}, {"params": [torch.ones(1, requires_grad=True)]}])
    with pytest.raises(TypeError, match="needs a closure"):
        torch.optim.LBFGS([w]).step(None)
    with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported, got 'armijo'"):
        minimise(1, line_search_fn="armijo")


def test_the_minimum_of_a_cubic():
    def point(t):  # t^3 - 3 t has its minimum at 1
        return Point(t, t**3 - 3 * t, None, 3 * t**2 - 3)

    assert cubic_minimum(point(0.0), point(3.0)) == pytest.approx(1.0)
    assert cubic_minimum(point(3.0), point(0.0)) == pytest.approx(1.0)
    assert cubic_minimum(point(0.0), point(3.0), (1.5, 2.0)) == 1.5
    straight = Point(0.0, 0.0, None, -1.0), Point(2.0, -2.0, None, -1.0)
    assert cubic_minimum(*straight) == 1.0
    assert cubic_minimum(Point(0.0, 0.0, None, -1.0), Point(1.0, math.inf, None, math.nan)) == 0.5


@pytest.mark.parametrize("first", [1e-3, 0.5, 1.0, 30.0])
def test_line_search_meets_its_conditions(first):
    """On -t / (t^2 + 2) of Moré and Thuente, whose minimum is at the root of 2."""

    def at(t):
        return Point(t, -t / (t * t + 2), None, (t * t - 2) / (t * t + 2) ** 2)

    found, count = strong_wolfe(at, at(0.0), first, 1.0, tolerance=1e-9, max_steps=25, c2=0.1)
    assert found.loss <= 1e-4 * found.t * at(0.0).slope
    assert abs(found.slope) <= 0.1 * abs(at(0.0).slope)
    assert 1 <= count <= 25
