"""Elements that formulas forget: NaN among signs and unique values, shifts by more bits than there are, powers of two
beyond the largest number."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau._core.config import config

nan = float("nan")
SIGNED = [torch.int8, torch.int16, torch.int32, torch.int64]


def test_nan_has_no_sign():
    x = torch.tensor([nan, -nan, 2.0, -3.0, -0.0], requires_grad=True)
    assert x.sign().tolist() == x.sgn().tolist() == [0.0, 0.0, 1.0, -1.0, 0.0]
    x.abs().sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 1.0, -1.0, 0.0]


def test_every_nan_is_unique():
    values, inverse, counts = torch.tensor([nan, 1.0, nan, 1.0]).unique(return_inverse=True, return_counts=True)
    assert values[0] == 1 and values[1:].isnan().tolist() == [True, True]
    assert (inverse.tolist(), counts.tolist()) == ([1, 0, 2, 0], [2, 1, 1])


@pytest.mark.parametrize("x", [
    np.array([3, -2, 3, 0, -2], np.int64), np.array([127, -128, 127], np.int8), np.array([2**63 - 1, -(2**63), 5]),
    np.array([0, 255, 7, 255], np.uint8), np.array([1.5, -0.5, 1.5], np.float32), np.array([True, False, True]),
    np.zeros(0, np.float32), np.zeros((2, 0), np.int64), np.array(7), np.arange(300) % 7, np.arange(40.0) // 3,
])  # fmt: skip
def test_unique_elements_whether_counted_or_sorted(x):
    expected = np.unique(x, return_inverse=True, return_counts=True)
    values, inverse, counts = torch.tensor(x).unique(return_inverse=True, return_counts=True)
    alone, numbers = torch.tensor(x).unique(), torch.tensor(x).unique(return_counts=True)
    for found, wanted in (*zip((values, inverse, counts), expected, strict=True), (alone, expected[0]),
                          *zip(numbers, expected[::2], strict=True)):  # fmt: skip
        assert found.shape == wanted.shape and found.tolist() == wanted.tolist()
    assert values.dtype is alone.dtype is torch.tensor(x).dtype


def test_a_histogram_of_more_elements_than_are_counted_at_a_time():
    x = np.random.default_rng(0).standard_normal(100_000, np.float32)
    expected = np.histogram(x, 30, (-2.0, 2.0))[0]
    assert np.abs(torch.tensor(x).histc(30, -2, 2).numpy() - expected).max() <= 1  # edges are rounded


@pytest.mark.parametrize("dtype", SIGNED, ids=str)
def test_shifts_beyond_the_bits(dtype):
    bits = torch.iinfo(dtype).bits
    x = torch.tensor([-5, 5], dtype=dtype)
    for count in (bits - 1, bits, bits + 1, -1):
        assert (x >> count).tolist() == (x >> torch.full((2,), count, dtype=dtype)).tolist() == [-1, 0]
    assert (x << bits).tolist() == (x << -1).tolist() == [0, 0]
    bytes_ = torch.tensor([255, 128], dtype=torch.uint8)
    assert (bytes_ >> 7).tolist() == [1, 1] and (bytes_ >> 8).tolist() == [0, 0]


def test_powers_of_two_beyond_the_largest_number():
    x = torch.tensor([2.0**-100, 1.0], requires_grad=True)
    assert torch.ldexp(x, torch.tensor([200, -149])).tolist() == [2.0**100, 2.0**-149]
    half = torch.ldexp(torch.tensor([2.0**-24], dtype=torch.float16), torch.tensor([20]))
    assert half.dtype is torch.float16 and half.item() == 2.0**-4
    torch.ldexp(x, torch.tensor([1, 2])).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


@pytest.mark.parametrize("when", ["always", "never"])
def test_a_bound_that_is_a_number_keeps_the_zero_that_equals_it(monkeypatch, when):
    """As in PyTorch: 0 and -0 are equal, and the input's stays; of two tensors the second's, or fmax's first."""
    monkeypatch.setattr(config, "compile", when)
    x, zeros = torch.tensor([0.0, -0.0] * 20), torch.tensor([0.0] * 40)
    functional = torch.nn.functional
    for bounded in (x.relu(), x.clamp(min=0), x.clamp(max=0), functional.relu6(x), functional.hardtanh(x, 0.0, 1.0)):
        assert torch.signbit(bounded).tolist() == [False, True] * 20
    assert torch.signbit(torch.maximum(zeros, x)).tolist() == [False, True] * 20
    assert not torch.signbit(torch.minimum(x, zeros)).any()
    assert torch.signbit(torch.fmax(x, zeros)).tolist() == torch.signbit(torch.fmin(x, zeros)).tolist()
    assert torch.signbit(torch.fmin(x, zeros)).tolist() == [False, True] * 20
    pooled = functional.max_pool1d(x.reshape(1, 1, -1), 2)
    assert not torch.signbit(pooled).any() and not torch.signbit((-zeros).cumsum(0)).any()
