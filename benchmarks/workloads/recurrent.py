"""A recurrent network: nn.LSTM, forward and backward through the sequence, and an update."""

from __future__ import annotations

from itertools import cycle
from typing import Any

from workloads import jax_parts
from workloads.workload import Step, Workload, initialised, normal, training

BATCH, LENGTH, INPUTS, HIDDEN = 32, 32, 64, 128


def lstm(torch: Any, compiled: Any) -> Step:
    model = initialised(torch, torch.nn.LSTM(INPUTS, HIDDEN, batch_first=True))
    batch = torch.tensor(normal(BATCH, LENGTH, INPUTS)), torch.tensor(normal(BATCH, LENGTH, HIDDEN, seed=1))
    loss_of = lambda x, y: torch.nn.functional.mse_loss(model(x)[0], y)  # noqa: E731
    return training(compiled, torch.optim.SGD(model.parameters(), lr=0.1), loss_of, cycle([batch]))


def hidden_states(jax: Any, params: dict, x: Any) -> Any:
    """What nn.LSTM returns first; time comes first here, as `scan` wants it."""
    np = jax.numpy
    gates_of_inputs = x @ params["weight_ih_l0"].T + params["bias_ih_l0"] + params["bias_hh_l0"]

    def cell(state: tuple, gates: Any) -> tuple:
        h, c = state
        i, f, g, o = np.split(gates + h @ params["weight_hh_l0"].T, 4, 1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * np.tanh(g)
        h = jax.nn.sigmoid(o) * np.tanh(c)
        return (h, c), h

    zeros = np.zeros((x.shape[1], HIDDEN), x.dtype)
    return jax.lax.scan(cell, (zeros, zeros), gates_of_inputs)[1]


def lstm_jax(jax: Any) -> Step:
    shapes = {"weight_ih_l0": (4 * HIDDEN, INPUTS), "weight_hh_l0": (4 * HIDDEN, HIDDEN)}
    params = jax_parts.parameters(jax, shapes | {"bias_ih_l0": (4 * HIDDEN,), "bias_hh_l0": (4 * HIDDEN,)})
    x, y = normal(BATCH, LENGTH, INPUTS), normal(BATCH, LENGTH, HIDDEN, seed=1)
    batch = jax.numpy.asarray(x.swapaxes(0, 1)), jax.numpy.asarray(y.swapaxes(0, 1))
    loss_of = lambda params, x, y: ((hidden_states(jax, params, x) - y) ** 2).mean()  # noqa: E731
    return jax_parts.training(jax, jax_parts.sgd(jax, 0.1), params, loss_of, cycle([batch]))


WORKLOADS = [Workload("LSTM, a step", lstm, lstm_jax, quick=True)]
