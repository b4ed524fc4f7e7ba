"""Windows of the same instructions that differ in how these are tied together, in numbers, sizes and what lives on."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau._core.config import config
from flambeau._engine.plans import statistics
from flambeau._engine.signature import signature
from flambeau._engine.window import flush, state

N = 1000


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.setattr(config, "compile", "always")


def filled(number):
    t = torch.full((N,), float(number))
    flush()
    return t


def key():
    """The key of what the window holds, which runs then."""
    found = signature(list(state.window.queue), state.window)
    flush()
    return found.key


def test_the_same_windows_have_the_same_key():
    def window(a, b):
        kept = (a + b) * a
        return key(), kept

    pairs = [window(filled(i), filled(2)) for i in range(3)]
    assert len({k for k, _ in pairs}) == 1
    assert [kept[0].item() for _, kept in pairs] == [0.0, 3.0, 8.0]


def test_ties_are_told_apart_whatever_came_before():
    def window(kind, a, b):
        first = a + b
        kept = first * {"first": a, "second": b, "itself": first, "other": a}[kind]
        return key(), kept

    kinds = ("first", "second", "itself", "first", "itself", "second", "second", "first")
    found = [(kind, *window(kind, filled(3), filled(5))) for kind in kinds]
    assert [kept[-1].item() for _, _, kept in found] == [{"first": 24, "second": 40, "itself": 64}[k] for k in kinds]
    keys = {kind: {k for other, k, _ in found if other == kind} for kind in kinds}
    assert [len(k) for k in keys.values()] == [1, 1, 1] and len(set.union(*keys.values())) == 3


def test_one_operand_twice_is_not_two():
    def window(a, b):
        a.add_(1)
        return a * 2 + b

    for _ in range(3):
        a, b = filled(1), filled(2)
        assert window(a, b)[0].item() == 6
        a = filled(1)
        assert window(a, a)[0].item() == 6
        x = filled(1)
        shared = x.clone()  # another storage of the same value
        assert window(x, shared)[0].item() == 5 and (x[0].item(), shared[0].item()) == (2, 1)


def test_a_result_is_not_an_operand_from_before():
    def window(outside):
        a = filled(2)
        b = filled(6) if outside else None
        c = a * 3
        kept = c + (b if outside else c)
        return key(), kept

    found = [(outside, *window(outside)) for outside in (True, False, True, False)]
    assert [kept[0].item() for _, _, kept in found] == [12] * 4
    assert found[0][1] == found[2][1] != found[1][1] == found[3][1]


@pytest.mark.parametrize("numbers", [(1.5, 2.0, 1.5), (2, 3, 70, 71, 2), (0.0, -0.0, 0.0)])
def test_numbers_that_a_key_says(numbers):
    for number in numbers:
        assert repr((filled(3) * number)[0].item()) == repr(3.0 * number)


def test_lists_of_operands():
    a, b, c = filled(1), filled(2), filled(3)
    for parts in ((a, b, c), (a, a, b), (c, b, a), (a, b, c), (b, b, b), (a, a, b)):
        joined = torch.cat([torch.stack(parts), torch.stack(parts) * 10])
        assert joined[:, 0].tolist() == [n * k for k in (1, 10) for n in [{a: 1, b: 2, c: 3}[p] for p in parts]]


def test_results_that_live_on():
    def window(keep):
        a = filled(1)
        b = a + 1
        c = b * 3
        found = (b, c) if keep else (c,)
        del a, b, c
        return key(), [t[0].item() for t in found]

    runs = [window(keep) for keep in (True, False, True, False)]
    assert [numbers for _, numbers in runs] == [[2, 6], [6], [2, 6], [6]]
    assert runs[0][0] == runs[2][0] != runs[1][0] == runs[3][0]


def test_a_plan_serves_all_steps_of_a_training():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    optimizer = torch.optim.Adam(model.parameters())
    x = torch.ones(5, 3)
    for step in range(12):
        if step == 6:
            plans = statistics().plans
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(x), x[:, :1]).backward()
        optimizer.step()
    assert statistics().plans == plans
