"""Mixed precision: which dtypes come out, that the numbers are those of bfloat16, that nothing is left behind."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import flambeau as torch
import flambeau.nn.functional as F


def test_what_is_lowered_and_what_is_not():
    x, image = torch.randn(4, 4), torch.randn(1, 2, 5, 5)
    with torch.autocast("cpu"):
        assert (x @ x).dtype is torch.bfloat16
        assert F.linear(x, x, x[0]).dtype is torch.bfloat16
        assert F.conv2d(image, torch.randn(3, 2, 3, 3)).dtype is torch.bfloat16
        assert F.scaled_dot_product_attention(image, image, image).dtype is torch.bfloat16
        assert (x + x).dtype is torch.float32
        assert F.mse_loss(x @ x, x).dtype is torch.float32
        assert F.cross_entropy(x @ x, torch.tensor([0, 1, 2, 3])).dtype is torch.float32
        assert (x.double() @ x.double()).dtype is torch.float64
        with torch.autocast("cpu", enabled=False):
            assert (x @ x).dtype is torch.float32
        with torch.autocast("cpu", dtype=torch.float16):
            assert (x @ x).dtype is torch.float16
        assert (x @ x).dtype is torch.bfloat16
    assert (x @ x).dtype is torch.float32


def test_numbers_are_rounded_to_bfloat16_once():
    a, b = torch.randn(8, 16), torch.randn(16, 8)
    with torch.autocast("cpu"):
        product = a @ b
    exact = a.bfloat16().double().numpy() @ b.bfloat16().double().numpy()
    np.testing.assert_allclose(product.float().numpy(), exact, rtol=2**-8, atol=1e-6)


def test_parameters_keep_their_dtype_and_get_gradients_in_it():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    x, target = torch.randn(16, 4), torch.randint(0, 3, (16,))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.cross_entropy(net(x), target)
        loss.backward()
        assert all(p.grad.dtype is torch.float32 for p in net.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_the_switch_belongs_to_a_thread():
    seen = []
    x = torch.ones(2, 2)
    with torch.autocast("cpu"):
        thread = threading.Thread(target=lambda: seen.append((x @ x).dtype))
        thread.start()
        thread.join()
    assert seen == [torch.float32]


def test_a_decorator_and_an_error_restore():
    @torch.autocast("cpu")
    def product(x):
        return x @ x

    assert product(torch.ones(2, 2)).dtype is torch.bfloat16
    with pytest.raises(ZeroDivisionError), torch.autocast("cpu"):
        1 / 0  # noqa: B018
    assert not torch.is_autocast_enabled("cpu")


def test_devices_that_are_not_there():
    with pytest.warns(UserWarning, match="CUDA is not available"), torch.autocast("cuda"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.float32
    with pytest.warns(UserWarning, match="target dtype is not supported"):
        torch.autocast("cpu", dtype=torch.float64)
