"""Distances and similarities of pairs of vectors."""

from __future__ import annotations

from flambeau import _api as torch
from flambeau.nn import functional as F

from .module import Module

Tensor = torch.Tensor


class PairwiseDistance(Module):
    """The p-norm of x1 - x2 + eps along the last dimension.

    Args:
        p: which norm; may be negative. Default: 2.
        eps: keeps the gradient finite where both are equal. Default: 1e-6.
        keepdim: keep the last dimension with size 1. Default: False.

    Shape:
        Inputs (N, D) or (D), output (N) or a scalar.

    Example:
        >>> import flambeau as torch
        >>> torch.nn.PairwiseDistance()(torch.ones(2, 4), torch.zeros(2, 4))
        tensor([2.0000, 2.0000])
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class CosineSimilarity(Module):
    """x1 . x2 / max(|x1| |x2|, eps) along `dim`.

    Example:
        >>> import flambeau as torch
        >>> torch.nn.CosineSimilarity(dim=0)(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
        tensor(0.)
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)
