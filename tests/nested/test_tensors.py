"""Making nested tensors, asking them for what they are, what they refuse."""

from __future__ import annotations

import copy
import io
import pickle

import pytest

import flambeau as torch
from flambeau import nn, optim
from flambeau._core.size import RaggedSize
from flambeau.nested import as_nested_tensor, nested_tensor, nested_tensor_from_jagged


def jagged(*lengths, **options):
    return nested_tensor([torch.ones(n, 3) for n in lengths], layout=torch.jagged, **options)


def test_the_jagged_layout():
    x = jagged(2, 3)
    assert x.is_nested and not torch.ones(1).is_nested
    assert x.layout is torch.jagged and x.dtype is torch.float32 and x.dim() == 3 and x.numel() == 15 and len(x) == 2
    assert x.size(0) == 2 and x.size(-1) == 3 and isinstance(x.size(1), RaggedSize)
    assert x.offsets().tolist() == [0, 2, 5] and x.lengths() is None and x.values().shape == (5, 3)
    assert [p.shape for p in x] == [(2, 3), (3, 3)] and x[-1].shape == (3, 3) and x[0, 1].shape == (3,)
    assert x.is_contiguous() and not x.transpose(1, 2).is_contiguous()
    assert str(x.shape) == f"torch.Size([2, {x.size(1)}, 3])" == str((x * 2).shape)
    assert x.shape == (x + 1).shape != jagged(2, 3).shape


def test_the_strided_layout():
    x = nested_tensor([torch.ones(2, 3), torch.ones(1, 3)])
    assert x.layout is torch.strided and x.size(0) == 2 and x.size(2) == 3 and x.numel() == 9 and x.dim() == 3
    with pytest.raises(RuntimeError, match="irregular"):
        x.size(1)
    with pytest.raises(RuntimeError, match="has no shape"):
        _ = x.shape
    assert nested_tensor([1, 2]).unbind()[1].item() == 2
    assert repr(nested_tensor([])) == "nested_tensor([\n\n])"


def test_which_dimension_is_ragged():
    assert nested_tensor([torch.ones(2, 3), torch.ones(2, 5)], layout=torch.jagged).offsets().tolist() == [0, 3, 8]
    assert as_nested_tensor(torch.ones(2, 3, 4), layout=torch.jagged).offsets().tolist() == [0, 3, 6]
    by_rows = nested_tensor_from_jagged(torch.ones(2, 7), torch.tensor([0, 3, 7]), jagged_dim=2)
    assert [p.shape for p in by_rows.unbind()] == [(2, 3), (2, 4)]


def test_the_same_offsets_go_together():
    x = jagged(2, 3)
    other = nested_tensor_from_jagged(torch.ones(5, 3), x.offsets())
    assert (x + other).values().sum() == 30
    lengths = torch.tensor([2, 3])
    a, b = [nested_tensor_from_jagged(torch.ones(5), lengths=lengths) for _ in range(2)]
    with pytest.raises(RuntimeError, match="same offsets"):
        a + b
    with pytest.raises(RuntimeError, match="cannot call binary pointwise function add"):
        x + jagged(2, 3)


def test_gradients_reach_leaves_and_parts():
    x = jagged(2, 1, requires_grad=True)
    seen = []
    x.register_hook(lambda g: seen.append(g.is_nested))
    y = x * 2
    y.retain_grad()
    y.square().sum().backward()
    assert x.is_leaf and x.grad.is_nested and x.grad.values().unique().tolist() == [8]
    assert y.grad.values().unique().tolist() == [4] and seen == [True]
    y.detach().requires_grad_().backward(y.detach())
    parts = [torch.ones(2, requires_grad=True), torch.ones(1, requires_grad=True)]
    (as_nested_tensor(parts, layout=torch.jagged) * 3).values().sum().backward()
    assert parts[0].grad.tolist() == [3, 3] and parts[1].grad.tolist() == [3]
    y = x * 3
    of_x, of_y = torch.autograd.grad(y.square().sum(), [x, y])
    assert of_x.values().unique().tolist() == [18] and of_y.shape == y.shape
    (none,) = torch.autograd.grad(y.sum(), [jagged(1, requires_grad=True)], materialize_grads=True)
    assert none.is_nested and not none.values().any()
    source = torch.ones(2)
    nested_tensor([source], layout=torch.jagged).zero_()
    assert source.tolist() == [1, 1]  # it was copied


def test_sizes_without_numbers():
    n = jagged(2, 3).size(1)
    assert n == n and n != 3 and hash(n) == hash(n) and 2 * n == n * 2 != n and repr(3 * n) == f"3*{n}"
    assert n >= 2 and n > 1 and not n < 2 and not n <= 1
    for operation in (lambda: n + 1, lambda: n > 5, lambda: int(n), lambda: n // 2):
        with pytest.raises(NotImplementedError, match="has no number"):
            operation()
    with pytest.raises(TypeError):
        range(n)


def test_copies_and_files():
    x = jagged(2, 3, requires_grad=True)
    strided = nested_tensor([torch.ones(1, 2), torch.ones(2, 1)])
    for copied in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x)):
        assert copied.requires_grad and [p.shape for p in copied] == [(2, 3), (3, 3)]
    assert repr(pickle.loads(pickle.dumps(strided))) == repr(copy.deepcopy(strided)) == repr(strided)
    with pytest.raises(NotImplementedError, match=r"values\(\) and offsets\(\)"):
        torch.save(x, io.BytesIO())


def test_what_is_like_a_nested_tensor():
    x = jagged(2, 3)
    for found in (torch.zeros_like(x), torch.full_like(x, 2, dtype=torch.int64), torch.randn_like(x), x.double()):
        assert found.shape == x.shape
    assert torch.ones_like(x, requires_grad=True).requires_grad and x.to(torch.float32) is x


def test_other_sizes_of_rows():
    x = jagged(2, 3)
    for shape in ((2, -1, 3, 1), (2, x.size(1), 1, 3)):
        assert x.view(shape).values().shape == (5, *shape[2:])
    assert x.view(2, 1, -1, 3).ragged_dim == 2
    for shape in ((-1, 3), (2, 3, -1), (3, -1, 3), (2, 5, 3)):
        with pytest.raises(RuntimeError):
            x.view(shape)


@pytest.mark.parametrize("layout", [torch.jagged, torch.strided], ids=str)
def test_padding(layout):
    x = nested_tensor([torch.tensor([[1, 2]]), torch.tensor([[3, 4], [5, 6]])], layout=layout)
    assert torch.nested.to_padded_tensor(x, -1).tolist() == [[[1, 2], [-1, -1]], [[3, 4], [5, 6]]]
    assert x.to_padded_tensor(0, (2, 3, 3)).sum((1, 2)).tolist() == [3, 18]
    if layout is torch.jagged:
        assert x.to_padded_tensor(0, (2, 1, 2)).tolist() == [[[1, 2]], [[3, 4]]]


def test_narrow_and_masked_select():
    x = torch.arange(12).reshape(2, 6)
    cut = torch.nested.narrow(x, 1, torch.tensor([1, 0]), torch.tensor([2, 4]), layout=torch.jagged)
    assert [p.tolist() for p in cut.unbind()] == [[1, 2], [6, 7, 8, 9]]
    chosen = torch.nested.masked_select(x, x % 3 == 0)
    assert [p.tolist() for p in chosen.unbind()] == [[0, 3], [6, 9]]


class OnValues(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2


@pytest.mark.parametrize(
    ("function", "error", "says"),
    [
        (lambda x: x.sum(0), RuntimeError, "batch dimension but not the ragged"),
        (lambda x: x.softmax(0), RuntimeError, "batch dimension"),
        (lambda x: x.transpose(0, 1), ValueError, "batch dimension"),
        (lambda x: x[:, 0], RuntimeError, "ragged dim"),
        (lambda x: x[torch.tensor([1, 0])], NotImplementedError, "index_select"),
        (lambda x: x[1:], RuntimeError, "dim=0"),
        (lambda x: x[4], IndexError, "2 parts"),
        (lambda x: torch.cat([x, x], 1), RuntimeError, "ragged dim"),
        (lambda x: torch.cat([x, torch.ones(5, 3)], -1), RuntimeError, "nested tensors only"),
        (lambda x: x @ x.transpose(1, 2), RuntimeError, "scaled_dot_product_attention"),
        (lambda x: x + torch.ones(5, 3), RuntimeError, "same offsets"),
        (lambda x: x.tolist(), RuntimeError, "unbind"),
        (lambda x: x.flip(0, 1, 2), RuntimeError, "batch dimension"),
        (lambda x: x.median(1), NotImplementedError, "loop over the parts"),
        (lambda x: nn.functional.conv1d(x, torch.ones(1, 3, 1)), NotImplementedError, "loop over the parts"),
        (lambda x: OnValues.apply(x), NotImplementedError, r"apply it to .* values\(\)"),
        (lambda x: x.storage(), AttributeError, r"values\(\)"),
        (lambda x: nested_tensor(torch.ones(2)), TypeError, "as_nested_tensor"),
        (lambda x: nested_tensor([], layout=torch.jagged), RuntimeError, "empty tensor list"),
        (
            lambda x: nested_tensor([torch.ones(2, 2), torch.ones(3, 3)], layout=torch.jagged),
            RuntimeError,
            "single ragged",
        ),
        (lambda x: nested_tensor([torch.ones(1), torch.ones(1, 1)]), RuntimeError, "same dim"),
        (lambda x: nested_tensor_from_jagged(torch.ones(2)), RuntimeError, "offsets or lengths"),
        (
            lambda x: nested_tensor_from_jagged(torch.ones(5), torch.tensor([0, 3, 4])).sum(1),
            RuntimeError,
            "count 4 rows",
        ),
        (
            lambda x: nested_tensor_from_jagged(torch.ones(5), torch.tensor([0, 3, 4])).unbind(),
            RuntimeError,
            "values have 5",
        ),
        (lambda x: nested_tensor_from_jagged(torch.ones(2), [0, 2]), TypeError, "'offsets' must be Tensor"),
        (lambda x: torch.ones(2).to_padded_tensor(0.0), NotImplementedError, "as_nested_tensor"),
        (lambda x: torch.nested.narrow(torch.ones(2, 2), 1, 0, 1), RuntimeError, "only dim=0"),
    ],
)
def test_refusals(function, error, says):
    with pytest.raises(error, match=says):
        function(jagged(2, 3))


def test_modules_train_on_ragged_batches():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 16), nn.LayerNorm(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 1))
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for step in range(40):
        x = nested_tensor([torch.randn(2 + (step + i) % 3, 3) for i in range(8)], layout=torch.jagged)
        wanted = x.values()[:, :1].sin()
        loss = nn.functional.mse_loss(model(x), nested_tensor_from_jagged(wanted, x.offsets()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
