"""What operations accept and refuse, and the layout of what they make, as in PyTorch."""

from __future__ import annotations

import pytest

import flambeau as torch
import flambeau.nn.functional as F  # noqa: N812

ROW = torch.arange(4)


@pytest.mark.parametrize(
    "name",
    "atan2 maximum minimum fmax fmin hypot logaddexp logaddexp2 nextafter gcd lcm logical_and logical_or logical_xor "
    "heaviside igamma igammac polar complex isclose".split(),
)
def test_numbers_are_no_operands(name):
    with pytest.raises(TypeError, match=r"\(position 2\) must be Tensor, not int"):
        getattr(torch, name)(ROW, 1)
    with pytest.raises(TypeError, match=r"\(position 1\) must be Tensor, not int"):
        getattr(torch, name)(1, ROW)


@pytest.mark.parametrize("function", [torch.clamp_min, torch.clamp_max])
def test_bounds_of_a_number(function):
    with pytest.raises(TypeError, match="must be Tensor, not int"):
        function(1, ROW)


@pytest.mark.parametrize("function", [torch.hsplit, torch.vsplit, torch.tensor_split])
@pytest.mark.parametrize("cuts", ["a", 1.5])
def test_cuts_are_numbers(function, cuts):
    with pytest.raises(TypeError, match=type(cuts).__name__):
        function(torch.zeros(2, 2), cuts)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"fweights": [1.0, 2, 3, 4]}, "integral dtype"),
        ({"fweights": [[1, 2, 3, 4]]}, "one or fewer dimensions"),
        ({"fweights": [1, 2, 3]}, "3 != 4"),
        ({"fweights": [1, 2, 3, -4]}, "fweights cannot be negative"),
        ({"fweights": [0, 0, 0, 0]}, "sum to zero"),
        ({"aweights": [1, 2, 3, 4]}, "floating point dtype"),
        ({"aweights": [1.0, 2, 3, -4]}, "aweights cannot be negative"),
    ],
)
def test_weights_of_a_covariance(weights, message):
    rows = torch.arange(12.0).reshape(3, 4)
    with pytest.raises(RuntimeError, match=message):
        torch.cov(rows, **{name: torch.tensor(numbers) for name, numbers in weights.items()})


def test_range_whose_step_rounds_to_zero():
    with pytest.raises(ValueError, match="step must be nonzero"):
        torch.arange(0, 3, 0.5, dtype=torch.int64)


def test_pooling_to_more_sizes_than_there_are():
    with pytest.raises(ValueError, match="at least 4"):
        F.adaptive_avg_pool2d(torch.zeros(2, 2, 2), (1, 1, 1))


def test_margin_of_one_class():
    assert F.multi_margin_loss(torch.tensor(1.0), torch.tensor(0)).item() == 0


def test_results_with_names_into_given_tensors():
    values, indices = torch.empty(()), torch.empty((), dtype=torch.int64)
    found = torch.kthvalue(torch.tensor([3.0, 1.0, 2.0]), 2, out=(values, indices))
    assert (found.values.item(), found.indices.item()) == (2.0, 2)
    assert (values.item(), indices.item()) == (2.0, 2)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.cat([x, x + 1], 1),
        lambda x: torch.cat([x, x.int()], 2),
        lambda x: F.pad(x, (1, -1, 0, 2)),
        lambda x: torch.nn.ZeroPad2d(1)(x),
        lambda x: F.max_unpool2d(F.max_pool2d(x, 2), F.max_pool2d(x, 2, return_indices=True)[1], 2),
    ],
    ids=["cat", "cat of two dtypes", "pad", "ZeroPad2d", "max_unpool2d"],
)
def test_channels_stay_innermost(function):
    x = torch.arange(128.0).reshape(2, 4, 4, 4)
    found = function(x.contiguous(memory_format=torch.channels_last))
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, function(x))


@pytest.mark.parametrize("name", "eq ne lt le gt ge copysign fmod rsub".split())
def test_only_the_second_operand_may_be_a_number(name):
    with pytest.raises(TypeError, match=r"'input' \(position 1\) must be Tensor, not int"):
        getattr(torch, name)(2, ROW)
    assert getattr(torch, name)(ROW, 2).shape == ROW.shape


MISTAKES = [
    (TypeError, lambda: torch.ldexp(ROW, 2)),
    (TypeError, lambda: torch.max(2, ROW)),
    (TypeError, lambda: torch.min(2, 3)),
    (TypeError, lambda: torch.linspace(0, 3, 1.0)),
    (TypeError, lambda: torch.logspace(0, 3, 1.0)),
    (RuntimeError, lambda: ROW.masked_fill(ROW > 0, torch.tensor(1j))),
    (RuntimeError, lambda: torch.hstack(())),
    (RuntimeError, lambda: torch.vstack(())),
    (RuntimeError, lambda: torch.dstack(())),
    (ValueError, lambda: torch.cat(())),
    (RuntimeError, lambda: torch.ones(3).renorm(2, 0, 1)),
    (RuntimeError, lambda: torch.ormqr(torch.ones(1), torch.ones(1), torch.ones(1))),
    (RuntimeError, lambda: ROW.narrow(0, torch.tensor(0.0), 1)),
    (RuntimeError, lambda: torch.empty_permuted((2,), (3,))),
    (RuntimeError, lambda: torch.prelu(torch.ones(2, 2), torch.ones(1, 2))),
    (RuntimeError, lambda: F.embedding(ROW, torch.tensor(1.0))),
    (ValueError, lambda: F.adaptive_avg_pool2d(torch.ones(2, 2), (2, 2))),
    (ValueError, lambda: F.adaptive_max_pool3d(torch.ones(2, 2, 2), (2, 2, 2))),
    (ValueError, lambda: F.multi_margin_loss(torch.ones(1, 2), ROW[:1], reduction="abc")),
    (ValueError, lambda: F.multi_margin_loss(torch.ones(1, 2), ROW[:1], weight=torch.ones(1, 2))),
    (ValueError, lambda: F.multilabel_margin_loss(torch.ones(2), torch.ones(2), reduction="abc")),
    (ValueError, lambda: F.triplet_margin_loss(torch.ones(1, 2), torch.ones(1, 2), torch.ones(1, 2), margin=-1)),
    (RuntimeError, lambda: F.linear_cross_entropy(torch.ones(2, 2, 2), torch.ones(2, 2), ROW[:2])),
    (ValueError, lambda: torch.signal.windows.hann(3, dtype=torch.float16)),
]


@pytest.mark.parametrize(("expected", "call"), MISTAKES)
def test_mistakes_raise_what_they_raise_in_pytorch(expected, call):
    with pytest.raises(expected) as caught:
        call()
    assert caught.type is expected


def test_addr_of_booleans():
    x, column, row = torch.tensor([[True], [False]]), torch.tensor([False, True]), torch.tensor([True])
    assert torch.addr(x, column, row).tolist() == [[True], [True]]
    assert torch.addr(x, column, row, beta=0, alpha=2).tolist() == [[False], [True]]
