"""Look-ups and linear maps: what they refuse, and the gradients of the latter."""

from __future__ import annotations

import math

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradgradcheck

F = torch.nn.functional


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize(
    ("indices", "options", "message"),
    [
        ([[0, 5]], {}, "index out of range in embedding_bag: got 5, the table has 3 rows"),
        ([[0, -1]], {}, "index out of range in embedding_bag: got -1"),
        ([0, 1], {"offsets": [0, 5]}, r"offsets\[-1\] can not be greater than input's length 2"),
        ([0, 1], {"offsets": [1]}, r"offsets\[0\] has to be 0"),
        ([[0, 1]], {"padding_idx": 3}, "padding_idx must be within the number of embeddings"),
    ],
)
def test_bags_refuse_with_a_runtime_error(mode, indices, options, message):
    if "offsets" in options:
        options = {"offsets": torch.tensor(options["offsets"])}
    for _ in range(3):  # on the reference backend, and compiled
        with pytest.raises(RuntimeError, match=message) as caught:
            F.embedding_bag(torch.tensor(indices), torch.ones(3, 2), mode=mode, **options).sum().item()
        assert not isinstance(caught.value, IndexError)


def test_a_single_look_up_refuses_with_an_index_error():
    with pytest.raises(IndexError, match="index out of range in embedding"):
        F.embedding(torch.tensor([5]), torch.ones(3, 2)).sum().item()


@pytest.mark.parametrize("wanted", [(1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (0, 1, 1), (1, 1, 0)])
@pytest.mark.parametrize("shape", [(4, 3), (2, 2, 3), (3,), (0, 3)])
def test_the_gradients_of_a_linear_map_that_are_wanted(wanted, shape):
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(*s, dtype=torch.float64, generator=generator) for s in (shape, (5, 3), (5,))]
    x, w, b = [t.requires_grad_(bool(needed)) for t, needed in zip(made, wanted, strict=True)]
    g = torch.randn(*shape[:-1], 5, dtype=torch.float64, generator=generator)
    for _ in range(3):  # on the reference backend, and compiled
        F.linear(x, w, b).backward(g)
    rows, given = [t.detach().numpy().reshape(-1, t.shape[-1]) for t in (x, g)]
    for t, slope in ((x, given @ w.detach().numpy()), (w, given.T @ rows), (b, given.sum(0))):
        if t.requires_grad:
            np.testing.assert_allclose(t.grad.numpy(), 3 * slope.reshape(t.shape), rtol=1e-12, atol=1e-12)
        else:
            assert t.grad is None


@pytest.mark.parametrize(("changed", "wanted", "refused"), [
    ("x", "w", True), ("x", "x", False), ("w", "x", True), ("w", "w", False), ("x", "b", False), ("w", "b", False),
])  # fmt: skip
def test_a_linear_map_saves_what_its_gradients_read(changed, wanted, refused):
    made = {"x": torch.ones(2, 3), "w": torch.ones(4, 3), "b": torch.ones(4)}
    made[wanted].requires_grad_()
    y = F.linear(*made.values())
    with torch.no_grad():
        made[changed].mul_(2)
    if refused:
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()
    else:
        y.sum().backward()
        assert made[wanted].grad is not None


def test_second_derivatives_of_a_linear_map():
    shapes = ((2, 4, 3), (5, 3), (5,))
    inputs = [torch.sin(torch.arange(math.prod(s), dtype=torch.float64) ** 2).reshape(s) for s in shapes]
    assert gradgradcheck(F.linear, [t.requires_grad_() for t in inputs])
