"""The functions of torch with numbers for words are those of nn.functional."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
import flambeau.nn.functional as F

X, Y = torch.linspace(-2, 2, 12).reshape(4, 3), torch.linspace(0.1, 0.9, 12).reshape(4, 3)
SIGNS = torch.tensor([1.0, -1.0, 1.0, -1.0])
WORDS = ("none", "mean", "sum")


@pytest.mark.parametrize("number", range(3))
def test_losses(number):
    word = WORDS[number]
    pairs = [
        (torch.binary_cross_entropy_with_logits(X, Y, None, None, number),
         F.binary_cross_entropy_with_logits(X, Y, reduction=word)),
        (torch.kl_div(X, Y, number), F.kl_div(X, Y, reduction=word)),
        (torch.poisson_nll_loss(X, Y, True, True, 1e-8, number), F.poisson_nll_loss(X, Y, full=True, reduction=word)),
        (torch.hinge_embedding_loss(X[:, 0], SIGNS, 1.0, number),
         F.hinge_embedding_loss(X[:, 0], SIGNS, reduction=word)),
        (torch.margin_ranking_loss(X[:, 0], Y[:, 0], SIGNS, 0.5, number),
         F.margin_ranking_loss(X[:, 0], Y[:, 0], SIGNS, 0.5, reduction=word)),
        (torch.cosine_embedding_loss(X, Y, SIGNS, 0.1, number),
         F.cosine_embedding_loss(X, Y, SIGNS, 0.1, reduction=word)),
        (torch.triplet_margin_loss(X, Y, X + 1, reduction=number), F.triplet_margin_loss(X, Y, X + 1, reduction=word)),
    ]  # fmt: skip
    for found, expected in pairs:
        assert found.tolist() == expected.tolist()


def test_look_ups():
    table, indices, offsets = X.clone(), torch.tensor([0, 3, 3, 1]), torch.tensor([0, 1])
    assert torch.embedding(table, indices).tolist() == table[indices].tolist()
    for number, word in enumerate(("sum", "mean", "max")):
        bags, owner, sizes, _ = torch.embedding_bag(table, indices, offsets, mode=number)
        assert bags.tolist() == F.embedding_bag(indices, table, offsets, mode=word).tolist()
        assert owner.tolist() == [0, 1, 1, 1] and sizes.tolist() == [1, 3]
    with pytest.raises(ValueError, match="0 is none, 1 is mean, 2 is sum"):
        torch.kl_div(X, Y, 3)


def test_statistics_of_normalisation():
    image = torch.tensor(np.random.RandomState(0).randn(2, 4, 3))
    x = image.numpy()
    _, mean, inverse = torch.native_batch_norm(image, None, None, None, None, True, 0.1, 1e-5)
    np.testing.assert_allclose(mean.numpy(), x.mean((0, 2)))
    np.testing.assert_allclose(inverse.numpy(), 1 / np.sqrt(x.var((0, 2)) + 1e-5))
    out, mean, _ = torch.native_group_norm(image, None, None, 2, 4, 3, 2, 1e-5)
    np.testing.assert_allclose(mean.numpy(), x.reshape(2, 2, 6).mean(2))
    np.testing.assert_allclose(out.numpy(), F.group_norm(image, 2).numpy(), 1e-14)
    out, mean, _ = torch.native_layer_norm(image, (3,), None, None, 1e-5)
    np.testing.assert_allclose(mean.numpy(), x.mean(2, keepdims=True))


def test_dropout():
    ones = torch.ones(200, 4)
    kept, mask = torch.native_dropout(ones, 0.5, True)
    assert kept.tolist() == (mask * 2.0).tolist() and 0.3 < mask.float().mean().item() < 0.7
    whole = torch.feature_dropout(torch.ones(50, 4, 5), 0.5, True)
    assert bool(((whole == 0).all(-1) | (whole == 2).all(-1)).all())
    x = torch.ones(100)
    assert torch.dropout_(x, 0.5, True) is x and set(x.tolist()) == {0.0, 2.0}
    assert torch.alpha_dropout(ones, 0.5, False) is not None


def test_statistics_move():
    x, mean, var = torch.arange(24.0).reshape(2, 3, 4), torch.zeros(3), torch.ones(3)
    layer = torch.nn.BatchNorm1d(3)
    layer(x)
    found = torch.batch_norm_update_stats(x, mean, var, 0.1)
    torch.testing.assert_close(mean, layer.running_mean)
    torch.testing.assert_close(var, layer.running_var)
    data = x.numpy()
    np.testing.assert_allclose(found[0].numpy(), data.mean((0, 2)))
    np.testing.assert_allclose(found[1].numpy(), data.var((0, 2)))


def test_convolution_in_another_order():
    x, weight = torch.arange(50.0).reshape(1, 2, 5, 5), torch.ones(4, 1, 2, 2)
    found = torch.mkldnn_convolution(x, weight, None, (1, 0), (2, 1), (1, 2), 2)
    assert found.equal(F.conv2d(x, weight, None, (2, 1), (1, 0), (1, 2), 2))


def test_linear_cross_entropy_of_several_places() -> None:
    weight, bias = torch.linspace(-1, 1, 4 * 2 * 3).reshape(4, 2, 3), torch.linspace(-1, 1, 8).reshape(4, 2)
    target = torch.tensor([[0, 3], [1, 1], [2, 0], [3, 3]])
    found = F.linear_cross_entropy(X, weight, target, linear_bias=bias, reduction="none")
    logits = torch.einsum("ni,cdi->ncd", X, weight) + bias
    assert torch.allclose(found, F.cross_entropy(logits, target, reduction="none"), atol=1e-6)
    with pytest.raises(RuntimeError, match="1 or 2 dimensions"):
        F.linear(X, weight)
