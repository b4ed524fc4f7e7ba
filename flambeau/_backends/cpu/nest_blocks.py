"""Nests of any sizes laid out: the lowering runs with symbols, and is not repeated where its decisions hold."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from flambeau._backends.cpu.nest_lower import lower
from flambeau._backends.cpu.plan import Block, block_of
from flambeau._backends.cpu.target import Target
from flambeau._compiler.loops import Nest
from flambeau._ir.symbols import Trace

REMEMBERED, MOST_WAYS = 512, 16  # nests, and ways to lower each of them

Numbers = tuple[int, ...]


class _Known:
    """A structure of nests: the first numbers it had, and functions from numbers to blocks, each for some sizes."""

    def __init__(self, numbers: Numbers) -> None:
        self.first = numbers
        self.ways: list[Callable[[Sequence[int]], Block | None]] = []
        self.abandoned: Exception | None = None  # why symbols cannot go through


class NestBlocks:
    """Blocks for nests on one target. The first sizes of a structure are lowered as they are; at the second it is worth
    to learn for which sizes the same would come out."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._known: OrderedDict[tuple, _Known] = OrderedDict()

    def block(self, nest: Nest) -> Block | None:
        """The nest laid out; None if something in it has no code."""
        key, numbers = (nest.loops, nest.checked), _numbers(nest)
        known = self._known.get(key)
        if known is None:
            self._known[key] = _Known(numbers)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        elif known.first != numbers and not known.abandoned:
            self._known.move_to_end(key)
            return self._found(known, numbers) or self._new(known, nest, numbers)
        return self._lowered(nest)

    @staticmethod
    def _found(known: _Known, numbers: Numbers) -> Block | None:
        for i, way in enumerate(known.ways):
            block = way(numbers)
            if block is not None:
                known.ways.insert(0, known.ways.pop(i))  # tried first the next time
                return block
        return None

    def _new(self, known: _Known, nest: Nest, numbers: Numbers) -> Block | None:
        if len(known.ways) < MOST_WAYS:
            trace = Trace(numbers)
            try:
                block = self._lowered(_with_numbers(nest, trace.parameters))
                if block is None:
                    return None
                known.ways.insert(0, trace.function(block))
                return known.ways[0](numbers)
            except Exception as error:  # whatever is wrong with the nest itself shows without symbols too
                known.abandoned = error
        return self._lowered(nest)

    def _lowered(self, nest: Nest) -> Block | None:
        step = lower(self.target, nest)
        return None if step is None else block_of(step)


def _numbers(nest: Nest) -> Numbers:
    """The numbers of a nest that its structure leaves open, all in a row."""
    found = [*nest.sizes, *nest.offsets]
    for operand, strides in zip(nest.loops.operands, nest.strides, strict=True):
        found += [s for s, known in zip(strides, operand.strides, strict=True) if known is None]
    for gather in nest.gathers:
        if gather is not None:
            found += gather
    return tuple(found)


def _with_numbers(nest: Nest, numbers: Sequence[Any]) -> Nest:
    """The nest with other numbers, in the order of `_numbers`."""
    rest: Iterator[Any] = iter(numbers)
    sizes, offsets = (tuple([next(rest) for _ in old]) for old in (nest.sizes, nest.offsets))
    strides = tuple([
        tuple([next(rest) if known is None else known for known in operand.strides]) for operand in nest.loops.operands
    ])  # fmt: skip
    gathers = tuple([None if gather is None else (next(rest), next(rest)) for gather in nest.gathers])
    return nest._replace(sizes=sizes, strides=strides, offsets=offsets, gathers=gathers)
