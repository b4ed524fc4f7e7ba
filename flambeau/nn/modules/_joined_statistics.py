"""Batch normalisation whose statistics several processes join, forward and backward."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau.autograd import Function


class JoinedBatchNorm(Function):
    """Normalises with the statistics of the batches of all processes of a group."""

    @staticmethod
    def forward(
        ctx: Any, input: Any, weight: Any, bias: Any, running: tuple[Any, Any], factor: float, eps: float, group: Any
    ) -> Any:
        mean, invstd = torch.batch_norm_stats(input, eps)
        count = mean.new_full((1,), input.numel() // input.shape[1])
        mine = torch.cat([mean, invstd, count])
        everybodys = [torch.empty_like(mine) for _ in range(group.size())]
        group.allgather([everybodys], [mine]).wait()
        means, invstds, counts = torch.stack(everybodys).split([len(mean), len(mean), 1], 1)
        mean, invstd = torch.batch_norm_gather_stats_with_counts(
            input, means, invstds, *running, factor, eps, counts.flatten()
        )
        ctx.save_for_backward(input, weight, mean, invstd, counts)
        ctx.group = group
        return torch.batch_norm_elemt(input, weight, bias, mean, invstd, eps)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        input, weight, mean, invstd, counts = ctx.saved_tensors
        total, weighted, of_weight, of_bias = torch.batch_norm_backward_reduce(
            grad, input, mean, invstd, weight, True, ctx.needs_input_grad[1], ctx.needs_input_grad[2]
        )
        sums = torch.cat([total, weighted])
        ctx.group.allreduce([sums]).wait()
        total, weighted = sums.chunk(2)
        of_input = torch.batch_norm_backward_elemt(grad, input, mean, invstd, weight, total, weighted, counts)
        return of_input, of_weight, of_bias, None, None, None, None
