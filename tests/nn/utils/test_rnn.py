"""Packing and padding; the numbers of the round trips were checked with PyTorch."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau.nn.utils import rnn

SEQUENCES = [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0, 5.0]), torch.tensor([6.0])]


def test_pack_sorts_and_unpack_restores():
    packed = rnn.pack_sequence(SEQUENCES, enforce_sorted=False)
    assert packed.data.tolist() == [3, 1, 6, 4, 2, 5] and packed.batch_sizes.tolist() == [3, 2, 1]
    assert packed.sorted_indices.tolist() == [1, 0, 2] and packed.unsorted_indices.tolist() == [1, 0, 2]
    assert [sequence.tolist() for sequence in rnn.unpack_sequence(packed)] == [s.tolist() for s in SEQUENCES]


@pytest.mark.parametrize("batch_first", [False, True])
def test_padded_round_trip(batch_first):
    padded = rnn.pad_sequence(SEQUENCES[:2][::-1], batch_first=batch_first, padding_value=9.0)
    rows = padded if batch_first else padded.t()
    assert rows.tolist() == [[3, 4, 5], [1, 2, 9]]
    packed = rnn.pack_padded_sequence(padded.requires_grad_(), [3, 2], batch_first=batch_first)
    back, lengths = rnn.pad_packed_sequence(packed, batch_first=batch_first, padding_value=-1.0, total_length=4)
    rows = back if batch_first else back.t()
    assert rows.tolist() == [[3, 4, 5, -1], [1, 2, -1, -1]] and lengths.tolist() == [3, 2]
    back.sum().backward()
    grad = padded.grad if batch_first else padded.grad.t()
    assert grad.tolist() == [[1, 1, 1], [1, 1, 0]]


def test_padding_on_the_left_and_unpadding():
    assert rnn.pad_sequence(SEQUENCES[:2], batch_first=True, padding_side="left").tolist() == [[0, 1, 2], [3, 4, 5]]
    padded = rnn.pad_sequence(SEQUENCES)
    assert [s.tolist() for s in rnn.unpad_sequence(padded, torch.tensor([2, 3, 1]))] == [s.tolist() for s in SEQUENCES]
    assert rnn.pad_sequence([torch.ones(1, 2), torch.ones(2, 2)]).shape == (2, 2, 2)


def test_packed_sequence_converts():
    packed = rnn.pack_sequence(SEQUENCES, enforce_sorted=False)
    assert packed.double().data.dtype == torch.float64 and packed.cpu() is packed and not packed.is_cuda
    assert packed.long().sorted_indices.tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("act", "kind", "message"),
    [
        (lambda x: rnn.pack_padded_sequence(x, [1, 2]), RuntimeError, "must be sorted in decreasing order"),
        (lambda x: rnn.pack_padded_sequence(x, [2]), RuntimeError, r"but got 1 \(batch_size=2\)"),
        (lambda x: rnn.pack_padded_sequence(x, [2, 0]), RuntimeError, "has to be greater than 0"),
        (lambda x: rnn.pad_sequence(3), RuntimeError, "Expected iterable"),
        (lambda x: rnn.pad_sequence([x], padding_side="up"), RuntimeError, "padding_side to be one of left or right"),
        (
            lambda x: rnn.pad_packed_sequence(rnn.pack_padded_sequence(x, [3, 2]), total_length=2),
            ValueError,
            "at least the length of the longest sequence",
        ),
    ],
)
def test_errors(act, kind, message):
    with pytest.raises(kind, match=message):
        act(torch.ones(3, 2))
