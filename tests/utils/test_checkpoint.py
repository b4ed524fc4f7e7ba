"""Checkpointing: values, gradients and random numbers are those without it, less is kept, mistakes are found."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential


@pytest.fixture
def network():
    torch.manual_seed(1)
    layers = [
        torch.nn.Linear(4, 8),
        torch.nn.Tanh(),
        torch.nn.Dropout(0.5),
        torch.nn.LayerNorm(8),
        torch.nn.Linear(8, 2),
    ]
    return torch.nn.Sequential(*layers)


def trained(network, run):
    torch.manual_seed(3)
    network.zero_grad()
    x = torch.linspace(-1, 1, 20).reshape(5, 4).requires_grad_()
    run(x).square().sum().backward()
    return [p.grad.numpy().copy() for p in network.parameters()] + [x.grad.numpy().copy()], torch.rand(3).tolist()


@pytest.mark.parametrize(
    "run",
    [
        lambda net, x: checkpoint(net, x, use_reentrant=False),
        lambda net, x: checkpoint(net, x, use_reentrant=False, early_stop=False),
        lambda net, x: checkpoint(net, x, use_reentrant=True),
        lambda net, x: checkpoint_sequential(net, 2, x, use_reentrant=False),
        lambda net, x: checkpoint(lambda t: checkpoint(net, t, use_reentrant=False), x, use_reentrant=False),
    ],
    ids=["plain", "to the end", "reentrant", "sequential", "nested"],
)
def test_as_without(network, run):
    expected, draws = trained(network, network)
    found, draws_after = trained(network, lambda x: run(network, x))
    for f, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(f, e, rtol=1e-5, atol=1e-6)
    assert draws == draws_after


def test_the_function_runs_again_in_backward_alone():
    calls = []

    def function(x):
        calls.append(torch.is_autocast_enabled("cpu"))
        return (x @ x).exp()

    x = torch.ones(2, 2, requires_grad=True)
    with torch.autocast("cpu"):
        y = checkpoint(function, x, use_reentrant=False)
    assert calls == [True]
    y.sum().backward()
    assert calls == [True, True]


def test_a_function_that_changes_is_found():
    shapes = iter([2, 3])

    def fickle(x):
        return (x * torch.ones(next(shapes), 2)).exp().sum()

    y = checkpoint(fickle, torch.ones(2, requires_grad=True), use_reentrant=False)
    with pytest.raises(CheckpointError, match="different metadata"):
        y.backward()


def test_misuse_is_refused():
    x = torch.ones(2, requires_grad=True)
    with pytest.warns(UserWarning, match="should be passed explicitly"):
        checkpoint(torch.exp, x)
    with pytest.raises(ValueError, match="determinism_check"):
        checkpoint(torch.exp, x, use_reentrant=False, determinism_check="maybe")
    with pytest.raises(ValueError, match="Unexpected keyword"):
        checkpoint(torch.exp, x, use_reentrant=True, out=None)


def test_what_functions_like_these_are_made_of():
    checkpointing = torch.utils.checkpoint
    x = torch.ones(2, requires_grad=True)
    a, b, c = checkpointing.detach_variable((x * 2, torch.ones(1), "text"))
    assert (a.requires_grad, a.is_leaf, b.requires_grad, c) == (True, True, False, "text")
    with pytest.raises(RuntimeError, match="Got Unsupported input type: list"):
        checkpointing.detach_variable([x])
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
        checkpointing.check_backward_validity([torch.ones(1), 3])
    assert checkpointing.get_device_states(x) == ([], [])
    with pytest.raises(NotImplementedError, match="no devices of the kind 'cuda', got .0."):
        checkpointing.set_device_states([0], [None], device_type="cuda")
    with pytest.raises(NotImplementedError, match="operations are not asked one by one"):
        _ = checkpointing.create_selective_checkpoint_contexts
