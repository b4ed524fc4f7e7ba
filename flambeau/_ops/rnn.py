"""Recurrent networks: LSTM (Hochreiter & Schmidhuber 1997), GRU (Cho et al. 2014) and Elman networks, cell by cell and
over sequences.

A step of each kind is written once; layers, directions and packed sequences are walked by `run`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module
from flambeau._ir import recording
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops import _expand
from flambeau._ops.dropout import dropout
from flambeau._ops.join import cat, stack
from flambeau._ops.linear import linear
from flambeau._ops.registry import composite, library

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

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


# ---------------------------------------------------------------------------------------------- whole LSTM layers


def _is_plain(x: Any, state: tuple, *weights: Any) -> bool:
    """Can `lstm_layer` do it? All of one dtype out of float32 and float64, with elements."""
    first = x.dtype
    if first.name not in ("float32", "float64") or x.dim() != 3 or 0 in x.shape:
        return False
    return all(t.dtype is first for t in (*state, *weights))


def _run_lstm(x: Any, state: tuple, weights: tuple, backwards: bool) -> tuple[Any, tuple]:
    """A layer in one direction, as one operation: (outputs [T, N, H], last state)."""
    w_ih, w_hh, b_ih, b_hh, _ = weights
    gates = linear(x.flip(0) if backwards else x, w_ih, None if b_ih is None else b_ih + b_hh)
    outputs, cell, _, _ = lstm_layer(gates, *state, w_hh)
    last = outputs[-1]
    return (outputs.flip(0) if backwards else outputs), (last, cell)


def _infer_lstm(gates: Meta, hidden: Meta, cell: Meta, w_hh: Meta) -> tuple[Meta, ...]:
    steps, batch, width = gates.shape
    all_steps = contiguous(gates.dtype, (steps, batch, width // 4))
    return all_steps, contiguous(gates.dtype, cell.shape), all_steps, contiguous(gates.dtype, gates.shape)


def _logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


@library(
    category="recurrent",
    method=False,
    function=False,
    node_name="LstmBackward0",
    infer=_infer_lstm,
    nondifferentiable=(2, 3),
    expand=_expand.lstm_layer,
    gradient={
        ("gates", "hidden", "cell", "w_hh"): lambda gs, gates, hidden, cell, w_hh, out0, out2, out3: _lstm_grad(
            gs[0], gs[1], gates, hidden, cell, w_hh, out0, out2, out3
        )
    },
)
def lstm_layer(gates: Any, hidden: Any, cell: Any, w_hh: Any) -> Any:
    """(h [T, N, H], the last cell state [N, H], all cell states [T, N, H], the activated gates [T, N, 4H]) from the
    inputs' part of the gates [T, N, 4H], the first states [N, H] and the recurrent weight [4H, H]."""
    outputs, cells, activated = [], [], []
    for x in gates:
        i, f, g, o = np.split(x + hidden @ w_hh.T, 4, -1)
        i, f, g, o = _logistic(i), _logistic(f), np.tanh(g), _logistic(o)
        cell = f * cell + i * g
        hidden = o * np.tanh(cell)
        outputs.append(hidden)
        cells.append(cell)
        activated.append(np.concatenate([i, f, g, o], -1))
    return np.stack(outputs), cell, np.stack(cells), np.stack(activated)


def _lstm_grad(
    g: Any, g_cell: Any, gates: Any, hidden: Any, cell: Any, w_hh: Any, outputs: Any, cells: Any, activated: Any
) -> tuple:
    """The gradients of the gates, the first states and the recurrent weight."""
    g = outputs.new_zeros(outputs.shape) if g is None else g
    g_cell = cell.new_zeros(cell.shape) if g_cell is None else g_cell
    if recording.grad_enabled():  # to be differentiated again: from the inputs, in public operations
        outputs, cells, activated = _lstm_again(gates, hidden, cell, w_hh)
        d_gates, d_hidden, d_cell = _lstm_backwards(g, g_cell, activated, cells, cell, w_hh)
    else:
        nothing = hidden.new_zeros(hidden.shape)
        d_gates, d_hidden, d_cell = lstm_layer_grad(g, nothing, g_cell, activated, cells, cell, w_hh)
    before = cat([hidden.unsqueeze(0), outputs[:-1]], 0)
    width = w_hh.shape[1]
    d_weight = d_gates.reshape(-1, 4 * width).transpose(0, 1) @ before.reshape(-1, width)
    return d_gates, d_hidden, d_cell, d_weight


def _lstm_again(gates: Any, hidden: Any, cell: Any, w_hh: Any) -> tuple[Any, Any, Any]:
    """What `lstm_layer` computes, step by step."""
    outputs, cells, activated = [], [], []
    for t in range(gates.shape[0]):
        i, f, g, o = (gates[t] + linear(hidden, w_hh)).chunk(4, -1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        cell = f * cell + i * g
        hidden = o * cell.tanh()
        outputs.append(hidden)
        cells.append(cell)
        activated.append(cat([i, f, g, o], -1))
    return stack(outputs, 0), stack(cells, 0), stack(activated, 0)


def _lstm_backwards(g: Any, g_cell: Any, activated: Any, cells: Any, cell: Any, w_hh: Any) -> tuple[Any, Any, Any]:
    """The same as `lstm_layer_grad`, in public operations."""
    steps = g.shape[0]
    d_gates: list[Any] = [None] * steps
    d_hidden, d_cell = g[0] * 0, g_cell
    for t in range(steps - 1, -1, -1):
        i, f, c, o = activated[t].chunk(4, -1)
        before = cells[t - 1] if t else cell
        d_hidden = d_hidden + g[t]
        bent = cells[t].tanh()
        d_cell = d_cell + d_hidden * o * (1 - bent * bent)
        parts = [d_cell * c * i * (1 - i), d_cell * before * f * (1 - f), d_cell * i * (1 - c * c),
                 d_hidden * bent * o * (1 - o)]  # fmt: skip
        d_gates[t] = cat(parts, -1)
        d_hidden, d_cell = d_gates[t] @ w_hh, d_cell * f
    return stack(d_gates, 0), d_hidden, d_cell


@library(
    category="recurrent",
    method=False,
    function=False,
    infer=lambda g, g_last, g_cell, activated, cells, cell, w_hh: (
        contiguous(g.dtype, activated.shape), contiguous(g.dtype, cell.shape), contiguous(g.dtype, cell.shape)
    ),
    expand=_expand.lstm_layer_grad,
)  # fmt: skip
def lstm_layer_grad(g: Any, g_last: Any, g_cell: Any, activated: Any, cells: Any, cell: Any, w_hh: Any) -> Any:
    """The gradients of the inputs' gates, the first hidden and the first cell state, from those of all outputs, of the
    last output and of the last cell state."""
    d_gates, d_hidden, d_cell = np.empty_like(activated), g_last, g_cell
    for t in range(g.shape[0] - 1, -1, -1):
        i, f, c, o = np.split(activated[t], 4, -1)
        before = cells[t - 1] if t else cell
        d_hidden = d_hidden + g[t]
        bent = np.tanh(cells[t])
        d_cell = d_cell + d_hidden * o * (1 - bent * bent)
        parts = [d_cell * c * i * (1 - i), d_cell * before * f * (1 - f), d_cell * i * (1 - c * c),
                 d_hidden * bent * o * (1 - o)]  # fmt: skip
        d_gates[t] = np.concatenate(parts, -1)
        d_hidden, d_cell = d_gates[t] @ w_hh, d_cell * f
    return d_gates, d_hidden, d_cell


# ---------------------------------------------------------------------------------------------- sequences


def run_direction(step: Step, x: Any, state: tuple, weights: tuple, backwards: bool) -> tuple[Any, tuple]:
    """One layer in one direction over [T, N, in]: (outputs [T, N, H], last state)."""
    w_ih, w_hh, b_ih, b_hh, w_hr = weights
    if step is lstm_step and w_hr is None and _is_plain(x, state, w_ih, w_hh):
        return _run_lstm(x, state, weights, backwards)
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
