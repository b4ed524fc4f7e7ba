"""Recurrent networks: RNN, LSTM and GRU over whole sequences, and their single steps (cells)."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Callable
from typing import Any

from flambeau import _api as torch
from flambeau._core.errors import explain

from .. import init
from ..parameter import Parameter
from ..utils.rnn import PackedSequence
from .module import Module

__all__ = ["GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNBase", "RNNCell", "RNNCellBase"]

Tensor = torch.Tensor
State = Any  # a Tensor, or for an LSTM a tuple of two

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


class RNNBase(Module):
    """What RNN, LSTM and GRU share: the parameters, the checks, and the call of the recurrence.

    Parameters, for each layer k and direction (suffix `_reverse` for the second): weight_ih_lk (gates * hidden_size,
    input size), weight_hh_lk (gates * hidden_size, hidden_size or proj_size), bias_ih_lk, bias_hh_lk (gates *
    hidden_size) and, with proj_size, weight_hr_lk (proj_size, hidden_size). All start even in +-1 / sqrt(hidden_size).
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        _check_settings(mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size)
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._all_weights: list[list[str]] = []
        for layer in range(num_layers):
            for suffix in ("", "_reverse") if bidirectional else ("",):
                shapes = self._shapes(layer, suffix)
                for name, shape in shapes.items():
                    setattr(self, name, Parameter(torch.empty(shape, device=device, dtype=dtype)))
                self._all_weights.append(list(shapes))
        self._flat_weights_names = [name for names in self._all_weights for name in names]
        self.reset_parameters()

    def _shapes(self, layer: int, suffix: str) -> dict[str, tuple[int, ...]]:
        directions = 2 if self.bidirectional else 1
        output_size = self.proj_size or self.hidden_size
        input_size = self.input_size if layer == 0 else output_size * directions
        gates = _GATES[self.mode] * self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (gates, input_size), "weight_hh": (gates, output_size)}
        if self.bias:
            shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        return {f"{name}_l{layer}{suffix}": shape for name, shape in shapes.items()}

    def reset_parameters(self) -> None:
        """Draw all parameters anew, in their order."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Accepted for programs written for cuDNN; parameters need not lie side by side here."""

    @property
    def _flat_weights(self) -> list[Tensor]:
        return [getattr(self, name) for name in self._flat_weights_names]

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters, one list for each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def _state_sizes(self) -> tuple[int, ...]:
        """The size of each tensor of the state."""
        return (self.hidden_size,)

    def _recurrence(self) -> Callable[..., Any]:
        raise NotImplementedError

    def forward(self, input: Any, hx: State = None) -> tuple[Any, State]:
        """Run over the sequence(s) from state `hx` (default: zeros); returns the outputs and the last state."""
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if input.dim() not in (2, 3):
            raise ValueError(f"{self._get_name()}: Expected input to be 2D or 3D, got {input.dim()}D instead")
        batched = input.dim() == 3
        batch_dim = 0 if self.batch_first else 1
        if hx is not None:
            hx = self._with_batch(hx, batched)
        if not batched:
            input = input.unsqueeze(batch_dim)
        if hx is None:
            hx = self._zeros(input, input.size(batch_dim))
        self.check_forward_args(input, hx, None)
        output, state = self._split(
            self._recurrence()(
                input,
                hx,
                self._flat_weights,
                self.bias,
                self.num_layers,
                self.dropout,
                self.training,
                self.bidirectional,
                self.batch_first,
            )
        )
        if not batched:
            output = output.squeeze(batch_dim)
            state = _each(lambda tensor: tensor.squeeze(1), state)
        return output, state

    def _forward_packed(self, packed: PackedSequence, hx: State) -> tuple[PackedSequence, State]:
        data, batch_sizes, sorted_indices, unsorted_indices = packed
        hx = self._zeros(data, int(batch_sizes[0])) if hx is None else self.permute_hidden(hx, sorted_indices)
        self.check_forward_args(data, hx, batch_sizes)
        output, state = self._split(
            self._recurrence()(
                data,
                batch_sizes,
                hx,
                self._flat_weights,
                self.bias,
                self.num_layers,
                self.dropout,
                self.training,
                self.bidirectional,
            )
        )
        repacked = PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices)
        return repacked, self.permute_hidden(state, unsorted_indices)

    def _split(self, result: Any) -> tuple[Tensor, State]:
        return result[0], result[1]

    def _zeros(self, input: Tensor, batch: int) -> State:
        count = self.num_layers * (2 if self.bidirectional else 1)
        states = tuple(
            torch.zeros(count, batch, size, dtype=input.dtype, device=input.device) for size in self._state_sizes()
        )
        return states if len(states) > 1 else states[0]

    def _with_batch(self, hx: State, batched: bool) -> State:
        self._check_state_kind(hx)
        expected = 3 if batched else 2
        given = [tensor.dim() for tensor in _tensors(hx)]
        if any(dims != expected for dims in given):
            kind = "batched 3-D" if batched else "unbatched 2-D"
            if isinstance(hx, tuple):
                got = ", ".join(f"{dims}-D" for dims in given)
                raise RuntimeError(f"For {kind} input, hx and cx should also be {expected}-D but got ({got}) tensors")
            raise RuntimeError(f"For {kind} input, hx should also be {expected}-D but got {given[0]}-D tensor")
        return hx if batched else _each(lambda tensor: tensor.unsqueeze(1), hx)

    def _check_state_kind(self, hx: State) -> None:
        """TypeError unless the state is one tensor, or as many as the recurrence has."""
        count = len(self._state_sizes())
        given = len(hx) if isinstance(hx, (tuple, list)) else 1
        if given != count or (count == 1) is isinstance(hx, (tuple, list)):
            wanted = "one tensor h_0" if count == 1 else "a tuple (h_0, c_0)"
            got = f"{type(hx).__name__} of {given}" if isinstance(hx, (tuple, list)) else type(hx).__name__
            raise TypeError(f"{self._get_name()} expects its state hx as {wanted}, got a {got}")

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """Raise ValueError for another dtype than the weights', RuntimeError for another rank or size."""
        dtype = getattr(self, self._flat_weights_names[0]).dtype
        if input.dtype != dtype:
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({dtype}). Convert input: "
                f"input.to({dtype}), or convert model: model.to({input.dtype})"
            )
        expected = 3 if batch_sizes is None else 2
        if input.dim() != expected:
            raise RuntimeError(f"input must have {expected} dimensions, got {input.dim()}")
        if input.size(-1) != self.input_size:
            raise RuntimeError(
                explain(
                    f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.size(-1)}: "
                    f"the input has shape {list(input.shape)}",
                    hint="the last dimension holds the features of each step",
                )
            )

    def check_forward_args(self, input: Tensor, hidden: State, batch_sizes: Tensor | None) -> None:
        """`check_input`, and RuntimeError for a state of another shape than (layers * directions, batch, size)."""
        self.check_input(input, batch_sizes)
        batch = input.size(0 if self.batch_first else 1) if batch_sizes is None else int(batch_sizes[0])
        count = self.num_layers * (2 if self.bidirectional else 1)
        names = ("hidden[0]", "hidden[1]") if isinstance(hidden, tuple) else ("hidden",)
        for name, tensor, size in zip(names, _tensors(hidden), self._state_sizes(), strict=True):
            if tuple(tensor.shape) != (count, batch, size):
                order = "(batch, steps, features)" if self.batch_first else "(steps, batch, features)"
                raise RuntimeError(
                    explain(
                        f"Expected {name} size {(count, batch, size)}, got {list(tensor.size())}",
                        hint=f"a state is (layers * directions, batch, size), and with batch_first={self.batch_first} "
                        f"the input, here {list(input.shape)}, is {order}",
                    )
                )

    def permute_hidden(self, hx: State, permutation: Tensor | None) -> State:
        """The state with its batch entries reordered."""
        return hx if permutation is None else _each(lambda tensor: tensor.index_select(1, permutation), hx)

    def extra_repr(self) -> str:
        shown = f"{self.input_size}, {self.hidden_size}"
        usual = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0,
            "bidirectional": False,
        }
        for name, value in usual.items():
            if getattr(self, name) != value:
                shown += f", {name}={getattr(self, name)}"
        return shown

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("proj_size", 0)


def _check_settings(
    mode: str,
    input_size: int,
    hidden_size: int,
    num_layers: int,
    bias: bool,
    batch_first: bool,
    dropout: float,
    proj_size: int,
) -> None:
    if not isinstance(dropout, numbers.Number) or isinstance(dropout, bool) or not 0 <= dropout <= 1:
        raise ValueError(
            "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
        )
    if dropout > 0 and num_layers == 1:
        warnings.warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects num_layers "
            f"greater than 1, but got dropout={dropout} and num_layers={num_layers}",
            stacklevel=4,
        )
    for name, value, kind in (
        ("bias", bias, bool),
        ("batch_first", batch_first, bool),
        ("input_size", input_size, int),
        ("hidden_size", hidden_size, int),
    ):
        if not isinstance(value, kind):
            raise TypeError(f"{name} should be of type {kind.__name__}, got: {type(value).__name__}")
    for name, value in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
        if value <= 0:
            raise ValueError(f"{name} must be greater than zero")
    if proj_size < 0:
        raise ValueError("proj_size should be a positive integer or zero to disable projections")
    if proj_size >= hidden_size:
        raise ValueError("proj_size has to be smaller than hidden_size")
    if mode not in _GATES:
        raise ValueError("Unrecognized RNN mode: " + mode)


def _tensors(state: State) -> tuple[Tensor, ...]:
    return tuple(state) if isinstance(state, (tuple, list)) else (state,)


def _each(function: Callable[[Tensor], Tensor], state: State) -> State:
    """`function` of each tensor of a state."""
    return tuple(function(tensor) for tensor in state) if isinstance(state, (tuple, list)) else function(state)


def _no_projection(kwargs: dict[str, Any]) -> None:
    if "proj_size" in kwargs:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
    if kwargs:
        raise TypeError(f"unexpected keyword argument '{next(iter(kwargs))}'")


class RNN(RNNBase):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), in layers (Elman, 1990).

    Args:
        input_size, hidden_size: sizes of x and h.
        num_layers: each further layer reads the outputs of the one below. Default: 1.
        nonlinearity: "tanh" or "relu" (else ValueError). Default: "tanh".
        bias: whether there are biases. Default: True.
        batch_first: batch before sequence in input and output, not in the state. Default: False.
        dropout: applied in training to the outputs of all layers but the last. Default: 0.
        bidirectional: a second network reads backwards; outputs are joined. Default: False.

    Shape:
        Input (L, N, input_size), or (L, input_size) for one sequence, or a PackedSequence; hx (layers * directions, N,
        hidden_size). Output (L, N, directions * hidden_size) and the last state.

    Example:
        >>> import flambeau as torch
        >>> output, h = torch.nn.RNN(10, 20, 2)(torch.ones(5, 3, 10))
        >>> output.shape, h.shape
        (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        _no_projection(kwargs)
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(
            f"RNN_{nonlinearity.upper()}",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )
        self.nonlinearity = nonlinearity

    def _recurrence(self) -> Callable[..., Any]:
        return torch.rnn_tanh if self.mode == "RNN_TANH" else torch.rnn_relu


class GRU(RNNBase):
    """Gated recurrent units (Cho et al., 2014):

        r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)        z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
        n = tanh(W_in x + b_in + r (W_hn h + b_hn))       h' = (1 - z) n + z h

    Arguments and shapes as of RNN, without nonlinearity; the weights hold the rows of r, z, n in this order.

    Example:
        >>> import flambeau as torch
        >>> output, h = torch.nn.GRU(10, 20, bidirectional=True)(torch.ones(5, 3, 10))
        >>> output.shape, h.shape
        (torch.Size([5, 3, 40]), torch.Size([2, 3, 20]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        _no_projection(kwargs)
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )

    def _recurrence(self) -> Callable[..., Any]:
        return torch.gru


class LSTM(RNNBase):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997; Gers et al., 2000):

        i, f, o = sigmoid(W x + b + U h + c) each         g = tanh(W_ig x + b_ig + W_hg h + b_hg)
        c' = f c + i g                                    h' = o tanh(c')

    Arguments and shapes as of RNN, without nonlinearity; the weights hold the rows of i, f, g, o in this order. The
    state is a tuple (h, c). With `proj_size` h is W_hr h', of that size (Sak et al., 2014).

    Example:
        >>> import flambeau as torch
        >>> output, (h, c) = torch.nn.LSTM(10, 20, proj_size=5)(torch.ones(7, 3, 10))
        >>> output.shape, h.shape, c.shape
        (torch.Size([7, 3, 5]), torch.Size([1, 3, 5]), torch.Size([1, 3, 20]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )

    def _state_sizes(self) -> tuple[int, ...]:
        return (self.proj_size or self.hidden_size, self.hidden_size)

    def _split(self, result: Any) -> tuple[Tensor, State]:
        return result[0], tuple(result[1:])

    def _recurrence(self) -> Callable[..., Any]:
        return torch.lstm


class RNNCellBase(Module):
    """What the cells share: one step of a recurrence, with weight_ih, weight_hh, bias_ih and bias_hh."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        gates = num_chunks * hidden_size
        shapes = {"weight_ih": (gates, input_size), "weight_hh": (gates, hidden_size)}
        for name, shape in shapes.items():
            setattr(self, name, Parameter(torch.empty(shape, device=device, dtype=dtype)))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(torch.empty(gates, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew, even in +-1 / sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _weights(self) -> tuple[Tensor | None, ...]:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def _batched(self, input: Tensor, hx: State) -> tuple[Tensor, State, bool]:
        """Input and state with a batch dimension, and whether they had one; a missing state becomes zeros."""
        kind = self._get_name()
        if input.dim() not in (1, 2):
            raise ValueError(f"{kind}: Expected input to be 1D or 2D, got {input.dim()}D instead")
        for place, tensor in enumerate(() if hx is None else _tensors(hx)):
            if tensor.dim() not in (1, 2):
                name = f"hx[{place}]" if isinstance(hx, (tuple, list)) else "hidden"
                raise ValueError(f"{kind}: Expected {name} to be 1D or 2D, got {tensor.dim()}D instead")
        if input.size(-1) != self.input_size:
            raise RuntimeError(f"input has inconsistent input_size: got {input.size(-1)} expected {self.input_size}")
        for place, tensor in enumerate(() if hx is None else _tensors(hx)):
            if tensor.size(-1) != self.hidden_size:
                raise RuntimeError(
                    f"hidden{place} has inconsistent hidden_size: got {tensor.size(-1)}, expected {self.hidden_size}"
                )
            if input.dim() == tensor.dim() == 2 and input.size(0) != tensor.size(0):
                raise RuntimeError(
                    f"Input batch size {input.size(0)} doesn't match hidden{place} batch size {tensor.size(0)}"
                )
        batched = input.dim() == 2
        if not batched:
            input = input.unsqueeze(0)
            hx = None if hx is None else _each(lambda tensor: tensor.unsqueeze(0), hx)
        if hx is None:
            hx = torch.zeros(input.size(0), self.hidden_size, dtype=input.dtype, device=input.device)
        return input, hx, batched

    def extra_repr(self) -> str:
        shown = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            shown += f", bias={self.bias}"
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            shown += f", nonlinearity={self.nonlinearity}"
        return shown


class RNNCell(RNNCellBase):
    """One step of an RNN: h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu.

    Shape:
        x (N, input_size), h (N, hidden_size), or both without N; h' like h.

    Example:
        >>> import flambeau as torch
        >>> torch.nn.RNNCell(10, 20)(torch.ones(3, 10)).shape
        torch.Size([3, 20])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        step = torch.rnn_tanh_cell if self.nonlinearity == "tanh" else torch.rnn_relu_cell
        input, hx, batched = self._batched(input, hx)
        state = step(input, hx, *self._weights())
        return state if batched else state.squeeze(0)


class LSTMCell(RNNCellBase):
    """One step of an LSTM; the state is a tuple (h, c).

    Example:
        >>> import flambeau as torch
        >>> h, c = torch.nn.LSTMCell(10, 20)(torch.ones(3, 10))
        >>> h.shape, c.shape
        (torch.Size([3, 20]), torch.Size([3, 20]))
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        input, state, batched = self._batched(input, hx)
        hidden, cell = state if isinstance(state, (tuple, list)) else (state, state)
        hidden, cell = torch.lstm_cell(input, (hidden, cell), *self._weights())
        return (hidden, cell) if batched else (hidden.squeeze(0), cell.squeeze(0))


class GRUCell(RNNCellBase):
    """One step of a GRU.

    Example:
        >>> import flambeau as torch
        >>> torch.nn.GRUCell(10, 20)(torch.ones(10)).shape
        torch.Size([20])
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        input, hx, batched = self._batched(input, hx)
        state = torch.gru_cell(input, hx, *self._weights())
        return state if batched else state.squeeze(0)
