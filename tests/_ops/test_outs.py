"""`out=`: what is written where, and which tensors an operation refuses to write into."""

import warnings

import pytest

import flambeau as torch

X = torch.tensor([[1.5, -2.0], [0.5, 3.0]])


def halves(dtype=torch.float32):
    """Every second column of a tensor twice as wide."""
    return torch.zeros(2, 4, dtype=dtype)[:, ::2]


def test_the_result_is_written_and_out_returned():
    out = torch.empty(2, 2)
    assert torch.add(X, 1, out=out) is out and out.tolist() == [[2.5, -1], [1.5, 4]]
    values, indices = torch.empty(2), torch.empty(2, dtype=torch.int64)
    result = torch.max(X, 1, out=(values, indices))
    assert result.values is values and result.indices is indices
    assert values.tolist() == [1.5, 3] and indices.tolist() == [0, 1]
    torch.max(X, 0, out=[values, indices])
    assert indices.tolist() == [0, 1]
    assert torch.neg(X, out=None).tolist() == (-X).tolist()


def test_strides_are_kept():
    out = halves()
    torch.mul(X, 2, out=out)
    assert out.stride() == (4, 2) and out.tolist() == (X * 2).tolist()
    assert torch.eye(2, out=out).stride() == (4, 2) and out.tolist() == [[1, 0], [0, 1]]


def test_another_size():
    empty = torch.empty(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.exp(X, out=empty).shape == (2, 2)
        assert torch.ones(3, out=torch.empty(2)).tolist() == [1, 1, 1]  # functions of sizes resize silently
    with pytest.warns(UserWarning, match=r"resized since it had shape \[3\].*required output shape \[2, 2\]") as caught:
        assert torch.exp(X, out=torch.empty(3)).shape == (2, 2)
    assert caught[0].filename == __file__


def test_a_resized_out_is_laid_out_as_the_result():
    image = torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last)
    out = torch.empty(0)
    torch.add(image, 1, out=out)
    assert out.is_contiguous(memory_format=torch.channels_last) and out.sum().item() == 240


@pytest.mark.parametrize(
    ("out", "call"),
    [
        (3, lambda out: torch.add(X, 1, out=out)),
        ([1.0], lambda out: torch.gather(X, 0, torch.zeros(1, 2, dtype=torch.int64), out=out)),
        ((torch.empty(0),), lambda out: torch.add(X, 1, out=out)),
        (torch.empty(0), lambda out: torch.sort(X, out=out)),
        ((torch.empty(0),), lambda out: torch.sort(X, out=out)),
        ((None, None), lambda out: torch.max(X, 0, out=out)),
        ("x", lambda out: torch.zeros(2, out=out)),
        (0, lambda out: torch.arange(2, out=out)),
        (0, lambda out: torch.rand(2, out=out)),
        (0, lambda out: torch.complex(X, X, out=out)),
        (0, lambda out: torch.fft.fftfreq(3, out=out)),
    ],
)
def test_what_is_no_tensor(out, call):
    with pytest.raises(TypeError, match="argument 'out' must be"):
        call(out)


FIRST = torch.tensor([[0, 0]])
EXACT = {
    "gather": lambda out: torch.gather(X, 0, FIRST, out=out),
    "take": lambda out: torch.take(X, FIRST, out=out),
    "index_select": lambda out: torch.index_select(X, 0, FIRST[0], out=out),
    "masked_select": lambda out: torch.masked_select(X, X > 0, out=out),
    "where": lambda out: torch.where(X > 0, X, X + 1, out=out),
    "mv": lambda out: torch.mv(X, X[0], out=out),
    "matmul": lambda out: torch.matmul(X, X, out=out),
    "abs": lambda out: torch.abs(X, out=out),
    "sort": lambda out: torch.sort(X, out=(out, torch.empty(0, dtype=torch.int64))),
    "topk": lambda out: torch.topk(X, 1, out=(out, torch.empty(0, dtype=torch.int64))),
    "complex": lambda out: torch.complex(X, X, out=out),
    "polar": lambda out: torch.polar(X, X, out=out),
    "argmax": lambda out: torch.argmax(X, out=out),
    "nonzero": lambda out: torch.nonzero(X, out=out),
    "multinomial": lambda out: torch.multinomial(X.abs(), 1, out=out),
    "zeros": lambda out: torch.zeros(2, dtype=torch.float32, out=out),
    "a given dtype": lambda out: torch.sum(X, 0, dtype=torch.float32, out=out),
}


@pytest.mark.parametrize("name", EXACT)
def test_operations_that_ask_for_their_own_dtype(name):
    with pytest.raises(RuntimeError, match="Expected out tensor to have dtype"):
        EXACT[name](torch.empty(0, dtype=torch.float64))


def test_operations_that_convert():
    double, integer = torch.empty(0, dtype=torch.float64), torch.empty(0, dtype=torch.int64)
    assert torch.add(X, 1, out=double).dtype == torch.float64 and double[0, 0].item() == 2.5
    assert torch.cat([X, X], out=double.resize_(0)).shape == (4, 2)
    message = "result type Float can't be cast to the desired output type Long"
    with pytest.raises(RuntimeError, match=message):
        torch.add(X, 1, out=integer)
    with pytest.raises(TypeError, match=message):
        torch.cat([X, X], out=integer)


@pytest.mark.parametrize(
    ("name", "expected"), [("sum", [2, 1]), ("cumsum", [[1, -2], [1, 1]]), ("prod", [0, -6]), ("nansum", [2, 1])]
)
def test_sums_are_computed_in_the_dtype_of_out(name, expected):
    expected = [1, 1] if name in ("sum", "nansum") else expected
    assert getattr(torch, name)(X, 0, out=torch.empty(0, dtype=torch.int64)).tolist() == expected


# ------------------------------------------------------------------------------ memory


def test_memory_shared_in_part():
    x = torch.arange(6.0)
    for call in (
        lambda: torch.add(x[:-1], 1, out=x[1:]),
        lambda: torch.add(torch.ones(5), x[:-1], out=x[1:]),
        lambda: torch.where(x[:-1] > 2, x[:-1], 0.0, out=x[1:]),
        lambda: torch.cumsum(x[:-1], 0, out=x[1:]),
        lambda: torch.sort(x[:-1], out=(x[1:], torch.empty(0, dtype=torch.int64))),
        lambda: torch.add(x[:4].view(2, 2).t(), 1, out=x[:4].view(2, 2)),  # the same memory in another order
    ):
        with pytest.raises(RuntimeError, match="refer to a single memory location"):
            call()
    assert x.tolist() == [0, 1, 2, 3, 4, 5]
    torch.add(x[:3], 1, out=x[3:])
    assert x.tolist() == [0, 1, 2, 1, 2, 3]


def test_the_same_memory():
    x = torch.arange(4.0)
    torch.mul(x, 2, out=x)
    torch.add(x[1:], 1, out=x[1:])
    torch.cumsum(x, 0, out=x)
    assert x.tolist() == [0, 3, 8, 15]
    positions = torch.arange(4)
    for call in (
        lambda: torch.gather(x, 0, positions, out=x),
        lambda: torch.take(x, positions, out=x),
        lambda: torch.index_select(x, 0, positions, out=x),
        lambda: torch.masked_select(x, x > -1, out=x),
        lambda: torch.cat([x[:2], x[2:]], out=x),
        lambda: torch.stack([x[:2], x[2:]], out=x.view(2, 2)),
    ):
        with pytest.raises(RuntimeError, match="refer to a single memory location"):
            call()
    assert x.tolist() == [0, 3, 8, 15]


def test_several_elements_in_one_place():
    with pytest.raises(RuntimeError, match="more than one element"):
        torch.add(torch.ones(3), 1, out=torch.ones(1).expand(3))


# ------------------------------------------------------------------------------ gradients


def test_gradients_are_refused():
    leaf = torch.ones(2, 2, requires_grad=True)
    for call in (
        lambda: torch.add(leaf, 1, out=torch.empty(0)),
        lambda: torch.add(X, 1, out=leaf),
        lambda: torch.zeros(2, 2, out=leaf),
        lambda: torch.sort(leaf, out=(torch.empty(0), torch.empty(0, dtype=torch.int64))),
    ):
        with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
            call()
    assert torch.argmax(leaf, out=torch.empty(0, dtype=torch.int64)).item() == 0
    with torch.no_grad():
        torch.add(X, 1, out=leaf)
    assert leaf.requires_grad and leaf.tolist() == (X + 1).tolist()
