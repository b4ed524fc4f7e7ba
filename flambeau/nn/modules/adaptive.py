"""Adaptive softmax: cross entropy for many classes, most of which are rare."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from flambeau import _api as torch
from flambeau.nn import functional as F

from .container import ModuleList, Sequential
from .linear import Linear
from .module import Module

__all__ = ["AdaptiveLogSoftmaxWithLoss"]

Tensor = torch.Tensor


class _ASMoutput(NamedTuple):
    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """Softmax over a short list of frequent classes and a few clusters of rarer ones, each cluster with a smaller
    projection (Grave et al., 2017). Classes are numbered by falling frequency.

    Args:
        in_features, n_classes: sizes of the input and of the distribution.
        cutoffs: where clusters begin: increasing, within [1, n_classes - 1] (else ValueError).
        div_value: by which each further cluster's projection is smaller. Default: 4.
        head_bias: whether the head has a bias. Default: False.

    Shape:
        Input (N, in_features), target (N); or (in_features) and (). `output` is the log-probability of each target,
        `loss` their negative mean.

    Example:
        >>> import flambeau as torch
        >>> layer = torch.nn.AdaptiveLogSoftmaxWithLoss(16, 20, [4, 10])
        >>> output, loss = layer(torch.ones(3, 16), torch.tensor([0, 5, 19]))
        >>> output.shape, layer.log_prob(torch.ones(3, 16)).exp().sum(1).round()
        (torch.Size([3]), tensor([1., 1., 1.], grad_fn=<RoundBackward0>))
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        if not cutoffs:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        if (
            cutoffs != sorted(set(cutoffs))
            or cutoffs[0] <= 0
            or cutoffs[-1] > n_classes - 1
            or any(int(cutoff) != cutoff for cutoff in cutoffs)
        ):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each "
                "value is between 1 and n_classes-1"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **where)
        self.tail = ModuleList()
        for cluster, (start, stop) in enumerate(pairwise(self.cutoffs)):
            hidden = int(in_features // div_value ** (cluster + 1))
            self.tail.append(
                Sequential(
                    Linear(in_features, hidden, bias=False, **where),
                    Linear(hidden, stop - start, bias=False, **where),
                )
            )

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        self.head.reset_parameters()
        projections: Any = self.tail
        for projection in projections:
            for layer in projection:
                layer.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _ASMoutput:
        self._check(input_, target_)
        batched = target_.dim() > 0
        input = input_ if batched else input_.unsqueeze(0)
        target = target_ if batched else target_.unsqueeze(0)
        output = input.new_zeros(target.size(0))
        in_head = target  # where each target is in the head: itself, or its cluster
        for cluster, (start, stop) in enumerate(pairwise(self.cutoffs)):
            rows = ((target >= start) & (target < stop)).nonzero().squeeze(1)
            if rows.numel() == 0:
                continue
            in_head = in_head.index_fill(0, rows, self.shortlist_size + cluster)
            log_prob = F.log_softmax(self.tail[cluster](input.index_select(0, rows)), dim=1)
            of_target = log_prob.gather(1, (target.index_select(0, rows) - start).unsqueeze(1))
            output = output.index_copy(0, rows, of_target.squeeze(1))
        if bool(((target < 0) | (target >= self.n_classes)).any()):
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{target.min().item()}, {target.max().item()}] were found. "
            )
        head_log_prob = F.log_softmax(self.head(input), dim=1)
        output = output + head_log_prob.gather(1, in_head.unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return _ASMoutput(output if batched else output.squeeze(0), loss)

    def _check(self, input: Tensor, target: Tensor) -> None:
        if target.dim() > 1:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        if target.dim() == 1 and input.size(0) != target.size(0):
            raise RuntimeError("Input and target should have the same size in the batch dimension.")
        if input.dim() != target.dim() + 1:
            raise RuntimeError(
                f"{target.dim()}D target tensor expects {target.dim() + 1}D input tensors, but found inputs with size "
                f"{input.size()}"
            )

    def _get_full_log_prob(self, input: Tensor, head_output: Tensor) -> Tensor:
        head = F.log_softmax(head_output, dim=1)
        parts = [head[:, : self.shortlist_size]]
        for cluster, projection in enumerate(self.tail):
            of_cluster = head[:, self.shortlist_size + cluster].unsqueeze(1)
            parts.append(F.log_softmax(projection(input), dim=1) + of_cluster)
        return torch.cat(parts, dim=1)

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities of all classes, (N, n_classes)."""
        return self._get_full_log_prob(input, self.head(input))

    def predict(self, input: Tensor) -> Tensor:
        """The most likely class of each row; the clusters are computed for the rows that need them only."""
        head_output = self.head(input)
        best = torch.argmax(head_output, dim=1)
        elsewhere = best >= self.shortlist_size
        if bool(elsewhere.any()):
            log_prob = self._get_full_log_prob(input[elsewhere], head_output[elsewhere])
            best[elsewhere] = torch.argmax(log_prob, dim=1)
        return best
