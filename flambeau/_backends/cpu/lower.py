"""What the compiler asks of this backend: which primitives there are, and launches for nests and templates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from flambeau._backends.cpu import host, matmul, primitives
from flambeau._backends.cpu.blocks import Structure, Structures
from flambeau._backends.cpu.kernel import Step
from flambeau._backends.cpu.nest_lower import lower as lower_nest
from flambeau._backends.cpu.plan import Block, Lowered, blocks_of
from flambeau._backends.cpu.target import Target
from flambeau._compiler.loops import Loops, nest_with
from flambeau._core.dtypes import dtype
from flambeau._core.lazy import lazy_module
from flambeau._ir.meta import Meta, passing_with

Kinds = tuple[tuple[dtype, int], ...]  # dtypes and dimensions
Lower = Callable[[Target, tuple, tuple[Meta, ...], tuple[Meta, ...]], Step | None]

# Imported when a program needs them.
attention = lazy_module("flambeau._backends.cpu.attention")
conv = lazy_module("flambeau._backends.cpu.conv")
pool = lazy_module("flambeau._backends.cpu.pool")
rnn = lazy_module("flambeau._backends.cpu.rnn")
scan = lazy_module("flambeau._backends.cpu.scan")
scatter = lazy_module("flambeau._backends.cpu.scatter")
sort = lazy_module("flambeau._backends.cpu.sort")

# The kernel templates by the names that expansions call them: where each is lowered.
TEMPLATES = {
    "matmul": (matmul, "lower"),
    "conv": (conv, "lower_conv"),
    "conv_transposed": (conv, "lower_conv_transposed"),
    "conv_weight": (conv, "lower_conv_weight"),
    "max_pool": (pool, "lower_max_pool"),
    "max_pool_place": (pool, "lower_max_pool_place"),
    "avg_pool": (pool, "lower_avg_pool"),
    "avg_pool_backward": (pool, "lower_avg_pool_backward"),
    "index_add": (scatter, "lower_index_add"),
    "scatter_add": (scatter, "lower_scatter_add"),
    "scatter": (scatter, "lower_scatter"),
    "scatter_reduce": (scatter, "lower_scatter_reduce"),
    "scan": (scan, "lower_scan"),
    "sort": (sort, "lower_sort"),
    "topk": (sort, "lower_topk"),
    "lstm": (rnn, "lower_lstm"),
    "lstm_backward": (rnn, "lower_lstm_backward"),
    "attention": (attention, "lower_attention"),
    "attention_backward": (attention, "lower_attention_backward"),
}


def lower_of(template: str) -> Lower | None:
    """What lowers a template; None if there is none of that name."""
    found = TEMPLATES.get(template)
    return None if found is None else getattr(*found)


class CpuBackend:
    """The backend for one target."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.structures = Structures()

    def supports(self, primitive: str, d: dtype) -> bool:
        return primitives.supported(primitive, d.name)

    def nest(self, loops: Loops, checked: bool) -> Structure:
        """Nests of this structure."""
        lowered = lambda numbers: lower_nest(self.target, nest_with(loops, numbers, checked))  # noqa: E731
        return self.structures.of((loops, checked), lowered)

    def call(
        self, template: str, params: tuple, operands: Kinds, results: Kinds, epilogue: tuple[Loops, bool] | None = None
    ) -> Structure | None:
        """A template on operands and results of these kinds; operands of the epilogue follow its own."""
        lower = lower_of(template)
        if lower is None:
            return None

        def lowered(numbers: Sequence[Any]) -> Step | None:
            rest = iter(numbers)
            inputs, outputs = passing_with(operands, rest), passing_with(results, rest)
            if epilogue is None:
                return lower(self.target, params, inputs, outputs)
            loops, checked = epilogue
            return matmul.lower_finished(self.target, nest_with(loops, tuple(rest), checked), inputs, outputs)

        return self.structures.of((template, repr(params), operands, results, epilogue), lowered)

    def blocks(self, lowered: Sequence[Lowered]) -> list[Block]:
        """What steps become; their kernels are compiled together."""
        return blocks_of(lowered)


@cache
def backend() -> CpuBackend:
    """The backend for this machine."""
    return CpuBackend(host.host_target())
