"""Recurrent networks: LSTM (Hochreiter & Schmidhuber 1997), GRU (Cho et al. 2014) and Elman networks, cell by cell and
over sequences.

A step of each kind is written once; layers, directions and packed sequences are walked by `run`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau._ops.dropout import dropout
from flambeau._ops.join import cat, stack
from flambeau._ops.linear import linear
from flambeau._ops.registry import composite

# A step takes the input's part of the gates, the state (a tuple) and the weights, and returns the next state.
Step = Callable[[Any, tuple, tuple], tuple]


def lstm_step(gates: Any, state: tuple, weights: tuple) -> tuple:
    """The next (hidden, cell) state; `gates` is the input's part, in the order input, forget, cell, output."""
    hidden, cell = state
    w_hh, b_hh, w_hr = weights
    i, f, g, o = (gates + linear(hidden, w_hh, b_hh)).chunk(4, -1)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    hidden = o.sigmoid() * cell.tanh()
    return (hidden if w_hr is None else linear(hidden, w_hr)), cell


def gru_step(gates: Any, state: tuple, weights: tuple) -> tuple:
    """The next hidden state; `gates` is the input's part, in the order reset, update, new."""
    (hidden,) = state
    w_hh, b_hh, _ = weights
    reset, update, new = gates.chunk(3, -1)
    h_reset, h_update, h_new = linear(hidden, w_hh, b_hh).chunk(3, -1)
    new = (new + (reset + h_reset).sigmoid() * h_new).tanh()
    return ((hidden - new) * (update + h_update).sigmoid() + new,)


def tanh_step(gates: Any, state: tuple, weights: tuple) -> tuple:
    """The next hidden state of an Elman network with tanh."""
    return ((gates + linear(state[0], weights[0], weights[1])).tanh(),)


def relu_step(gates: Any, state: tuple, weights: tuple) -> tuple:
    """The next hidden state of an Elman network with ReLU."""
    return ((gates + linear(state[0], weights[0], weights[1])).relu(),)


# ---------------------------------------------------------------------------------------------- cells


def _cell(step: Step, input: Any, state: tuple, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> tuple:
    return step(linear(input, w_ih, b_ih), state, (w_hh, b_hh, None))


@composite(method=False)
def lstm_cell(input: Any, hx: tuple, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """One LSTM step: input [N, in], hx = (hidden [N, H], cell [N, H]), weights [4H, in] and [4H, H]; returns the next
    (hidden, cell).

    Example::

        >>> import flambeau as torch
        >>> state = torch.zeros(1, 3), torch.zeros(1, 3)
        >>> h, c = torch.lstm_cell(torch.ones(1, 2), state, torch.ones(12, 2), torch.ones(12, 3))
        >>> h.shape
        torch.Size([1, 3])
    """
    return _cell(lstm_step, input, tuple(hx), w_ih, w_hh, b_ih, b_hh)


@composite(method=False)
def gru_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """One GRU step: input [N, in], hx [N, H], weights [3H, in] and [3H, H]; returns the next hidden state.

    Example::

        >>> import flambeau as torch
        >>> torch.gru_cell(torch.ones(1, 2), torch.zeros(1, 3), torch.ones(9, 2), torch.ones(9, 3)).shape
        torch.Size([1, 3])
    """
    return _cell(gru_step, input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


@composite(method=False)
def rnn_tanh_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """One step of an Elman network with tanh; returns the next hidden state.

    Example::

        >>> import flambeau as torch
        >>> torch.rnn_tanh_cell(torch.ones(1, 2), torch.zeros(1, 3), torch.ones(3, 2), torch.ones(3, 3)).shape
        torch.Size([1, 3])
    """
    return _cell(tanh_step, input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


@composite(method=False)
def rnn_relu_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """One step of an Elman network with ReLU; returns the next hidden state.

    Example::

        >>> import flambeau as torch
        >>> torch.rnn_relu_cell(torch.ones(1, 2), torch.zeros(1, 3), torch.ones(3, 2), torch.ones(3, 3)).shape
        torch.Size([1, 3])
    """
    return _cell(relu_step, input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


# ---------------------------------------------------------------------------------------------- sequences


def run_direction(step: Step, x: Any, state: tuple, weights: tuple, backwards: bool) -> tuple[Any, tuple]:
    """One layer in one direction over [T, N, in]: (outputs [T, N, H], last state)."""
    w_ih, w_hh, b_ih, b_hh, w_hr = weights
    gates = linear(x, w_ih, b_ih)  # for all times at once
    times = range(x.shape[0])
    outputs: list[Any] = [None] * x.shape[0]
    for t in reversed(times) if backwards else times:
        state = step(gates[t], state, (w_hh, b_hh, w_hr))
        outputs[t] = state[0]
    return stack(outputs, 0), state


def run_packed(
    step: Step, x: Any, sizes: list[int], state: tuple, weights: tuple, backwards: bool
) -> tuple[Any, tuple]:
    """The same over a packed sequence: rows [sum(sizes), in], where time t has sizes[t] rows."""
    w_ih, w_hh, b_ih, b_hh, w_hr = weights
    gates = linear(x, w_ih, b_ih).split(sizes, 0)
    full = state
    outputs: list[Any] = [None] * len(sizes)
    order = range(len(sizes) - 1, -1, -1) if backwards else range(len(sizes))
    for t in order:
        rows = sizes[t]
        current = tuple([s[:rows] for s in full])
        current = step(gates[t], current, (w_hh, b_hh, w_hr))
        outputs[t] = current[0]
        full = tuple([c if rows == s.shape[0] else cat([c, s[rows:]], 0) for c, s in zip(current, full, strict=True)])
    return cat(outputs, 0), full


def split_weights(weights: list[Any], has_biases: bool, projected: bool) -> list[tuple]:
    """The flat list of parameters as (w_ih, w_hh, b_ih, b_hh, w_hr), one tuple a layer and direction."""
    width = 2 + 2 * has_biases + projected
    found = []
    for i in range(0, len(weights), width):
        w_ih, w_hh, *rest = weights[i : i + width]
        b_ih, b_hh = rest[:2] if has_biases else (None, None)
        found.append((w_ih, w_hh, b_ih, b_hh, rest[-1] if projected else None))
    return found


def run(
    step: Step,
    x: Any,
    states: tuple,
    weights: list[Any],
    has_biases: bool,
    layers: int,
    dropout_p: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
    sizes: list[int] | None,
) -> tuple:
    """All layers and directions; returns (outputs, last states...)."""
    directions = 2 if bidirectional else 1
    projected = len(weights) == layers * directions * (3 + 2 * has_biases)
    split = split_weights(weights, has_biases, projected)
    if batch_first and sizes is None:
        x = x.transpose(0, 1)
    last: list[tuple] = []
    for layer in range(layers):
        outputs = []
        for direction in range(directions):
            i = layer * directions + direction
            state = tuple([s[i] for s in states])
            if sizes is None:
                output, final = run_direction(step, x, state, split[i], direction == 1)
            else:
                output, final = run_packed(step, x, sizes, state, split[i], direction == 1)
            outputs.append(output)
            last.append(final)
        x = outputs[0] if directions == 1 else cat(outputs, -1)
        if dropout_p and train and layer < layers - 1:
            x = dropout(x, dropout_p, True)
    if batch_first and sizes is None:
        x = x.transpose(0, 1)
    return (x, *[stack(list(parts), 0) for parts in zip(*last, strict=True)])


def _call(step: Step, args: tuple, single: bool) -> tuple:
    """The two signatures of PyTorch: (input, hx, weights, has_biases, layers, dropout, train, bidirectional,
    batch_first) and, packed, (data, batch_sizes, hx, weights, has_biases, layers, dropout, train, bidirectional)."""
    packed = isinstance(args[3], (list, tuple))
    if packed:
        x, sizes, hx, weights, has_biases, layers, dropout_p, train, bidirectional = args
        batch_first, sizes = False, sizes.tolist()
    else:
        x, hx, weights, has_biases, layers, dropout_p, train, bidirectional, batch_first = args
        sizes = None
    states = (hx,) if single else tuple(hx)
    return run(step, x, states, list(weights), has_biases, layers, dropout_p, train, bidirectional, batch_first, sizes)


@composite(method=False)
def lstm(*args: Any) -> Any:
    """LSTM layers over a sequence; what `nn.LSTM` calls. Returns (outputs, last hidden state, last cell state).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.LSTM(2, 3)(torch.ones(5, 1, 2))[0].shape
        torch.Size([5, 1, 3])
    """
    return _call(lstm_step, args, False)


@composite(method=False)
def gru(*args: Any) -> Any:
    """GRU layers over a sequence; what `nn.GRU` calls. Returns (outputs, last hidden state).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.GRU(2, 3)(torch.ones(5, 1, 2))[0].shape
        torch.Size([5, 1, 3])
    """
    return _call(gru_step, args, True)


@composite(method=False)
def rnn_tanh(*args: Any) -> Any:
    """Elman layers with tanh over a sequence; what `nn.RNN` calls. Returns (outputs, last hidden state).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.RNN(2, 3)(torch.ones(5, 1, 2))[0].shape
        torch.Size([5, 1, 3])
    """
    return _call(tanh_step, args, True)


@composite(method=False)
def rnn_relu(*args: Any) -> Any:
    """Elman layers with ReLU over a sequence; what `nn.RNN(nonlinearity="relu")` calls. Returns (outputs, last hidden
    state).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.RNN(2, 3, nonlinearity="relu")(torch.ones(5, 1, 2))[0].shape
        torch.Size([5, 1, 3])
    """
    return _call(relu_step, args, True)
