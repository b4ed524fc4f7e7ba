"""Attention and its gradients against the formulas in float64."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from flambeau._backends.cpu.attention import lower_attention, lower_attention_backward
from flambeau._backends.cpu.host import host_target
from flambeau._backends.cpu.strided import permuted
from flambeau._core import dtypes
from flambeau._ir.meta import contiguous, meta

sys.path.insert(0, str(Path(__file__).parent))
from steps import LAYOUTS, laid_out, name_of, result, run, targets  # noqa: E402


def reference(q, k, v, mask, causal, scale, g):
    """(out, logarithms of sums, dq, dk, dv)."""
    q, k, v, g = (x.astype(np.float64) for x in (q, k, v, g))
    s = q @ k.swapaxes(-1, -2) * scale
    if causal:
        s = np.where(np.tri(*s.shape[-2:], dtype=bool), s, -np.inf)
    if mask is not None:
        s = np.where(mask, s, -np.inf) if mask.dtype == bool else s + mask
    top = s.max(-1, keepdims=True)
    p = np.exp(s - np.where(np.isinf(top), 0, top))
    total = p.sum(-1, keepdims=True)
    with np.errstate(divide="ignore"):
        sums = (np.log(total) + top)[..., 0]
    p = p / np.where(total == 0, 1, total)
    out = p @ v
    ds = p * (g @ v.swapaxes(-1, -2) - (g * out).sum(-1, keepdims=True)) * scale
    return out, sums, ds @ k, ds.swapaxes(-1, -2) @ q, p.swapaxes(-1, -2) @ g


def swapped(ndim):
    """The dimensions with heads and positions in each other's place."""
    return [*range(ndim - 3), ndim - 2, ndim - 3, ndim - 1]


def turned(d, shape, inside):
    """The layout in memory of a result, whose heads lie `inside` of positions."""
    return contiguous(d, [shape[i] for i in swapped(len(shape))] if inside else shape)


def seen(x, inside):
    return x.swapaxes(-3, -2) if inside else x


def check(found, wanted, dtype):
    scale = max(1.0, np.abs(np.where(np.isinf(wanted), 0, wanted)).max(initial=0))
    np.testing.assert_allclose(found, wanted, 0, 60 * np.finfo(dtype).eps * scale)


def both(rng, batch, lengths, widths, causal, kind, dtype, target, layouts, one_by_one=False):
    (queries, keys), (e, ev) = lengths, widths
    d = dtypes.from_numpy(np.dtype(dtype))
    q, k, v, g = (
        rng.uniform(-2, 2, (*batch, n, w)).astype(dtype)
        for n, w in ((queries, e), (keys, e), (keys, ev), (queries, ev))
    )
    mask = None
    if kind is not None:
        shape = [n if rng.random() < 0.7 else 1 for n in (*batch, queries, keys)][rng.integers(len(batch) + 1) :]
        mask = rng.random(shape) < 0.6 if kind == "bool" else rng.uniform(-3, 3, shape).astype(dtype)
    scale = 1 / math.sqrt(e)
    full = None if mask is None else np.broadcast_to(mask, (*batch, queries, keys))
    wanted = reference(q, k, v, full, causal, scale, g)
    operands = [laid_out(rng, x, how) for x, how in zip((q, k, v), layouts, strict=False)]
    masks = [] if mask is None else [laid_out(rng, mask, layouts[3])]
    inside = len(batch) > 0 and bool(rng.random() < 0.5)
    outputs = turned(d, (*batch, queries, ev), inside), contiguous(d, (*batch, queries))
    params = causal, scale, kind, inside
    step = lower_attention(target, params, tuple([m for _, m in (*operands, *masks)]), outputs)
    found = [result(m) for m in outputs]
    assert run(step, [*[a for a, _ in (*operands, *masks)], *found], target, one_by_one) == 0
    for a, b in zip((seen(found[0], inside), found[1]), wanted, strict=False):
        check(a, b, dtype)
    gradient = laid_out(rng, g, layouts[4])
    own = permuted(outputs[0], swapped(len(batch) + 2)) if inside else outputs[0]
    inputs = [gradient, *operands, (found[0], own), (found[1], outputs[1]), *masks]
    results = [turned(d, x.shape, inside) for x in (q, k, v)]
    step = lower_attention_backward(target, params, tuple([m for _, m in inputs]), tuple(results))
    gradients = [result(m) for m in results]
    assert run(step, [*[a for a, _ in inputs], *gradients], target, one_by_one) == 0
    for a, b in zip(gradients, wanted[2:], strict=True):
        check(seen(a, inside), b, dtype)
    return [*found, *gradients]


@pytest.mark.parametrize("target", targets(), ids=name_of)
@pytest.mark.parametrize("seed", range(10))
def test_random_shapes(seed, target):
    rng = np.random.default_rng(seed)
    batch = [(), (3,), (2, 3)][rng.integers(3)]
    lengths = [int(rng.choice((1, 2, 7, 33, 64, 65, 130))) for _ in range(2)]
    widths = [int(rng.choice((1, 3, 8, 16, 32, 37))) for _ in range(2)]
    causal = bool(seed % 2)
    kind = None if causal else (None, "bool", "float")[seed % 3]
    dtype = np.float64 if seed % 5 == 4 else np.float32
    both(rng, batch, lengths, widths, causal, kind, dtype, target, rng.choice(LAYOUTS, 5), seed % 3 == 1)


@pytest.mark.parametrize("widths", [(300, 512), (1024, 16)])
def test_wide_heads(widths):
    rng = np.random.default_rng(0)
    both(rng, (), (70, 66), widths, False, None, np.float32, host_target(), LAYOUTS[:1] * 5)


def test_heads_side_by_side():
    """[B, T, H, E] with heads turned to the front, as models split them, gives what dense operands give."""
    rng = np.random.default_rng(0)
    x = [rng.uniform(-1, 1, (2, 70, 3, 32)).astype(np.float32) for _ in range(3)]
    target = host_target()
    outputs = contiguous(dtypes.float32, (2, 3, 70, 32)), contiguous(dtypes.float32, (2, 3, 70))
    turned = meta(dtypes.float32, (2, 3, 70, 32), (70 * 96, 32, 96, 1))
    dense = contiguous(dtypes.float32, (2, 3, 70, 32))
    params = True, 0.2, None, False
    found = [[result(m) for m in outputs] for _ in range(2)]
    run(lower_attention(target, params, (turned,) * 3, outputs), [*x, *found[0]], target)
    copies = [np.ascontiguousarray(a.swapaxes(1, 2)) for a in x]
    run(lower_attention(target, params, (dense,) * 3, outputs), [*copies, *found[1]], target)
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_scores_of_any_size(scale):
    """Large scores, growing and falling from block to block of keys."""
    rng = np.random.default_rng(0)
    for order in (1, -1):
        q = np.ones((1, 3, 4), np.float32)
        k = np.linspace(-3, 3, 200, dtype=np.float32)[::order, None].repeat(4, 1)[None]
        v = rng.uniform(-1, 1, (1, 200, 4)).astype(np.float32)
        wanted = reference(q, k, v, None, False, scale, np.zeros((1, 3, 4)))
        outputs = contiguous(dtypes.float32, (1, 3, 4)), contiguous(dtypes.float32, (1, 3))
        metas = tuple([contiguous(dtypes.float32, x.shape) for x in (q, k, v)])
        found = [result(m) for m in outputs]
        target = host_target()
        run(lower_attention(target, (False, scale, None, False), metas, outputs), [q, k, v, *found], target)
        np.testing.assert_allclose(found[0], wanted[0], 1e-3 if scale > 1 else 1e-5, 1e-5)


def test_rows_that_see_nothing():
    rng = np.random.default_rng(0)
    target = host_target()
    q = rng.uniform(-1, 1, (4, 8)).astype(np.float32)
    mask = np.ones((4, 4), bool)
    mask[2] = False
    m, s = contiguous(dtypes.float32, (4, 8)), contiguous(dtypes.float32, (4,))
    masked = contiguous(dtypes.bool_, (4, 4))
    out, sums = result(m), result(s)
    params = False, 1.0, "bool", False
    run(lower_attention(target, params, (m, m, m, masked), (m, s)), [q, q, q, mask, out, sums], target)
    assert (out[2] == 0).all() and sums[2] == -np.inf and np.isfinite(out).all()
    step = lower_attention_backward(target, params, (m, m, m, m, m, s, masked), (m, m, m))
    gradients = [result(m) for _ in range(3)]
    run(step, [q, q, q, q, out, sums, mask, *gradients], target)
    assert (gradients[0][2] == 0).all() and all(np.isfinite(x).all() for x in gradients)


def test_what_is_not_supported():
    target = host_target()
    half, wide = contiguous(dtypes.float16, (4, 8)), contiguous(dtypes.float32, (4, 1025))
    for m in (half, wide):
        outputs = m, contiguous(m.dtype, (4,))
        assert lower_attention(target, (False, 1.0, None, False), (m, m, m), outputs) is None
