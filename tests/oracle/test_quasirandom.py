"""Sobol sequences beside PyTorch's: the same bits, scrambled or not."""

from __future__ import annotations

import pytest

import flambeau

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("scramble", [False, True])
@pytest.mark.parametrize("dimension", [1, 2, 7, 300])
def test_the_same_points(dimension, scramble):
    ours = flambeau.quasirandom.SobolEngine(dimension, scramble, seed=5)
    theirs = torch.quasirandom.SobolEngine(dimension, scramble, seed=5)
    for n, dtype in ((1, "float64"), (6, "float32"), (50, "float64")):
        drawn = ours.draw(n, dtype=getattr(flambeau, dtype)).numpy()
        assert (drawn == theirs.draw(n, dtype=getattr(torch, dtype)).numpy()).all()
    assert (ours.fast_forward(9).draw(3).numpy() == theirs.fast_forward(9).draw(3).numpy()).all()
    assert (ours.reset().draw_base2(3).numpy() == theirs.reset().draw_base2(3).numpy()).all()


def test_all_direction_numbers():
    ours, theirs = flambeau.quasirandom.SobolEngine(21201), torch.quasirandom.SobolEngine(21201)
    assert (ours.sobolstate.numpy() == theirs.sobolstate.numpy()).all()


def test_the_global_generator_scrambles():
    flambeau.manual_seed(2), torch.manual_seed(2)
    drawn = flambeau.quasirandom.SobolEngine(3, True).draw(8).numpy()
    assert (drawn == torch.quasirandom.SobolEngine(3, True).draw(8).numpy()).all()
