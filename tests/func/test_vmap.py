"""`vmap` against a loop over the batch: the same numbers, whatever operation, nesting or gradient is inside."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
import flambeau.nn.functional as F
from flambeau.func import functional_call, grad, stack_module_state, vmap

DRAW = np.random.RandomState(0)


def draw(*shape):
    return torch.tensor(DRAW.randn(*shape))


A, B, C = draw(3, 4, 5), draw(3, 5, 2), draw(3, 4, 5)
SYMMETRIC = A @ A.transpose(1, 2) + 3 * torch.eye(4, dtype=torch.float64)
IMAGES = draw(2, 3, 2, 6, 6)
KERNELS, BIASES = draw(2, 4, 2, 3, 3), draw(2, 4)
INDEX = torch.tensor([[0, 1], [2, 2], [3, 0]])
CLASSES = torch.tensor([[0, 1, 4, 2], [1, 1, 0, 3], [2, 4, 4, 0]])

VIEWS = {
    "transposed": lambda x: x.T.reshape(-1)[2:8],
    "picked": lambda x: (x[1], x[:, ::2], x[..., -1], x[None]),
    "expanded": lambda x: x.unsqueeze(-1).expand(4, 5, 3) + x.unsqueeze(0).expand(2, -1, -1).sum(0).unsqueeze(-1),
    "permuted": lambda x: (x.permute(1, 0), x.movedim(0, 1), x.flatten(), x.view(2, 10), x.t().contiguous()),
    "split": lambda x: (*x.split(2), *x.chunk(2, 1), *x.unbind(0)),
    "strided": lambda x: (x.diagonal(), x.unfold(1, 2, 1), x.squeeze(), x.as_strided((2, 2), (1, 2))),
    "complex": lambda x: torch.view_as_real(torch.complex(x, x * 2)),
}
REDUCTIONS = {
    "sums": lambda x: (x.sum(), x.mean(1), x.prod(1), x.nansum(), x.norm(), x.norm(dim=1), x.logsumexp(1)),
    "moments": lambda x: (x.var(), x.std(1), x.var(0, correction=0)),
    "extrema": lambda x: (x.amax(0), x.max(), x.max(1), x.min(0), x.argmax(), x.argmax(1), x.argmin(0, True)),
    "logic": lambda x: ((x > 0).any(), (x > 0).all(1), (x > 0).count_nonzero()),
    "scans": lambda x: (x.cumsum(0), x.cumprod(1), x.cummax(0), x.softmax(-1), x.log_softmax(0)),
    "orders": lambda x: (x.sort(1), x.topk(2), x.median(), x.median(1), x.kthvalue(2, 0), x.flip(0), x.roll(1, 1)),
    "of numbers": lambda x: (x.sum().sum(), x.sum().softmax(0), x.mean().cumsum(0), x[0, 0].max()),
}
LINEAR = {
    "inverses": lambda a: (torch.linalg.inv(a), torch.linalg.det(a), torch.linalg.cholesky(a), a.tril(), a.trace()),
    "values": lambda a: (torch.linalg.eigvalsh(a), torch.linalg.svdvals(a)),
    "solutions": lambda a: (torch.linalg.solve(a, a[:, :2]), torch.linalg.solve(a, a[0])),
    "attention": lambda a: F.scaled_dot_product_attention(a[None, None], a[None, None], a[None, None]),
}
IMAGE_FUNCTIONS = {
    "pools": lambda x: (F.max_pool2d(x, 2), F.avg_pool2d(x, 2), F.adaptive_avg_pool2d(x, 3)),
    "pads": lambda x: (F.pad(x, (1, 2)), F.pad(x, (1, 1, 1, 1), mode="reflect")),
    "sizes": lambda x: (F.interpolate(x, scale_factor=2), F.unfold(x, 3)),
    "norms": lambda x: (F.layer_norm(x, (6,)), F.group_norm(x, 2), F.instance_norm(x)),
}
PAIRS = {
    "promotion": (lambda x, i: x * i[0] + i.sum() * 2.5, (A.float(), INDEX)),
    "products": (lambda x, y: (x @ y, torch.mv(x, y[:, 0]), torch.einsum("ij,jk->ki", x, y)), (A, B)),
    "joins": (lambda x, y: (torch.cat([x, y]), torch.stack([x, y], -1), torch.where(x > 0, x, y)), (A, C)),
    "gathers": (lambda x, i: (x[i], x[i, i], x.index_select(0, i), x[:, i], x.gather(0, i[:, None])), (A, INDEX)),
    "one row": (lambda x, i: x[i[0]], (A, INDEX)),
    "adds": (lambda x, i: x.scatter_add(0, i[:, None].expand(2, 5), x[:2]), (A, INDEX)),
    "convolution": (lambda x, w: F.conv2d(x, w, stride=2), (IMAGES, KERNELS)),
    "with biases": (lambda w, b: F.conv2d(IMAGES[0], w, b), (KERNELS, BIASES)),
    "linear": (lambda x, w: F.linear(x, w.T), (A, B)),
    "tables": (lambda w, i: F.embedding(i, w), (A, INDEX)),
    "entropies": (lambda x, y: (F.cross_entropy(x, y), F.cross_entropy(x[0], y[0])), (A, CLASSES)),
    "likelihoods": (lambda x, y: F.nll_loss(x, y, reduction="none"), (A, CLASSES)),
}
ALONE = [*VIEWS.items(), *REDUCTIONS.items()]
CASES = {
    **{name: (f, (A,)) for name, f in ALONE},
    **{name: (f, (SYMMETRIC,)) for name, f in LINEAR.items()},
    **{name: (f, (IMAGES,)) for name, f in IMAGE_FUNCTIONS.items()},
    **PAIRS,
}


def leaves(tree):
    return [x for part in tree for x in leaves(part)] if isinstance(tree, (tuple, list)) else [tree]


def assert_same(found, expected):
    for f, e in zip(leaves(found), leaves(expected), strict=True):
        assert f.dtype is e.dtype and f.shape == e.shape
        np.testing.assert_allclose(f.detach().numpy(), e.detach().numpy(), rtol=1e-10, atol=1e-12)


def looped(function, *batches):
    results = [leaves(function(*one)) for one in zip(*batches, strict=True)]
    return [torch.stack(column) for column in zip(*results, strict=True)]


@pytest.mark.parametrize("name", CASES)
def test_as_a_loop(name):
    function, batches = CASES[name]
    if name == "promotion":
        found, expected = vmap(function)(*batches), looped(function, *batches)[0]
        assert found.dtype is expected.dtype
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-6)
        return
    assert_same(vmap(function)(*batches), looped(function, *batches))


@pytest.mark.parametrize("name", ["expanded", "sums", "inverses", "convolution", "gathers", "entropies", "joins"])
def test_gradients_are_those_of_each(name):
    function, batches = CASES[name]

    def loss(x, *rest):
        return sum((leaf**2).sum() for leaf in leaves(function(x, *rest)) if leaf.is_floating_point())

    assert_same(vmap(grad(loss))(*batches), looped(grad(loss), *batches))


def test_nesting_and_dimensions():
    outer = vmap(vmap(torch.dot, in_dims=(None, 0)), in_dims=(0, None))(A[0], C[1])
    np.testing.assert_allclose(outer.numpy(), A[0].numpy() @ C[1].numpy().T)
    assert_same(vmap(lambda x: x * 2, in_dims=2, out_dims=1)(A), (A * 2).permute(0, 2, 1))
    found = vmap(lambda d: d["x"] + d["y"][0], in_dims=({"x": 0, "y": (None,)},))({"x": A, "y": (C[0],)})
    assert_same(found, A + C[0])
    assert_same(vmap(lambda x: x.sum(0), chunk_size=2)(A), A.sum(1))


def test_in_place_changes_stay_in_the_batch():
    def function(x):
        y = x.clone()
        y.add_(1)
        y[0] = 5
        y[1:, 2] *= x[0, 0]
        return y.mul_(x)

    assert_same(vmap(function)(A), looped(function, A))
    assert_same(vmap(grad(lambda x: function(x).sum()))(A), looped(grad(lambda x: function(x).sum()), A))
    with pytest.raises(RuntimeError, match="would write a whole batch"):
        vmap(lambda x: torch.zeros(5, dtype=torch.float64).add_(x[0]))(A)


def test_an_ensemble_at_once():
    models = [torch.nn.Linear(5, 2).double() for _ in range(3)]
    parameters, buffers = stack_module_state(models)
    found = vmap(lambda p, b, x: functional_call(models[0], (p, b), (x,)))(parameters, buffers, A)
    assert_same(found, torch.stack([m(x) for m, x in zip(models, A, strict=True)]))


def test_randomness():
    with pytest.raises(RuntimeError, match="randomness error mode"):
        vmap(lambda x: F.dropout(x))(torch.ones(3, 8))
    same = vmap(lambda x: F.dropout(x), randomness="same")(torch.ones(3, 64))
    assert bool((same[0] == same[1]).all())
    different = vmap(lambda x: F.dropout(x), randomness="different")(torch.ones(3, 64))
    assert not bool((different[0] == different[1]).all())


def test_what_cannot_be_done_is_refused():
    with pytest.raises(RuntimeError, match="cannot be looked at"):
        vmap(lambda x: x if x.sum() > 0 else -x)(A)
    with pytest.raises(ValueError, match="same size in the mapped dimension"):
        vmap(torch.add)(A, A[:2])
    with pytest.raises(ValueError, match="not compatible with the structure"):
        vmap(torch.add, in_dims=(0,))(A, C)
    with pytest.raises(ValueError, match="must only return Tensors"):
        vmap(lambda x: 3)(A)
    with pytest.raises(ValueError, match="got in_dim=5|Got in_dim=5"):
        vmap(torch.sin, in_dims=5)(A)
