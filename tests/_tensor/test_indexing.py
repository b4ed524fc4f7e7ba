"""`x[...]` and `x[...] = y`, against NumPy, whose rules they follow, and against numbers from PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import flambeau as torch
from flambeau.autograd import gradcheck

X = np.arange(24.0).reshape(2, 3, 4)
MASK = (X % 3 == 0)[:, :, 0]

BASIC = [
    1,
    -1,
    (0, 2),
    (0, 2, 3),
    slice(1, None),
    (slice(None), slice(0, 9, 2)),
    (..., 1),
    (None, 0, ..., None),
    (),
    ...,
    (slice(None), -2, slice(-3, -1)),
    (slice(5, 2),),
    np.int64(1),
]
ADVANCED = [
    [1, 0],
    ([0, 1], [2, 0]),
    (slice(None), [0, 2]),
    (0, [0, 2]),
    ([[0], [1]], [1, 2]),
    ([0, 1], slice(None), [3, 0]),
    (..., [1, 1]),
    (None, [0, 1], None),
    MASK,
    (MASK, 1),
    (MASK, slice(1, None)),
    (slice(None), MASK[0]),
    X > 7,
    (slice(1, None), [0, 2], slice(None, None, 3)),
    np.array([[1, 0], [0, 0]]),
    True,
    False,
    (0, True),
    ([0, 1], None, [1, 2]),
    (slice(None), np.array(1), [0, 1]),
]


def of_torch(index):
    """The index with tensors in the place of arrays and lists."""
    if isinstance(index, tuple):
        return tuple([of_torch(i) for i in index])
    return torch.from_numpy(np.asarray(index)) if isinstance(index, (list, np.ndarray)) else index


@pytest.mark.parametrize("index", BASIC, ids=repr)
def test_basic_indices_make_views(index):
    x = torch.from_numpy(X.copy())
    got, want = x[index], X[index]
    np.testing.assert_array_equal(got.numpy(), want)
    assert got._base is x and got._storage is x._storage
    x[index] = 0.5
    changed = X.copy()
    changed[index] = 0.5
    np.testing.assert_array_equal(x.numpy(), changed)
    assert gradcheck(lambda x: x[index] * 2, (torch.from_numpy(X.copy()).requires_grad_(),))


@pytest.mark.parametrize("index", ADVANCED, ids=repr)
def test_advanced_indices_gather(index):
    x = torch.from_numpy(X.copy())
    got, want = x[of_torch(index)], X[index]
    np.testing.assert_array_equal(got.numpy(), want)
    assert got._storage is not x._storage
    values = np.arange(want.size, dtype=float).reshape(want.shape)
    for value in (0.5, values):
        x, changed = torch.from_numpy(X.copy()), X.copy()
        x[of_torch(index)] = value if isinstance(value, float) else torch.from_numpy(value)
        changed[index] = value
        np.testing.assert_array_equal(x.numpy(), changed)
    assert gradcheck(lambda x: x[of_torch(index)] * 2, (torch.from_numpy(X.copy()).requires_grad_(),))


def test_lists_arrays_and_ranges_are_indices():
    x = torch.arange(6).view(2, 3)
    assert x[[1, 0]].tolist() == x[range(1, -1, -1)].tolist() == [[3, 4, 5], [0, 1, 2]]
    assert x[np.array([True, False])].tolist() == [[0, 1, 2]] and x[[]].shape == (0, 3)
    assert x[torch.tensor(1)].tolist() == [3, 4, 5] and x[torch.tensor(1)]._storage is x._storage
    assert x[torch.tensor([1], dtype=torch.int32)].tolist() == [[3, 4, 5]]
    with pytest.warns(UserWarning, match="non-tuple sequence"):
        assert x[[slice(None), 1]].tolist() == [1, 4]
    with pytest.warns(UserWarning, match="uint8"):
        assert x[torch.tensor([0, 1], dtype=torch.uint8)].tolist() == [[3, 4, 5]]


@given(st.data())
def test_random_indices(data):
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    a = np.arange(np.prod(shape)).reshape(shape)
    items = []
    for n in shape[: data.draw(st.integers(0, len(shape)))]:
        integer = st.integers(-n, n - 1)
        items.append(
            data.draw(
                st.one_of(
                    integer,
                    st.slices(n).filter(lambda s: (s.step or 1) > 0),
                    st.lists(integer, min_size=2, max_size=2),
                    st.lists(st.booleans(), min_size=n, max_size=n).filter(lambda m: sum(m) in (1, 2)).map(np.array),
                )
            )
        )
    if data.draw(st.booleans()):
        items.insert(data.draw(st.integers(0, len(items))), None)
    index = tuple(items)
    try:
        want = a[index]
    except IndexError:
        with pytest.raises(IndexError):
            torch.from_numpy(a)[of_torch(index)]
        return
    np.testing.assert_array_equal(torch.from_numpy(a.copy())[of_torch(index)].numpy(), want)


# ------------------------------------------------------------------------------ writing


def test_values_broadcast_and_convert():
    x = torch.zeros(2, 3, dtype=torch.int64)
    x[0] = 2.7
    x[:, 1] = torch.tensor([[5.9, 6.9]])
    x[1, 2] = True
    x[1, 0] = torch.tensor(4.2)
    assert x.tolist() == [[2, 5, 2], [4, 6, 1]]
    x = torch.zeros(3, dtype=torch.uint8)
    x[0] = -1
    assert x.tolist() == [255, 0, 0]


def test_later_writes_do_not_change_what_was_read():
    x = torch.arange(4)
    before = x + 0
    x[1:] = 9
    row = x[torch.tensor([1])]
    x[1] = 3
    assert before.tolist() == [0, 1, 2, 3] and row.tolist() == [9] and x.tolist() == [0, 3, 9, 9]


def test_augmented_assignment_reads_once():
    x = torch.zeros(3)
    x[torch.tensor([0, 0, 1])] += 1
    x[1:] *= 5
    x[x > 4] -= 2
    assert x.tolist() == [1, 3, 0]


def test_gradients_through_writes():
    w = torch.ones(2, 3, requires_grad=True)
    v = torch.ones(2, requires_grad=True)
    y = w * 2
    y[:, 1] = v * 3
    y[0, torch.tensor([0, 2])] = 0
    y[y > 100] = 5
    (y * torch.arange(6.0).view(2, 3)).sum().backward()
    assert w.grad.tolist() == [[0, 0, 0], [6, 0, 10]] and v.grad.tolist() == [3, 12]  # as PyTorch
    z = torch.zeros(2)
    z[0] = v[1]
    assert z.requires_grad


def test_a_leaf_may_be_written_only_without_gradients():
    w = torch.ones(2, requires_grad=True)
    for index in (0, slice(None), torch.tensor([0]), torch.tensor([True, False])):
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            w[index] = 5
    assert w.tolist() == [1, 1]
    with torch.no_grad():
        w[0] = 5
    assert w.tolist() == [5, 1]


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (5, IndexError, "index 5 is out of bounds for dimension 0 with size 2"),
        ((slice(None), -4), IndexError, "index -4 is out of bounds for dimension 1 with size 3"),
        ((0, 0, 0, 0), IndexError, "too many indices for tensor of dimension 3"),
        (slice(None, None, -1), ValueError, r"greater than zero(.|\n)*flip"),
        (0.5, IndexError, "only integers, slices"),
        ("a", TypeError, "got str"),
        (torch.tensor([0.5]), IndexError, "must be long, int, byte or bool"),
        (([0, 1], [0, 1, 2]), IndexError, r"could not be broadcast together with shapes \[2\], \[3\]"),
        (torch.ones(2, 2, dtype=torch.bool), IndexError, r"shape of the mask \[2, 2\] at index 1"),
        (torch.tensor([3]), IndexError, "index 3 is out of bounds for dimension 0 with size 2"),
    ],
)
def test_errors(index, error, message):
    x = torch.zeros(2, 3, 4)
    with pytest.raises(error, match=message):
        x[index].tolist()
    with pytest.raises(error, match=message):
        x[index] = 1
        x.tolist()


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ([1, 2, 3, 4], TypeError, "can't assign a list to a torch.FloatTensor"),
        (None, TypeError, "can't assign a NoneType"),
        (1j, RuntimeError, "cannot be converted to type float32"),
        (torch.ones(5), RuntimeError, r"must match the existing size \(5\)"),
    ],
)
def test_values_that_do_not_fit(value, error, message):
    with pytest.raises(error, match=message):
        torch.zeros(2, 3, 4)[0] = value


def test_zero_dimensions():
    x = torch.tensor(3)
    x[()] = 4
    x[...] = x + 1
    assert x.item() == 5 and x[None].shape == (1,)
    with pytest.raises(IndexError, match="invalid index of a 0-dim tensor"):
        x[0]
