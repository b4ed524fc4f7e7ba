"""Formulas: one instruction in the window, several when it is compiled or run by the reference."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau._core.config import config
from flambeau._engine import repeat, window
from flambeau._engine.formula import Formula
from flambeau._engine.repeat import Repeatable


def decayed(p, m, g):
    m.lerp_(g, 0.125)
    p.sub_(0.3 * m / (m.abs().sqrt() + 1.0))


def steps(shapes, dtype=torch.float32, formula=decayed):
    """The parameters after the formula, and how many instructions stood for each."""
    repeatable, parameters, lengths = Repeatable(), [], []
    for number, shape in enumerate(shapes):
        numbers = torch.arange(float(np.prod(shape))).reshape(shape).to(dtype)
        tensors = numbers * 0.5 - 1, numbers * 0.25, numbers * 0.1 + number
        before = len(window.state.window.queue)
        if not repeatable.repeat(tensors, ()):
            with repeatable.recording(tensors, ()):
                formula(*tensors)
        lengths.append(len(window.state.window.queue) - before)
        parameters.append(tensors[:2])
    return parameters, lengths


def expected(shapes):
    """The same with NumPy."""
    found = []
    for number, shape in enumerate(shapes):
        x = np.arange(float(np.prod(shape))).reshape(shape)
        m = x * 0.25 + 0.125 * (x * 0.1 + number - x * 0.25)
        found.append((x * 0.5 - 1 - 0.3 * m / (np.sqrt(np.abs(m)) + 1), m))
    return found


@pytest.mark.parametrize("compile_when", ["never", "always", "auto"])
def test_a_formula_is_one_instruction_and_gives_the_same(monkeypatch, compile_when):
    monkeypatch.setattr(config, "compile", compile_when)
    shapes = [(3, 700), (5,), (3, 700), (2, 2), (5,)]
    for _ in range(3):
        parameters, lengths = steps(shapes)
        assert lengths == [1] * len(shapes)
        for tensors, arrays in zip(parameters, expected(shapes), strict=True):
            for t, a in zip(tensors, arrays, strict=True):
                np.testing.assert_allclose(t.numpy(), a, rtol=1e-5, atol=1e-6)


def test_what_has_no_kernel_is_recorded_one_by_one(monkeypatch):
    monkeypatch.setattr(config, "compile", "always")
    for _ in range(2):
        parameters, lengths = steps([(3,), (3,)], torch.complex64)
        window.flush()
        parameters, lengths = steps([(3,), (3,)], torch.complex64)
        assert lengths[1] == lengths[0] > 1
        np.testing.assert_allclose(parameters[0][0].numpy(), expected([(3,)])[0][0], rtol=1e-5)


def test_what_is_read_before_keeps_its_value():
    repeatable = Repeatable()
    with repeatable.recording((p := torch.ones(4), g := torch.ones(4)), ()):
        p.mul_(2.0).add_(g)
    q = torch.ones(4)
    before = q * 1.0
    assert repeatable.repeat((q, g), ())
    assert isinstance(window.state.window.queue[-1].op, Formula)
    assert before.tolist() == [1.0] * 4 and q.tolist() == [3.0] * 4 and q._version == 2


def test_what_somebody_keeps_of_the_first_one_is_computed():
    kept = []

    def keeping(p, m, g):
        kept.append(m * 2.0)
        p.sub_(kept[-1] * g)

    parameters, lengths = steps([(3,), (3,)], formula=keeping)
    assert lengths == [3, 1]
    assert kept[0].tolist() == [0.0, 0.5, 1.0]
    assert parameters[0][0].tolist() == pytest.approx([-1.0, -0.55, -0.2])


def test_ctrl_c_while_it_is_learned_loses_nothing(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(repeat, "unseen", interrupted)
    p, g = torch.ones(3), torch.ones(3)
    with pytest.raises(KeyboardInterrupt), Repeatable().recording((p, g), ()):
        p.mul_(2.0).add_(g)
    assert p.tolist() == [3.0] * 3
