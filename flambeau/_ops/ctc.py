"""Connectionist temporal classification (Graves, Fernandez, Gomez & Schmidhuber 2006): the forward-backward algorithm
in logarithms, over the whole batch at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core import errors
from flambeau._core.lazy import lazy_module
from flambeau._ir import recording
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops.loss import reduced
from flambeau._ops.registry import composite, library

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

Lengths = tuple[int, ...]


def _extended(targets: np.ndarray, lengths: Lengths, blank: int) -> np.ndarray:
    """Each target padded and with blanks between its labels and around them, [N, 2 * longest + 1]."""
    longest = max(lengths, default=0)
    labels = np.full((len(lengths), longest), blank, np.int64)
    if targets.ndim == 1:  # all targets one after the other
        inside = np.arange(longest) < np.asarray(lengths, np.int64)[:, None]
        labels[inside] = targets[: sum(lengths)]
    else:
        labels = targets[:, :longest].astype(np.int64)
    extended = np.full((len(lengths), 2 * longest + 1), blank, np.int64)
    extended[:, 1::2] = labels
    return extended


def _log_add(*terms: np.ndarray) -> np.ndarray:
    top = np.maximum.reduce(terms)
    finite = np.where(np.isneginf(top), 0, top)
    return np.log(sum(np.exp(term - finite) for term in terms)) + finite


def _shifted(row: np.ndarray, by: int) -> np.ndarray:
    """`row` moved `by` states to the right (left if negative), filled with probability zero."""
    result = np.full_like(row, -np.inf)
    if by > 0:
        result[:, by:] = row[:, :-by]
    else:
        result[:, :by] = row[:, -by:]
    return result


def _forward(emission: np.ndarray, skips: np.ndarray) -> np.ndarray:
    """log p(all prefixes that end in state s at time t), emission at t included; `skips` marks the states that
    may be entered past a blank."""
    alpha = np.full_like(emission, -np.inf)
    alpha[0, :, :2] = emission[0, :, :2]
    for t in range(1, len(emission)):
        before = alpha[t - 1]
        jump = np.where(skips, _shifted(before, 2), -np.inf)
        alpha[t] = emission[t] + _log_add(before, _shifted(before, 1), jump)
    return alpha


def _backward(emission: np.ndarray, skips: np.ndarray, times: np.ndarray, final: np.ndarray) -> np.ndarray:
    """log p(all suffixes that start in state s at time t), emission at t included; each sequence ends at its time."""
    beta = np.full_like(emission, -np.inf)
    after = np.full_like(emission[0], -np.inf)
    for t in range(len(emission) - 1, -1, -1):
        jump = _shifted(np.where(skips, after, -np.inf), -2)
        paths = _log_add(after, _shifted(after, -1), jump)
        ends = (times == t + 1)[:, None] & final
        after = beta[t] = emission[t] + np.where(ends, 0, paths)
    return beta


def _infer(m: Meta, targets: Meta, input_lengths: Lengths, target_lengths: Lengths, *_: Any) -> tuple[Meta, Meta]:
    return contiguous(m.dtype, (m.shape[1],)), contiguous(m.dtype, m.shape)


@library(
    category="scan",
    method=False,
    function=False,
    node_name="CtcLossBackward0",
    infer=_infer,
    nondifferentiable=(1,),
    gradient={"log_probs": lambda g0, out1: g0.unsqueeze(-1) * out1},
    saves=("out",),
)
def ctc_alignment(
    log_probs: Any, targets: Any, input_lengths: Lengths, target_lengths: Lengths, blank: int, zero_infinity: bool
) -> Any:
    """(-log of the probability of each target, its gradient), for `log_probs` [T, N, C].

    The gradient is that of the logits under a log-softmax (Graves' equation 16), as PyTorch has it.
    """
    lp = log_probs.astype(np.float64)
    states = _extended(targets, target_lengths, blank)
    times, lengths = np.asarray(input_lengths, np.int64), np.asarray(target_lengths, np.int64)
    batch, position = np.arange(len(times)), np.arange(states.shape[1])
    skips = np.zeros(states.shape, bool)
    skips[:, 2:] = (states[:, 2:] != blank) & (states[:, 2:] != states[:, :-2])
    final = (position <= 2 * lengths[:, None]) & (position >= 2 * lengths[:, None] - 1)
    with np.errstate(all="ignore"):
        emission = np.take_along_axis(lp, np.broadcast_to(states, (len(lp), *states.shape)), 2)
        alpha = _forward(emission, skips)
        beta = _backward(emission, skips, times, final)
        last = np.where(final, alpha[np.maximum(times - 1, 0), batch], -np.inf)
        loss = -_log_add(*last.T)
        loss = np.where(times == 0, np.where(lengths == 0, 0.0, np.inf), loss)
        occupied = np.exp(alpha + beta - emission + loss[:, None])
        gradient = np.exp(lp)
        where = (np.arange(len(lp))[:, None, None], batch[:, None], states)
        np.subtract.at(gradient, where, np.where(np.isneginf(emission), 0, occupied))
    gradient[:, np.isinf(loss)] = 0 if zero_infinity else np.nan
    gradient[np.arange(len(lp))[:, None] >= times] = 0
    return np.where(np.isinf(loss), 0, loss) if zero_infinity else loss, gradient


def _lengths(lengths: Any, name: str, count: int, most: int) -> Lengths:
    """One int for each sequence; RuntimeError for another number of them or one out of range."""
    values = lengths.tolist() if hasattr(lengths, "tolist") else lengths
    found = tuple(int(v) for v in (values if isinstance(values, (list, tuple)) else (values,)))
    if len(found) != count:
        raise RuntimeError(f"{name} must be of size batch_size: expected {count} lengths, got {len(found)}")
    for value in found:
        if not 0 <= value <= most:
            raise RuntimeError(
                errors.explain(f"Expected {name} to have value at least 0 and at most {most}, but got value {value}")
            )
    return found


def _check_targets(targets: Any, lengths: Lengths, batched: bool) -> None:
    if targets.dtype.category != 1:
        raise RuntimeError(f"targets must be int32 or int64, got {targets.dtype}")
    if batched and targets.dim() == 2 and targets.shape[0] != len(lengths):
        raise RuntimeError(f"targets must have one row for each of {len(lengths)} sequences, got {list(targets.shape)}")
    if targets.dim() == 1 and targets.shape[0] < sum(lengths):
        raise RuntimeError(f"targets must hold {sum(lengths)} labels (the sum of target_lengths), got {len(targets)}")


@composite(method=False, namespace="nn.functional", saves=("log_probs", "targets"))
def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """-log of the total probability of all alignments of a label sequence to an input sequence.

    `log_probs` is [T, N, C] or [T, C], log-probabilities (gradients assume that they come from a log-softmax);
    `targets` is [N, S] or all of them in one, [sum(target_lengths)]; the lengths have shape [N]. "mean" divides each
    loss by its target's length first. With `zero_infinity`, targets too long for their input cost nothing.

    RuntimeError for a blank that is no class and for lengths that do not fit.

    Example::

        >>> import flambeau as torch
        >>> even = torch.full((2, 1, 2), 0.5).log()  # two steps, two classes; the label 1 has three alignments
        >>> torch.nn.functional.ctc_loss(even, torch.tensor([[1]]), [2], [1])  # -log(3 / 4)
        tensor(0.2877)
    """
    batched = log_probs.dim() == 3
    if not batched:
        log_probs = log_probs.unsqueeze(1)
        targets = targets.unsqueeze(0) if targets.dim() == 1 else targets
    steps, count, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise RuntimeError(f"blank must be in label range: expected 0 to {classes - 1}, got {blank}")
    most = targets.shape[1] if targets.dim() == 2 else targets.shape[0]
    inputs = _lengths(input_lengths, "input_lengths", count, steps)
    lengths = _lengths(target_lengths, "target_lengths", count, most)
    _check_targets(targets, lengths, batched)
    loss, _ = ctc_alignment(log_probs, targets, inputs, lengths, int(blank), bool(zero_infinity))
    if zero_infinity:
        loss = recording.original(loss, ())  # in PyTorch a copy of what was saved
    if reduction == "mean":
        loss = loss / loss.new_tensor([max(n, 1) for n in lengths])
    return reduced(loss if batched else loss.squeeze(0), reduction)


REDUCTIONS: Sequence[str] = ("none", "mean", "sum")


@composite(method=False, name="ctc_loss")
def torch_ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: int = 1,
    zero_infinity: bool = False,
) -> Any:
    """`nn.functional.ctc_loss` with the reduction as a number: 0 none, 1 mean, 2 sum.

    Example::

        >>> import flambeau as torch
        >>> even = torch.full((2, 1, 2), 0.5).log()
        >>> torch.ctc_loss(even, torch.tensor([[1]]), [2], [1])
        tensor(0.2877)
    """
    return ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, REDUCTIONS[int(reduction)], zero_infinity)
