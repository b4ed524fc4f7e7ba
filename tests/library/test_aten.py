"""`torch.ops.aten`: operations by the names and in the order of PyTorch's operators, and `torch.ops` itself."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as torch

a = torch.ops.aten
x, y = torch.tensor([[1.0, -2.0], [3.0, 4.0]]), torch.tensor([[0.5, 2.0], [1.0, -1.0]])


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (lambda: a.add(x, y), x + y),
        (lambda: a.add.Tensor(x, y, alpha=2), x + 2 * y),
        (lambda: a.add.out(x, y, out=torch.empty(2, 2)), x + y),
        (lambda: a.add_(x.clone(), y), x + y),
        (lambda: a.sum.dim_IntList(x, [0], True), x.sum(0, keepdim=True)),
        (lambda: a.relu.default(x), x.relu()),
        (lambda: a.embedding(x, torch.tensor([1])), x[1:]),
        (lambda: a.linalg_inv(x), x.inverse()),
        (lambda: a.special_erf(x), x.erf()),
        (lambda: a.fft_fft(x).real, torch.fft.fft(x).real),
        (lambda: a.view(x, [4]), x.view(4)),
        (lambda: a.zeros([2]), torch.zeros(2)),
        (lambda: a.copy_(torch.zeros(2, 2), y), y),
        (lambda: a.mse_loss(x, y, 0), (x - y) ** 2),
        (lambda: a.nll_loss(x, torch.tensor([0, 1]), None, 2), -(x[0, 0] + x[1, 1])),
        (lambda: a.huber_loss(x, y, reduction=2, delta=100.0), ((x - y) ** 2).sum() / 2),
    ],
)
def test_operations(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found(), expected)


def test_names() -> None:
    assert a.add is a.add and a.add.Tensor is a.add.Tensor
    assert (str(a.add.Tensor), a.add.Tensor.name(), repr(a.add)) == (
        "aten.add.Tensor", "aten::add.Tensor", "<OpOverloadPacket(op='aten.add')>",
    )  # fmt: skip
    assert a.relu.default.name() == "aten::relu" and "add" in dir(a)
    with pytest.raises(AttributeError, match="'_OpNamespace' 'aten' object has no attribute 'addd'"):
        a.addd  # noqa: B018
    with pytest.raises(AttributeError, match="The underlying op of 'aten.add' has no overload name 'Tensorr'"):
        a.add.Tensorr  # noqa: B018


def test_compiled_functions_replay_them() -> None:
    compiled = torch.compile(lambda x: torch.ops.aten.mul.Tensor(x, x) + a.relu(x), fullgraph=True)
    assert [compiled(x).tolist() for _ in range(2)] == [(x * x + x.relu()).tolist()] * 2


def test_what_ops_is() -> None:
    assert not hasattr(torch.ops.nowhere, "f") and torch.ops.nowhere is torch.ops.nowhere
    assert torch.ops.loaded_libraries == set()
    with pytest.raises(NotImplementedError, match="custom_op makes an operator from a Python function"):
        torch.ops.load_library("lib.so")
