"""Random tensors against numbers recorded from PyTorch 2.13; the streams themselves are tested in
tests/_ops/test_draws.py."""

import pickle

import numpy as np
import pytest

import flambeau as torch


def test_the_numbers_everybody_knows():
    torch.manual_seed(42)
    golden = [[0.3367, 0.1288, 0.2345], [0.2303, -1.1229, -0.1863], [2.2082, -0.6380, 0.4617]]
    np.testing.assert_allclose(torch.randn(3, 3).numpy(), golden, atol=5e-5)


def test_transposed_tensors_are_filled_in_the_order_of_memory():
    torch.manual_seed(3)

    def transposed():
        return torch.empty(2, 3).t()

    golden = [
        (transposed().uniform_(), [[0.0043, 0.0270], [0.1056, 0.4716], [0.2858, 0.0601]]),
        (transposed().normal_(), [[0.7625, -0.4186], [1.4948, -0.9309], [-0.5175, 0.4139]]),
        (transposed().random_(0, 9), [[8, 5], [8, 6], [0, 1]]),
        (torch.rand_like(transposed()), [[0.1809, 0.5997], [0.1877, 0.1213], [0.2927, 0.1148]]),
        (
            torch.nn.functional.dropout(torch.ones(2, 3).t(), 0.4),
            [[1.6667, 0.0], [1.6667, 1.6667], [1.6667, 0.0]],
        ),
    ]
    for drawn, expected in golden:
        np.testing.assert_allclose(drawn.numpy(), expected, atol=6e-5)


def test_generators_keep_their_own_state():
    one, two = torch.Generator().manual_seed(5), torch.Generator().manual_seed(5)
    first = torch.rand(3, generator=one)
    torch.rand(7)
    assert torch.rand(3, generator=two).tolist() == first.tolist()
    state = one.get_state()
    following = torch.rand(3, generator=one)
    one.set_state(state)
    assert torch.rand(3, generator=one).tolist() == following.tolist()
    copy = pickle.loads(pickle.dumps(two))
    assert torch.rand(2, generator=copy).tolist() == torch.rand(2, generator=two).tolist()


def test_fork_rng_leaves_no_trace():
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    with torch.random.fork_rng():
        torch.rand(100)
    assert torch.rand(2).tolist() == expected.tolist()


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda: torch.rand(-1), "negative dimension"),
        (lambda: torch.randint(5, 5, (2,)), "less than"),
        (lambda: torch.empty(2).uniform_(3, 1), "uniform_"),
        (lambda: torch.normal(torch.zeros(2), -torch.ones(2)), "std"),
        (lambda: torch.bernoulli(torch.full((2,), 2.0)), r"p_in"),
        (lambda: torch.multinomial(torch.ones(3), 4), "without replacement"),
        (lambda: torch.ones(2, requires_grad=True).normal_(), "leaf Variable"),
    ],
)
def test_wrong_arguments(call, error):
    with pytest.raises(RuntimeError, match=error):
        call()
