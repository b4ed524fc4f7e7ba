"""The scale of losses: gradients come back unscaled, steps with inf are left out, the scale follows."""

from __future__ import annotations

import pytest

import flambeau as torch


def parameter_and_optimizer():
    w = torch.ones(2, requires_grad=True)
    return w, torch.optim.SGD([w], lr=0.5)


def test_a_step_is_that_without_scaling():
    w, optimizer = parameter_and_optimizer()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale((w * 3).sum()).backward()
    assert w.grad.tolist() == [3072.0, 3072.0]
    scaler.unscale_(optimizer)
    assert w.grad.tolist() == [3.0, 3.0]
    scaler.step(optimizer)
    scaler.update()
    assert w.tolist() == [-0.5, -0.5]


def test_infinite_gradients_leave_the_step_out_and_halve_the_scale():
    w, optimizer = parameter_and_optimizer()
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
    scaler.scale(w.sum())
    for gradient, scale in ((float("inf"), 4.0), (float("nan"), 2.0), (1.0, 2.0), (1.0, 4.0)):
        w.grad = torch.full((2,), gradient)
        before = w.tolist()
        scaler.step(optimizer)
        scaler.update()
        assert scaler.get_scale() == scale
        assert (w.tolist() == before) is (gradient != 1.0)


def test_the_state_goes_on():
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=3)
    other = torch.amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict()
    off = torch.amp.GradScaler("cpu", enabled=False)
    assert off.state_dict() == {} and off.get_scale() == 1.0
    with pytest.raises(RuntimeError, match="state dict is empty"):
        scaler.load_state_dict({})


def test_misuse_is_refused():
    w, optimizer = parameter_and_optimizer()
    scaler = torch.amp.GradScaler("cpu")
    for early in (lambda: scaler.step(optimizer), lambda: scaler.unscale_(optimizer), scaler.update):
        with pytest.raises(AssertionError, match="nothing was scaled"):
            early()
    scaler.scale(w.sum()).backward()
    with pytest.raises(AssertionError, match="No inf checks"):
        scaler.update()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.unscale_(optimizer)
    with pytest.warns(UserWarning, match="CUDA is not available"):
        assert not torch.GradScaler().is_enabled()
