"""Batches of sequences of different lengths: packed (for recurrent networks) and padded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from flambeau import _api as torch
from flambeau.nn import functional as F

if TYPE_CHECKING:
    from typing import Self

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]

Tensor = torch.Tensor


class _PackedFields(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_PackedFields):
    """Sequences of falling lengths, laid out step by step: first all first elements, then all second ones...

    Attributes:
        data: (sum of lengths, *), the elements.
        batch_sizes: (longest length,), int64 on the CPU: how many sequences have an element at each step.
        sorted_indices: the permutation that sorted the sequences, or None if they came sorted.
        unsorted_indices: its inverse.

    Usually made by `pack_padded_sequence` or `pack_sequence`.
    """

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> Self:
        if batch_sizes is None:
            if not (isinstance(data, (list, tuple)) and len(data) == 2):
                raise AssertionError("PackedSequence needs data and batch_sizes")
            data, batch_sizes = data
        if batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be created manually. "
                "They should be instantiated by functions like pack_sequence and pack_padded_sequences in "
                "nn.utils.rnn."
            )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def _with_data(self, data: Tensor, move: Callable[[Tensor], Tensor]) -> Self:
        indices = (self.sorted_indices, self.unsorted_indices)
        moved = (None if index is None else move(index) for index in indices)
        return type(self)(data, self.batch_sizes, *moved)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """The same sequences with the data moved or cast as `Tensor.to` does; the indices only move."""
        data = self.data.to(*args, **kwargs)
        return self if data is self.data else self._with_data(data, lambda index: index.to(data.device))

    def pin_memory(self) -> Self:
        """The same sequences in pinned memory."""
        return self._with_data(self.data.pin_memory(), lambda index: index.pin_memory())

    def cuda(self, device: Any = None, **kwargs: Any) -> Self:
        """The same sequences on a GPU."""
        return self.to(device="cuda" if device is None else device, **kwargs)

    def cpu(self, **kwargs: Any) -> Self:
        """The same sequences on the CPU."""
        return self.to(device="cpu", **kwargs)

    def double(self) -> Self:
        return self.to(dtype=torch.float64)

    def float(self) -> Self:
        return self.to(dtype=torch.float32)

    def half(self) -> Self:
        return self.to(dtype=torch.float16)

    def long(self) -> Self:
        return self.to(dtype=torch.int64)

    def int(self) -> Self:
        return self.to(dtype=torch.int32)

    def short(self) -> Self:
        return self.to(dtype=torch.int16)

    def char(self) -> Self:
        return self.to(dtype=torch.int8)

    def byte(self) -> Self:
        return self.to(dtype=torch.uint8)

    @property
    def is_cuda(self) -> bool:
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        return self.data.is_pinned()


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes `permutation`.

    Example:
        >>> import flambeau as torch
        >>> invert_permutation(torch.tensor([2, 0, 1])).tolist()
        [1, 2, 0]
    """
    return None if permutation is None else torch.argsort(permutation)


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Packs padded sequences: leaves the padding out.

    Args:
        input: (T, B, *), or (B, T, *) with `batch_first`; T at least the longest length.
        lengths: the length of each sequence, positive.
        enforce_sorted: the sequences are sorted by falling length; else they are sorted here. Default: True.

    Raises:
        RuntimeError: lengths that are not positive, not sorted (if enforced), or not B in number.

    Example:
        >>> import flambeau as torch
        >>> packed = pack_padded_sequence(torch.tensor([[1, 3], [2, 0]]), [2, 1])
        >>> packed.data.tolist(), packed.batch_sizes.tolist()
        ([1, 3, 2], [2, 1])
    """
    steps = torch.as_tensor(lengths, dtype=torch.int64, device="cpu")
    sorted_indices = None
    if not enforce_sorted:
        steps, sorted_indices = torch.sort(steps, descending=True)
        sorted_indices = sorted_indices.to(input.device)
        input = input.index_select(0 if batch_first else 1, sorted_indices)
    if batch_first:
        input = input.transpose(0, 1)
    batch_sizes = _batch_sizes(steps.tolist(), input.size(1))
    flat = input.reshape(-1, *input.shape[2:])
    data = flat.index_select(0, _places(batch_sizes, input.size(1), input.device))
    return PackedSequence(data, torch.tensor(batch_sizes, dtype=torch.int64), sorted_indices, None)


def _batch_sizes(lengths: list[int], batch: int) -> list[int]:
    """How many sequences reach each step."""
    if len(lengths) != batch:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(lengths)} (batch_size={batch})"
        )
    if not lengths or lengths[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if any(later > earlier for earlier, later in zip(lengths, lengths[1:], strict=False)):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement."
        )
    return [sum(length > step for length in lengths) for step in range(lengths[0])]


def _places(batch_sizes: list[int], batch: int, device: Any) -> Tensor:
    """Where in a (T * B) grid the packed elements are."""
    places = [step * batch + row for step, size in enumerate(batch_sizes) for row in range(size)]
    return torch.tensor(places, dtype=torch.int64, device=device)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The inverse of `pack_padded_sequence`: the padded sequences in their first order, and their lengths.

    Args:
        padding_value: what fills the places beyond a sequence's end. Default: 0.
        total_length: T of the result, at least the longest length (else ValueError). Default: the longest.

    Example:
        >>> import flambeau as torch
        >>> packed = pack_sequence([torch.tensor([1, 2]), torch.tensor([3])])
        >>> pad_packed_sequence(packed, batch_first=True)
        (tensor([[1, 2],
                [3, 0]]), tensor([2, 1]))
    """
    batch_sizes = sequence.batch_sizes.tolist()
    steps, batch = len(batch_sizes), batch_sizes[0]
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    data = sequence.data
    shape = data.shape[1:]
    filled = data.new_full((steps * batch, *shape), padding_value)
    padded = filled.index_copy(0, _places(batch_sizes, batch, data.device), data).view(steps, batch, *shape)
    if batch_first:
        padded = padded.transpose(0, 1)
    lengths = torch.tensor([sum(size > row for size in batch_sizes) for row in range(batch)])
    order = sequence.unsorted_indices
    if order is not None:
        return padded.index_select(0 if batch_first else 1, order), lengths[order.cpu()]
    return padded, lengths


def pad_sequence(
    sequences: Tensor | Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Stacks sequences (L_i, *) into (T, B, *), or (B, T, *) with `batch_first`, padded to the longest.

    Args:
        padding_side: "right" or "left" (else RuntimeError). Default: "right".

    Example:
        >>> import flambeau as torch
        >>> pad_sequence([torch.tensor([1, 2]), torch.tensor([3])], batch_first=True)
        tensor([[1, 2],
                [3, 0]])
    """
    if not isinstance(sequences, (Iterable, Tensor)):
        raise RuntimeError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of left or right, but got {padding_side}.")
    sequences = tuple(sequences)
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    longest = max(sequence.size(0) for sequence in sequences)
    padded = []
    for sequence in sequences:
        missing = longest - sequence.size(0)
        sides = (0, missing) if padding_side == "right" else (missing, 0)
        later_dims = (0, 0) * (sequence.dim() - 1)
        padded.append(F.pad(sequence, (*later_dims, *sides), value=padding_value) if missing else sequence)
    return torch.stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The sequences that `pad_sequence` padded on the right."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [sequence[:length] for sequence, length in zip(padded_sequences.unbind(0), lengths.tolist(), strict=True)]


def pack_sequence(sequences: list[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Packs sequences (L_i, *); arguments as of `pack_padded_sequence`."""
    lengths = [sequence.size(0) for sequence in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences that `pack_sequence` packed."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
