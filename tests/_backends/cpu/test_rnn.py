"""LSTM layers and their gradients against the formulas, step by step in float64."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from flambeau._backends.cpu.host import host_target
from flambeau._backends.cpu.rnn import lower_lstm, lower_lstm_backward
from flambeau._core import dtypes
from flambeau._ir.meta import contiguous

sys.path.insert(0, str(Path(__file__).parent))
from steps import LAYOUTS, laid_out, name_of, result, run, targets  # noqa: E402


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def forward(x, h, c, w):
    """(h, c, activated gates) at all times."""
    states = []
    for at in x:
        i, f, g, o = np.split(at + h @ w.T, 4, -1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c = f * c + i * g
        h = o * np.tanh(c)
        states.append((h, c, np.concatenate([i, f, g, o], -1)))
    return [np.stack(s) for s in zip(*states, strict=True)]


def backward(g_h, dh, dc, gates, c, c0, w):
    """The gradients of the gates before their activations, of h0 and c0."""
    result = np.empty_like(gates)
    for t in reversed(range(len(gates))):
        i, f, g, o = np.split(gates[t], 4, -1)
        dh = dh + g_h[t]
        tanh = np.tanh(c[t])
        dc = dc + dh * o * (1 - tanh**2)
        before = c[t - 1] if t else c0
        parts = dc * g * i * (1 - i), dc * before * f * (1 - f), dc * i * (1 - g**2), dh * tanh * o * (1 - o)
        result[t] = np.concatenate(parts, -1)
        dh, dc = result[t] @ w, dc * f
    return result, dh, dc


def launched(lower, arrays, shapes, target, rng, one_by_one):
    operands = [laid_out(rng, x, rng.choice(LAYOUTS)) for x in arrays]
    outputs = [contiguous(operands[0][1].dtype, s) for s in shapes]
    step = lower(target, (), tuple([m for _, m in operands]), tuple(outputs))
    found = [result(m) for m in outputs]
    assert run(step, [*[a for a, _ in operands], *found], target, one_by_one) == 0
    return found


@pytest.mark.parametrize("target", targets(), ids=name_of)
@pytest.mark.parametrize("sizes", [(1, 1, 1), (3, 2, 5), (7, 13, 16), (4, 30, 33), (5, 100, 8), (2, 6, 70)])
def test_a_layer_and_its_gradients(sizes, target):
    steps, batch, hidden = sizes
    rng = np.random.default_rng(steps)
    dtype = np.float64 if steps == 7 else np.float32
    x = rng.uniform(-2, 2, (steps, batch, 4 * hidden)).astype(dtype)
    h0, c0, g_last, g_cell = (rng.uniform(-1, 1, (batch, hidden)).astype(dtype) for _ in range(4))
    w = (rng.uniform(-1, 1, (4 * hidden, hidden)) / np.sqrt(hidden)).astype(dtype)
    g = rng.uniform(-1, 1, (steps, batch, hidden)).astype(dtype)
    wide = [a.astype(np.float64) for a in (x, h0, c0, w)]
    h, c, gates = forward(*wide)
    tolerance = 40 * np.finfo(dtype).eps
    found = launched(lower_lstm, (x, h0, c0, w), (h.shape, c.shape, gates.shape), target, rng, steps % 2 == 0)
    for a, b in zip(found, (h, c, gates), strict=True):
        np.testing.assert_allclose(a, b, tolerance, tolerance)
    wanted = backward(*(a.astype(np.float64) for a in (g, g_last, g_cell)), gates, c, wide[2], wide[3])
    arrays = g, g_last, g_cell, found[2], found[1], c0, w
    found = launched(lower_lstm_backward, arrays, [a.shape for a in wanted], target, rng, steps % 2 == 0)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, tolerance, 4 * tolerance)


def test_what_is_not_supported():
    def metas(d):
        return tuple([contiguous(d, s) for s in ((2, 3, 8), (3, 2), (3, 2), (8, 2))])

    outputs = tuple([contiguous(dtypes.float32, s) for s in ((2, 3, 2), (2, 3, 2), (2, 3, 8))])
    assert lower_lstm(host_target(), (), metas(dtypes.float16), outputs) is None
    assert lower_lstm(host_target(), (), metas(dtypes.float32), outputs) is not None
