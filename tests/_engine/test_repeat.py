"""Formulas recorded once and repeated for other tensors."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau._core.config import config
from flambeau._engine.plans import statistics
from flambeau._engine.repeat import Repeatable


def formula(p, g):
    p.mul_(0.9).add_(g, alpha=-0.25)


def both(*shapes, change=None):
    """The tensors after the formula was recorded for the first pair and repeated for the others."""
    repeatable, results = Repeatable(), []
    for shape in shapes:
        p, g = torch.ones(shape), torch.full(shape, 2.0)
        if change is not None:
            p, g = change(p, g)
        if not repeatable.repeat((p, g), ()):
            with repeatable.recording((p, g), ()):
                formula(p, g)
            results.append(("recorded", p))
        else:
            results.append(("repeated", p))
    return results


def test_other_shapes_are_repeated_once_their_operations_are_known():
    both((3,), (2, 2))  # the operations' results for these shapes are remembered from here on
    for _ in range(2):
        results = both((3,), (2, 2), (3,))
        assert [how for how, _ in results] == ["recorded", "repeated", "repeated"]
        for _, p in results:
            assert p.flatten()[0].item() == pytest.approx(0.4)
        assert all(p._version == 2 for _, p in results)


def test_other_layouts_are_recorded():
    results = both((3, 3), (3, 3), change=lambda p, g: (p.t(), g))
    assert [how for how, _ in results] == ["recorded", "recorded"]
    assert results[1][1].tolist() == [[pytest.approx(0.4)] * 3] * 3


def test_other_numbers_are_recorded():
    repeatable, p, g = Repeatable(), torch.ones(3), torch.ones(3)
    with repeatable.recording((p, g), 1.0):
        formula(p, g)
    assert not repeatable.repeat((p, g), 2.0)


def test_what_is_not_pointwise_is_not_repeated():
    repeatable, p = Repeatable(), torch.ones(3)
    with repeatable.recording((p,), ()):
        p.sub_(p.sum())
    assert not repeatable.repeat((torch.ones(3),), ())


def test_memory_that_others_see_is_not_repeated():
    both((3,), (3,))
    p, g = torch.ones(3), torch.ones(3)
    seen = p.numpy()
    repeatable = Repeatable()
    with repeatable.recording((torch.ones(3), g), ()):
        formula(torch.ones(3), g)
    assert not repeatable.repeat((p, g), ())
    formula(p, g)
    assert seen.tolist() == p.tolist()


def test_a_formula_is_not_torn_apart_by_the_bytes_it_promises(monkeypatch):
    monkeypatch.setattr(config, "compile", "always")
    params = [torch.nn.Parameter(torch.ones(1000)) for _ in range(4)]
    for p in params:
        p.grad = torch.full((1000,), 2.0)
    optimizer = torch.optim.Adam(params)
    optimizer.step()
    torch.synchronize()
    monkeypatch.setattr(config, "window_bytes", 5000)  # about one result; a step makes some ten a parameter
    before = statistics().runs
    optimizer.step()
    assert statistics().runs - before == len(params)


def test_tensors_of_inference_mode_are_not_repeated():
    both((3,), (3,))
    repeatable = Repeatable()
    with repeatable.recording((p := torch.ones(3), g := torch.ones(3)), ()):
        formula(p, g)
    with torch.inference_mode():
        q = torch.ones(3)
    assert not repeatable.repeat((q, g), ())  # so that writing to it raises what it always does
    assert repeatable.repeat((torch.ones(3), g), ())
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
        formula(q, g)


def test_several_sets_are_repeated_together_or_not_at_all(monkeypatch):
    both((3,), (2, 2))
    repeatable, params, order = Repeatable(), [torch.ones(3), torch.ones(2, 2), torch.ones(3)], []
    with repeatable.recording((p := torch.ones(3), torch.full((3,), 2.0)), ()):
        formula(p, torch.full((3,), 2.0))
    torch.synchronize()
    assert repeatable.scalars is None  # another gradient was read than was told of
    with repeatable.recording((p := torch.ones(3), g := torch.full((3,), 2.0)), ()):
        formula(p, g)
    flat = [t for p in params for t in (p, torch.full_like(p, 2.0))]
    torch.synchronize()
    with monkeypatch.context() as changed:
        changed.setattr(config, "window_instructions", 2)
        assert not repeatable.repeat(flat, (), 3, order.append) and not order
    assert repeatable.repeat(flat, (), 3, order.append) and order == [0, 1, 2]
    assert [p.flatten()[0].item() for p in params] == [pytest.approx(0.4)] * 3
    assert [p._version for p in params] == [2] * 3
    assert repeatable.scalars == [0.9, -0.25] and repeatable.renumber(1, [0.25, -0.3])
    assert not repeatable.renumber(2, [0.5, -0.3]) and not repeatable.renumber(2, [0.3])  # a plan's key says 0.5
    assert not repeatable.repeat(flat, (), 3) and repeatable.repeat(flat, 1, 3)
    assert params[1].flatten().tolist() == [pytest.approx(0.4 * 0.25 - 0.3 * 2)] * 4
