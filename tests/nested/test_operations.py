"""Operations on nested tensors against a loop over the parts: values and gradients."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.nn import functional as F

LENGTHS = (3, 0, 4, 1)
LAYOUTS = [torch.jagged, torch.strided]


def dense(*shape):
    size = int(np.prod(shape))
    return torch.tensor(np.sin(1.7 * np.arange(size) + size).reshape(shape))


def parts_of(lengths=LENGTHS, width=4):
    return [(dense(n, width) + i).requires_grad_() for i, n in enumerate(lengths)]


def weighted(tensors):
    """A sum in which each element counts differently."""
    total = torch.zeros((), dtype=torch.float64)
    for t in tensors:
        total = total + (t * torch.arange(t.numel()).double().reshape(t.shape).cos()).sum()
    return total


def check(function, looped, layout, lengths=LENGTHS):
    """`function` of a nested tensor gives, nested or stacked, what `looped` gives for each part, with the gradients."""
    parts, others = parts_of(lengths), parts_of(lengths)
    found = function(torch.nested.as_nested_tensor(parts, layout=layout))
    expected = [looped(p) for p in others]
    found = list(found.unbind())
    for f, e in zip(found, expected, strict=True):
        assert f.shape == e.shape and f.dtype is e.dtype
        np.testing.assert_allclose(f.detach().numpy(), e.detach().numpy(), rtol=1e-10, atol=1e-12)
    if found[0].requires_grad:
        weighted(found).backward()
        weighted(expected).backward()
        for p, o in zip(parts, others, strict=True):
            np.testing.assert_allclose(p.grad.numpy(), o.grad.numpy(), rtol=1e-9, atol=1e-12)


# the same function of the whole and of a part
ALIKE = {
    "numbers": lambda x: 1 - 2 * x / 3 + x**2,
    "of each element": lambda x: x.sigmoid() * F.gelu(x) + x.abs().sqrt(),
    "comparisons": lambda x: (x > 1) | (x <= 0),
    "chosen": lambda x: torch.where(x > 1, x * 2, 0.0),
    "filled": lambda x: x.masked_fill(x > 1, -1),
    "of rows": lambda x: x * dense(4) + dense(1, 4),
    "softmax": lambda x: x.softmax(-1) + x.log_softmax(-1),
    "layer norm": lambda x: F.layer_norm(x, (4,), dense(4), dense(4)),
    "rms norm": lambda x: F.rms_norm(x, (4,), dense(4)),
    "linear": lambda x: F.linear(x, dense(3, 4), dense(3)),
    "matmul": lambda x: x @ dense(4, 2),
    "sum": lambda x: x.sum(-1),
    "kept sum": lambda x: x.sum(-1, keepdim=True),
    "mean": lambda x: x.mean(-1),
    "extremes": lambda x: x.amax(-1) - x.amin(-1),
    "variance": lambda x: x.var(-1),
    "logsumexp": lambda x: x.logsumexp(-1),
    "norm": lambda x: F.normalize(x, dim=-1),
    "largest": lambda x: x.max(-1).values,
    "sorted": lambda x: x.sort(-1).values,
    "heads": lambda x: x.unflatten(-1, (2, 2)).transpose(-3, -2),
    "heads and back": lambda x: x.unflatten(-1, (2, 2)).transpose(-3, -2).sin().transpose(-3, -2).flatten(-2),
    "new dimension": lambda x: x.unsqueeze(-1) * dense(1, 2),
    "dropped dimension": lambda x: x.unsqueeze(-2).squeeze(-2),
    "slice": lambda x: x[..., 1:3],
    "one index": lambda x: x.select(-1, 2),
    "chunks": lambda x: x.chunk(2, -1)[1],
    "split": lambda x: x.split([1, 3], -1)[1],
    "unbound": lambda x: x.unbind(-1)[3],
    "joined": lambda x: torch.cat([x, x * 2], -1),
    "stacked": lambda x: torch.stack([x, -x], -1),
    "padded": lambda x: F.pad(x, (1, 2)),
    "transposed": lambda x: x.transpose(-1, -2).contiguous(),
    "some columns": lambda x: x.index_select(-1, torch.tensor([3, 0])),
    "to another dtype": lambda x: x.float().double(),
    "running sum": lambda x: x.cumsum(-1),
}
# functions of (the whole or a part, the dimension of rows there)
ALONG_ROWS = {
    "sum": lambda x, d: x.sum(d),
    "mean": lambda x, d: x.mean(d),
    "kept mean": lambda x, d: x.mean(d, keepdim=True),
    "mean over both": lambda x, d: x.mean((d, d + 1)),
    "product": lambda x, d: x.prod(d),
    "any": lambda x, d: (x > 1).any(d),
    "all": lambda x, d: (x > 1).all(d),
    "largest": lambda x, d: x.amax(d),
    "least": lambda x, d: x.min(d).values,
    "place": lambda x, d: x.argmax(d),
    "logsumexp": lambda x, d: x.logsumexp(d),
    "softmax": lambda x, d: x.softmax(d),
    "log softmax": lambda x, d: x.log_softmax(d),
    "running sum": lambda x, d: x.cumsum(d),
}


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("name", ALIKE)
def test_each_part_alike(name, layout):
    check(ALIKE[name], ALIKE[name], layout)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("name", ALONG_ROWS)
def test_along_rows(name, layout):
    function = ALONG_ROWS[name]
    check(lambda x: function(x, 1), lambda x: function(x, 0), layout, (3, 2, 4, 1))


def test_rows_behind_other_dimensions():
    x = torch.nested.as_nested_tensor(parts_of(), layout=torch.jagged).unflatten(-1, (2, 2)).transpose(1, 2)
    assert x.ragged_dim == 2
    for found, part in zip(x.sum(2), parts_of(), strict=True):
        np.testing.assert_allclose(found.detach(), part.unflatten(-1, (2, 2)).sum(0).detach())
    for found, part in zip(x.softmax(2).sum(1).unbind(), parts_of(), strict=True):
        np.testing.assert_allclose(found.detach(), part.unflatten(-1, (2, 2)).softmax(0).sum(1).detach())


def test_rows_of_all_parts():
    parts = parts_of()
    x, joined = torch.nested.as_nested_tensor(parts, layout=torch.jagged), torch.cat(parts)
    for found, expected in (
        (x.sum(), joined.sum()),
        (x.mean((0, 1)), joined.mean(0)),
        (x.amax((0, 1), keepdim=True), joined.amax(0, keepdim=True).unsqueeze(0)),
        (x.max(), joined.max()),
        (x.std(), joined.std()),
        ((x > 1).any(), (joined > 1).any()),
    ):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found.detach(), expected.detach())


@pytest.mark.parametrize("shape", [(4, 1, 4), (1, 1, 4), (4, 1, 1), (4, 4, 4), (1, 4, 1)])
def test_dense_tensors_beside_parts(shape):
    parts, other = parts_of(), dense(*shape).requires_grad_()
    found = torch.nested.as_nested_tensor(parts, layout=torch.jagged) * other
    again = dense(*shape).requires_grad_()
    spread = again.expand(4, 4, 4)
    expected = [p * spread[i, : len(p)] for i, p in enumerate(parts_of())]
    for f, e in zip(found.unbind(), expected, strict=True):
        np.testing.assert_allclose(f.detach(), e.detach())
    weighted(found.unbind()).backward()
    weighted(expected).backward()
    np.testing.assert_allclose(other.grad, again.grad)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("causal", [False, True])
def test_attention(layout, causal):
    def attention(x, d):
        q, k, v = [f(x).unflatten(-1, (2, 2)).transpose(d, d + 1) for f in (torch.sin, torch.cos, torch.tanh)]
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(d, d + 1)

    lengths = (3, 2, 4, 1)
    check(lambda x: attention(x, 1), lambda x: attention(x, 0), layout, lengths)


def test_attention_to_other_parts():
    queries, keys = parts_of((2, 3)), parts_of((4, 1))
    q, k = [torch.nested.as_nested_tensor(t, layout=torch.jagged).unsqueeze(1) for t in (queries, keys)]
    found = F.scaled_dot_product_attention(q, k, k.cos())
    for f, a, b in zip(found.unbind(), queries, keys, strict=True):
        expected = F.scaled_dot_product_attention(a.unsqueeze(0), b.unsqueeze(0), b.unsqueeze(0).cos())
        np.testing.assert_allclose(f.detach(), expected.detach())


def test_products_part_by_part():
    parts, weights = parts_of(), dense(4, 4, 3)
    x = torch.nested.as_nested_tensor(parts, layout=torch.jagged)
    for f, p, w in zip(x.bmm(weights).unbind(), parts, weights, strict=True):
        np.testing.assert_allclose(f.detach(), (p @ w).detach())
    for f, p in zip(x.transpose(1, 2) @ x.cos(), parts, strict=True):
        np.testing.assert_allclose(f.detach(), (p.T @ p.cos()).detach(), atol=1e-12)
    strided = torch.nested.as_nested_tensor(parts)
    for f, p in zip((strided @ strided.transpose(1, 2)).unbind(), parts, strict=True):
        np.testing.assert_allclose(f.detach(), (p @ p.T).detach())


def test_tables_are_looked_up():
    table = dense(5, 2).requires_grad_()
    words = torch.nested.nested_tensor([[1, 4], [0], [2, 2, 1]], layout=torch.jagged)
    found = F.embedding(words, table)
    assert [p.shape for p in found.unbind()] == [(2, 2), (1, 2), (3, 2)]
    found.sum().backward()
    assert table.grad[:, 0].tolist() == [1, 2, 2, 0, 1]


def test_gaps_between_parts_take_no_part():
    rows = torch.arange(8.0).reshape(8, 1)
    x = torch.nested.nested_tensor_from_jagged(rows, torch.tensor([1, 4, 8]), torch.tensor([2, 3]))
    assert not x.is_contiguous() and [p.flatten().tolist() for p in x.unbind()] == [[1, 2], [4, 5, 6]]
    assert (
        x.sum().item() == 18
        and x.sum(1).flatten().tolist() == [3, 15]
        and (x * 2).mean(1).flatten().tolist() == [3, 10]
    )
    packed = x.contiguous()
    assert packed.is_contiguous() and packed.values().flatten().tolist() == [1, 2, 4, 5, 6]
    assert x.to_padded_tensor(0.0).squeeze(-1).tolist() == [[1, 2, 0], [4, 5, 6]]
    assert (x + dense(2, 1, 1)).unbind()[1].shape == (3, 1)


def test_dropout_draws_as_for_the_values():
    x = torch.nested.nested_tensor([torch.ones(40, 3), torch.ones(20, 3)], layout=torch.jagged)
    torch.manual_seed(3)
    found = F.dropout(x, 0.4).values()
    torch.manual_seed(3)
    assert torch.equal(found, F.dropout(torch.ones(60, 3), 0.4))


def test_in_place():
    x = torch.nested.nested_tensor([torch.ones(2, 2), torch.ones(1, 2)], layout=torch.jagged)
    values = x.values()
    x.mul_(3).add_(x).sub_(1)
    assert values.tolist() == [[5, 5]] * 3
    x.zero_()
    x.copy_(torch.ones_like(x))
    assert values.sum() == 6
    leaf = torch.nested.nested_tensor([torch.ones(2)], layout=torch.jagged, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf Variable"):
        leaf.add_(1)
    with pytest.raises(RuntimeError, match="different raggedness"):
        x.copy_(torch.nested.nested_tensor([torch.ones(1, 2), torch.ones(2, 2)], layout=torch.jagged))
