"""Focal loss: Lin et al. 2017, https://arxiv.org/abs/1708.02002."""

from __future__ import annotations

from flambeau import _api as torch
from flambeau.nn import functional as F
from flambeau.vision.ops._losses import reduced

Tensor = torch.Tensor


def sigmoid_focal_loss(
    inputs: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2, reduction: str = "none"
) -> Tensor:
    """Cross entropy of scores with targets 0 or 1, of the same shape, times (1 - p)^gamma where p is the probability
    given to the target: what is easy counts little. `alpha` weighs the ones and 1 - `alpha` the zeros; -1 weighs
    neither. `reduction` is "none", "mean" or "sum".

    Raises:
        ValueError: for another reduction, or `alpha` that is not -1 and not within 0 and 1.

    Example::

        >>> sigmoid_focal_loss(torch.zeros(2), torch.tensor([0.0, 1.0]))
        tensor([0.1300, 0.0433])
    """
    if not 0 <= alpha <= 1 and alpha != -1:
        fact = f"Invalid alpha value: {alpha}. alpha must be in the range [0,1] or -1 for ignore."
        raise ValueError(fact)
    p = torch.sigmoid(inputs)
    entropy = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    missed = 1 - (p * targets + (1 - p) * (1 - targets))
    loss = entropy * missed**gamma
    if alpha >= 0:
        loss = (alpha * targets + (1 - alpha) * (1 - targets)) * loss
    return reduced(loss, reduction)
