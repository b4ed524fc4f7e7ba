"""Nests and kernel templates of any sizes laid out: lowering runs with symbols, and is not repeated where its decisions
hold."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any

from flambeau._backends.cpu.kernel import Kernel, Step
from flambeau._backends.cpu.plan import Block, block_of
from flambeau._compiler.loops import Nest
from flambeau._ir.meta import Meta, passing
from flambeau._ir.symbols import Trace, settled

REMEMBERED, MOST_WAYS = 512, 16  # structures, and ways to lower each of them

Numbers = tuple[int, ...]


class _Structure:
    """What is known of a structure: functions from numbers to blocks, each for some numbers."""

    def __init__(self) -> None:
        self.ways: list[Callable[[Sequence[int]], Block | None]] = []
        self.abandoned: Exception | None = None  # why symbols cannot go through


class Blocks:
    """Blocks for structures that are lowered with many numbers: it is learned for which of them the same comes out."""

    def __init__(self) -> None:
        self.structures: OrderedDict[Hashable, _Structure] = OrderedDict()

    def block(self, key: Hashable, numbers: Numbers, lower: Callable[[Sequence[Any]], Step | None]) -> Block | None:
        """The block of `lower(numbers)`; None if something in it has no code. `key` is all that it depends on beside
        the numbers."""
        structure = self.structures.get(key)
        if structure is None:
            structure = self.structures[key] = _Structure()
            if len(self.structures) > REMEMBERED:
                self.structures.popitem(last=False)
        self.structures.move_to_end(key)
        if structure.abandoned:
            return laid_out(lower(numbers))
        return self._found(structure, numbers) or self._new(structure, numbers, lower)

    @staticmethod
    def _found(structure: _Structure, numbers: Numbers) -> Block | None:
        for i, way in enumerate(structure.ways):
            block = way(numbers)
            if block is not None:
                structure.ways.insert(0, structure.ways.pop(i))  # tried first the next time
                return block
        return None

    @staticmethod
    def _new(structure: _Structure, numbers: Numbers, lower: Callable[[Sequence[Any]], Step | None]) -> Block | None:
        if len(structure.ways) < MOST_WAYS:
            trace = Trace(numbers)
            try:
                step = lower(trace.parameters)
                if step is None:
                    return None
                structure.ways.insert(0, trace.function(block_of(_with_plain_kernels(step))))
                return structure.ways[0](numbers)
            except Exception as error:  # whatever is wrong with the numbers shows without symbols too
                structure.abandoned = error
        return laid_out(lower(numbers))


def laid_out(step: Step | None) -> Block | None:
    """The block of a step, None for none."""
    return None if step is None else block_of(step)


def _with_plain_kernels(x: Any) -> Any:
    """A step, or a part of it, whose kernels are for these numbers alone if they depend on any."""
    if type(x) is Kernel:
        return settled(x)
    return type(x)(*map(_with_plain_kernels, x)) if hasattr(x, "_fields") else (
        tuple(map(_with_plain_kernels, x)) if type(x) is tuple else x
    )


# ------------------------------------------------------------------------------------------------- numbers apart


def nest_numbers(nest: Nest) -> Numbers:
    """The numbers of a nest that its structure leaves open, all in a row."""
    found = [*nest.sizes, *nest.offsets]
    for operand, strides in zip(nest.loops.operands, nest.strides, strict=True):
        found += [s for s, known in zip(strides, operand.strides, strict=True) if known is None]
    for gather in nest.gathers:
        if gather is not None:
            found += gather
    return tuple(found)


def nest_with(nest: Nest, numbers: Sequence[Any]) -> Nest:
    """The nest with other numbers, in the order of `nest_numbers`."""
    rest: Iterator[Any] = iter(numbers)
    sizes, offsets = (tuple([next(rest) for _ in old]) for old in (nest.sizes, nest.offsets))
    strides = tuple([
        tuple([next(rest) if known is None else known for known in operand.strides]) for operand in nest.loops.operands
    ])  # fmt: skip
    gathers = tuple([None if gather is None else (next(rest), next(rest)) for gather in nest.gathers])
    return nest._replace(sizes=sizes, strides=strides, offsets=offsets, gathers=gathers)


def meta_numbers(metas: Iterable[Meta]) -> Numbers:
    """The numbers of some metas, all in a row."""
    return tuple([n for m in metas for n in (*m.shape, *m.strides, m.offset)])


def metas_with(metas: Iterable[Meta], numbers: Iterator[Any]) -> tuple[Meta, ...]:
    """The metas with other numbers, in the order of `meta_numbers`."""
    return tuple([
        passing(m.dtype, [next(numbers) for _ in range(m.ndim)], [next(numbers) for _ in range(m.ndim)], next(numbers))
        for m in metas
    ])  # fmt: skip
