"""Stochastic depth: Huang et al. 2016, https://arxiv.org/abs/1603.09382."""

from __future__ import annotations

from flambeau import _api as torch
from flambeau import nn

Tensor = torch.Tensor


def stochastic_depth(input: Tensor, p: float, mode: str, training: bool = True) -> Tensor:
    """A branch of a residual network, dropped with probability `p` and else divided by 1 - `p`: all of `input` (N, ...)
    in mode "batch", each of its N rows by itself in mode "row". Unchanged where not `training`.

    Raises:
        ValueError: for another mode, or `p` not within 0 and 1.

    Example::

        >>> stochastic_depth(torch.ones(2, 3), 1.0, "batch")
        tensor([[0., 0., 0.],
                [0., 0., 0.]])
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}")
    if mode not in ("batch", "row"):
        raise ValueError(f"mode has to be either 'batch' or 'row', but got {mode}")
    if not training or p == 0.0:
        return input
    rows = input.shape[0] if mode == "row" else 1
    kept = torch.empty(rows, *[1] * (input.dim() - 1), dtype=input.dtype).bernoulli_(1.0 - p)
    return input * (kept / (1.0 - p) if p < 1.0 else kept)


class StochasticDepth(nn.Module):
    """`stochastic_depth` as a module; it changes nothing after `.eval()`."""

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p, self.mode = p, mode

    def forward(self, input: Tensor) -> Tensor:
        return stochastic_depth(input, self.p, self.mode, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, mode={self.mode}"
