"""What the compiler asks of this backend: which primitives there are, and launches for nests and templates."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from flambeau._backends.cpu import attention, conv, host, matmul, pool, primitives, rnn, scan, scatter, sort
from flambeau._backends.cpu.kernel import Address, Launch, Step, Word, Words
from flambeau._backends.cpu.nest_lower import lower as lower_nest
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

    def supports(self, primitive: str, d: dtype) -> bool:
        return primitives.supported(primitive, d.name)

    def lower_nest(self, nest: Nest) -> Step | None:
        return lower_nest(self.target, nest)

    def lower_call(
        self, template: str, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...],
        epilogue: Nest | None = None,
    ) -> Step | None:  # fmt: skip
        """The launches of a template; operands of the epilogue follow its own."""
        if epilogue is not None:
            return matmul.lower_finished(self.target, epilogue, inputs, outputs)
        lower = TEMPLATES.get(template)
        return None if lower is None else lower(self.target, params, inputs, outputs)


@cache
def backend() -> CpuBackend:
    """The backend for this machine."""
    return CpuBackend(host.host_target())


def rebased(step: Step, offsets: tuple[int, ...]) -> Step:
    """The step with `offsets` bytes added to the addresses of its operands."""
    if not any(offsets):
        return step
    return step._replace(launches=tuple([_rebased_launch(launch, offsets) for launch in step.launches]))


def _rebased_launch(launch: Launch, offsets: tuple[int, ...]) -> Launch:
    return launch._replace(words=tuple([_rebased_word(w, offsets) for w in launch.words]))


def _rebased_word(word: Word, offsets: tuple[int, ...]) -> Any:
    if type(word) is Address:
        return Address(word.operand, word.offset + offsets[word.operand])
    if type(word) is Words:
        return Words(tuple([_rebased_word(w, offsets) for w in word.words]))
    return word
