"""Reading and writing by index tensors: index_*, take, put, gather, scatter, masks, against plain loops and NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradcheck, gradgradcheck

RNG = np.random.default_rng(3)
X = RNG.standard_normal((3, 4))
I2 = np.array([2, 0, 2])


def tensor(a, grad=False):
    return torch.from_numpy(np.array(a)).requires_grad_(grad)


# ------------------------------------------------------------------------------ slices along a dimension


@pytest.mark.parametrize("dim", [0, 1])
def test_index_select_and_writes(dim):
    index = tensor(I2)
    shape = list(X.shape)
    shape[dim] = 3
    source = RNG.standard_normal(shape)
    where = (slice(None),) * dim + (I2,)
    np.testing.assert_array_equal(tensor(X).index_select(dim, index).numpy(), np.take(X, I2, dim))
    added, copied, filled = X.copy(), X.copy(), X.copy()
    np.add.at(added, where, 2 * source)
    copied[where] = source
    filled[where] = 7
    np.testing.assert_allclose(tensor(X).index_add(dim, index, tensor(source), alpha=2).numpy(), added)
    np.testing.assert_array_equal(tensor(X).index_copy(dim, index, tensor(source)).numpy(), copied)
    np.testing.assert_array_equal(tensor(X).index_fill(dim, index, 7).numpy(), filled)
    np.testing.assert_array_equal(tensor(X).index_fill_(dim, index.int(), torch.tensor(7.0)).numpy(), filled)
    distinct = tensor([2, 0, 1])
    leaves = tensor(X, True), tensor(source, True)
    assert gradcheck(lambda x, s: x.index_add(dim, index, s, alpha=2), leaves)
    assert gradcheck(lambda x, s: x.index_copy(dim, distinct, s), leaves)
    assert gradcheck(lambda x, _: x.index_fill(dim, index, 7), leaves)
    assert gradcheck(lambda x, _: x.index_select(dim, index), leaves)
    assert gradgradcheck(lambda x, _: x.index_select(dim, index) ** 2, leaves)


@pytest.mark.parametrize("reduce", ["prod", "mean", "amax", "amin"])
@pytest.mark.parametrize("include_self", [True, False])
def test_index_reduce(reduce, include_self):
    source = RNG.standard_normal((3, 4))
    want = X.copy()
    for row in set(I2):
        parts = source[row == I2] if not include_self else np.concatenate([X[[row]], source[row == I2]])
        want[row] = getattr(np, reduce.replace("a", "", 1) if reduce[0] == "a" else reduce)(parts, axis=0)
    got = tensor(X).index_reduce(0, tensor(I2), tensor(source), reduce, include_self=include_self)
    np.testing.assert_allclose(got.numpy(), want)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex64])
def test_sums_in_every_dtype(dtype):
    values = torch.tensor([1, 0, 1, 1]).to(dtype)
    got = torch.zeros(3).to(dtype).index_add(0, torch.tensor([2, 0, 2, 2]), values)
    assert got.dtype is dtype and got.to(torch.float64).tolist() == ([0, 0, 1] if dtype is torch.bool else [0, 0, 3])
    rows = torch.ones(4, 2).to(dtype)
    got = torch.zeros(3, 2).to(dtype).index_add(0, torch.tensor([2, 0, 2, 2]), rows)
    assert got.dtype is dtype and got.to(torch.float64)[:, 1].tolist() == (
        [1, 0, 1] if dtype is torch.bool else [1, 0, 3]
    )


# ------------------------------------------------------------------------------ flat and combined indices


def test_take_and_put():
    index = np.array([[0, -1], [5, 5]])
    np.testing.assert_array_equal(tensor(X).take(tensor(index)).numpy(), X.take(index))
    values = np.arange(4.0).reshape(2, 2)
    added = X.copy()
    np.add.at(added.reshape(-1), index.reshape(-1), values.reshape(-1))
    np.testing.assert_allclose(tensor(X).put(tensor(index), tensor(values), accumulate=True).numpy(), added)
    assert tensor(X).put_(tensor([3]), tensor([9.0]))[0, 3] == 9
    assert gradcheck(lambda x: x.take(tensor(index)), (tensor(X, True),))
    assert gradcheck(lambda x, v: x.put(tensor(index), v, True), (tensor(X, True), tensor(values, True)))
    assert gradcheck(lambda x, v: x.put(tensor([[1, 2], [3, 4]]), v), (tensor(X, True), tensor(values, True)))


def test_take_along_dim_broadcasts():
    order = np.argsort(X, 1)
    np.testing.assert_array_equal(tensor(X).take_along_dim(tensor(order), 1).numpy(), np.take_along_axis(X, order, 1))
    np.testing.assert_array_equal(
        tensor(X).take_along_dim(tensor([[-1]]), 0).numpy(), np.take_along_axis(X, np.full((1, 4), 2), 0)
    )
    assert tensor(X).take_along_dim(tensor([7])).item() == X.reshape(-1)[7]


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize(
    "indices",
    [
        ([0, 2, 2],),
        (None, [3, 1]),
        ([0, 2], [1, 1]),
        ([[0], [2]], [1, 3]),
        (np.array([True, False, True]),),
        (X > 0,),
        ([], []),
    ],
)
def test_index_put(indices, accumulate):
    arrays = tuple([slice(None) if i is None else np.asarray(i, None if len(i) else np.int64) for i in indices])
    shape = X[arrays].shape
    values = RNG.standard_normal(shape) if accumulate else np.full(shape, 3.5)
    want = X.copy()
    if accumulate:
        np.add.at(want, arrays, values)
    else:
        want[arrays] = values
    tensors = tuple([None if isinstance(a, slice) else tensor(a) for a in arrays])
    np.testing.assert_allclose(tensor(X).index_put(tensors, tensor(values), accumulate).numpy(), want)
    if accumulate:
        assert gradcheck(lambda x, v: x.index_put(tensors, v, True), (tensor(X, True), tensor(values, True)))
    assert gradcheck(lambda x: x.index_put(tensors, torch.tensor(2.0, dtype=torch.float64), False), (tensor(X, True),))


# ------------------------------------------------------------------------------ gather and scatter

PLACES = np.array([[0, 2, 0], [1, 1, 2]])  # smaller than X, with repeats


def loop(target, dim, index, source, combine):
    target = target.copy()
    for at in itertools.product(*map(range, index.shape)):
        to = tuple([index[at] if d == dim else i for d, i in enumerate(at)])
        target[to] = combine(target[to], source[at] if isinstance(source, np.ndarray) else source)
    return target


@pytest.mark.parametrize("dim", [0, 1])
def test_gather_and_scatter(dim):
    source = RNG.standard_normal((3, 4))
    index = tensor(PLACES)
    want = [[X[PLACES[i, j], j] if dim == 0 else X[i, PLACES[i, j]] for j in range(3)] for i in range(2)]
    np.testing.assert_array_equal(tensor(X).gather(dim, index).numpy(), want)
    cases = [
        (lambda x, s: x.scatter(dim, index, s), lambda _, s: s),
        (lambda x, s: x.scatter_add(dim, index, s), lambda t, s: t + s),
        (lambda x, s: x.scatter(dim, index, s, reduce="add"), lambda t, s: t + s),
        (lambda x, s: x.scatter(dim, index, s, reduce="multiply"), lambda t, s: t * s),
        (lambda x, s: x.scatter_reduce(dim, index, s, "sum"), lambda t, s: t + s),
        (lambda x, s: x.scatter_reduce(dim, index, s, "prod"), lambda t, s: t * s),
        (lambda x, s: x.scatter_reduce(dim, index, s, "amax"), max),
        (lambda x, s: x.scatter_reduce(dim, index, s, "amin"), min),
    ]
    leaves = tensor(X, True), tensor(source, True)
    for number, (function, combine) in enumerate(cases):
        np.testing.assert_allclose(function(tensor(X), tensor(source)).numpy(), loop(X, dim, PLACES, source, combine))
        if number:  # a plain write to one place twice has no gradient of its own
            assert gradcheck(function, leaves), number
    np.testing.assert_array_equal(tensor(X).scatter(dim, index, 5).numpy(), loop(X, dim, PLACES, 5.0, lambda _, s: s))
    assert gradcheck(lambda x, _: x.gather(dim, index), leaves) and gradgradcheck(
        lambda x, _: x.gather(dim, index) ** 2, leaves
    )


@pytest.mark.parametrize("include_self", [True, False])
def test_scatter_mean_and_products_with_zeros(include_self):
    x, s = tensor([1.0, 2, 0, 4], True), tensor([3.0, 0, 5, 0, 0], True)
    index = torch.tensor([0, 0, 1, 3, 3])
    start = [[1.0], [2.0]] if include_self else [[], []]
    got = x.scatter_reduce(0, index, s, "mean", include_self=include_self)
    assert got[:2].tolist() == pytest.approx([np.mean([*start[0], 3, 0]), np.mean([*start[1], 5])])
    for reduce in ("mean", "prod"):
        assert gradcheck(lambda x, s, r=reduce: x.scatter_reduce(0, index, s, r, include_self=include_self), (x, s))


def test_ties_share_the_gradient():
    x, s = torch.tensor([2.0], requires_grad=True), torch.tensor([2.0, 1.0, 2.0], requires_grad=True)
    x.scatter_reduce(0, torch.tensor([0, 0, 0]), s, "amax").sum().backward()
    assert x.grad.tolist() == pytest.approx([1 / 3]) and s.grad.tolist() == pytest.approx([1 / 3, 0, 1 / 3])


# ------------------------------------------------------------------------------ masks


def test_masks():
    mask = X > 0
    x, m = tensor(X), tensor(mask)
    np.testing.assert_array_equal(x.masked_fill(m, -1).numpy(), np.where(mask, -1, X))
    np.testing.assert_array_equal(x.masked_select(m).numpy(), X[mask])
    np.testing.assert_array_equal(x.masked_select(m[0]).numpy(), X[:, mask[0]].reshape(-1))
    want = X.copy()
    want[mask] = np.arange(mask.sum())
    np.testing.assert_array_equal(x.masked_scatter(m, torch.arange(12.0, dtype=torch.float64)).numpy(), want)
    np.testing.assert_array_equal(m.nonzero().numpy(), np.argwhere(mask))
    for got, column in zip(m.nonzero(as_tuple=True), np.nonzero(mask), strict=True):
        np.testing.assert_array_equal(got.numpy(), column)
    assert torch.tensor(5).nonzero().shape == (1, 0) and torch.argwhere(torch.tensor(0)).shape == (0, 0)
    assert torch.nonzero_static(torch.tensor([0, 7, 8]), size=1).tolist() == [[1]]
    leaf = tensor(X, True)
    assert gradcheck(lambda x: x.masked_select(m), (leaf,)) and gradcheck(lambda x: x.masked_fill(m, 3), (leaf,))
    assert gradcheck(lambda x, s: x.masked_scatter(m, s), (leaf, tensor(np.arange(12.0), True)))
    assert gradcheck(lambda x, v: x.masked_fill(m, v), (leaf, tensor(2.0, True)))


def test_masked_fill_keeps_the_dtype():
    mask = torch.tensor([True, False])
    assert torch.tensor([1, 2]).masked_fill(mask, 1.7).tolist() == [1, 2]
    assert torch.zeros(2, dtype=torch.bfloat16).masked_fill_(mask, float("-inf")).tolist() == [float("-inf"), 0]
    assert torch.zeros(2, dtype=torch.uint8).masked_fill(mask, -1).tolist() == [255, 0]
    assert torch.zeros(1).masked_fill(mask, 1).tolist() == [1, 0]


# ------------------------------------------------------------------------------ searching


@pytest.mark.parametrize("right", [False, True])
def test_searchsorted(right):
    edges, values = np.array([1.0, 3.0, 3.0, 7.0]), np.array([[0.0, 3.0], [7.0, np.nan]])
    want = np.searchsorted(edges, values, "right" if right else "left")
    assert torch.searchsorted(tensor(edges), tensor(values), right=right).tolist() == want.tolist()
    assert torch.bucketize(tensor(values), tensor(edges), right=right, out_int32=True).tolist() == want.tolist()
    both = np.stack([edges, edges + 1])
    rows = [np.searchsorted(both[i], values[i], "right" if right else "left").tolist() for i in range(2)]
    assert torch.searchsorted(tensor(both), tensor(values), right=right).tolist() == rows
    sorter = torch.tensor([3, 1, 0, 2])
    shuffled = torch.tensor([3.0, 3.0, 7.0, 1.0])
    assert torch.searchsorted(shuffled, 3.0, right=right, sorter=sorter).item() == (3 if right else 1)


def test_unravel_index():
    flat = np.array([[22, 41], [37, 0]])
    for got, want in zip(torch.unravel_index(tensor(flat), (7, 6)), np.unravel_index(flat, (7, 6)), strict=True):
        np.testing.assert_array_equal(got.numpy(), want)


# ------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x.gather(0, torch.tensor([[5]])), "index 5 is out of bounds for dimension 0 with size 3"),
        (lambda x: x.gather(1, torch.tensor([[-1]])), "index -1 is out of bounds for dimension 1 with size 4"),
        (lambda x: x.index_select(1, torch.tensor([4])), "index 4 is out of bounds for dimension 1 with size 4"),
        (lambda x: x.scatter(0, torch.tensor([[3]]), 1.0), "index 3 is out of bounds for dimension 0"),
        (lambda x: x.scatter_add(0, torch.tensor([[3]]), torch.ones(1, 1)), "index 3 is out of bounds for dimension 0"),
        (lambda x: x.index_add(0, torch.tensor([9]), torch.ones(1, 4)), "index 9 is out of bounds for dimension 0"),
        (lambda x: x.take(torch.tensor([12])), "index 12 is out of bounds"),
        (lambda x: x.index_put((torch.tensor([3]),), torch.tensor(1.0)), "index 3 is out of bounds for dimension 0"),
    ],
)
def test_indices_out_of_range_name_the_line(call, message):
    with pytest.raises(IndexError, match=f"{message}(.|\n)*recorded at test_index.py"):
        call(torch.zeros(3, 4)).tolist()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x.gather(0, torch.zeros(4, 5, dtype=torch.int64)), RuntimeError, "Size does not match"),
        (lambda x: x.gather(0, torch.tensor([0])), RuntimeError, "same number of dimensions"),
        (lambda x: x.gather(0, torch.zeros(1, 1)), RuntimeError, "Expected dtype int32/int64"),
        (lambda x: x.scatter(0, torch.tensor([[0]]), torch.ones(1, 1, dtype=torch.float64)), RuntimeError, "dtype"),
        (lambda x: x.scatter_reduce(0, torch.tensor([[0]]), x, "median"), RuntimeError, "reduce argument"),
        (lambda x: x.index_select(0, torch.tensor([[0]])), IndexError, "supposed to be a vector"),
        (lambda x: x.index_add(0, torch.tensor([0]), torch.ones(2, 4)), RuntimeError, "expected a source of shape"),
        (
            lambda x: x.index_put((torch.tensor([0]),), torch.tensor(1)),
            RuntimeError,
            "source and destination dtypes match",
        ),
        (lambda x: x.index_put((torch.tensor([0]),), torch.ones(7)), RuntimeError, r"value tensor of shape \[7\]"),
        (lambda x: x.index_put((torch.tensor([0.0]),), torch.ones(1)), IndexError, "must be long, int, byte or bool"),
        (lambda x: x.masked_fill(torch.tensor([1, 0, 1, 1]), 1), RuntimeError, "expected BoolTensor"),
        (lambda x: x.masked_fill(x > 0, 1j), RuntimeError, "cannot be converted"),
        (lambda x: x.masked_scatter(x == 0, torch.ones(3)).tolist(), RuntimeError, "12 are needed, the source has 3"),
        (lambda x: torch.searchsorted(x, torch.ones(2, 2)), RuntimeError, "boundaries tensor"),
        (lambda x: torch.unravel_index(torch.tensor([1]), (2, -1)), ValueError, "negative"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(torch.zeros(3, 4))


def test_coordinates_are_int64_whatever_the_indices_are():
    first, second = torch.unravel_index(torch.tensor([5, 3], dtype=torch.int16), (2, 3))
    assert first.dtype == second.dtype == torch.int64 and second.tolist() == [2, 0]


# ------------------------------------------------------------------------------ out of range

SEVEN, ROW = torch.tensor([7]), torch.tensor([[7, 0, 0]])
OUT_OF_RANGE = {
    "index_add_": (RuntimeError, lambda x: x.index_add_(0, SEVEN, torch.ones(1, 3))),
    "index_copy_": (IndexError, lambda x: x.index_copy_(0, SEVEN, torch.ones(1, 3))),
    "index_fill_": (IndexError, lambda x: x.index_fill_(0, SEVEN, 1.0)),
    "index_reduce_": (IndexError, lambda x: x.index_reduce_(0, SEVEN, torch.ones(1, 3), "prod")),
    "scatter_": (RuntimeError, lambda x: x.scatter_(0, ROW, torch.ones(1, 3))),
    "scatter_add_": (RuntimeError, lambda x: x.scatter_add_(0, ROW, torch.ones(1, 3))),
    "scatter_reduce_": (RuntimeError, lambda x: x.scatter_reduce_(0, ROW, torch.ones(1, 3), "sum")),
    "index_put_": (IndexError, lambda x: x.index_put_((SEVEN,), torch.tensor(1.0))),
    "accumulate": (IndexError, lambda x: x.index_put_((SEVEN,), torch.tensor(1.0), accumulate=True)),
    "assignment": (IndexError, lambda x: x.__setitem__(SEVEN, 1.0)),
    "put_": (IndexError, lambda x: x.put_(torch.tensor([-10]), torch.ones(1))),
    "masked_scatter_": (RuntimeError, lambda x: x.masked_scatter_(x >= 0, torch.ones(2))),
    "a view": (RuntimeError, lambda x: x[1].scatter_(0, SEVEN, 1.0)),
    "gather": (RuntimeError, lambda x: torch.gather(torch.ones(3, 3), 0, ROW.expand(3, 3), out=x)),
    "take": (IndexError, lambda x: torch.take(torch.ones(3), SEVEN.expand(3, 3), out=x)),
    "index_select": (IndexError, lambda x: torch.index_select(torch.ones(3, 3), 0, ROW[0], out=x)),
    "index_add": (RuntimeError, lambda x: torch.index_add(torch.ones(3, 3), 0, SEVEN, torch.ones(1, 3), out=x)),
    "scatter": (RuntimeError, lambda x: torch.scatter(torch.ones(3, 3), 0, ROW, torch.ones(1, 3), out=x)),
}


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_an_index_out_of_range_leaves_the_target_as_it_was(name):
    expected, write = OUT_OF_RANGE[name]
    x = torch.arange(9.0).reshape(3, 3)
    with pytest.raises(expected):
        write(x)
        x.tolist()
    assert x.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    x.mul_(2)
    assert x[2, 2].item() == 16
