"""Masked tensors against NumPy's masked arrays, and the examples that they were made for."""

from __future__ import annotations

import copy
import io
import math
import pickle

import numpy as np
import pytest

import flambeau as torch
from flambeau.masked import MaskedTensor, as_masked_tensor, is_masked_tensor, masked_tensor

DATA = np.arange(12.0).reshape(3, 4)
MASK = DATA % 3 != 0
MASK[1] = False  # a row in which nothing counts
ARRAY = np.ma.array(DATA, mask=~MASK)


def made(data=DATA, mask=MASK, **options):
    return masked_tensor(torch.tensor(data), torch.tensor(mask), **options)


def agree(found, expected):
    expected = np.ma.array(expected)
    assert is_masked_tensor(found) and found.shape == expected.shape
    assert (found.get_mask().numpy() == ~np.ma.getmaskarray(expected)).all()
    np.testing.assert_allclose(found.to_tensor(0).detach().numpy(), np.asarray(expected.filled(0)), rtol=1e-12)


def test_what_it_is_made_of():
    source = torch.tensor(DATA)
    x = masked_tensor(source, torch.tensor(MASK))
    source.zero_()
    agree(x, ARRAY)
    agree(as_masked_tensor(x.get_data(), x.get_mask()), ARRAY)
    agree(MaskedTensor(x.get_data(), x.get_mask()), ARRAY)
    assert is_masked_tensor(x) and not is_masked_tensor(source) and torch.is_tensor(x)
    assert x.to_tensor(-1)[1].tolist() == [-1] * 4
    agree(pickle.loads(pickle.dumps(x)), ARRAY)
    agree(copy.deepcopy(x), ARRAY)
    with pytest.raises(NotImplementedError, match="get_mask"):
        torch.save(x, io.BytesIO())


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + 1,
        lambda x: 2 - x * x,
        lambda x: x / 4 > 1,
        lambda x: x**2,
        lambda x: -abs(x),
        lambda x: x[0],
        lambda x: x[:, 1:3],
        lambda x: x.reshape(2, 6),
        lambda x: x.transpose(1, 0),
        lambda x: x[..., None],
        lambda x: x[[2, 0]],
    ],
)
def test_elements_and_parts(function):
    agree(function(made()), function(ARRAY))


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
@pytest.mark.parametrize(("name", "theirs"), [("sum", "sum"), ("mean", "mean"), ("amax", "max"), ("amin", "min")])
def test_reductions(name, theirs, axis):
    agree(getattr(made(), name)(*[] if axis is None else [axis]), getattr(ARRAY, theirs)(axis))


def test_more_reductions():
    x = made()
    agree(x.prod(), ARRAY.prod())
    agree(x.prod(1), ARRAY.prod(1))
    agree(x.var(0, correction=0), ARRAY[[0, 2]].var(0))
    agree(x.std(1)[[0, 2]], ARRAY[[0, 2]].std(1, ddof=1))
    agree((x > 4).all(1), (ARRAY > 4).all(1))
    agree((x > 4).any(0), (ARRAY > 4).any(0))
    assert x.argmax(1).get_mask().tolist() == [True, False, True] and x.argmax(1)[2].item() == 3
    assert x.sum(1, keepdim=True).shape == (3, 1) and made(DATA.astype(np.int32)).sum().dtype is torch.int64
    with pytest.raises(ValueError, match="masked out"):
        x.mean(1)[1].item()


def test_softmax_along_what_counts():
    found = made().softmax(-1).to_tensor(0)
    assert found[0].tolist() == pytest.approx([0, 1 / (1 + math.e), math.e / (1 + math.e), 0], 1e-14)
    assert found[1].tolist() == [0] * 4  # instead of NaN


def test_where_chooses_masks_too():
    mask = torch.tensor(MASK)
    x, y = made(), made(DATA * 10, ~MASK)
    agree(torch.where(mask, x, y), np.where(MASK, DATA, DATA * 10))
    agree(torch.where(mask, x, 7.0), np.where(MASK, DATA, 7))
    agree(torch.where(mask, y, x), np.ma.array(DATA, mask=True))
    agree(torch.cat([x, y]), np.ma.concatenate([ARRAY, np.ma.array(DATA * 10, mask=MASK)]))


def test_gradients_are_masked():
    x = made(requires_grad=True)
    (x * x).sum().backward()
    agree(x.grad, 2 * ARRAY)
    x.mean().backward()
    agree(x.grad, 2 * ARRAY + 1 / MASK.sum())
    (found,) = torch.autograd.grad((x * x).sum(), [x])
    agree(found, 2 * ARRAY)
    with pytest.raises(RuntimeError, match="leaf Variable"):
        x.add_(1)


def test_gradients_enter_dense_graphs():
    x = torch.tensor([1.0, 1.0, 4.0], requires_grad=True)
    by = torch.tensor([0.0, 1.0, 2.0])
    for times in (1, 2):
        as_masked_tensor(x / by, by != 0).sum().backward()
        agree(x.grad, np.ma.array([0, times, times / 2], mask=[True, False, False]))


def test_no_gradient_of_what_was_not_chosen():
    x = torch.tensor([-1.0, 0.0, 1000.0])
    low = x < 0
    a = masked_tensor(x, low, requires_grad=True)
    b = masked_tensor(torch.ones_like(x), ~low, requires_grad=True)
    torch.where(low, torch.exp(a), b).sum().backward()
    assert a.grad.get_mask().tolist() == [True, False, False]
    assert a.grad.to_tensor(0)[0].item() == pytest.approx(np.exp(-1))
    assert b.grad.to_tensor(0).tolist() == [0, 1, 1]


def test_the_mean_of_what_is_there():
    table = torch.tensor([[1.0, float("nan")], [3.0, 5.0]])
    assert masked_tensor(table, ~table.isnan()).mean(0).to_tensor(0).tolist() == [2, 5]
    assert torch.masked.mean(masked_tensor(table, ~table.isnan()), 0).tolist() == [2, 5]


def test_in_place():
    x = made()
    x.add_(1).mul_(x)
    agree(x, (ARRAY + 1) ** 2)
    x.copy_(made())
    agree(x, ARRAY)
    agree(torch.ones_like(x), ARRAY * 0 + 1)


def test_printing():
    assert repr(made()) == (
        "MaskedTensor(\n  [\n    [      --,   1.0000,   2.0000,       --],\n"
        "    [      --,       --,       --,       --],\n"
        "    [  8.0000,       --,  10.0000,  11.0000]\n  ]\n)"
    )
    assert repr(made()[0, 0]) == "MaskedTensor(--, False)" and repr(made().sum()) == "MaskedTensor( 32.0000, True)"
    assert repr(made()[:0]) == "MaskedTensor(\n  []\n)"


@pytest.mark.parametrize(
    ("function", "error", "says"),
    [
        (lambda x: x + made(DATA, ~MASK), ValueError, "masks must match"),
        (lambda x: x @ x.t(), TypeError, "matmul.. of a MaskedTensor"),
        (lambda x: x.sort(), TypeError, "to_tensor"),
        (lambda x: x.tolist(), RuntimeError, "to_tensor"),
        (lambda x: x[0, 0].item(), ValueError, "masked out"),
        (lambda x: masked_tensor([1.0], x), TypeError, "data must be a Tensor"),
        (lambda x: masked_tensor(x, x), TypeError, "data must be a Tensor"),
        (lambda x: masked_tensor(torch.ones(2), torch.ones(2)), TypeError, "dtype bool"),
        (lambda x: masked_tensor(torch.ones(2), torch.ones(1, 2) > 0), ValueError, "dim"),
        (lambda x: masked_tensor(torch.ones(2), torch.ones(3) > 0), ValueError, "size"),
        (lambda x: masked_tensor(torch.ones(2).byte(), torch.ones(2) > 0), TypeError, "not supported"),
        (lambda x: masked_tensor(torch.ones(2).to_sparse(), torch.ones(2) > 0), TypeError, "layout"),
    ],
)
def test_refusals(function, error, says):
    with pytest.raises(error, match=says):
        function(made())


def test_data_with_a_gradient_are_warned_of():
    with pytest.warns(UserWarning, match="not recommended"):
        masked_tensor(torch.ones(2, requires_grad=True), torch.ones(2) > 0)
