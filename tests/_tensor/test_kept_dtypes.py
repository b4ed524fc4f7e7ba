"""Floats of 8 bits, and bits: kept, moved and converted. The numbers are PyTorch 2.13's."""

from __future__ import annotations

import copy
import io
import pickle

import pytest

import flambeau as torch
import flambeau.nn.functional as F
from flambeau._core import dtypes
from flambeau.safetensors import torch as tensors

nan, inf = float("nan"), float("inf")
F8 = torch.float8_e4m3fn


@pytest.mark.parametrize(
    ("name", "given", "bits"),
    [
        ("float8_e4m3fn", [1.1, -500.0, nan, 0.3, 448.0, 465.0, inf, -0.0], [57, 254, 127, 42, 126, 126, 126, 128]),
        ("float8_e5m2", [1.1, -500.0, 0.3, 1e9, inf, -0.0], [60, 224, 53, 124, 124, 128]),
        ("float8_e4m3fnuz", [1.1, 1e9, inf, -0.0, 0.3], [65, 128, 128, 0, 50]),
        ("float8_e5m2fnuz", [1.1, 1e9, inf, -0.0, 0.3], [64, 128, 128, 0, 57]),
        ("float8_e8m0fnu", [1.0, 3.0, 0.7, 0.0, -2.0, 1e-45, 3e38, inf], [127, 129, 126, 0, 128, 0, 255, 255]),
    ],
)
def test_conversions(name, given, bits):
    d = getattr(torch, name)
    for source in (torch.float32, torch.float64):
        assert torch.tensor(given, dtype=source).to(d).view(torch.uint8).tolist() == bits
    assert torch.tensor(given, dtype=d).view(torch.uint8).tolist() == bits
    back = torch.tensor(bits, dtype=torch.uint8).view(d).float()
    assert torch.equal(back.to(d).view(torch.uint8), torch.tensor(bits, dtype=torch.uint8))


def test_every_value_comes_back():
    for d in dtypes.FLOAT8:
        every = torch.arange(256, dtype=torch.uint8).view(d)
        for wide in (torch.float32, torch.float64):
            again = every.to(wide).to(d)
            assert ((again == every) | (again.isnan() & every.isnan())).all()


def test_compiled_neighbours():
    """What stands before and after in the window is fused as usual."""
    assert ((torch.tensor([1.1, 300.0]) * 2).to(F8).float() + 1).tolist() == [3.25, 449.0]
    target = torch.zeros(4, dtype=F8)
    target.copy_(torch.tensor([1.1, 2.0, 3.0, 1000.0]))
    target[1:2] = 0.3
    assert target.tolist() == [1.125, 0.3125, 3.0, 448.0]
    w = torch.ones(3, requires_grad=True)
    (w.to(F8).float() * torch.tensor([0.3, 1.0, 2.0])).sum().backward()
    assert w.grad.tolist() == [0.3125, 1.0, 2.0]  # the gradient goes through the dtype, too


def test_moving():
    x = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=F8)
    assert torch.cat([x, x])[::4].tolist() == [1, 1] and torch.stack([x, x]).shape == (2, 4)
    assert x[torch.tensor([0, 2])].tolist() == [1, 3] and x[x != 2].tolist() == [1, 3, 4]
    assert x.view(2, 2).t().contiguous().tolist() == [[1, 3], [2, 4]]
    assert torch.where(x == 2, x, torch.zeros_like(x)).tolist() == [0, 2, 0, 0]
    assert x[0].item() == 1 and x.clone().fill_(3.3).tolist() == [3.25] * 4 and x.element_size() == 1
    assert repr(x[:2]) == "tensor([1., 2.], dtype=torch.float8_e4m3fn)"
    assert (torch.finfo(F8).max, torch.finfo(F8).eps, torch.finfo(F8).resolution) == (448, 0.125, 1)


def test_files():
    x = torch.tensor([1.0, -0.3, 448.0]).to(F8)
    file = io.BytesIO()
    torch.save({"x": x, "bits": torch.arange(3, dtype=torch.uint8).view(torch.int4)}, file)
    file.seek(0)
    found = torch.load(file)
    assert found["x"].dtype is F8 and found["x"].tolist() == x.tolist()
    assert found["bits"].dtype is torch.int4 and found["bits"].view(torch.uint8).tolist() == [0, 1, 2]
    again = tensors.load(tensors.save({"x": x}))["x"]
    assert again.dtype is F8 and again.tolist() == x.tolist()
    for copied in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert copied.dtype is F8 and copied.tolist() == x.tolist()
    assert pickle.loads(pickle.dumps(torch.bits16)) is torch.bits16


def test_bits():
    x = torch.arange(4, dtype=torch.uint8)
    for d in dtypes.BITS.values():
        seen = x.view(d)
        assert seen.dtype is d is getattr(torch, d.name) and seen.numel() * d.itemsize == 4
        assert seen.clone().view(torch.uint8).tolist() == [0, 1, 2, 3]
        with pytest.raises(NotImplementedError, match="not implemented for"):
            seen + seen
        with pytest.raises(NotImplementedError, match="not implemented for"):
            x.to(d)


def test_scaled_products():
    one, each = F.ScalingType.TensorWise, F.ScalingType.RowWise
    torch.manual_seed(0)
    a, b = torch.randn(4, 8).to(F8), torch.randn(3, 8).to(F8).t()
    s, rows, columns = torch.tensor(2.0), torch.rand(4, 1), torch.rand(1, 3)
    exact = a.float() @ b.float()
    found = F.scaled_mm(a, b, s, one, s, one, bias=torch.ones(3), output_dtype=torch.float32)
    torch.testing.assert_close(found, exact * 4 + 1)
    found = F.scaled_mm(a, b, rows, each, columns, each)
    torch.testing.assert_close(found, (exact * rows * columns).bfloat16())
    stack, ends = b.view(torch.uint8).repeat(2, 1, 1).view(F8), torch.tensor([1, 4], dtype=torch.int32)
    grouped = F.scaled_grouped_mm(a, stack, rows.flatten(), each, torch.cat([columns, 2 * columns]), each, offs=ends)
    scale = torch.tensor([1.0, 2.0, 2.0, 2.0])[:, None]
    torch.testing.assert_close(grouped, (exact * rows * columns * scale).bfloat16())
    with pytest.raises(ValueError, match="expects 4 scales of kind RowWise"):
        F.scaled_mm(a, b, s, each, s, one)
    with pytest.raises(NotImplementedError, match="TensorWise or RowWise"):
        F.scaled_mm(a, b, s, F.ScalingType.BlockWise1x32, s, one)


def test_what_is_not_computed():
    x = torch.ones(2, dtype=F8)
    for wrong in (lambda: x + x, lambda: x + 1, lambda: x.sum(), lambda: x.sort(), lambda: x < x, lambda: x @ x):
        with pytest.raises(NotImplementedError, match="not implemented for 'Float8_e4m3fn'"):
            wrong()
    with pytest.raises(RuntimeError, match="Promotion for Float8 Types is not supported.*Float8_e4m3fn and Float"):
        x + torch.ones(2)
    with pytest.raises(TypeError, match="only floating-point types are supported as the default"):
        torch.set_default_dtype(F8)
    with pytest.raises(TypeError, match="Float8_e4m3fn: NumPy has no such type"):
        x.numpy()
