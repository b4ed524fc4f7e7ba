"""What the compiler asks of this backend: which primitives there are, and launches for nests and templates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from flambeau._backends.cpu import attention, conv, host, matmul, pool, primitives, rnn, scan, scatter, sort
from flambeau._backends.cpu.blocks import Blocks, laid_out, meta_numbers, metas_with, nest_numbers, nest_with
from flambeau._backends.cpu.kernel import Step
from flambeau._backends.cpu.nest_lower import lower as lower_nest
from flambeau._backends.cpu.plan import Block
from flambeau._backends.cpu.target import Target
from flambeau._compiler.loops import Nest
from flambeau._core.dtypes import dtype
from flambeau._ir.meta import Meta

Lower = Callable[[Target, tuple, tuple[Meta, ...], tuple[Meta, ...]], Step | None]

# The kernel templates by the names that expansions call them.
TEMPLATES: dict[str, Lower] = {
    "matmul": matmul.lower,
    "conv": conv.lower_conv,
    "conv_transposed": conv.lower_conv_transposed,
    "conv_weight": conv.lower_conv_weight,
    "max_pool": pool.lower_max_pool,
    "max_pool_place": pool.lower_max_pool_place,
    "avg_pool": pool.lower_avg_pool,
    "avg_pool_backward": pool.lower_avg_pool_backward,
    "index_add": scatter.lower_index_add,
    "scatter_add": scatter.lower_scatter_add,
    "scatter": scatter.lower_scatter,
    "scan": scan.lower_scan,
    "sort": sort.lower_sort,
    "topk": sort.lower_topk,
    "lstm": rnn.lower_lstm,
    "lstm_backward": rnn.lower_lstm_backward,
    "attention": attention.lower_attention,
    "attention_backward": attention.lower_attention_backward,
}


class CpuBackend:
    """The backend for one target."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.blocks = Blocks()

    def supports(self, primitive: str, d: dtype) -> bool:
        return primitives.supported(primitive, d.name)

    def lower_nest(self, nest: Nest, again: bool = False) -> Block | None:
        if not again:
            return laid_out(lower_nest(self.target, nest))
        lower = lambda numbers: lower_nest(self.target, nest_with(nest, numbers))  # noqa: E731
        return self.blocks.block((nest.loops, nest.checked), nest_numbers(nest), lower)

    def lower_call(
        self, template: str, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...],
        epilogue: Nest | None = None, again: bool = False,
    ) -> Block | None:  # fmt: skip
        """A template, laid out in words; operands of the epilogue follow its own."""
        lower = TEMPLATES.get(template)
        if lower is None:
            return None
        metas = (*inputs, *outputs)
        own = meta_numbers(metas)

        def lowered(numbers: Sequence[Any]) -> Step | None:
            renewed = metas_with(metas, iter(numbers))
            arguments = renewed[: len(inputs)], renewed[len(inputs) :]
            if epilogue is None:
                return lower(self.target, params, *arguments)
            return matmul.lower_finished(self.target, nest_with(epilogue, numbers[len(own) :]), *arguments)

        numbers = own if epilogue is None else own + nest_numbers(epilogue)
        if not again:
            return laid_out(lowered(numbers))
        key = (template, repr(params), len(inputs), tuple([(m.dtype, m.ndim) for m in metas]),
               epilogue and (epilogue.loops, epilogue.checked))  # fmt: skip
        return self.blocks.block(key, numbers, lowered)


@cache
def backend() -> CpuBackend:
    """The backend for this machine."""
    return CpuBackend(host.host_target())
