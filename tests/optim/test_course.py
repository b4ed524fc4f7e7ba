"""Steps that record what the last one did, with other numbers."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import flambeau as torch

START = [1.0, -2.0, 0.5]
SLOPES = [[0.3, -0.1, 2.0], [0.1, 0.2, -1.0], [-0.5, 0.4, 0.3], [0.2, 0.2, 0.2], [0.7, -0.3, 0.1], [0.1, 0.9, -0.6]]


def stepped(optimizer, params, slope):
    """One step with this gradient for all parameters; what they are then."""
    for p in params:
        p.grad = torch.tensor(slope)
    optimizer.step()
    return [p.tolist() for p in params]


def adam(changes):
    """Adam in float64, with other options from each step on: what the parameter is after every step."""
    x, m, v, options = np.array(START), np.zeros(3), np.zeros(3), {}
    results = []
    for t, (slope, change) in enumerate(zip(SLOPES, changes, strict=True), 1):
        options.update(change)
        lr, (b1, b2), eps, decay = (options[name] for name in ("lr", "betas", "eps", "weight_decay"))
        g = np.array(slope) + decay * x
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        x = x - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        results.append(x)
    return results


@pytest.mark.parametrize(
    "changes",
    [
        [{}, {}, {}, {}, {}, {}],
        [{}, {"lr": 0.2}, {"lr": 0.05}, {"lr": 0.5}, {"lr": 1.0}, {"lr": 0.1}],
        [{}, {}, {}, {"betas": (0.5, 0.9)}, {}, {}],
        [{}, {}, {}, {"weight_decay": 0.1}, {}, {"weight_decay": 0.0, "eps": 0.1}],
        [{}, {"betas": [0.5, 0.9]}, {"betas": [0.6, 0.9]}, {}, {}, {}],
    ],
)
def test_options_may_change_between_steps(changes):
    changes[0] = {"lr": 0.1, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}
    params = [torch.tensor(START, requires_grad=True) for _ in range(2)]
    optimizer = torch.optim.Adam(params)
    for slope, change, wanted in zip(SLOPES, changes, adam(changes), strict=True):
        optimizer.param_groups[0].update(change)
        for found in stepped(optimizer, params, slope):
            np.testing.assert_allclose(found, wanted, rtol=2e-5)


def test_a_list_of_options_may_change_within():
    def run(betas_of):
        params, betas = [torch.tensor(START, requires_grad=True)], [0.9, 0.99]
        optimizer = torch.optim.Adam(params, lr=0.1)
        for slope, b in zip(SLOPES, (0.9, 0.9, 0.9, 0.5, 0.5, 0.2), strict=True):
            betas[0] = b
            optimizer.param_groups[0]["betas"] = betas_of(betas)
            found = stepped(optimizer, params, slope)
        return found

    assert run(lambda betas: betas) == run(tuple)


def counted(monkeypatch, cls):
    """The calls of the formula of an optimizer."""
    calls, update = [], cls.update

    def counting(self, *args):
        calls.append(self)
        update(self, *args)

    monkeypatch.setattr(cls, "update", counting)
    return calls


@pytest.mark.parametrize(
    "name, options",
    [("Adam", {}), ("AdamW", {}), ("SGD", {"momentum": 0.9}), ("SGD", {}), ("RMSprop", {}), ("Adagrad", {})],
)
@pytest.mark.usefixtures("usual_window")
def test_the_formula_runs_for_the_first_steps_only(monkeypatch, name, options):
    calls = counted(monkeypatch, getattr(torch.optim, name))
    params = [torch.tensor(START, requires_grad=True) for _ in range(3)]
    optimizer = getattr(torch.optim, name)(params, lr=0.013, **options)
    counts = []
    for lr, slope in zip((0.013, 0.013, 0.011, 0.011, 0.012, 0.014), SLOPES, strict=True):
        optimizer.param_groups[0]["lr"] = lr
        stepped(optimizer, params, slope)
        counts.append(len(calls))
    assert counts[2] == counts[-1]


def test_what_decides_by_the_step_runs_at_every_step(monkeypatch):
    calls = counted(monkeypatch, torch.optim.RAdam)
    params = [torch.tensor(START, requires_grad=True)]
    optimizer = torch.optim.RAdam(params, lr=0.013)
    for slope in SLOPES:
        stepped(optimizer, params, slope)
    assert len(calls) >= len(SLOPES)


class Restless(torch.optim.Adam):
    """An Adam of a user's, whose formula reads more than options."""

    scale = 1.0

    def update(self, param, grad, state, group):
        super().update(param, grad * self.scale, state, group)
        self.scale *= 1.5


def test_a_users_formula_runs_at_every_step():
    params = [torch.tensor(START, requires_grad=True)]
    optimizer = Restless(params)
    for slope in SLOPES:
        stepped(optimizer, params, slope)
    assert optimizer.scale == pytest.approx(1.5 ** len(SLOPES))


def test_another_formula_is_obeyed(monkeypatch):
    params = [torch.tensor(START, requires_grad=True)]
    optimizer = torch.optim.Adam(params)
    for slope in SLOPES[:4]:
        stepped(optimizer, params, slope)
    monkeypatch.setattr(torch.optim.Adam, "update", lambda self, param, grad, state, group: param.fill_(7.0))
    assert stepped(optimizer, params, SLOPES[4]) == [[7.0, 7.0, 7.0]]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_copies_go_on_by_themselves(copied):
    params = [torch.tensor(START, requires_grad=True)]
    optimizer = torch.optim.Adam(params, lr=0.1)
    for slope in SLOPES[:3]:
        stepped(optimizer, params, slope)
    others, other = copied((params, optimizer))
    assert stepped(other, others, SLOPES[3]) == stepped(optimizer, params, SLOPES[3])
    assert stepped(other, others, SLOPES[4]) == stepped(optimizer, params, SLOPES[4])


def test_a_loaded_state_goes_on_with_its_step():
    params = [torch.tensor(START, requires_grad=True)]
    optimizer = torch.optim.Adam(params, lr=0.1)
    for slope in SLOPES[:2]:
        stepped(optimizer, params, slope)
    saved, start = copy.deepcopy(optimizer.state_dict()), params[0].detach().clone()
    wanted = [stepped(optimizer, params, slope) for slope in SLOPES[2:]]
    with torch.no_grad():
        params[0].copy_(start)
    optimizer.load_state_dict(saved)
    assert [stepped(optimizer, params, slope) for slope in SLOPES[2:]] == wanted


def test_parameters_of_several_ages():
    def run(between):
        params = [torch.tensor(START, requires_grad=True) for _ in range(2)]
        optimizer = torch.optim.Adam(params, lr=0.1)
        for i, slope in enumerate(SLOPES):
            params[0].grad, params[1].grad = torch.tensor(slope), torch.tensor(slope) if i % 2 else None
            between(optimizer)
            optimizer.step()
        return [p.tolist() for p in params]

    def anew(optimizer):
        optimizer._courses = ()  # so that the formula runs for the first parameter of every step

    assert run(lambda optimizer: None) == run(anew)


def test_seen_parameters_are_written_where_they_are():
    params = [torch.tensor(START, requires_grad=True)]
    optimizer = torch.optim.Adam(params, lr=0.1)
    for slope in SLOPES[:3]:
        stepped(optimizer, params, slope)
    seen = params[0].detach().numpy()
    stepped(optimizer, params, SLOPES[3])
    assert seen.tolist() == params[0].tolist() != START
