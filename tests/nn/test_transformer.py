"""What the golden numbers do not show of the Transformer and of recurrent networks: masks, padding, checks."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau import nn


def close(a, b) -> bool:
    return torch.allclose(a, b, atol=1e-5)


def test_causal_mask_hides_the_future():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    mask = nn.Transformer.generate_square_subsequent_mask(4)
    x = torch.randn(2, 4, 8)
    for masks in ({"src_mask": mask}, {"src_mask": mask != 0}, {"src_mask": mask, "is_causal": True}):
        assert close(layer(x, **masks)[:, :2], layer(x[:, :2], src_mask=mask[:2, :2]))


def test_padding_changes_nothing_and_becomes_zero_without_gradients():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2).eval()
    x = torch.randn(2, 5, 8)
    padding = torch.tensor([[False, False, False, True, True], [False] * 5])
    alone = encoder(x[:1, :3])
    padded = encoder(x, src_key_padding_mask=padding)
    assert close(padded[:1, :3], alone) and padded[0, 3:].abs().sum().item() > 0
    with torch.no_grad():
        padded = encoder(x, src_key_padding_mask=padding)
        gaps = encoder(x, src_key_padding_mask=padding.flip(1))
    assert close(padded[:1, :3], alone) and padded[0, 3:].abs().sum().item() == 0
    assert gaps[0, :2].abs().sum().item() > 0


def test_layers_are_copies_with_parameters_of_their_own():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 2)
    first, second = (layer.linear1.weight for layer in encoder.layers)
    assert first is not second and first.tolist() == second.tolist()


@pytest.mark.parametrize(
    ("act", "kind", "message"),
    [
        (lambda: nn.MultiheadAttention(5, 2), AssertionError, "divisible by num_heads"),
        (lambda: nn.MultiheadAttention(0, 2), ValueError, "must be greater than 0"),
        (lambda: nn.TransformerEncoderLayer(4, 2, activation="tanh"), RuntimeError, "should be relu/gelu, not tanh"),
        (lambda: model()(torch.ones(3, 2, 4), torch.ones(3, 1, 4)), RuntimeError, "batch number of src and tgt"),
        (lambda: model()(torch.ones(3, 2, 5), torch.ones(3, 2, 5)), RuntimeError, "equal to d_model"),
        (lambda: nn.LSTM(2, 0), ValueError, "hidden_size must be greater than zero"),
        (lambda: nn.LSTM(2, 3, proj_size=3), ValueError, "proj_size has to be smaller"),
        (lambda: nn.GRU(2, 3, proj_size=1), ValueError, "only supported for LSTM"),
        (lambda: nn.RNN(2, 3, nonlinearity="x"), ValueError, "Unknown nonlinearity 'x'"),
        (lambda: nn.GRU(2, 3, dropout=2), ValueError, "dropout should be a number in range"),
        (lambda: nn.GRU(2, 3, bias=1), TypeError, "bias should be of type bool, got: int"),
        (lambda: nn.GRU(2, 3)(torch.ones(2, 2, 2, 2)), ValueError, "GRU: Expected input to be 2D or 3D, got 4D"),
        (lambda: nn.GRU(2, 3)(torch.ones(4, 1, 5)), RuntimeError, "Expected 2, got 5"),
        (lambda: nn.GRU(2, 3)(torch.ones(4, 1, 2).double()), ValueError, "does not match weight dtype"),
        (
            lambda: nn.GRU(2, 3)(torch.ones(4, 2, 2), torch.ones(1, 1, 3)),
            RuntimeError,
            r"Expected hidden size \(1, 2, 3\)",
        ),
        (
            lambda: nn.GRU(2, 3)(torch.ones(4, 2), torch.ones(1, 1, 3)),
            RuntimeError,
            "hx should also be 2-D but got 3-D",
        ),
        (
            lambda: nn.LSTM(2, 3)(torch.ones(4, 2, 2), (torch.ones(1, 2, 3), torch.ones(1, 2, 4))),
            RuntimeError,
            r"Expected hidden\[1\] size \(1, 2, 3\), got \[1, 2, 4\]",
        ),
        (lambda: nn.GRUCell(2, 3)(torch.ones(1, 1, 2)), ValueError, "GRUCell: Expected input to be 1D or 2D"),
    ],
)
def test_errors(act, kind, message):
    with pytest.raises(kind, match=message):
        act()


def model() -> nn.Transformer:
    return nn.Transformer(4, 2, 1, 1, 8)


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_packed_sequences_are_run_each_to_its_end(kind):
    network = kind(2, 3, num_layers=2, bidirectional=True)
    sequences = [torch.randn(length, 2) for length in (2, 4, 1)]
    packed = nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False)
    output, state = network(packed)
    unpacked = nn.utils.rnn.unpack_sequence(output)
    for place, sequence in enumerate(sequences):
        alone, last = network(sequence)
        assert close(unpacked[place], alone)
        for tensor, expected in zip(*((s if isinstance(s, tuple) else (s,)) for s in (state, last)), strict=True):
            assert close(tensor[:, place], expected)


def test_recurrent_parameters_keep_their_order_and_can_be_replaced():
    network = nn.LSTM(2, 4, 2, bidirectional=True, proj_size=3)
    names = [name for name, _ in network.named_parameters()]
    kinds = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"]
    assert names == [f"{kind}_l{layer}{side}" for layer in (0, 1) for side in ("", "_reverse") for kind in kinds]
    assert network.weight_ih_l1.shape == (16, 6) and network.all_weights[1][4] is network.weight_hr_l0_reverse
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert network(torch.ones(3, 1, 2))[0].abs().sum().item() == 0
    network.weight_ih_l0 = nn.Parameter(torch.ones(16, 2))
    assert network._flat_weights[0] is network.weight_ih_l0
