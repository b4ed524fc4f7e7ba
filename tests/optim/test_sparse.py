"""Sparse gradients: only the rows they hold are touched. Golden numbers are PyTorch 2.13's."""

from __future__ import annotations

import pytest

import flambeau as torch


def train(optimizer, table, steps=3):
    """Looks rows up, some twice; row 1 never, row 3 only at first."""
    rows = [[0, 2, 2, 3], [0, 2], [2, 2, 0]]
    for i in range(steps):
        optimizer.zero_grad()
        out = torch.nn.functional.embedding(torch.tensor(rows[i]), table, sparse=True)
        (out**2).sum().backward()
        assert table.grad.is_sparse
        optimizer.step()
    return [[round(x, 5) for x in row] for row in table.tolist()]


def table():
    return torch.tensor([[0.5, -1.0], [2.0, 3.0], [-0.25, 1.5], [1.0, -2.0]], dtype=torch.float64, requires_grad=True)


GOLDEN = [
    ("SparseAdam", {"lr": 0.1}, [[0.20487, -0.70159], [2.0, 3.0], [0.01511, 1.21228], [0.9, -1.9]]),
    ("SparseAdam", {"lr": 0.1, "betas": (0.5, 0.7), "eps": 0.1, "maximize": True}, [[0.76689, -1.28207], [2.0, 3.0],
     [-0.50735, 1.782], [1.09163, -2.09563]]),
    ("SGD", {"lr": 0.05}, [[0.3645, -0.729], [2.0, 3.0], [-0.144, 0.864], [0.9, -1.8]]),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}, [[0.16366, -0.32732], [2.0, 3.0], [-0.00373, 0.02236],
     [0.6561, -1.3122]]),
    ("SGD", {"lr": 0.05, "maximize": True}, [[0.6655, -1.331], [2.0, 3.0], [-0.396, 2.376], [1.1, -2.2]]),
    ("Adagrad", {"lr": 0.2, "lr_decay": 0.1, "eps": 0.1}, [[0.17265, -0.62243], [2.0, 3.0], [-0.01869, 1.13285],
     [0.80952, -1.80488]]),
]  # fmt: skip


@pytest.mark.parametrize("name, kwargs, expected", GOLDEN)
def test_rows(name, kwargs, expected):
    w = table()
    assert train(getattr(torch.optim, name)([w], **kwargs), w) == expected


def test_the_step_count_of_sparse_adam_is_a_plain_number():
    w = table()
    optimizer = torch.optim.SparseAdam([w])
    train(optimizer, w, steps=2)
    assert optimizer.state_dict()["state"][0]["step"] == 2 and type(optimizer.state[w]["step"]) is int
    other = torch.optim.SparseAdam([v := w.detach().clone().requires_grad_()])
    other.load_state_dict(optimizer.state_dict())
    assert train(other, v) == train(optimizer, w)


@pytest.mark.parametrize(
    "name", ["Adam", "Adadelta", "Adafactor", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop"]
)
def test_refused(name):
    w = table()
    with pytest.raises(RuntimeError, match=f"{name} does not support sparse gradients\n  hint"):
        train(getattr(torch.optim, name)([w]), w)


@pytest.mark.parametrize("name", ["SGD", "Adagrad"])
def test_weight_decay_is_refused(name):
    w = table()
    with pytest.raises(RuntimeError, match="weight_decay option is not compatible with sparse gradients"):
        train(getattr(torch.optim, name)([w], weight_decay=0.1), w)


def test_sparse_adam_refuses_dense_gradients_and_complex_parameters():
    w = table()
    w.grad = torch.ones_like(w)
    with pytest.raises(RuntimeError, match="does not support dense gradients"):
        torch.optim.SparseAdam([w]).step()
    with pytest.raises(ValueError, match=r"Complex params at indices \[\[0, 1\]\]"):
        torch.optim.SparseAdam([w, torch.zeros(2, dtype=torch.complex64, requires_grad=True)])
