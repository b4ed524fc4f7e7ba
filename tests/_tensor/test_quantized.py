"""Quantized tensors and rounding to few bits, against NumPy and, where it is there, PyTorch."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import flambeau as torch

LIMITS = {"qint8": (-128, 127), "quint8": (0, 255), "qint32": (-(2**31), 2**31 - 1)}
DATA = np.random.default_rng(0).normal(0, 5, (4, 3)).astype(np.float32)


@pytest.mark.parametrize("name", LIMITS)
def test_per_tensor(name):
    q = torch.quantize_per_tensor(torch.tensor(DATA), 0.05, 7, getattr(torch, name))
    whole = np.clip(np.rint(DATA * (np.float32(1) / np.float32(0.05))) + 7, *LIMITS[name])
    np.testing.assert_array_equal(q.int_repr().numpy(), whole)
    np.testing.assert_array_equal(q.dequantize().numpy(), (whole - 7).astype(np.float32) * np.float32(0.05))
    assert (q.q_scale(), q.q_zero_point(), q.qscheme()) == (0.05, 7, torch.per_tensor_affine)
    assert q.is_quantized and q.dtype is getattr(torch, name) and q.shape == (4, 3) and not q.requires_grad


def test_per_channel():
    scales, zeros = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0, 1, 2])
    q = torch.quantize_per_channel(torch.tensor(DATA), scales, zeros, 1, torch.qint8)
    for c in range(3):
        alone = torch.quantize_per_tensor(torch.tensor(DATA[:, c]), float(scales[c]), c, torch.qint8)
        assert q.int_repr()[:, c].equal(alone.int_repr()) and q.dequantize()[:, c].equal(alone.dequantize())
    assert q.q_per_channel_axis() == 1 and q.q_per_channel_scales().dtype is torch.float64
    with pytest.raises(RuntimeError, match="expected a tensor quantized with torch.per_tensor_affine"):
        q.q_scale()


def test_dynamic_covers_the_range():
    q = torch.quantize_per_tensor_dynamic(torch.tensor(DATA), torch.quint8, False)
    assert float((q.dequantize() - torch.tensor(DATA)).abs().max()) <= q.q_scale() / 2 + 1e-6
    zero = torch.quantize_per_tensor_dynamic(torch.zeros(2), torch.qint8, False)
    assert zero.dequantize().tolist() == [0, 0]


def test_views_and_copies():
    q = torch.quantize_per_tensor(torch.tensor(DATA), 0.1, 0, torch.qint8)
    flat = q.int_repr().reshape(-1)
    assert q.reshape(-1).int_repr().equal(flat) and q[1].int_repr().equal(flat[3:6])
    for other in (q.clone(), copy.deepcopy(q), pickle.loads(pickle.dumps(q))):
        assert other.equal(q)
    assert not q.equal(torch.quantize_per_tensor(torch.tensor(DATA), 0.2, 0, torch.qint8))


def test_it_is_printed_as_pytorch_prints_it():
    q = torch.quantize_per_tensor(torch.tensor([0.1, -1.26, 2.55, 100.0]), 0.1, 10, torch.quint8)
    assert repr(q) == (
        "tensor([ 0.1000, -1.0000,  2.6000, 24.5000], size=(4,), dtype=torch.quint8,\n"
        "       quantization_scheme=torch.per_tensor_affine, scale=0.1, zero_point=10)"
    )


def test_what_is_refused():
    x = torch.ones(2)
    q = torch.quantize_per_tensor(x, 0.1, 0, torch.qint8)
    for compute in (lambda: q + q, lambda: q.exp(), lambda: torch.cat([q, q])):
        with pytest.raises(NotImplementedError, match=r"use .dequantize\(\) first"):
            compute()
    with pytest.raises(RuntimeError, match="expected the dtype torch.qint8"):
        torch.quantize_per_tensor(x, 0.1, 0, torch.int8)
    with pytest.raises(RuntimeError, match="only works on Float"):
        torch.quantize_per_tensor(x.double(), 0.1, 0, torch.qint8)
    with pytest.raises(RuntimeError, match="out of range"):
        torch.quantize_per_tensor(x, 0.1, 300, torch.quint8)
    for compute in (lambda: torch.zeros(2, dtype=torch.qint8), lambda: x.to(torch.quint8), lambda: x.view(torch.qint8)):
        with pytest.raises(RuntimeError, match="use torch.quantize_per_tensor"):
            compute()  # at once: what waits in a window could not be compiled
    with pytest.raises(RuntimeError, match="expects a quantized tensor"):
        x.int_repr()


def test_fake_quantization_and_its_gradient():
    x = torch.tensor(DATA, requires_grad=True)
    y = torch.fake_quantize_per_tensor_affine(x, 0.1, 3, 0, 63)
    whole = np.rint(DATA * (np.float32(1) / np.float32(0.1)) + 3)
    expected = (np.clip(whole, 0, 63) - 3).astype(np.float32) * np.float32(0.1)
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    (y * 2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2.0 * ((whole >= 0) & (whole <= 63)))
    scales, zeros = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([3, 0, 1], dtype=torch.int32)
    per = torch.fake_quantize_per_channel_affine(x, scales, zeros, 1, 0, 63)
    alone = torch.fake_quantize_per_tensor_affine(x[:, 1], scales[1], zeros[1], 0, 63)
    assert per[:, 1].equal(alone) and per[:, 0].equal(y[:, 0])


def test_functions_of_their_own():
    numbers = torch.tensor(np.random.default_rng(1).normal(0, 5, (2, 3, 4, 4)).astype(np.float32))
    q = torch.quantize_per_tensor(numbers, 0.1, 100, torch.quint8)
    pooled = torch.quantized_max_pool2d(q, 2, 1, 1)
    assert pooled.dequantize().equal(torch.nn.functional.max_pool2d(q.dequantize(), 2, 1, 1))
    assert torch.quantized_max_pool1d(q[0], 2).dequantize().equal(torch.max_pool1d(q[0].dequantize(), 2))
    assert torch.quantized_max_pool3d(q, (1, 2, 2)).shape == (2, 3, 2, 2)
    weight, bias, mean, var = torch.arange(1.0, 13.0).view(4, 3)
    found = torch.quantized_batch_norm(q, weight, bias, mean, var, 1e-5, 0.2, 30)
    normal = torch.nn.functional.batch_norm(q.dequantize(), mean, var, weight, bias)
    expected = torch.quantize_per_tensor(normal, 0.2, 30, torch.quint8)
    assert int((found.int_repr().int() - expected.int_repr().int()).abs().max()) <= 1


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("seed", range(20))
def test_as_pytorch(seed):
    real = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    data = rng.normal(0, 10.0 ** rng.integers(-3, 4), (50, 3)).astype(np.float32)
    scale, zero = float(rng.uniform(1e-3, 1)), int(rng.integers(0, 100))
    results = []
    for lib in (torch, real):
        x = lib.tensor(data, requires_grad=True)
        found = []
        for name in LIMITS:
            found.append(lib.quantize_per_tensor(x.detach(), scale, zero, getattr(lib, name)))
        for reduce_range in (False, True):
            for name in ("qint8", "quint8"):
                found.append(lib.quantize_per_tensor_dynamic(x.detach(), getattr(lib, name), reduce_range))
        scales, zeros = lib.tensor([scale, 0.5, 0.1]), lib.tensor([zero, 0, 5])
        found.append(lib.quantize_per_channel(x.detach(), scales, zeros, 1, lib.quint8))
        fakes = [
            lib.fake_quantize_per_tensor_affine(x, scale, zero, 0, 255),
            lib.fake_quantize_per_channel_affine(x, scales, zeros.int(), 1, -128, 127),
        ]
        sum(f.sum() for f in fakes).backward()
        arrays = [a for q in found for a in (q.int_repr().numpy(), q.dequantize().numpy())]
        arrays += [f.detach().numpy() for f in fakes] + [x.grad.numpy()]
        results.append((arrays, [repr(q[:2]) for q in found[:-1]]))
    for ours, theirs in zip(results[0][0], results[1][0], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert results[0][1] == results[1][1]
