"""Connectionist temporal classification (Graves et al. 2006): the probability of a label sequence, summed over all
alignments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes
from flambeau._core.lazy import lazy_module
from flambeau._ir.meta import Meta, contiguous
from flambeau._ir.recording import TensorBase
from flambeau._ops.registry import composite, library

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


def _infer(log_probs: Meta, labels: Meta, lengths: tuple[int, ...], label_lengths: tuple[int, ...], blank: int) -> Any:
    return contiguous(log_probs.dtype, (log_probs.shape[1],)), contiguous(log_probs.dtype, log_probs.shape)


@library(
    category="scan", method=False, function=False, infer=_infer, nondifferentiable=(1,), node_name="CtcLossBackward0",
    gradient={"log_probs": lambda g0, out1: g0.reshape(1, -1, 1) * out1},
)  # fmt: skip
def alignments(
    log_probs: Any, labels: Any, lengths: tuple[int, ...], label_lengths: tuple[int, ...], blank: int
) -> Any:
    """(minus log probability of each sequence, its gradient by `log_probs`), by the forward and backward recursions.

    `log_probs` is [T, N, C], `labels` [N, S] padded.
    """
    times, batch, classes = log_probs.shape
    x = log_probs.astype(np.float64)
    width = 2 * labels.shape[1] + 1
    states = np.full((batch, width), blank, np.int64)
    states[:, 1::2] = labels  # a blank before, between and after the labels
    jumps = np.zeros((batch, width), bool)  # may the blank before this state be skipped?
    jumps[:, 2:] = (states[:, 2:] != blank) & (states[:, 2:] != states[:, :-2])
    last = 2 * np.asarray(label_lengths)
    inside = np.arange(width) <= last[:, None]
    emitted = np.where(inside, np.take_along_axis(x, np.broadcast_to(states, (times, batch, width)), 2), -np.inf)
    ends = np.asarray(lengths) - 1
    forward = _forward(emitted, jumps)
    rows = np.arange(batch)
    at_end = forward[np.maximum(ends, 0), rows]
    final = np.logaddexp(at_end[rows, last], np.where(last > 0, at_end[rows, np.maximum(last - 1, 0)], -np.inf))
    final = np.where(np.asarray(lengths) > 0, final, np.where(last > 0, -np.inf, 0.0))
    backward = _backward(emitted, jumps, ends, last)
    occupied = np.exp(
        forward + backward - emitted - final[None, :, None], where=np.isfinite(emitted), out=np.zeros_like(emitted)
    )
    gradient = np.zeros_like(x)
    used = (np.arange(times)[:, None] <= ends) & np.isfinite(final)
    for s in range(width):
        np.subtract.at(gradient, (slice(None), rows, states[:, s]), np.where(used, np.nan_to_num(occupied[:, :, s]), 0))
    # the distribution's part: PyTorch's gradient is that of log_probs as a softmax gives them
    gradient += np.where(used[:, :, None], np.exp(x), 0)
    return -final, gradient


def _forward(emitted: Any, jumps: Any) -> Any:
    """log of the probability of all paths up to each (time, state)."""
    table = np.full_like(emitted, -np.inf)
    table[0, :, :2] = emitted[0, :, :2]
    for t in range(1, len(emitted)):
        table[t] = _reach(table[t - 1], jumps) + emitted[t]
    return table


def _reach(before: Any, jumps: Any) -> Any:
    """Paths into each state: from itself, from the one before, over a skipped blank."""
    total = before.copy()
    total[:, 1:] = np.logaddexp(total[:, 1:], before[:, :-1])
    total[:, 2:] = np.where(jumps[:, 2:], np.logaddexp(total[:, 2:], before[:, :-2]), total[:, 2:])
    return total


def _backward(emitted: Any, jumps: Any, ends: Any, last: Any) -> Any:
    """log of the probability of all paths from each (time, state) on, its own emission included."""
    times, batch, width = emitted.shape
    table = np.full_like(emitted, -np.inf)
    positions = np.arange(width)
    finals = (positions == last[:, None]) | (positions == last[:, None] - 1)
    for t in range(times - 1, -1, -1):
        following = table[t + 1] if t + 1 < times else np.full((batch, width), -np.inf)
        total = following.copy()
        total[:, :-1] = np.logaddexp(total[:, :-1], following[:, 1:])
        skipped = np.where(jumps[:, 2:], following[:, 2:], -np.inf)
        total[:, :-2] = np.logaddexp(total[:, :-2], skipped)
        start = (ends == t)[:, None] & finals
        total = np.where((ends > t)[:, None], total, np.where(start, 0.0, -np.inf))
        table[t] = total + emitted[t]
    return table


def _lengths(given: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in (given.reshape(-1).tolist() if isinstance(given, TensorBase) else given))


def _padded(targets: Any, label_lengths: tuple[int, ...]) -> Any:
    """Concatenated targets as rows [N, S]."""
    longest = max(label_lengths, default=0)
    rows = targets.new_zeros((len(label_lengths), longest))
    start = 0
    for i, n in enumerate(label_lengths):
        rows[i, :n] = targets[start : start + n]
        start += n
    return rows


@composite(method=False, namespace="nn.functional")
def ctc_loss(
    log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0, reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:  # fmt: skip
    """The CTC loss of log probabilities [T, N, C] (or [T, C]) for labels [N, S], or all labels one after the other.

    "mean" divides each loss by its number of labels first. A sequence that has no alignment costs infinity, or nothing
    with `zero_infinity`. RuntimeError for lengths that do not fit.

    Example::

        >>> import flambeau as torch
        >>> scores = torch.zeros(3, 1, 2).log_softmax(2)
        >>> torch.nn.functional.ctc_loss(scores, torch.tensor([[1]]), (3,), (1,))
        tensor(0.2877)
    """
    batched = log_probs.dim() == 3
    if not batched:
        log_probs, targets = log_probs.unsqueeze(1), targets.unsqueeze(0) if targets.dim() == 1 else targets
    lengths, label_lengths = _lengths(input_lengths), _lengths(target_lengths)
    times, batch, classes = log_probs.shape
    if len(lengths) != batch or len(label_lengths) != batch:
        raise RuntimeError(f"input_lengths and target_lengths must be of size batch_size ({batch})")
    if any(not 0 <= n <= times for n in lengths):
        raise RuntimeError(f"Expected input_lengths to have value at most {times}, but got {max(lengths)}")
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    rows = _padded(targets, label_lengths) if targets.dim() == 1 else targets[:, : max(label_lengths, default=0)]
    losses, _ = alignments(log_probs, rows.to(dtypes.int64), lengths, label_lengths, blank)
    if zero_infinity:
        losses = losses.masked_fill(losses == float("inf"), 0)
    if reduction == "mean":
        return (losses / losses.new_tensor([max(n, 1) for n in label_lengths], dtype=losses.dtype)).mean()
    if reduction == "sum":
        return losses.sum()
    return losses if batched else losses.squeeze(0)


@composite(method=False, name="ctc_loss")
def torch_ctc_loss(
    log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0, reduction: int = 1,
    zero_infinity: bool = False,
) -> Any:  # fmt: skip
    """`nn.functional.ctc_loss`, with `reduction` as a number: 0 none, 1 mean, 2 sum.

    Example::

        >>> import flambeau as torch
        >>> scores = torch.zeros(3, 1, 2).log_softmax(2)
        >>> torch.ctc_loss(scores, torch.tensor([[1]]), (3,), (1,))
        tensor(0.2877)
    """
    kinds = {0: "none", 1: "mean", 2: "sum"}
    return ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, kinds[reduction], zero_infinity)
