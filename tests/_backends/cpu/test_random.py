"""Draws by kernels against the draws in NumPy, to the bit, and the states they leave."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from flambeau._backends.cpu.host import host_target
from flambeau._backends.cpu.kernel import Address, Scalar, double_bits
from flambeau._backends.cpu.random import fill_step
from flambeau._backends.cpu.random_fill import fill, shuffle
from flambeau._backends.cpu.target import x86_64
from flambeau._ops import draws, draws_normal, mersenne
from flambeau._ops.mersenne import MersenneTwister

sys.path.insert(0, str(Path(__file__).parent))
from steps import name_of, run, targets  # noqa: E402

COUNTS = (0, 1, 2, 7, 16, 311, 312, 623, 624, 625, 1024, 1025, 5000)


@pytest.fixture(autouse=True)
def numpy_draws(monkeypatch):
    """What is compared with is drawn by NumPy."""
    monkeypatch.setattr(mersenne, "native", None)


def wanted(kind, generator, n, a, b):
    if kind == "uniform":
        return draws.uniform(generator, n, a, a + b)
    if kind == "bernoulli":
        return draws.bernoulli_scalar(generator, n, a) * np.float32(b)
    if kind == "normal":
        return draws_normal.normal(generator, n, a, b)
    return draws.randint(generator, n, int(a), int(a) + int(b))


CASES = [
    ("uniform", 0.0, 1.0), ("uniform", -2.0, 5.0), ("bernoulli", 0.5, 1.0), ("bernoulli", 0.1, 1 / 0.9),
    ("bernoulli", 1.0, 1.0), ("normal", 0.0, 1.0), ("normal", 0.3, 0.02), ("integers", 0, 10), ("integers", -3, 65_537),
    ("integers", 5, 1),
]  # fmt: skip


@pytest.mark.parametrize("kind, a, b", CASES)
def test_the_same_stream(kind, a, b):
    """One draw after another, so that each begins somewhere else in the state."""
    ours, theirs = MersenneTwister(7), MersenneTwister(7)
    for n in COUNTS:
        n = n // 16 * 16 if kind == "normal" else n
        out = np.full(n + 1, 77, np.int64 if kind == "integers" else np.float32)
        if not fill(kind, ours._engine(), out[:n], a, b):
            pytest.skip("this machine has no fused multiply-add")
        np.testing.assert_array_equal(out[:n], wanted(kind, theirs, n, a, b))
        assert out[n] == 77
        states = [g._engine().state["state"] for g in (ours, theirs)]
        assert states[0]["pos"] == states[1]["pos"] and (states[0]["key"] == states[1]["key"]).all()


@pytest.mark.parametrize("n", [0, 1, 2, 5, 1000, 40_000])
def test_permutations(n):
    ours, theirs = MersenneTwister(5), MersenneTwister(5)
    out = np.arange(n)
    assert shuffle(ours._engine(), out)
    np.testing.assert_array_equal(out, draws.randperm(theirs, n))
    assert ours.random32(3).tolist() == theirs.random32(3).tolist()


def test_many_normal_numbers():
    out = np.empty(1 << 18, np.float32)
    generator = MersenneTwister(1)
    if fill("normal", generator._engine(), out, 0.0, 1.0):
        np.testing.assert_array_equal(out, draws_normal.normal(MersenneTwister(1), len(out)))


@pytest.mark.parametrize("target", targets(), ids=name_of)
@pytest.mark.parametrize("kind, a, b", [c for c in CASES if c[0] in ("bernoulli", "integers")])
def test_other_targets(kind, a, b, target):
    twister, generator = MersenneTwister(3), MersenneTwister(3)
    inner = twister._engine().state["state"]
    state = np.concatenate([inner["key"], [inner["pos"]]]).astype(np.uint32)
    out = np.zeros(2000, np.int64 if kind == "integers" else np.float32)
    first = int(np.ceil(a * 2.0**53)) if kind == "bernoulli" else a
    step = fill_step(target, kind)
    numbers = {Scalar(0): out.size, Scalar(1): first, Scalar(2): double_bits(b)}
    launch = step.launches[0]
    words = tuple([numbers.get(w, w) if isinstance(w, Scalar) else w for w in launch.words])
    assert run(step._replace(launches=(launch._replace(words=words),)), [state, out], target) == 0
    np.testing.assert_array_equal(out, wanted(kind, generator, out.size, a, b))
    assert all(isinstance(w, Address | int) for w in words)


def test_where_rounding_would_differ_there_is_no_kernel():
    assert fill_step(x86_64("v2"), "normal") is None and fill_step(x86_64("v2"), "uniform") is None
    assert fill_step(host_target(), "integers") is not None
