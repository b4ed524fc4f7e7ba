"""Sobol sequences."""

from __future__ import annotations

import sys

import pytest

import flambeau as torch
from flambeau.quasirandom import SobolEngine, _tables


def test_without_scipy_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    _tables.cache_clear()
    with pytest.raises(ModuleNotFoundError, match=r"SciPy, which is not installed\n  hint: pip install"):
        SobolEngine(2)


@pytest.mark.parametrize("dimension", [0, 21202])
def test_there_are_so_many_dimensions(dimension):
    with pytest.raises(ValueError, match=r"Supported range of dimensionality for SobolEngine is \[1, 21201\]"):
        SobolEngine(dimension)


@pytest.fixture
def numbers(monkeypatch):
    """The first direction numbers of three coordinates (Joe and Kuo 2008), which need no SciPy."""
    monkeypatch.setattr("flambeau.quasirandom._tables", lambda: ([1, 3, 7], [[1, 0], [1, 0], [1, 3]]))


def test_the_first_points(numbers):
    engine = SobolEngine(3)
    eighths = [[0, 0, 0], [4, 4, 4], [6, 2, 2], [2, 6, 6], [3, 3, 5], [7, 7, 1], [5, 1, 7], [1, 5, 3]]
    assert (engine.draw(1) * 8).tolist() == eighths[:1]
    assert (engine.draw(4) * 8).tolist() == eighths[1:5]
    assert engine.draw(0).shape == (0, 3) and engine.num_generated == 5
    assert (engine.reset().fast_forward(2).draw(6, dtype=torch.float64) * 8).tolist() == eighths[2:]
    out = torch.empty(0)
    assert engine.reset().draw(2, out=out) is out and out.tolist() == [[0.0] * 3, [0.5] * 3]


def test_scrambled_points_are_as_even_and_follow_the_seed(numbers):
    points = SobolEngine(3, scramble=True, seed=1).draw(64)
    assert torch.equal(SobolEngine(3, scramble=True, seed=1).draw(64), points)
    assert not torch.equal(SobolEngine(3, scramble=True, seed=2).draw(64), points)
    for coordinate in points.unbind(1):
        assert (coordinate * 64).floor().sort().values.tolist() == list(range(64))
    assert repr(SobolEngine(3, scramble=True, seed=1)) == "SobolEngine(dimension=3, scramble=True, seed=1)"


def test_balance_needs_powers_of_two(numbers):
    engine = SobolEngine(2)
    assert len(engine.draw_base2(2)) == len(engine.draw_base2(2)) == 4
    with pytest.raises(ValueError, match="n to be a power of 2. 8 points have been previously generated"):
        engine.draw_base2(2)
